//! The volumes of pods.

use serde_json::Value;

use super::duplicates;
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, step};
use crate::schema::format::Format;
use crate::schema::rules::Checked;
use crate::schema::rules::choice::at_most_one;
use crate::schema::rules::forms::range;
use crate::schema::table::Shape;

/// References to Secrets that must have a name, and whether they must have a namespace, too.
/// Source: `validateCSIVolumeSource`, `validatePVSecretReference`, `validateCinderPersistentVolumeSource` and their like.
const SECRETS: [(&str, &[&str], bool); 7] = [
    ("core.v1.CSIVolumeSource", &["nodePublishSecretRef"], false),
    ("core.v1.CinderVolumeSource", &["secretRef"], false),
    ("core.v1.StorageOSVolumeSource", &["secretRef"], false),
    ("core.v1.CinderPersistentVolumeSource", &["secretRef"], true),
    ("core.v1.StorageOSPersistentVolumeSource", &["secretRef"], true),
    ("core.v1.ISCSIPersistentVolumeSource", &["secretRef"], false),
    (
        "core.v1.CSIPersistentVolumeSource",
        &[
            "controllerPublishSecretRef",
            "controllerExpandSecretRef",
            "nodePublishSecretRef",
            "nodeExpandSecretRef",
        ],
        true,
    ),
];

/// Checks an object if it is a volume of a pod or of the cluster.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    secrets(one, found);
    match one.type_name {
        "core.v1.Volume" => found.extend(volume(one)),
        "core.v1.PersistentVolumeClaimTemplate" => claim_metadata(one, found),
        "core.v1.ProjectedVolumeSource" => projected(one, found),
        "core.v1.ClusterTrustBundleProjection" => found.extend(bundle(one)),
        // validateImageVolumeSource; before 1.37 of pods alone.
        "core.v1.ImageVolumeSource" if one.schemas.minor() >= 37 && one.text("reference").is_empty() => {
            found.push(one.missing("`reference` is missing"));
        }
        // validateFCVolumeSource
        "core.v1.FCVolumeSource" if !one.list("targetWWNs").is_empty() => match one.int("lun") {
            Some(lun) => found.extend(range(lun, 0, 255, &one.at("lun"))),
            None if one.get("lun").is_none() => found.push(one.missing("`targetWWNs` need `lun`")),
            None => {}
        },
        // validateISCSIVolumeSource
        "core.v1.ISCSIVolumeSource" | "core.v1.ISCSIPersistentVolumeSource"
            if (one.is("chapAuthDiscovery") || one.is("chapAuthSession"))
                && one.get("secretRef").is_none() =>
        {
            found.push(one.missing("authentication by CHAP needs `secretRef`"));
        }
        // validateAzureDisk; SetDefaults_AzureDiskVolumeSource: Shared
        "core.v1.AzureDiskVolumeSource" => found.extend(azure_disk(one)),
        "core.v1.FlexVolumeSource" | "core.v1.FlexPersistentVolumeSource" => flex(one, found),
        _ => {}
    }
}

fn secrets(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some((_, fields, needs_namespace)) = SECRETS.iter().find(|(name, ..)| *name == one.type_name) else {
        return;
    };
    for field in *fields {
        let Some(reference) = one.object(field) else { continue };
        let wanted: &[&str] = if *needs_namespace { &["name", "namespace"] } else { &["name"] };
        for name in
            wanted.iter().filter(|name| reference.get(**name).is_none_or(crate::schema::rules::is_empty))
        {
            found.push(Finding::error(one.at(field), format!("`{name}` is missing")).at_key());
        }
        if one.type_name.starts_with("core.v1.CSI") {
            forms(one, field, found);
        }
    }
}

fn forms(one: &Checked<'_>, field: &str, found: &mut Vec<Finding>) {
    let Some(reference) = one.object(field) else { return };
    for (name, format) in [("name", Format::Subdomain), ("namespace", Format::Label)] {
        let text = reference.get(name).and_then(Value::as_str).unwrap_or_default();
        if let Some(Err(malformed)) = (!text.is_empty()).then(|| format.check(text)) {
            let finding = Finding::error(step(&one.at(field), name), malformed.message);
            found.push(finding.with_hint_if(malformed.hint.map(ToOwned::to_owned)));
        }
    }
}

/// Source: `validateVolumeSource`: more than one source. None at all is an emptyDir.
fn volume(one: &Checked<'_>) -> Option<Finding> {
    let is_source = |shape: &Shape| matches!(shape, Shape::Type(_));
    let fields = one.schemas.fields_of(one.type_name).filter(|field| is_source(&field.shape));
    let names: Vec<&str> = fields.map(|field| field.name).collect();
    at_most_one(one, &names, "a volume")
}

/// A claim that a pod brings has labels and annotations, nothing else that is not zero.
/// Source: `validatePersistentVolumeClaimTemplateObjectMeta`.
fn claim_metadata(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let is_zero = |value: &Value| value.is_null() || *value == "" || *value == 0;
    let metadata = one.object("metadata").into_iter().flatten();
    let others = metadata.filter(|(name, _)| !["labels", "annotations"].contains(&name.as_str()));
    for (name, _) in others.filter(|(_, value)| !is_zero(value)) {
        let message = format!("the metadata of such a claim cannot have `{name}`");
        found.push(Finding::error(step(&one.at("metadata"), name), message).at_key());
    }
}

/// No two files have one path. Source: `validateProjectionSources`.
fn projected(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let mut paths = Vec::new();
    for (index, source) in one.list("sources").iter().enumerate() {
        let pointer = step(&one.at("sources"), index);
        for items in ["/secret/items", "/configMap/items", "/downwardAPI/items"] {
            for (at, item) in list(source, items).iter().enumerate() {
                paths.push((format!("{pointer}{items}/{at}/path"), text(item, "/path")));
            }
        }
        for path in [
            "/clusterTrustBundle/path",
            "/podCertificate/credentialBundlePath",
            "/podCertificate/keyPath",
            "/podCertificate/certificateChainPath",
        ] {
            paths.push((format!("{pointer}{path}"), text(source, path)));
        }
    }
    let paths = paths.into_iter().filter(|(_, path)| !path.is_empty());
    duplicates(paths, |path| format!("another file of the volume has the path `{path}`"), found);
}

/// Source: `validateProjectionSources`.
fn bundle(one: &Checked<'_>) -> Option<Finding> {
    let name = one.text("name");
    // With a colon it begins with a signer.
    if !name.is_empty()
        && !name.contains(':')
        && let Err(malformed) = Format::Subdomain.check(name)
    {
        return Some(Finding::error(one.at("name"), malformed.message));
    }
    let has_both = one.get("name").is_some() && one.get("labelSelector").is_some();
    has_both.then(|| {
        let message = "a trust bundle by `name` has no `labelSelector`";
        Finding::error(one.at("labelSelector"), message).at_key()
    })
}

fn azure_disk(one: &Checked<'_>) -> Option<Finding> {
    let uri = one.text("diskURI");
    let wanted = if one.text("kind") == "Managed" { "/subscriptions/" } else { "https://" };
    (!uri.is_empty() && !uri.starts_with(wanted)).then(|| {
        let kind = Some(one.text("kind")).filter(|kind| !kind.is_empty()).unwrap_or("Shared");
        let message = format!("the URI of a disk of the kind `{kind}` begins with `{wanted}`");
        Finding::error(one.at("diskURI"), message)
    })
}

/// Source: `validateFlexVolumeSource`.
fn flex(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for key in one.object("options").into_iter().flat_map(|options| options.keys()) {
        let domain =
            format!(".{}", key.split_once('/').map_or(key.as_str(), |(domain, _)| domain).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let pointer = step(&one.at("options"), key);
            found.push(Finding::error(pointer, format!("`{key}` belongs to Kubernetes")).at_key());
        }
    }
}

/// Source: `validateMountRecursiveReadOnly`.
pub(super) fn mount(one: &Checked<'_>) -> Option<Finding> {
    if !["Enabled", "IfPossible"].contains(&one.text("recursiveReadOnly")) {
        return None;
    }
    let why = if !one.is("readOnly") {
        "needs `readOnly: true`"
    } else if !["", "None"].contains(&one.text("mountPropagation")) {
        "needs the mountPropagation `None`"
    } else {
        return None;
    };
    Some(Finding::error(one.at("recursiveReadOnly"), format!("`recursiveReadOnly` {why}")))
}
