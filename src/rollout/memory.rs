//! What a watch remembers from one evaluation of an object to the next: when a state was first seen, and which
//! container deaths were counted. A dump has no past, so its memory is empty.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::Cause;

/// The memory of one object; the caller keeps it and passes it to each evaluation of that object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// The number of the current evaluation.
    look: u64,
    seen: HashMap<StateKey, Seen>,
    deaths: HashMap<ContainerKey, CountedCrashes>,
    /// The part of the log of a container's instance that was read.
    logs: HashMap<ContainerKey, (i64, String)>,
    /// The log lines before the first death that were read, by container name.
    first_logs: HashMap<Arc<str>, Arc<FirstLog>>,
    /// Pods that were evicted or rejected through their own fault, by uid, and the reason for each.
    faults: HashMap<Arc<str>, Box<str>>,
    /// When pods beside the object were last seen to end.
    pub(super) pods_ended: Option<Timestamp>,
}

/// A state that is remembered as long as it is seen in every evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum StateKey {
    /// Of a container.
    Container(ContainerKey, ContainerState),
    /// A pod, by its uid, waits for the ConfigMap or Secret of this name.
    Volume(Arc<str>, Box<str>),
    /// A pod, by its uid, is being deleted.
    Ending(Arc<str>),
    /// The claim of this name has no volume.
    Claim(Box<str>),
    /// A pod, by its uid, names a claim of this name that does not exist.
    MissingClaim(Arc<str>, Box<str>),
    /// A ReplicaSet, by its uid, cannot create its pods.
    ReplicaCreation(Arc<str>),
    /// The object cannot create its pods.
    OwnCreation,
    /// The Deployment cannot create its ReplicaSet.
    SetCreation,
    /// It is ready by its counts, but its pods cannot be seen.
    Stable,
    /// The autoscaler cannot read what it scales.
    Scale,
    /// The controller reports an error.
    ControllerError,
    /// The object has this `resourceVersion`.
    Written(Box<str>),
}

/// A state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ContainerState {
    /// Its image was refused for this cause.
    Image(Cause),
    /// Pulling its image was tried again.
    PullRetried,
    /// Its image is not pulled yet.
    Pull,
    /// It lacks configuration.
    Configuration,
    /// The runtime cannot create it.
    Creation,
    /// The probe of this cause has not succeeded.
    Probe(Cause),
    /// The probe of this cause cannot succeed, whatever the container does.
    Misfit(Cause),
    /// This instance runs; the number is that of the restarts before it.
    Run(i64),
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ContainerKey {
    /// The pod's uid, because another pod may have the same name later.
    pub(crate) pod: Arc<str>,
    pub(crate) container: Arc<str>,
}

impl ContainerKey {
    /// A state of this container.
    pub(crate) fn state(&self, state: ContainerState) -> StateKey {
        StateKey::Container(self.clone(), state)
    }
}

/// A state, and when it was seen.
#[derive(Debug, Clone)]
struct Seen {
    since: Timestamp,
    look: u64,
}

/// What a container wrote before its first death: later, the kubelet has only the log of the latest one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FirstLog {
    /// The pod's name.
    pub(crate) pod: String,
    /// The container's name.
    pub(crate) container: String,
    /// The last lines of the log.
    pub(crate) lines: Vec<String>,
}

/// The deaths of a container of a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct CountedCrashes {
    look: u64,
    /// Deaths from before the release, which do not count against it.
    pub(super) before: Option<i64>,
    /// Instances that were seen dead, and count.
    pub(super) counted: BTreeSet<String>,
    /// Instances that ended well and do not count.
    pub(super) harmless: BTreeSet<String>,
    /// How many had died when another container of the pod last made progress: these deaths are excused until the next
    /// one.
    pub(super) forgiven: Option<i64>,
}

impl Memory {
    /// Stores the part of a container instance's log that was read.
    pub(super) fn read_log(&mut self, container: ContainerKey, instance: i64, text: String) {
        self.logs.insert(container, (instance, text));
    }

    /// Stores what a container wrote before its first death, unless the log of another pod's container of this name is
    /// stored already.
    pub(super) fn keep_first_log(&mut self, log: FirstLog) {
        self.first_logs.entry(log.container.as_str().into()).or_insert_with(|| Arc::new(log));
    }

    /// The part of the log of the first death of a container of this name that was read.
    pub(super) fn first_log(&self, container: &str) -> Option<&Arc<FirstLog>> {
        self.first_logs.get(container)
    }

    /// The log that was read of this instance; `None` if none was.
    pub(super) fn log(&self, container: &ContainerKey, instance: i64) -> Option<&str> {
        self.logs.get(container).filter(|(read, _)| *read == instance).map(|(_, text)| text.as_str())
    }

    /// Records why a pod was evicted or rejected, because the pod may soon be deleted.
    pub(super) fn note_fault(&mut self, pod: &Arc<str>, said: &str) {
        self.faults.entry(Arc::clone(pod)).or_insert_with(|| said.into());
    }

    /// How many pods were evicted or rejected for this reason.
    pub(super) fn faults(&self, said: &str) -> usize {
        self.faults.values().filter(|known| ***known == *said).count()
    }

    /// Begins an evaluation: states that are not seen again before its end are forgotten.
    pub(super) fn begin(&mut self) {
        self.look += 1;
    }

    /// Ends the evaluation.
    pub(super) fn end(&mut self) {
        let look = self.look;
        self.seen.retain(|_, seen| seen.look == look);
        self.deaths.retain(|_, deaths| deaths.look == look);
        let deaths = &self.deaths;
        self.logs.retain(|container, _| deaths.contains_key(container));
    }

    /// Since when this state has been seen without interruption.
    pub(super) fn since(&mut self, state: StateKey, now: Timestamp) -> Timestamp {
        let look = self.look;
        let seen = self.seen.entry(state).or_insert(Seen { since: now, look });
        seen.look = look;
        seen.since
    }

    /// Whether this state was seen in an earlier evaluation; this call keeps it remembered.
    pub(super) fn recall(&mut self, state: &StateKey) -> bool {
        let look = self.look;
        let seen = self.seen.get_mut(state);
        seen.map(|seen| seen.look = look).is_some()
    }

    /// The deaths of a container of a pod.
    pub(super) fn deaths(&mut self, container: ContainerKey) -> &mut CountedCrashes {
        let look = self.look;
        let deaths = self.deaths.entry(container).or_default();
        deaths.look = look;
        deaths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_went_away_begins_anew() {
        let at = |second| Timestamp::from_second(second).expect("a small number");
        let mut memory = Memory::default();
        for (second, seen, since) in [(1, true, 1), (2, true, 1), (3, false, 0), (4, true, 4)] {
            memory.begin();
            if seen {
                assert_eq!(memory.since(StateKey::Scale, at(second)), at(since));
            }
            memory.end();
        }
    }
}
