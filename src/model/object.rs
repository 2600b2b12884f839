//! The identity of objects, and access to their fields. Nothing here fails if a field is missing or has an unexpected type.

pub(crate) mod job;
mod unserved;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use unserved::Unserved;

use crate::text::pointer::value_at;

/// The identity of an object: what stays the same when its content changes. The version of its API is not
/// part of it, only the group: `apps/v1` and `apps/v1beta1` name the same Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectId {
    /// `apps`; empty for the core group.
    pub group: String,
    /// `Deployment`.
    pub kind: String,
    /// Its namespace; empty for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectId {
    /// The identity of this object.
    pub fn of(object: &Value) -> Self {
        let text = |pointer: &str| value_at(object, pointer).and_then(Value::as_str).unwrap_or_default();
        Self {
            group: group(text("/apiVersion")).to_owned(),
            kind: text("/kind").to_owned(),
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Which object is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its namespace; `None` means the tier's, or none for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// An object of the tier's namespace, or a cluster-scoped one.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    /// The same object in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The reference to an object from its own fields; empty strings where it lacks them.
    pub fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: object["metadata"]["namespace"].as_str().map(ToOwned::to_owned),
            name: text(&object["metadata"]["name"]),
        }
    }

    /// `Deployment/web`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// The group of an `apiVersion`; empty for the core group.
pub fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The text at a JSON pointer; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value_at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// No number in Kubernetes is greater, so any two of them can be added.
const GREATEST: i64 = 1 << 53;

/// The whole number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    let number = value_at(value, pointer).and_then(Value::as_i64)?;
    Some(number.clamp(-GREATEST, GREATEST))
}

/// The count at a JSON pointer: Kubernetes leaves out a count of 0.
pub(crate) fn count(value: &Value, pointer: &str) -> i64 {
    number(value, pointer).unwrap_or(0)
}

/// Whether a JSON pointer leads to `true`.
pub(crate) fn is_true(value: &Value, pointer: &str) -> bool {
    value_at(value, pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a JSON pointer; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value_at(value, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The time at a JSON pointer.
pub(crate) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).parse().ok()
}

/// Whether there is something at a JSON pointer that is neither null nor empty.
pub(crate) fn has(value: &Value, pointer: &str) -> bool {
    match value_at(value, pointer) {
        None | Some(Value::Null) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// `Deployment`.
pub(crate) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

/// `apps/v1`.
pub(crate) fn api_version(object: &Value) -> &str {
    text(object, "/apiVersion")
}

/// The object's name; empty when it has none.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The object's namespace; empty when it has none.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// The object's uid; empty when it has none.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// When the object was created.
pub(crate) fn created(object: &Value) -> Option<Timestamp> {
    time(object, "/metadata/creationTimestamp")
}

/// A label of the object.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    value_at(object, "/metadata/labels")?.get(key)?.as_str()
}

/// An annotation of the object.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    value_at(object, "/metadata/annotations")?.get(key)?.as_str()
}

/// Whether somebody deletes the object.
pub(crate) fn is_being_deleted(object: &Value) -> bool {
    has(object, "/metadata/deletionTimestamp")
}

/// Where a pod tells of its ordinary containers.
pub(crate) const STATUSES: &str = "/status/containerStatuses";
/// Where it tells of those that run before, and beside, them.
pub(crate) const INIT_STATUSES: &str = "/status/initContainerStatuses";
/// Where it tells of those that a person put into it.
pub(crate) const EPHEMERAL_STATUSES: &str = "/status/ephemeralContainerStatuses";

/// What a pod tells of its containers in these lists, in their order.
pub(crate) fn container_statuses<'a>(
    pod: &'a Value,
    lists: &[&'static str],
) -> impl Iterator<Item = &'a Value> + use<'a> {
    let all: Vec<&[Value]> = lists.iter().map(|pointer| list(pod, pointer)).collect();
    all.into_iter().flatten()
}

/// `Deployment/web`.
pub(crate) fn title(object: &Value) -> String {
    format!("{}/{}", kind(object), name(object))
}

/// Whether two texts are the same as far as both are known.
pub(crate) fn same_if_known(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}

/// A text on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_api_version_is_not_identity() {
        let old = json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "web"}});
        let new = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        assert_eq!(ObjectId::of(&old), ObjectId::of(&new));
        assert_eq!(ObjectId::of(&new).to_string(), "Deployment/web");
    }

    #[test]
    fn containers_are_told_of_in_the_order_that_is_asked_for() {
        let pod = json!({"status": {"containerStatuses": [{"name": "web"}], "initContainerStatuses": [{"name": "a"}, {"name": "b"}],
            "ephemeralContainerStatuses": 7}});
        let names = |lists: &[&'static str]| -> Vec<&str> {
            container_statuses(&pod, lists).map(|status| text(status, "/name")).collect()
        };
        assert_eq!(names(&[INIT_STATUSES, STATUSES, EPHEMERAL_STATUSES]), ["a", "b", "web"]);
        assert_eq!(names(&[STATUSES]), ["web"]);
    }

    #[test]
    fn odd_types_read_as_nothing() {
        let odd = json!({"metadata": "x", "status": {"replicas": "3", "conditions": {"a": 1}}, "kind": 7});
        assert_eq!((name(&odd), kind(&odd), created(&odd)), ("", "", None));
        assert_eq!(number(&odd, "/status/replicas"), None);
        assert!(list(&odd, "/status/conditions").is_empty());
        assert_eq!(annotation(&odd, "a"), None);
    }
}
