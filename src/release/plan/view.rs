//! How a plan is shown.

use serde_json::Value;

use super::drift::Added;
use super::{Action, Plan, PlanStep, restart};
use crate::model::ObjectRef;
use crate::report::view;
use crate::report::view::drift::AddedField;
use crate::report::view::plan::PlannedObject;

impl Plan {
    /// One line: `3 to create, 1 to change, 12 unchanged`.
    pub(crate) fn sentence(&self) -> String {
        self.counted(["to create", "to change", "to recreate", "to run", "to prune"])
    }

    /// The same once it is done: `3 created, 1 changed, 12 unchanged`.
    pub(crate) fn result(&self) -> String {
        self.counted(["created", "changed", "recreated", "run", "pruned"])
    }

    fn counted(&self, [create, change, recreate, run, prune]: [&str; 5]) -> String {
        let words = [
            (Action::Create, create),
            (Action::Change, change),
            (Action::Recreate, recreate),
            (Action::Run, run),
            (Action::Prune, prune),
            (Action::Leave, "no longer in the manifests, kept"),
            (Action::Keep, "unchanged"),
        ];
        let parts: Vec<String> = words
            .into_iter()
            .map(|(action, word)| (self.count(action), word))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }

    /// The plan for people and machines.
    pub(crate) fn view(&self) -> view::plan::Plan {
        let with = |object: &Value, action| PlannedObject::new(ObjectRef::of(object), action);
        let steps = self.steps.iter().map(|step| self.planned(step));
        let pruned = self.prune.iter().map(|object| with(object, Action::Prune));
        let left = self.left.iter().map(|left| PlannedObject {
            because: Some(left.why.to_owned()),
            ..with(&left.object, Action::Leave)
        });
        view::plan::Plan {
            has_changes: self.has_changes(),
            objects: steps.chain(pruned).chain(left).collect(),
            sentence: self.sentence(),
        }
    }

    fn planned(&self, step: &PlanStep) -> PlannedObject {
        PlannedObject {
            object: ObjectRef::of(&step.wanted.object),
            action: step.action,
            changes: step.changes.clone(),
            restarts: restart::reasons(self, step),
            taken: step.taken.clone(),
            drift: step.drift().map(AddedField::from).collect(),
            removes_drift: step.removes_drift,
            others: step.others().map(AddedField::from).collect(),
            because: step.because.clone(),
        }
    }
}

impl From<&Added> for AddedField {
    fn from(added: &Added) -> Self {
        Self {
            field: added.field.clone(),
            live: added.shown.clone(),
            manager: added.manager.clone(),
            time: added.time,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Taken, Wanted};
    use std::sync::Arc;

    use super::*;
    use crate::manifest::Phase;
    use crate::model::FieldChange;
    use crate::release::plan::drift::fields::tests::added_by_two;
    use crate::release::plan::prune::KeptObject;
    use crate::report::view::plan::tests::whole;

    fn object(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}})
    }

    fn step(kind: &str, name: &str, action: Action) -> PlanStep {
        let wanted =
            Wanted { object: object(kind, name).into(), phase: Phase::Settings, origin: None, values: None };
        PlanStep::new(wanted, action, None)
    }

    /// A plan with every kind of step.
    fn plan() -> Plan {
        let change = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let mut map = step("ConfigMap", "web", Action::Change);
        map.changes = vec![
            change("data.LOG_LEVEL", Some("info"), Some("debug")),
            change("data.NEW", None, Some("1")),
            change("data.OLD", Some("1"), None),
        ];
        let mut web = step("Deployment", "web", Action::Change);
        Arc::make_mut(&mut web.wanted.object)["spec"]["template"]["spec"]["volumes"] =
            json!([{"configMap": {"name": "web"}}]);
        web.changes =
            vec![change("spec.template.metadata.annotations[windlass.dev/config]", Some("1"), Some("2"))];
        web.taken = vec![Taken { manager: "kubectl-edit".into(), field: "spec.replicas".into() }];
        let mut db = step("StatefulSet", "db", Action::Recreate);
        db.because = Some("spec.serviceName cannot be changed".into());
        Plan {
            steps: vec![
                step("Service", "new", Action::Create),
                map,
                step("Job", "migrate", Action::Run),
                web,
                db,
                step("Service", "same", Action::Keep),
            ],
            prune: vec![object("Ingress", "old")],
            left: vec![KeptObject { object: object("PersistentVolumeClaim", "data"), why: "it holds data" }],
            owned: 7,
            ..Plan::default()
        }
    }

    #[test]
    fn what_is_shown_of_a_plan_is_all_that_changes() {
        let mut plan = plan();
        let added = added_by_two();
        let mut removed = step("Deployment", "cleaned", Action::Change);
        (removed.added, removed.removes_drift) = (added.clone(), true);
        let mut kept = step("Deployment", "drifted", Action::Keep);
        kept.added = added;
        plan.steps.extend([removed, kept]);
        assert_eq!(plan.view(), whole());
        assert_eq!(Plan::default().view().sentence, "nothing");
    }
}
