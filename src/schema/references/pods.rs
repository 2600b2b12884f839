//! The pods that a set makes: their labels, their ports, and where their specification stands.

use serde_json::{Map, Value};

use crate::model::object::{kind, list};
use crate::schema::finding::step;

/// The pods of a workload, or of a custom resource with a pod template in it.
pub(super) struct Pod<'a> {
    pub(super) labels: Option<&'a Map<String, Value>>,
    pub(super) spec: &'a Value,
}

impl Pod<'_> {
    /// Whether the pods have all of these labels.
    pub(super) fn has(&self, wanted: &Map<String, Value>) -> bool {
        wanted.iter().all(|(key, value)| self.labels.and_then(|labels| labels.get(key)) == Some(value))
    }

    /// Every port that a container declares, with its name.
    pub(super) fn ports(&self) -> impl Iterator<Item = (i64, &str)> {
        let containers = containers(self.spec).into_iter().map(|(_, container)| container);
        let ports = containers.flat_map(|container| list(container, "/ports"));
        ports.map(|port| {
            (port["containerPort"].as_i64().unwrap_or_default(), port["name"].as_str().unwrap_or_default())
        })
    }
}

/// The containers of a pod that may listen, each with its pointer.
pub(super) fn containers(spec: &Value) -> Vec<(String, &Value)> {
    let of = |section: &'static str| {
        let items = spec[section].as_array().map_or(&[][..], Vec::as_slice);
        let pointer = step("", section);
        items.iter().enumerate().map(move |(index, container)| (step(&pointer, index), container))
    };
    of("initContainers").chain(of("containers")).collect()
}

/// The pods that an object makes.
pub(super) fn collect<'a>(object: &'a Value, pods: &mut Vec<Pod<'a>>) {
    if kind(object) == "Pod" {
        pods.push(of_template(object));
    } else {
        templates(object, pods, 0);
    }
}

/// Every pod template in a value, also in a custom resource.
fn templates<'a>(value: &'a Value, pods: &mut Vec<Pod<'a>>, depth: usize) {
    if depth > 32 {
        return;
    }
    match value {
        Value::Object(map) => {
            if value["spec"]["containers"].is_array() {
                pods.push(of_template(value));
            }
            map.values().for_each(|value| templates(value, pods, depth + 1));
        }
        Value::Array(items) => items.iter().for_each(|item| templates(item, pods, depth + 1)),
        _ => {}
    }
}

fn of_template(template: &Value) -> Pod<'_> {
    let labels = template["metadata"]["labels"].as_object();
    Pod { labels, spec: &template["spec"] }
}

/// Where the specification of an object's pods stands; `None` where it has none.
pub(super) fn spec_pointer(object: &Value) -> Option<&'static str> {
    match kind(object) {
        "Pod" => Some("/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "ReplicationController" => {
            Some("/spec/template/spec")
        }
        _ => None,
    }
}
