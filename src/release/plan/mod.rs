//! What a release would change, decided object by object from the wanted, the live and the last applied state. The
//! decision is pure; requests to the cluster are in [`crate::release::plan::planner`].

pub(crate) mod checks;
pub(crate) mod claims;
pub(crate) mod difference;
pub(crate) mod drift;
pub(crate) mod dry_run;
pub(crate) mod jobs;
pub(crate) mod namespaces;
pub(crate) mod planner;
pub(crate) mod prune;
pub(crate) mod redaction;
pub(crate) mod restart;
mod view;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::Conflict;
use crate::error::Error;
use crate::manifest::{Origin, Phase};
pub(crate) use crate::model::{Action, Taken};
use crate::model::{FieldChange, ObjectId, group, job};
use crate::record::content::STAMPS;
use crate::record::{Applied, JobRun, Record};
use crate::release::plan::drift::Added;
use crate::release::plan::prune::KeptObject;
use crate::release::plan::redaction::SecretValues;
use crate::schema::Finding;

/// An object as the manifests or a record want it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The object to send, without the annotations that differ from release to release; shared with the watch and the
    /// record.
    pub object: Arc<Value>,
    /// When it is applied.
    pub phase: Phase,
    /// Where it was written; `None` for a recorded object.
    pub origin: Option<Origin>,
    /// The values of a Secret of the configuration; the object has only their hashes.
    pub values: Option<SecretValues>,
}

impl Wanted {
    /// Its identity.
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId::of(&self.object)
    }

    /// The object as it is sent.
    pub(crate) fn sent(&self) -> Cow<'_, Value> {
        match &self.values {
            Some(values) => Cow::Owned(values.in_place(&self.object)),
            None => Cow::Borrowed(&self.object),
        }
    }
}

/// One object of a plan.
#[derive(Debug, Clone)]
pub(crate) struct PlanStep {
    /// The object.
    pub wanted: Wanted,
    /// What happens to it.
    pub action: Action,
    /// The fields in which it differs from the live object.
    pub changes: Vec<FieldChange>,
    /// The live object, if there is one.
    pub live: Option<Arc<Value>>,
    /// The result of the dry run.
    pub tried: Option<Arc<Value>>,
    /// Fields that were edited by hand and are taken over.
    pub taken: Vec<Taken>,
    /// Why it must be recreated.
    pub because: Option<String>,
    /// Its owner, if it already exists and no release of the tier created it.
    pub foreign: Option<String>,
    /// What others added to its pod template.
    pub added: Vec<Added>,
    /// Whether fields added by hand are removed, because of `--override drift`.
    pub removes_drift: bool,
    /// Whether this user may not change it, so that there was no dry run: its fields are compared with those of the
    /// last release.
    pub untried: bool,
}

impl PlanStep {
    /// A step of which nothing else is known.
    pub(crate) fn new(wanted: Wanted, action: Action, live: Option<&Arc<Value>>) -> Self {
        Self {
            wanted,
            action,
            live: live.cloned(),
            changes: Vec::new(),
            tried: None,
            taken: Vec::new(),
            because: None,
            foreign: None,
            added: Vec::new(),
            removes_drift: false,
            untried: false,
        }
    }

    /// Whether the release changes it.
    pub(crate) fn is_changed(&self) -> bool {
        self.action != Action::Keep
    }

    /// The finding as an error at its line in the manifest; `None` for an object without one.
    pub(crate) fn mistake(&self, finding: &Finding) -> Option<Error> {
        self.wanted.origin.as_ref().map(|origin| origin.mistake(finding))
    }

    /// The fields that a person added by hand.
    pub(crate) fn drift(&self) -> impl Iterator<Item = &Added> {
        self.added.iter().filter(|one| one.by_hand)
    }

    /// The fields that controllers added, which are not drift.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Added> {
        self.added.iter().filter(|one| !one.by_hand)
    }
}

impl From<&Conflict> for Taken {
    /// The field that is taken over despite a conflict.
    fn from(conflict: &Conflict) -> Self {
        Self { manager: conflict.manager.clone(), field: conflict.path() }
    }
}

/// What a release would change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// The wanted objects, in apply order.
    pub steps: Vec<PlanStep>,
    /// Objects removed from the manifests, in the order in which they would be deleted.
    pub prune: Vec<Value>,
    /// Objects removed from the manifests that are kept.
    pub left: Vec<KeptObject>,
    /// How many live objects earlier releases own.
    pub owned: usize,
    /// Live Jobs with different content that still run.
    pub running: Vec<Value>,
}

/// What is known about an object before its dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is as wanted: no request needed.
    Unchanged,
    /// It may differ: needs a dry run.
    MayDiffer,
    /// A Job that has run: nothing to do.
    JobDone,
    /// A Job with the same content that runs, or has to run.
    JobToRun,
}

/// What the last release applied, indexed by object because there may be many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before<'a> {
    applied: BTreeMap<ObjectId, &'a Applied>,
    jobs: &'a [JobRun],
}

impl<'a> Before<'a> {
    /// From the newest record, if there is one.
    pub(crate) fn of(record: Option<&'a Record>) -> Self {
        let Some(record) = record else { return Self::default() };
        let mut applied = BTreeMap::new();
        for one in &record.objects {
            applied.entry(ObjectId::of(&one.object)).or_insert(one);
        }
        Self { applied, jobs: &record.jobs }
    }

    /// The recorded object.
    pub(crate) fn applied(&self, id: &ObjectId) -> Option<&'a Applied> {
        self.applied.get(id).copied()
    }
}

/// Decides without a request whether an object is as wanted: its content is what the last release applied, and our
/// managed fields are still those that our apply left.
pub(crate) fn known(wanted: &Wanted, live: Option<&Value>, before: &Before<'_>, scaled: bool) -> Known {
    let id = wanted.id();
    if job::is_job(&wanted.object) {
        return known_job(wanted, live, before);
    }
    let (Some(live), Some(applied)) = (live, before.applied(&id)) else {
        return Known::MayDiffer;
    };
    let same_content = content(&wanted.object, scaled) == content(&applied.object, scaled);
    let same_fields = applied.fields.is_some() && applied.fields == owned_fields(live, scaled);
    if same_content && same_fields { Known::Unchanged } else { Known::MayDiffer }
}

fn known_job(wanted: &Wanted, live: Option<&Value>, before: &Before<'_>) -> Known {
    let content = crate::record::content::content(&wanted.object);
    let is_this = |run: &JobRun| run.completed && run.job == wanted.id() && run.content == content;
    let recorded = before.jobs.iter().any(is_this);
    let completed =
        live.is_some_and(|live| job::content(live) == Some(content.as_str()) && job::completed(live));
    if recorded || completed { Known::JobDone } else { Known::JobToRun }
}

/// `group/kind` of an object.
pub(crate) fn group_kind(object: &Value) -> String {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    format!("{}/{}", group(text("apiVersion")), text("kind"))
}

/// The content hash of an object; for an autoscaler's target without its replicas, which the autoscaler owns.
pub(crate) fn content(object: &Value, scaled: bool) -> String {
    if !scaled {
        return crate::record::content::content(object);
    }
    let mut object = object.clone();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.shift_remove("replicas");
    }
    crate::record::content::content(&object)
}

/// A hash of our managed fields; `None` if we own none.
pub(crate) fn owned_fields(live: &Value, scaled: bool) -> Option<String> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let ours = entries.iter().find(|entry| {
        entry["manager"] == crate::cluster::FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry.get("subresource").and_then(Value::as_str).unwrap_or_default().is_empty()
    })?;
    let mut fields = ours.get("fieldsV1")?.clone();
    if scaled && let Some(spec) = fields.get_mut("f:spec").and_then(Value::as_object_mut) {
        spec.shift_remove("f:replicas");
    }
    // Every release has different values for these, and a dry run has none.
    if let Some(annotations) = fields.pointer_mut("/f:metadata/f:annotations").and_then(Value::as_object_mut)
    {
        for stamp in STAMPS {
            annotations.shift_remove(&format!("f:{stamp}"));
        }
    }
    Some(crate::record::content::hash(&fields))
}

/// The workloads that an autoscaler of the release scales.
pub(crate) fn scaled_targets<'a>(
    wanted: impl IntoIterator<Item = &'a Wanted>,
) -> BTreeSet<(String, String, String)> {
    wanted
        .into_iter()
        .filter(|one| one.object["kind"] == "HorizontalPodAutoscaler")
        .map(|one| {
            let target = &one.object["spec"]["scaleTargetRef"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&target["kind"]), one.id().namespace, text(&target["name"]))
        })
        .collect()
}

/// Whether an autoscaler of the release scales this object.
pub(crate) fn is_scaled(targets: &BTreeSet<(String, String, String)>, id: &ObjectId) -> bool {
    targets.contains(&(id.kind.clone(), id.namespace.clone(), id.name.clone()))
}

impl Plan {
    /// Whether a release would change anything.
    pub(crate) fn has_changes(&self) -> bool {
        !self.prune.is_empty() || self.steps.iter().any(|step| step.action != Action::Keep)
    }

    /// The objects that others created, in one sentence; `None` if there are none.
    pub(crate) fn foreign_sentence(&self) -> Option<String> {
        let foreign: Vec<(&PlanStep, &String)> =
            self.steps.iter().filter_map(|step| Some((step, step.foreign.as_ref()?))).collect();
        let (first, owner) = foreign.first()?;
        Some(match foreign.len() {
            1 => format!("{} already exists, managed by {owner}", first.wanted.id()),
            more => format!("{} and {} more already exist, managed by {owner}", first.wanted.id(), more - 1),
        })
    }

    /// How many objects have this action.
    pub(crate) fn count(&self, action: Action) -> usize {
        match action {
            Action::Prune => self.prune.len(),
            Action::Leave => self.left.len(),
            action => self.steps.iter().filter(|step| step.action == action).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(object: Value) -> Wanted {
        Wanted { object: object.into(), phase: Phase::Workloads, origin: None, values: None }
    }

    fn deployment(image: &str, replicas: i64) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
               "spec": {"replicas": replicas, "image": image}})
    }

    fn live(fields: &Value) -> Value {
        let mut live = deployment("a", 1);
        live["metadata"]["managedFields"] = json!([
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:x": {}}},
            {"manager": crate::cluster::FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields.clone()},
        ]);
        live
    }

    fn record(object: Value, fields: Option<String>, jobs: Vec<JobRun>) -> Record {
        let summary = serde_json::from_value(json!({
            "format": 1, "revision": 1, "kind": {"kind": "release"}, "project": "shop", "tier": "staging",
            "by": {"identity": "a", "person": "b"}, "started": "2026-10-03T14:00:00Z", "outcome": "good",
            "set": "", "objects": 1,
        }))
        .unwrap();
        Record { objects: vec![Applied { object: object.into(), fields }], jobs, ..Record::new(summary) }
    }

    #[test]
    fn what_we_applied_and_nobody_touched_is_unchanged() {
        let live = live(&json!({"f:spec": {"f:image": {}, "f:replicas": {}}}));
        let record = record(deployment("a", 1), owned_fields(&live, false), Vec::new());
        let known = |image, live: &Value| {
            known(&wanted(deployment(image, 1)), Some(live), &Before::of(Some(&record)), false)
        };
        assert_eq!(known("a", &live), Known::Unchanged);
        assert_eq!(known("b", &live), Known::MayDiffer);
        let taken = crate::release::plan::tests::live(&json!({"f:spec": {"f:image": {}}}));
        assert_eq!(known("a", &taken), Known::MayDiffer, "a field of ours went to another manager");
    }

    #[test]
    fn an_autoscaler_may_scale_its_target() {
        let before = live(&json!({"f:spec": {"f:image": {}, "f:replicas": {}}}));
        let record = record(deployment("a", 1), owned_fields(&before, true), Vec::new());
        let scaled = live(&json!({"f:spec": {"f:image": {}}}));
        let wanted = wanted(deployment("a", 5));
        assert_eq!(known(&wanted, Some(&scaled), &Before::of(Some(&record)), true), Known::Unchanged);
    }

    #[test]
    fn a_job_runs_once_per_content() {
        let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"x": 1}});
        let job = wanted(object.clone());
        let run = |completed, content: &str| {
            vec![JobRun { job: ObjectId::of(&object), content: content.to_owned(), completed }]
        };
        let content = crate::record::content::content(&object);
        let with = |jobs| known(&job, None, &Before::of(Some(&record(json!({}), None, jobs))), false);
        assert_eq!(with(run(true, &content)), Known::JobDone, "its ttl may have removed it");
        assert_eq!(with(run(false, &content)), Known::JobToRun);
        assert_eq!(with(run(true, "other")), Known::JobToRun);
        let mut done = object.clone();
        done["metadata"]["annotations"] = json!({crate::model::labels::CONTENT: content});
        done["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(
            known(&job, Some(&done), &Before::default(), false),
            Known::JobDone,
            "a killed release left no record"
        );
    }
}
