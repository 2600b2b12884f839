//! The rules of roles and their bindings.

use super::Checked;
use crate::schema::finding::{Finding, not_one_of, step};

/// Checks an object if it is about rights.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "rbac.v1.PolicyRule" => policy_rule(one, found),
        // ValidateRoleBinding, ValidateClusterRoleBinding
        "rbac.v1.RoleBinding" => found.extend(role(one, &["Role", "ClusterRole"])),
        "rbac.v1.ClusterRoleBinding" => {
            found.extend(role(one, &["ClusterRole"]));
            subjects_without_namespace(one, found);
        }
        "rbac.v1.Subject" => {
            let (kind, known) = (one.text("kind"), ["ServiceAccount", "User", "Group"]);
            if !kind.is_empty() && !known.contains(&kind) {
                found.push(not_one_of(&one.at("kind"), kind, &known));
            }
        }
        _ => {}
    }
}

/// Source: `ValidatePolicyRule`.
fn policy_rule(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if !one.list("nonResourceURLs").is_empty() {
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

fn role(one: &Checked<'_>, known: &[&str]) -> Option<Finding> {
    let kind = one.get("roleRef")?["kind"].as_str().filter(|kind| !kind.is_empty())?;
    let pointer = step(&one.at("roleRef"), "kind");
    (!known.contains(&kind)).then(|| not_one_of(&pointer, kind, known))
}

/// Source: `ValidateRoleBindingSubject`.
fn subjects_without_namespace(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for (index, subject) in one.list("subjects").iter().enumerate() {
        let namespace = subject["namespace"].as_str().unwrap_or_default();
        if subject["kind"] == "ServiceAccount" && namespace.is_empty() {
            found.push(Finding::error(step(&one.at("subjects"), index), "`namespace` is missing").at_key());
        }
    }
}
