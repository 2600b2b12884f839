//! Which pods belong to the new revision: only those count for or against a rollout.
//!
//! A dump may lack the owner reference of a pod; then its labels and its name tell.

use serde_json::{Map, Value};

use crate::model::object;
use crate::rollout::context::EvalContext;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::pod::Pod;

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const CONTROLLER_REVISION: &str = "controller-revision-hash";
const GENERATION: &str = "pod-template-generation";

/// The pods of a workload. Terminating ones are left out, unless they had failed before.
#[derive(Debug, Default)]
pub(crate) struct Pods<'a> {
    /// The ReplicaSet of a Deployment's new revision.
    pub(crate) set: Option<&'a Value>,
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
    let all = sets.iter().flat_map(|one| pods_of_set(context, one).into_iter().map(move |pod| (*one, pod)));
    let (mine, others): (Vec<_>, Vec<_>) = all.partition(|(one, _)| std::ptr::eq(*one, set));
    let mut pods = Pods::sorted(mine.into_iter().map(|(_, pod)| pod), |_| true);
    pods.stale = Pods::sorted(others.into_iter().map(|(_, pod)| pod), |_| false).stale;
    pods.set = Some(set);
    object::name(set).clone_into(&mut pods.set_name);
    pods
}

/// The pods of a ReplicaSet.
pub(crate) fn of_replica_set<'a>(context: &EvalContext<'a>) -> Pods<'a> {
    Pods::sorted(pods_of_set(context, context.object), |_| true)
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

fn replica_sets<'a>(context: &EvalContext<'a>) -> Vec<&'a Value> {
    let owned: Vec<&Value> = context.snapshot.children_of_kind(context.object, "ReplicaSet").collect();
    if !owned.is_empty() {
        return owned;
    }
    let name = object::name(context.object);
    let is_named = |set: &&Value| {
        let hash = object::label(set, HASH).unwrap_or_default();
        is_ownerless(set) && !hash.is_empty() && object::name(set) == format!("{name}-{hash}")
    };
    context.snapshot.beside(context.object, "apps", "ReplicaSet").filter(is_named).collect()
}

/// The ReplicaSet with the Deployment's own template; if none has it, that of its revision.
fn new_set<'a>(deployment: &Value, sets: &[&'a Value]) -> Option<&'a Value> {
    let template = deployment.pointer("/spec/template");
    let has_template = |set: &&&Value| {
        let own = set.pointer("/spec/template");
        matches!((template, own), (Some(one), Some(other)) if is_same_template(one, other))
    };
    let of_template = sets.iter().filter(has_template).min_by_key(|set| object::created(set));
    if let Some(set) = of_template {
        return Some(set);
    }
    if let Some(revision) = object::annotation(deployment, REVISION) {
        let of_revision = sets
            .iter()
            .find(|set| object::annotation(set, REVISION) == Some(revision) && !runs_others(deployment, set));
        if let Some(set) = of_revision.filter(|_| !object::is_true(deployment, "/spec/paused")) {
            return Some(set);
        }
        // Other ReplicaSets have revisions: the new one does not exist yet.
        if sets.iter().any(|set| object::annotation(set, REVISION).is_some()) {
            return None;
        }
    }
    let revision = |set: &Value| object::annotation(set, REVISION).and_then(|text| text.parse::<i64>().ok());
    let wanted = |set: &Value| object::count(set, "/spec/replicas");
    let sets = sets.iter().filter(|set| !runs_others(deployment, set));
    sets.max_by_key(|set| (revision(set), object::created(set), wanted(set))).copied()
}

/// Whether a ReplicaSet has other containers than its Deployment, by names and images.
fn runs_others(deployment: &Value, set: &Value) -> bool {
    let containers = |object: &Value| -> Vec<(String, String)> {
        let all = object::list(object, "/spec/template/spec/containers").iter();
        let one =
            |one: &Value| (object::text(one, "/name").to_owned(), object::text(one, "/image").to_owned());
        all.map(one).collect()
    };
    let (wanted, own) = (containers(deployment), containers(set));
    !wanted.is_empty() && !own.is_empty() && wanted != own
}

/// Whether two templates are equal, except for the label that the controller adds, the `$patch` of a revision, and what
/// the API server writes into only some of them: `creationTimestamp: null`.
fn is_same_template(one: &Value, other: &Value) -> bool {
    let same = |_: &str, one: &Value, other: &Value| one == other;
    let is_hash = |key: &str, _: &Value| key == HASH;
    let is_blank = |key: &str, value: &Value| match value {
        Value::Object(fields) => fields.keys().all(|field| key == "labels" && field == HASH),
        value => value.is_null(),
    };
    let in_metadata = |key: &str, one: &Value, other: &Value| match key {
        "labels" => are_same(one, other, &is_hash, &same),
        _ => one == other,
    };
    let in_template = |key: &str, one: &Value, other: &Value| match key {
        "metadata" => are_same(one, other, &is_blank, &in_metadata),
        _ => one == other,
    };
    are_same(one, other, &|key, _| key == "$patch", &in_template)
}

/// Whether two values are equal; in maps, the ignored fields do not count.
fn are_same(
    one: &Value,
    other: &Value,
    is_left_out: &dyn Fn(&str, &Value) -> bool,
    is_same: &dyn Fn(&str, &Value, &Value) -> bool,
) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return one == other };
    let kept =
        |fields: &Map<String, Value>| fields.iter().filter(|(key, value)| !is_left_out(key, value)).count();
    let is_in_other = |(key, value): (&String, &Value)| {
        is_left_out(key, value)
            || other.get(key).is_some_and(|field| !is_left_out(key, field) && is_same(key, value, field))
    };
    kept(one) == kept(other) && one.iter().all(is_in_other)
}

fn pods_of_set<'a>(context: &EvalContext<'a>, set: &'a Value) -> Vec<&'a Pod> {
    let owned: Vec<&Pod> = context.snapshot.pods_of(set).collect();
    if !owned.is_empty() {
        return owned;
    }
    let hash = object::label(set, HASH).unwrap_or_default();
    let prefix = format!("{}-", object::name(set));
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
        None => pod.owners.is_empty() && selects(context.object, pod),
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
    let is_its = |pod: &&Pod| pod.owners.is_empty() && pod.name.starts_with(&prefix) && selects(owner, pod);
    context.snapshot.pods_beside(owner).filter(is_its).collect()
}

/// The hash of the newest revision that a `DaemonSet` owns, if that has its template.
fn newest_revision(context: &EvalContext) -> Option<String> {
    let revisions = context.snapshot.children_of_kind(context.object, "ControllerRevision");
    let newest = revisions.max_by_key(|revision| object::count(revision, "/revision"))?;
    if let (Some(own), Some(other)) =
        (context.object.pointer("/spec/template"), newest.pointer("/data/spec/template"))
        && !is_same_template(own, other)
    {
        return None;
    }
    let name = object::name(newest).strip_prefix(object::name(context.object))?.strip_prefix('-');
    object::label(newest, CONTROLLER_REVISION).or(name).map(str::to_owned)
}

fn is_ownerless(object: &Value) -> bool {
    object::list(object, "/metadata/ownerReferences").is_empty()
}

/// Whether the workload's selector has labels, and the pod has them all.
fn selects(workload: &Value, pod: &Pod) -> bool {
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    labels.is_some_and(|labels| !labels.is_empty() && pod.labels.have(labels))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_controller_adds_makes_no_other_template() {
        let own = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"a": 1}});
        let of_set = json!({"spec": {"a": 1}, "metadata": {"creationTimestamp": null, "annotations": {},
            "labels": {"pod-template-hash": "5d", "app": "web"}}});
        let of_revision =
            json!({"$patch": "replace", "metadata": {"labels": {"app": "web"}}, "spec": {"a": 1}});
        assert!(is_same_template(&own, &of_set) && is_same_template(&of_set, &own));
        assert!(is_same_template(&own, &of_revision));
        let without = json!({"metadata": {}, "spec": {"a": 1}});
        let only_hash = json!({"metadata": {"labels": {"pod-template-hash": "5d"}}, "spec": {"a": 1}});
        assert!(is_same_template(&without, &only_hash));
        assert!(!is_same_template(&own, &without) && !is_same_template(&without, &own));
        let other = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"a": 2}});
        assert!(!is_same_template(&own, &other));
        assert!(!is_same_template(&own, &json!("odd")) && !is_same_template(&json!(null), &own));
    }
}
