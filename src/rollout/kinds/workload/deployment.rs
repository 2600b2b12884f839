//! Deployments. They are ready when `kubectl rollout status` calls them rolled out, but without its false positives.

use crate::model::object;
use crate::model::object::{count, is_true, number};
use crate::rollout::annotations;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::kinds::workload::{WorkloadProgress, creation, of_wanted, revision};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::subject::Subject;

/// The server's default of `progressDeadlineSeconds`, which the manifest does not set.
const DEFAULT_DEADLINE: i64 = 600;

/// Judges a Deployment.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    if is_true(context.object, "/spec/paused") {
        let message = "the Deployment is paused (spec.paused is true): its rollout is not waited for";
        return Health::paused(message);
    }
    let pods = revision::of_deployment(context);
    let progress = progress(context, &pods);
    let owner = pods.set.map_or(Subject::Object(context.object), Subject::ReplicaSet);
    // If ReplicaSets are known and none has the Deployment's template, the refusal is from an earlier rollout.
    let is_of_others =
        pods.set.is_none() && context.snapshot.replica_sets_of(context.object).next().is_some();
    let refused = if is_of_others { None } else { creation::by_condition(context, owner) };
    workload::conclude(context, &pods, refused, &progress)
}

fn progress(context: &EvalContext, pods: &Pods) -> WorkloadProgress {
    let object = context.object;
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let status = |field: &str| count(object, &format!("/status/{field}"));
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    let (ready, available) = (status("readyReplicas"), status("availableReplicas"));
    let of_new = pods.set.map(|set| (set.ready, set.available));
    let (new_ready, new_available) = of_new.unwrap_or((ready.min(updated), available.min(updated)));
    let counts = updated == wanted && available == wanted && ready == wanted && all == updated;
    let is_available = condition::is_true(object, "Available") || wanted == 0;
    let bar = annotations::required_rollout(object, wanted);
    let waits_for = if updated < wanted {
        of_wanted(updated, wanted, "of the new revision")
    } else if all > updated {
        still_there(all - updated, "of an earlier revision")
    } else if updated > wanted {
        still_there(updated - wanted, "too many")
    } else if available < wanted {
        workload::available(object, available, ready, wanted)
    } else if ready < wanted {
        of_wanted(ready, wanted, "ready")
    } else {
        "its controller does not call it available yet".to_owned()
    };
    WorkloadProgress {
        is_complete: counts && is_available,
        reaches_bar: bar.is_some_and(|bar| updated >= bar && new_available >= bar),
        ready: new_ready.min(wanted),
        wanted,
        waits_for,
        overdue: overdue(context, pods),
    }
}

/// `1 pod of an earlier revision is still there`.
fn still_there(number: i64, which: &str) -> String {
    let noun = if number == 1 { "pod" } else { "pods" };
    let verb = if number == 1 { "is" } else { "are" };
    format!("{number} {noun} {which} {verb} still there")
}

/// The controller's message that the rollout takes too long, if it is about this rollout.
fn overdue(context: &EvalContext, pods: &Pods) -> Option<String> {
    let condition = condition::find(context.object, "Progressing")?;
    if !condition.is_false() || condition.reason != "ProgressDeadlineExceeded" {
        return None;
    }
    let seconds = number(context.object, "/spec/progressDeadlineSeconds").unwrap_or(DEFAULT_DEADLINE);
    let is_asked_for = context
        .release()
        .is_none_or(|release| release.limits.sets_progress_deadline || seconds != DEFAULT_DEADLINE);
    let named = revision::named_set(condition.message).unwrap_or_default();
    let begun = pods.set.and_then(|set| set.created);
    let is_older = matches!((begun, condition.written), (Some(begun), Some(told)) if told < begun);
    let is_of_set = object::same_if_known(named, &pods.set_name) && !is_older;
    let counts = is_asked_for && is_of_set && context.is_of_this_release(condition.written);
    counts.then(|| format!("the rollout made no progress within {seconds} s (progressDeadlineSeconds)"))
}
