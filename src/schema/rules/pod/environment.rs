//! What a container's environment and files take from the pod itself.

use serde_json::Value;

use super::{CONTAINERS, containers};
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::{Format, Quantity};
use crate::schema::rules::Checked;

/// `validEnvDownwardAPIFieldPathExpressions`.
const OF_ENVIRONMENT: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// `validVolumeDownwardAPIFieldPathExpressions`.
const OF_FILES: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// `validContainerResourceFieldPathExpressions`.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
/// The divisors of everything but CPUs.
const DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Source: `ValidateEnvVar`: an empty value beside `valueFrom` is none.
pub(super) fn value_twice(one: &Checked<'_>) -> Option<Finding> {
    let has_value = !one.text("value").is_empty();
    (has_value && one.get("valueFrom").is_some()).then(|| {
        let message = "an environment variable has `value` or `valueFrom`, not both";
        Finding::error(one.at("valueFrom"), message).at_key()
    })
}

/// Source: `validateEnvVarValueFrom`.
pub(super) fn source(one: &Checked<'_>, found: &mut Vec<Finding>) {
    found.extend(field(one, &OF_ENVIRONMENT));
    found.extend(resource(one, false));
}

/// Source: `validateDownwardAPIVolumeFile`.
pub(super) fn file(one: &Checked<'_>, found: &mut Vec<Finding>) {
    found.extend(field(one, &OF_FILES));
    found.extend(resource(one, true));
}

/// Source: `validateObjectFieldSelector`.
fn field(one: &Checked<'_>, known: &[&str]) -> Option<Finding> {
    let reference = one.object("fieldRef")?;
    let path = reference.get("fieldPath")?.as_str().filter(|path| !path.is_empty())?;
    let version = reference.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if !["", "v1"].contains(&version) {
        let pointer = step(&one.at("fieldRef"), "apiVersion");
        return Some(Finding::error(pointer, format!("`apiVersion` must be `v1`, not `{version}`")));
    }
    let pointer = step(&one.at("fieldRef"), "fieldPath");
    if let Some((map, key)) = path.strip_suffix("']").and_then(|rest| rest.split_once("['")) {
        let key = if map == "metadata.annotations" { key.to_lowercase() } else { key.to_owned() };
        if !["metadata.annotations", "metadata.labels"].contains(&map) {
            return Some(not_one_of(&pointer, path, known));
        }
        let malformed = Format::LabelKey.check(&key).err()?;
        return Some(
            Finding::error(pointer, malformed.message).with_hint_if(malformed.hint.map(ToOwned::to_owned)),
        );
    }
    // The old name of a field.
    let is_known = known.contains(&path) || (path == "spec.host" && known.contains(&"spec.nodeName"));
    (!is_known).then(|| not_one_of(&pointer, path, known))
}

/// Source: `validateContainerResourceFieldSelector`.
fn resource(one: &Checked<'_>, is_file: bool) -> Option<Finding> {
    let reference = one.object("resourceFieldRef")?;
    let read = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    if is_file && read("containerName").is_empty() {
        return Some(Finding::error(one.at("resourceFieldRef"), "`containerName` is missing").at_key());
    }
    let name = read("resource");
    let is_known = RESOURCES.contains(&name)
        || name.starts_with("requests.hugepages-")
        || name.starts_with("limits.hugepages-");
    let pointer = step(&one.at("resourceFieldRef"), "resource");
    (!name.is_empty() && !is_known).then(|| not_one_of(&pointer, name, &RESOURCES))
}

/// Source: `validateContainerResourceDivisor`. Zero is none.
pub(super) fn divisor(one: &Checked<'_>) -> Option<Finding> {
    let amount = Quantity::of(one.get("divisor")?)?;
    let is = |text: &str| Quantity::read(text).is_some_and(|other| other.is_equal(amount));
    let name = one.text("resource");
    let known: &[&str] = match name.rsplit_once('.') {
        Some((_, "cpu")) => &["1m", "1"],
        Some((_, "memory" | "ephemeral-storage")) => &DIVISORS,
        Some((_, other)) if other.starts_with("hugepages-") => &DIVISORS,
        _ => return None,
    };
    (!amount.is_zero() && !known.iter().any(|known| is(known))).then(|| {
        let message = format!("this divisor is not one of `{name}`");
        Finding::error(one.at("divisor"), message).with_hint(format!("write one of {}", known.join(", ")))
    })
}

/// A variable out of a file of a volume, which must be an emptyDir. Source: `validateFileKeyRefVolumes`.
pub(super) fn files_of_volumes(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let volumes = one.list("volumes");
    for (pointer, container) in containers(one, &CONTAINERS) {
        for (index, variable) in list(container, "/env").iter().enumerate() {
            let name = text(variable, "/valueFrom/fileKeyRef/volumeName");
            let volume = volumes.iter().find(|volume| text(volume, "/name") == name);
            let why = match volume {
                _ if name.is_empty() => continue,
                Some(volume) if is_empty_dir(volume) => continue,
                Some(_) => format!("the volume `{name}` is not an `emptyDir`"),
                None => format!("the pod has no volume `{name}`"),
            };
            let at = format!("{pointer}/env/{index}/valueFrom/fileKeyRef/volumeName");
            found.push(Finding::error(at, why));
        }
    }
}

/// What a volume without a source is, too. Source: `SetDefaults_Volume`.
fn is_empty_dir(volume: &Value) -> bool {
    let mut sources = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, source)| *name != "name" && !source.is_null());
    sources.all(|(name, _)| name == "emptyDir")
}
