//! The rules of workloads: what their selector, their template and their strategy must have in common.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::model::group;
use crate::model::object::{api_version, kind, list, text};
use crate::schema::finding::{Finding, Severity, one_of, step};
use crate::schema::format::Format;
use crate::schema::table::Shape;

/// Where most workloads have the specification of their pods.
const TEMPLATE: &str = "/spec/template/spec";

/// Checks a workload; nothing where the object is none.
pub(super) fn check(object: &Value, found: &mut Vec<Finding>) {
    let (group, kind) = (group(api_version(object)), kind(object));
    let template = match (group, kind) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => TEMPLATE,
        ("batch", "CronJob") => "/spec/jobTemplate/spec/template/spec",
        ("", "Pod") => "/spec",
        ("", "PodTemplate") => "/template/spec",
        _ => return,
    };
    mounts(object, template, found);
    match kind {
        "Pod" => return pod(object, found),
        "Deployment" => strategy(object, found),
        "DaemonSet" => daemon_strategy(object, found),
        "StatefulSet" => {
            stateful_strategy(object, found);
            names_of_claims(object, found);
        }
        "ReplicationController" => labels_of_controller(object, found),
        "Job" => {
            selector_of_job(object, found);
            found.extend(pods_of_job(object));
        }
        _ => {}
    }
    if group == "batch" {
        restart_policy(object, template, kind, &["OnFailure", "Never"], found);
    } else if kind != "PodTemplate" {
        restart_policy(object, template, kind, &["Always"], found);
        never_ends(object, kind, found);
    }
    if group == "apps" {
        selector(object, kind, found);
    }
    if !list(object, &step(template, "ephemeralContainers")).is_empty() {
        let message = "a pod template has no `ephemeralContainers`";
        found.push(Finding::error(step(template, "ephemeralContainers"), message).at_key());
    }
}

/// Source: `validatePodMetadataAndSpec`, `validateContainerOnlyForPod`.
fn pod(object: &Value, found: &mut Vec<Finding>) {
    for containers in ["/spec/initContainers", "/spec/containers"] {
        for (index, container) in list(object, containers).iter().enumerate() {
            let image = text(container, "/image");
            if image.trim() != image {
                let pointer = step(&step(containers, index), "image");
                found.push(Finding::error(pointer, "`image` has blanks around it"));
            }
        }
    }
}

/// Such pods are started again, always. Source: `ValidatePodTemplateSpecForReplicaSet` and its like.
fn never_ends(object: &Value, kind: &str, found: &mut Vec<Finding>) {
    let pointer = step(TEMPLATE, "activeDeadlineSeconds");
    if object.pointer(&pointer).is_some_and(|seconds| !seconds.is_null()) {
        let message = format!("the pods of a {kind} have no `activeDeadlineSeconds`");
        found.push(Finding::error(pointer, message).at_key());
    }
}

/// The pods of an indexed Job have its name and their index as their host name. Source: `ValidateJob`.
fn pods_of_job(object: &Value) -> Option<Finding> {
    let completions = super::int(&Shape::Int32, object.pointer("/spec/completions")?)?;
    if text(object, "/spec/completionMode") != "Indexed" || completions < 1 {
        return None;
    }
    let host = format!("{}-{}", crate::model::object::name(object), completions - 1);
    Format::Label.check(&host).err().map(|_| {
        let message = format!("its last pod would be called `{host}`, which is not a host name");
        Finding::error("/metadata/name", message).with_hint("shorten it, without dots")
    })
}

/// A Job makes its selector itself, or has one that matches. Source: `validateGeneratedSelector`, `ValidateJobSpec`.
fn selector_of_job(object: &Value, found: &mut Vec<Finding>) {
    let is_manual = object.pointer("/spec/manualSelector").is_some_and(|manual| manual == true);
    let Some(selector) = object.pointer("/spec/selector").filter(|selector| selector.is_object()) else {
        if is_manual {
            let message = "`manualSelector` needs `selector`";
            found.push(Finding::error("/spec", message).at_key());
        }
        return;
    };
    if is_manual {
        return matched(object, found);
    }
    let has = |part: &str| {
        selector.get(part).is_some_and(|part| !super::is_empty(part) && *part != Value::Object(Map::new()))
    };
    if has("matchLabels") || has("matchExpressions") {
        let finding = Finding::error("/spec/selector", "a Job makes its selector itself").at_key();
        let finding = finding.with_hint("remove it, or set `manualSelector: true`");
        // One that was exported may be applied to itself.
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        let is_exported =
            labels.is_some_and(|labels| labels.keys().any(|key| key.ends_with("controller-uid")));
        let severity = if is_exported { Severity::Warning } else { Severity::Error };
        found.push(Finding { severity, ..finding });
    }
}

/// Source: `ValidatePodTemplateSpecForRC`: without a selector, it is the labels.
fn labels_of_controller(object: &Value, found: &mut Vec<Finding>) {
    let none = Map::new();
    let map = |pointer: &str| object.pointer(pointer).and_then(Value::as_object).unwrap_or(&none);
    let (selector, labels) = (map("/spec/selector"), map("/spec/template/metadata/labels"));
    if selector.is_empty() && labels.is_empty() {
        found.push(Finding::error("/spec", "`selector` is missing").at_key());
    }
    for (key, value) in selector.iter().filter(|(key, value)| labels.get(*key) != Some(*value)) {
        found.push(differs(key, value, labels.get(key), "/spec/selector"));
    }
}

/// Source: `ValidateDeploymentSpec`, `ValidatePodTemplateSpecForReplicaSet` and their like.
fn selector(object: &Value, kind: &str, found: &mut Vec<Finding>) {
    let Some(selector) = object.pointer("/spec/selector").and_then(Value::as_object) else { return };
    let none = Map::new();
    let has = |name: &str| {
        selector.get(name).is_some_and(|part| !part.is_null() && *part != Value::from(Vec::<Value>::new()))
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(&none);
    if wanted.is_empty() && !has("matchExpressions") {
        let message = format!("the selector of a {kind} cannot be empty");
        return found.push(Finding::error("/spec/selector", message).at_key());
    }
    matched(object, found);
}

/// Whether the labels of the template are those that the selector asks for.
fn matched(object: &Value, found: &mut Vec<Finding>) {
    let none = Map::new();
    let map = |pointer: &str| object.pointer(pointer).and_then(Value::as_object).unwrap_or(&none);
    let (wanted, labels) = (map("/spec/selector/matchLabels"), map("/spec/template/metadata/labels"));
    for (key, value) in wanted {
        if labels.get(key) != Some(value) {
            found.push(differs(key, value, labels.get(key), "/spec/selector/matchLabels"));
        }
    }
    for (index, expression) in list(object, "/spec/selector/matchExpressions").iter().enumerate() {
        if !matches(expression, labels) {
            let message = "the labels of the pod template do not match this expression of the selector";
            found.push(Finding::error(step("/spec/selector/matchExpressions", index), message));
        }
    }
}

fn differs(key: &str, value: &Value, label: Option<&Value>, selector: &str) -> Finding {
    let wanted = value.as_str().unwrap_or_default();
    let (pointer, message) = match label.and_then(Value::as_str) {
        Some(label) => (
            step("/spec/template/metadata/labels", key),
            format!(
                "the pod template has the label `{key}: {label}`, the selector asks for `{key}: {wanted}`"
            ),
        ),
        None => (
            step(selector, key),
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
    if allowed.contains(&policy) || !["Always", "OnFailure", "Never", ""].contains(&policy) {
        return;
    }
    // Left empty, it is Always; where that is not allowed, nothing is put there.
    if policy.is_empty() && allowed.contains(&"Always") {
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
            let pointer = step(&step(&step(pod, containers), index), "volumeDevices");
            no_devices(container, list(object, &step(pod, "volumes")), &pointer, found);
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

/// Only claims are block devices. Source: `ValidateVolumeDevices`.
fn no_devices(container: &Value, volumes: &[Value], pointer: &str, found: &mut Vec<Finding>) {
    for (index, device) in list(container, "/volumeDevices").iter().enumerate() {
        let name = text(device, "/name");
        let volume = volumes.iter().find(|volume| text(volume, "/name") == name);
        let is_claim =
            |volume: &Value| volume["persistentVolumeClaim"].is_object() || volume["ephemeral"].is_object();
        if !name.is_empty() && volume.is_some_and(|volume| !is_claim(volume)) {
            let message = format!("the volume `{name}` is not a claim: it cannot be a device");
            found.push(Finding::error(step(&step(pointer, index), "name"), message));
        }
    }
}

/// Source: `ValidateDeploymentStrategy`, `ValidateRollingUpdateDeployment`, `ValidateDeploymentSpec`.
fn strategy(object: &Value, found: &mut Vec<Finding>) {
    let rolling = object.pointer("/spec/strategy/rollingUpdate").filter(|rolling| !rolling.is_null());
    if text(object, "/spec/strategy/type") == "Recreate" && rolling.is_some() {
        let message = "the strategy `Recreate` cannot have `rollingUpdate`";
        found.push(Finding::error("/spec/strategy/rollingUpdate", message).at_key());
    }
    let is_none = |name: &str| rolling.is_some_and(|rolling| is_zero(&rolling[name]));
    if is_none("maxUnavailable") && is_none("maxSurge") {
        let message = "`maxUnavailable` cannot be 0 when `maxSurge` is 0";
        found.push(Finding::error("/spec/strategy/rollingUpdate/maxUnavailable", message));
    }
    let number = |name: &str| super::int(&Shape::Int32, object.pointer(&format!("/spec/{name}"))?);
    let seconds = |name: &str| number(name);
    let deadline = seconds("progressDeadlineSeconds").unwrap_or(600);
    let ready = seconds("minReadySeconds").unwrap_or_default();
    if ready >= deadline {
        let message =
            format!("`minReadySeconds` ({ready}) must be less than `progressDeadlineSeconds` ({deadline})");
        let is_written = object.pointer("/spec/minReadySeconds").is_some();
        let name = if is_written { "minReadySeconds" } else { "progressDeadlineSeconds" };
        found.push(Finding::error(step("/spec", name), message));
    }
}

/// Whether a number or a share is nothing.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Number(_) => super::int(&Shape::Int32, value) == Some(0),
        Value::String(text) => text.strip_suffix('%').is_some_and(|share| share.parse() == Ok(0_u64)),
        _ => false,
    }
}

/// Either pods are missing, or there are more, for a moment. Source: `ValidateRollingUpdateDaemonSet`, `SetDefaults_DaemonSet`.
fn daemon_strategy(object: &Value, found: &mut Vec<Finding>) {
    let pointer = "/spec/updateStrategy/rollingUpdate";
    let Some(rolling) = object.pointer(pointer).filter(|rolling| rolling.is_object()) else { return };
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let is_right = |name: &str| ["Number", "String"].contains(&type_of(&rolling[name]));
    // 1 and 0 where they are left out.
    let unavailable = !is_right("maxUnavailable") || !is_zero(&rolling["maxUnavailable"]);
    let surge = is_right("maxSurge") && !is_zero(&rolling["maxSurge"]);
    if unavailable && surge {
        let finding = Finding::error(step(pointer, "maxSurge"), "`maxSurge` needs `maxUnavailable: 0`");
        found.push(finding.with_hint("left out, `maxUnavailable` is 1"));
    } else if !unavailable && !surge {
        let message = "`maxUnavailable` cannot be 0 when `maxSurge` is 0";
        found.push(Finding::error(step(pointer, "maxUnavailable"), message));
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        _ => "",
    }
}

/// Source: `ValidateStatefulSetSpec`, `validateRollingUpdateStatefulSet`.
fn stateful_strategy(object: &Value, found: &mut Vec<Finding>) {
    let pointer = "/spec/updateStrategy/rollingUpdate";
    let Some(rolling) = object.pointer(pointer).filter(|rolling| rolling.is_object()) else { return };
    let strategy = text(object, "/spec/updateStrategy/type");
    if !["", "RollingUpdate"].contains(&strategy) {
        let message = format!("the updateStrategy `{strategy}` cannot have `rollingUpdate`");
        found.push(Finding::error(pointer, message).at_key());
    }
    if is_zero(&rolling["maxUnavailable"]) {
        found.push(Finding::error(step(pointer, "maxUnavailable"), "`maxUnavailable` cannot be 0"));
    }
}

/// A claim of a StatefulSet becomes a volume of its pods. Source: `ValidatePodTemplateSpecForStatefulSet`.
fn names_of_claims(object: &Value, found: &mut Vec<Finding>) {
    let pointer = "/spec/volumeClaimTemplates";
    for (index, claim) in list(object, pointer).iter().enumerate() {
        let name = claim.pointer("/metadata/name").unwrap_or(&Value::Null);
        if super::is_empty(name) {
            found.push(Finding::error(step(pointer, index), "`metadata.name` is missing").at_key());
        }
    }
}
