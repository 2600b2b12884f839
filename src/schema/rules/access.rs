//! The rules of roles and their bindings.

use super::Checked;
use crate::model::object::text;
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::Format;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Checks an object if it is about rights.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "rbac.v1.PolicyRule" => policy_rule(one, found),
        "rbac.v1.Role" => namespaced(one, found),
        // ValidateRoleBinding, ValidateClusterRoleBinding
        "rbac.v1.RoleBinding" => found.extend(role(one, &["Role", "ClusterRole"])),
        "rbac.v1.ClusterRoleBinding" => {
            found.extend(role(one, &["ClusterRole"]));
            subjects_without_namespace(one, found);
        }
        "rbac.v1.RoleRef" => {
            let group = one.text("apiGroup");
            if !["", GROUP].contains(&group) {
                found.push(not_one_of(&one.at("apiGroup"), group, &[GROUP]));
            }
        }
        "rbac.v1.Subject" => found.extend(subject(one)),
        _ => {}
    }
}

/// Source: `ValidatePolicyRule`.
fn policy_rule(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if !one.list("nonResourceURLs").is_empty() {
        for name in one.filled(&["apiGroups", "resources", "resourceNames"]) {
            let message = format!("a rule for `nonResourceURLs` cannot have `{name}`");
            found.push(Finding::error(one.at(name), message).at_key());
        }
        return;
    }
    for (name, hint) in
        [("apiGroups", "the core group is `\"\"`"), ("resources", "write them as in `pods/log`")]
    {
        if one.list(name).is_empty() {
            found.push(one.missing(format!("`{name}` is missing")).with_hint(hint));
        }
    }
}

/// Source: `ValidatePolicyRule`.
fn namespaced(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for (index, rule) in one.list("rules").iter().enumerate() {
        if rule["nonResourceURLs"].as_array().is_some_and(|urls| !urls.is_empty()) {
            let pointer = step(&step(&one.at("rules"), index), "nonResourceURLs");
            let finding = Finding::error(pointer, "a Role cannot have `nonResourceURLs`").at_key();
            found.push(finding.with_hint("only a ClusterRole can"));
        }
    }
}

fn role(one: &Checked<'_>, known: &[&str]) -> Option<Finding> {
    let kind = one.get("roleRef")?["kind"].as_str().filter(|kind| !kind.is_empty())?;
    let pointer = step(&one.at("roleRef"), "kind");
    (!known.contains(&kind)).then(|| not_one_of(&pointer, kind, known))
}

/// Source: `ValidateRoleBindingSubject`.
fn subject(one: &Checked<'_>) -> Option<Finding> {
    let (kind, group, name) = (one.text("kind"), one.text("apiGroup"), one.text("name"));
    match kind {
        "ServiceAccount" if !group.is_empty() => Some(
            Finding::error(one.at("apiGroup"), "the apiGroup of a ServiceAccount is empty")
                .with_hint("remove it"),
        ),
        "ServiceAccount" if !name.is_empty() => {
            let malformed = Format::Subdomain.check(name).err()?;
            Some(Finding::error(one.at("name"), malformed.message))
        }
        "" | "ServiceAccount" => None,
        "User" | "Group" => {
            (!["", GROUP].contains(&group)).then(|| not_one_of(&one.at("apiGroup"), group, &[GROUP]))
        }
        _ => Some(not_one_of(&one.at("kind"), kind, &["ServiceAccount", "User", "Group"])),
    }
}

/// Source: `ValidateRoleBindingSubject`.
fn subjects_without_namespace(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for (index, subject) in one.list("subjects").iter().enumerate() {
        if subject["kind"] == "ServiceAccount" && text(subject, "/namespace").is_empty() {
            found.push(Finding::error(step(&one.at("subjects"), index), "`namespace` is missing").at_key());
        }
    }
}
