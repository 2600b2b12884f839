//! Items that stand twice in a list whose items must differ: server-side apply refuses such a list.

use std::collections::HashMap;

use serde_json::Value;

use crate::schema::finding::{Finding, step};
use crate::schema::table::{Field, ListKeys};

/// Finds the second of two items with the same keys.
pub(super) fn check(field: &Field, value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let Value::Array(items) = value else { return };
    let mut seen: HashMap<Vec<String>, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let Some(key) = key_of(field, item) else { continue };
        if let Some(first) = seen.insert(key.clone(), index) {
            found.push(duplicate(field, &key, &step(pointer, index), first));
        }
    }
}

/// What tells an item from the others; `None` where nothing does, or where it lacks a key.
fn key_of(field: &Field, item: &Value) -> Option<Vec<String>> {
    match &field.keys {
        ListKeys::Set => Some(vec![text(item)?]),
        ListKeys::Map(keys) => keys.iter().map(|key| key_value(item, key)).collect(),
        // Before 1.30 some lists had a merge key only; server-side apply takes that.
        ListKeys::Atomic if field.patch_strategy.starts_with("merge") && !field.merge_key.is_empty() => {
            Some(vec![key_value(item, field.merge_key)?])
        }
        ListKeys::Atomic => None,
    }
}

fn key_value(item: &Value, key: &str) -> Option<String> {
    match item.get(key) {
        None | Some(Value::Null) if key == "protocol" => Some("TCP".to_owned()),
        None | Some(Value::Null) => None,
        Some(value) => text(value),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn duplicate(field: &Field, key: &[String], pointer: &str, first: usize) -> Finding {
    let names: &[&str] = match &field.keys {
        ListKeys::Map(keys) => keys,
        ListKeys::Atomic => &[field.merge_key],
        ListKeys::Set => &[],
    };
    let what = match names {
        [] => key.join(", "),
        names => {
            let pairs: Vec<String> =
                names.iter().zip(key).map(|(name, value)| format!("{name}: {value}")).collect();
            pairs.join(", ")
        }
    };
    let message = format!("duplicate item in `{}`: `{what}`", field.name);
    Finding::error(pointer, message).of_schema().with_hint(format!("the first is item {}", first + 1))
}
