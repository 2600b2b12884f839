//! Whether a workload makes progress: it excuses the crashes of others that depend on it only while it does.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::{Cause, object};
use crate::rollout::health::Health;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::pod::{ContainerStatus, Pod};

/// After this long without a step, a workload counts as stuck.
const STALLS: SignedDuration = SignedDuration::from_secs(30);
/// A pod that cannot be scheduled may just be waiting for its volume for this long.
const STUCK: SignedDuration = SignedDuration::from_secs(10);

/// How far a workload has come, and when it took its last step.
#[derive(Debug, Default)]
pub(crate) struct ProgressLog {
    /// The farthest step that each of its pods has reached, so that a pod that crashes and restarts does not count as
    /// progress again.
    steps: HashMap<Symbol, usize>,
    /// The `resourceVersion` of a custom resource, whose pods may be unknown.
    version: String,
    last: Option<Timestamp>,
    /// Whether an image is being pulled: no progress is reported until the pull ends.
    is_pulling: bool,
    /// Its current cause, and since when.
    cause: Option<(Cause, Timestamp)>,
}

impl ProgressLog {
    /// Records the state of an object.
    pub(crate) fn note(
        &mut self,
        object: &Value,
        snapshot: &ClusterSnapshot,
        judgement: &Health,
        now: Timestamp,
    ) {
        let own = (object::kind(object) == "Pod").then(|| Pod::of(object));
        let mut moves = self.last.is_none();
        self.is_pulling = false;
        for pod in own.iter().chain(snapshot.pods_below(object)) {
            let taken = steps(pod);
            let best = self.steps.entry(Symbol::clone(pod.key())).or_default();
            moves |= taken > *best;
            self.is_pulling |= !pod.ready.is_true() && is_pulling(snapshot, pod);
            *best = taken.max(*best);
        }
        if crate::model::kinds::is_of_others(object::group(object::api_version(object))) {
            let version = object::text(object, "/metadata/resourceVersion");
            moves |= self.version != version;
            version.clone_into(&mut self.version);
        }
        if moves {
            self.last = Some(now);
        }
        let cause = judgement.cause.filter(|_| judgement.is_under_way());
        if cause != self.cause.map(|(cause, _)| cause) {
            self.cause = cause.map(|cause| (cause, now));
        }
    }

    /// From when on it counts as stuck unless something happens; `None` if nothing was recorded yet.
    pub(crate) fn stalls_at(&self) -> Option<Timestamp> {
        let lasting = self.cause.and_then(|(cause, since)| Some(since + patience(cause)?));
        let stalls = self.last.filter(|_| !self.is_pulling).map(|last| last + STALLS);
        [lasting, stalls].into_iter().flatten().min()
    }
}

/// How long a workload may have this cause and still count as making progress; `None` if the cause says nothing about
/// that.
fn patience(cause: Cause) -> Option<SignedDuration> {
    match cause {
        Cause::ReadinessProbe => Some(STALLS),
        Cause::Unschedulable | Cause::VolumeUnbound | Cause::VolumeMount => Some(STUCK),
        _ => None,
    }
}

/// How far a pod is: scheduled, each container started, done or ready.
fn steps(pod: &Pod) -> usize {
    let of_container = |status: &ContainerStatus| {
        let is_done = status.terminated.as_ref().is_some_and(|ended| ended.exit_code == Some(0));
        let has_begun = status.has_begun() || status.last.is_some();
        usize::from(has_begun) + usize::from(is_done || status.ready)
    };
    usize::from(!pod.node.is_empty()) + pod.containers.iter().map(of_container).sum::<usize>()
}

/// Whether the kubelet is pulling an image for the pod: how long that takes says nothing about the pod.
fn is_pulling(snapshot: &ClusterSnapshot, pod: &Pod) -> bool {
    snapshot.events_of(pod).last().is_some_and(|event| event.reason == "Pulling")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a small number")
    }

    fn set(status: &Value) -> ClusterSnapshot {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "s"}]);
        let metadata = json!({"name": "db-0", "namespace": "shop", "uid": "p", "ownerReferences": owner});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n",
            "containers": [{"name": "db"}]}, "status": {"containerStatuses": [status]}});
        ClusterSnapshot::new([object(), pod])
    }

    fn object() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "shop", "uid": "s"}})
    }

    #[test]
    fn without_a_step_it_is_stuck_after_30_s() {
        let mut log = ProgressLog::default();
        let mut note = |second: i64, status: Value, judgement: Health| {
            log.note(&object(), &set(&status), &judgement, at(second));
            log.stalls_at().map(Timestamp::as_second)
        };
        let waits = || json!({"name": "db", "state": {"waiting": {"reason": "ContainerCreating"}}});
        let runs = || json!({"name": "db", "state": {"running": {}}});
        let died = || json!({"name": "db", "restartCount": 1, "state": {"terminated": {"exitCode": 1}}});
        let plain = || Health::progressing("it comes");
        assert_eq!(note(0, waits(), plain()), Some(30));
        assert_eq!(note(20, waits(), plain()), Some(30));
        assert_eq!(note(25, runs(), plain()), Some(55), "it has started");
        assert_eq!(note(30, died(), plain()), Some(55));
        assert_eq!(note(35, runs(), plain()), Some(55), "to crash and start again is no step");
        let unready = || Health::progressing("no").with_cause(Cause::ReadinessProbe);
        assert_eq!(note(40, runs(), unready()), Some(55));
        assert_eq!(
            note(50, json!({"name": "db", "ready": true, "state": {"running": {}}}), unready()),
            Some(70)
        );
        let unplaced = Health::progressing("no").with_cause(Cause::Unschedulable);
        assert_eq!(note(60, waits(), unplaced), Some(70));
    }

    #[test]
    fn a_pull_takes_as_long_as_it_takes() {
        let mut snapshot = set(&json!({"name": "db", "state": {"waiting": {"reason": "ContainerCreating"}}}));
        let event = |reason: &str, at: &str| {
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": reason, "namespace": "shop"}, "reason": reason,
                "type": "Normal", "lastTimestamp": at, "involvedObject": {"kind": "Pod", "name": "db-0", "namespace": "shop", "uid": "p"}})
        };
        let mut log = ProgressLog::default();
        let plain = Health::progressing("it comes");
        snapshot.upsert(event("Pulling", "2026-10-03T14:00:00Z"));
        log.note(&object(), &snapshot, &plain, at(0));
        assert_eq!(log.stalls_at(), None);
        snapshot.upsert(event("Failed", "2026-10-03T14:00:09Z"));
        log.note(&object(), &snapshot, &plain, at(9));
        assert_eq!(log.stalls_at(), Some(at(30)), "the last step was to be placed");
    }
}
