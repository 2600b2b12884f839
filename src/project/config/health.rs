//! `health:` of `windlass.yaml`: how objects of a kind say that they are well, for controllers that keep to no
//! convention. A rule names fields by JSON pointers and the values that they have.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Kind, Place, Result};
use crate::project::config::table::{Keys, Table, entries, list, text};
use crate::project::config::yaml::{Key, Node, Value};
use crate::text::pointer;

/// The rules by kind: `Database.example.com`.
pub type HealthRules = BTreeMap<String, HealthRule>;

/// How objects of one kind say how they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthRule {
    /// It is ready when all of these hold.
    pub ready: Vec<Expectation>,
    /// It has failed when one of these holds.
    pub failed: Vec<Expectation>,
    /// Where it says why, as a pointer.
    pub message: Option<String>,
}

/// A field and the values that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// A JSON pointer (RFC 6901). In a list of objects, a word stands for the one whose `type` or `name` it is:
    /// `/status/conditions/Ready/status`.
    pub pointer: String,
    /// One of these, as they are written: `Ready`, `true`, `3`.
    pub values: Vec<String>,
}

impl Expectation {
    /// Whether the object has one of the values there.
    pub fn holds(&self, object: &Json) -> bool {
        word_at(object, &self.pointer).is_some_and(|word| self.values.contains(&word))
    }
}

/// The single value at a pointer, as it is written; `None` for a map, a list, null and nothing.
pub fn word_at(object: &Json, pointer: &str) -> Option<String> {
    match at(object, pointer)? {
        Json::String(text) => Some(text.clone()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn at<'a>(object: &'a Json, pointer: &str) -> Option<&'a Json> {
    if !pointer.starts_with('/') {
        return None;
    }
    pointer::steps(pointer).try_fold(object, |value, step| match value {
        Json::Array(items) => match step.parse::<usize>() {
            Ok(index) => items.get(index),
            Err(_) => items.iter().find(|item| item["type"] == *step || item["name"] == *step),
        },
        _ => value.get(&*step),
    })
}

const RULE: Keys = Keys { known: &["ready", "failed", "message"], unbuilt: &[] };

/// Reads one entry of `health`; `path` is that of the map.
pub(super) fn rule(path: &str, key: &Key, node: Node) -> Result<HealthRule> {
    let path = format!("{path}.{}", key.text);
    if !is_kind(&key.text) {
        return Err(Error::new(Kind::Invalid, format!("`{}` is no kind with its group", key.text))
            .at(key.place.clone())
            .with_hint("write `Kind.group`, such as `Certificate.cert-manager.io`"));
    }
    let mut table = Table::open(&path, node, &RULE)?;
    let ready = expectations(&table.path("ready"), table.require("ready")?)?;
    if ready.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("`{path}.ready` names no field"))
            .at(table.place().clone())
            .with_hint("such as `ready: {/status/phase: Running}`"));
    }
    let failed = table.take("failed").map(|node| expectations(&table.path("failed"), node));
    let message = match table.take("message") {
        Some(node) => Some(pointer(&text(&table.path("message"), &node)?, &node.place)?),
        None => None,
    };
    Ok(HealthRule { ready, failed: failed.transpose()?.unwrap_or_default(), message })
}

/// `Database.example.com`
fn is_kind(text: &str) -> bool {
    text.split_once('.').is_some_and(|(kind, group)| {
        kind.starts_with(|letter: char| letter.is_ascii_uppercase())
            && kind.chars().all(|letter| letter.is_ascii_alphanumeric())
            && !group.is_empty()
            && !group.contains('/')
    })
}

/// `{/status/phase: [Ready, Running], /status/synced: true}`
fn expectations(path: &str, node: Node) -> Result<Vec<Expectation>> {
    let read = |(key, node): (Key, Node)| {
        let path = format!("{path}.{}", key.text);
        let values = match &node.value {
            Value::List(_) => list(&path, node)?,
            _ => vec![text(&path, &node)?],
        };
        Ok(Expectation { pointer: pointer(&key.text, &key.place)?, values })
    };
    entries(path, node)?.into_iter().map(read).collect()
}

fn pointer(text: &str, place: &Place) -> Result<String> {
    if text.starts_with('/') && text.len() > 1 {
        return Ok(text.to_owned());
    }
    Err(Error::new(Kind::Invalid, format!("`{text}` is no JSON pointer"))
        .at(place.clone())
        .with_hint("it begins with a slash: `/status/phase`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_finds_fields_items_and_conditions() {
        let object = json!({"status": {"phase": "Up", "synced": true, "nodes": [{"name": "a", "ready": 3}],
            "conditions": [{"type": "Ready", "status": "False"}], "a/b": 1, "none": null}});
        let found = |pointer: &str| word_at(&object, pointer);
        assert_eq!(found("/status/phase").as_deref(), Some("Up"));
        assert_eq!(found("/status/synced").as_deref(), Some("true"));
        assert_eq!(found("/status/nodes/0/ready").as_deref(), Some("3"));
        assert_eq!(found("/status/nodes/a/ready").as_deref(), Some("3"));
        assert_eq!(found("/status/conditions/Ready/status").as_deref(), Some("False"));
        assert_eq!(found("/status/a~1b").as_deref(), Some("1"));
        for nothing in ["/status/none", "/status/nodes", "/status/nodes/7/ready", "/spec", "status"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }
}
