//! Reading an object whose fields may be missing or of an odd type: nothing here fails, nothing panics.

use jiff::Timestamp;
use serde_json::Value;

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// No number of Kubernetes is greater, so that any two of them can be added.
const GREATEST: i64 = 1 << 53;

/// The whole number at a JSON pointer.
pub(super) fn number(value: &Value, pointer: &str) -> Option<i64> {
    let number = value.pointer(pointer).and_then(Value::as_i64)?;
    Some(number.clamp(-GREATEST, GREATEST))
}

/// The count at a JSON pointer: Kubernetes leaves out a count of 0.
pub(super) fn count(value: &Value, pointer: &str) -> i64 {
    number(value, pointer).unwrap_or(0)
}

/// Whether a JSON pointer leads to `true`.
pub(super) fn is_true(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a JSON pointer; empty when there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The time at a JSON pointer.
pub(super) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).parse().ok()
}

/// Whether there is something at a JSON pointer that is neither null nor empty.
pub(super) fn has(value: &Value, pointer: &str) -> bool {
    match value.pointer(pointer) {
        None | Some(Value::Null) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// `Deployment`.
pub(super) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

/// `apps/v1`.
pub(super) fn api_version(object: &Value) -> &str {
    text(object, "/apiVersion")
}

/// `apps` of `apps/v1`; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The object's name; empty when it has none.
pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The object's namespace; empty when it has none.
pub(super) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// The object's uid; empty when it has none.
pub(super) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// When the object was created.
pub(super) fn created(object: &Value) -> Option<Timestamp> {
    time(object, "/metadata/creationTimestamp")
}

/// A label of the object.
pub(super) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// An annotation of the object.
pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// Whether somebody deletes the object.
pub(super) fn is_being_deleted(object: &Value) -> bool {
    has(object, "/metadata/deletionTimestamp")
}

/// `Deployment/web`.
pub(super) fn title(object: &Value) -> String {
    format!("{}/{}", kind(object), name(object))
}

/// Whether two texts are the same as far as both are known.
pub(super) fn agree(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}

/// A text on one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn odd_types_read_as_nothing() {
        let odd = json!({"metadata": "x", "status": {"replicas": "3", "conditions": {"a": 1}}, "kind": 7});
        assert_eq!((name(&odd), kind(&odd), created(&odd)), ("", "", None));
        assert_eq!(number(&odd, "/status/replicas"), None);
        assert!(list(&odd, "/status/conditions").is_empty());
        assert_eq!(annotation(&odd, "a"), None);
    }
}
