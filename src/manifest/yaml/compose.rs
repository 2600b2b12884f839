//! From the events of a YAML text to its documents: aliases resolved, merge keys merged, duplicate keys refused.
//!
//! The events are those of serde-saphyr's own parser. Its deserializer is not used, because it tells neither which
//! scalars were quoted nor, value by value, where they stood.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::error::{Error, Result};
use crate::manifest::yaml::node::{Content, Entry, Node, Scalar};
use crate::manifest::yaml::scalar;
use crate::manifest::yaml::source::{Source, Spot, number};
use crate::manifest::yaml::stream::{self, Stream};

/// More values than this in one file are no manifests.
const MOST_NODES: usize = 1_000_000;
/// So much memory may the copies take that a file makes with anchors and aliases: 60 kB of text could name a string of 30 kB
/// ten thousand times.
const MOST_COPIED: usize = 16 << 20;
/// Deeper than any object is, and far less than what a stack holds. A record is JSON, which is read to 128 levels.
const DEEPEST: usize = 100;

/// The documents of a text; empty ones are left out.
pub(crate) fn documents(source: &Arc<Source>) -> Result<Vec<Node>> {
    let mut composer = Composer {
        source,
        parser: Parser::new_from_str(""),
        begin: (0, 0),
        anchors: HashMap::new(),
        nodes: MOST_NODES,
        bytes: MOST_COPIED,
        depth: 0,
    };
    let mut documents = Vec::new();
    let Stream { parts, mut no_json } = stream::parts(source)?;
    for part in parts {
        composer.parser = Parser::new_from_str(&source.text[part.bytes]);
        composer.begin = (part.line, part.column);
        composer.documents(&mut documents).map_err(|error| no_json.take().unwrap_or(error))?;
    }
    Ok(documents)
}

struct Composer<'text> {
    source: &'text Arc<Source>,
    parser: Parser<'text, StrInput<'text>>,
    /// How many lines, and characters of the line, stand before what the parser reads.
    begin: (usize, usize),
    anchors: HashMap<usize, (Node, Size)>,
    /// How many values may still come.
    nodes: usize,
    /// How much may still be copied.
    bytes: usize,
    /// How many lists and maps are open.
    depth: usize,
}

/// How large a value is.
#[derive(Clone, Copy, Default)]
struct Size {
    /// Values, its own included.
    nodes: usize,
    /// Bytes of memory.
    bytes: usize,
    /// Levels, its own included.
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let text = node.text().map_or(0, str::len);
        let mut all = Self { nodes: 1, bytes: size_of::<Node>() + text, depth: 0 };
        let entries = node.entries().iter();
        all.bytes += entries.clone().map(|entry| size_of::<Entry>() + entry.key.len()).sum::<usize>();
        for one in node.items().iter().chain(entries.map(|entry| &entry.value)) {
            let size = Self::of(one);
            all.nodes += size.nodes;
            all.bytes += size.bytes;
            all.depth = all.depth.max(size.depth);
        }
        Self { depth: all.depth + 1, ..all }
    }
}

impl<'text> Composer<'text> {
    /// Reads to the end of the parser's text.
    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<()> {
        loop {
            match self.next()? {
                (Event::DocumentStart(..), _) => {
                    self.anchors.clear();
                    let document = self.node()?;
                    documents.extend(Some(document).filter(|node| !node.is_null()));
                }
                (Event::StreamEnd, _) => return Ok(()),
                _ => {}
            }
        }
    }

    /// The next event that is data.
    fn next(&mut self) -> Result<(Event<'text>, Span)> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(self.unreadable(&error)),
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn node(&mut self) -> Result<Node> {
        let event = self.next()?;
        self.node_of(event)
    }

    fn node_of(&mut self, (event, span): (Event<'text>, Span)) -> Result<Node> {
        let spot = self.spot(span.start);
        self.count(1, &spot)?;
        let anchor = event.anchor_id();
        self.descend(1, &spot)?;
        let content = match event {
            Event::Scalar(text, style, _, tag) => Self::scalar(&text, style, tag.as_deref(), &spot)?,
            Event::SequenceStart(..) => Content::List(self.items()?),
            Event::MappingStart(..) => Content::Map(self.entries()?),
            Event::Alias(id) => return self.alias(id, &spot),
            _ => return Err(spot.mistake("a value is missing here")),
        };
        self.depth -= 1;
        let node = Node { spot, content };
        if let Some(anchor) = anchor {
            let size = Size::of(&node);
            self.copy(size.bytes, &node.spot)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    /// Goes so many levels deeper.
    fn descend(&mut self, levels: usize, spot: &Spot) -> Result<()> {
        self.depth += levels;
        if self.depth > DEEPEST {
            return Err(spot.mistake(format!("the value is nested more than {DEEPEST} levels deep")));
        }
        Ok(())
    }

    fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, spot: &Spot) -> Result<Content> {
        let plain = style == ScalarStyle::Plain && tag.is_none();
        let resolved = || scalar::resolve(text).ok_or_else(|| spot.mistake("JSON has no such number"));
        let value = match tag.map(Tag::core_suffix) {
            None if plain => resolved()?,
            Some(Some(wanted @ ("int" | "float" | "bool" | "null"))) => match resolved()? {
                Value::String(_) if spot.may_be_secret() => {
                    return Err(spot.mistake(format!("the value is not a `!!{wanted}`")));
                }
                Value::String(_) => return Err(spot.mistake(format!("`{text}` is not a `!!{wanted}`"))),
                value => value,
            },
            Some(Some("binary")) => {
                return Err(spot
                    .mistake("the tag `!!binary` is not supported")
                    .with_hint("write base64 as a string, under `binaryData` or a Secret's `data`"));
            }
            _ => Value::from(text),
        };
        Ok(Content::Scalar(Scalar { value, plain }))
    }

    fn alias(&mut self, id: usize, spot: &Spot) -> Result<Node> {
        let Some(size) = self.anchors.get(&id).map(|(_, size)| *size) else {
            return Err(spot.mistake("an alias refers to a value that contains it"));
        };
        self.count(size.nodes, spot)?;
        self.copy(size.bytes, spot)?;
        // Its own level is counted already.
        self.descend(size.depth - 1, spot)?;
        self.depth -= size.depth;
        Ok(self.anchors[&id].0.clone())
    }

    fn items(&mut self) -> Result<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                event => items.push(self.node_of(event)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>> {
        let mut map = Entries::default();
        let mut merged: Option<Spot> = None;
        loop {
            let event = self.next()?;
            if event.0 == Event::MappingEnd {
                return Ok(map.all);
            }
            let key = self.node_of(event)?;
            let value = self.node()?;
            if is_merge(&key) {
                if let Some(first) = merged.replace(key.spot.clone()) {
                    return Err(duplicate("<<", &key.spot, first.line));
                }
                for entry in merge_sources(value)? {
                    map.add(entry, None);
                }
            } else {
                let (name, line) = (key_text(key.scalar(), &key.spot)?, key.spot.line);
                if let Some(first) = map.line_of(&name) {
                    return Err(duplicate(&name, &key.spot, first));
                }
                map.add(Entry { key: name, spot: key.spot, value }, Some(line));
            }
        }
    }

    fn count(&mut self, nodes: usize, spot: &Spot) -> Result<()> {
        self.nodes = self.nodes.checked_sub(nodes).ok_or_else(|| {
            spot.mistake(format!("the file has more than {MOST_NODES} values once its aliases are resolved"))
        })?;
        Ok(())
    }

    fn copy(&mut self, bytes: usize, spot: &Spot) -> Result<()> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            let limit = MOST_COPIED >> 20;
            spot.mistake(format!("the anchors and aliases of the file unfold to more than {limit} MiB"))
        })?;
        Ok(())
    }

    fn spot(&self, marker: Marker) -> Spot {
        let (lines, letters) = self.begin;
        let line = marker.line().max(1);
        let column = marker.col() + 1 + if line == 1 { letters } else { 0 };
        Spot { source: Arc::clone(self.source), line: number(lines + line), column: number(column) }
    }

    fn unreadable(&self, error: &ScanError) -> Error {
        let spot = self.spot(*error.marker());
        let mistake = spot.mistake(format!("this is not YAML: {}", error.info()));
        if spot.text_of_line().is_some_and(|line| line.contains("${")) {
            return mistake
                .with_hint("inside `{…}` and `[…]`, put `${NAME}` in quotes: `{host: \"${HOST}\"}`");
        }
        mistake
    }
}

/// The entries of a map that is being read.
#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    /// For each of them the line in which the map itself has its key; `None` where it was merged from another map.
    lines: Vec<Option<u32>>,
    /// Where each key is, once there are too many to look through.
    places: HashMap<String, usize>,
}

impl Entries {
    /// So many keys are looked through faster than they are hashed.
    const FEW: usize = 16;

    fn place(&self, key: &str) -> Option<usize> {
        if self.all.len() > Self::FEW {
            return self.places.get(key).copied();
        }
        self.all.iter().position(|entry| entry.key == key)
    }

    /// The line in which the map itself has this key.
    fn line_of(&self, key: &str) -> Option<u32> {
        self.lines[self.place(key)?]
    }

    /// As for kubectl, what comes later wins: a key over those that were merged before it, and the other way round.
    fn add(&mut self, entry: Entry, line: Option<u32>) {
        if let Some(place) = self.place(&entry.key) {
            self.lines[place] = line.or(self.lines[place]);
            self.all[place] = entry;
            return;
        }
        self.all.push(entry);
        self.lines.push(line);
        if self.all.len() > Self::FEW {
            for (place, entry) in self.all.iter().enumerate().skip(self.places.len()) {
                self.places.insert(entry.key.clone(), place);
            }
        }
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.content, Content::Scalar(scalar) if scalar.plain && scalar.value == "<<")
}

/// The maps of `<<: *one` or `<<: [*one, *two]`; the first that has a key wins.
fn merge_sources(value: Node) -> Result<Vec<Entry>> {
    let wrong = |spot: &Spot| spot.mistake("`<<` merges a map, or a list of maps");
    match value.content {
        Content::Map(entries) => Ok(entries),
        Content::List(items) => {
            let (mut merged, mut known) = (Vec::new(), HashSet::new());
            for item in items {
                let Content::Map(entries) = item.content else { return Err(wrong(&item.spot)) };
                merged.extend(entries.into_iter().filter(|entry| known.insert(entry.key.clone())));
            }
            Ok(merged)
        }
        Content::Scalar(_) => Err(wrong(&value.spot)),
    }
}

/// A key as JSON has it: kubectl turns numbers and booleans into their text.
fn key_text(key: Option<&Value>, spot: &Spot) -> Result<String> {
    match key {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value) if !value.is_null() => Ok(value.to_string()),
        Some(_) => Err(spot.mistake("a key cannot be null")),
        None => Err(spot
            .mistake("a key must be a string")
            .with_hint("if this is a template, render it first: `.kube` holds plain YAML with `${NAME}`")),
    }
}

fn duplicate(name: &str, spot: &Spot, first: u32) -> Error {
    spot.mistake(format!("duplicate key `{name}`"))
        .with_hint(format!("it is first on line {first}; kubectl would silently use one of them"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vec<Node>> {
        documents(&Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false }))
    }

    fn json_of(text: &str) -> Vec<Value> {
        read(text).expect("it is YAML").iter().map(Node::to_json).collect()
    }

    fn message(text: &str) -> String {
        read(text).expect_err("it is a mistake").to_string()
    }

    #[test]
    fn documents_without_content_are_left_out() {
        assert_eq!(
            json_of("# nothing\n---\na: 1\n---\n---\n# no\n---\n{b: yes}\n...\n"),
            [json!({"a": 1}), json!({"b": true})]
        );
        assert_eq!(json_of(""), Vec::<Value>::new());
        assert_eq!(json_of("\u{feff}a: 1\n"), [json!({"a": 1})]);
    }

    #[test]
    fn tags_and_quotes_decide_the_type() {
        let text = "[0644, '0644', \"yes\", !!str 5, !!int \"5\", !Ref 12, |\n  5\n]";
        let list = "- 0644\n- '0644'\n- \"yes\"\n- !!str 5\n- !!int \"5\"\n- !Ref 12\n- |-\n  5\n";
        assert!(read(text).is_err());
        assert_eq!(json_of(list), [json!([420, "0644", "yes", "5", 5, "12", "5"])]);
    }

    #[test]
    fn merge_keys_are_merged() {
        let text = "a: &a {x: 1, k: 2}\nb: &b {k: 3, z: 4}\nc: {<<: [*a, *b], x: 0}\nd: {<<: *a}\n'<<': 1\n";
        let json = &json_of(text)[0];
        assert_eq!(json["c"], json!({"x": 0, "k": 2, "z": 4}));
        assert_eq!(json["d"], json!({"x": 1, "k": 2}));
        assert_eq!(json["<<"], 1);
    }

    /// The values are those that `kubectl label --local -o json` gave.
    #[test]
    fn what_comes_later_wins_over_what_was_merged_before() {
        let maps = "x: &x {a: 1, b: 1}\nz: &z {a: 2, c: 2}\n";
        let read = |data: &str| json_of(&format!("{maps}data:\n{data}"))[0]["data"].clone();
        assert_eq!(read("  a: 9\n  <<: *x\n"), json!({"a": 1, "b": 1}));
        assert_eq!(read("  <<: *x\n  a: 9\n"), json!({"a": 9, "b": 1}));
        assert_eq!(read("  a: 9\n  <<: [*x, *z]\n  c: 7\n"), json!({"a": 1, "b": 1, "c": 7}));
        assert_eq!(message(&format!("{maps}data:\n  <<: *x\n  <<: *z\n")), "a.yaml:5:3: duplicate key `<<`");
    }

    #[test]
    fn keys_become_text_as_in_kubectl() {
        assert_eq!(json_of("8080: a\nyes: b\n0644: c\n"), [json!({"8080": "a", "true": "b", "420": "c"})]);
        assert_eq!(message("~: a\n"), "a.yaml:1:1: a key cannot be null");
    }

    #[test]
    fn duplicate_keys_are_mistakes() {
        assert_eq!(message("a: 1\nb: {c: 1,\n    c: 2}\n"), "a.yaml:3:5: duplicate key `c`");
    }

    #[test]
    fn places_are_those_of_the_text() {
        let nodes =
            read("---\n# comment\nkind: A\nspec:\n  ü: [x, \"y\"]\n---\n  kind: B\n").expect("it is YAML");
        let place = |node: &Node| (node.spot.line, node.spot.column);
        assert_eq!(place(&nodes[0]), (3, 1));
        assert_eq!(place(&nodes[1]), (7, 3));
        let list = nodes[0].at(&["spec", "ü"]).expect("it is there");
        assert_eq!([place(list), place(&list.items()[1])], [(5, 6), (5, 10)]);
    }

    #[test]
    fn what_is_no_yaml_has_a_place() {
        assert!(message("a: 1\n b: 2\n").starts_with("a.yaml:2:"), "{}", message("a: 1\n b: 2\n"));
        assert!(
            message("a: {{ .Values.x }}\n").contains("a key must be a string"),
            "{}",
            message("a: {{ .Values.x }}\n")
        );
    }

    #[test]
    fn a_reference_in_braces_needs_quotes() {
        let error = read("a: {host: ${HOST}}\n").expect_err("it is a mistake");
        assert!(error.hint().is_some_and(|hint| hint.contains("in quotes")));
        assert_eq!(json_of("a: {host: \"${HOST}\"}\n"), [json!({"a": {"host": "${HOST}"}})]);
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = level - 1;
            let ten = vec![format!("*a{below}"); 10].join(", ");
            text.extend(["a", &level.to_string(), ": &a", &level.to_string(), " [", &ten, "]\n"]);
        }
        assert!(message(&text).contains("unfold to more than 16 MiB"), "{}", message(&text));
        assert!(read("a: &a [*a]\n").is_err());
    }

    #[test]
    fn aliases_of_a_long_string_or_of_many_keys_are_counted_by_their_size() {
        let string = format!("a: &a {}\nb:\n{}", "x".repeat(30_000), "- *a\n".repeat(6_000));
        // 16 MiB are the anchor's 30 kB and 556 times the same.
        let said = "a.yaml:559:3: the anchors and aliases of the file unfold to more than 16 MiB";
        assert_eq!(message(&string), said);
        let keys: String = (0..3_000).map(|key| format!("  k{key}: 1\n")).collect();
        let merged: String = (0..3_000).map(|key| format!("m{key}: {{<<: *a}}\n")).collect();
        assert!(message(&format!("a: &a\n{keys}{merged}")).contains("unfold to more than 16 MiB"));
        let anchors = format!("{}{}", "- &a\n ".repeat(2_000), "x");
        assert!(read(&anchors).is_ok() || message(&anchors).contains("this is not YAML"));
        let nested: String = (0..90).map(|level| format!("{}- &a{level}\n", " ".repeat(level))).collect();
        let nested = format!("{nested}{}{}", " ".repeat(91), "x".repeat(500_000));
        assert!(message(&nested).contains("unfold to more than 16 MiB"), "each level is a copy");
    }

    #[test]
    fn what_is_nested_too_deeply_is_a_mistake_also_behind_an_alias() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(DEEPEST - 1)).is_ok());
        assert_eq!(message(&deep(DEEPEST)), "a.yaml:1:101: the value is nested more than 100 levels deep");
        assert!(message(&"- ".repeat(100_000)).contains("levels deep"));
        let alias = |levels: usize| {
            format!("a: &a {}\nb: {}*a{}\n", deep(60), "[".repeat(levels), "]".repeat(levels))
        };
        assert!(read(&alias(38)).is_ok());
        assert!(message(&alias(39)).contains("levels deep"));
    }

    #[test]
    fn many_keys_are_read_in_a_moment() {
        let keys: String = (0..100_000).map(|key| format!("key-{key}: 1\n")).collect();
        let start = std::time::Instant::now();
        assert_eq!(read(&keys).unwrap()[0].entries().len(), 100_000);
        assert!(start.elapsed().as_secs() < 20, "a map is not searched for each key");
    }

    #[test]
    fn json_objects_one_after_the_other_are_documents() {
        let text = "{\"a\": [420]}\n{\"a\": 1} {\"b\":\n  {\"c\": \"\\ud83d\\ude00\"}}\n";
        let nodes = read(text).expect("it is JSON");
        let json: Vec<_> = nodes.iter().map(Node::to_json).collect();
        assert_eq!(json, [json!({"a": [420]}), json!({"a": 1}), json!({"b": {"c": "😀"}})]);
        let places: Vec<_> = ["/a/0", "/a", "/b", "/b/c"]
            .iter()
            .zip([0, 1, 2, 2])
            .map(|(pointer, index)| nodes[index].place_of(pointer))
            .map(|spot| (spot.line, spot.column))
            .collect();
        assert_eq!(places, [(1, 8), (2, 7), (3, 3), (3, 9)]);
        assert_eq!(
            message("{\"a\": 1}\n{\"b\": 1}{\"b\": {\"c\": 1,\n\"c\": 2}}\n"),
            "a.yaml:3:1: duplicate key `c`"
        );
        assert_eq!(message("{\"a\": 1}\n{\"b\": 1}{\"b\": 1, \"b\": 2}\n"), "a.yaml:2:18: duplicate key `b`");
    }

    #[test]
    fn a_json_file_that_is_no_json_may_be_yaml_and_else_is_told_why() {
        let read = |text: &str| {
            documents(&Arc::new(Source { path: "a.json".into(), text: text.to_owned(), rendered: false }))
        };
        assert!(read("{a: 1} # YAML\n---\n{\"b\": 0644}\n").is_ok());
        let error = read("{\"a\": 1,\n \"b\" 2}\n{\"c\": 1}\n").expect_err("it is neither");
        assert_eq!(error.to_string(), "a.json:2:6: this is not JSON: expected `:`");
        let error = read("{\"a\": ${N}}\n").expect_err("it is neither");
        assert_eq!(error.to_string(), "a.json:1:7: this is not JSON: expected value");
        assert_eq!(error.hint(), Some("put `${NAME}` in quotes"));
    }

    #[test]
    fn a_stream_of_many_objects_is_read_in_a_moment() {
        let text = "{\"a\": [1]}\n".repeat(100_000);
        let start = std::time::Instant::now();
        let nodes = read(&text).expect("it is JSON");
        assert_eq!(nodes.last().map(|node| (nodes.len(), node.spot.line)), Some((100_000, 100_000)));
        assert!(start.elapsed().as_secs() < 20, "lines are not counted from the beginning for each");
        assert!(message(&"{\"a\":[1,2,3]}".repeat(200_001)).contains("more than 1000000 values"));
    }

    #[test]
    fn json_is_read_too() {
        assert_eq!(
            json_of("{\n\t\"a\": \"\\u00fc\\/\",\n\t\"b\": [\n\t\t1.0,\n\t\tnull]\n}\n"),
            [json!({"a": "ü/", "b": [1, null]})]
        );
    }
}
