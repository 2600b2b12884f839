//! `StatefulSets`: with a partition only some replicas are updated, and with `OnDelete` none.

use crate::model::Verdict;
use crate::model::object::{count, number, text};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::kinds::workload::{WorkloadProgress, creation, of_wanted, revision};
use crate::rollout::pod::container;

/// Judges a `StatefulSet`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let pods = revision::of_stateful_set(context);
    let on_delete = text(context.object, "/spec/updateStrategy/type") == "OnDelete";
    let progress = progress(context, &pods, on_delete);
    let refused = if count(context.object, "/status/replicas") < progress.wanted {
        creation::by_events(context, context.object)
    } else {
        None
    };
    let judgement = workload::conclude(context, &pods, refused, &progress);
    if on_delete && !pods.stale.is_empty() && judgement.verdict == Verdict::Ready {
        return judgement.warning(workload::stale_pods(&pods));
    }
    judgement
}

fn progress(context: &EvalContext, pods: &Pods, on_delete: bool) -> WorkloadProgress {
    let object = context.object;
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let partition = count(object, "/spec/updateStrategy/rollingUpdate/partition").max(0);
    let status = |field: &str| count(object, &format!("/status/{field}"));
    let (updated, ready) = (status("updatedReplicas"), status("readyReplicas"));
    let needed = (wanted - partition).max(0);
    let is_one_revision = text(object, "/status/currentRevision") == text(object, "/status/updateRevision");
    let is_whole = partition > 0 || is_one_revision || updated == wanted;
    let is_updated = on_delete || (updated >= needed && is_whole);
    let is_available = count(object, "/spec/minReadySeconds") == 0 || status("availableReplicas") >= wanted;
    let waits_for = if is_updated && ready < wanted {
        of_wanted(ready, wanted, "ready")
    } else if is_updated && status("replicas").max(ready) > wanted {
        format!("{} pods are still there, and {wanted} are asked for", status("replicas").max(ready))
    } else if is_updated {
        workload::available(object, status("availableReplicas"), ready, wanted)
    } else {
        blocked(pods).unwrap_or_else(|| of_wanted(updated, needed, "of the new revision"))
    };
    WorkloadProgress {
        is_complete: is_updated && ready == wanted && is_available && status("replicas") <= wanted,
        reaches_bar: false,
        ready: ready.min(wanted),
        wanted,
        waits_for,
        overdue: None,
    }
}

/// The controller replaces no pod while one of the earlier revision is not ready, which may last forever unless
/// somebody deletes that pod.
fn blocked(pods: &Pods) -> Option<String> {
    let broken = pods.stale.iter().find(|pod| {
        let dies =
            container::Container::all(pod).iter().any(|one| one.restarts() > 0 || !one.waits().is_empty());
        !pod.ready.is_true() && dies
    })?;
    let name = &broken.name;
    Some(format!(
        "pod {name} of the earlier revision is not ready, and the controller waits for it before it goes on; \
         delete pod {name} to let it"
    ))
}
