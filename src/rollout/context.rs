//! The context of one evaluation: the object, the snapshot of its surroundings, the clock, the memory, and how long
//! states last.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::object;
use crate::project::{HealthRule, HealthRules};
use crate::rollout::health::{Health, Missing};
use crate::rollout::memory::{ContainerKey, CountedCrashes, FirstLog, Memory, StateKey};
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::identity::Identified;
use crate::rollout::snapshot::pod::Pod;

/// The circumstances of an evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The API server's clock, or the time at which a dump is judged.
    pub now: Timestamp,
    /// The release that the object belongs to; `None` for a dump, where a state has lasted since its own
    /// timestamp, and one without a timestamp has lasted long.
    pub release: Option<ReleaseContext>,
    /// The configuration's own rules for kinds.
    pub health: Arc<HealthRules>,
}

/// What a release knows about an object beyond what the cluster says.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReleaseContext {
    /// When the release began to change the object; older conditions are leftovers.
    pub applied_at: Option<Timestamp>,
    /// The uid that our apply returned.
    pub uid: Option<String>,
    /// The generation that our apply returned.
    pub generation: Option<i64>,
    /// Another workload of the same release still makes progress, and has not used up its failures: it may be the
    /// database that this one needs.
    pub others_on_their_way: bool,
    /// Kind and name of objects created elsewhere: declared `external`, or created by a custom resource of the release.
    pub made_elsewhere: Arc<Vec<(String, String)>>,
    /// Which limits the manifest sets.
    pub limits: OwnLimits,
    /// Whether discovery serves what a `CustomResourceDefinition` defines; `None` if not checked.
    pub served: Option<bool>,
    /// Jobs of the release wait for the object.
    pub jobs_follow: bool,
}

/// The limits that the manifest itself sets; the server's defaults do not count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OwnLimits {
    /// It sets `progressDeadlineSeconds`.
    pub sets_progress_deadline: bool,
    /// It sets no `backoffLimit`.
    pub lacks_backoff_limit: bool,
}

/// The input of a rule.
pub(crate) struct EvalContext<'a> {
    pub(crate) object: &'a Value,
    /// The object, if it is a pod.
    pub(crate) pod: Option<&'a Pod>,
    pub(crate) snapshot: &'a ClusterSnapshot,
    context: &'a Context,
    memory: &'a mut Memory,
    again_at: Option<Timestamp>,
    /// The function that judges this object and what it owns.
    rule: Rule,
}

/// Judges the object of a context.
type Rule = fn(&mut EvalContext) -> Health;

impl<'a> EvalContext<'a> {
    pub(crate) fn new(
        object: &'a Value,
        pod: Option<&'a Pod>,
        snapshot: &'a ClusterSnapshot,
        context: &'a Context,
        memory: &'a mut Memory,
        rule: Rule,
    ) -> Self {
        Self { object, pod, snapshot, context, memory, again_at: None, rule }
    }

    /// The API server's clock, or the time at which a dump is judged.
    pub(crate) fn now(&self) -> Timestamp {
        self.context.now
    }

    /// The release; `None` for a dump.
    pub(crate) fn release(&self) -> Option<&'a ReleaseContext> {
        self.context.release.as_ref()
    }

    /// The configuration's rule for the object's kind.
    pub(crate) fn health(&self) -> Option<&'a HealthRule> {
        if self.context.health.is_empty() {
            return None;
        }
        let group = object::group(object::api_version(self.object));
        self.context.health.get(&format!("{}.{group}", object::kind(self.object)))
    }

    /// Whether a state has lasted this many seconds: since its own timestamp (but not from before our apply), else
    /// since it was first seen. In a dump, a state without a timestamp has lasted long.
    pub(crate) fn has_lasted(&mut self, state: StateKey, since: Option<Timestamp>, seconds: i64) -> bool {
        let since = match (self.release(), since) {
            (None, None) => return true,
            (None, Some(since)) => since,
            (Some(release), Some(since)) => release.applied_at.map_or(since, |applied| applied.max(since)),
            (Some(_), None) => self.memory.since(state, self.context.now),
        };
        self.is_past(since, seconds)
    }

    /// Whether this many seconds have passed since then; if not, schedules another evaluation for when they have.
    pub(crate) fn is_past(&mut self, since: Timestamp, seconds: i64) -> bool {
        let Ok(then) = since.checked_add(SignedDuration::from_secs(seconds)) else { return false };
        if then <= self.context.now {
            return true;
        }
        self.again_at = Some(self.again_at.map_or(then, |earlier| earlier.min(then)));
        false
    }

    /// Whether an instance of a container has run for this many seconds without a restart. The kubelet reports starts
    /// and deaths with a delay, which is added; in a dump it is not.
    pub(crate) fn has_run(&mut self, instance: StateKey, since: Timestamp, seconds: i64) -> bool {
        /// The kubelet checks its containers once a second, and its node may be busy.
        const DELAY: i64 = 2;
        /// A longer delay has another reason: the container ran before windlass saw it.
        const LONGEST_DELAY: i64 = 5;
        if self.release().is_none() {
            return self.is_past(since, seconds);
        }
        let seen = self.memory.since(instance, self.context.now);
        let delay = seen.as_second().saturating_sub(since.as_second()).clamp(0, LONGEST_DELAY);
        // Kubernetes writes whole seconds: it started up to 1 s later.
        self.is_past(since, seconds.saturating_add((2 * delay - 1).max(DELAY)))
    }

    /// Whether something was written after our apply; in a dump everything counts.
    pub(crate) fn is_of_this_release(&self, written: Option<Timestamp>) -> bool {
        match (self.release().and_then(|release| release.applied_at), written) {
            // Kubernetes writes whole seconds.
            (Some(applied), Some(written)) => written.as_second() >= applied.as_second(),
            _ => true,
        }
    }

    /// Whether an object of this age existed before our apply; in a dump none did.
    pub(crate) fn is_older_than_release(&self, created: Option<Timestamp>) -> bool {
        !self.is_of_this_release(created)
    }

    /// Whether pods beside the object are terminating, or have ended within this many seconds.
    pub(crate) fn ends_or_ended(&mut self, pods_end: bool, seconds: i64) -> bool {
        if pods_end {
            self.memory.pods_ended = Some(self.context.now);
            return true;
        }
        self.memory.pods_ended.is_some_and(|ended| !self.is_past(ended, seconds))
    }

    /// Remembers that a state was seen.
    pub(crate) fn remember(&mut self, state: StateKey) {
        self.memory.since(state, self.context.now);
    }

    /// Whether a state was seen in an earlier evaluation; it stays remembered.
    pub(crate) fn recalls(&mut self, state: &StateKey) -> bool {
        self.memory.recall(state)
    }

    /// The deaths of a container of a pod that were counted.
    pub(crate) fn deaths(&mut self, container: ContainerKey) -> &mut CountedCrashes {
        self.memory.deaths(container)
    }

    /// Notes why a pod was evicted or rejected through its own fault.
    pub(crate) fn note_fault(&mut self, pod: &Arc<str>, said: &str) {
        self.memory.note_fault(pod, said);
    }

    /// How many pods were evicted or rejected for this reason.
    pub(crate) fn faults(&self, said: &str) -> i64 {
        i64::try_from(self.memory.faults(said)).unwrap_or(i64::MAX)
    }

    /// The part of the log of a container's instance that was read.
    pub(crate) fn log(&self, container: &ContainerKey, instance: i64) -> Option<&str> {
        self.memory.log(container, instance)
    }

    /// The part of the log of the first death of a container of this name that was read.
    pub(crate) fn first_log(&self, container: &str) -> Option<&Arc<FirstLog>> {
        self.memory.first_log(container)
    }

    /// The events of an object since the release began, oldest first.
    pub(crate) fn events_of(&self, about: &(impl Identified + ?Sized)) -> Vec<Event<'a>> {
        let mut events = self.snapshot.events_of(about);
        events.retain(|event| self.is_of_this_release(event.last));
        events
    }

    /// Whether another workload of the release still makes progress.
    pub(crate) fn others_are_on_their_way(&self) -> bool {
        self.release().is_some_and(|release| release.others_on_their_way)
    }

    /// Whether this object is created elsewhere, and may still appear.
    pub(crate) fn is_made_elsewhere(&self, kind: &str, name: &str) -> bool {
        let made = self.release().map_or(&[][..], |release| &*release.made_elsewhere);
        made.iter().any(|(made_kind, made_name)| made_kind == kind && made_name == name)
    }

    /// Whether the dump has the object that a pod lacked, since the kubelet will check again. A release asks the
    /// cluster instead.
    pub(crate) fn has_come(&self, missing: &Missing) -> bool {
        let mut named = self
            .snapshot
            .beside(self.object, "", missing.kind)
            .filter(|one| object::name(one) == missing.name);
        let has_key = |one: &Value, key: &str| {
            ["data", "binaryData", "stringData"].iter().any(|field| one[field].get(key).is_some())
        };
        self.release().is_none() && named.any(|one| missing.key.as_ref().is_none_or(|key| has_key(one, key)))
    }

    /// The pod's spec as in the manifest, without what others added to the pod itself, and the JSON pointer to it.
    pub(crate) fn written_pod(&self) -> (&'a Value, &'static str) {
        match self.object.pointer("/spec/template/spec") {
            Some(spec) => (spec, "/spec/template/spec"),
            None => (self.object.get("spec").unwrap_or(&Value::Null), "/spec"),
        }
    }

    /// Judges something that the object owns, as a part of it, without what the release knows about the object itself.
    pub(crate) fn judge_owned(&mut self, owned: &Value) -> Health {
        let release = self.release().map(|release| ReleaseContext {
            uid: None,
            generation: None,
            limits: OwnLimits::default(),
            served: None,
            ..release.clone()
        });
        let context = Context { now: self.context.now, release, health: self.context.health.clone() };
        let mut context = EvalContext::new(owned, None, self.snapshot, &context, self.memory, self.rule);
        let judgement = (self.rule)(&mut context);
        let judgement = context.close(judgement);
        self.again_at = self.again_at.into_iter().chain(judgement.again_at).min();
        judgement
    }

    /// The health while the controller has not observed the change yet. After a while the message asks whether the
    /// controller runs.
    pub(crate) fn unobserved(&mut self) -> Health {
        /// A controller observes a change at once, or within this many seconds if it is busy or just starts.
        const SILENCE: i64 = 30;
        let applied = self.release().and_then(|release| release.applied_at);
        let is_silent = applied.is_some_and(|applied| self.is_past(applied, SILENCE));
        Health::progressing(if is_silent {
            format!("its controller has not observed the change for more than {SILENCE} s: does it run?")
        } else {
            "waiting for the controller".to_owned()
        })
    }

    /// Ends the evaluation.
    pub(crate) fn close(self, mut judgement: Health) -> Health {
        judgement.again_at = self.again_at;
        judgement
    }
}
