//! Quotas, limits, overheads: names of resources, and how their amounts lie to each other.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::model::object::text;
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::{Format, Quantity};
use crate::schema::rules::Checked;
use crate::schema::rules::pod::{container_resource, integer};

/// `standardQuotaResources`.
const OF_QUOTAS: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
/// `integerResources`.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
/// `IsResourceQuotaScopeValidForResource`: what a quota for some pods can count.
const OF_PODS: [&str; 7] =
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const SECTIONS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// Checks an object if it limits something.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "core.v1.ResourceQuotaSpec" => {
            for (name, amount) in one.object("hard").into_iter().flatten() {
                let pointer = step(&one.at("hard"), name);
                found.extend(name_of_quota(name, &pointer));
                found.extend(amount_of_quota(name, amount, &pointer));
            }
            scopes(one, found);
        }
        "core.v1.ScopedResourceSelectorRequirement" => found.extend(scope_selector(one)),
        "core.v1.LimitRangeSpec" => types(one, found),
        "core.v1.LimitRangeItem" => {
            names(one, found);
            amounts(one, found);
        }
        "core.v1.PodSpec" => overhead(one, "overhead", found),
        _ => {}
    }
}

/// Source: `validateOverhead` of `pkg/apis/core/validation` and `pkg/apis/node/validation`.
pub(super) fn overhead(one: &Checked<'_>, field: &str, found: &mut Vec<Finding>) {
    for (name, amount) in one.object(field).into_iter().flatten() {
        let pointer = step(&one.at(field), name);
        found.extend(container_resource(name, &pointer));
        if Quantity::of(amount).is_some_and(Quantity::is_negative) {
            found.push(Finding::error(pointer, format!("`{name}` cannot be negative")));
        }
    }
}

/// Source: `ValidateResourceQuotaResourceName`.
fn name_of_quota(name: &str, pointer: &str) -> Option<Finding> {
    let finding = |message: String| Finding::error(pointer, message).at_key();
    if let Err(malformed) = Format::Qualified.check(name) {
        return Some(finding(malformed.message).with_hint_if(malformed.hint.map(ToOwned::to_owned)));
    }
    let is_huge = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    if name.contains('/') || is_huge || OF_QUOTAS.contains(&name) {
        return None;
    }
    let near = crate::text::nearest(name, OF_QUOTAS.into_iter());
    let known = "write `pods`, `requests.cpu`, `count/deployments.apps` …".to_owned();
    let hint = near.map_or(known, |near| format!("did you mean `{near}`?"));
    Some(finding(format!("a quota cannot count `{name}`")).with_hint(hint))
}

/// Source: `ValidateResourceQuantityValue`, `IsIntegerResourceName`.
fn amount_of_quota(name: &str, amount: &Value, pointer: &str) -> Option<Finding> {
    let amount = Quantity::of(amount)?;
    if amount.is_negative() {
        return Some(Finding::error(pointer, format!("`{name}` cannot be negative")));
    }
    let is_extended =
        name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.");
    ((is_extended || WHOLE.contains(&name)) && !amount.is_whole()).then(|| integer(name, pointer))
}

/// Source: `validateResourceQuotaScopes`, `validateScopedResourceSelectorRequirement`.
fn scopes(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let listed = one.list("scopes").iter().enumerate();
    let listed =
        listed.map(|(index, scope)| (step(&one.at("scopes"), index), scope.as_str().unwrap_or_default()));
    let selected =
        one.object("scopeSelector").and_then(|selector| selector.get("matchExpressions")?.as_array());
    let at = step(&one.at("scopeSelector"), "matchExpressions");
    let selected = selected.into_iter().flatten().enumerate();
    let selected =
        selected.map(|(index, scope)| (step(&step(&at, index), "scopeName"), text(scope, "/scopeName")));
    for group in [listed.collect::<Vec<_>>(), selected.collect()] {
        let all: Vec<&str> = group.iter().map(|(_, scope)| *scope).collect();
        for (pointer, scope) in group {
            if scope.is_empty() {
                found.push(Finding::error(pointer, "a scope cannot be empty"));
                continue;
            }
            let opposite = opposite(scope).filter(|opposite| all.contains(opposite));
            if let Some(opposite) = opposite {
                found.push(Finding::error(pointer, format!("`{scope}` and `{opposite}` exclude each other")));
                continue;
            }
            let is_counted = |name: &&String| OF_QUOTAS.contains(&name.as_str()) && !counts(scope, name);
            if let Some(name) = one.object("hard").into_iter().flat_map(|hard| hard.keys()).find(is_counted) {
                found.push(Finding::error(
                    pointer,
                    format!("a quota with the scope `{scope}` cannot count `{name}`"),
                ));
            }
        }
    }
}

fn opposite(scope: &str) -> Option<&'static str> {
    match scope {
        "BestEffort" => Some("NotBestEffort"),
        "NotBestEffort" => Some("BestEffort"),
        "Terminating" => Some("NotTerminating"),
        "NotTerminating" => Some("Terminating"),
        _ => None,
    }
}

/// Whether a quota with a scope can count a resource.
fn counts(scope: &str, name: &str) -> bool {
    match scope {
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => OF_PODS.contains(&name),
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => ["persistentvolumeclaims", "requests.storage"].contains(&name),
        _ => true,
    }
}

/// Source: `validateScopedResourceSelectorRequirement`.
fn scope_selector(one: &Checked<'_>) -> Option<Finding> {
    let (operator, scope, count) = (one.text("operator"), one.text("scopeName"), one.list("values").len());
    let is_plain =
        ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];
    if is_plain.contains(&scope) && !["", "Exists"].contains(&operator) {
        return Some(not_one_of(&one.at("operator"), operator, &["Exists"]));
    }
    let wanted = match operator {
        "In" | "NotIn" if count == 0 => "needs `values`",
        "Exists" | "DoesNotExist" if count > 0 => "has no `values`",
        _ => return None,
    };
    Some(one.missing(format!("the operator `{operator}` {wanted}")))
}

/// Source: `ValidateLimitRange`.
fn types(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    for (index, limit) in one.list("limits").iter().enumerate() {
        let kind = text(limit, "/type");
        if !kind.is_empty() && !seen.insert(kind) {
            let pointer = step(&step(&one.at("limits"), index), "type");
            found.push(Finding::error(pointer, format!("there is already an item for `{kind}`")));
        }
    }
}

/// Source: `validateLimitRangeTypeName`, `validateLimitRangeResourceName`.
fn names(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let kind = one.text("type");
    let known = ["Container", "PersistentVolumeClaim", "Pod"];
    let is_known = known.contains(&kind) || (kind.contains('/') && Format::Qualified.check(kind).is_ok());
    if !kind.is_empty() && !is_known {
        return found.push(not_one_of(&one.at("type"), kind, &known));
    }
    for section in ["default", "defaultRequest"] {
        if kind == "Pod" && one.object(section).is_some_and(|map| !map.is_empty()) {
            found.push(
                Finding::error(one.at(section), format!("limits for pods have no `{section}`")).at_key(),
            );
        }
    }
    if kind == "PersistentVolumeClaim" {
        let has = |section: &str| one.object(section).is_some_and(|map| map.contains_key("storage"));
        if !has("min") && !has("max") {
            found.push(one.missing("limits for claims need `storage` in `min` or `max`"));
        }
    }
    for section in SECTIONS {
        for name in one.object(section).into_iter().flat_map(Map::keys) {
            let pointer = step(&one.at(section), name);
            if ["Pod", "Container"].contains(&kind) {
                found.extend(container_resource(name, &pointer));
            } else if !["storage", "configmaps"].contains(&name.as_str()) {
                found.extend(name_of_quota(name, &pointer));
            }
        }
    }
}

/// Each amount, and which it cannot be greater than. Source: `ValidateLimitRange`.
const ORDER: [(&str, &str); 6] = [
    ("min", "max"),
    ("min", "defaultRequest"),
    ("defaultRequest", "max"),
    ("defaultRequest", "default"),
    ("min", "default"),
    ("default", "max"),
];

/// Source: `ValidateLimitRange`, after the defaults of `SetDefaults_LimitRangeItem`.
fn amounts(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let names: HashSet<&String> =
        SECTIONS.iter().filter_map(|section| one.object(section)).flat_map(Map::keys).collect();
    for name in names {
        let amount = |section: &str| one.object(section).and_then(|map| map.get(name)).and_then(Quantity::of);
        for (less, more) in ORDER {
            if let (Some(small), Some(great)) =
                (amount_or_default(one, less, name), amount_or_default(one, more, name))
                && small.is_greater(great)
            {
                let section = if amount(less).is_some() { less } else { more };
                let message = format!("`{less}` of `{name}` is greater than `{more}`");
                found.push(Finding::error(step(&one.at(section), name), message));
            }
        }
        let Some(ratio) = amount("maxLimitRequestRatio") else { continue };
        let pointer = step(&one.at("maxLimitRequestRatio"), name);
        let one_to_one = Quantity::read("1");
        if one_to_one.is_some_and(|least| least.is_greater(ratio)) {
            found.push(Finding::error(pointer, format!("the ratio of `{name}` is less than 1")));
        } else if let (Some(min), Some(max)) = (amount("min"), amount("max"))
            && ratio.ratio(Quantity::read("1").unwrap_or(ratio)) > max.ratio(min) * (1.0 + 1e-9)
        {
            found.push(Finding::error(
                pointer,
                format!("the ratio of `{name}` is greater than `max` to `min`"),
            ));
        }
    }
}

/// Of a container what is left out follows from the rest.
fn amount_or_default(one: &Checked<'_>, section: &str, name: &str) -> Option<Quantity> {
    let read = |section: &str| one.object(section).and_then(|map| map.get(name)).and_then(Quantity::of);
    if one.text("type") != "Container" {
        return read(section);
    }
    match section {
        "default" => read("default").or_else(|| read("max")),
        "defaultRequest" => {
            read("defaultRequest").or_else(|| read("default")).or_else(|| read("max")).or_else(|| read("min"))
        }
        other => read(other),
    }
}
