//! Objects written as YAML that kubectl, or any other reader, reads back as the same objects.
//!
//! A string is written without quotes only if it begins with a letter or a slash, has none of the characters that
//! mean something in YAML, and is no word of YAML 1.1 such as `yes` or `1e3`.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::manifest::yaml::scalar;
use crate::text::display;

/// How many bytes of a key a reader looks through for its colon: YAML says 1024 characters.
const LONGEST_KEY: usize = 1000;

/// The objects as documents, each after a `---`.
pub fn to_yaml(objects: &[Value]) -> String {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        block(&mut text, object, 0);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// The object with the values of a Secret hidden, such that a server still accepts it.
#[must_use]
pub fn hide_secrets(mut object: Value) -> Value {
    if object["apiVersion"] == "v1" && object["kind"] == "Secret" {
        for section in ["data", "stringData"] {
            let values = object.get_mut(section).and_then(Value::as_object_mut);
            for (key, value) in values.into_iter().flatten() {
                // Of pull secrets the server reads what is in them.
                let plain = if key.starts_with(".dockerc") { r#"{"masked":{}}"# } else { "[MASKED]" };
                *value = if section == "data" { STANDARD.encode(plain) } else { plain.to_owned() }.into();
            }
        }
    }
    object
}

/// A value as the rest of the line, or as lines of their own, indented by this many spaces.
fn block(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                // The first key of an item stands behind its dash.
                if index > 0 || text.is_empty() || text.ends_with('\n') {
                    pad(text, indent);
                }
                self::key(text, key, indent);
                entry(text, value, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || text.ends_with('\n') {
                    pad(text, indent);
                }
                text.push_str("- ");
                block(text, item, indent + 2);
                end_line(text);
            }
        }
        Value::String(string) => self::string(text, string, indent),
        scalar => write!(text, "{scalar}").expect("writing to a string cannot fail"),
    }
}

/// A key with its colon. One that YAML takes for too long to stand before a colon gets a line of its own.
fn key(text: &mut String, key: &str, indent: usize) {
    let start = text.len();
    quote(text, key);
    if text.len() - start > LONGEST_KEY {
        text.insert_str(start, "? ");
        text.push('\n');
        pad(text, indent);
    }
    text.push(':');
}

/// What stands behind a key.
fn entry(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            block(text, value, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(text, value, indent);
        }
        _ => {
            text.push(' ');
            block(text, value, indent + 2);
        }
    }
    end_line(text);
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn end_line(text: &mut String) {
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

/// A string of several lines as they are, any other on one line. `indent` is that of the lines.
fn string(text: &mut String, string: &str, indent: usize) {
    if !is_literal(string) {
        return quote(text, string);
    }
    let body = string.trim_end_matches('\n');
    text.push_str(match string.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
        if !line.is_empty() {
            pad(text, indent);
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// Whether a string can stand as it is below a `|`, with its indentation plain to see.
fn is_literal(string: &str) -> bool {
    let body = string.trim_end_matches('\n');
    body.contains('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && !string.lines().any(|line| line.ends_with([' ', '\t']))
        && string.chars().all(|character| character == '\n' || character == '\t' || is_printable(character))
}

/// Not a character that a reader of YAML 1.1 breaks lines at, strips, or refuses, nor one that a terminal obeys.
fn is_printable(character: char) -> bool {
    !display::is_hidden(character)
}

/// A string on one line, also between braces, in quotes unless every reader takes it for a string without.
pub(crate) fn quoted(string: &str) -> String {
    // Between braces more characters mean something than on a line.
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/');
    let begins = string.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '.'));
    if begins && string.chars().all(is_word) && is_string(string) {
        return string.to_owned();
    }
    let mut text = String::new();
    in_quotes(&mut text, string);
    text
}

/// A string on one line, in quotes unless every reader takes it for a string without.
fn quote(text: &mut String, string: &str) {
    if is_plain(string) {
        text.push_str(string);
    } else {
        in_quotes(text, string);
    }
}

fn in_quotes(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            character if is_printable(character) => text.push(character),
            character => {
                write!(text, "\\U{:08X}", u32::from(character)).expect("writing to a string cannot fail");
            }
        }
    }
    text.push('"');
}

fn is_plain(string: &str) -> bool {
    let is_word = |letter: char| {
        letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/' | ':' | '@' | ' ')
    };
    is_string(string)
        && string.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && string.chars().all(is_word)
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && !string.contains("  ")
}

/// Whether it is none of the words and numbers that are something else than strings.
fn is_string(string: &str) -> bool {
    // Other readers know more spellings of these than kubectl.
    const WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan"];
    matches!(scalar::resolve(string), Some(Value::String(_)))
        && !WORDS.contains(&string.trim_start_matches('.').to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::node::Node;
    use crate::manifest::yaml::source::Source;

    fn read_back(text: &str) -> Vec<Value> {
        let source = Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false });
        compose::documents(&source).expect("it is YAML").iter().map(Node::to_json).collect()
    }

    #[test]
    fn a_key_that_is_too_long_to_stand_before_its_colon_is_read_back() {
        let (long, escaped) = ("k".repeat(1200), "\u{1}".repeat(300));
        let object = json!({"a": [{&long: {"b": 1}, "c": 2}], &escaped: "x", "d": {&long: ["y"]}});
        assert_eq!(read_back(&to_yaml(std::slice::from_ref(&object))), [object]);
    }

    #[test]
    fn texts_that_yaml_takes_for_something_else_are_quoted() {
        for plain in ["shop", ".", "a/b.c_d-e", "registry.test/shop"] {
            assert_eq!(quoted(plain), plain);
        }
        for text in [
            "",
            "no",
            "On",
            "1",
            "127.0.0.1:5000/x",
            "group/agents:staging",
            ".5",
            ".inf",
            "${A:-b}",
            "a, b",
            "-",
            "ä",
            "a\u{202e}b",
        ] {
            assert!(quoted(text).starts_with('"'), "{text}");
            let document = format!("a: {{b: {}}}", quoted(text));
            assert_eq!(read_back(&document), [json!({"a": {"b": text}})]);
        }
    }

    #[test]
    fn an_object_is_easy_to_read() {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a", "labels": {}, "annotations": {"a/b": "yes", "c": "0644", "d": "1e3"}},
            "data": {"script": "#!/bin/sh\n\necho hi\n", "kept": "a\n\n\n", "none": "a\nb", "url": "http://x/y?z"},
            "list": [{"a": 1, "b": ["x", [], {}]}, ["x", ["z"]], null, true, 1.5, "text\nof two\n", "a\nb\n\n"],
        });
        let wanted = r#"---
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  labels: {}
  annotations:
    a/b: "yes"
    c: "0644"
    d: "1e3"
data:
  script: |
    #!/bin/sh

    echo hi
  kept: "a\n\n\n"
  none: |-
    a
    b
  url: "http://x/y?z"
list:
- a: 1
  b:
  - x
  - []
  - {}
- - x
  - - z
- null
- true
- 1.5
- |
  text
  of two
- |+
  a
  b

"#;
        assert_eq!(to_yaml(std::slice::from_ref(&object)), wanted);
        assert_eq!(read_back(wanted), [object]);
    }

    #[test]
    fn values_of_secrets_are_hidden() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"p": "eA=="}, "type": "Opaque"});
        assert_eq!(hide_secrets(secret)["data"], json!({"p": "W01BU0tFRF0="}));
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"p": "x"}});
        assert_eq!(hide_secrets(map.clone()), map);
    }

    fn strings() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[-+0-9._xobeE:]{0,8}",
            "[ \t\na-b:#'\"|>&*!%@`{},?-]{0,12}",
            "(y|n|yes|No|ON|off|true|null|~|<<|=|---|\\.\\.\\.|0644|1_000|12e03|1:30|2001-12-14|\\.inf|\u{85}|\u{2028}|\u{feff}| |\n){1,3}",
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000i32..1000).prop_map(|number| Value::from(f64::from(number) + 0.5)),
            strings().prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((strings(), inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let object = json!({"v": value});
            let text = to_yaml(std::slice::from_ref(&object));
            prop_assert_eq!(read_back(&text), vec![object], "{}", text);
        }
    }
}
