//! The rules of autoscalers and disruption budgets.

use serde_json::Value;

use super::Checked;
use super::pod::container_resource;
use crate::model::object::text;
use crate::schema::finding::{Finding, not_one_of, step};

/// The types of a metric, and the field that each needs. Source: `validateMetricSpec`.
const METRICS: [(&str, &str); 5] = [
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("Pods", "pods"),
    ("Object", "object"),
    ("External", "external"),
];

/// Checks an object if it scales something.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "autoscaling.v1.HorizontalPodAutoscalerSpec" | "autoscaling.v2.HorizontalPodAutoscalerSpec" => {
            found.extend(bounds(one));
            found.extend(to_zero(one));
            found.extend(group_of_target(one));
        }
        "autoscaling.v2.MetricSpec" => {
            found.extend(metric(one));
            found.extend(target(one));
        }
        "autoscaling.v2.ContainerResourceMetricSource" => {
            let name = one.text("name");
            let checked = (!name.is_empty()).then(|| container_resource(name, &one.at("name")));
            found.extend(checked.flatten());
        }
        // validateScalingRules: left out, they have defaults.
        "autoscaling.v2.HPAScalingRules"
            if one.get("policies").and_then(Value::as_array).is_some_and(Vec::is_empty) =>
        {
            found.push(Finding::error(one.at("policies"), "at least one policy is needed"));
        }
        "policy.v1.PodDisruptionBudgetSpec" => found.extend(both_bounds(one)),
        _ => {}
    }
}

/// Source: `validateHorizontalPodAutoscalerSpec`.
fn bounds(one: &Checked<'_>) -> Option<Finding> {
    let (least, most) = (one.int("minReplicas")?, one.int("maxReplicas")?);
    // 0 is refused for itself.
    (0 < most && most < least).then(|| {
        let message = format!("`maxReplicas` ({most}) is less than `minReplicas` ({least})");
        Finding::error(one.at("maxReplicas"), message)
    })
}

/// With 0 pods nothing of a pod can be measured; before 1.36 this is behind a gate. Source: `validateMetrics`.
fn to_zero(one: &Checked<'_>) -> Option<Finding> {
    if one.int("minReplicas")? != 0 {
        return None;
    }
    let measures_others = |metric: &Value| ["Object", "External"].contains(&text(metric, "/type"));
    if one.list("metrics").iter().any(measures_others) {
        return None;
    }
    let finding =
        Finding::error(one.at("minReplicas"), "0 pods need a metric of the type `Object` or `External`");
    Some(finding.with_hint("write 1 or more"))
}

/// What is scaled is of a group, all but `ReplicationControllers`. Source: `ValidateAPIVersion`, since 1.33.
fn group_of_target(one: &Checked<'_>) -> Option<Finding> {
    let target = one.get("scaleTargetRef").filter(|target| target.is_object())?;
    let version = text(target, "/apiVersion");
    let is_of_core = !version.contains('/') && text(target, "/kind") != "ReplicationController";
    (is_of_core && one.schemas.minor() >= 33).then(|| {
        let pointer = one.at("scaleTargetRef");
        let finding = match version {
            "" => Finding::error(pointer, "`apiVersion` is missing").at_key(),
            other => Finding::error(step(&pointer, "apiVersion"), format!("`{other}` names no API group")),
        };
        finding.with_hint("write `apps/v1` for a Deployment")
    })
}

/// Source: `validateMetricSpec`.
fn metric(one: &Checked<'_>) -> Option<Finding> {
    let name = one.text("type");
    let Some((_, field)) = METRICS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = METRICS.iter().map(|(known, _)| *known).collect();
        return (!name.is_empty()).then(|| not_one_of(&one.at("type"), name, &known));
    };
    if one.get(field).is_none() {
        return Some(one.missing(format!("a metric of the type `{name}` needs `{field}`")));
    }
    let fields: Vec<&str> = METRICS.iter().map(|(_, field)| *field).collect();
    let other = one.present(&fields).into_iter().find(|other| other != field)?;
    Some(
        Finding::error(one.at(other), format!("a metric of the type `{name}` cannot have `{other}`"))
            .at_key(),
    )
}

/// Source: `validateResourceSource`, `validatePodsSource`, `validateObjectSource`, `validateExternalSource`.
fn target(one: &Checked<'_>) -> Option<Finding> {
    let (name, source) = METRICS.iter().find_map(|(_, field)| Some((*field, one.object(field)?)))?;
    let target = source.get("target").filter(|target| target.is_object())?;
    let (wanted, is_exclusive): (&[&str], bool) = match name {
        "resource" | "containerResource" => (&["averageUtilization", "averageValue"], true),
        "pods" => (&["averageValue"], false),
        "external" => (&["value", "averageValue"], true),
        _ => (&["value", "averageValue"], false),
    };
    let pointer = step(&one.at(name), "target");
    let present: Vec<&&str> = wanted.iter().filter(|name| !target[**name].is_null()).collect();
    match present[..] {
        [] => {
            let message = format!("the target needs {}", crate::schema::finding::one_of(wanted));
            Some(Finding::error(pointer, message).at_key())
        }
        [first, second] if is_exclusive => {
            let message = format!("the target has `{first}` and `{second}`; one is allowed");
            Some(Finding::error(step(&pointer, second), message).at_key())
        }
        _ => None,
    }
}

/// Source: `ValidatePodDisruptionBudgetSpec`.
fn both_bounds(one: &Checked<'_>) -> Option<Finding> {
    let has_both = one.present(&["minAvailable", "maxUnavailable"]).len() == 2;
    has_both.then(|| {
        let message = "a disruption budget has `minAvailable` or `maxUnavailable`, not both";
        Finding::error(one.at("maxUnavailable"), message).at_key()
    })
}
