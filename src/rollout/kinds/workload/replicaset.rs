//! `ReplicaSets` that no Deployment owns, and their predecessor, the `ReplicationController`.

use crate::model::object::{count, number};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::kinds::workload::{WorkloadProgress, creation, revision};

/// Judges a `ReplicaSet`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let object = context.object;
    let pods = revision::of_replica_set(context);
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let (ready, available) =
        (count(object, "/status/readyReplicas"), count(object, "/status/availableReplicas"));
    let is_complete = ready == wanted && available == wanted && count(object, "/status/replicas") == wanted;
    let progress = WorkloadProgress {
        is_complete,
        reaches_bar: false,
        ready,
        wanted,
        waits_for: workload::available(object, available.min(ready), ready, wanted),
        overdue: None,
    };
    let refused = creation::by_condition(context, object);
    workload::conclude(context, &pods, refused, &progress)
}
