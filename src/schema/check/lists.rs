//! Duplicate items in a list whose items must differ: server-side apply refuses such a list.

use std::collections::HashMap;

use serde_json::Value;

use crate::schema::finding::{Finding, step};
use crate::schema::table::{Field, ListKeys, Shape};
use crate::schema::version::Schemas;

/// Finds the second of two items with the same keys.
pub(super) fn check(
    schemas: &Schemas,
    field: &Field,
    value: &Value,
    pointer: &str,
    found: &mut Vec<Finding>,
) {
    let Value::Array(items) = value else { return };
    let mut seen: HashMap<Vec<String>, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(finding) = no_key(schemas, field, item, pointer, index) {
            found.push(finding);
            continue;
        }
        let Some(key) = key_of(field, item) else { continue };
        if let Some(first) = seen.insert(key.clone(), index) {
            found.push(duplicate(field, &key, &step(pointer, index), first));
        }
    }
}

/// An item that cannot be told from the others: null, or without any of the keys that have no default.
fn no_key(schemas: &Schemas, field: &Field, item: &Value, pointer: &str, index: usize) -> Option<Finding> {
    let keys: Vec<&str> = match keys_of(field) {
        ListKeys::Set => Vec::new(),
        ListKeys::Map(keys) => keys,
        ListKeys::Atomic => return None,
    };
    let at = step(pointer, index);
    if item.is_null() {
        return Some(Finding::error(at, format!("an item of `{}` cannot be null", field.name)).of_schema());
    }
    let map = item.as_object().filter(|_| !keys.is_empty())?;
    let has_none = keys.iter().all(|key| !has_default(schemas, field, key) && !map.contains_key(*key));
    has_none.then(|| Finding::error(at, format!("`{}` is missing", keys.join("` or `"))).at_key().of_schema())
}

/// Keys that are there even where they are left out: those that are required are empty then, since 1.31 the names of references,
/// too.
fn has_default(schemas: &Schemas, field: &Field, key: &str) -> bool {
    let Shape::List(item) = &field.shape else { return false };
    let Shape::Type(name) = &**item else { return false };
    let is_required = schemas.field_of(name, key).is_some_and(|field| field.required);
    key == "protocol" || is_required || (*name == "core.v1.LocalObjectReference" && schemas.minor() >= 31)
}

/// Before 1.30 some lists say only how they are merged; server-side apply goes by that.
fn keys_of(field: &Field) -> ListKeys {
    match &field.keys {
        ListKeys::Atomic if field.patch_strategy.starts_with("merge") => match field.merge_key {
            "" => ListKeys::Set,
            key => ListKeys::Map(vec![key]),
        },
        other => other.clone(),
    }
}

/// What tells an item from the others; `None` where nothing does, or where it lacks a key.
fn key_of(field: &Field, item: &Value) -> Option<Vec<String>> {
    match keys_of(field) {
        ListKeys::Set => Some(vec![text(item)?]),
        ListKeys::Map(keys) => keys.iter().map(|key| key_value(item, key)).collect(),
        ListKeys::Atomic => None,
    }
}

fn key_value(item: &Value, key: &str) -> Option<String> {
    match item.get(key) {
        None if key == "protocol" => Some("TCP".to_owned()),
        None => None,
        // Null is a value as any other.
        Some(value) => text(value),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) | Value::Null => Some(value.to_string()),
        _ => None,
    }
}

fn duplicate(field: &Field, key: &[String], pointer: &str, first: usize) -> Finding {
    let names = match keys_of(field) {
        ListKeys::Map(keys) => keys,
        ListKeys::Atomic | ListKeys::Set => Vec::new(),
    };
    let what = match &names[..] {
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
