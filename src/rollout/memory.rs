//! What a watch remembers from one look at an object to the next: when a state was first seen, and which
//! container deaths were counted. A dump has no past, and so an empty memory.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// The memory of one object; the caller keeps it and hands it to each judgement of that object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// The number of the look that is under way.
    look: u64,
    seen: BTreeMap<String, Seen>,
    deaths: BTreeMap<(String, String), CountedCrashes>,
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
    pub(super) fn since(&mut self, state: &str, now: Timestamp) -> Timestamp {
        let look = self.look;
        if let Some(seen) = self.seen.get_mut(state) {
            seen.look = look;
            return seen.since;
        }
        self.seen.insert(state.to_owned(), Seen { since: now, look });
        now
    }

    /// Whether this state was seen in an earlier look, and is not forgotten by this one.
    pub(super) fn recall(&mut self, state: &str) -> bool {
        let look = self.look;
        let seen = self.seen.get_mut(state);
        seen.map(|seen| seen.look = look).is_some()
    }

    /// The deaths of a container of a pod.
    pub(super) fn deaths(&mut self, pod: &str, container: &str) -> &mut CountedCrashes {
        let look = self.look;
        let deaths = self.deaths.entry((pod.to_owned(), container.to_owned())).or_default();
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
                assert_eq!(memory.since("waiting", at(second)), at(since));
            }
            memory.end();
        }
    }
}
