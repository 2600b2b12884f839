//! One look at one object: the object, the snapshot of what is around it, the clock, the memory, and how long things last.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::object;
use crate::project::{HealthRule, HealthRules};
use crate::rollout::health::{Health, Missing};
use crate::rollout::memory::{ContainerKey, CountedCrashes, Memory, StateKey};
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::identity::Identified;
use crate::rollout::snapshot::pod::Pod;

/// Under which circumstances an object is looked at.
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

/// What a release knows of an object beyond what the cluster says.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReleaseContext {
    /// When the release began its work on the object; conditions older than this are leftovers.
    pub applied_at: Option<Timestamp>,
    /// The uid that our apply returned.
    pub uid: Option<String>,
    /// The generation that our apply returned.
    pub generation: Option<i64>,
    /// Another workload of the same release is still on its way, and not itself out of strikes: it may be the
    /// database for which this one crashes.
    pub others_on_their_way: bool,
    /// Kind and name of what others make: declared `external`, or made by a custom resource of the set.
    pub made_elsewhere: Arc<Vec<(String, String)>>,
    /// The manifest itself sets `progressDeadlineSeconds`; the server's default does not count.
    pub sets_progress_deadline: bool,
    /// Whether discovery serves what a `CustomResourceDefinition` defines; `None` when nobody asked.
    pub served: Option<bool>,
    /// Jobs of the release wait for the object.
    pub jobs_follow: bool,
}

/// What a rule looks at.
pub(crate) struct EvalContext<'a> {
    pub(crate) object: &'a Value,
    /// The object, where it is a pod.
    pub(crate) pod: Option<&'a Pod>,
    pub(crate) snapshot: &'a ClusterSnapshot,
    context: &'a Context,
    memory: &'a mut Memory,
    again_at: Option<Timestamp>,
    /// How objects are judged, this one as well as what it owns.
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

    /// The release, where it is not a dump that is looked at.
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

    /// Whether a state has lasted so many seconds: since its own timestamp (but not from before our apply), else
    /// since it was first seen. In a dump one without a timestamp has lasted long.
    pub(crate) fn has_lasted(&mut self, state: StateKey, since: Option<Timestamp>, seconds: i64) -> bool {
        let since = match (self.release(), since) {
            (None, None) => return true,
            (None, Some(since)) => since,
            (Some(release), Some(since)) => release.applied_at.map_or(since, |applied| applied.max(since)),
            (Some(_), None) => self.memory.since(state, self.context.now),
        };
        self.is_past(since, seconds)
    }

    /// Whether so many seconds have passed since then; if not, the object is to be judged again when they have.
    pub(crate) fn is_past(&mut self, since: Timestamp, seconds: i64) -> bool {
        let Ok(then) = since.checked_add(SignedDuration::from_secs(seconds)) else { return false };
        if then <= self.context.now {
            return true;
        }
        self.again_at = Some(self.again_at.map_or(then, |earlier| earlier.min(then)));
        false
    }

    /// Whether an instance of a container has run for so many seconds without a restart. What the kubelet tells is
    /// old when it comes, of a death as of the start: that much later it is known. In a dump it is known at once.
    pub(crate) fn has_run(&mut self, instance: StateKey, since: Timestamp, seconds: i64) -> bool {
        /// The kubelet looks at its containers once a second, and its node may be busy.
        const DELAY: i64 = 2;
        /// More has another reason: the container was there before us.
        const LONGEST_DELAY: i64 = 5;
        if self.release().is_none() {
            return self.is_past(since, seconds);
        }
        let seen = self.memory.since(instance, self.context.now);
        let delay = seen.as_second().saturating_sub(since.as_second()).clamp(0, LONGEST_DELAY);
        self.is_past(since, seconds.saturating_add((2 * delay).max(DELAY)))
    }

    /// Whether something was written after our apply; in a dump everything counts.
    pub(crate) fn is_of_this_release(&self, written: Option<Timestamp>) -> bool {
        match (self.release().and_then(|release| release.applied_at), written) {
            // Kubernetes writes whole seconds.
            (Some(applied), Some(written)) => written.as_second() >= applied.as_second(),
            _ => true,
        }
    }

    /// Whether an object of this age was there before our apply; in a dump nothing was.
    pub(crate) fn is_older_than_release(&self, created: Option<Timestamp>) -> bool {
        !self.is_of_this_release(created)
    }

    /// Remembers that a state is seen.
    pub(crate) fn remember(&mut self, state: StateKey) {
        self.memory.since(state, self.context.now);
    }

    /// Whether a state was seen in an earlier look; it stays remembered.
    pub(crate) fn recalls(&mut self, state: &StateKey) -> bool {
        self.memory.recall(state)
    }

    /// The deaths of a container of a pod that were counted.
    pub(crate) fn deaths(&mut self, container: ContainerKey) -> &mut CountedCrashes {
        self.memory.deaths(container)
    }

    /// What happened to an object since the release began, oldest first.
    pub(crate) fn events_of(&self, about: &(impl Identified + ?Sized)) -> Vec<Event<'a>> {
        let mut events = self.snapshot.events_of(about);
        events.retain(|event| self.is_of_this_release(event.last));
        events
    }

    /// Whether another workload of the release is still on its way.
    pub(crate) fn others_are_on_their_way(&self) -> bool {
        self.release().is_some_and(|release| release.others_on_their_way)
    }

    /// Whether others make this object: then it may still come.
    pub(crate) fn is_made_elsewhere(&self, kind: &str, name: &str) -> bool {
        let made = self.release().map_or(&[][..], |release| &*release.made_elsewhere);
        made.iter().any(|(made_kind, made_name)| made_kind == kind && made_name == name)
    }

    /// Whether a dump holds what a pod lacked when the kubelet looked: it looks again. A release asks the cluster.
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

    /// The pod's spec as the manifest has it, without what others put into the pod itself, and the JSON pointer
    /// that leads there.
    pub(crate) fn written_pod(&self) -> (&'a Value, &'static str) {
        match self.object.pointer("/spec/template/spec") {
            Some(spec) => (spec, "/spec/template/spec"),
            None => (self.object.get("spec").unwrap_or(&Value::Null), "/spec"),
        }
    }

    /// Judges something that the object owns, as a part of it: what the release knows of the object itself is not about that.
    pub(crate) fn judge_owned(&mut self, owned: &Value) -> Health {
        let release = self.release().map(|release| ReleaseContext {
            uid: None,
            generation: None,
            sets_progress_deadline: false,
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

    /// Ends the look.
    pub(crate) fn close(self, mut judgement: Health) -> Health {
        judgement.again_at = self.again_at;
        judgement
    }
}
