//! The events, by the objects they are about.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::object;
use crate::rollout::snapshot::event::{Event, EventRecord, EventSubject};
use crate::rollout::snapshot::identity::Identified;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::mark::{Kept, Mark};

/// Events by kind and name of their subjects; each subject's oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventLog {
    by_kind: HashMap<Symbol, HashMap<Symbol, Vec<Kept<EventRecord>>>>,
    nameless: usize,
}

impl EventLog {
    /// Inserts an event, or replaces an earlier version of it.
    pub(in crate::rollout::snapshot) fn insert(&mut self, mut event: EventRecord, mark: Mark) {
        if event.name.is_empty() {
            self.nameless += 1;
            event.name = format!("\u{0}{}", self.nameless).into();
        }
        let of_kind = self.by_kind.entry(Arc::clone(&event.subject.kind)).or_default();
        let events = of_kind.entry(Arc::clone(&event.subject.name)).or_default();
        if let Some(index) = events.iter().position(|known| is_same(&known.value, &event)) {
            events.remove(index);
        }
        let order = |one: &EventRecord, other: &EventRecord| {
            let by_name = || (&*one.namespace, &*one.name).cmp(&(&*other.namespace, &*other.name));
            one.last.cmp(&other.last).then_with(by_name)
        };
        let at = events.partition_point(|known| order(&known.value, &event).is_lt());
        events.insert(at, Kept { value: event, mark });
    }

    /// Removes an event that a watch reports as deleted.
    pub(in crate::rollout::snapshot) fn remove(&mut self, gone: &EventRecord, watch: u32) {
        let Some(of_kind) = self.by_kind.get_mut(&gone.subject.kind) else { return };
        let Some(events) = of_kind.get_mut(&gone.subject.name) else { return };
        events.retain(|known| !is_same(&known.value, gone) || !known.mark.is_of(watch));
        if events.is_empty() {
            of_kind.remove(&gone.subject.name);
        }
    }

    /// Removes the events that this watch's earlier lists had and its current list does not.
    pub(in crate::rollout::snapshot) fn remove_unlisted(&mut self, now: Mark) {
        for of_kind in self.by_kind.values_mut() {
            of_kind.retain(|_, events| {
                events.retain(|event| !event.mark.is_before(now));
                !events.is_empty()
            });
        }
    }

    /// The events of an object, oldest first.
    pub(in crate::rollout::snapshot) fn of(&self, about: &(impl Identified + ?Sized)) -> Vec<Event<'_>> {
        let of_kind = self.by_kind.get(about.kind());
        let all = of_kind.and_then(|of_kind| of_kind.get(about.name())).into_iter().flatten();
        let is_its = |subject: &EventSubject| {
            object::same_if_known(&subject.namespace, about.namespace())
                && object::same_if_known(&subject.uid, about.uid())
        };
        all.map(|event| &event.value).filter(|event| is_its(&event.subject)).map(EventRecord::event).collect()
    }
}

fn is_same(one: &EventRecord, other: &EventRecord) -> bool {
    one.name == other.name && one.namespace == other.namespace
}
