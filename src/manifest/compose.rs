//! From the events of a YAML text to its documents: aliases resolved, merge keys merged, duplicate keys refused.
//!
//! The events are those of serde-saphyr's own parser. Its deserializer is not used, because it tells neither which
//! scalars were quoted nor, value by value, where they stood.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::node::{Content, Entry, Node, Scalar};
use super::scalar;
use super::source::{Source, Spot, number};
use crate::error::{Error, Result};

/// More values than this in one file are an attack with aliases, or an accident.
const MOST_NODES: usize = 1_000_000;

/// The documents of a text; empty ones are left out.
pub(super) fn documents(source: &Arc<Source>) -> Result<Vec<Node>> {
    let mut composer = Composer {
        source,
        parser: Parser::new_from_str(&source.text),
        anchors: HashMap::new(),
        left: MOST_NODES,
    };
    let mut documents = Vec::new();
    loop {
        match composer.next()? {
            (Event::DocumentStart(..), _) => {
                composer.anchors.clear();
                let document = composer.node()?;
                documents.extend(Some(document).filter(|node| !node.is_null()));
            }
            (Event::StreamEnd, _) => return Ok(documents),
            _ => {}
        }
    }
}

struct Composer<'text> {
    source: &'text Arc<Source>,
    parser: Parser<'text, StrInput<'text>>,
    anchors: HashMap<usize, Node>,
    left: usize,
}

impl<'text> Composer<'text> {
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
        let content = match event {
            Event::Scalar(text, style, _, tag) => Self::scalar(&text, style, tag.as_deref(), &spot)?,
            Event::SequenceStart(..) => Content::List(self.items()?),
            Event::MappingStart(..) => Content::Map(self.entries()?),
            Event::Alias(id) => return self.alias(id, &spot),
            _ => return Err(spot.mistake("a value is missing here")),
        };
        let node = Node { spot, content };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, spot: &Spot) -> Result<Content> {
        let plain = style == ScalarStyle::Plain && tag.is_none();
        let resolved = || scalar::resolve(text).ok_or_else(|| spot.mistake("JSON has no such number"));
        let value = match tag.map(Tag::core_suffix) {
            None if plain => resolved()?,
            Some(Some(wanted @ ("int" | "float" | "bool" | "null"))) => match resolved()? {
                Value::String(_) => return Err(spot.mistake(format!("`{text}` is no `!!{wanted}`"))),
                value => value,
            },
            Some(Some("binary")) => {
                return Err(spot
                    .mistake("the tag `!!binary` is not supported")
                    .hint("write base64 as a string, under `binaryData` or a Secret's `data`"));
            }
            _ => Value::from(text),
        };
        Ok(Content::Scalar(Scalar { value, plain }))
    }

    fn alias(&mut self, id: usize, spot: &Spot) -> Result<Node> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(spot.mistake("an alias stands inside of what it refers to"));
        };
        self.count(size(&node), spot)?;
        Ok(node)
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
        let mut entries: Vec<Entry> = Vec::new();
        let mut written: HashMap<String, Spot> = HashMap::new();
        loop {
            let event = self.next()?;
            if event.0 == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node_of(event)?;
            let value = self.node()?;
            let (name, added) = if is_merge(&key) {
                ("<<".to_owned(), merge_sources(value)?)
            } else {
                let name = key_text(&key)?;
                (name.clone(), vec![Entry { key: name, spot: key.spot.clone(), value }])
            };
            if let Some(first) = written.get(&name) {
                return Err(duplicate(&name, &key.spot, first));
            }
            written.insert(name, key.spot);
            // As for kubectl, what comes later wins: a key over those that were merged before it, and the other way round.
            for entry in added {
                match entries.iter_mut().find(|present| present.key == entry.key) {
                    Some(present) => *present = entry,
                    None => entries.push(entry),
                }
            }
        }
    }

    fn count(&mut self, nodes: usize, spot: &Spot) -> Result<()> {
        self.left = self.left.checked_sub(nodes).ok_or_else(|| {
            spot.mistake(format!("the file has more than {MOST_NODES} values once its aliases are resolved"))
        })?;
        Ok(())
    }

    fn spot(&self, marker: Marker) -> Spot {
        let (line, column) = (number(marker.line()), number(marker.col() + 1));
        Spot { source: Arc::clone(self.source), line: line.max(1), column }
    }

    fn unreadable(&self, error: &ScanError) -> Error {
        let spot = self.spot(*error.marker());
        let mistake = spot.mistake(format!("this is not YAML: {}", error.info()));
        if spot.text_of_line().is_some_and(|line| line.contains("${")) {
            return mistake
                .hint("inside of `{…}` and `[…]`, `${NAME}` must stand in quotes: `{host: \"${HOST}\"}`");
        }
        mistake
    }
}

fn size(node: &Node) -> usize {
    1 + node.items().iter().map(size).sum::<usize>()
        + node.entries().iter().map(|entry| size(&entry.value)).sum::<usize>()
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
            let mut merged = Vec::new();
            for item in items {
                let Content::Map(entries) = item.content else { return Err(wrong(&item.spot)) };
                let is_new = |entry: &Entry| merged.iter().all(|one: &Entry| one.key != entry.key);
                let new: Vec<Entry> = entries.into_iter().filter(is_new).collect();
                merged.extend(new);
            }
            Ok(merged)
        }
        Content::Scalar(_) => Err(wrong(&value.spot)),
    }
}

/// A key as JSON has it: kubectl turns numbers and booleans into their text.
fn key_text(key: &Node) -> Result<String> {
    match key.scalar() {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value) if !value.is_null() => Ok(value.to_string()),
        Some(_) => Err(key.spot.mistake("a key cannot be null")),
        None => Err(key
            .spot
            .mistake("a key must be a word")
            .hint("if this is a template, render it first: `.kube` holds plain YAML with `${NAME}`")),
    }
}

fn duplicate(name: &str, spot: &Spot, first: &Spot) -> Error {
    spot.mistake(format!("the key `{name}` stands here twice"))
        .hint(format!("it was given first in line {}; kubectl would silently take one of them", first.line))
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
        assert_eq!(
            message(&format!("{maps}data:\n  <<: *x\n  <<: *z\n")),
            "a.yaml:5:3: the key `<<` stands here twice"
        );
    }

    #[test]
    fn keys_become_text_as_in_kubectl() {
        assert_eq!(json_of("8080: a\nyes: b\n0644: c\n"), [json!({"8080": "a", "true": "b", "420": "c"})]);
        assert_eq!(message("~: a\n"), "a.yaml:1:1: a key cannot be null");
    }

    #[test]
    fn duplicate_keys_are_mistakes() {
        assert_eq!(message("a: 1\nb: {c: 1,\n    c: 2}\n"), "a.yaml:3:5: the key `c` stands here twice");
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
            message("a: {{ .Values.x }}\n").contains("a key must be a word"),
            "{}",
            message("a: {{ .Values.x }}\n")
        );
    }

    #[test]
    fn a_reference_in_braces_needs_quotes() {
        let error = read("a: {host: ${HOST}}\n").expect_err("it is a mistake");
        assert!(error.advice().is_some_and(|hint| hint.contains("must stand in quotes")));
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
        assert!(message(&text).contains("more than 1000000 values"));
        assert!(read("a: &a [*a]\n").is_err());
    }

    #[test]
    fn json_is_read_too() {
        assert_eq!(
            json_of("{\n\t\"a\": \"\\u00fc\\/\",\n\t\"b\": [\n\t\t1.0,\n\t\tnull]\n}\n"),
            [json!({"a": "ü/", "b": [1, null]})]
        );
    }
}
