//! Why pods restart: what changed in their template, and if the configuration hash changed, which key of which object.

use crate::manifest;
use crate::model::ObjectId;
use crate::release::plan::{Action, Plan, PlanStep};

/// The field of the configuration hash.
const CONFIGURATION: &str = "spec.template.metadata.annotations[windlass.dev/config]";
/// At most this many reasons are shown.
const SAID: usize = 4;

/// Why the pods of a step restart, each reason in a few words; empty if they do not.
pub(crate) fn reasons(plan: &Plan, step: &PlanStep) -> Vec<String> {
    if !restarts_by_itself(step) {
        return Vec::new();
    }
    let of_template = step.changes.iter().filter(|change| change.field.starts_with("spec.template"));
    let mut reasons = Vec::new();
    for change in of_template {
        if change.field == CONFIGURATION {
            reasons.extend(of_configuration(plan, step));
        } else {
            reasons.push(format!("{} changed", words(&change.field)));
        }
    }
    let more = reasons.len().saturating_sub(SAID);
    if more > 0 {
        reasons.truncate(SAID);
        reasons.push(format!("{more} more changes"));
    }
    reasons
}

/// Whether it is a workload whose controller replaces its pods when the template changes.
fn restarts_by_itself(step: &PlanStep) -> bool {
    let object = &step.wanted.object;
    let on_delete = ["/spec/updateStrategy/type"]
        .iter()
        .any(|pointer| object.pointer(pointer).is_some_and(|kind| kind == "OnDelete"));
    let is_workload = ["Deployment", "StatefulSet", "DaemonSet"].iter().any(|kind| object["kind"] == *kind);
    step.action == Action::Change && is_workload && !on_delete && object["spec"]["paused"] != true
}

fn words(field: &str) -> String {
    let field = field
        .strip_prefix("spec.template.spec.")
        .or_else(|| field.strip_prefix("spec.template."))
        .unwrap_or(field);
    let image = field.strip_prefix("containers[").and_then(|rest| rest.strip_suffix("].image"));
    image.map_or_else(|| field.to_owned(), |container| format!("image of {container}"))
}

/// What changed in the `ConfigMaps` and Secrets that the pods refer to: `ConfigMap/web LOG_LEVEL changed`.
fn of_configuration(plan: &Plan, workload: &PlanStep) -> Vec<String> {
    let referred = manifest::referred_settings(&workload.wanted.object);
    let namespace = workload.wanted.id().namespace;
    let is_referred = |id: &ObjectId| {
        id.group.is_empty()
            && id.namespace == namespace
            && referred.iter().any(|(kind, name)| *kind == id.kind && *name == id.name)
    };
    let changed =
        plan.steps.iter().filter(|step| step.action != Action::Keep && is_referred(&step.wanted.id()));
    let mut reasons: Vec<String> = changed.filter_map(of_settings).collect();
    let gone = plan.prune.iter().map(ObjectId::of).filter(is_referred);
    reasons.extend(gone.map(|id| format!("{id} goes")));
    if reasons.is_empty() {
        reasons.push("what its configuration refers to changed".to_owned());
    }
    reasons
}

fn of_settings(step: &PlanStep) -> Option<String> {
    let id = step.wanted.id();
    if step.action != Action::Change {
        return Some(format!("{id} is new"));
    }
    let keys: Vec<&str> = step.changes.iter().filter_map(|change| key(&change.field)).collect();
    match keys.as_slice() {
        [] => None,
        [first] => Some(format!("{id} {first} changed")),
        [first, second] => Some(format!("{id} {first} and {second} changed")),
        [first, others @ ..] => Some(format!("{id} {first} and {} other keys changed", others.len())),
    }
}

/// The key in `data.LOG_LEVEL` or `binaryData[logo.png]`.
fn key(field: &str) -> Option<&str> {
    let rest = field.strip_prefix("data").or_else(|| field.strip_prefix("binaryData"))?;
    rest.strip_prefix('.').or_else(|| rest.strip_prefix('[')?.strip_suffix(']'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::Phase;
    use crate::model::FieldChange;
    use crate::release::plan::Wanted;

    fn step(object: Value, action: Action, fields: &[&str]) -> PlanStep {
        let change = |field: &&str| FieldChange {
            field: (*field).to_owned(),
            before: Some("a".into()),
            after: Some("b".into()),
        };
        let wanted = Wanted { object: object.into(), phase: Phase::Workloads, origin: None, values: None };
        PlanStep { changes: fields.iter().map(change).collect(), ..PlanStep::new(wanted, action, None) }
    }

    fn web(spec: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    }

    fn map(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}})
    }

    #[test]
    fn the_key_that_changed_is_the_reason() {
        let pod = json!({"template": {"spec": {"containers": [
            {"name": "web", "envFrom": [{"configMapRef": {"name": "web"}}, {"configMapRef": {"name": "new"}}]},
        ]}}});
        let workload =
            step(web(&pod), Action::Change, &[CONFIGURATION, "spec.template.spec.containers[web].image"]);
        let steps = vec![
            step(map("web"), Action::Change, &["data.LOG_LEVEL", "metadata.labels.x"]),
            step(map("new"), Action::Create, &[]),
            step(map("other"), Action::Change, &["data.X"]),
            workload.clone(),
        ];
        let plan = Plan { steps, ..Plan::default() };
        assert_eq!(
            reasons(&plan, &workload),
            ["ConfigMap/web LOG_LEVEL changed", "ConfigMap/new is new", "image of web changed"]
        );
    }

    #[test]
    fn what_leaves_the_template_alone_restarts_nothing() {
        let plan = Plan::default();
        assert!(reasons(&plan, &step(web(&json!({})), Action::Change, &["spec.replicas"])).is_empty());
        let strategy = json!({"updateStrategy": {"type": "OnDelete"}});
        let image = ["spec.template.spec.containers[web].image"];
        assert!(reasons(&plan, &step(web(&strategy), Action::Change, &image)).is_empty());
        assert!(reasons(&plan, &step(map("x"), Action::Change, &image)).is_empty());
    }

    #[test]
    fn keys_with_dots_are_read_too() {
        assert_eq!(key("data[app.conf]"), Some("app.conf"));
        assert_eq!(key("data.A"), Some("A"));
        assert_eq!(key("metadata.labels.A"), None);
    }
}
