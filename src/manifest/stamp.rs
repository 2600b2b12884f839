//! What every object gets from windlass: whose it is, its namespace, and secrets in the one form that the server
//! returns, so that they can be compared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::error::{Error, Kind};
use crate::model::{group, kinds, labels};

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Annotations that are for the reader of the files alone.
const FOR_THE_READER: [&str; 2] = [labels::OVERLAY, labels::SUBSTITUTE];

/// Whose objects these are.
pub(super) struct Owner<'a> {
    pub(super) project: &'a str,
    pub(super) tier: &'a str,
    pub(super) slug: &'a str,
    pub(super) namespace: &'a str,
}

/// Marks an object as the project's and the tier's, and puts it into the tier's namespace if it has none.
pub(super) fn stamp(object: &mut Value, owner: &Owner) {
    set_namespace(object, owner.namespace);
    let labels = section(object, "labels");
    labels.insert(labels::PROJECT.to_owned(), owner.project.into());
    labels.insert(labels::TIER.to_owned(), owner.slug.into());
    labels.entry(MANAGED_BY).or_insert_with(|| "windlass".into());
    let annotations = section(object, "annotations");
    annotations.retain(|key, _| !FOR_THE_READER.contains(&key.as_str()));
    annotations.insert(labels::TIER.to_owned(), owner.tier.into());
}

/// An object of a kind that is not built in stays without: whether it has a namespace, its cluster knows.
fn set_namespace(object: &mut Value, namespace: &str) {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (group, kind) = (group(text("apiVersion")), text("kind"));
    let wanted = kinds::is_built_in(group) && !kinds::is_cluster_scoped(group, kind);
    if wanted && object["metadata"]["namespace"].as_str().is_none_or(str::is_empty) {
        object["metadata"]["namespace"] = namespace.into();
    }
}

/// A map below `metadata`, made where it is missing.
fn section<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let section = &mut object["metadata"][name];
    if !section.is_object() {
        *section = Value::Object(Map::new());
    }
    section.as_object_mut().expect("it was just made one")
}

/// Turns a Secret's `stringData` into `data`, as the server would; or says which key has no string.
pub(super) fn encode(object: &mut Value) -> Result<(), (String, Error)> {
    if object["apiVersion"] != "v1" || object["kind"] != "Secret" {
        return Ok(());
    }
    let taken = object.as_object_mut().and_then(|object| object.shift_remove("stringData"));
    let Some(Value::Object(plain)) = taken else { return Ok(()) };
    if !object["data"].is_object() {
        object["data"] = Value::Object(Map::new());
    }
    for (key, value) in plain {
        let text = match &value {
            Value::String(text) => text.as_str(),
            Value::Null => "",
            _ => {
                let error = not_a_string(&key);
                return Err((key, error));
            }
        };
        object["data"][&key] = STANDARD.encode(text).into();
    }
    Ok(())
}

fn not_a_string(key: &str) -> Error {
    Error::new(Kind::Invalid, format!("`{key}` in `stringData` is not a string"))
        .with_hint("put the value in quotes, or YAML reads it as a number or a boolean")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stamped(mut object: Value) -> Value {
        stamp(
            &mut object,
            &Owner { project: "shop", tier: "review/x", slug: "review-x-1", namespace: "shop-x" },
        );
        object
    }

    #[test]
    fn an_object_says_whose_it_is() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": null,
            "annotations": {"windlass.dev/substitute": "on", "windlass.dev/phase": "before"}}});
        assert_eq!(
            stamped(object)["metadata"],
            json!({
                "name": "a",
                "namespace": "shop-x",
                "labels": {
                    "windlass.dev/project": "shop",
                    "windlass.dev/tier": "review-x-1",
                    "app.kubernetes.io/managed-by": "windlass",
                },
                "annotations": {"windlass.dev/phase": "before", "windlass.dev/tier": "review/x"},
            })
        );
    }

    #[test]
    fn what_the_manifest_says_itself_is_kept() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other",
            "labels": {"app.kubernetes.io/managed-by": "Helm"}}});
        let metadata = &stamped(object)["metadata"];
        assert_eq!(metadata["namespace"], "other");
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "Helm");
    }

    #[test]
    fn only_what_surely_has_a_namespace_gets_one() {
        let namespace = |api: &str, kind: &str| {
            stamped(json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a"}}))["metadata"]["namespace"].clone()
        };
        assert_eq!(namespace("apps/v1", "Deployment"), "shop-x");
        assert_eq!(namespace("rbac.authorization.k8s.io/v1", "Role"), "shop-x");
        for (api, kind) in [
            ("v1", "Namespace"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("storage.k8s.io/v1", "StorageClass"),
            ("cert-manager.io/v1", "Certificate"),
        ] {
            assert_eq!(namespace(api, kind), Value::Null, "{kind}");
        }
    }

    #[test]
    fn string_data_becomes_data_and_wins() {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA==", "b": "eQ=="},
            "stringData": {"b": "z", "c": null}});
        encode(&mut secret).expect("it can be encoded");
        assert_eq!(
            secret,
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA==", "b": "eg==", "c": ""}})
        );
        let mut wrong = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": 5}});
        assert!(encode(&mut wrong).is_err());
    }
}
