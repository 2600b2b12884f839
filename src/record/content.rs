//! Whether two versions of an object have the same content, and which release last changed it.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::{ObjectId, labels};
use crate::record::Summary;
use crate::text::hex;

/// Annotations that say which release last changed an object: they change without the content changing.
pub(crate) const STAMPS: [&str; 2] = [labels::REVISION, labels::COMMIT];

/// A hash of the object's content, independent of the order of keys and of the release that stamped it. An image with a
/// digest is the same image under every tag.
pub(crate) fn content(object: &Value) -> String {
    let mut object = object.clone();
    unstamp(&mut object);
    untag(&mut object);
    hash(&object)
}

/// `registry/web:v1@sha256:…` becomes `registry/web@sha256:…`, wherever an image is named.
fn untag(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(image) if key == "image" => {
                        if let Some(plain) = without_tag(image) {
                            *image = plain;
                        }
                    }
                    other => untag(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(untag),
        _ => {}
    }
}

fn without_tag(image: &str) -> Option<String> {
    let (name, digest) = image.split_once("@sha256:")?;
    let (repository, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then(|| format!("{repository}@sha256:{digest}"))
}

/// Removes the annotations of a release from an object.
pub(crate) fn unstamp(object: &mut Value) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        for stamp in STAMPS {
            annotations.shift_remove(stamp);
        }
    }
}

/// Sets the annotations of a release on an object.
pub(crate) fn stamp(object: &mut Value, revision: u64, commit: Option<&str>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(STAMPS[0].to_owned(), Value::from(revision.to_string()));
        if let Some(commit) = commit {
            annotations.insert(STAMPS[1].to_owned(), Value::from(commit));
        }
    }
}

/// A hash of all objects together: releases with the same hash run the same content. It is keyed with the tier's own
/// key, so that someone who may read the history cannot guess the values of a Secret. If the history has this content
/// under the unkeyed hash of earlier versions, that hash is kept.
pub(crate) fn set<'a>(
    objects: impl IntoIterator<Item = &'a Value>,
    key: &[u8],
    history: &[Summary],
) -> String {
    let mut lines: Vec<String> = objects.into_iter().map(line).collect();
    lines.sort();
    let all = lines.join("\n");
    let unkeyed = &hex::sha256(&all)[..16];
    if history.iter().any(|summary| summary.set == unkeyed) {
        return unkeyed.to_owned();
    }
    keyed(&all, key)[..16].to_owned()
}

/// Part of the hashes in existing records: the format must not change, even if the type and its fields are renamed.
fn line(object: &Value) -> String {
    let ObjectId { group, kind, namespace, name } = ObjectId::of(object);
    let content = content(object);
    format!(
        "ObjectId {{ group: {group:?}, kind: {kind:?}, namespace: {namespace:?}, name: {name:?} }} {content}"
    )
}

/// A hash of a text that cannot be guessed without the key.
pub(crate) fn keyed(text: &str, key: &[u8]) -> String {
    let mut hasher = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    hasher.update(text.as_bytes());
    hex::encode(hasher.finalize().into_bytes())
}

/// A hash of a value that does not depend on the order of keys.
pub(crate) fn hash(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    hex::encode(hasher.finalize())[..32].to_owned()
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            hasher.update(b"{");
            for key in keys {
                hasher.update(Value::from(key.as_str()).to_string());
                hasher.update(b":");
                feed(hasher, &map[key]);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        scalar => hasher.update(scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::target::tests::summary;

    #[test]
    fn content_does_not_depend_on_key_order_or_stamps() {
        let one = json!({"kind": "A", "metadata": {"name": "x", "annotations": {"a": "b"}}});
        let mut two = json!({"metadata": {"annotations": {"a": "b"}, "name": "x"}, "kind": "A"});
        stamp(&mut two, 7, Some("abc"));
        assert_eq!(content(&one), content(&two));
        assert_ne!(content(&one), content(&json!({"kind": "A", "metadata": {"name": "y"}})));
    }

    #[test]
    fn the_hash_of_a_set_cannot_be_tried_without_the_key() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "db"}, "data": {"pin": "MTIzNA=="}});
        let unkeyed = hex::sha256(line(&secret))[..16].to_owned();
        let (one, other) = (set([&secret], b"one", &[]), set([&secret], b"other", &[]));
        assert!(one != other && one != unkeyed && one.len() == 16, "{one} {other}");
        assert_eq!(set([&secret], b"one", &[]), one);
        // The hash that an earlier version recorded for the same content is still valid.
        let old = Summary { set: unkeyed.clone(), ..summary(1) };
        assert_eq!(set([&secret], b"one", &[old]), unkeyed);
    }

    /// Existing records contain these.
    #[test]
    fn hashes_stay_what_they_are() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": "we\"b"}});
        assert_eq!(content(&object), "9f426b79e63fae26e7c65e020a12dfff");
        assert_eq!(set([&object], b"key", &[]), "0ae5e8c4b6331226");
    }

    #[test]
    fn an_image_is_its_digest_under_every_tag() {
        let pod = |image: &str| json!({"spec": {"containers": [{"name": "a", "image": image}]}});
        let one = content(&pod("r.test:5000/web:v1@sha256:aa"));
        assert_eq!(one, content(&pod("r.test:5000/web:v2@sha256:aa")));
        assert_eq!(one, content(&pod("r.test:5000/web@sha256:aa")));
        assert_ne!(one, content(&pod("r.test:5000/web:v1@sha256:bb")));
        assert_ne!(content(&pod("web:v1")), content(&pod("web:v2")));
    }

    #[test]
    fn values_that_print_alike_differ() {
        assert_ne!(hash(&json!({"a": "1"})), hash(&json!({"a": 1})));
        assert_ne!(hash(&json!(["a", "b"])), hash(&json!(["a,", "b"])));
    }
}
