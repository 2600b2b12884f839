//! A change of configuration must roll the pods that read it: each pod template carries a hash of the `ConfigMaps` and
//! Secrets that it refers to.
//!
//! The hash is keyed with a secret of the tier, so that nobody who may read a Deployment can guess a password by
//! trying.

use crate::model::{labels, object};
use crate::text::hex;
use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::Manifests;

/// The kinds whose pods are replaced when their template changes. A Job runs once per content, a `CronJob`'s next run
/// reads what is then there.
const ROLLED: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];

/// What a pod template refers to: kind, namespace, name.
type Settings = (&'static str, String, String);

/// Puts the hash of their configuration on the pod templates of a set.
#[must_use]
pub fn with_config_hashes(mut manifests: Manifests, key: &[u8]) -> Manifests {
    let contents: BTreeMap<Settings, Value> =
        manifests.objects.iter().filter_map(|object| content(&object.json)).collect();
    for object in &mut manifests.objects {
        if let Some(hash) = hash(&object.json, &contents, key) {
            annotate(&mut object.json, hash);
        }
    }
    manifests
}

/// Computes the hashes of a set anew where it has them, with these objects as they are now in the place of its own.
pub fn rehash_configuration(objects: &mut [&mut Value], live: &[Value], key: &[u8]) {
    let mut contents: BTreeMap<Settings, Value> =
        objects.iter().filter_map(|object| content(object)).collect();
    contents.extend(live.iter().filter_map(content));
    for object in objects {
        let has_one = object["spec"]["template"]["metadata"]["annotations"][labels::CONFIG].is_string();
        if let Some(hash) = hash(object, &contents, key).filter(|_| has_one) {
            annotate(object, hash);
        }
    }
}

/// The content of a `ConfigMap` or Secret, by what refers to it.
fn content(object: &Value) -> Option<(Settings, Value)> {
    let kind = match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("v1", "ConfigMap") => "ConfigMap",
        ("v1", "Secret") => "Secret",
        _ => return None,
    };
    let name = object["metadata"]["name"].as_str()?.to_owned();
    Some((
        (kind, namespace(object), name),
        Value::from_iter([object["data"].clone(), object["binaryData"].clone()]),
    ))
}

fn namespace(object: &Value) -> String {
    object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned()
}

/// The hash of what a workload's pods refer to; `None` where they refer to nothing of the set.
fn hash(object: &Value, contents: &BTreeMap<Settings, Value>, key: &[u8]) -> Option<String> {
    let left_out = object::annotation(object, labels::RESTART_ON) == Some("none");
    if left_out || !ROLLED.contains(&object["kind"].as_str()?) {
        return None;
    }
    let namespace = namespace(object);
    let mut hasher = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    let mut found = false;
    for (kind, name) in referred(object.pointer("/spec/template/spec")?) {
        let settings = (kind, namespace.clone(), name);
        let Some(content) = contents.get(&settings) else { continue };
        found = true;
        // JSON text says where each part ends; sorted, it does not depend on how the file was written.
        let record = Value::from_iter([Value::from(kind), Value::from(settings.2.as_str()), sorted(content)]);
        hasher.update(record.to_string().as_bytes());
    }
    found.then(|| short(&hasher.finalize().into_bytes()))
}

/// Kind and name of the `ConfigMaps` and Secrets that a workload's pods read.
pub fn referred_settings(object: &Value) -> Vec<(&'static str, String)> {
    object.pointer("/spec/template/spec").map(referred).into_iter().flatten().collect()
}

/// The `ConfigMaps` and Secrets that pods read, in a fixed order.
fn referred(pod: &Value) -> BTreeSet<(&'static str, String)> {
    let mut names = BTreeSet::new();
    let mut note = |kind, name: &Value| {
        names.extend(name.as_str().map(|name| (kind, name.to_owned())));
    };
    let containers = ["initContainers", "containers"].into_iter().flat_map(|list| items(&pod[list]));
    for container in containers {
        for variable in items(&container["env"]) {
            note("ConfigMap", &variable["valueFrom"]["configMapKeyRef"]["name"]);
            note("Secret", &variable["valueFrom"]["secretKeyRef"]["name"]);
        }
        for source in items(&container["envFrom"]) {
            note("ConfigMap", &source["configMapRef"]["name"]);
            note("Secret", &source["secretRef"]["name"]);
        }
    }
    for volume in items(&pod["volumes"]) {
        note("ConfigMap", &volume["configMap"]["name"]);
        note("Secret", &volume["secret"]["secretName"]);
        for source in items(&volume["projected"]["sources"]) {
            note("ConfigMap", &source["configMap"]["name"]);
            note("Secret", &source["secret"]["name"]);
        }
    }
    names
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> =
                map.iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}

/// 32 hexadecimal digits: nobody collides by chance.
fn short(bytes: &[u8]) -> String {
    hex::encode(bytes.get(..16).unwrap_or(bytes))
}

fn annotate(object: &mut Value, hash: String) {
    let Some(template) = object.pointer_mut("/spec/template").and_then(Value::as_object_mut) else { return };
    let empty = || Value::Object(Map::new());
    let metadata = template.entry("metadata").and_modify(|found| {
        if found.is_null() {
            *found = empty();
        }
    });
    // What is no map the cluster refuses, in its own words.
    let Some(metadata) = metadata.or_insert_with(empty).as_object_mut() else { return };
    let annotations = metadata.entry("annotations").or_insert_with(empty);
    if !annotations.is_object() {
        *annotations = empty();
    }
    annotations[labels::CONFIG] = hash.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Place;
    use crate::manifest::{Object, Origin, Phase};

    fn settings(kind: &str, name: &str, data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}, "data": data})
    }

    fn workload(kind: &str, pod: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w", "namespace": "n"},
            "spec": {"template": {"spec": pod}}})
    }

    /// The annotation of the last object.
    fn annotation(objects: Vec<Value>, key: &[u8]) -> Option<String> {
        let objects = objects
            .into_iter()
            .map(|json| Object { json, origin: Origin::at(Place::file("a.yaml")), phase: Phase::Settings })
            .collect();
        let manifests = with_config_hashes(Manifests { objects, warnings: Vec::new() }, key);
        let last = &manifests.objects.last().expect("there is one").json;
        last["spec"]["template"]["metadata"]["annotations"][labels::CONFIG].as_str().map(str::to_owned)
    }

    #[test]
    fn every_way_to_refer_counts() {
        let pods = [
            json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s"}}}]}]}),
            json!({"initContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}),
            json!({"volumes": [{"secret": {"secretName": "s"}}]}),
            json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]}),
        ];
        for pod in pods {
            let with = |password: &str, key: &[u8]| {
                let secret = settings("Secret", "s", &json!({"p": password, "a": "b"}));
                annotation(vec![secret, workload("Deployment", &pod)], key).expect("it has a hash")
            };
            assert_eq!(with("one", b"k"), with("one", b"k"));
            assert_ne!(with("one", b"k"), with("two", b"k"));
            assert_ne!(with("one", b"k"), with("one", b"other key"));
        }
    }

    #[test]
    fn a_set_that_comes_back_is_hashed_with_what_is_live() {
        let pod = json!({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]});
        let secret = |password: &str| settings("Secret", "s", &json!({"p": password}));
        let wanted =
            annotation(vec![secret("new"), workload("Deployment", &pod)], b"k").expect("it has a hash");
        let mut workload = workload("Deployment", &pod);
        annotate(&mut workload, "of the old one".to_owned());
        rehash_configuration(&mut [&mut workload], &[secret("new")], b"k");
        assert_eq!(workload["spec"]["template"]["metadata"]["annotations"][labels::CONFIG], wanted);
    }

    #[test]
    fn the_order_of_keys_does_not_count() {
        let pod = json!({"containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]});
        let with = |data: &Value| {
            annotation(vec![settings("ConfigMap", "c", data), workload("DaemonSet", &pod)], b"k")
        };
        assert_eq!(with(&json!({"a": "1", "b": "2"})), with(&json!({"b": "2", "a": "1"})));
        assert_ne!(with(&json!({"a": "1", "b": "2"})), with(&json!({"a": "1b", "": "2"})));
    }

    #[test]
    fn no_hash_without_configuration_of_the_set() {
        let pod = json!({"containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]});
        let map = settings("ConfigMap", "c", &json!({"a": "1"}));
        assert_eq!(annotation(vec![workload("Deployment", &pod)], b"k"), None);
        assert_eq!(annotation(vec![map.clone(), workload("Job", &pod)], b"k"), None);
        let mut elsewhere = map.clone();
        elsewhere["metadata"]["namespace"] = "other".into();
        assert_eq!(annotation(vec![elsewhere, workload("Deployment", &pod)], b"k"), None);
        let mut left_out = workload("Deployment", &pod);
        left_out["metadata"]["annotations"] = json!({"windlass.dev/restart-on": "none"});
        assert_eq!(annotation(vec![map, left_out], b"k"), None);
    }
}
