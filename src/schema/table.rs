//! The table of kinds, types and fields, as scripts/schemas writes it; the notation stands in its README.

use std::collections::HashMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("kubernetes.txt");

/// The version of the notation that is read here.
const FORMAT: &str = "windlass-schemas 1";

/// In which versions something is so: a bit for each version of the table, the lowest for the oldest.
pub(super) type Versions = u32;

/// The table, read once.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT));

/// All that is known of all versions.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// `1.27.16`, oldest first.
    pub(super) versions: Vec<&'static str>,
    /// By `apiVersion` and kind.
    pub(super) kinds: HashMap<(&'static str, &'static str), Vec<KindLine>>,
    pub(super) lifecycles: HashMap<(&'static str, &'static str), LifecycleLine>,
    pub(super) types: HashMap<&'static str, Type>,
}

/// A kind in some versions.
#[derive(Debug)]
pub(super) struct KindLine {
    pub(super) plural: &'static str,
    pub(super) namespaced: bool,
    pub(super) has_status: bool,
    pub(super) type_name: &'static str,
    pub(super) versions: Versions,
}

/// When a kind was deprecated (`1.14`), removed and what replaces it; `-` where that is not known.
#[derive(Debug)]
pub(super) struct LifecycleLine {
    pub(super) deprecated: &'static str,
    pub(super) removed: &'static str,
    pub(super) replacement: &'static str,
}

/// The fields of a type, in alphabetical order; a field that changed has a line for each form.
#[derive(Debug, Default)]
pub(super) struct Type {
    pub(super) fields: Vec<Field>,
    /// The type is no object with fields, but written as this.
    pub(super) written_as: Option<Shape>,
}

/// A field of a type in some versions.
#[derive(Debug, Clone)]
pub struct Field {
    /// `imagePullPolicy`.
    pub name: &'static str,
    /// The schema calls it required, which is not to say that the server insists.
    pub required: bool,
    /// What its value is.
    pub shape: Shape,
    /// The values of its enum, or of that of its items; empty where there is none.
    pub values: Vec<&'static str>,
    /// What tells the items of a list apart when it is applied.
    pub keys: ListKeys,
    /// `merge`, `replace`, `retainKeys` or `merge,retainKeys` of a strategic merge patch; empty where there is none.
    pub patch_strategy: &'static str,
    /// The key that a strategic merge patch merges the items of the list by; empty where there is none.
    pub merge_key: &'static str,
    pub(super) versions: Versions,
}

/// What tells the items of a list apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKeys {
    /// Nothing: the list is one value.
    Atomic,
    /// The items themselves.
    Set,
    /// These fields of the items.
    Map(Vec<&'static str>),
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A number.
    Number,
    /// `500m`, `1Gi`, 2.
    Quantity,
    /// A time in RFC 3339.
    Time,
    /// A time in RFC 3339 with microseconds.
    MicroTime,
    /// An integer or a string: a port by number or name, a share.
    IntOrText,
    /// A string in base64.
    Bytes,
    /// An object with any fields.
    Object,
    /// Any value.
    Any,
    /// An object of this type: `core.v1.Container`.
    Type(&'static str),
    /// A list.
    List(Box<Self>),
    /// A map from strings.
    Map(Box<Self>),
}

impl Shape {
    /// Reads `[@core.v1.Container`.
    fn read(text: &'static str) -> Option<Self> {
        let (mark, rest) = text.split_at_checked(1)?;
        Some(match mark {
            "@" => Self::Type(rest),
            "[" => Self::List(Box::new(Self::read(rest)?)),
            "{" => Self::Map(Box::new(Self::read(rest)?)),
            _ if !rest.is_empty() => return None,
            "s" => Self::Text,
            "b" => Self::Flag,
            "i" => Self::Int32,
            "I" => Self::Int64,
            "n" => Self::Number,
            "q" => Self::Quantity,
            "t" => Self::Time,
            "m" => Self::MicroTime,
            "x" => Self::IntOrText,
            "y" => Self::Bytes,
            "o" => Self::Object,
            "*" => Self::Any,
            _ => return None,
        })
    }
}

impl Table {
    /// Reads a table of the known notation; lines that are not of it are left out, and so is any other table.
    pub(super) fn read(text: &'static str) -> Self {
        let mut table = Self::default();
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return table;
        }
        let mut type_name = "";
        let (mut every, mut own) = (0, 0);
        for line in lines {
            let (line, written) = versions_of(line);
            if let Some(rest) = line.strip_prefix("v ") {
                table.versions = rest.split(' ').collect();
                every = every_bit(table.versions.len());
            } else if let Some(rest) = line.strip_prefix("t ") {
                (type_name, own) = (rest, written.unwrap_or(every));
                table.types.insert(type_name, Type::default());
            } else if let Some(rest) = line.strip_prefix("k ") {
                table.kind(rest, written.unwrap_or(every));
            } else if let Some(rest) = line.strip_prefix("d ") {
                table.lifecycle(rest);
            } else if let Some(owner) = table.types.get_mut(type_name) {
                owner.line(line, written.unwrap_or(own));
            }
        }
        table
    }

    fn kind(&mut self, line: &'static str, versions: Versions) {
        let words: Vec<&'static str> = line.split(' ').collect();
        let [api_version, kind, plural, scope, type_name] = words[..] else { return };
        self.kinds.entry((api_version, kind)).or_default().push(KindLine {
            plural,
            namespaced: scope.starts_with('n'),
            has_status: scope.ends_with('s'),
            type_name,
            versions,
        });
    }

    fn lifecycle(&mut self, line: &'static str) {
        let words: Vec<&'static str> = line.split(' ').collect();
        let [api_version, kind, deprecated, removed, replacement] = words[..] else { return };
        self.lifecycles.insert((api_version, kind), LifecycleLine { deprecated, removed, replacement });
    }
}

impl Type {
    fn line(&mut self, line: &'static str, versions: Versions) {
        if let Some(shape) = line.strip_prefix("= ") {
            self.written_as = Shape::read(shape);
        } else {
            self.fields.extend(field(line, versions));
        }
    }
}

/// Reads `!ports [@core.v1.ContainerPort k:containerPort,protocol p:merge m:containerPort`.
fn field(line: &'static str, versions: Versions) -> Option<Field> {
    let (name, rest) = line.split_once(' ')?;
    let (shape, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut field = Field {
        name: name.trim_start_matches('!'),
        required: name.starts_with('!'),
        shape: Shape::read(shape)?,
        values: Vec::new(),
        keys: ListKeys::Atomic,
        patch_strategy: "",
        merge_key: "",
        versions,
    };
    // The values of an enum may have spaces: they come first, and end where one of the other marks begins.
    let marks = [" k:", " set", " p:", " m:"].iter().filter_map(|mark| rest.find(mark)).min();
    let (values, marks) = match rest.strip_prefix('=') {
        Some(_) => rest.split_at(marks.unwrap_or(rest.len())),
        None => ("", rest),
    };
    if let Some(values) = values.strip_prefix('=') {
        field.values = values.split('|').collect();
    }
    for mark in marks.split(' ').filter(|mark| !mark.is_empty()) {
        match mark.split_once(':') {
            Some(("k", keys)) => field.keys = ListKeys::Map(keys.split(',').collect()),
            Some(("p", strategy)) => field.patch_strategy = strategy,
            Some(("m", key)) => field.merge_key = key,
            None if mark == "set" => field.keys = ListKeys::Set,
            _ => return None,
        }
    }
    Some(field)
}

/// A line without the mask at its end, and the mask.
fn versions_of(line: &'static str) -> (&'static str, Option<Versions>) {
    let split = line.rsplit_once(" #");
    match split.and_then(|(rest, mask)| Some((rest, Versions::from_str_radix(mask, 16).ok()?))) {
        Some((rest, mask)) => (rest, Some(mask)),
        None => (line, None),
    }
}

fn every_bit(count: usize) -> Versions {
    u32::try_from(count).ok().and_then(|count| 1_u32.checked_shl(count)).map_or(Versions::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sha2::{Digest as _, Sha256};

    use super::*;

    /// The hash of the table that was checked in: nobody edits it by hand (see scripts/schemas/README.md).
    #[test]
    fn the_table_is_the_one_that_was_generated() {
        let hash = Sha256::digest(TEXT.as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "2aa5bb0fdc44beeaf66d2e042827ea41878071cad6120dbbee7439f6ab48ac4c");
        assert!(TEXT.len() < 150_000, "{} bytes", TEXT.len());
    }

    #[test]
    fn every_line_is_read() {
        let table = Table::read(TEXT);
        let count = |prefix: &str| TEXT.lines().filter(|line| line.starts_with(prefix)).count();
        assert_eq!(table.versions.len(), 11);
        assert_eq!(table.kinds.values().map(Vec::len).sum::<usize>(), count("k "));
        assert_eq!(table.lifecycles.len(), count("d "));
        assert_eq!(table.types.len(), count("t "));
        let fields: usize = table.types.values().map(|one| one.fields.len()).sum();
        let written = table.types.values().filter(|one| one.written_as.is_some()).count();
        let others = count("k ") + count("d ") + count("t ") + count("v ") + count("windlass-schemas ");
        assert_eq!(fields + written + others, TEXT.lines().count());
    }

    #[test]
    fn every_type_that_is_named_is_there() {
        fn named(shape: &Shape) -> Option<&'static str> {
            match shape {
                Shape::Type(name) => Some(name),
                Shape::List(item) | Shape::Map(item) => named(item),
                _ => None,
            }
        }
        let table = Table::read(TEXT);
        for (name, one) in &table.types {
            for target in one.fields.iter().filter_map(|field| named(&field.shape)) {
                assert!(table.types.contains_key(target), "{name} names {target}");
            }
        }
        for kind in table.kinds.values().flatten() {
            assert!(table.types.contains_key(kind.type_name), "{}", kind.type_name);
        }
    }

    #[test]
    fn opening_takes_milliseconds() {
        let begin = Instant::now();
        assert_eq!(Table::read(TEXT).versions.len(), 11);
        // 2 ms where it is optimized; a test is not, and runs beside others.
        assert!(begin.elapsed().as_millis() < 1000, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_field_has_all_that_its_line_says() {
        let read = field("!ports [@a.v1.B =A b|C k:x,y p:merge,retainKeys m:x", 3).expect("a field");
        assert!(read.required);
        assert_eq!((read.name, read.shape), ("ports", Shape::List(Box::new(Shape::Type("a.v1.B")))));
        assert_eq!(read.values, ["A b", "C"]);
        assert_eq!(read.keys, ListKeys::Map(vec!["x", "y"]));
        assert_eq!((read.patch_strategy, read.merge_key), ("merge,retainKeys", "x"));
        assert!(field("ports", 3).is_none());
        assert!(field("ports ?", 3).is_none());
        assert_eq!(Table::read("windlass-schemas 2\nv 1.27.1\n").versions, Vec::<&str>::new());
    }
}
