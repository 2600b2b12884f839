//! A plan as people and machines read it.

use serde_json::{Value, json};

use super::plan::{Action, Plan, Step, Taken};
use crate::model::{FieldChange, ObjectId};
use crate::release::plan::drift::Added;
use crate::release::plan::{drift, restart};
use crate::report::style;

impl Plan {
    /// One line: `3 to create, 1 to change, 12 unchanged`.
    pub fn sentence(&self) -> String {
        let words = [
            (Action::Create, "to create"),
            (Action::Change, "to change"),
            (Action::Recreate, "to recreate"),
            (Action::Run, "to run"),
            (Action::Prune, "to prune"),
            (Action::Leave, "no longer wanted but left"),
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

    /// The plan for machines.
    pub fn to_json(&self) -> Value {
        let steps = self.steps.iter().map(|step| {
            let mut line = entry(&step.wanted.object, step.action, &step.changes);
            let restarts = restart::reasons(self, step);
            let facts = [
                ("restarts", (!restarts.is_empty()).then(|| json!(restarts))),
                ("takenBack", (!step.taken.is_empty()).then(|| json!(step.taken))),
                ("drift", step.drift().next().map(|_| step.drift().map(drift::to_json).collect())),
                ("others", step.others().next().map(|_| step.others().map(drift::to_json).collect())),
                ("because", step.because.as_ref().map(|because| json!(because))),
            ];
            for (key, value) in facts {
                if let Some(value) = value {
                    line[key] = value;
                }
            }
            line
        });
        let prune = self.prune.iter().map(|object| entry(object, Action::Prune, &[]));
        let left = self.left.iter().map(|left| {
            let mut line = entry(&left.object, Action::Leave, &[]);
            line["because"] = left.why.into();
            line
        });
        json!({
            "changes": self.has_changes(),
            "objects": steps.chain(prune).chain(left).collect::<Vec<_>>(),
        })
    }

    /// The plan for people: what changes, field by field; what stays is only counted.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for step in self.steps.iter().filter(|step| step.action != Action::Keep) {
            lines.extend(self.step_lines(step));
        }
        for object in &self.prune {
            lines.push(headline(Action::Prune, &ObjectId::of(object).to_string()));
        }
        for left in &self.left {
            lines.push(headline(Action::Leave, &ObjectId::of(&left.object).to_string()));
            lines.push(format!("      {}", left.why));
        }
        lines.extend(self.steps.iter().flat_map(added_lines));
        lines.push(self.sentence());
        lines.join("\n") + "\n"
    }

    fn step_lines(&self, step: &Step) -> Vec<String> {
        let mut lines = vec![headline(step.action, &step.wanted.id().to_string())];
        lines.extend(step.because.iter().map(|because| format!("      {because}")));
        lines.extend(step.changes.iter().flat_map(change_lines));
        lines.extend(taken_lines(&step.taken));
        let restarts = restart::reasons(self, step);
        if !restarts.is_empty() {
            let name = step.wanted.id().name;
            lines.push(format!(
                "      {}",
                style::doubtful(&format!("{name} restarts: {}", restarts.join(", ")))
            ));
        }
        lines
    }
}

/// What others added to a pod template and what stays there: `drift` a person's, `others` that of controllers.
fn added_lines(step: &Step) -> Vec<String> {
    let of_kind = |title: &str, fields: Vec<&Added>| {
        let lines = fields.into_iter().map(|one| format!("      {}", drift::line(one)));
        let head = format!("  {title:<10} {}", step.wanted.id());
        let lines: Vec<String> = lines.collect();
        if lines.is_empty() { lines } else { [head].into_iter().chain(lines).collect() }
    };
    let drift = if step.removes_drift { Vec::new() } else { step.drift().collect() };
    [of_kind("drift", drift), of_kind("others", step.others().collect())].concat()
}

fn entry(object: &Value, action: Action, changes: &[FieldChange]) -> Value {
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "namespace": object.pointer("/metadata/namespace"),
        "name": object.pointer("/metadata/name"),
        "action": action,
        "changes": changes,
    })
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
mod tests {
    use super::super::plan::Wanted;
    use super::*;
    use crate::manifest::Phase;
    use crate::release::plan::drift::fields::tests::added_by_two;
    use crate::release::plan::prune::KeptObject;
    use crate::report::view::tests::both;

    fn object(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}})
    }

    fn step(kind: &str, name: &str, action: Action) -> Step {
        let wanted = Wanted { object: object(kind, name), phase: Phase::Settings, place: None, values: None };
        Step::new(wanted, action, None)
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
        web.wanted.object["spec"]["template"]["spec"]["volumes"] = json!([{"configMap": {"name": "web"}}]);
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
    fn people_read_every_kind_of_step() {
        let plan = plan();
        let text = anstream::adapter::strip_str(&plan.to_text()).to_string();
        insta::assert_snapshot!("plan", text);
        let json = plan.to_json();
        assert_eq!(json["objects"][3]["restarts"][0], "ConfigMap/web LOG_LEVEL and 2 other keys changed");
        assert_eq!(json["objects"][3]["takenBack"][0]["field"], "spec.replicas");
        assert_eq!(json["objects"][7]["action"], "leave");
    }

    #[test]
    fn a_plan_is_read_by_people_and_machines() {
        let mut plan = plan();
        let added = added_by_two();
        let mut removed = step("Deployment", "cleaned", Action::Change);
        (removed.added, removed.removes_drift) = (added.clone(), true);
        let mut kept = step("Deployment", "drifted", Action::Keep);
        kept.added = added;
        plan.steps.extend([removed, kept]);
        insta::assert_snapshot!("whole", both(&plan.to_text(), &plan.to_json()));
        insta::assert_snapshot!("nothing", both(&Plan::default().to_text(), &Plan::default().to_json()));
    }
}
