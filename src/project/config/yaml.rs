//! The YAML of `windlass.yaml` as a tree in which every value knows where it stands.
//!
//! Scalars keep the letters that the file has: `REPLICAS: 2` is the text `2`, `VERSION: 1.10` never becomes `1.1`.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, MessageFormatter, NonFiniteFloatPolicy, Spanned, UserMessageFormatter};

use crate::error::{Error, Kind, Place, Result};

/// So many values may aliases stand for.
pub(crate) const MOST_REPEATED: usize = 50_000;

/// A value and where it stands; behind an alias, where the anchor is: there it can be put right.
#[derive(Debug, Clone)]
pub(crate) struct ConfigNode {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// Whether the file has it in quotes: then it is a text, whatever it looks like.
    pub(crate) quoted: bool,
    /// Whether the file has the letters of a single value as they are, in one line.
    pub(crate) verbatim: bool,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    List(Vec<ConfigNode>),
    Map(Vec<(Key, ConfigNode)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Value {
    /// For messages: what the file has there.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// A text as a tree of texts: every scalar keeps its letters. The error says nothing of the text.
///
/// # Errors
/// [`Kind::Invalid`] for what is not YAML.
pub fn strings(text: &str) -> Result<serde_json::Value> {
    let unreadable = |_| Error::new(Kind::Invalid, "this is not YAML");
    read(text, Path::new("")).map(|node| plain(node.value)).map_err(unreadable)
}

/// As [`strings`], of a file of the project: the error says what is wrong and where.
///
/// # Errors
/// [`Kind::Invalid`] for what is not YAML.
pub fn yaml_tree(text: &str, file: &Path) -> Result<serde_json::Value> {
    read(text, file).map(|node| plain(node.value))
}

fn plain(value: Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Scalar(text) => text.into(),
        Value::List(items) => items.into_iter().map(|item| plain(item.value)).collect(),
        Value::Map(entries) => entries.into_iter().map(|(key, node)| (key.text, plain(node.value))).collect(),
    }
}

/// Reads one document.
///
/// # Errors
/// [`Kind::Invalid`] with its place for what is not YAML, for a key that stands there twice, and for a second
/// document.
pub(crate) fn read(text: &str, file: &Path) -> Result<ConfigNode> {
    // What aliases repeat is counted too: they may not make more of a file than a file of that size could hold itself.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_recorded_anchor_events: MOST_REPEATED,
            max_total_scalar_bytes: 2 * text.len() + (1 << 20),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPEATED },
        with_snippet: false,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(SourceText { text, file }.node(raw)),
        Err(error) => Err(refused(&error, file)),
    }
}

fn refused(error: &serde_saphyr::Error, file: &Path) -> Error {
    let error = error.without_snippet();
    let place = error.location().map_or_else(|| Place::file(file), |location| place(file, location));
    let message = match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("duplicate key `{key}`")
        }
        _ => not_yaml(error),
    };
    Error::new(Kind::Invalid, message).at(place)
}

/// Why a text is not read as YAML, with a limit in our words where it is one.
pub(crate) fn not_yaml(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::budget::BudgetBreach as Breach;
    let mut error = error.without_snippet();
    while let serde_saphyr::Error::AliasError { error: within, .. } = error {
        error = within;
    }
    match error {
        serde_saphyr::Error::Budget { breach: Breach::Depth { depth }, .. } => {
            format!("the value is nested more than {} levels deep", depth.saturating_sub(1))
        }
        serde_saphyr::Error::Budget { breach: Breach::ScalarBytes { .. }, .. } => {
            "the aliases of the file repeat more than 1 MiB of text".to_owned()
        }
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. } => {
            format!("the anchors and aliases of the file stand for more than {MOST_REPEATED} values")
        }
        _ => format!("this is not YAML: {}", UserMessageFormatter.format_message(error)),
    }
}

fn place(file: &Path, location: Location) -> Place {
    let number = |one: u64| u32::try_from(one).unwrap_or(u32::MAX);
    Place::at(file, number(location.line()), number(location.column()))
}

/// The text that was read: what a plain scalar looked like can only be seen there.
struct SourceText<'a> {
    text: &'a str,
    file: &'a Path,
}

impl SourceText<'_> {
    fn node(&self, raw: Spanned<Raw>) -> ConfigNode {
        let written = self.written(raw.defined);
        let quoted = written.as_ref().is_some_and(|text| text.starts_with(['"', '\'']));
        let verbatim = match (&raw.value, &written) {
            (Raw::Text(text), Some(written)) => {
                let inner = if quoted { written.get(1..written.len() - 1) } else { Some(written.as_str()) };
                inner == Some(text)
            }
            _ => false,
        };
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Text(text) => Value::Scalar(text),
            Raw::Typed(text) => Value::Scalar(written.unwrap_or(text)),
            Raw::List(list) => Value::List(list.into_iter().map(|one| self.node(one)).collect()),
            Raw::Map(map) => {
                Value::Map(map.into_iter().map(|(key, value)| (self.key(key), self.node(value))).collect())
            }
        };
        ConfigNode { value, place: place(self.file, raw.defined), quoted, verbatim }
    }

    fn key(&self, key: Spanned<String>) -> Key {
        Key { text: key.value, place: place(self.file, key.defined) }
    }

    fn written(&self, location: Location) -> Option<String> {
        let span = location.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let length = usize::try_from(span.byte_len()?).ok()?;
        let text = self.text.get(start..start.checked_add(length)?)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// A value as the parser hands it over.
enum Raw {
    Null,
    /// Quoted, or of no other type.
    Text(String),
    /// A number or a boolean, as Rust would write it.
    Typed(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigNode> {
        read(text, Path::new("windlass.yaml"))
    }

    fn entries(node: &ConfigNode) -> &[(Key, ConfigNode)] {
        match &node.value {
            Value::Map(map) => map,
            other => panic!("{other:?}"),
        }
    }

    fn scalar(node: &ConfigNode) -> &str {
        match &node.value {
            Value::Scalar(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_letters() {
        for written in [
            "1.10",
            "0o17",
            "yes",
            "1e3",
            "007",
            ".inf",
            "-0",
            "1_000",
            "on",
            "2001-12-14",
            "12e03",
            "true",
            "340282366920938463463374607431768211455",
        ] {
            let text = format!("a: {written} # a comment\nb: {{c: {written}}}\n");
            let node = parse(&text).unwrap();
            assert_eq!(scalar(&entries(&node)[0].1), written);
            assert_eq!(scalar(&entries(&entries(&node)[1].1)[0].1), written);
        }
        let node = parse("a: '2 '\nb: ~\nc: !!str 3\n").unwrap();
        assert_eq!(scalar(&entries(&node)[0].1), "2 ");
        assert!(matches!(entries(&node)[1].1.value, Value::Null));
        assert_eq!(scalar(&entries(&node)[2].1), "3");
    }

    #[test]
    fn places_are_counted_in_characters() {
        let node = parse("ä: {ö: [x, y]}\nzwei:\n  drei: 3\n").unwrap();
        let inner = &entries(&entries(&node)[0].1)[0];
        assert_eq!(inner.0.place, Place::at("windlass.yaml", 1, 5));
        let Value::List(list) = &inner.1.value else { panic!() };
        assert_eq!(list[1].place, Place::at("windlass.yaml", 1, 12));
        assert_eq!(entries(&entries(&node)[1].1)[0].1.place, Place::at("windlass.yaml", 3, 9));
    }

    #[test]
    fn merge_keys_and_aliases_are_followed_to_where_they_are_defined() {
        let node = parse("a: &a {x: 1.0}\nb: {<<: *a, y: 2}\nc: *a\n").unwrap();
        let merged = entries(&entries(&node)[1].1);
        let mut keys: Vec<_> = merged.iter().map(|(key, _)| key.text.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["x", "y"]);
        let x = &entries(&entries(&node)[2].1)[0].1;
        assert_eq!((scalar(x), &x.place), ("1.0", &Place::at("windlass.yaml", 1, 11)));
    }

    #[test]
    fn aliases_cannot_make_much_of_little() {
        // A run has the stack for it; the thread of a test has not.
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(aliases_are_bounded);
        thread.unwrap().join().unwrap();
    }

    fn aliases_are_bounded() {
        let string = format!("a: &a {}\nb:\n{}", "x".repeat(30_000), "- *a\n".repeat(90));
        let error = parse(&string).unwrap_err();
        assert_eq!(
            error.to_string(),
            "windlass.yaml:38:3: the aliases of the file repeat more than 1 MiB of text"
        );
        let list = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(9_000), "*a,".repeat(9));
        let many = "the anchors and aliases of the file stand for more than 50000 values";
        assert_eq!(parse(&list).unwrap_err().message(), many);
        let nested: String = (0..50).map(|at| format!("{}- &a{at}\n", " ".repeat(at))).collect();
        let nested = format!("{nested}{}[{}]\n", " ".repeat(51), "1,".repeat(9_000));
        assert_eq!(parse(&nested).unwrap_err().message(), many);
        let deep = parse(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).unwrap_err();
        assert_eq!(deep.to_string(), "windlass.yaml:1:65: the value is nested more than 64 levels deep");
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, line, column, words) in [
            ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key `a`"),
            ("a:\n  - b\n c: d\n", 3, 2, "this is not YAML"),
            ("a: [b\n", 1, 4, "this is not YAML"),
            ("a: b: c\n", 1, 5, "this is not YAML"),
            ("a: *nobody\n", 1, 4, "this is not YAML"),
            ("a: 1\n---\nb: 2\n", 3, 1, "this is not YAML"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message().starts_with(words), "{error}");
            assert_eq!(error.place(), Some(&Place::at("windlass.yaml", line, column)), "{error}");
            assert_eq!(error.message().lines().count(), 1, "{error}");
        }
    }
}
