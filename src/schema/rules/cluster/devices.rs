//! Claims of devices.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::object::{list, text};
use crate::schema::finding::{Finding, step};
use crate::schema::format::Format;
use crate::schema::rules::Checked;

/// Checks an object if it claims devices.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "resource.v1.DeviceClaim" => claim(one, found),
        "resource.v1.DeviceRequest" => duplicates(one, "firstAvailable", found),
        "resource.v1.DeviceConstraint" => attribute(one, found),
        // validateDeviceToleration
        "resource.v1.DeviceToleration"
            if one.text("operator") == "Exists" && !one.text("value").is_empty() =>
        {
            let message = "a toleration with the operator `Exists` has no `value`";
            found.push(Finding::error(one.at("value"), message).at_key());
        }
        "resource.v1.DeviceClassSpec" => found.extend(extended_resource(one)),
        // validateDeviceAllocationMode
        "resource.v1.ExactDeviceRequest" | "resource.v1.DeviceSubRequest"
            if one.text("allocationMode") == "All" && one.int("count").unwrap_or_default() != 0 =>
        {
            found.push(
                Finding::error(one.at("count"), "`count` needs the allocationMode `ExactCount`").at_key(),
            );
        }
        _ => {}
    }
}

/// Source: `validateDeviceClaim`, `validateRequestNameRef`.
fn claim(one: &Checked<'_>, found: &mut Vec<Finding>) {
    duplicates(one, "requests", found);
    let mut known: HashSet<String> = HashSet::new();
    for request in one.list("requests") {
        known.insert(text(request, "/name").to_owned());
        let parts = list(request, "/firstAvailable").iter();
        known.extend(parts.map(|part| format!("{}/{}", text(request, "/name"), text(part, "/name"))));
    }
    for section in ["constraints", "config"] {
        for (index, item) in one.list(section).iter().enumerate() {
            let mut seen = HashSet::new();
            for (at, name) in list(item, "/requests").iter().enumerate() {
                let pointer = format!("{}/requests/{at}", step(&one.at(section), index));
                let name = name.as_str().unwrap_or_default();
                if !known.contains(name) {
                    found.push(Finding::error(pointer, format!("the claim has no request `{name}`")));
                } else if !seen.insert(name) {
                    found.push(Finding::error(pointer, format!("`{name}` is already listed")));
                }
            }
        }
    }
}

fn duplicates(one: &Checked<'_>, field: &str, found: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    for (index, item) in one.list(field).iter().enumerate() {
        let name = text(item, "/name");
        if !name.is_empty() && !seen.insert(name) {
            let pointer = step(&step(&one.at(field), index), "name");
            found.push(Finding::error(pointer, format!("another item is named `{name}`")));
        }
    }
}

/// Source: `validateFullyQualifiedName`.
fn attribute(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for name in ["matchAttribute", "distinctAttribute"] {
        let Some(written) = one.get(name).and_then(Value::as_str).filter(|written| !written.is_empty())
        else {
            continue;
        };
        // With more than one `/` it is not looked at.
        let is_right = written.matches('/').count() > 1
            || written.split_once('/').is_some_and(|(domain, id)| {
                domain.len() <= 63
                    && Format::Subdomain.check(domain).is_ok()
                    && id.len() <= 32
                    && Format::Identifier.check(id).is_ok()
            });
        if !is_right {
            let finding = Finding::error(
                one.at(name),
                format!("`{}` is not a full name", written.chars().take(80).collect::<String>()),
            );
            found.push(finding.with_hint("write `example.com/name`"));
        }
    }
}

/// Source: `validateDeviceClassSpec`, `IsExtendedResourceName`.
fn extended_resource(one: &Checked<'_>) -> Option<Finding> {
    let name = one.get("extendedResourceName")?.as_str()?;
    let is_own = name.starts_with("requests.")
        || name.split_once('/').is_none_or(|(domain, _)| domain.ends_with("kubernetes.io"));
    (is_own || Format::Qualified.check(name).is_err()).then(|| {
        let finding =
            Finding::error(one.at("extendedResourceName"), format!("`{name}` is not an extended resource"));
        finding.with_hint("write `example.com/gpu`")
    })
}
