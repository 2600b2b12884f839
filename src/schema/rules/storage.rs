//! The rules of claims, volumes, ConfigMaps and Secrets.

use serde_json::Value;

use super::Checked;
use super::pod::quantity;
use crate::schema::finding::{Finding, step};
use crate::schema::format::Quantity;

/// The keys that a Secret of a type must have: all of them. Source: `ValidateSecret`.
const KEYS: [(&str, &[&str]); 4] = [
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
];

/// Checks an object if it keeps data.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "core.v1.PersistentVolumeClaimSpec" => found.extend(claim(one)),
        "core.v1.Secret" => secret(one, found),
        "core.v1.ConfigMap" => config_map(one, found),
        _ => {}
    }
}

/// Source: `ValidatePersistentVolumeClaimSpec`.
fn claim(one: &Checked<'_>) -> Option<Finding> {
    let storage = one.get("resources").and_then(|resources| resources.pointer("/requests/storage"));
    let Some(storage) = storage.filter(|storage| !storage.is_null()) else {
        return Some(one.missing("a claim needs `resources.requests.storage`"));
    };
    let amount = quantity(storage)?;
    (amount.is_negative() || Quantity::is_zero(amount)).then(|| {
        let pointer = step(&step(&one.at("resources"), "requests"), "storage");
        Finding::error(pointer, "`storage` must be greater than 0")
    })
}

fn secret(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some((kind, keys)) = KEYS.iter().find(|(kind, _)| *kind == one.text("type")) else { return };
    let has = |key: &str| {
        ["data", "stringData"]
            .iter()
            .any(|section| one.get(section).is_some_and(|map| map.get(key).is_some()))
    };
    for key in keys.iter().filter(|key| !has(key)) {
        found.push(one.missing(format!("a Secret of the type `{kind}` needs the key `{key}`")));
    }
}

/// Source: `ValidateConfigMap`.
fn config_map(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some(data) = one.get("data").and_then(Value::as_object) else { return };
    let Some(binary) = one.get("binaryData").and_then(Value::as_object) else { return };
    for key in binary.keys().filter(|key| data.contains_key(*key)) {
        let message = format!("`{key}` is in `data` and in `binaryData`");
        found.push(Finding::error(step(&one.at("binaryData"), key), message).at_key());
    }
}
