//! Crashes do not count while another workload of the release still starts: a container that crashed because its
//! database was missing gets one more try once the database is up. If the database never comes up, another try is
//! pointless.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::object;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::pod::{ContainerStatus, Pod, Terminated};

/// How long it takes until every client sees that a workload is ready: Services follow it, and the cluster's DNS caches
/// a negative answer for a headless Service for 5 s (`CoreDNS`'s default).
const LAG: SignedDuration = SignedDuration::from_secs(5);

/// The state of the release's other workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// One still makes progress, and this workload may crash because that one is missing.
    Progressing,
    /// Some are ready, and the others have crashed too often themselves.
    There,
    /// None makes progress; one has failed or is stuck, or none is ready.
    Failed,
}

/// The crashes that do not count for one object.
#[derive(Debug, Default)]
pub(crate) struct DependencyGrace {
    /// How often its containers had died when the last of the other workloads became ready.
    forgiven: Option<i64>,
    /// When that was.
    arrived: Option<Timestamp>,
}

/// How often containers have died, and when the most recent of the dead instances started. One that started before the
/// other workloads were ready had no fair try, however late it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CountedCrashes {
    count: i64,
    last_began: Option<Timestamp>,
}

impl DependencyGrace {
    /// Whether crashes are still excused.
    pub(crate) fn lasts(
        &mut self,
        others: Peers,
        now: Timestamp,
        deaths: impl FnOnce() -> CountedCrashes,
    ) -> bool {
        match others {
            Peers::Progressing => {
                (self.forgiven, self.arrived) = (Some(deaths().count), None);
                true
            }
            Peers::There => {
                let Some(forgiven) = self.forgiven else { return false };
                let arrived = *self.arrived.get_or_insert(now);
                let deaths = deaths();
                if deaths.last_began.is_some_and(|began| began.duration_since(arrived) <= LAG) {
                    self.forgiven = Some(deaths.count);
                    return true;
                }
                deaths.count <= forgiven
            }
            Peers::Failed => false,
        }
    }
}

/// How often containers of the object's pods have died.
pub(crate) fn deaths(snapshot: &ClusterSnapshot, object: &Value) -> CountedCrashes {
    let own = (object::kind(object) == "Pod").then(|| Pod::of(object));
    let pods = own.iter().chain(snapshot.pods_below(object));
    let statuses = pods.flat_map(|pod| &pod.containers);
    statuses.fold(CountedCrashes::default(), |deaths, status| CountedCrashes {
        count: deaths.count + deaths_of_container(status),
        last_began: deaths.last_began.max(began(status)),
    })
}

/// When the container's most recent ended instance started.
fn began(status: &ContainerStatus) -> Option<Timestamp> {
    let began = |ended: &Terminated| {
        // For an instance killed during its start, the kubelet reports a start in 1970.
        let began = ended.started.filter(|began| *began > Timestamp::UNIX_EPOCH);
        began.or(ended.finished)
    };
    [&status.terminated, &status.last].into_iter().flatten().filter_map(|ended| began(ended)).max()
}

/// The kubelet counts a restart once the next instance runs; a death counts as soon as the instance has ended.
fn deaths_of_container(status: &ContainerStatus) -> i64 {
    let has_died = status.terminated.is_some() || status.last.is_some();
    status.restarts + i64::from(status.running.is_none() && has_died)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout::snapshot::intern::Symbols;

    fn status(status: &Value) -> ContainerStatus {
        ContainerStatus::read(status, &mut Symbols::default())
    }

    #[test]
    fn a_death_is_counted_once_from_its_end_to_the_next_run() {
        let died = json!({"exitCode": 1});
        let states = [
            (json!({"restartCount": 0, "state": {"running": {"startedAt": "x"}}}), 0),
            (json!({"restartCount": 0, "state": {"terminated": died}}), 1),
            (
                json!({"restartCount": 0, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": died}}),
                1,
            ),
            (
                json!({"restartCount": 1, "state": {"running": {"startedAt": "x"}}, "lastState": {"terminated": died}}),
                1,
            ),
            (json!({"restartCount": 1, "state": {"terminated": died}, "lastState": {"terminated": died}}), 2),
            (json!({"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}), 0),
        ];
        for (json, deaths) in states {
            assert_eq!(deaths_of_container(&status(&json)), deaths, "{json}");
        }
    }

    #[test]
    fn strikes_are_forgiven_until_the_next_one() {
        let mut patience = DependencyGrace::default();
        let start: Timestamp = "2026-11-25T17:36:00Z".parse().unwrap();
        let at = |seconds: i64| start + SignedDuration::from_secs(seconds);
        let died = |count, began| move || CountedCrashes { count, last_began: Some(at(began)) };
        assert!(!patience.lasts(Peers::There, at(0), died(3, 0)), "nobody was waited for");
        assert!(patience.lasts(Peers::Progressing, at(1), died(3, 0)));
        assert!(patience.lasts(Peers::Progressing, at(2), died(4, 2)));
        assert!(patience.lasts(Peers::There, at(9), died(4, 2)));
        assert!(patience.lasts(Peers::There, at(19), died(5, 8)), "it began before the others were there");
        assert!(patience.lasts(Peers::There, at(20), died(6, 13)), "it did not know of the others yet");
        assert!(patience.lasts(Peers::There, at(30), died(6, 13)));
        assert!(!patience.lasts(Peers::There, at(40), died(7, 30)));
        assert!(!patience.lasts(Peers::Failed, at(40), died(4, 2)), "there is nothing to wait for");
    }

    #[test]
    fn a_death_goes_by_when_it_began() {
        let ended = |began: &str, ended: &str| json!({"startedAt": began, "finishedAt": ended});
        let died = json!({
            "state": {"terminated": ended("2026-11-25T17:36:20Z", "2026-11-25T17:36:50Z")},
            "lastState": {"terminated": ended("2026-11-25T17:36:00Z", "2026-11-25T17:36:01Z")},
        });
        assert_eq!(began(&status(&died)), "2026-11-25T17:36:20Z".parse().ok());
        let unknown = json!({"lastState": {"terminated": {"finishedAt": "2026-11-25T17:36:01Z"}}});
        assert_eq!(began(&status(&unknown)), "2026-11-25T17:36:01Z".parse().ok());
        let never = ended("1970-01-01T00:00:00Z", "2026-11-25T17:36:09Z");
        assert_eq!(
            began(&status(&json!({"state": {"terminated": never}}))),
            "2026-11-25T17:36:09Z".parse().ok()
        );
        assert_eq!(
            began(&status(&json!({"state": {"running": {"startedAt": "2026-11-25T17:36:01Z"}}}))),
            None
        );
    }
}
