//! Everything known about the cluster at one time: what the watches have delivered, or what a dump holds.
//!
//! Names and uids may be missing, as in a dump that was edited by hand: a missing value matches any other.

pub(crate) mod condition;
pub(crate) mod decode;
pub(crate) mod event;
pub(crate) mod history;
pub(crate) mod identity;
pub(crate) mod intern;
pub(crate) mod labels;
pub(crate) mod mark;
pub(crate) mod owner;
pub(crate) mod pod;
pub(crate) mod subject;
pub(crate) mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{ObjectId, object};
use crate::rollout::snapshot::decode::Cached;
use crate::rollout::snapshot::event::log::EventLog;
use crate::rollout::snapshot::event::{Event, EventSubject};
use crate::rollout::snapshot::history::controller_revision::ControllerRevision;
use crate::rollout::snapshot::history::replica_set::ReplicaSet;
use crate::rollout::snapshot::identity::{Identified, Key, Parts};
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::mark::Kept;
pub(crate) use crate::rollout::snapshot::mark::Mark;
use crate::rollout::snapshot::owner::OwnerView;
use crate::rollout::snapshot::pod::{Interner, Pod};
use crate::rollout::snapshot::subject::{Seen, Subject};

/// The known objects of a cluster, and the events about them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterSnapshot {
    objects: BTreeMap<Arc<Key>, Entry>,
    /// Owner's kind and name to the objects that name it as their owner.
    owned: ByName<BTreeSet<Arc<Key>>>,
    events: EventLog,
    /// The kinds whose objects are all here, so that one that is not here does not exist.
    complete: BTreeSet<String>,
    /// The kinds that may not be listed, so that others may exist than those that are here.
    denied: BTreeSet<String>,
    nameless: usize,
    interner: Interner,
}

/// By kind and name.
type ByName<T> = HashMap<Symbol, HashMap<Symbol, T>>;
type Entry = Kept<Seen>;

impl ClusterSnapshot {
    /// A snapshot of these objects; events among them belong to the others.
    pub(crate) fn new(objects: impl IntoIterator<Item = Value>) -> Self {
        let mut snapshot = Self::default();
        for object in objects {
            snapshot.upsert(object);
        }
        snapshot
    }

    /// Inserts an object or an event, or replaces an earlier version of it.
    pub(crate) fn upsert(&mut self, object: impl Into<Arc<Value>>) {
        let cached = Cached::of(object, &mut self.interner);
        self.insert(cached, Mark::default());
    }

    /// As [`ClusterSnapshot::upsert`]; returns the key of the object, `None` for an event.
    pub(crate) fn insert(&mut self, cached: Cached, mark: Mark) -> Option<Arc<Key>> {
        let value = match cached {
            Cached::Object(seen) => seen,
            Cached::Event(event) => {
                self.events.insert(*event, mark);
                return None;
            }
            Cached::Nothing => return None,
        };
        let key = Arc::new(self.key(&value));
        self.forget(&*key);
        for owner in value.owners(&mut self.interner.symbols).iter() {
            let of_kind = self.owned.entry(Arc::clone(&owner.kind)).or_default();
            of_kind.entry(Arc::clone(&owner.name)).or_default().insert(Arc::clone(&key));
        }
        self.objects.insert(Arc::clone(&key), Kept { value, mark });
        Some(key)
    }

    /// The object with this key.
    pub(crate) fn at(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)?.value.subject().whole()
    }

    /// Removes an object that was deleted.
    pub(crate) fn remove(&mut self, id: &ObjectId) {
        self.forget(&[&*id.group, &*id.kind, &*id.namespace, &*id.name]);
    }

    /// Removes an object that a watch reports as deleted, unless one of the same name was created since or another
    /// watch still has it.
    pub(crate) fn remove_seen(&mut self, gone: &Cached, watch: u32) {
        let gone = match gone {
            Cached::Event(event) => return self.events.remove(event, watch),
            Cached::Nothing => return,
            Cached::Object(seen) => seen.subject(),
        };
        let key = [gone.group(), gone.kind(), gone.namespace(), gone.name()];
        let is_it = |known: &Entry| {
            known.mark.is_of(watch) && object::same_if_known(known.value.subject().uid(), gone.uid())
        };
        if self.objects.get(&key as &dyn Parts).is_some_and(is_it) {
            self.forget(&key);
        }
    }

    /// Removes the objects that this watch's earlier lists had and its current list does not.
    pub(crate) fn remove_unlisted(&mut self, now: Mark) {
        let old: Vec<Arc<Key>> = self
            .objects
            .iter()
            .filter(|(_, entry)| entry.mark.is_before(now))
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in old {
            self.forget(&*key);
        }
        self.events.remove_unlisted(now);
    }

    /// Records that all objects of this kind are here: one that is not here does not exist.
    pub(crate) fn mark_complete(&mut self, kind: &str) {
        self.complete.insert(kind.to_owned());
    }

    /// Whether every object of this kind is here.
    pub(crate) fn is_complete(&self, kind: &str) -> bool {
        self.complete.contains(kind)
    }

    /// Records that objects of this kind may not be listed: others may exist than those that are here.
    pub(crate) fn mark_denied(&mut self, kind: &str) {
        self.denied.insert(kind.to_owned());
    }

    /// Whether objects of this kind may not be listed.
    pub(crate) fn is_denied(&self, kind: &str) -> bool {
        self.denied.contains(kind)
    }

    /// All objects that are cached completely, in the order of group, kind, namespace and name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.values().filter_map(|entry| entry.value.subject().whole())
    }

    /// An object by its API group, kind, namespace (empty for none) and name.
    pub(crate) fn get(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.shared(group, kind, namespace, name).map(AsRef::as_ref)
    }

    /// As [`ClusterSnapshot::get`], shared.
    pub(crate) fn shared(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&[group, kind, namespace, name] as &dyn Parts)?.value.whole()
    }

    fn entries<'a>(&'a self, group: &str, kind: &str) -> impl Iterator<Item = Subject<'a>> + use<'a> {
        let (group, kind): (Symbol, Symbol) = (group.into(), kind.into());
        let first = [&*group, &*kind, "", ""];
        let range =
            self.objects.range::<dyn Parts, _>((Bound::Included(&first as &dyn Parts), Bound::Unbounded));
        range.take_while(move |(key, _)| key.is_of(&group, &kind)).map(|(_, entry)| entry.value.subject())
    }

    /// All objects of a kind that are cached completely.
    pub(crate) fn of_kind<'a>(
        &'a self,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.entries(group, kind).filter_map(Subject::whole)
    }

    /// All objects of a kind in this object's namespace that are cached completely.
    pub(crate) fn beside<'a>(
        &'a self,
        object: &'a Value,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.all_beside(object, group, kind).filter_map(Subject::whole)
    }

    /// All objects of a kind in this object's namespace.
    pub(crate) fn all_beside<'a, O: Into<Subject<'a>>>(
        &'a self,
        object: O,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = Subject<'a>> + use<'a, O> {
        let namespace = object.into().identified().namespace();
        self.entries(group, kind).filter(move |other| object::same_if_known(other.namespace(), namespace))
    }

    /// All pods in this object's namespace.
    pub(crate) fn pods_beside<'a>(&'a self, object: impl Into<Subject<'a>>) -> impl Iterator<Item = &'a Pod> {
        self.all_beside(object, "", "Pod").filter_map(Subject::pod)
    }

    fn owned_by<'a>(&'a self, owner: Subject<'a>) -> impl Iterator<Item = Subject<'a>> {
        let of_kind = self.owned.get(owner.kind());
        let keys = of_kind.and_then(|of_kind| of_kind.get(owner.name())).into_iter().flatten();
        let subjects = keys.filter_map(|key| self.objects.get(&**key)).map(|entry| entry.value.subject());
        subjects.filter(move |one| owner.owns(*one))
    }

    /// The objects that name this one as their owner and are cached completely, except for pods.
    pub(crate) fn children<'a>(&'a self, owner: &'a Value) -> impl Iterator<Item = &'a Value> {
        self.owned_by(owner.into()).filter(|child| child.pod().is_none()).filter_map(Subject::whole)
    }

    /// The objects of this kind that name this one as their owner and are cached completely.
    pub(crate) fn children_of_kind<'a>(
        &'a self,
        owner: &'a Value,
        kind: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        self.children(owner).filter(move |child| object::kind(child) == kind)
    }

    /// The ReplicaSets that name this object as their owner.
    pub(crate) fn replica_sets_of<'a>(&'a self, owner: &'a Value) -> impl Iterator<Item = &'a ReplicaSet> {
        self.owned_by(owner.into()).filter_map(Subject::replica_set)
    }

    /// The `ControllerRevisions` that name this object as their owner.
    pub(crate) fn controller_revisions_of<'a>(
        &'a self,
        owner: &'a Value,
    ) -> impl Iterator<Item = &'a ControllerRevision> {
        self.owned_by(owner.into()).filter_map(Subject::controller_revision)
    }

    /// The pods that name this object as their owner.
    pub(crate) fn pods_of<'a>(&'a self, owner: impl Into<Subject<'a>>) -> impl Iterator<Item = &'a Pod> {
        self.owned_by(owner.into()).filter_map(Subject::pod)
    }

    /// The pods of this object and of the objects that it owns.
    pub(crate) fn pods_below<'a>(&'a self, owner: &'a Value) -> impl Iterator<Item = &'a Pod> {
        let children = self.owned_by(owner.into()).filter(|child| child.pod().is_none());
        self.pods_of(owner).chain(children.flat_map(|child| self.pods_of(child)))
    }

    /// The known owners of this object.
    pub(crate) fn owners<'a, 'b>(&'a self, child: impl Into<Subject<'b>>) -> Vec<Subject<'a>> {
        let child = child.into();
        let found = child.owners().filter_map(|OwnerView { group, kind, name, .. }| {
            // The owner of a namespaced object may be cluster-scoped.
            let mut namespaces = [child.namespace(), ""].into_iter();
            let found = namespaces.find_map(|namespace| self.subject([group, kind, namespace, name]));
            let found = found.or_else(|| self.entries(group, kind).find(|one| one.name() == name));
            found.filter(|owner| owner.owns(child))
        });
        found.collect()
    }

    /// The known owners of the object that an event is about.
    pub(crate) fn owners_of_subject<'a>(&'a self, subject: &EventSubject) -> Vec<Subject<'a>> {
        let EventSubject { group, kind, namespace, name, .. } = subject;
        self.subject([group, kind, namespace, name]).map(|known| self.owners(known)).unwrap_or_default()
    }

    fn subject(&self, parts: [&str; 4]) -> Option<Subject<'_>> {
        self.objects.get(&parts as &dyn Parts).map(|entry| entry.value.subject())
    }

    /// The events of an object, oldest first.
    pub(crate) fn events_of(&self, about: &(impl Identified + ?Sized)) -> Vec<Event<'_>> {
        self.events.of(about)
    }

    fn key(&mut self, value: &Seen) -> Key {
        let (subject, symbols) = (value.subject(), &mut self.interner.symbols);
        let mut key = Key {
            group: symbols.get(subject.group()),
            kind: symbols.get(subject.kind()),
            namespace: symbols.get(subject.namespace()),
            name: value.name(),
        };
        if key.name.is_empty() {
            self.nameless += 1;
            key.name = format!("\u{0}{}", self.nameless).into();
        }
        key
    }

    fn forget(&mut self, key: &dyn Parts) {
        let Some((key, known)) = self.objects.remove_entry(key) else { return };
        for owner in known.value.owners(&mut self.interner.symbols).iter() {
            let Some(of_kind) = self.owned.get_mut(&owner.kind) else { continue };
            if let Some(owned) = of_kind.get_mut(&owner.name) {
                owned.remove(&key);
                if owned.is_empty() {
                    of_kind.remove(&owner.name);
                }
            }
        }
    }
}
