//! What autoscalers and disruption budgets are for.

use serde_json::Map;

use super::Referrer;
use crate::model::group;
use crate::model::kinds::is_of_kubernetes;
use crate::model::object::{kind, list, text};
use crate::schema::finding::Finding;
use crate::schema::rules;

/// Checks the target of an autoscaler or disruption budget.
pub(super) fn check(one: &Referrer<'_>, found: &mut Vec<Finding>) {
    match kind(one.object) {
        "HorizontalPodAutoscaler" => found.extend(autoscaler(one)),
        "PodDisruptionBudget" => found.extend(budget(one)),
        _ => {}
    }
}

fn autoscaler(one: &Referrer<'_>) -> Option<Finding> {
    let (target, name) =
        (text(one.object, "/spec/scaleTargetRef/kind"), text(one.object, "/spec/scaleTargetRef/name"));
    let group = group(text(one.object, "/spec/scaleTargetRef/apiVersion"));
    if !is_of_kubernetes(group) || !one.lacks(target, name) {
        return None;
    }
    let message = format!("{} no {target} `{name}`", one.index.set.have);
    Some(Finding::warning("/spec/scaleTargetRef/name", message).with_hint_if(one.near(target, name)))
}

fn budget(one: &Referrer<'_>) -> Option<Finding> {
    let selector = one.object.pointer("/spec/selector").filter(|selector| selector.is_object())?;
    let (none, no_labels) = (Map::new(), Map::new());
    let wanted = selector["matchLabels"].as_object().unwrap_or(&none);
    let expressions = list(selector, "/matchExpressions");
    // An empty one is for all pods of the namespace.
    if (wanted.is_empty() && expressions.is_empty()) || one.may_be_created() {
        return None;
    }
    let matches = one.pods().any(|pod| {
        let labels = pod.labels.unwrap_or(&no_labels);
        pod.has(wanted) && expressions.iter().all(|expression| rules::matches(expression, labels))
    });
    (!matches)
        .then(|| Finding::warning("/spec/selector", "the selector matches no pod of the manifests").at_key())
}
