//! Everything known about the cluster at one instant: what a watch has fed, or what a dump holds.
//!
//! Names and uids may be missing, as in a dump that somebody has trimmed: what is not known is no contradiction.

pub(crate) mod condition;
pub(crate) mod event;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::object;
use crate::rollout::snapshot::event::Event;

/// The objects of a cluster as far as they are known, and the events about them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterSnapshot {
    objects: BTreeMap<Arc<Key>, Value>,
    /// Owner's kind and name to what says that it owns it.
    owned: BTreeMap<Name, BTreeSet<Arc<Key>>>,
    /// Kind and name of what they are about, to the events.
    events: BTreeMap<Name, BTreeMap<EventKey, Value>>,
    /// The kinds of which every object is here, so that one that is not here does not exist.
    complete: BTreeSet<String>,
    /// The kinds that may not be listed, so that nothing is known of those that are not here.
    denied: BTreeSet<String>,
    nameless: usize,
}

/// An object's identity: group, kind, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

/// Kind and name.
type Name = (String, String);
/// Namespace and name of an event.
type EventKey = (String, String);

impl ClusterSnapshot {
    /// The world that these objects make; events among them are taken as what happened to the others.
    pub(crate) fn new(objects: impl IntoIterator<Item = Value>) -> Self {
        let mut world = Self::default();
        for object in objects {
            world.upsert(object);
        }
        world
    }

    /// Takes in an object or an event, in place of what was known of it.
    pub(crate) fn upsert(&mut self, object: Value) {
        self.insert(object);
    }

    /// As [`ClusterSnapshot::upsert`]; tells under which key an object is known, `None` for an event.
    pub(crate) fn insert(&mut self, object: Value) -> Option<Arc<Key>> {
        if event::is_event(&object) {
            self.insert_event(object);
            return None;
        }
        let key = Arc::new(self.key(&object));
        self.forget(&key);
        for owner in object::list(&object, "/metadata/ownerReferences") {
            self.owned.entry(reference_name(owner)).or_default().insert(Arc::clone(&key));
        }
        self.objects.insert(Arc::clone(&key), object);
        Some(key)
    }

    /// The object that is known under a key.
    pub(crate) fn at(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Takes out an object or an event that is gone.
    pub(crate) fn remove(&mut self, object: &Value) {
        if event::is_event(object) {
            let (subject, key) = event_keys(object);
            if let Some(events) = self.events.get_mut(&subject) {
                events.remove(&key);
                if events.is_empty() {
                    self.events.remove(&subject);
                }
            }
        } else {
            self.forget(&Key::of(object));
        }
    }

    /// Says that every object of this kind is here: one that is not here does not exist.
    pub(crate) fn mark_complete(&mut self, kind: &str) {
        self.complete.insert(kind.to_owned());
    }

    /// Whether every object of this kind is here.
    pub(crate) fn is_complete(&self, kind: &str) -> bool {
        self.complete.contains(kind)
    }

    /// Says that objects of this kind may not be listed: there may be others than those that are here.
    pub(crate) fn mark_denied(&mut self, kind: &str) {
        self.denied.insert(kind.to_owned());
    }

    /// Whether objects of this kind may not be listed.
    pub(crate) fn is_denied(&self, kind: &str) -> bool {
        self.denied.contains(kind)
    }

    /// All objects, in the order of their group, kind, namespace and name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    /// An object by its API group, kind, namespace (empty for none) and name.
    pub(crate) fn get(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        let key = Key {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.objects.get(&key)
    }

    /// All objects of a kind.
    pub(crate) fn of_kind<'a>(
        &'a self,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        let first = Key {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: String::new(),
            name: String::new(),
        };
        let (group, kind) = (first.group.clone(), first.kind.clone());
        self.objects
            .range(first..)
            .take_while(move |(key, _)| key.group == group && key.kind == kind)
            .map(|(_, object)| object)
    }

    /// All objects of a kind in this object's namespace.
    pub(crate) fn beside<'a>(
        &'a self,
        object: &'a Value,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        let namespace = object::namespace(object);
        self.of_kind(group, kind)
            .filter(move |other| object::same_if_known(object::namespace(other), namespace))
    }

    /// What names this object as its owner.
    pub(crate) fn children<'a>(&'a self, owner: &'a Value) -> impl Iterator<Item = &'a Value> + use<'a> {
        let name = (object::kind(owner).to_owned(), object::name(owner).to_owned());
        let keys = self.owned.get(&name).into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key)).filter(move |child| owns(owner, child))
    }

    /// What of this kind names this object as its owner.
    pub(crate) fn children_of_kind<'a>(
        &'a self,
        owner: &'a Value,
        kind: &'a str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.children(owner).filter(move |child| object::kind(child) == kind)
    }

    /// The objects known here that own this one.
    pub(crate) fn owners<'a>(&'a self, child: &'a Value) -> impl Iterator<Item = &'a Value> + use<'a> {
        object::list(child, "/metadata/ownerReferences").iter().filter_map(move |reference| {
            let kind = object::text(reference, "/kind");
            let group = object::group(object::text(reference, "/apiVersion"));
            let name = object::text(reference, "/name");
            // The owner of a namespaced object may be cluster-scoped.
            let mut namespaces = [object::namespace(child), ""].into_iter();
            let found = namespaces.find_map(|namespace| self.get(group, kind, namespace, name));
            let found = found.or_else(|| self.of_kind(group, kind).find(|one| object::name(one) == name));
            found.filter(|owner| owns(owner, child))
        })
    }

    /// What happened to an object, oldest first.
    pub(crate) fn events_of(&self, about: &Value) -> Vec<Event<'_>> {
        let name = (object::kind(about).to_owned(), object::name(about).to_owned());
        let (namespace, uid) = (object::namespace(about), object::uid(about));
        let all = self.events.get(&name).into_iter().flat_map(BTreeMap::values);
        let of_this = all.filter(|value| {
            let (_, event_namespace, _, event_uid) = event::subject(value);
            object::same_if_known(event_namespace, namespace) && object::same_if_known(event_uid, uid)
        });
        let mut events: Vec<Event<'_>> = of_this.map(Event::read).collect();
        events.sort_by_key(|event| event.last);
        events
    }

    fn insert_event(&mut self, value: Value) {
        let (subject, mut key) = event_keys(&value);
        if key.1.is_empty() {
            self.nameless += 1;
            key.1 = format!("\u{0}{}", self.nameless);
        }
        self.events.entry(subject).or_default().insert(key, value);
    }

    fn key(&mut self, object: &Value) -> Key {
        let mut key = Key::of(object);
        if key.name.is_empty() {
            self.nameless += 1;
            key.name = format!("\u{0}{}", self.nameless);
        }
        key
    }

    fn forget(&mut self, key: &Key) {
        let Some(known) = self.objects.remove(key) else { return };
        for owner in object::list(&known, "/metadata/ownerReferences") {
            let name = reference_name(owner);
            if let Some(owned) = self.owned.get_mut(&name) {
                owned.remove(key);
                if owned.is_empty() {
                    self.owned.remove(&name);
                }
            }
        }
    }
}

impl Key {
    fn of(object: &Value) -> Self {
        Self {
            group: object::group(object::api_version(object)).to_owned(),
            kind: object::kind(object).to_owned(),
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
        }
    }
}

fn reference_name(reference: &Value) -> Name {
    (object::text(reference, "/kind").to_owned(), object::text(reference, "/name").to_owned())
}

fn event_keys(event: &Value) -> (Name, EventKey) {
    let (kind, _, name, _) = event::subject(event);
    let key = (object::namespace(event).to_owned(), object::name(event).to_owned());
    ((kind.to_owned(), name.to_owned()), key)
}

/// Whether one of the child's owner references means this object: by uid where both know it.
fn owns(owner: &Value, child: &Value) -> bool {
    let namespaces = object::same_if_known(object::namespace(owner), object::namespace(child));
    namespaces
        && object::list(child, "/metadata/ownerReferences").iter().any(|reference| {
            let group = object::group(object::text(reference, "/apiVersion"));
            object::text(reference, "/kind") == object::kind(owner)
                && object::text(reference, "/name") == object::name(owner)
                && !object::name(owner).is_empty()
                && (group == object::group(object::api_version(owner)) || group.is_empty())
                && object::same_if_known(object::text(reference, "/uid"), object::uid(owner))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, owner_uid: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": owner_uid}]}})
    }

    fn set(uid: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web-1", "namespace": "shop", "uid": uid}})
    }

    #[test]
    fn children_are_those_of_this_uid() {
        let mut world = ClusterSnapshot::new([set("a"), pod("p", "a"), pod("q", "b")]);
        let names = |world: &ClusterSnapshot, set: &Value| -> Vec<String> {
            world.children_of_kind(set, "Pod").map(|pod| object::name(pod).to_owned()).collect()
        };
        assert_eq!(names(&world, &set("a")), ["p"]);
        assert_eq!(names(&world, &set("")), ["p", "q"]);
        assert_eq!(world.owners(&pod("p", "a")).count(), 1);
        assert_eq!(world.owners(&pod("q", "b")).count(), 0);
        world.upsert(pod("q", "a"));
        assert_eq!(names(&world, &set("a")), ["p", "q"]);
        world.remove(&pod("p", "a"));
        assert_eq!(names(&world, &set("a")), ["q"]);
    }

    #[test]
    fn objects_without_a_name_do_not_replace_one_another() {
        let nameless = || json!({"apiVersion": "v1", "kind": "ConfigMap"});
        assert_eq!(ClusterSnapshot::new([nameless(), nameless()]).objects().count(), 2);
    }

    #[test]
    fn events_of_an_earlier_object_of_the_same_name_are_not_its_own() {
        let happened = |uid: &str, at: &str| {
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": at, "namespace": "shop"},
                "reason": at, "lastTimestamp": format!("2026-10-03T14:00:0{at}Z"),
                "involvedObject": {"kind": "ReplicaSet", "name": "web-1", "namespace": "shop", "uid": uid}})
        };
        let world = ClusterSnapshot::new([happened("a", "2"), happened("a", "1"), happened("b", "3")]);
        let reasons: Vec<&str> = world.events_of(&set("a")).iter().map(|event| event.reason).collect();
        assert_eq!(reasons, ["1", "2"]);
    }
}
