//! `plan`: what a release would change, field by field.

use serde_json::{Value, json};

use super::drift::AddedField;
use super::{View, object_json};
use crate::model::{Action, FieldChange, ObjectRef, Taken};
use crate::report::style;

/// What a release would change.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// Whether anything would be changed.
    pub(crate) has_changes: bool,
    /// In the order in which they are applied; behind them what is pruned, and what is left.
    pub(crate) objects: Vec<PlannedObject>,
    /// `1 to create, 2 to change, 4 unchanged`
    pub(crate) sentence: String,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedObject {
    pub(crate) object: ObjectRef,
    pub(crate) action: Action,
    pub(crate) changes: Vec<FieldChange>,
    /// Why its pods restart; empty where they do not.
    pub(crate) restarts: Vec<String>,
    /// What was edited by hand and is taken back.
    pub(crate) taken: Vec<Taken>,
    /// What a person added by hand.
    pub(crate) drift: Vec<AddedField>,
    /// Whether that is removed, and so among the changes.
    pub(crate) removes_drift: bool,
    /// What controllers added.
    pub(crate) others: Vec<AddedField>,
    /// Why it must be recreated, or is left.
    pub(crate) because: Option<String>,
}

impl PlannedObject {
    /// An object of which no more is known.
    pub(crate) fn new(object: ObjectRef, action: Action) -> Self {
        Self {
            object,
            action,
            changes: Vec::new(),
            restarts: Vec::new(),
            taken: Vec::new(),
            drift: Vec::new(),
            removes_drift: false,
            others: Vec::new(),
            because: None,
        }
    }
}

impl View for Plan {
    fn to_json(&self) -> Value {
        let objects: Vec<Value> = self.objects.iter().map(PlannedObject::to_json).collect();
        json!({"changes": self.has_changes, "objects": objects})
    }

    /// What stays is only counted.
    fn to_text(&self) -> String {
        let changed = self.objects.iter().filter(|one| one.action != Action::Keep);
        let mut lines: Vec<String> = changed.flat_map(PlannedObject::lines).collect();
        lines.extend(self.objects.iter().flat_map(PlannedObject::added_lines));
        lines.push(self.sentence.clone());
        lines.join("\n") + "\n"
    }
}

impl PlannedObject {
    fn to_json(&self) -> Value {
        let mut line = object_json(&self.object);
        line["namespace"] = json!(self.object.namespace);
        line["action"] = json!(self.action);
        line["changes"] = json!(self.changes);
        let added = |all: &[AddedField]| all.iter().map(AddedField::to_json).collect::<Value>();
        let facts = [
            ("restarts", !self.restarts.is_empty(), json!(self.restarts)),
            ("takenBack", !self.taken.is_empty(), json!(self.taken)),
            ("drift", !self.drift.is_empty(), added(&self.drift)),
            ("others", !self.others.is_empty(), added(&self.others)),
            ("because", self.because.is_some(), json!(self.because)),
        ];
        for (key, _, value) in facts.into_iter().filter(|(_, is_known, _)| *is_known) {
            line[key] = value;
        }
        line
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![headline(self.action, &self.object.id())];
        lines.extend(self.because.iter().map(|because| format!("      {because}")));
        lines.extend(self.changes.iter().flat_map(change_lines));
        lines.extend(taken_lines(&self.taken));
        if !self.restarts.is_empty() {
            let restarts = format!("{} restarts: {}", self.object.name, self.restarts.join(", "));
            lines.push(format!("      {}", style::doubtful(&restarts)));
        }
        lines
    }

    /// What others added to a pod template and what stays there: `drift` a person's, `others` that of controllers.
    fn added_lines(&self) -> Vec<String> {
        let of_kind = |title: &str, fields: &[AddedField]| {
            let head = (!fields.is_empty()).then(|| format!("  {title:<10} {}", self.object.id()));
            head.into_iter()
                .chain(fields.iter().map(|one| format!("      {}", one.line())))
                .collect::<Vec<_>>()
        };
        let drift = if self.removes_drift { &[] } else { self.drift.as_slice() };
        [of_kind("drift", drift), of_kind("others", &self.others)].concat()
    }
}

fn headline(action: Action, name: &str) -> String {
    match action {
        Action::Create => format!("{} {name}", style::good("+ create  ")),
        Action::Change => format!("{} {name}", style::doubtful("~ change  ")),
        Action::Recreate => format!("{} {name}", style::doubtful("± recreate")),
        Action::Run => format!("{} {name}", style::command("> run     ")),
        Action::Prune => format!("{} {name}", style::bad("- prune   ")),
        Action::Leave => format!("  leave      {name}"),
        Action::Keep => format!("  keep       {name}"),
    }
}

fn change_lines(change: &FieldChange) -> Vec<String> {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => vec![
            format!("      {}", change.field),
            format!("        {} {before}", style::bad("-")),
            format!("        {} {after}", style::good("+")),
        ],
        (None, Some(after)) => vec![format!("      {} {}: {after}", style::good("+"), change.field)],
        (Some(before), None) => vec![format!("      {} {}: {before}", style::bad("-"), change.field)],
        (None, None) => Vec::new(),
    }
}

/// `taken back from kubectl-edit: spec.replicas, spec.paused`
fn taken_lines(taken: &[Taken]) -> Vec<String> {
    let mut managers: Vec<&str> = taken.iter().map(|one| one.manager.as_str()).collect();
    managers.dedup();
    let line = |manager: &str| {
        let of_one = taken.iter().filter(|one| one.manager == manager);
        let fields: Vec<&str> = of_one.map(|one| one.field.as_str()).collect();
        style::doubtful(&format!("taken back from {manager}: {}", fields.join(", ")))
    };
    managers.into_iter().map(|manager| format!("      {}", line(manager))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::drift::tests::{by_hand, by_mesh};
    use crate::report::view::tests::shown;

    pub(crate) fn planned(kind: &str, name: &str, action: Action) -> PlannedObject {
        PlannedObject::new(ObjectRef::new("v1", kind, name).in_namespace("shop"), action)
    }

    /// A plan with every kind of step.
    fn plan() -> Plan {
        let change = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let changes = vec![
            change("data.LOG_LEVEL", Some("info"), Some("debug")),
            change("data.NEW", None, Some("1")),
            change("data.OLD", Some("1"), None),
        ];
        let config = "spec.template.metadata.annotations[windlass.dev/config]";
        let web = PlannedObject {
            changes: vec![change(config, Some("1"), Some("2"))],
            restarts: vec!["ConfigMap/web LOG_LEVEL and 2 other keys changed".to_owned()],
            taken: vec![Taken { manager: "kubectl-edit".into(), field: "spec.replicas".into() }],
            ..planned("Deployment", "web", Action::Change)
        };
        let because = |because: &str, object| PlannedObject { because: Some(because.to_owned()), ..object };
        Plan {
            has_changes: true,
            objects: vec![
                planned("Service", "new", Action::Create),
                PlannedObject { changes, ..planned("ConfigMap", "web", Action::Change) },
                planned("Job", "migrate", Action::Run),
                web,
                because("spec.serviceName cannot be changed", planned("StatefulSet", "db", Action::Recreate)),
                planned("Service", "same", Action::Keep),
                planned("Ingress", "old", Action::Prune),
                because("it holds data", planned("PersistentVolumeClaim", "data", Action::Leave)),
            ],
            sentence: "1 to create, 2 to change, 1 to recreate, 1 to run, 1 to prune, \
                       1 no longer in the manifests, kept, 1 unchanged"
                .to_owned(),
        }
    }

    /// The same, with what others added.
    pub(crate) fn whole() -> Plan {
        let mut plan = plan();
        let with = |object| PlannedObject { drift: vec![by_hand()], others: vec![by_mesh()], ..object };
        let removed = with(planned("Deployment", "cleaned", Action::Change));
        let kept = with(planned("Deployment", "drifted", Action::Keep));
        plan.objects.splice(6..6, [PlannedObject { removes_drift: true, ..removed }, kept]);
        plan.sentence =
            plan.sentence.replace("2 to change", "3 to change").replace("1 unchanged", "2 unchanged");
        plan
    }

    #[test]
    fn people_read_every_kind_of_step() {
        let text = anstream::adapter::strip_str(&plan().to_text()).to_string();
        insta::assert_snapshot!("plan", text);
    }

    #[test]
    fn a_plan_is_read_by_people_and_machines() {
        insta::assert_snapshot!("whole", shown(&whole()));
        let nothing = Plan { sentence: "nothing".to_owned(), ..Plan::default() };
        insta::assert_snapshot!("nothing", shown(&nothing));
    }
}
