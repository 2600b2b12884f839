//! The rules of autoscalers and disruption budgets.

use super::Checked;
use crate::schema::finding::{Finding, not_one_of};

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
        }
        "autoscaling.v2.MetricSpec" => found.extend(metric(one)),
        "policy.v1.PodDisruptionBudgetSpec" => found.extend(both_bounds(one)),
        _ => {}
    }
}

/// Source: `validateHorizontalPodAutoscalerSpec`.
fn bounds(one: &Checked<'_>) -> Option<Finding> {
    let (least, most) = (one.get("minReplicas")?.as_i64()?, one.get("maxReplicas")?.as_i64()?);
    // 0 is refused for itself.
    (0 < most && most < least).then(|| {
        let message = format!("`maxReplicas` ({most}) is less than `minReplicas` ({least})");
        Finding::error(one.at("maxReplicas"), message)
    })
}

fn metric(one: &Checked<'_>) -> Option<Finding> {
    let name = one.text("type");
    let Some((_, field)) = METRICS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = METRICS.iter().map(|(known, _)| *known).collect();
        return (!name.is_empty()).then(|| not_one_of(&one.at("type"), name, &known));
    };
    one.get(field).is_none().then(|| one.missing(format!("a metric of the type `{name}` needs `{field}`")))
}

/// Source: `ValidatePodDisruptionBudgetSpec`.
fn both_bounds(one: &Checked<'_>) -> Option<Finding> {
    let has_both = one.present(&["minAvailable", "maxUnavailable"]).len() == 2;
    has_both.then(|| {
        let message = "a disruption budget has `minAvailable` or `maxUnavailable`, not both";
        Finding::error(one.at("maxUnavailable"), message).at_key()
    })
}
