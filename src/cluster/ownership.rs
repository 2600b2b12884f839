//! The owner of a live object, and the fields that its owner set: read from labels, annotations and managed fields.

use serde_json::{Map, Value};

use crate::cluster::FIELD_MANAGER;
use crate::model::labels;

/// The annotation in which `kubectl apply` stores the manifest.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The owner of an object that no release of the tier created: `Helm release shop`, `kubectl apply`; `None` if unknown.
pub(crate) fn owner(live: &Value) -> Option<String> {
    let metadata = live.get("metadata")?;
    let label = |key: &str| metadata.get("labels")?.get(key)?.as_str();
    let annotation = |key: &str| metadata.get("annotations")?.get(key)?.as_str();
    if let Some(project) = label(labels::PROJECT) {
        let tier = annotation(labels::TIER).or_else(|| label(labels::TIER)).unwrap_or("?");
        return Some(format!("windlass project {project}, tier {tier}"));
    }
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        return Some(format!("Helm release {release}"));
    }
    if let Some(tracking) = annotation("argocd.argoproj.io/tracking-id") {
        return Some(format!("Argo CD application {}", tracking.split(':').next().unwrap_or(tracking)));
    }
    let flux = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];
    if let Some(name) = flux.into_iter().find_map(label) {
        return Some(format!("Flux {name}"));
    }
    if let Some(app) = label("kapp.k14s.io/app") {
        return Some(format!("kapp application {app}"));
    }
    if annotation(LAST_APPLIED).is_some() {
        return Some("kubectl apply".to_owned());
    }
    let managers: Vec<&str> = entries(live).filter(|entry| is_an_author(entry)).filter_map(manager).collect();
    (!managers.is_empty()).then(|| managers.join(", "))
}

/// Its managed fields.
pub(crate) fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn manager(entry: &Value) -> Option<&str> {
    entry.get("manager").and_then(Value::as_str)
}

/// Whether these fields were asked for by a user or a deployment tool, as opposed to a controller of the cluster.
pub(crate) fn is_an_author(entry: &Value) -> bool {
    /// These apply what people wrote, although their names look like controllers.
    const APPLIERS: [&str; 4] =
        ["argocd-controller", "argocd-application-controller", "kustomize-controller", "helm-controller"];
    /// Words in the names of managers that write on their own.
    const CONTROLLERS: [&str; 6] =
        ["controller", "operator", "autoscaler", "injector", "webhook", "scheduler"];
    let name = manager(entry).unwrap_or_default();
    let through = entry.get("subresource").and_then(Value::as_str).unwrap_or_default();
    let by_itself =
        name.starts_with("kube-") || name == "kubelet" || CONTROLLERS.iter().any(|word| name.contains(word));
    through.is_empty() && (APPLIERS.contains(&name) || !by_itself)
}

/// Whether anybody else owns fields of it as an author.
pub(crate) fn has_other_authors(live: &Value) -> bool {
    entries(live).any(|entry| manager(entry) != Some(FIELD_MANAGER) && is_an_author(entry))
}

/// The managed fields without the entries of other authors: their fields become ours.
pub(crate) fn without_other_authors(live: &Value) -> Vec<Value> {
    let stays = |entry: &&Value| manager(entry) == Some(FIELD_MANAGER) || !is_an_author(entry);
    entries(live).filter(stays).cloned().collect()
}

/// The part of a live object that its authors asked for, ready to be applied: without status, defaults, and the fields
/// of controllers.
pub(crate) fn asked_for(live: &Value) -> Value {
    let mut asked = Value::Object(Map::new());
    for entry in entries(live).filter(|entry| is_an_author(entry)) {
        if let Some(part) = entry.get("fieldsV1").and_then(|fields| part(live, fields)) {
            merge(&mut asked, part, live);
        }
    }
    for key in ["apiVersion", "kind"] {
        asked[key] = live[key].clone();
    }
    // The server stores `stringData` encoded in `data`, but the managed fields keep the name `stringData`.
    if live["apiVersion"] == "v1" && live["kind"] == "Secret" {
        for key in entries(live).filter(|entry| is_an_author(entry)).flat_map(plain_keys) {
            if let Some(value) = live["data"].get(key) {
                asked["data"][key] = value.clone();
            }
        }
    }
    for key in ["name", "namespace"] {
        if let Some(value) = live["metadata"].get(key) {
            asked["metadata"][key] = value.clone();
        }
    }
    if let Some(annotations) = asked.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
        annotations.shift_remove("deployment.kubernetes.io/revision");
    }
    if let Some(object) = asked.as_object_mut() {
        object.shift_remove("status");
    }
    asked
}

/// The keys of `stringData` in a manager's fields.
fn plain_keys(entry: &Value) -> impl Iterator<Item = &str> {
    let fields = entry.pointer("/fieldsV1/f:stringData").and_then(Value::as_object);
    fields.into_iter().flat_map(|fields| fields.keys()).filter_map(|key| key.strip_prefix("f:"))
}

/// The part of a value that these fields name (`fieldsV1`: `f:` a field, `k:` an item by its keys, `v:` an item by its
/// value).
fn part(value: &Value, fields: &Value) -> Option<Value> {
    let names = fields.as_object().filter(|names| names.keys().any(|name| name != "."));
    let Some(names) = names else {
        let is_there = fields.get(".").is_some();
        return Some(match value {
            // Only the map itself was asked for, not its fields.
            Value::Object(map) if is_there && !map.is_empty() => Value::Object(Map::new()),
            Value::Array(list) if is_there && !list.is_empty() => Value::Array(Vec::new()),
            other => other.clone(),
        });
    };
    match value {
        Value::Object(map) => {
            let mut found = Map::new();
            for (name, below) in names {
                let Some(key) = name.strip_prefix("f:") else { continue };
                if let Some(child) = map.get(key).and_then(|child| part(child, below)) {
                    found.insert(key.to_owned(), child);
                }
            }
            Some(Value::Object(found))
        }
        Value::Array(items) => {
            Some(Value::Array(items.iter().filter_map(|item| item_part(item, names)).collect()))
        }
        _ => None,
    }
}

fn item_part(item: &Value, names: &Map<String, Value>) -> Option<Value> {
    let (name, below) = names.iter().find(|(name, _)| is_named(item, name))?;
    let mut found = part(item, below)?;
    // The keys that identify an item belong to it, even if the server filled them in.
    if let Some(keys) = keys_of(name)
        && let Some(map) = found.as_object_mut()
    {
        for (key, value) in keys {
            map.entry(key).or_insert(value);
        }
    }
    Some(found)
}

/// The keys of an item that `k:{"name":"web"}` names.
pub(crate) fn keys_of(name: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(name.strip_prefix("k:")?).ok()
}

/// Whether `k:…` or `v:…` means this item.
pub(crate) fn is_named(item: &Value, name: &str) -> bool {
    match (keys_of(name), name.strip_prefix("v:")) {
        (Some(keys), _) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
        (None, Some(value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| *item == value),
        (None, None) => false,
    }
}

/// Merges a part into the others; `whole` is the value that contains both, and defines the order of lists.
fn merge(asked: &mut Value, part: Value, whole: &Value) {
    match (asked, part) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(known) => merge(known, value, whole.get(&key).unwrap_or(&Value::Null)),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            let items = whole.as_array().map_or(&[][..], Vec::as_slice);
            let at = |one: &Value| items.iter().position(|item| contains(item, one));
            for item in from {
                let place = at(&item);
                let same = into.iter_mut().find(|known| place.is_some() && at(known) == place);
                match (same, place) {
                    (Some(known), Some(place)) => merge(known, item, &items[place]),
                    _ => into.push(item),
                }
            }
            into.sort_by_key(|one| at(one).unwrap_or(usize::MAX));
        }
        (into, from) => *into = from,
    }
}

/// Whether the value contains this part.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| contains(whole, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|value| whole.iter().any(|whole| contains(whole, value)))
        }
        (whole, part) => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "labels": {"app": "web", "app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "shop", "deployment.kubernetes.io/revision": "3", LAST_APPLIED: "{}"},
                "managedFields": [
                    {"manager": "helm", "operation": "Update", "fieldsV1": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:app.kubernetes.io/managed-by": {}}, "f:annotations": {".": {}, "f:meta.helm.sh/release-name": {}}},
                        "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                            "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
                                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}}},
                    {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {
                        "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
                            "k:{\"name\":\"web\"}": {"f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}}}}}}}},
                    {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {
                        "f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}},
                    {"manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ]},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 600,
                "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
                    {"name": "web", "image": "web:1", "imagePullPolicy": "Always", "env": [{"name": "A", "value": "1"}],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                    {"name": "injected", "image": "proxy:1"}]}}},
            "status": {"replicas": 2},
        })
    }

    #[test]
    fn what_was_asked_for_has_neither_defaults_nor_what_controllers_wrote() {
        let asked = asked_for(&live());
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "shop"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [
                {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}],
                    "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
        });
        assert_eq!(asked, expected);
    }

    #[test]
    fn plain_values_of_a_secret_were_asked_for_too() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": "eA==", "b": "eQ==", "c": "eg=="},
            "metadata": {"name": "db", "managedFields": [{"manager": "helm", "operation": "Apply", "fieldsV1": {
                "f:stringData": {"f:a": {}}, "f:data": {"f:b": {}}, "f:type": {}}}]},
        });
        let asked = asked_for(&secret);
        assert_eq!(asked["data"], json!({"a": "eA==", "b": "eQ=="}));
        assert!(asked.get("stringData").is_none());
    }

    #[test]
    fn the_entries_of_controllers_stay() {
        let managers: Vec<Value> =
            without_other_authors(&live()).iter().map(|entry| entry["manager"].clone()).collect();
        assert_eq!(managers, ["kube-controller-manager", "kubectl"], "and what was written through scale");
        assert!(has_other_authors(&live()));
    }

    #[test]
    fn whose_it_is() {
        let of = |metadata: Value| owner(&json!({"metadata": metadata}));
        assert_eq!(owner(&live()).as_deref(), Some("Helm release shop"));
        assert_eq!(of(json!({"annotations": {LAST_APPLIED: "{}"}})).as_deref(), Some("kubectl apply"));
        let managed = json!({"managedFields": [{"manager": "terraform", "operation": "Apply"}]});
        assert_eq!(of(managed).as_deref(), Some("terraform"));
        assert_eq!(of(json!({})), None);
        let other = json!({"labels": {"windlass.dev/project": "blog", "windlass.dev/tier": "x"}});
        assert_eq!(of(other).as_deref(), Some("windlass project blog, tier x"));
    }
}
