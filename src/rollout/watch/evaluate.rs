//! Having the objects judged, and telling what changed.

use jiff::Timestamp;

use crate::model::kinds::is_of_kubernetes;
use crate::model::{ObjectId, Verdict};
use crate::report::event::Event;
use crate::rollout::watch::dependency_grace::Peers;
use crate::rollout::watch::tracked::Around;
use crate::rollout::watch::watcher::Watcher;

/// How many of the set stand where, so that each is told of the others without asking all of them again.
#[derive(Debug, Clone, Copy, Default)]
struct PeerCounts {
    on_their_way: usize,
    failed: usize,
}

/// Where one of the set stands, as the others see it.
#[derive(Debug, Clone, Copy)]
enum PeerState {
    OnItsWay,
    Failed,
    There,
}

impl PeerCounts {
    fn join(&mut self, one: PeerState) {
        match one {
            PeerState::OnItsWay => self.on_their_way += 1,
            PeerState::Failed => self.failed += 1,
            PeerState::There => {}
        }
    }

    fn leave(&mut self, one: PeerState) {
        match one {
            PeerState::OnItsWay => self.on_their_way -= 1,
            PeerState::Failed => self.failed -= 1,
            PeerState::There => {}
        }
    }

    fn without(mut self, one: PeerState) -> Self {
        self.leave(one);
        self
    }

    fn others(self) -> Peers {
        match self {
            Self { on_their_way: 1.., .. } => Peers::OnTheirWay,
            Self { failed: 1.., .. } => Peers::Failed,
            Self { .. } => Peers::There,
        }
    }
}

impl Watcher {
    /// Judges what may have changed, until no verdict changes another one.
    pub(crate) fn judge(&mut self, ids: &[ObjectId]) {
        /// Strikes of one depend on the verdict of others, and theirs not on those again.
        const ROUNDS: usize = 4;
        let now = self.cluster.now();
        for _ in 0..ROUNDS {
            let mut peer_counts = self.peer_counts(ids);
            let is_due = |id: &&ObjectId| self.dirty.contains(*id) || self.set[*id].is_due(now);
            let due: Vec<ObjectId> = ids.iter().filter(is_due).cloned().collect();
            if due.is_empty() {
                break;
            }
            for id in due {
                self.dirty.remove(&id);
                peer_counts.leave(self.peer_state(&id));
                self.observe(&id, peer_counts.others(), now);
                peer_counts.join(self.peer_state(&id));
            }
            let waits_for_others = |id: &&ObjectId| {
                let judgement = self.set[*id].judgement.as_ref();
                let out =
                    judgement.is_some_and(|one| one.out_of_strikes && one.verdict == Verdict::Progressing);
                out && peer_counts.without(self.peer_state(id)).others() != Peers::OnTheirWay
            };
            let alone: Vec<ObjectId> = ids.iter().filter(waits_for_others).cloned().collect();
            self.dirty.extend(alone);
        }
        self.tell(ids);
    }

    fn observe(&mut self, id: &ObjectId, others: Peers, now: Timestamp) {
        // Only what has no rule of Kubernetes' own asks for it.
        let jobs_follow = !is_of_kubernetes(&id.group)
            && self.set.iter().any(|(other, tracked)| other.kind == "Job" && !tracked.is_done());
        let Some(tracked) = self.set.get_mut(id) else { return };
        let around =
            Around { now, others, made_elsewhere: &self.made_elsewhere, health: &self.health, jobs_follow };
        tracked.observe(&self.snapshot, &around);
        if !self.feed.has_heard(&tracked.needs) {
            tracked.wait_until_heard();
        }
    }

    fn peer_counts(&self, ids: &[ObjectId]) -> PeerCounts {
        let mut peer_counts = PeerCounts::default();
        for id in ids {
            peer_counts.join(self.peer_state(id));
        }
        peer_counts
    }

    fn peer_state(&self, id: &ObjectId) -> PeerState {
        let tracked = &self.set[id];
        if tracked.exists() && tracked.is_on_its_way() {
            PeerState::OnItsWay
        } else if tracked.verdict() == Some(Verdict::Failed) {
            PeerState::Failed
        } else {
            PeerState::There
        }
    }

    pub(crate) fn tell(&mut self, ids: &[ObjectId]) {
        for id in ids {
            if let Some(state) = self.set.get_mut(id).and_then(|tracked| tracked.tell(self.stage)) {
                self.session.reporter.emit(&Event::Object(state));
            }
        }
    }

    /// Says once what a person should know of objects although it changes no verdict.
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
