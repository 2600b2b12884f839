//! Overlays merge as `kubectl patch --type strategic` does, for every kind and list that the corpus of fixtures/schema has.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bench::Project;

/// The objects of the corpus, each with a name of its own.
fn corpus() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let documents: Vec<Value> = texts
        .flat_map(|text| {
            serde_yaml::Deserializer::from_str(&text)
                .map(|one| serde::Deserialize::deserialize(one).unwrap())
                .collect::<Vec<Value>>()
        })
        .collect();
    // Of other kinds kubectl knows no merge keys, and windlass reads each Secret's text as data.
    let is_built_in = |object: &Value| {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        (!group.contains('.') || group.ends_with(".k8s.io")) && object["kind"] != "Secret"
    };
    documents.into_iter().filter(|one| is_built_in(one) && !shares_a_port(one)).collect()
}

/// The lists of maps in an object, as the keys that lead to them through maps.
fn lists(value: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = [path, std::slice::from_ref(key)].concat();
        if value.as_array().is_some_and(|items| items.iter().all(Value::is_object) && !items.is_empty()) {
            found.push(path.clone());
        }
        lists(value, &path, found);
    }
}

/// A patch of one list: its last item with one thing changed, and one like it under another name.
fn patch(object: &Value, path: &[String]) -> Option<Value> {
    let pointer: String = path.iter().map(|key| format!("/{key}")).collect();
    let last = object.pointer(&pointer)?.as_array()?.last()?.clone();
    let mut changed = last.clone();
    changed.as_object_mut()?.insert("patched".to_owned(), "yes".into());
    let mut other = last;
    for value in other.as_object_mut()?.values_mut() {
        match value {
            Value::String(text) if text != "TCP" && text != "UDP" && text != "SCTP" => {
                text.push_str("-other");
            }
            Value::Number(number) => *value = json!(number.as_i64().unwrap_or(0) + 1),
            _ => {}
        }
    }
    let items = json!([changed, other]);
    Some(path.iter().rev().fold(items, |inner, key| json!({key: inner})))
}

/// Whether two protocols share a port somewhere: kubectl takes them for one (kubernetes/kubernetes#113245), windlass does not.
fn shares_a_port(value: &Value) -> bool {
    let port = |item: &Value| item.get("port").or(item.get("containerPort")).cloned();
    match value {
        Value::Array(items) => {
            let ports: Vec<Value> = items.iter().filter_map(port).collect();
            let is_twice = |(at, port): (usize, &Value)| ports[..at].contains(port);
            ports.iter().enumerate().any(is_twice) || items.iter().any(shares_a_port)
        }
        Value::Object(map) => map.values().any(shares_a_port),
        _ => false,
    }
}

/// The object as kubectl patches it, without a server; `None` where it refuses.
fn by_kubectl(object: &Value, patch: &Value) -> Option<Value> {
    let mut kubectl = Command::new("kubectl")
        .args(["patch", "--local", "-f", "-", "--type", "strategic", "-o", "json", "-p", &patch.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut kubectl.stdin.take().unwrap(), object.to_string().as_bytes()).unwrap();
    let output = kubectl.wait_with_output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Without what windlass adds, and what either leaves of nothing.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("namespace");
    metadata.remove("creationTimestamp");
    for section in ["labels", "annotations"] {
        if let Some(map) = metadata.get_mut(section).and_then(Value::as_object_mut) {
            map.retain(|key, _| !key.starts_with("windlass.dev/") && key != "app.kubernetes.io/managed-by");
            if map.is_empty() {
                metadata.remove(section);
            }
        }
    }
    object.as_object_mut().unwrap().remove("status");
    object
}

#[test]
fn lists_of_every_kind_merge_as_kubectl_merges_them() {
    let project = Project::bare("overlays", "", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n");
    let (mut base, mut overlays, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for (number, object) in corpus().into_iter().enumerate() {
        let mut paths = Vec::new();
        lists(&object, &[], &mut paths);
        // What only the server writes is left out.
        paths.retain(|path| path[0] != "metadata" && path[0] != "status");
        for (turn, path) in paths.iter().enumerate() {
            let Some(patch) = patch(&object, path) else { continue };
            let Some(patched) = by_kubectl(&object, &patch) else { continue };
            let name = format!("o{number}-{turn}");
            let named = |mut value: Value| {
                value["metadata"] = json!({"name": name});
                value
            };
            let identity = json!({"apiVersion": object["apiVersion"], "kind": object["kind"]});
            let mut overlay = named(identity);
            for (key, value) in patch.as_object().unwrap() {
                overlay[key] = value.clone();
            }
            base.push(named(object.clone()).to_string());
            overlays.push(overlay.to_string());
            wanted.push((path.join("."), named(patched)));
        }
    }
    assert!(wanted.len() > 100, "{} lists", wanted.len());
    project.write(".kube/base.yaml", &base.join("\n---\n"));
    project.write(".kube/tiers/staging/patches.yaml", &overlays.join("\n---\n"));
    project.commit("the corpus");
    let rendered = project.windlass(&["render", "staging", "-o", "json"]).exits(0);
    let rendered: Vec<Value> = rendered.events();
    let mut differences = Vec::new();
    for (path, wanted) in &wanted {
        let same = |one: &&Value| {
            one["kind"] == wanted["kind"] && one["metadata"]["name"] == wanted["metadata"]["name"]
        };
        let found = rendered.iter().find(same).unwrap_or_else(|| panic!("{wanted} is not rendered"));
        if plain(found) != plain(wanted) {
            let kind = wanted["kind"].as_str().unwrap();
            differences.push(format!("{kind} {path}:\n  {}\n  {}", plain(found), plain(wanted)));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
