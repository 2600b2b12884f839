//! The rules of workloads: what their selector, their template and their strategy must have in common.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::model::group;
use crate::model::object::{api_version, kind, list, text};
use crate::schema::finding::{Finding, one_of, step};

/// Checks a workload; nothing where the object is none.
pub(super) fn check(object: &Value, found: &mut Vec<Finding>) {
    let (group, kind) = (group(api_version(object)), kind(object));
    let template = match (group, kind) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet") => {
            selector(object, kind, found);
            restart_policy(object, "/spec/template/spec", kind, &["Always"], found);
            "/spec/template/spec"
        }
        ("batch", "Job") => {
            restart_policy(object, "/spec/template/spec", kind, &["OnFailure", "Never"], found);
            "/spec/template/spec"
        }
        ("batch", "CronJob") => {
            let template = "/spec/jobTemplate/spec/template/spec";
            restart_policy(object, template, kind, &["OnFailure", "Never"], found);
            template
        }
        ("", "ReplicationController") => "/spec/template/spec",
        ("", "Pod") => "/spec",
        _ => return,
    };
    mounts(object, template, found);
    if (group, kind) == ("apps", "Deployment") {
        strategy(object, found);
    }
}

/// Source: `ValidateDeploymentSpec`, `ValidatePodTemplateSpecForReplicaSet` and their like.
fn selector(object: &Value, kind: &str, found: &mut Vec<Finding>) {
    let Some(selector) = object.pointer("/spec/selector").and_then(Value::as_object) else { return };
    let labels = object.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    let none = Map::new();
    let labels = labels.unwrap_or(&none);
    let has = |name: &str| {
        selector.get(name).is_some_and(|part| !part.is_null() && *part != Value::from(Vec::<Value>::new()))
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(&none);
    if wanted.is_empty() && !has("matchExpressions") {
        let message = format!("the selector of a {kind} cannot be empty");
        return found.push(Finding::error("/spec/selector", message).at_key());
    }
    for (key, value) in wanted {
        if labels.get(key) != Some(value) {
            found.push(differs(key, value, labels.get(key)));
        }
    }
    for (index, expression) in list(object, "/spec/selector/matchExpressions").iter().enumerate() {
        if !matches(expression, labels) {
            let message = "the labels of the pod template do not match this expression of the selector";
            found.push(Finding::error(step("/spec/selector/matchExpressions", index), message));
        }
    }
}

fn differs(key: &str, value: &Value, label: Option<&Value>) -> Finding {
    let wanted = value.as_str().unwrap_or_default();
    let (pointer, message) = match label.and_then(Value::as_str) {
        Some(label) => (
            step("/spec/template/metadata/labels", key),
            format!(
                "the pod template has the label `{key}: {label}`, the selector asks for `{key}: {wanted}`"
            ),
        ),
        None => (
            step("/spec/selector/matchLabels", key),
            format!(
                "the selector asks for the label `{key}: {wanted}`, which the pod template does not have"
            ),
        ),
    };
    Finding::error(pointer, message).with_hint("selector and labels of the template must match")
}

/// Whether labels match an expression; one that cannot be judged matches.
pub(in crate::schema) fn matches(expression: &Value, labels: &Map<String, Value>) -> bool {
    let label = labels.get(text(expression, "/key"));
    let is_named = label.is_some_and(|label| list(expression, "/values").contains(label));
    match text(expression, "/operator") {
        // Without values it is wrong in itself.
        "In" => is_named || list(expression, "/values").is_empty(),
        "NotIn" => !is_named,
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        _ => true,
    }
}

/// Source: `ValidatePodTemplateSpecForReplicaSet`, `validateJobSpec`. Left out, it is Always.
fn restart_policy(object: &Value, pod: &str, kind: &str, allowed: &[&str], found: &mut Vec<Finding>) {
    if object.pointer(pod).and_then(Value::as_object).is_none() {
        return;
    }
    let written = object.pointer(&step(pod, "restartPolicy")).filter(|policy| !policy.is_null());
    let policy = written.map_or(Some("Always"), Value::as_str).unwrap_or_default();
    // Other words are reported as such already.
    if allowed.contains(&policy) || !["Always", "OnFailure", "Never"].contains(&policy) {
        return;
    }
    let message = format!("the pods of a {kind} cannot have the restartPolicy `{policy}`");
    let finding = match written {
        Some(_) => Finding::error(step(pod, "restartPolicy"), message),
        None => Finding::error(pod, format!("`restartPolicy` is missing: {message}, the default")).at_key(),
    };
    found.push(finding.with_hint(format!("write {}", one_of(allowed))));
}

/// Source: `ValidateVolumeMounts`, `ValidateVolumeDevices`.
fn mounts(object: &Value, pod: &str, found: &mut Vec<Finding>) {
    let names = |pointer: &str, name: &'static str| -> Vec<&str> {
        list(object, pointer).iter().filter_map(|one| one.pointer(name).and_then(Value::as_str)).collect()
    };
    let mut volumes: HashSet<&str> = names(&step(pod, "volumes"), "/name").into_iter().collect();
    volumes.extend(names("/spec/volumeClaimTemplates", "/metadata/name"));
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(object, &step(pod, containers)).iter().enumerate() {
            for section in ["volumeMounts", "volumeDevices"] {
                let pointer = step(&step(&step(pod, containers), index), section);
                unknown_volumes(container, section, &pointer, &volumes, found);
            }
        }
    }
}

fn unknown_volumes(
    container: &Value,
    section: &str,
    pointer: &str,
    volumes: &HashSet<&str>,
    found: &mut Vec<Finding>,
) {
    for (index, mount) in list(container, &format!("/{section}")).iter().enumerate() {
        let name = text(mount, "/name");
        if name.is_empty() || volumes.contains(name) {
            continue;
        }
        let mut known: Vec<&str> = volumes.iter().copied().collect();
        known.sort_unstable();
        let near =
            crate::text::nearest(name, known.into_iter()).map(|near| format!("did you mean `{near}`?"));
        let message = format!("the pod has no volume `{name}`");
        found.push(Finding::error(step(&step(pointer, index), "name"), message).with_hint_if(near));
    }
}

/// Source: `ValidateDeploymentStrategy`, `ValidateRollingUpdateDeployment`, `ValidateDeploymentSpec`.
fn strategy(object: &Value, found: &mut Vec<Finding>) {
    let rolling = object.pointer("/spec/strategy/rollingUpdate").filter(|rolling| !rolling.is_null());
    if text(object, "/spec/strategy/type") == "Recreate" && rolling.is_some() {
        let message = "the strategy `Recreate` cannot have `rollingUpdate`";
        found.push(Finding::error("/spec/strategy/rollingUpdate", message).at_key());
    }
    let is_zero = |name: &str| rolling.is_some_and(|rolling| rolling[name] == 0 || rolling[name] == "0%");
    if is_zero("maxUnavailable") && is_zero("maxSurge") {
        let message = "`maxUnavailable` cannot be 0 when `maxSurge` is 0";
        found.push(Finding::error("/spec/strategy/rollingUpdate/maxUnavailable", message));
    }
    let seconds = |name: &str| object.pointer(&format!("/spec/{name}")).and_then(Value::as_i64);
    let (deadline, ready) = (seconds("progressDeadlineSeconds").unwrap_or(600), seconds("minReadySeconds"));
    if let Some(ready) = ready.filter(|ready| *ready >= deadline) {
        let message =
            format!("`minReadySeconds` ({ready}) must be less than `progressDeadlineSeconds` ({deadline})");
        found.push(Finding::error("/spec/minReadySeconds", message));
    }
}
