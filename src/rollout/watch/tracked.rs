//! One object of the release while it is watched: what was applied, its last verdict, and what was reported.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{FIELD_MANAGER, WITHOUT_MANAGED_FIELDS, WatchSubject};
use crate::error::Place;
use crate::model::{Cause, ObjectId, Stage, Verdict, kinds, object};
use crate::project::HealthRules;
use crate::report::event::ObjectState;
use crate::rollout::annotations;
use crate::rollout::context::{Context, OwnLimits, ReleaseContext};
use crate::rollout::evaluate::{judge, judge_gone};
use crate::rollout::health::{Health, LogQuestion};
use crate::rollout::memory::{FirstLog, Memory};
use crate::rollout::pod::finding::precedence;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::watch::dependency_grace::{DependencyGrace, Peers, deaths};
use crate::rollout::watch::news;
use crate::rollout::watch::progress::ProgressLog;

/// How long an observation still counts at the deadline.
const LATELY: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// An object of a release, before anything is applied.
#[derive(Debug, Clone)]
pub struct Watched {
    /// As in the manifests.
    pub object: Arc<Value>,
    /// Its place in the user's files.
    pub place: Option<Written>,
    /// As it is now in the cluster, if that matches the manifest and it need not be applied.
    pub live: Option<Arc<Value>>,
}

/// The places of an object's fields in the user's files, by JSON pointer.
#[derive(Clone)]
pub struct Written(Arc<dyn Fn(&str) -> Place + Send + Sync>);

impl Written {
    /// Uses this function to find the place of a pointer; the empty pointer is the object itself.
    pub fn new(place_of: impl Fn(&str) -> Place + Send + Sync + 'static) -> Self {
        Self(Arc::new(place_of))
    }

    /// The place where the value at a pointer begins.
    pub(super) fn place_of(&self, pointer: &str) -> Place {
        (self.0)(pointer)
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Written({})", self.place_of(""))
    }
}

/// An object of the release.
pub(super) struct TrackedObject {
    pub(super) manifest: Arc<Value>,
    pub(super) place: Option<Written>,
    pub(super) judgement: Option<Health>,
    /// The watches without which a ready verdict may be wrong.
    pub(super) needs: Vec<WatchSubject>,
    /// Since when it is waited for.
    pub(super) since: Option<Instant>,
    /// Whether discovery serves the kind that this `CustomResourceDefinition` defines.
    pub(super) served: Option<bool>,
    id: ObjectId,
    stamp: Option<Stamp>,
    memory: Memory,
    patience: DependencyGrace,
    progress: ProgressLog,
    /// The health whose cause took precedence in the last minute, and when that was.
    worst: Option<(Timestamp, Health)>,
    last_seen: Option<Arc<Value>>,
    told: Option<ObjectState>,
}

/// The state of an object that our apply returned.
struct Stamp {
    at: Timestamp,
    uid: Option<String>,
    generation: Option<i64>,
}

/// The part of an evaluation's context that only the whole release knows.
pub(super) struct Around<'a> {
    pub(super) now: Timestamp,
    pub(super) others: Peers,
    pub(super) made_elsewhere: &'a Arc<Vec<(String, String)>>,
    pub(super) health: &'a Arc<HealthRules>,
    /// Whether Jobs of the release have not succeeded yet.
    pub(super) jobs_follow: bool,
    /// When the previous release ended, if it was good.
    pub(super) good_at: Option<Timestamp>,
}

impl TrackedObject {
    pub(super) fn new(watched: Watched) -> Self {
        Self {
            id: ObjectId::of(watched.live.as_ref().unwrap_or(&watched.object)),
            manifest: watched.object,
            place: watched.place,
            judgement: None,
            needs: Vec::new(),
            since: None,
            served: None,
            stamp: None,
            memory: Memory::default(),
            patience: DependencyGrace::default(),
            progress: ProgressLog::default(),
            worst: None,
            last_seen: watched.live.map(|live| Arc::new(WITHOUT_MANAGED_FIELDS.copy(&live))),
            told: None,
        }
    }

    pub(super) fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Records what the cluster returned from our apply; `began` is when the rollout began. Returns the object as seen
    /// now.
    pub(super) fn applied(&mut self, object: &Value, began: Timestamp) -> Arc<Value> {
        self.stamp = Some(Stamp {
            at: written(object).unwrap_or(began),
            uid: Some(object::uid(object)).filter(|uid| !uid.is_empty()).map(ToOwned::to_owned),
            generation: object::number(object, "/metadata/generation"),
        });
        self.id = ObjectId::of(object);
        self.judgement = None;
        self.served = Some(false);
        Arc::clone(self.last_seen.insert(Arc::new(WITHOUT_MANAGED_FIELDS.copy(object))))
    }

    /// The object as last seen; `None` if it does not exist yet.
    pub(super) fn last_seen(&self) -> Option<Arc<Value>> {
        self.last_seen.clone()
    }

    /// The object as last seen, else as in the manifest.
    pub(super) fn newest(&self) -> &Value {
        self.last_seen.as_deref().unwrap_or(&self.manifest)
    }

    pub(super) fn is_applied(&self) -> bool {
        self.stamp.is_some()
    }

    /// Whether it exists or existed.
    pub(super) fn exists(&self) -> bool {
        self.last_seen.is_some()
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.judgement.as_ref().map(|judgement| judgement.verdict)
    }

    /// Whether it must be evaluated again although nothing changed.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let judgement = self.judgement.as_ref();
        judgement.and_then(|judgement| judgement.again_at).is_some_and(|again| again <= now)
    }

    /// Whether it is no longer waited for.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.verdict(), Some(Verdict::Ready | Verdict::Paused))
    }

    /// Whether it still makes progress, so that another workload may crash because this one is missing.
    pub(super) fn is_on_its_way(&self, now: Timestamp) -> bool {
        self.may_be_waited_for() && self.stalls_at().is_none_or(|stalls| stalls > now)
    }

    /// Whether it is not done and no longer makes progress.
    pub(super) fn is_stuck(&self, now: Timestamp) -> bool {
        self.may_be_waited_for() && !self.is_on_its_way(now)
    }

    /// From when on it counts as stuck unless something happens.
    pub(super) fn stalls_at(&self) -> Option<Timestamp> {
        self.progress.stalls_at()
    }

    /// Whether another workload may crash because this object is missing.
    pub(super) fn is_workload(&self) -> bool {
        is_workload(&self.id)
    }

    fn may_be_waited_for(&self) -> bool {
        is_workload(&self.id)
            && self.judgement.as_ref().is_none_or(|judgement| {
                matches!(judgement.verdict, Verdict::Progressing | Verdict::Unknown)
                    && !judgement.crashed_too_often
            })
    }

    /// Whether it has crashed too often, and has not failed only because others still make progress.
    pub(super) fn is_out_of_strikes(&self) -> bool {
        let judgement = self.judgement.as_ref();
        judgement.is_some_and(|one| one.crashed_too_often && one.verdict == Verdict::Progressing)
    }

    /// The log that would tell why it died, if that was not read yet.
    pub(super) fn asks(&self) -> Option<&LogQuestion> {
        let judgement = self.judgement.as_ref().filter(|one| one.verdict == Verdict::Progressing)?;
        judgement.asks.as_ref()
    }

    /// Stores the lines of a requested log.
    pub(super) fn answer(&mut self, question: LogQuestion, lines: Vec<String>) {
        let LogQuestion { key, instance, source, is_first } = question;
        self.memory.read_log(key, instance, lines.join("\n"));
        if is_first {
            self.memory.keep_first_log(FirstLog { pod: source.pod, container: source.container, lines });
        }
        if let Some(judgement) = &mut self.judgement {
            judgement.asks = None;
        }
    }

    /// Evaluates the object in this snapshot.
    pub(super) fn observe(&mut self, snapshot: &ClusterSnapshot, around: &Around<'_>) {
        let ObjectId { group, kind, namespace, name } = &self.id;
        let judgement = match (snapshot.shared(group, kind, namespace, name), &self.last_seen) {
            (Some(object), _) => {
                self.last_seen = Some(Arc::clone(object));
                self.as_it_was(object, snapshot, around).unwrap_or_else(|| {
                    let mut release = self.release(around);
                    let deaths = || deaths(snapshot, object);
                    release.others_on_their_way = self.patience.lasts(around.others, around.now, deaths);
                    let health = around.health.clone();
                    let context = Context { now: around.now, release: Some(release), health };
                    judge(object, snapshot, &context, &mut self.memory)
                })
            }
            (None, Some(last_seen)) => judge_gone(last_seen),
            (None, None) => return,
        };
        if is_workload(&self.id)
            && let Some(object) = &self.last_seen
        {
            self.progress.note(object, snapshot, &judgement, around.now);
        }
        self.note_worst(&judgement, around.now);
        self.judgement = Some(judgement);
    }

    fn note_worst(&mut self, judgement: &Health, now: Timestamp) {
        let weight = |health: &Health| health.cause.map_or(0, precedence);
        let is_over = |at: Timestamp| now.duration_since(at) > LATELY;
        let is_worse = |(at, known): &(Timestamp, Health)| is_over(*at) || weight(judgement) >= weight(known);
        let counts = judgement.verdict == Verdict::Progressing && judgement.cause.is_some();
        if counts && self.worst.as_ref().is_none_or(is_worse) {
            self.worst = Some((now, judgement.clone()));
        }
    }

    /// Restores the worst health of the last minute: which state an object has exactly at the deadline is chance, so
    /// the cause that took precedence is reported.
    pub(super) fn recall_worst(&mut self, now: Timestamp) {
        let weight = |health: &Health| health.cause.map_or(0, precedence);
        let Some((at, worst)) = self.worst.take() else { return };
        let is_nearer = self.judgement.as_ref().is_none_or(|judgement| weight(&worst) > weight(judgement));
        if is_nearer && now.duration_since(at) <= LATELY {
            self.judgement = Some(worst);
        }
    }

    /// An object that was not applied, and has been good for a while, needs no watch to be ready.
    fn as_it_was(&self, object: &Value, snapshot: &ClusterSnapshot, around: &Around<'_>) -> Option<Health> {
        if self.is_applied() || !self.needs.is_empty() || !(is_settled(object, around) || is_probed(object)) {
            return None;
        }
        let context = Context { now: around.now, release: None, health: around.health.clone() };
        let judgement = judge(object, snapshot, &context, &mut Memory::default());
        matches!(judgement.verdict, Verdict::Ready | Verdict::Paused).then_some(judgement)
    }

    fn release(&self, around: &Around<'_>) -> ReleaseContext {
        let stamp = self.stamp.as_ref();
        ReleaseContext {
            applied_at: stamp.map(|stamp| stamp.at),
            uid: stamp.and_then(|stamp| stamp.uid.clone()),
            generation: stamp.and_then(|stamp| stamp.generation),
            others_on_their_way: false,
            made_elsewhere: Arc::clone(around.made_elsewhere),
            limits: OwnLimits {
                sets_progress_deadline: object::has(&self.manifest, "/spec/progressDeadlineSeconds"),
                lacks_backoff_limit: !object::has(&self.manifest, "/spec/backoffLimit"),
            },
            served: self.served,
            jobs_follow: around.jobs_follow,
        }
    }

    /// Takes back a final verdict: it counts only after every watch has delivered its first list.
    pub(super) fn wait_until_heard(&mut self) {
        if let Some(judgement) = &mut self.judgement
            && matches!(judgement.verdict, Verdict::Ready | Verdict::Failed)
        {
            judgement.verdict = Verdict::Progressing;
        }
    }

    /// The state to report, if it differs from the last reported one.
    pub(super) fn tell(&mut self, stage: Stage) -> Option<ObjectState> {
        let judgement = self.judgement.as_ref()?;
        let news = ObjectState {
            stage,
            api_version: object::api_version(&self.manifest).to_owned(),
            kind: self.id.kind.clone(),
            namespace: self.id.namespace.clone(),
            name: self.id.name.clone(),
            verdict: judgement.verdict,
            cause: judgement.cause,
            message: judgement.message.clone(),
            ready: judgement.ready.clone(),
        };
        if self.told.as_ref().is_some_and(|told| news::is_same(told, &news)) {
            return None;
        }
        self.told = Some(news.clone());
        Some(news)
    }

    /// When our apply was written, if there was one.
    pub(super) fn applied_at(&self) -> Option<Timestamp> {
        self.stamp.as_ref().map(|stamp| stamp.at)
    }

    /// The last known state: `progressing 0/1`.
    pub(super) fn state(&self) -> String {
        let Some(judgement) = &self.judgement else { return "not seen yet".to_owned() };
        let ready = judgement.ready.as_ref().map(|ready| format!(" {ready}"));
        format!("{}{}", judgement.verdict, ready.unwrap_or_default())
    }

    /// The last known state with its message.
    pub(super) fn words(&self) -> String {
        let message = self.judgement.as_ref().and_then(|judgement| judgement.message.as_ref());
        let message = message.map(|message| format!(", {message}"));
        format!("{}{}", self.state(), message.unwrap_or_default())
    }

    /// The timeout that the manifest sets.
    pub(super) fn own_timeout(&self) -> Option<Duration> {
        annotations::timeout(&self.manifest)
    }

    /// Why it did not become ready; for a Job whose pods have died, the Job's own cause.
    pub(super) fn cause(&self) -> Cause {
        match self.judgement.as_ref().and_then(|judgement| judgement.cause) {
            Some(Cause::ExitCode | Cause::InitFailed | Cause::OutOfMemory) if self.id.kind == "Job" => {
                Cause::JobFailed
            }
            cause => cause.unwrap_or(Cause::TimedOut),
        }
    }

    /// Whether this is a definition that the cluster has accepted, and discovery was not asked for yet.
    pub(super) fn is_served_unknown(&self) -> bool {
        self.id.kind == "CustomResourceDefinition"
            && self.is_applied()
            && self.served != Some(true)
            && self
                .last_seen
                .as_ref()
                .is_some_and(|seen| crate::rollout::snapshot::condition::is_true(seen, "Established"))
    }
}

/// Whether no condition changed in the last 15 s, or since a good release: a program that crashes every few seconds is
/// ready in between.
fn is_settled(object: &Value, around: &Around<'_>) -> bool {
    const LONG: jiff::SignedDuration = jiff::SignedDuration::from_secs(15);
    let is_settled = |changed: Timestamp| {
        around.now.duration_since(changed) >= LONG || around.good_at.is_some_and(|good| changed <= good)
    };
    object::list(object, "/status/conditions")
        .iter()
        .filter_map(|condition| object::time(condition, "/lastTransitionTime"))
        .all(is_settled)
}

/// Whether each of its containers has a readiness probe: then being ready needs no further wait.
fn is_probed(object: &Value) -> bool {
    let containers = object::list(object, "/spec/template/spec/containers");
    !containers.is_empty() && containers.iter().all(|one| object::has(one, "/readinessProbe"))
}

/// Kinds that run something. A custom resource may stand for a database, for example.
fn is_workload(id: &ObjectId) -> bool {
    match id.group.as_str() {
        "" => matches!(id.kind.as_str(), "Pod" | "ReplicationController"),
        "apps" => true,
        "batch" => id.kind == "Job",
        group => kinds::is_of_others(group),
    }
}

/// Removes `managedFields`, which no verdict needs.
pub(super) fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}

/// When our last apply that changed something was written, by the API server's clock.
fn written(object: &Value) -> Option<Timestamp> {
    let entries = object::list(object, "/metadata/managedFields").iter();
    entries
        .filter(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
        .filter(|entry| object::text(entry, "/subresource").is_empty())
        .find_map(|entry| object::time(entry, "/time"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_server_says_when_it_was_applied() {
        let entry =
            |manager: &str, time: &str| json!({"manager": manager, "operation": "Apply", "time": time});
        let fields = [entry("kubectl", "2026-11-23T09:00:00Z"), entry(FIELD_MANAGER, "2026-11-23T09:05:00Z")];
        let object = json!({"metadata": {"managedFields": fields}});
        assert_eq!(written(&object), "2026-11-23T09:05:00Z".parse().ok());
    }

    #[test]
    fn what_others_may_crash_for_is_a_workload() {
        let id = |group: &str, kind: &str| ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: "shop".into(),
            name: "x".into(),
        };
        assert!(
            is_workload(&id("apps", "StatefulSet")) && is_workload(&id("postgres.example.com", "Cluster"))
        );
        assert!(!is_workload(&id("", "Service")) && !is_workload(&id("networking.k8s.io", "Ingress")));
    }

    #[test]
    fn at_the_deadline_the_worst_of_the_last_minute_speaks() {
        let at = |second| Timestamp::from_second(second).expect("a small number");
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        let judged = |cause: Cause| Health::progressing("no").with_cause(cause);
        let ends = |seen: &[(i64, Cause)], last: Health| {
            let mut tracked =
                TrackedObject::new(Watched { object: object.clone().into(), place: None, live: None });
            for (second, cause) in seen {
                tracked.note_worst(&judged(*cause), at(*second));
            }
            tracked.judgement = Some(last);
            tracked.recall_worst(at(100));
            tracked.cause()
        };
        let plain = || Health::progressing("it comes");
        let seen = [(50, Cause::ExitCode), (70, Cause::ReadinessProbe)];
        assert_eq!(ends(&seen, plain()), Cause::ExitCode);
        assert_eq!(ends(&seen, judged(Cause::ConfigMissing)), Cause::ConfigMissing);
        assert_eq!(ends(&[(30, Cause::ExitCode)], plain()), Cause::TimedOut, "that was long ago");
    }

    #[test]
    fn only_what_changed_is_told() {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}});
        let watched = Watched { object: object.clone().into(), place: None, live: None };
        let mut tracked = TrackedObject::new(watched);
        assert!(tracked.tell(Stage::Release).is_none(), "nothing was judged");
        tracked.applied(&object, Timestamp::UNIX_EPOCH);
        let snapshot = ClusterSnapshot::new([object]);
        let (now, made, health) = (Timestamp::UNIX_EPOCH, Arc::default(), Arc::default());
        let around = Around {
            now,
            others: Peers::There,
            made_elsewhere: &made,
            health: &health,
            jobs_follow: false,
            good_at: None,
        };
        tracked.observe(&snapshot, &around);
        assert_eq!(tracked.tell(Stage::Release).expect("it is new").verdict, Verdict::Ready);
        tracked.observe(&snapshot, &around);
        assert!(tracked.tell(Stage::Release).is_none());
    }
}
