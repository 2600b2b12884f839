//! Where a pod may run.

use serde_json::{Map, Value};

use crate::model::object::{list, text};
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::{Format, is_label_value};
use crate::schema::rules::Checked;

/// Source: `ValidateTolerations`.
pub(super) fn toleration(one: &Checked<'_>) -> Option<Finding> {
    let (operator, value) = (one.text("operator"), one.text("value"));
    if operator == "Exists" && !value.is_empty() {
        let message = "a toleration with the operator `Exists` has no `value`";
        return Some(Finding::error(one.at("value"), message).at_key());
    }
    if one.text("key").is_empty() && operator != "Exists" {
        return Some(one.missing("a toleration without a `key` needs the operator `Exists`"));
    }
    if one.get("tolerationSeconds").is_some() && one.text("effect") != "NoExecute" {
        let message = "`tolerationSeconds` needs the effect `NoExecute`";
        return Some(Finding::error(one.at("tolerationSeconds"), message).at_key());
    }
    if ["", "Equal"].contains(&operator) && !is_label_value(value) {
        let malformed = Format::LabelValue.check(value).err()?;
        return Some(
            Finding::error(one.at("value"), malformed.message)
                .with_hint_if(malformed.hint.map(ToOwned::to_owned)),
        );
    }
    None
}

/// Source: `ValidateNodeSelectorRequirement`, `ValidateNodeFieldSelectorRequirement`.
pub(super) fn node_selector(one: &Checked<'_>) -> Option<Finding> {
    let count = one.list("values").len();
    let operator = one.text("operator");
    let wanted = match operator {
        "In" | "NotIn" if count == 0 => "needs `values`",
        "Exists" | "DoesNotExist" if count > 0 => "has no `values`",
        "Gt" | "Lt" if count != 1 => "needs one value",
        _ => return None,
    };
    Some(one.missing(format!("the operator `{operator}` {wanted}")))
}

/// The fields of a node that are asked for: only its name. Source: `ValidateNodeFieldSelectorRequirement`.
pub(super) fn term(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for (index, field) in one.list("matchFields").iter().enumerate() {
        let pointer = step(&one.at("matchFields"), index);
        let (key, operator) = (text(field, "/key"), text(field, "/operator"));
        if !key.is_empty() && key != "metadata.name" {
            found.push(not_one_of(&step(&pointer, "key"), key, &["metadata.name"]));
            continue;
        }
        if !operator.is_empty() && !["In", "NotIn"].contains(&operator) {
            found.push(not_one_of(&step(&pointer, "operator"), operator, &["In", "NotIn"]));
        }
        let values = list(field, "/values");
        if values.len() > 1 {
            found.push(Finding::error(step(&pointer, "values"), "only one name of a node is allowed"));
        }
        for (index, name) in values.iter().enumerate() {
            let name = if name.is_null() { Some("") } else { name.as_str() };
            if let Some(Err(malformed)) = name.map(|name| Format::Subdomain.check(name)) {
                found.push(Finding::error(step(&step(&pointer, "values"), index), malformed.message));
            }
        }
    }
}

/// The values of labels that are asked for, where they must be met. Source: `ValidateNodeSelector`, since 1.33.
pub(super) fn required_terms(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.schemas.minor() < 33 {
        return;
    }
    for (index, term) in one.list("nodeSelectorTerms").iter().enumerate() {
        let pointer = step(&one.at("nodeSelectorTerms"), index);
        for (index, expression) in list(term, "/matchExpressions").iter().enumerate() {
            for (at, value) in list(expression, "/values").iter().enumerate() {
                if let Some(Err(malformed)) = value.as_str().map(|value| Format::LabelValue.check(value))
                    && !value.as_str().is_some_and(str::is_empty)
                {
                    let pointer = format!("{pointer}/matchExpressions/{index}/values/{at}");
                    found.push(Finding::error(pointer, malformed.message));
                }
            }
        }
    }
}

/// Source: `validateTopologySpreadConstraints`.
pub(super) fn spread(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.get("minDomains").is_some() && one.text("whenUnsatisfiable") != "DoNotSchedule" {
        let message = "`minDomains` needs `whenUnsatisfiable: DoNotSchedule`";
        found.push(Finding::error(one.at("minDomains"), message).at_key());
    }
    keys_of_labels(one, &["matchLabelKeys"], found);
}

/// Source: `validatePodAffinityTerm`.
pub(super) fn affinity_term(one: &Checked<'_>, found: &mut Vec<Finding>) {
    keys_of_labels(one, &["matchLabelKeys", "mismatchLabelKeys"], found);
    let matched = one.list("matchLabelKeys");
    for (index, key) in one.list("mismatchLabelKeys").iter().enumerate() {
        if matched.contains(key) {
            let pointer = step(&one.at("mismatchLabelKeys"), index);
            found.push(Finding::error(pointer, "this key is in `matchLabelKeys`, too"));
        }
    }
}

/// Keys of labels need a selector, and are not in it. Source: `ValidateMatchLabelKeysInTopologySpread`, `validateLabelKeys`.
fn keys_of_labels(one: &Checked<'_>, fields: &[&str], found: &mut Vec<Finding>) {
    for name in fields.iter().filter(|name| !one.list(name).is_empty()) {
        let Some(selector) = one.object("labelSelector") else {
            let message = format!("`{name}` needs `labelSelector`");
            found.push(Finding::error(one.at(name), message).at_key());
            continue;
        };
        if one.type_name != "core.v1.TopologySpreadConstraint" {
            continue;
        }
        for (index, key) in one.list(name).iter().enumerate() {
            if key.as_str().is_some_and(|key| selects(selector, key)) {
                let pointer = step(&one.at(name), index);
                found.push(Finding::error(pointer, "the `labelSelector` has this key, too"));
            }
        }
    }
}

fn selects(selector: &Map<String, Value>, key: &str) -> bool {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    labels.is_some_and(|labels| labels.contains_key(key))
        || expressions.is_some_and(|all| all.iter().any(|one| text(one, "/key") == key))
}
