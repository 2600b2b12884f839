//! Admission webhooks and policies.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::object::{list, text};
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::Format;
use crate::schema::rules::Checked;

/// Checks an object if it is about admission.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "admissionregistration.v1.ValidatingWebhook" | "admissionregistration.v1.MutatingWebhook" => {
            versions(one, "admissionReviewVersions", found);
        }
        "admissionregistration.v1.RuleWithOperations"
        | "admissionregistration.v1.NamedRuleWithOperations" => {
            rule(one, found);
        }
        "admissionregistration.v1.ValidatingAdmissionPolicySpec"
        | "admissionregistration.v1.MutatingAdmissionPolicySpec" => policy(one, found),
        "admissionregistration.v1.ValidatingAdmissionPolicy" => audit(one, found),
        "admissionregistration.v1.Mutation" => found.extend(mutation(one)),
        "admissionregistration.v1.ParamKind" => found.extend(param_kind(one)),
        "admissionregistration.v1.Validation" | "admissionregistration.v1.MatchCondition" => {
            texts(one, found);
        }
        "admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec" => {
            let actions = one.list("validationActions");
            if ["Deny", "Warn"].iter().all(|wanted| actions.iter().any(|action| action == wanted)) {
                let message = "`Deny` and `Warn` mean the same";
                found.push(Finding::error(one.at("validationActions"), message));
            }
        }
        _ => {}
    }
}

/// One of the versions is known. Source: `validateAdmissionReviewVersions`, `validateConversionReviewVersions`.
pub(in crate::schema::rules) fn versions(one: &Checked<'_>, name: &str, found: &mut Vec<Finding>) {
    let versions: Vec<&str> =
        one.list(name).iter().map(|version| version.as_str().unwrap_or_default()).collect();
    for (index, version) in versions.iter().enumerate() {
        if versions.iter().take(index).any(|other| other == version) {
            found.push(Finding::error(step(&one.at(name), index), format!("`{version}` is already listed")));
        }
    }
    if !versions.is_empty() && !versions.iter().any(|version| ["v1", "v1beta1"].contains(version)) {
        found.push(Finding::error(one.at(name), "one of the versions must be `v1` or `v1beta1`"));
    }
}

/// `*` stands alone. Source: `validateRule`, `validateResources`, `validateRuleWithOperations`.
fn rule(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for name in ["apiGroups", "apiVersions", "operations"] {
        let items = one.list(name);
        if items.len() > 1 && items.iter().any(|item| item == "*") {
            found.push(Finding::error(one.at(name), format!("`*` must be the only item in `{name}`")));
        }
    }
    for name in ["apiVersions", "resources"] {
        for (index, item) in one.list(name).iter().enumerate() {
            if crate::schema::rules::is_empty(item) {
                found.push(Finding::error(step(&one.at(name), index), "the item is empty"));
            }
        }
    }
    resources(one, found);
    let names: Vec<&Value> = one.list("resourceNames").iter().collect();
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|other| other == name) {
            found.push(Finding::error(step(&one.at("resourceNames"), index), "this name is already listed"));
        }
    }
}

fn resources(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let resources: Vec<&str> = one.list("resources").iter().filter_map(Value::as_str).collect();
    let pointer = one.at("resources");
    if resources.len() > 1 && resources.contains(&"*/*") {
        found.push(Finding::error(pointer.as_str(), "`*/*` must be the only item"));
    }
    let has_plain = resources.iter().rfind(|name| !name.contains('/')).is_some_and(|name| *name != "*");
    if resources.contains(&"*") && has_plain {
        found.push(Finding::error(pointer.as_str(), "`*` must be the only item without a subresource"));
    }
    let (mut all_of, mut of_all) = (HashSet::new(), HashSet::new());
    for (index, (resource, part)) in
        resources.iter().enumerate().filter_map(|(index, name)| Some((index, name.split_once('/')?)))
    {
        if all_of.contains(resource) || of_all.contains(part) {
            let message = format!("`{resource}/{part}` is already covered by another item");
            found.push(Finding::error(step(&pointer, index), message));
        }
        if part == "*" {
            all_of.insert(resource);
        }
        if resource == "*" {
            of_all.insert(part);
        }
    }
}

/// Source: `validateValidatingAdmissionPolicySpec`, `validateMutatingAdmissionPolicySpec`.
fn policy(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some(constraints) = one.object("matchConstraints").filter(|map| !map.is_empty()) else { return };
    let rules = constraints.get("resourceRules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if rules.is_empty() {
        found.push(Finding::error(one.at("matchConstraints"), "`resourceRules` is missing").at_key());
    }
    if !one.type_name.ends_with("MutatingAdmissionPolicySpec") {
        return;
    }
    for (index, rule) in rules.iter().enumerate() {
        for (at, _) in list(rule, "/operations").iter().enumerate().filter(|(_, name)| *name == "DELETE") {
            let pointer = format!("{}/matchConstraints/resourceRules/{index}/operations/{at}", one.pointer);
            found.push(not_one_of(&pointer, "DELETE", &["*", "CONNECT", "CREATE", "UPDATE"]));
        }
    }
}

/// The keys of annotations begin with the name of the policy. Source: `validateAuditAnnotation`.
fn audit(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let name = one.get("metadata").map_or("", |metadata| text(metadata, "/name"));
    let annotations = one.get("spec").map_or(&[][..], |spec| list(spec, "/auditAnnotations"));
    let mut seen = HashSet::new();
    for (index, key) in
        annotations.iter().enumerate().map(|(index, annotation)| (index, text(annotation, "/key")))
    {
        let pointer = format!("{}/spec/auditAnnotations/{index}/key", one.pointer);
        if !key.is_empty() && !seen.insert(key) {
            found.push(Finding::error(pointer, format!("the annotation `{key}` already exists")));
        } else if !key.is_empty()
            && let Err(malformed) = Format::Qualified.check(&format!("{name}/{key}"))
        {
            found.push(Finding::error(pointer, malformed.message));
        }
    }
}

/// Source: `validateMutation`.
fn mutation(one: &Checked<'_>) -> Option<Finding> {
    let (wanted, other) = match one.text("patchType") {
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        _ => return None,
    };
    let kind = one.text("patchType");
    if one.get(wanted).is_none() {
        return Some(one.missing(format!("the patchType `{kind}` needs `{wanted}`")));
    }
    one.get(other)?;
    Some(Finding::error(one.at(other), format!("the patchType `{kind}` has no `{other}`")).at_key())
}

/// Source: `validateParamKind`.
fn param_kind(one: &Checked<'_>) -> Option<Finding> {
    let text = one.text("apiVersion");
    let (group, version) = text.split_once('/').unwrap_or(("", text));
    let is_group = group.is_empty() || Format::Subdomain.check(group).is_ok();
    let is_right = text.is_empty() || (is_group && Format::Label1035.check(version).is_ok());
    (!is_right).then(|| {
        let finding = Finding::error(one.at("apiVersion"), format!("`{text}` is not a valid `apiVersion`"));
        finding.with_hint("write `v1` or `rules.example.com/v1`")
    })
}

/// What is there says something. Source: `validateValidation`, `validateMatchCondition`.
fn texts(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for name in ["expression", "messageExpression", "message"] {
        let written = one.text(name);
        if !written.is_empty() && written.trim().is_empty() {
            found.push(Finding::error(one.at(name), format!("`{name}` is only blanks")));
        }
    }
    if one.text("message").trim().contains(['\n', '\r']) {
        found.push(Finding::error(one.at("message"), "`message` is one line"));
    }
}
