//! Which pods belong to the new revision: only those count for or against a rollout.
//!
//! A dump may lack the owner reference of a pod; then its labels and its name tell.

use serde_json::Value;

use crate::model::object;
use crate::rollout::context::EvalContext;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::history::fingerprint::{Fingerprint, POD_TEMPLATE_HASH as HASH};
use crate::rollout::snapshot::history::replica_set::{self, ReplicaSet};
use crate::rollout::snapshot::identity::Identified as _;
use crate::rollout::snapshot::pod::Pod;
use crate::rollout::snapshot::subject::Subject;

const CONTROLLER_REVISION: &str = "controller-revision-hash";
const GENERATION: &str = "pod-template-generation";

/// The pods of a workload. Terminating ones are left out, unless they had failed before.
#[derive(Debug, Default)]
pub(crate) struct Pods<'a> {
    /// The ReplicaSet of a Deployment's new revision.
    pub(crate) set: Option<&'a ReplicaSet>,
    /// Its name, which is also known if only its pods are.
    pub(crate) set_name: String,
    /// The pods of the new revision.
    pub(crate) current: Vec<&'a Pod>,
    /// The pods of the new revision that were evicted, or rejected by their node: their controller replaces them.
    pub(crate) put_off: Vec<&'a Pod>,
    /// The pods of earlier revisions.
    pub(crate) stale: Vec<&'a Pod>,
}

impl<'a> Pods<'a> {
    fn sorted(pods: impl IntoIterator<Item = &'a Pod>, is_current: impl Fn(&Pod) -> bool) -> Self {
        let mut sorted = Self::default();
        // Some controllers immediately delete what the kubelet has evicted or rejected.
        let counts =
            |pod: &&Pod| !pod.is_being_deleted || (&*pod.phase == "Failed" && !pod.reason().is_empty());
        for pod in pods.into_iter().filter(counts) {
            match (is_current(pod), &*pod.phase) {
                (false, _) => sorted.stale.push(pod),
                // A pod that succeeded ended when its node shut down, and its controller no longer counts it.
                (true, "Failed" | "Succeeded") => sorted.put_off.push(pod),
                (true, _) => sorted.current.push(pod),
            }
        }
        sorted
    }
}

/// The pods of a Deployment: those of the ReplicaSet that has its template.
pub(crate) fn of_deployment<'a>(context: &EvalContext<'a>) -> Pods<'a> {
    let sets = replica_sets(context);
    if sets.is_empty() {
        return without_sets(context);
    }
    let Some(set) = new_set(context.object, &sets) else { return Pods::default() };
    let all = sets
        .iter()
        .flat_map(|one| pods_of_set(context, (*one).into()).into_iter().map(move |pod| (*one, pod)));
    let (mine, others): (Vec<_>, Vec<_>) = all.partition(|(one, _)| std::ptr::eq(*one, set));
    let mut pods = Pods::sorted(mine.into_iter().map(|(_, pod)| pod), |_| true);
    pods.stale = Pods::sorted(others.into_iter().map(|(_, pod)| pod), |_| false).stale;
    pods.set = Some(set);
    pods.set_name = set.name.to_string();
    pods
}

/// The pods of a ReplicaSet.
pub(crate) fn of_replica_set<'a>(context: &EvalContext<'a>) -> Pods<'a> {
    Pods::sorted(pods_of_set(context, context.object.into()), |_| true)
}

/// The pods of a `StatefulSet`: those of its update revision.
pub(crate) fn of_stateful_set<'a>(context: &EvalContext<'a>) -> Pods<'a> {
    let revision = object::text(context.object, "/status/updateRevision");
    Pods::sorted(owned_pods(context, context.object), |pod| {
        object::same_if_known(pod.label(CONTROLLER_REVISION).unwrap_or_default(), revision)
    })
}

/// The pods of a `DaemonSet`: those of its newest revision.
pub(crate) fn of_daemon_set<'a>(context: &EvalContext<'a>) -> Pods<'a> {
    let pods = owned_pods(context, context.object);
    if let Some(hash) = newest_revision(context) {
        return Pods::sorted(pods, |pod| {
            object::same_if_known(pod.label(CONTROLLER_REVISION).unwrap_or_default(), &hash)
        });
    }
    let generation = |pod: &Pod| pod.label(GENERATION).and_then(|text| text.parse::<i64>().ok());
    let own = object::annotation(context.object, "deprecated.daemonset.template.generation");
    let own = own.and_then(|text| text.parse().ok());
    let newest = own.or_else(|| pods.iter().filter_map(|pod| generation(pod)).max());
    Pods::sorted(pods, |pod| generation(pod).is_none() || newest.is_none() || generation(pod) == newest)
}

/// The pods of a Job.
pub(crate) fn of_job<'a>(context: &EvalContext<'a>) -> Vec<&'a Pod> {
    owned_pods(context, context.object)
}

fn replica_sets<'a>(context: &EvalContext<'a>) -> Vec<&'a ReplicaSet> {
    let owned: Vec<&ReplicaSet> = context.snapshot.replica_sets_of(context.object).collect();
    if !owned.is_empty() {
        return owned;
    }
    let name = object::name(context.object);
    let is_named = |set: &&ReplicaSet| {
        let hash = set.labels.get(HASH).unwrap_or_default();
        set.owners.is_empty() && !hash.is_empty() && *set.name == *format!("{name}-{hash}")
    };
    let beside = context.snapshot.all_beside(context.object, "apps", "ReplicaSet");
    beside.filter_map(Subject::replica_set).filter(is_named).collect()
}

/// The ReplicaSet with the Deployment's own template; if none has it, that of its revision.
fn new_set<'a>(deployment: &Value, sets: &[&'a ReplicaSet]) -> Option<&'a ReplicaSet> {
    let template = Fingerprint::at(deployment, "/spec/template");
    let has_template = |set: &&&ReplicaSet| template.is_some() && set.template == template;
    let of_template = sets.iter().filter(has_template).min_by_key(|set| set.created);
    if let Some(set) = of_template {
        return Some(set);
    }
    if let Some(revision) = object::annotation(deployment, replica_set::REVISION) {
        let of_revision =
            sets.iter().find(|set| set.revision.as_deref() == Some(revision) && !set.runs_others(deployment));
        if let Some(set) = of_revision.filter(|_| !object::is_true(deployment, "/spec/paused")) {
            return Some(set);
        }
        // Other ReplicaSets have revisions: the new one does not exist yet.
        if sets.iter().any(|set| set.revision.is_some()) {
            return None;
        }
    }
    let revision = |set: &ReplicaSet| set.revision.as_ref().and_then(|text| text.parse::<i64>().ok());
    let sets = sets.iter().filter(|set| !set.runs_others(deployment));
    sets.max_by_key(|set| (revision(set), set.created, set.wanted)).copied()
}

/// The pods of a ReplicaSet, or of a `ReplicationController`.
fn pods_of_set<'a>(context: &EvalContext<'a>, set: Subject<'a>) -> Vec<&'a Pod> {
    let owned: Vec<&Pod> = context.snapshot.pods_of(set).collect();
    if !owned.is_empty() {
        return owned;
    }
    let hash = match set {
        Subject::ReplicaSet(set) => set.labels.get(HASH),
        Subject::Object(object) => object::label(object, HASH),
        Subject::Pod(_) | Subject::ControllerRevision(_) => None,
    };
    let hash = hash.unwrap_or_default();
    let prefix = format!("{}-", set.name());
    let is_its = |pod: &&Pod| {
        pod.owners.is_empty() && !hash.is_empty() && pod.label(HASH) == Some(hash)
            || pod.owners.is_empty() && pod.name.starts_with(&prefix) && selects(set, pod)
    };
    context.snapshot.pods_beside(set).filter(is_its).collect()
}

/// If no ReplicaSet is known: the pods whose ReplicaSet belongs to the Deployment by its name and labels.
fn without_sets<'a>(context: &EvalContext<'a>) -> Pods<'a> {
    let name = object::name(context.object);
    let is_its = |pod: &&Pod| match pod.label(HASH) {
        Some(hash) => {
            let set = format!("{name}-{hash}");
            pod.owners.iter().any(|owner| *owner.name == *set)
                || (pod.owners.is_empty() && pod.name.starts_with(&format!("{set}-")))
        }
        None => pod.owners.is_empty() && selects(context.object.into(), pod),
    };
    let pods: Vec<&Pod> = context.snapshot.pods_beside(context.object).filter(is_its).collect();
    let current = current_hash(context, &pods);
    let mut pods = Pods::sorted(pods, |pod| {
        let hash = pod.label(HASH).unwrap_or_default();
        object::same_if_known(hash, &current) && !context.is_older_than_release(pod.created)
    });
    if !current.is_empty() {
        pods.set_name = format!("{name}-{current}");
    }
    pods
}

/// The hash of the new revision: among the pods with the template's images, that of the ReplicaSet named in the
/// Deployment's status, else the newest.
fn current_hash(context: &EvalContext, pods: &[&Pod]) -> String {
    let hash = |pod: &Pod| pod.label(HASH).unwrap_or_default().to_owned();
    let template = object::list(context.object, "/spec/template/spec/containers").iter();
    let template: Vec<&str> = template.map(|one| object::text(one, "/image")).collect();
    let of_template = |pod: &&&Pod| pod.template.images().eq(template.iter().copied());
    let mut candidates: Vec<&&Pod> = pods.iter().filter(of_template).collect();
    if candidates.is_empty() {
        candidates = pods.iter().collect();
    }
    let named =
        condition::find(context.object, "Progressing").and_then(|condition| named_set(condition.message));
    let named = named.and_then(|set| set.strip_prefix(object::name(context.object))?.strip_prefix('-'));
    if let Some(named) = named.filter(|named| candidates.iter().any(|pod| hash(pod) == **named)) {
        return named.to_owned();
    }
    candidates.into_iter().max_by_key(|pod| pod.created).map(|pod| hash(pod)).unwrap_or_default()
}

/// `web-5d4f8c` of `ReplicaSet "web-5d4f8c" has timed out progressing.`
pub(crate) fn named_set(message: &str) -> Option<&str> {
    message.split_once("ReplicaSet \"")?.1.split_once('"').map(|(name, _)| name)
}

fn owned_pods<'a>(context: &EvalContext<'a>, owner: &'a Value) -> Vec<&'a Pod> {
    let pods: Vec<&Pod> = context.snapshot.pods_of(owner).collect();
    if !pods.is_empty() {
        return pods;
    }
    let prefix = format!("{}-", object::name(owner));
    let is_its =
        |pod: &&Pod| pod.owners.is_empty() && pod.name.starts_with(&prefix) && selects(owner.into(), pod);
    context.snapshot.pods_beside(owner).filter(is_its).collect()
}

/// The hash of the newest revision that a `DaemonSet` owns, if that has its template.
fn newest_revision(context: &EvalContext) -> Option<String> {
    let revisions = context.snapshot.controller_revisions_of(context.object);
    let newest = revisions.max_by_key(|revision| revision.revision)?;
    let own = Fingerprint::at(context.object, "/spec/template");
    if own.is_some() && newest.template.is_some() && own != newest.template {
        return None;
    }
    let name = newest.name.strip_prefix(object::name(context.object))?.strip_prefix('-');
    newest.labels.get(CONTROLLER_REVISION).or(name).map(str::to_owned)
}

/// Whether the workload's selector has labels, and the pod has them all.
fn selects(workload: Subject<'_>, pod: &Pod) -> bool {
    match workload {
        Subject::ReplicaSet(set) => pod.labels.are_selected(&set.selector),
        Subject::Object(object) => {
            let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
            labels.is_some_and(|labels| !labels.is_empty() && pod.labels.have(labels))
        }
        Subject::Pod(_) | Subject::ControllerRevision(_) => false,
    }
}
