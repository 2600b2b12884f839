//! The rules of CustomResourceDefinitions.

mod schema;

use std::collections::HashSet;

use serde_json::Value;

use super::Checked;
use crate::model::object::{api_version, kind, name, text};
use crate::schema::finding::{Finding, one_of, step};
use crate::schema::format::Format;

pub(super) use super::cluster::versions;

/// Checks an object if it is a part of a definition.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "apiextensions.v1.CustomResourceDefinitionSpec" => {
            stored(one, found);
            group(one, found);
        }
        "apiextensions.v1.CustomResourceDefinitionVersion" => {
            found.extend(deprecation(one));
            selectable(one, found);
        }
        "apiextensions.v1.CustomResourceValidation" => {
            if let Some(root) = one.get("openAPIV3Schema") {
                schema::check(root, &one.at("openAPIV3Schema"), found);
            }
        }
        "apiextensions.v1.CustomResourceConversion" => conversion(one, found),
        "apiextensions.v1.WebhookConversion" => versions(one, "conversionReviewVersions", found),
        "apiextensions.v1.CustomResourceDefinitionNames"
            if one.text("kind") == one.text("listKind") && !one.text("kind").is_empty() =>
        {
            found.push(Finding::error(one.at("listKind"), "`kind` and `listKind` cannot be the same"));
        }
        "apiextensions.v1.CustomResourceSubresourceScale" => scale(one, found),
        _ => {}
    }
}

/// The name of a definition says what it defines. Source: `ValidateCustomResourceDefinition`.
pub(super) fn object(object: &Value, found: &mut Vec<Finding>) {
    if (api_version(object), kind(object)) != ("apiextensions.k8s.io/v1", "CustomResourceDefinition") {
        return;
    }
    let (plural, group) = (text(object, "/spec/names/plural"), text(object, "/spec/group"));
    let wanted = format!("{plural}.{group}");
    if !name(object).is_empty() && name(object) != wanted {
        let finding = Finding::error("/metadata/name", format!("the name must be `{wanted}`"));
        found.push(finding.with_hint("it is the plural, a dot and the group"));
    }
}

/// Source: `validateCustomResourceDefinitionSpec`.
fn stored(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let versions = one.list("versions");
    let stored = versions.iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        let message = format!("{stored} versions have `storage: true`; exactly one must");
        found.push(Finding::error(one.at("versions"), message));
    }
    let mut names = HashSet::new();
    for (index, version) in versions.iter().enumerate() {
        let name = text(version, "/name");
        if !name.is_empty() && !names.insert(name) {
            let pointer = step(&step(&one.at("versions"), index), "name");
            found.push(Finding::error(pointer, format!("another version is named `{name}`")));
        }
    }
    if one.is("preserveUnknownFields") {
        let message = "`preserveUnknownFields` cannot be true any more";
        let finding = Finding::error(one.at("preserveUnknownFields"), message);
        found.push(finding.with_hint("set `x-kubernetes-preserve-unknown-fields` in the schema"));
    }
}

/// Source: `validateCustomResourceDefinitionSpec`.
fn group(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let group = one.text("group");
    if !group.is_empty() && !group.contains('.') {
        let message = format!("`{group}` has no dot: a group is a domain");
        found.push(Finding::error(one.at("group"), message).with_hint("write `example.com`"));
    }
}

/// Source: `validateDeprecationWarning`.
fn deprecation(one: &Checked<'_>) -> Option<Finding> {
    let warning = one.get("deprecationWarning")?.as_str()?;
    let why = if !one.is("deprecated") {
        "`deprecationWarning` needs `deprecated: true`"
    } else if warning.is_empty() {
        "`deprecationWarning` cannot be empty"
    } else if warning.len() > 256 {
        "`deprecationWarning` has at most 256 bytes"
    } else if warning.chars().any(char::is_control) {
        "`deprecationWarning` is one line"
    } else {
        return None;
    };
    Some(Finding::error(one.at("deprecationWarning"), why))
}

/// Source: `ValidateCustomResourceSelectableFields`.
fn selectable(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let root = one.get("schema").and_then(|schema| schema.get("openAPIV3Schema"));
    let mut seen = HashSet::new();
    for (index, field) in one.list("selectableFields").iter().enumerate() {
        let path = text(field, "/jsonPath");
        let pointer = step(&step(&one.at("selectableFields"), index), "jsonPath");
        let kind = root.and_then(|root| schema::type_at(root, path));
        let why = match kind {
            _ if path.is_empty() => continue,
            _ if path.starts_with(".metadata") => "it leads into the metadata".to_owned(),
            None => format!("`{path}` leads to no field of the schema"),
            Some("string" | "boolean" | "integer") if seen.insert(path) => continue,
            Some("string" | "boolean" | "integer") => format!("`{path}` is already listed"),
            Some(_) => format!("`{path}` is neither a string nor a boolean nor an integer"),
        };
        found.push(Finding::error(pointer, why));
    }
}

/// Source: `validateCustomResourceConversion`.
fn conversion(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let is_asked = one.text("strategy") == "Webhook";
    let Some(webhook) = one.object("webhook") else {
        if is_asked {
            found.push(one.missing("the strategy `Webhook` needs `webhook`"));
        }
        return;
    };
    let has = |name: &str| webhook.get(name).is_some_and(|value| !super::is_empty(value));
    let parts = ["conversionReviewVersions", "clientConfig"];
    if is_asked {
        let missing = parts.into_iter().filter(|name| !has(name));
        found.extend(
            missing.map(|name| Finding::error(one.at("webhook"), format!("`{name}` is missing")).at_key()),
        );
    } else if one.text("strategy") == "None" && parts.into_iter().any(has) {
        let message = "the strategy `None` has no `webhook`";
        found.push(Finding::error(one.at("webhook"), message).at_key());
    }
}

/// Source: `ValidateCustomResourceDefinitionSubresources`.
fn scale(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let paths: [(&str, &[&str]); 3] = [
        ("specReplicasPath", &[".spec."]),
        ("statusReplicasPath", &[".status."]),
        ("labelSelectorPath", &[".spec.", ".status."]),
    ];
    for (name, roots) in paths {
        let path = one.text(name);
        let is_right =
            Format::JsonPath.check(path).is_ok() && roots.iter().any(|root| path.starts_with(root));
        if !path.is_empty() && !is_right {
            found.push(Finding::error(
                one.at(name),
                format!("`{path}` does not lead below {}", one_of(roots)),
            ));
        }
    }
}
