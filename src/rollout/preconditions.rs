//! The rules for all kinds, before each kind's own: for an object that is being deleted, and for one whose status is
//! about an earlier generation.

use serde_json::Value;

use crate::model::{Cause, Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::pod::container::Container;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;
use crate::rollout::snapshot::event::Event;

/// Kinds whose controller always writes the generation that it has observed.
const OBSERVERS: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("policy", "PodDisruptionBudget"),
];

/// The health of an object if its kind's own rule does not apply; `None` if it does.
pub(crate) fn any_kind(context: &mut EvalContext) -> Option<Health> {
    deletion(context).or_else(|| not_ours_yet(context)).or_else(|| unobserved(context))
}

/// The health of an object of the release that was deleted.
pub(crate) fn gone(last_seen: &Value) -> Health {
    let is_job = (object::group(object::api_version(last_seen)), object::kind(last_seen)) == ("batch", "Job");
    let failed = condition::is_true(last_seen, "Failed") || condition::is_true(last_seen, "FailureTarget");
    if is_job && failed {
        let why = condition::find(last_seen, "Failed").map_or("", |condition| condition.words());
        return Health::failed(Cause::JobFailed, format!("{} failed: {why}", object::title(last_seen)));
    }
    if is_job && (object::has(last_seen, "/spec/ttlSecondsAfterFinished") || has_completed(last_seen)) {
        return Health::ready();
    }
    let message = format!("{} was deleted while it was being released", object::title(last_seen));
    Health::failed(Cause::BeingDeleted, message)
}

/// A finished Job or pod is judged by how it finished, even when it is already being deleted.
fn deletion(context: &EvalContext) -> Option<Health> {
    if !object::is_being_deleted(context.object) {
        return None;
    }
    if has_finished(context.object) && !was_ended_by_deletion(context) {
        return None;
    }
    let message = deletion_sentence(context.object);
    Some(match context.release() {
        Some(_) => Health::failed(Cause::BeingDeleted, message),
        None => Health::new(Verdict::Terminating).saying(message),
    })
}

fn deletion_sentence(object: &Value) -> String {
    let since = object::text(object, "/metadata/deletionTimestamp");
    let finalizers = object::list(object, "/metadata/finalizers").iter().filter_map(Value::as_str);
    let finalizers: Vec<&str> = finalizers.collect();
    let waits =
        if finalizers.is_empty() { String::new() } else { format!(", held by {}", finalizers.join(", ")) };
    format!("{} has been terminating since {since}{waits}", object::title(object))
}

fn has_finished(object: &Value) -> bool {
    match (object::group(object::api_version(object)), object::kind(object)) {
        ("batch", "Job") => {
            has_completed(object)
                || ["Failed", "FailureTarget"].iter().any(|kind| condition::is_true(object, kind))
        }
        ("", "Pod") => matches!(object::text(object, "/status/phase"), "Succeeded" | "Failed"),
        _ => false,
    }
}

/// A pod that ended because of its deletion did not finish.
fn was_ended_by_deletion(context: &EvalContext) -> bool {
    let (Some(pod), object) = (context.pod, context.object) else { return false };
    let Some(deadline) = object::time(object, "/metadata/deletionTimestamp") else { return false };
    let grace = object::count(object, "/metadata/deletionGracePeriodSeconds");
    let asked = deadline.as_second().saturating_sub(grace);
    let mut ended = Container::all(pod).into_iter().filter_map(|one| one.known_deaths().next()?.finished);
    let is_later = grace > 0 && ended.any(|ended| ended.as_second() > asked);
    let is_stopped =
        |event: &Event| event.reason == "Killing" && event.message.starts_with("Stopping container");
    is_later || context.events_of(pod).iter().any(is_stopped)
}

fn has_completed(job: &Value) -> bool {
    condition::is_true(job, "Complete") || condition::is_true(job, "SuccessCriteriaMet")
}

/// The object must be the one that our apply returned, or a later state of it.
fn not_ours_yet(context: &EvalContext) -> Option<Health> {
    let release = context.release()?;
    let ours =
        release.uid.as_deref().is_none_or(|uid| object::same_if_known(uid, object::uid(context.object)));
    let generation = object::number(context.object, "/metadata/generation");
    let older = matches!((release.generation, generation), (Some(ours), Some(seen)) if seen < ours);
    (!ours || older).then(|| Health::progressing("waiting for the applied version to appear"))
}

/// A status that was written for an earlier generation says nothing about this one.
fn unobserved(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let kind = (object::group(object::api_version(object)), object::kind(object));
    let generation = object::number(object, "/metadata/generation");
    let observed = object::number(object, "/status/observedGeneration");
    // Flux sets `observedGeneration` only once the object is ready: if it fails, only the condition shows that the
    // generation was observed.
    let is_refusal = |ready: &Condition| ready.is_false() && ready.is_current_for(object);
    if !OBSERVERS.contains(&kind) && condition::find(object, "Ready").as_ref().is_some_and(is_refusal) {
        return None;
    }
    // Controllers observe nothing of a suspended or paused object: Flux leaves `observedGeneration` unchanged.
    let is_held = ["/spec/suspend", "/spec/paused"].iter().any(|field| object::is_true(object, field));
    if !OBSERVERS.contains(&kind) && is_held {
        return None;
    }
    let older = match (observed, generation) {
        (Some(observed), Some(generation)) => observed < generation,
        (None, Some(_)) => OBSERVERS.contains(&kind),
        (_, None) => OBSERVERS.contains(&kind) && !object::has(object, "/status"),
    };
    older.then(|| context.unobserved())
}
