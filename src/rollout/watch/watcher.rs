//! Watches a rollout to its end: opens only the watches that are needed, puts their updates into the snapshot,
//! evaluates the objects, reports changes, and ends as soon as the outcome is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::error::Result;
use crate::model::{ObjectId, Stage, Verdict};
use crate::project::HealthRules;
use crate::rollout::made_elsewhere::made_by;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::watch::cache::needs::{Role, Scope};
use crate::rollout::watch::cache::permissions::Permissions;
use crate::rollout::watch::cache::{Item, Touched, WatchCache, needs};
use crate::rollout::watch::deadline::Clock;
use crate::rollout::watch::follow::Follows;
use crate::rollout::watch::tracked::{TrackedObject, Watched};
use crate::session::{Session, interrupted};

/// Updates that arrive within this time are evaluated together.
const TOGETHER: Duration = Duration::from_millis(30);
/// Evaluating a large release takes longer, so each of its objects adds this to the wait, …
const TOGETHER_EACH: Duration = Duration::from_micros(100);
/// … but no update waits longer than this.
const TOGETHER_AT_MOST: Duration = Duration::from_millis(200);
/// Up to this many workloads of a namespace, each gets its own watch of the pods that it selects.
const FEW: usize = 8;
/// Once one object has failed, how long to wait for others that fail for the same reason.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// How long the first list of a watch may take.
const FIRST_LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often an object that may be read but not watched is read.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// How often discovery is asked whether it serves an accepted definition.
pub(super) const DISCOVER: Duration = Duration::from_millis(300);

/// What to wait for.
#[derive(Debug, Clone, Copy)]
pub enum Goal<'a> {
    /// All of these are ready (or paused).
    Ready(&'a [ObjectId]),
    /// None of these fails before the deadline, and at the deadline all are ready (or paused).
    Stay(&'a [ObjectId]),
}

/// Watches the objects of one release.
pub struct Watcher {
    pub(super) session: Session,
    pub(super) cluster: Cluster,
    pub(super) stage: Stage,
    pub(super) began: Timestamp,
    pub(super) set: BTreeMap<ObjectId, TrackedObject>,
    pub(super) snapshot: ClusterSnapshot,
    pub(super) feed: WatchCache,
    pub(super) follows: Follows,
    pub(super) rights: Permissions,
    pub(super) clock: Clock,
    pub(super) made_elsewhere: Arc<Vec<(String, String)>>,
    pub(super) health: Arc<HealthRules>,
    /// When the previous release ended, if it was good.
    pub(super) good_at: Option<Timestamp>,
    /// The objects whose verdict may have changed.
    pub(super) dirty: BTreeSet<ObjectId>,
    pub(super) warned: BTreeSet<String>,
    /// How long to wait for more updates after the first one.
    pub(super) together: Duration,
    /// When unwatched objects were last read, and when discovery was last asked.
    pub(super) polled: Option<Instant>,
    pub(super) discovered: Option<Instant>,
}

impl Watcher {
    /// Creates a watcher of these objects; makes no request yet.
    pub fn new(session: &Session, cluster: &Cluster, stage: Stage, watched: Vec<Watched>) -> Self {
        let made_elsewhere = made_by(watched.iter().map(|one| &*one.object));
        let set: BTreeMap<ObjectId, TrackedObject> =
            watched.into_iter().map(|one| (ObjectId::of(&one.object), TrackedObject::new(one))).collect();
        let mut snapshot = ClusterSnapshot::default();
        set.values().filter_map(TrackedObject::last_seen).for_each(|live| snapshot.upsert(live));
        Self {
            snapshot,
            feed: WatchCache::new(cluster, set.keys()),
            made_elsewhere: Arc::new(made_elsewhere),
            set,
            session: session.clone(),
            cluster: cluster.clone(),
            stage,
            began: cluster.now(),
            follows: Follows::new(cluster, &session.reporter, stage),
            rights: Permissions::default(),
            health: Arc::default(),
            good_at: None,
            clock: Clock::default(),
            dirty: BTreeSet::new(),
            warned: BTreeSet::new(),
            together: TOGETHER,
            polled: None,
            discovered: None,
        }
    }

    /// Sets the configuration's own rules for kinds.
    pub fn judge_by(&mut self, health: Arc<HealthRules>) {
        self.health = health;
    }

    /// Sets when the previous release ended, if it was good: objects that it waited for and nobody has changed are not
    /// waited for again.
    pub fn was_good_at(&mut self, ended: Option<Timestamp>) {
        self.good_at = ended;
    }

    /// Adds kind and name of objects that others create (`external:`): a pod that lacks one does not fail at once.
    pub fn made_elsewhere(&mut self, objects: impl IntoIterator<Item = (String, String)>) {
        Arc::make_mut(&mut self.made_elsewhere).extend(objects);
    }

    /// Records what the cluster returned from an apply: from now on only this state of the object and later ones count.
    pub fn applied(&mut self, object: &Value) {
        let Some(id) = self.known_as(&ObjectId::of(object)) else { return };
        let Some(tracked) = self.set.get_mut(&id) else { return };
        let seen = tracked.applied(object, self.began);
        self.snapshot.upsert(seen);
        self.dirty.insert(id);
    }

    /// The id under which an object is tracked: manifests of kinds that the cluster did not know yet may name no
    /// namespace.
    fn known_as(&self, id: &ObjectId) -> Option<ObjectId> {
        let bare = ObjectId { namespace: String::new(), ..id.clone() };
        [id, &bare].into_iter().find(|id| self.set.contains_key(id)).cloned()
    }

    /// Whether an object became ready.
    pub fn is_ready(&self, id: &ObjectId) -> bool {
        self.set.get(id).and_then(TrackedObject::verdict) == Some(Verdict::Ready)
    }

    /// The objects that count as ready because their status has no known condition or phase.
    pub fn unjudged(&self) -> Vec<ObjectId> {
        let is_unjudged = |tracked: &TrackedObject| {
            tracked.judgement.as_ref().is_some_and(|one| one.is_unjudged && one.verdict == Verdict::Ready)
        };
        self.set.values().filter(|tracked| is_unjudged(tracked)).map(|tracked| tracked.id().clone()).collect()
    }

    /// When the rollout's time is over, without the time spent only on objects with a timeout of their own.
    pub fn end(&self, deadline: Instant) -> Instant {
        self.clock.end(Instant::now(), deadline)
    }

    /// Waits until the goal is reached.
    ///
    /// # Errors
    /// [`Kind::Rollout`](crate::error::Kind::Rollout) as soon as one of the objects has failed,
    /// [`Kind::TimedOut`](crate::error::Kind::TimedOut) when the deadline (or an object's own) is over, both with one
    /// failure per object and its evidence; [`Kind::Interrupted`](crate::error::Kind::Interrupted);
    /// [`Kind::Denied`](crate::error::Kind::Denied) when an object may neither be watched nor read.
    pub async fn until(&mut self, goal: Goal<'_>, deadline: Instant) -> Result<()> {
        let (Goal::Ready(ids) | Goal::Stay(ids)) = goal;
        let stays = matches!(goal, Goal::Stay(_));
        let ids: Vec<ObjectId> = ids.iter().filter(|id| self.set.contains_key(id)).cloned().collect();
        for id in &ids {
            self.dirty.insert(id.clone());
            if let Some(tracked) = self.set.get_mut(id) {
                tracked.since.get_or_insert_with(Instant::now);
            }
        }
        let cancel = self.session.cancel.clone();
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            result = async {
                if stays { self.stay(&ids, deadline).await } else { self.wait(&ids, deadline).await }
            } => result,
        };
        if !matches!(&result, Err(error) if error.is_interruption()) {
            self.follows.finish().await;
        }
        self.rights.warn(&self.session.reporter);
        self.warn(&ids);
        result
    }

    async fn wait(&mut self, ids: &[ObjectId], deadline: Instant) -> Result<()> {
        let each = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.together = TOGETHER.saturating_add(TOGETHER_EACH.saturating_mul(each)).min(TOGETHER_AT_MOST);
        loop {
            self.judge(ids);
            if self.ask_discovery(ids).await || self.read_logs(ids).await {
                continue;
            }
            let waiting: Vec<ObjectId> = ids.iter().filter(|id| !self.set[*id].is_done()).cloned().collect();
            if waiting.is_empty() {
                return Ok(());
            }
            if self.has_failed(ids) {
                if self.has_come(ids).await {
                    continue;
                }
                self.settle(&waiting, ids).await;
                if let Some(error) = self.failed(ids).await {
                    return Err(error);
                }
                // The failed object has recovered in the meantime.
                continue;
            }
            let times = waiting.iter().map(|id| (self.set[id].since, self.set[id].own_timeout()));
            let limit = self.clock.next(times, deadline);
            self.cluster.end_at(Some(limit));
            if limit <= Instant::now() {
                let now = self.cluster.now();
                for id in &waiting {
                    if let Some(tracked) = self.set.get_mut(id) {
                        tracked.recall_worst(now);
                    }
                }
                return Err(self.late(&waiting, ids.len()).await);
            }
            self.open(&waiting);
            self.poll_unwatched(&waiting).await?;
            self.sleep_until_news(&waiting, limit).await;
        }
    }

    /// Keeps watching although everything is ready.
    async fn stay(&mut self, ids: &[ObjectId], end: Instant) -> Result<()> {
        self.open(ids);
        self.cluster.end_at(Some(end));
        // Before every watch has delivered its first list, nothing new is known.
        let heard = Instant::now() + FIRST_LIST_TIMEOUT;
        while !ids.iter().all(|id| self.feed.has_listed(&self.set[id].needs))
            && Instant::now() < heard.min(end)
        {
            self.sleep_until_news(ids, heard.min(end)).await;
        }
        loop {
            self.judge(ids);
            if self.has_failed(ids) && !self.has_come(ids).await {
                self.settle(ids, ids).await;
                if let Some(error) = self.failed(ids).await {
                    return Err(error);
                }
                continue;
            }
            if end <= Instant::now() {
                let late: Vec<ObjectId> = ids.iter().filter(|id| !self.set[*id].is_done()).cloned().collect();
                return if late.is_empty() { Ok(()) } else { Err(self.late(&late, ids.len()).await) };
            }
            self.poll_unwatched(ids).await?;
            self.sleep_until_news(ids, end).await;
        }
    }

    /// Opens the watches for objects that are not ready yet.
    fn open(&mut self, waiting: &[ObjectId]) {
        let crowded = self.crowded(waiting);
        for id in waiting {
            let Some(tracked) = self.set.get_mut(id).filter(|tracked| tracked.needs.is_empty()) else {
                continue;
            };
            let is_crowded = crowded.contains(&tracked.id().namespace);
            let scope = if is_crowded { Scope::Namespace } else { Scope::Selected };
            for (subject, role) in needs::of(tracked.newest(), scope) {
                tracked.needs.push(subject.clone());
                self.feed.open(subject, role);
            }
        }
    }

    /// The namespaces with so many pending workloads that one watch of all pods is better than one for each.
    fn crowded(&self, waiting: &[ObjectId]) -> BTreeSet<String> {
        let mut workloads: BTreeMap<&str, usize> = BTreeMap::new();
        for tracked in waiting.iter().map(|id| &self.set[id]) {
            if needs::pod_selector(tracked.newest()).is_some() {
                *workloads.entry(&tracked.id().namespace).or_default() += 1;
            }
        }
        workloads.into_iter().filter(|(_, count)| *count > FEW).map(|(name, _)| name.to_owned()).collect()
    }

    /// Waits for an update, for the next scheduled evaluation, or for the limit.
    async fn sleep_until_news(&mut self, waiting: &[ObjectId], limit: Instant) {
        let mut wake = self.wake(waiting).min(limit);
        if let Some(due) = self.feed.trouble.due() {
            wake = wake.min(due);
        }
        tokio::select! {
            item = self.feed.next() => {
                self.take(item);
                tokio::time::sleep(self.together).await;
                self.take_all();
                self.follow(waiting);
            }
            () = tokio::time::sleep_until(wake) => {}
        }
        let news = self.feed.news.take().or_else(|| self.feed.trouble.say(Instant::now()));
        if let Some(sentence) = news {
            self.session.reporter.warn(sentence);
        }
    }

    /// Takes the updates that have already arrived.
    fn take_all(&mut self) {
        /// After this many updates, evaluate, even if more are waiting.
        const MOST: usize = 1000;
        for _ in 0..MOST {
            let Some(item) = self.feed.try_next() else { return };
            self.take(item);
        }
    }

    fn take(&mut self, item: Item) {
        match self.feed.take(&mut self.snapshot, item) {
            Touched::Everything => self.dirty.extend(self.set.keys().cloned()),
            Touched::These(ids) => {
                let known: Vec<ObjectId> = ids.iter().filter_map(|id| self.known_as(id)).collect();
                self.dirty.extend(known);
            }
        }
        for (subject, role, error) in self.feed.take_denied() {
            match role {
                Role::Own => self.rights.unwatched(&subject),
                Role::Evidence => self.rights.missing(&subject, &error),
                Role::Extra => {}
            }
        }
        if self.feed.is_complete() {
            self.rights.warn(&self.session.reporter);
        }
    }

    /// When to evaluate again even if no update arrives.
    fn wake(&self, waiting: &[ObjectId]) -> Instant {
        let (now, here) = (self.cluster.now(), Instant::now());
        let of_one = |id: &ObjectId| {
            let tracked = &self.set[id];
            let again = tracked.judgement.as_ref()?.again_at?;
            let pause = Duration::try_from(again.duration_since(now)).unwrap_or_default();
            Some(here + pause.max(TOGETHER))
        };
        let mut wake = waiting.iter().filter_map(of_one).min().unwrap_or(here + Duration::from_secs(3600));
        if waiting.iter().any(|id| self.set[id].is_out_of_strikes()) {
            let stalls = waiting.iter().filter_map(|id| self.set[id].stalls_at());
            let pauses = stalls.filter_map(|at| Duration::try_from(at.duration_since(now)).ok());
            wake = pauses.map(|pause| here + pause.max(TOGETHER)).fold(wake, Instant::min);
        }
        if waiting.iter().any(|id| self.rights.is_unwatched(&self.set[id].needs)) {
            wake = wake.min(here + POLL);
        }
        if waiting.iter().any(|id| self.set[id].is_served_unknown()) {
            wake = wake.min(here + DISCOVER);
        }
        wake
    }

    fn follow(&mut self, waiting: &[ObjectId]) {
        for id in waiting.iter().filter(|id| id.group == "batch" && id.kind == "Job") {
            self.follows.observe(&self.snapshot, self.set[id].newest());
        }
    }

    fn has_failed(&self, ids: &[ObjectId]) -> bool {
        ids.iter().any(|id| self.set[id].verdict() == Some(Verdict::Failed))
    }

    /// Gives other objects that are about to fail the time to do so, so that one report names them all.
    async fn settle(&mut self, waiting: &[ObjectId], ids: &[ObjectId]) {
        let others = waiting.iter().any(|id| self.set[id].verdict() != Some(Verdict::Failed));
        let end = Instant::now() + if others { SETTLE } else { Duration::ZERO };
        while let Ok(item) = tokio::time::timeout_at(end, self.feed.next()).await {
            self.take(item);
            self.take_all();
            self.judge(ids);
        }
    }
}
