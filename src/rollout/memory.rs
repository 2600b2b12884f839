//! What a watch remembers from one look at an object to the next: when a state was first seen, and which
//! container deaths were counted. A dump has no past, and so an empty memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::Cause;

/// The memory of one object; the caller keeps it and hands it to each judgement of that object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// The number of the look that is under way.
    look: u64,
    seen: HashMap<StateKey, Seen>,
    deaths: HashMap<ContainerKey, CountedCrashes>,
}

/// A state that is remembered as long as it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum StateKey {
    /// Of a container.
    Container(ContainerKey, ContainerState),
    /// A pod, by its uid, waits for the ConfigMap or Secret of this name.
    Volume(Arc<str>, Box<str>),
    /// A ReplicaSet, by its uid, cannot create its pods.
    ReplicaCreation(Arc<str>),
    /// The object cannot create its pods.
    OwnCreation,
    /// The Deployment cannot create its ReplicaSet.
    SetCreation,
    /// It is ready by its counts, and its pods cannot be seen.
    Stable,
    /// The autoscaler cannot read what it scales.
    Scale,
    /// The controller tells of an error.
    ControllerError,
    /// The object has this `resourceVersion`.
    Written(Box<str>),
}

/// A state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ContainerState {
    /// Its image was refused for this cause.
    Image(Cause),
    /// Its image was tried to be pulled once more.
    PullRetried,
    /// Its image was not pulled.
    Pull,
    /// It lacks configuration.
    Configuration,
    /// The runtime cannot create it.
    Creation,
    /// The probe of this cause has not succeeded.
    Probe(Cause),
    /// The instance after so many restarts runs.
    Run(i64),
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ContainerKey {
    /// The pod's uid, which a pod of the same name in the same place does not share.
    pub(crate) pod: Arc<str>,
    pub(crate) container: Arc<str>,
}

impl ContainerKey {
    /// A state of this container.
    pub(crate) fn state(&self, state: ContainerState) -> StateKey {
        StateKey::Container(self.clone(), state)
    }
}

/// A state that is seen.
#[derive(Debug, Clone)]
struct Seen {
    since: Timestamp,
    look: u64,
}

/// The deaths of a container of a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct CountedCrashes {
    look: u64,
    /// Deaths from before the release, which do not count against it.
    pub(super) before: Option<i64>,
    /// Instances that were seen dead, and count.
    pub(super) counted: BTreeSet<String>,
    /// Instances that ended well, and do not count.
    pub(super) harmless: BTreeSet<String>,
}

impl Memory {
    /// Begins a look: what is not seen again until its end is forgotten.
    pub(super) fn begin(&mut self) {
        self.look += 1;
    }

    /// Ends a look.
    pub(super) fn end(&mut self) {
        let look = self.look;
        self.seen.retain(|_, seen| seen.look == look);
        self.deaths.retain(|_, deaths| deaths.look == look);
    }

    /// Since when this state is seen without a break.
    pub(super) fn since(&mut self, state: StateKey, now: Timestamp) -> Timestamp {
        let look = self.look;
        let seen = self.seen.entry(state).or_insert(Seen { since: now, look });
        seen.look = look;
        seen.since
    }

    /// Whether this state was seen in an earlier look, and is not forgotten by this one.
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
