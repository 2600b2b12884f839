//! A whole Secret from one source: YAML or JSON (a flat map, or a Secret as Kubernetes writes it), or dotenv.
//!
//! Errors never quote the content.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::project;

/// The values by their keys, and the type where the source says it.
#[derive(Default)]
pub(super) struct Document {
    pub(super) kind: Option<String>,
    pub(super) data: BTreeMap<String, Vec<u8>>,
}

/// Reads a whole Secret.
///
/// # Errors
/// One sentence that has nothing of the content but keys.
pub(super) fn read(bytes: &[u8]) -> Result<Document, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
    let data = if is_dotenv(text) { dotenv(text)? } else { return tree(text) };
    Ok(Document { kind: None, data })
}

fn tree(text: &str) -> Result<Document, String> {
    let neither = || "is neither a map in YAML or JSON nor lines of NAME=value".to_owned();
    let Ok(Value::Object(map)) = project::strings(text) else { return Err(neither()) };
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    if text("kind") != Some("Secret") || text("apiVersion") != Some("v1") {
        return Ok(Document { kind: None, data: flat(&map)? });
    }
    let mut data = BTreeMap::new();
    if let Some(Value::Object(encoded)) = map.get("data") {
        for (key, value) in flat(encoded)? {
            let plain =
                STANDARD.decode(value).map_err(|_| format!("has `{key}` under `data` that is not base64"))?;
            data.insert(key, plain);
        }
    }
    if let Some(Value::Object(plain)) = map.get("stringData") {
        data.extend(flat(plain)?);
    }
    Ok(Document { kind: text("type").map(str::to_owned), data })
}

fn flat(map: &serde_json::Map<String, Value>) -> Result<BTreeMap<String, Vec<u8>>, String> {
    map.iter()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key.clone(), text.clone().into_bytes())),
            Value::Null => Err(format!("has no value for `{key}`")),
            _ => Err(format!("has more than one value under `{key}`: a Secret maps keys to strings")),
        })
        .collect()
}

/// Whether the first line that says something is `NAME=…`.
fn is_dotenv(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| assignment(line).is_some())
}

/// The name and what stands behind the `=`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, value) = line.split_once('=')?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!name.is_empty() && name.bytes().all(fits)).then_some((name, value))
}

fn dotenv(text: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut data = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || format!("has no NAME=value in line {}", index + 1);
        let (name, value) = assignment(line).ok_or_else(wrong)?;
        let mut value = value.to_owned();
        // A quoted value goes on until its quote.
        while let Some(quote) = open_quote(&value) {
            let Some((_, more)) = lines.next() else {
                return Err(format!("has a {quote} in line {} that does not end", index + 1));
            };
            value = format!("{value}\n{more}");
        }
        if data.insert(name.to_owned(), unquoted(&value).into_bytes()).is_some() {
            return Err(format!("has `{name}` twice"));
        }
    }
    Ok(data)
}

/// The quote that a value begins with and that does not end.
fn open_quote(value: &str) -> Option<char> {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    end_of(&value[1..], quote).is_none().then_some(quote)
}

/// Where a quoted text ends.
fn end_of(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(index, character)| {
        let ends = character == quote && !escaped;
        escaped = quote == '"' && character == '\\' && !escaped;
        ends.then_some(index)
    })
}

fn unquoted(value: &str) -> String {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let end = quote.and_then(|quote| end_of(&value[1..], quote));
    match (quote, end) {
        (Some('\''), Some(end)) => value[1..=end].to_owned(),
        (Some(_), Some(end)) => unescaped(&value[1..=end]),
        // Without quotes a comment begins after a space.
        _ => value.split_once(" #").map_or(value, |(value, _)| value).trim().to_owned(),
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('r')) => plain.push('\r'),
            ('\\', Some('t')) => plain.push('\t'),
            ('\\', Some(other @ ('"' | '\\' | '$' | '`'))) => plain.push(other),
            ('\\', Some(other)) => plain.extend(['\\', other]),
            (other, _) => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Vec<(String, String)> {
        let document = read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        document.data.into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap())).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn yaml_and_json_keep_their_letters() {
        assert_eq!(data("port: 0644\nyes: no\n"), [pair("port", "0644"), pair("yes", "no")]);
        assert_eq!(data(r#"{"port": 5432, "on": true}"#), [pair("on", "true"), pair("port", "5432")]);
        assert_eq!(data("key: |\n  one\n  two\n"), [pair("key", "one\ntwo\n")]);
    }

    #[test]
    fn a_secret_of_kubernetes_is_one_too() {
        let text = "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: x}\n\
                    data: {a: eA==}\nstringData: {b: y}\n";
        assert_eq!(data(text), [pair("a", "x"), pair("b", "y")]);
        assert_eq!(read(text.as_bytes()).unwrap_or_default().kind.as_deref(), Some("kubernetes.io/tls"));
    }

    #[test]
    fn dotenv_is_read_as_shells_do() {
        let text = "# comment\nexport A=one # two\nB=\"x\\n\\\"y\\\" $Z\"\n\nC='it # is'\nD=\nE=\"a\nb\"\nURL=postgres://u:p@db/x\n";
        assert_eq!(
            data(text),
            [
                pair("A", "one"),
                pair("B", "x\n\"y\" $Z"),
                pair("C", "it # is"),
                pair("D", ""),
                pair("E", "a\nb"),
                pair("URL", "postgres://u:p@db/x"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_content() {
        for text in
            ["hunter2", "a: {b: hunter2}", "- hunter2", "A=1\nhunter2", "A=\"hunter2", "a: [hunter2", "a:"]
        {
            let error = read(text.as_bytes()).err().unwrap_or_else(|| panic!("{text} is read"));
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
