//! The rules of names and selectors.

use serde_json::Value;

use super::Checked;
use crate::model::group;
use crate::model::kinds::is_of_kubernetes;
use crate::model::object::{self, api_version, kind};
use crate::schema::finding::Finding;
use crate::schema::format::Format;
use crate::schema::version::Schemas;

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
        let message = format!("{} as the name of a {kind}", malformed.message);
        let finding = Finding::error("/metadata/name", message);
        found.push(finding.with_hint_if(malformed.hint.map(ToOwned::to_owned)));
    } else if let Some(most) = longest(kind).filter(|most| name.len() > *most) {
        let message = format!("the name of a {kind} has at most {most} letters, not {}", name.len());
        found.push(Finding::error("/metadata/name", message));
    }
}

/// The form of a kind's names; `None` where it is not known.
fn format_of(schemas: &Schemas, group: &str, kind: &str) -> Option<Format> {
    match (group, kind) {
        ("", "Namespace") => Some(Format::Label),
        // RelaxedServiceNameValidation: a gate since 1.34.
        ("", "Service") if schemas.minor() >= 34 => Some(Format::Label),
        ("", "Service") => Some(Format::Label1035),
        ("rbac.authorization.k8s.io", _) => Some(Format::PathSegment),
        // Their names have rules of their own, or none.
        ("networking.k8s.io", "IPAddress")
        | (
            "apiregistration.k8s.io"
            | "certificates.k8s.io"
            | "coordination.k8s.io"
            | "internal.apiserver.k8s.io",
            _,
        ) => None,
        _ => is_of_kubernetes(group).then_some(Format::Subdomain),
    }
}

/// Source: `ValidateCronJobCreate`; a Job's name becomes the label of its pods.
fn longest(kind: &str) -> Option<usize> {
    match kind {
        "CronJob" => Some(52),
        "Job" => Some(63),
        _ => None,
    }
}

/// Checks a label selector's expressions. Source: `ValidateLabelSelectorRequirement`.
pub(super) fn selector(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.type_name != "meta.v1.LabelSelectorRequirement" {
        return;
    }
    let (operator, count) = (one.text("operator"), one.list("values").len());
    let wanted = match operator {
        "In" | "NotIn" if count == 0 => "needs `values`",
        "Exists" | "DoesNotExist" if count > 0 => "has no `values`",
        _ => return,
    };
    found.push(one.missing(format!("the operator `{operator}` {wanted}")));
}
