//! The rules of pods and of what is in them.

use serde_json::{Map, Value};

use super::Checked;
use crate::schema::finding::{Finding, one_of, step};
use crate::schema::format::Quantity;
use crate::schema::table::Shape;

/// The fields of a probe that say how to ask.
const PROBES: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
/// Those of a hook.
const HOOKS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "sleep"];
/// Resources that a container may ask for by a name without a `/`.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Checks an object if it is a part of a pod.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "core.v1.PodSpec" => pod_spec(one, found),
        "core.v1.Container" => {
            liveness(one, found);
            privileges(one, found);
        }
        // validateHandler
        "core.v1.Probe" => found.extend(exactly_one(one, &PROBES, "a probe")),
        "core.v1.LifecycleHandler" => found.extend(exactly_one(one, &HOOKS, "a hook")),
        // validateEnvVarValueFrom, ValidateEnvFrom
        "core.v1.EnvVarSource" => {
            let sources: Vec<&str> = one.schemas.fields_of(one.type_name).map(|field| field.name).collect();
            found.extend(exactly_one(one, &sources, "`valueFrom`"));
        }
        "core.v1.EnvFromSource" => {
            found.extend(exactly_one(one, &["configMapRef", "secretRef"], "an item of `envFrom`"));
        }
        "core.v1.EnvVar" => found.extend(value_twice(one)),
        "core.v1.ResourceRequirements" => resources(one, found),
        "core.v1.Volume" => found.extend(volume(one)),
        "core.v1.Toleration" => found.extend(toleration(one)),
        "core.v1.NodeSelectorRequirement" => found.extend(node_selector(one)),
        _ => {}
    }
}

/// Exactly one of the fields must be there.
pub(super) fn exactly_one(one: &Checked<'_>, names: &[&str], what: &str) -> Option<Finding> {
    match one.present(names)[..] {
        [_] => None,
        // What was misspelled is reported as such.
        [] if one.has_unknown_field() => None,
        [] => Some(one.missing(format!("{what} needs one of {}", one_of(names)))),
        [first, second, ..] => Some(
            Finding::error(one.at(second), format!("{what} has `{first}` and `{second}`; one is allowed"))
                .at_key(),
        ),
    }
}

/// Names of containers differ, and an init container that ends has no probes.
/// Source: `validateInitContainers`.
fn pod_spec(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let names: Vec<&str> =
        one.list("containers").iter().filter_map(|container| container["name"].as_str()).collect();
    for (index, container) in one.list("initContainers").iter().enumerate() {
        let pointer = step(&one.at("initContainers"), index);
        if let Some(name) = container["name"].as_str().filter(|name| names.contains(name)) {
            let message = format!("`{name}` is also the name of a container");
            found.push(Finding::error(step(&pointer, "name"), message));
        }
        // With restartPolicyRules other policies may restart it, too.
        if container["restartPolicy"].is_null() {
            for probe in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
                if !container[probe].is_null() {
                    let message = format!("an init container cannot have a `{probe}`");
                    let finding = Finding::error(step(&pointer, probe), message).at_key();
                    found.push(finding.with_hint("only one with `restartPolicy: Always` runs on"));
                }
            }
        }
    }
    if one.text("serviceAccountName").is_empty() && one.get("serviceAccount").is_some() {
        return;
    }
    if let Some(old) = one.get("serviceAccount").and_then(Value::as_str)
        && old != one.text("serviceAccountName")
    {
        let message = "`serviceAccount` differs from `serviceAccountName`";
        found.push(Finding::warning(one.at("serviceAccount"), message).with_hint("remove `serviceAccount`"));
    }
}

/// Source: `validateLivenessProbe`, `validateStartupProbe`. 0 is the default.
fn liveness(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for probe in ["livenessProbe", "startupProbe"] {
        let pointer = step(&one.at(probe), "successThreshold");
        let threshold = one.get(probe).and_then(|probe| probe["successThreshold"].as_i64());
        if threshold.is_some_and(|threshold| threshold > 1) {
            found.push(Finding::error(pointer, format!("`successThreshold` of a `{probe}` must be 1")));
        }
    }
}

/// Source: `ValidateSecurityContext`.
fn privileges(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some(context) = one.get("securityContext") else { return };
    if context["privileged"] == true && context["allowPrivilegeEscalation"] == false {
        let pointer = step(&one.at("securityContext"), "allowPrivilegeEscalation");
        let message = "`allowPrivilegeEscalation` cannot be false for a privileged container";
        found.push(Finding::error(pointer, message));
    }
}

/// Source: `ValidateEnvVar`: an empty value beside `valueFrom` is none.
fn value_twice(one: &Checked<'_>) -> Option<Finding> {
    let has_value = !one.text("value").is_empty();
    (has_value && one.get("valueFrom").is_some()).then(|| {
        let message = "an environment variable has `value` or `valueFrom`, not both";
        Finding::error(one.at("valueFrom"), message).at_key()
    })
}

/// Source: `validateResourceRequirements`, `validateContainerResourceName`. Resources of a claim or of a whole pod have the same
/// type, but other names: those that stand in neither are left alone.
fn resources(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let empty = Map::new();
    let map = |name: &str| one.get(name).and_then(Value::as_object).unwrap_or(&empty);
    for section in ["limits", "requests"] {
        for (name, amount) in map(section) {
            let pointer = step(&one.at(section), name);
            if !is_resource(name, one.schemas.minor()) {
                let near = crate::text::nearest(name, RESOURCES.into_iter());
                let finding =
                    Finding::error(pointer.as_str(), format!("there is no resource `{name}`")).at_key();
                let known = format!("write {} or `example.com/name`", one_of(&RESOURCES));
                found.push(finding.with_hint(near.map_or(known, |near| format!("did you mean `{near}`?"))));
            }
            if quantity(amount).is_some_and(Quantity::is_negative) {
                found.push(Finding::error(pointer, format!("`{name}` cannot be negative")));
            }
        }
    }
    for (name, request) in map("requests").iter().filter(|(name, _)| *name != "storage") {
        let limit = map("limits").get(name);
        let (Some(request), Some(limit)) = (quantity(request), limit.and_then(quantity)) else { continue };
        if request.is_greater(limit) {
            let message = format!("the request of `{name}` is greater than its limit");
            found.push(Finding::error(step(&one.at("requests"), name), message));
        }
    }
}

/// Before 1.29 a claim's resources had this type, too.
fn is_resource(name: &str, minor: u32) -> bool {
    name.contains('/')
        || RESOURCES.contains(&name)
        || name.starts_with("hugepages-")
        || (name == "storage" && minor < 29)
}

/// The quantity of a value.
pub(super) fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::read(text.trim()),
        Value::Number(number) => Quantity::read(&number.to_string()),
        _ => None,
    }
}

/// Source: `validateVolumeSource`: more than one source. None at all is an emptyDir.
fn volume(one: &Checked<'_>) -> Option<Finding> {
    let is_source = |shape: &Shape| matches!(shape, Shape::Type(_));
    let fields = one.schemas.fields_of(one.type_name).filter(|field| is_source(&field.shape));
    let names: Vec<&str> = fields.map(|field| field.name).collect();
    match one.present(&names)[..] {
        [first, second, ..] => {
            let message = format!("a volume has one source, not `{first}` and `{second}`");
            Some(Finding::error(one.at(second), message).at_key())
        }
        _ => None,
    }
}

/// Source: `ValidateTolerations`.
fn toleration(one: &Checked<'_>) -> Option<Finding> {
    if one.text("operator") == "Exists" && !one.text("value").is_empty() {
        let message = "a toleration with the operator `Exists` has no `value`";
        return Some(Finding::error(one.at("value"), message).at_key());
    }
    if one.text("key").is_empty() && one.text("operator") != "Exists" {
        return Some(one.missing("a toleration without a `key` needs the operator `Exists`"));
    }
    None
}

/// Source: `ValidateNodeSelectorRequirement`.
fn node_selector(one: &Checked<'_>) -> Option<Finding> {
    let count = one.list("values").len();
    let operator = one.text("operator");
    let wanted = match operator {
        "In" | "NotIn" if count == 0 => "needs `values`",
        "Exists" | "DoesNotExist" if count > 0 => "has no `values`",
        "Gt" | "Lt" if count != 1 => "needs one value",
        _ => return None,
    };
    Some(one.missing(format!("the operator `{operator}` {wanted}")))
}
