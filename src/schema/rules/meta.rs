//! The rules of names and selectors.

use serde_json::Value;

use super::Checked;
use crate::model::group;
use crate::model::kinds::is_of_kubernetes;
use crate::model::object::{self, api_version, kind, list};
use crate::schema::finding::Finding;
use crate::schema::format::Format;
use crate::schema::version::Schemas;

/// `IsStandardFinalizerName`.
const FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Checks the name of an object by the rule of its kind. Source: `ValidateObjectMeta` with the function that each kind gives it.
pub(super) fn name(schemas: &Schemas, object: &Value, found: &mut Vec<Finding>) {
    let (name, kind) = (object::name(object), kind(object));
    if name.is_empty() {
        if object.pointer("/metadata/name").is_none_or(|name| name.is_null() || name.is_string()) {
            found.push(Finding::error("/metadata", "`metadata.name` is missing").at_key());
        }
        return;
    }
    let Some(format) = format_of(schemas, group(api_version(object)), kind) else { return };
    if let Err(malformed) = format.check(name) {
        let message = format!("`{name}` cannot be the name of a {kind}");
        let finding = Finding::error("/metadata/name", message);
        found.push(finding.with_hint_if(malformed.hint.map(ToOwned::to_owned)));
    } else if let Some(most) = longest(object, kind).filter(|most| name.len() > *most) {
        let message = format!("the name of a {kind} has at most {most} characters, not {}", name.len());
        found.push(Finding::error("/metadata/name", message));
    }
}

/// The form of a kind's names; `None` where it is not known.
fn format_of(schemas: &Schemas, group: &str, kind: &str) -> Option<Format> {
    match (group, kind) {
        // The pods of a StatefulSet have its name, as far as a label goes.
        ("", "Namespace") | ("apps", "StatefulSet") => Some(Format::Label),
        // RelaxedServiceNameValidation: a gate since 1.34.
        ("", "Service") => Some(if schemas.minor() >= 34 { Format::Label } else { Format::Label1035 }),
        // Of the last their names have rules of their own, or none but that of `BeforeCreate`.
        ("", "Event")
        | ("networking.k8s.io", "IPAddress")
        | (
            "rbac.authorization.k8s.io"
            | "policy"
            | "apiregistration.k8s.io"
            | "certificates.k8s.io"
            | "internal.apiserver.k8s.io",
            _,
        ) => Some(Format::PathSegment),
        _ => is_of_kubernetes(group).then_some(Format::Subdomain),
    }
}

/// Source: `ValidateCronJobCreate`; a Job's name becomes the label of its pods.
fn longest(object: &Value, kind: &str) -> Option<usize> {
    match kind {
        "CronJob" => Some(52),
        // With a selector of its own it sets no label.
        "Job" if !object::is_true(object, "/spec/manualSelector") => Some(63),
        _ => None,
    }
}

/// Checks a label selector's expressions. Source: `ValidateLabelSelectorRequirement`.
pub(super) fn selector(one: &Checked<'_>) -> Option<Finding> {
    if one.type_name != "meta.v1.LabelSelectorRequirement" {
        return None;
    }
    let (operator, count) = (one.text("operator"), one.list("values").len());
    let wanted = match operator {
        "In" | "NotIn" if count == 0 => "needs `values`",
        "Exists" | "DoesNotExist" if count > 0 => "has no `values`",
        _ => return None,
    };
    Some(one.missing(format!("the operator `{operator}` {wanted}")))
}

/// Checks what the metadata of an object says beside its name.
pub(super) fn owners_and_finalizers(object: &Value, found: &mut Vec<Finding>) {
    // Its metadata is not validated.
    if group(api_version(object)) == "policy" {
        return;
    }
    let owners = list(object, "/metadata/ownerReferences").iter().enumerate();
    for (index, _) in owners.filter(|(_, owner)| owner["controller"] == true).skip(1) {
        let pointer = format!("/metadata/ownerReferences/{index}/controller");
        found.push(Finding::error(pointer, "another owner is the controller already"));
    }
    finalizers(object, found);
}

/// Names without a domain are those of Kubernetes. Source: `ValidateFinalizers`, `validateKubeFinalizerName`.
fn finalizers(object: &Value, found: &mut Vec<Finding>) {
    // These do not ask whose a name is.
    let is_free = ["admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"]
        .contains(&group(api_version(object)));
    let names = list(object, "/metadata/finalizers");
    for (index, name) in names.iter().enumerate().filter_map(|(index, name)| Some((index, name.as_str()?))) {
        let pointer = format!("/metadata/finalizers/{index}");
        if let Err(malformed) = Format::Qualified.check(name) {
            found.push(Finding::error(pointer, malformed.message));
        } else if !is_free && !name.contains('/') && !FINALIZERS.contains(&name) {
            let finding = Finding::error(pointer, format!("`{name}` is not a finalizer of Kubernetes"));
            found.push(finding.with_hint("write `example.com/name`"));
        }
    }
    if ["orphan", "foregroundDeletion"].iter().all(|wanted| names.iter().any(|name| name == wanted)) {
        let message = "the finalizers `orphan` and `foregroundDeletion` exclude each other";
        found.push(Finding::error("/metadata/finalizers", message));
    }
}
