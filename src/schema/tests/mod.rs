//! The schemas on whole objects: the mistakes of every day, what the server accepts, and every rule.

mod accepted;
mod case;
mod corpus;
mod everyday;
mod rules;

use serde_json::Value;

use super::{Finding, Schemas, Severity};

/// The documents of a YAML text; lists are taken apart.
fn objects(text: &str) -> Vec<Value> {
    let objects = objects_if_yaml(text);
    assert!(!objects.is_empty(), "no objects in {text}");
    objects
}

fn objects_if_yaml(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_default();
    let items = |document: Value| match document.get("items") {
        Some(Value::Array(items))
            if document.get("metadata").is_none_or(|metadata| metadata.get("name").is_none()) =>
        {
            items.clone()
        }
        _ => vec![document],
    };
    documents.into_iter().filter(Value::is_object).flat_map(items).collect()
}

fn object(text: &str) -> Value {
    objects(text).into_iter().next().expect("an object")
}

/// What is said of an object: `pointer: message | hint`, warnings with a `?` before them.
fn said(text: &str) -> Vec<String> {
    said_in("1.37", text)
}

fn said_in(version: &str, text: &str) -> Vec<String> {
    Schemas::of(version).expect("a version").check(&object(text)).iter().map(line).collect()
}

fn line(finding: &Finding) -> String {
    let mark = if finding.severity == Severity::Warning { "?" } else { "" };
    let hint = finding.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
    format!("{mark}{}: {}{hint}", finding.pointer, finding.message)
}
