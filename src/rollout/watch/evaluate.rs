//! Evaluates the objects and reports what changed.

use jiff::Timestamp;

use crate::model::kinds::is_of_kubernetes;
use crate::model::{ObjectId, Verdict};
use crate::report::event::Event;
use crate::rollout::watch::dependency_grace::Peers;
use crate::rollout::watch::tracked::Around;
use crate::rollout::watch::watcher::Watcher;

/// How many of the release's objects are in each state, so that an object learns about the others without a pass over
/// all.
#[derive(Debug, Clone, Copy, Default)]
struct PeerCounts {
    on_their_way: usize,
    failed: usize,
    there: usize,
}

/// The state of one object, as it matters to the others.
#[derive(Debug, Clone, Copy)]
enum PeerState {
    OnItsWay,
    /// It has failed or is stuck.
    Failed,
    There,
    /// It has crashed too often itself, or nothing crashes because it is missing.
    Apart,
}

impl PeerCounts {
    fn count(&mut self, one: PeerState) -> Option<&mut usize> {
        match one {
            PeerState::OnItsWay => Some(&mut self.on_their_way),
            PeerState::Failed => Some(&mut self.failed),
            PeerState::There => Some(&mut self.there),
            PeerState::Apart => None,
        }
    }

    fn join(&mut self, one: PeerState) {
        if let Some(count) = self.count(one) {
            *count += 1;
        }
    }

    fn leave(&mut self, one: PeerState) {
        if let Some(count) = self.count(one) {
            *count -= 1;
        }
    }

    fn without(mut self, one: PeerState) -> Self {
        self.leave(one);
        self
    }

    fn others(self) -> Peers {
        if self.on_their_way > 0 {
            Peers::Progressing
        } else if self.failed == 0 && self.there > 0 {
            Peers::There
        } else {
            // If none became ready, another try is pointless.
            Peers::Failed
        }
    }
}

impl Watcher {
    /// Evaluates the objects that may have changed, until no verdict changes another one.
    pub(crate) fn judge(&mut self, ids: &[ObjectId]) {
        /// Whether an object's crashes count depends on the verdict of others, but theirs not on those again.
        const ROUNDS: usize = 4;
        let now = self.cluster.now();
        for _ in 0..ROUNDS {
            let mut peer_counts = self.peer_counts(ids, now);
            let waits_for_others = |id: &&ObjectId| {
                self.set[*id].is_out_of_strikes()
                    && peer_counts.without(self.peer_state(id, now)).others() != Peers::Progressing
            };
            let alone: Vec<ObjectId> = ids.iter().filter(waits_for_others).cloned().collect();
            self.dirty.extend(alone);
            let is_due = |id: &&ObjectId| self.dirty.contains(*id) || self.set[*id].is_due(now);
            let due: Vec<ObjectId> = ids.iter().filter(is_due).cloned().collect();
            if due.is_empty() {
                break;
            }
            for id in due {
                self.dirty.remove(&id);
                peer_counts.leave(self.peer_state(&id, now));
                self.observe(&id, peer_counts.others(), now);
                peer_counts.join(self.peer_state(&id, now));
            }
        }
        self.tell(ids);
    }

    fn observe(&mut self, id: &ObjectId, others: Peers, now: Timestamp) {
        // Only kinds without a rule of Kubernetes' own need this.
        let jobs_follow = !is_of_kubernetes(&id.group)
            && self.set.iter().any(|(other, tracked)| other.kind == "Job" && !tracked.is_done());
        let Some(tracked) = self.set.get_mut(id) else { return };
        let around = Around {
            now,
            others,
            made_elsewhere: &self.made_elsewhere,
            health: &self.health,
            jobs_follow,
            good_at: self.good_at,
        };
        tracked.observe(&self.snapshot, &around);
        if !self.feed.has_listed(&tracked.needs) {
            tracked.wait_until_heard();
        }
    }

    fn peer_counts(&self, ids: &[ObjectId], now: Timestamp) -> PeerCounts {
        let mut peer_counts = PeerCounts::default();
        for id in ids {
            peer_counts.join(self.peer_state(id, now));
        }
        peer_counts
    }

    fn peer_state(&self, id: &ObjectId, now: Timestamp) -> PeerState {
        let tracked = &self.set[id];
        if tracked.exists() && tracked.is_on_its_way(now) {
            PeerState::OnItsWay
        } else if tracked.verdict() == Some(Verdict::Failed) || tracked.is_stuck(now) {
            PeerState::Failed
        } else if tracked.is_done() && tracked.is_workload() {
            PeerState::There
        } else {
            PeerState::Apart
        }
    }

    pub(crate) fn tell(&mut self, ids: &[ObjectId]) {
        for id in ids {
            if let Some(state) = self.set.get_mut(id).and_then(|tracked| tracked.tell(self.stage)) {
                self.session.reporter.emit(&Event::Object(state));
            }
        }
    }

    /// Prints, once, each warning about an object that does not change its verdict.
    pub(crate) fn warn(&mut self, ids: &[ObjectId]) {
        let judged =
            ids.iter().filter_map(|id| self.set[id].judgement.as_ref().map(|judgement| (id, judgement)));
        let sentences =
            judged.flat_map(|(id, one)| one.warnings.iter().map(move |warning| format!("{id}: {warning}")));
        for sentence in sentences.collect::<Vec<_>>() {
            if self.warned.insert(sentence.clone()) {
                self.session.reporter.warn(sentence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PeerState::{Apart, Failed, OnItsWay, There};
    use super::*;

    #[test]
    fn those_that_die_themselves_are_nothing_to_wait_for() {
        let others = |states: &[PeerState]| {
            let mut counts = PeerCounts::default();
            for state in states {
                counts.join(*state);
            }
            counts.others()
        };
        assert_eq!(others(&[]), Peers::Failed);
        assert_eq!(others(&[Apart, Apart]), Peers::Failed, "all of them die");
        assert_eq!(others(&[Apart, There]), Peers::There);
        assert_eq!(others(&[Apart, There, Failed]), Peers::Failed);
        assert_eq!(others(&[Apart, There, Failed, OnItsWay]), Peers::Progressing);
    }
}
