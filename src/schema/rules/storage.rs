//! The rules of claims, volumes, classes, ConfigMaps and Secrets.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Checked;
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, step};
use crate::schema::format::{Format, Quantity, decode};
use crate::schema::table::Shape;

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
        "core.v1.PersistentVolumeClaimSpec" => {
            found.extend(claim(one));
            access_modes(one, found);
            sources(one, found);
        }
        "core.v1.PersistentVolumeSpec" => volume(one, found),
        "core.v1.Secret" => {
            secret(one, found);
            found.extend(docker_config(one));
        }
        "core.v1.ConfigMap" => config_map(one, found),
        "core.v1.TopologySelectorTerm" => topologies(one, found),
        "storage.v1.StorageClass" => terms(one, found),
        "storage.v1.CSIDriverSpec" => driver(one, found),
        _ => {}
    }
}

/// Source: `ValidatePersistentVolumeClaimSpec`.
fn claim(one: &Checked<'_>) -> Option<Finding> {
    let requests = one.get("resources").and_then(|resources| resources.pointer("/requests"));
    let Some(storage) = requests.and_then(|requests| requests.get("storage")) else {
        return Some(one.missing("a claim needs `resources.requests.storage`"));
    };
    let amount = Quantity::of(storage)?;
    (amount.is_negative() || Quantity::is_zero(amount)).then(|| {
        let pointer = step(&step(&one.at("resources"), "requests"), "storage");
        Finding::error(pointer, "`storage` must be greater than 0")
    })
}

/// One pod alone has a volume, or it is shared. Source: `ValidatePersistentVolumeClaimSpec`, `ValidatePersistentVolumeSpec`.
fn access_modes(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let modes = one.list("accessModes");
    let is_alone = |mode: &Value| mode == "ReadWriteOncePod";
    if modes.iter().any(is_alone) && !modes.iter().all(is_alone) {
        let message = "`ReadWriteOncePod` excludes other accessModes";
        found.push(Finding::error(one.at("accessModes"), message));
    }
}

/// Source: `validateDataSource`, `validateDataSourceRef`.
fn sources(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for name in ["dataSource", "dataSourceRef"] {
        let Some(source) = one.object(name) else { continue };
        let read = |field: &str| source.get(field).and_then(Value::as_str).unwrap_or_default();
        let (group, kind) = (read("apiGroup"), read("kind"));
        if group.is_empty() && !kind.is_empty() && kind != "PersistentVolumeClaim" {
            let message = format!("a source of the kind `{kind}` needs `apiGroup`");
            found.push(Finding::error(one.at(name), message).at_key());
        }
        let mut forms = vec![("namespace", Format::Label)];
        // allowInvalidAPIGroupInDataSourceOrRef
        if one.schemas.minor() >= 31 {
            forms.push(("apiGroup", Format::Subdomain));
        }
        for (field, format) in forms.into_iter().filter(|(field, _)| !read(field).is_empty()) {
            if let Err(malformed) = format.check(read(field)) {
                found.push(Finding::error(step(&one.at(name), field), malformed.message));
            }
        }
    }
    if let (Some(source), Some(reference)) = (one.get("dataSource"), one.get("dataSourceRef"))
        // With a namespace it is dropped.
        && text(reference, "/namespace").is_empty()
        && ["apiGroup", "kind", "name"].iter().any(|field| source[*field] != reference[*field])
    {
        let message = "`dataSource` and `dataSourceRef` must be the same";
        found.push(Finding::error(one.at("dataSource"), message));
    }
}

/// Whether the server drops the source of a claim: it is neither a claim nor a snapshot.
/// Source: `EnforceDataSourceBackwardsCompatibility`.
pub(super) fn drops_source(claim: &Value) -> bool {
    let (group, kind) = (text(claim, "/spec/dataSource/apiGroup"), text(claim, "/spec/dataSource/kind"));
    !matches!((group, kind), ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot"))
}

/// Source: `ValidatePersistentVolumeSpec`.
fn volume(one: &Checked<'_>, found: &mut Vec<Finding>) {
    access_modes(one, found);
    if let Some(capacity) = one.object("capacity").filter(|capacity| !capacity.is_empty()) {
        found.extend(capacity.keys().filter(|name| *name != "storage").map(|name| {
            let finding =
                Finding::error(step(&one.at("capacity"), name), format!("a volume has no `{name}`"));
            finding.at_key().with_hint("write `storage`")
        }));
        let storage = capacity.get("storage").and_then(Quantity::of);
        if storage.is_some_and(|storage| storage.is_negative() || storage.is_zero()) {
            let pointer = step(&one.at("capacity"), "storage");
            found.push(Finding::error(pointer, "`storage` must be greater than 0"));
        }
    }
    let is_source = |shape: &Shape| matches!(shape, Shape::Type(_));
    let fields = one.schemas.fields_of(one.type_name).filter(|field| is_source(&field.shape));
    let names: Vec<&str> = fields.map(|field| field.name).collect();
    let sources: Vec<&str> =
        one.present(&names).into_iter().filter(|name| !["claimRef", "nodeAffinity"].contains(name)).collect();
    // A flexVolume counts, but the server does not see that it is the second.
    let others = sources.iter().copied().filter(|name| *name != "flexVolume").collect::<Vec<_>>();
    let sources = if others.is_empty() { sources } else { others };
    match sources[..] {
        [] if !one.has_unknown_field() => {
            found.push(one.missing("a volume needs a source").with_hint("write `csi`, `nfs`, `hostPath` …"));
        }
        [first, second, ..] => {
            let message = format!("a volume has one source, not `{first}` and `{second}`");
            found.push(Finding::error(one.at(second), message).at_key());
        }
        _ => {}
    }
    of_sources(one, found);
}

/// Source: `ValidatePersistentVolumeSpec`.
fn of_sources(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.get("local").is_some() && one.get("nodeAffinity").is_none() {
        found.push(one.missing("a local volume needs `nodeAffinity`"));
    }
    let root = one.object("hostPath").and_then(|path| path.get("path")?.as_str());
    if one.text("persistentVolumeReclaimPolicy") == "Recycle" && root.is_some_and(is_root) {
        let message = "the root of a node cannot be recycled";
        found.push(Finding::error(one.at("persistentVolumeReclaimPolicy"), message));
    }
    if one.get("volumeAttributesClassName").is_some() && one.get("csi").is_none() {
        let message = "`volumeAttributesClassName` needs `csi`";
        found.push(Finding::error(one.at("volumeAttributesClassName"), message).at_key());
    }
}

fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| ["", "."].contains(&part))
}

fn secret(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let kind = one.text("type");
    let has = |key: &str| {
        ["data", "stringData"]
            .iter()
            .any(|section| one.get(section).is_some_and(|map| map.get(key).is_some()))
    };
    let wanted = KEYS.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| keys);
    for key in wanted.iter().filter(|key| !has(key)) {
        found.push(one.missing(format!("a Secret of the type `{kind}` needs the key `{key}`")));
    }
    if kind == "kubernetes.io/basic-auth" && !has("username") && !has("password") {
        found.push(
            one.missing(format!("a Secret of the type `{kind}` needs the key `username` or `password`")),
        );
    }
    if kind == "kubernetes.io/ssh-auth"
        && has("ssh-privatekey")
        && value(one, "ssh-privatekey").is_some_and(|key| key.is_empty())
    {
        found.push(Finding::error(one.pointer, "`ssh-privatekey` cannot be empty"));
    }
    let account = one.object("metadata").and_then(|metadata| metadata.get("annotations"));
    let account = account.and_then(|all| all.get("kubernetes.io/service-account.name")?.as_str());
    if kind == "kubernetes.io/service-account-token" && account.unwrap_or_default().is_empty() {
        let message = format!(
            "a Secret of the type `{kind}` needs the annotation `kubernetes.io/service-account.name`"
        );
        found.push(one.missing(message));
    }
}

/// What a key holds in the end; `None` where that cannot be read.
fn value(one: &Checked<'_>, key: &str) -> Option<Vec<u8>> {
    let read = |section: &str| one.object(section).and_then(|map| map.get(key));
    if let Some(text) = read("stringData") {
        let text = if text.is_null() { "" } else { text.as_str()? };
        return Some(text.as_bytes().to_vec());
    }
    let encoded = read("data")?;
    let encoded = if encoded.is_null() { "" } else { encoded.as_str()? };
    decode(encoded)
}

/// The content is never told. Source: `ValidateSecret`.
fn docker_config(one: &Checked<'_>) -> Option<Finding> {
    let key = match one.text("type") {
        "kubernetes.io/dockerconfigjson" => ".dockerconfigjson",
        "kubernetes.io/dockercfg" => ".dockercfg",
        _ => return None,
    };
    let content = value(one, key)?;
    let is_json = serde_json::from_slice::<Option<Map<String, Value>>>(&content).is_ok();
    (!is_json).then(|| {
        let section = if one.get("stringData").is_some_and(|map| map.get(key).is_some()) {
            "stringData"
        } else {
            "data"
        };
        Finding::error(step(&one.at(section), key), format!("`{key}` is not a map in JSON"))
    })
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

/// Source: `ValidateTopologySelectorTerm`.
fn topologies(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let mut keys = HashSet::new();
    for (index, expression) in one.list("matchLabelExpressions").iter().enumerate() {
        let pointer = step(&one.at("matchLabelExpressions"), index);
        let key = text(expression, "/key");
        if !key.is_empty() && !keys.insert(key) {
            found.push(Finding::error(
                step(&pointer, "key"),
                format!("another expression has the key `{key}`"),
            ));
        }
        let mut values = HashSet::new();
        for (at, value) in list(expression, "/values").iter().enumerate() {
            if value.as_str().is_some_and(|value| !values.insert(value)) {
                found.push(Finding::error(
                    step(&step(&pointer, "values"), at),
                    "this value is already listed",
                ));
            }
        }
    }
}

/// No two terms are the same, and none is empty. Source: `validateAllowedTopologies`, which compares with as many empty ones.
fn terms(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let terms = one.list("allowedTopologies");
    for (index, term) in terms.iter().enumerate() {
        let pointer = step(&one.at("allowedTopologies"), index);
        if list(term, "/matchLabelExpressions").is_empty() {
            found.push(Finding::error(pointer, "a term needs `matchLabelExpressions`").at_key());
        } else if terms.iter().take(index).any(|other| other == term) {
            found.push(Finding::error(pointer, "this term is already listed"));
        }
    }
}

/// Source: `validateTokenRequests`, `validateServiceAccountTokenInSecrets`.
fn driver(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let mut audiences = HashSet::new();
    for (index, request) in one.list("tokenRequests").iter().enumerate() {
        let audience = text(request, "/audience");
        if !audiences.insert(audience) {
            let pointer = step(&step(&one.at("tokenRequests"), index), "audience");
            found.push(Finding::error(pointer, format!("the audience `{audience}` is already listed")));
        }
    }
    if one.get("serviceAccountTokenInSecrets").is_some() && one.list("tokenRequests").is_empty() {
        let message = "`serviceAccountTokenInSecrets` needs `tokenRequests`";
        found.push(Finding::error(one.at("serviceAccountTokenInSecrets"), message).at_key());
    }
}
