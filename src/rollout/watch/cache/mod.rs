//! From the watches into the world: what came, what is gone, and whose verdict it may change.

pub(crate) mod connectivity;
pub(crate) mod needs;
pub(crate) mod permissions;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::{Cluster, WatchItem, WatchSubject, Watches};
use crate::error::Error;
use crate::model::{ObjectId, object};
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::watch::cache::connectivity::Connectivity;
use crate::rollout::watch::cache::needs::Role;
use crate::rollout::watch::trim::slim;

/// What a watch brought.
pub(crate) type Item = (Arc<WatchSubject>, WatchItem);

/// Whose verdict may have changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Everything,
    These(BTreeSet<ObjectId>),
}

/// The watches of a rollout.
pub(crate) struct WatchCache {
    watches: Watches,
    roles: HashMap<WatchSubject, Role>,
    /// What each watch has brought, as far as it is needed to take it out of the world again.
    brought: HashMap<Arc<WatchSubject>, BTreeMap<(String, String), Known>>,
    /// The watches that have listed, or never will.
    heard: HashSet<WatchSubject>,
    denied: Vec<(Arc<WatchSubject>, Error)>,
    pub(crate) trouble: Connectivity,
    /// A sentence for people.
    pub(crate) news: Option<String>,
}

impl WatchCache {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self {
            watches: Watches::new(cluster),
            roles: HashMap::new(),
            brought: HashMap::new(),
            heard: HashSet::new(),
            denied: Vec::new(),
            trouble: Connectivity::default(),
            news: None,
        }
    }

    pub(crate) fn open(&mut self, subject: WatchSubject, role: Role) {
        let known = self.roles.entry(subject.clone()).or_insert(role);
        *known = (*known).max(role);
        self.watches.open(subject);
    }

    /// The next item. Nothing is lost when this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Item {
        self.watches.next().await
    }

    /// An item that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Item> {
        self.watches.try_next()
    }

    /// Whether everything that these watches know is in the world.
    pub(crate) fn has_heard(&self, subjects: &[WatchSubject]) -> bool {
        subjects.iter().all(|subject| self.heard.contains(subject))
    }

    /// Whether every watch has listed, or never will.
    pub(crate) fn is_complete(&self) -> bool {
        self.roles.keys().all(|subject| self.heard.contains(subject))
    }

    /// What may not be watched and was not asked for before, with what it was for.
    pub(crate) fn take_denied(&mut self) -> Vec<(Arc<WatchSubject>, Role, Error)> {
        let denied = std::mem::take(&mut self.denied);
        denied
            .into_iter()
            .map(|(subject, error)| (Arc::clone(&subject), self.role(&subject), error))
            .collect()
    }

    fn role(&self, subject: &WatchSubject) -> Role {
        self.roles.get(subject).copied().unwrap_or(Role::Extra)
    }

    /// Brings an item into the world.
    pub(crate) fn take(&mut self, world: &mut ClusterSnapshot, (subject, item): Item) -> Touched {
        match item {
            WatchItem::Applied(object) => {
                let touched = roots(world, &object);
                self.note(&subject, &object);
                world.upsert(slim(object));
                Touched::These(touched)
            }
            WatchItem::Deleted(object) => {
                let touched = roots(world, &object);
                self.brought.entry(subject).or_default().remove(&key(&object));
                remove(world, &object);
                Touched::These(touched)
            }
            WatchItem::Listed(objects) => {
                self.listed(world, &subject, objects);
                Touched::Everything
            }
            WatchItem::Denied(error) => {
                self.heard.insert((*subject).clone());
                self.news = self.trouble.ends(&subject, Instant::now()).or(self.news.take());
                self.denied.push((subject, error));
                Touched::Everything
            }
            WatchItem::Trouble(error) => {
                self.trouble.begins(subject, error, Instant::now());
                Touched::These(BTreeSet::new())
            }
            WatchItem::Back => {
                self.news = self.trouble.ends(&subject, Instant::now()).or(self.news.take());
                Touched::These(BTreeSet::new())
            }
        }
    }

    fn listed(&mut self, world: &mut ClusterSnapshot, subject: &Arc<WatchSubject>, objects: Vec<Value>) {
        let before = self.brought.remove(subject).unwrap_or_default();
        for object in objects {
            self.note(subject, &object);
            world.upsert(slim(object));
        }
        let now = self.brought.entry(Arc::clone(subject)).or_default();
        for (key, gone) in before.iter().filter(|(key, _)| !now.contains_key(key)) {
            remove(world, &gone.stub(subject, key));
        }
        if subject.namespace.is_none() && subject.selector.is_none() && subject.kind == "StorageClass" {
            world.mark_complete(&subject.kind);
        }
        self.heard.insert((**subject).clone());
    }

    fn note(&mut self, subject: &Arc<WatchSubject>, object: &Value) {
        self.brought.entry(Arc::clone(subject)).or_default().insert(key(object), Known::of(object));
    }
}

fn key(object: &Value) -> (String, String) {
    (object::namespace(object).to_owned(), object::name(object).to_owned())
}

/// What is needed, besides namespace and name, to find an object in the world again.
struct Known {
    uid: String,
    /// What an event is about, under the name of its field.
    about: Option<(&'static str, Value)>,
}

impl Known {
    fn of(object: &Value) -> Self {
        let mut fields = ["involvedObject", "regarding"].into_iter();
        let about = fields.find_map(|field| Some((field, object.get(field)?.clone())));
        Self { uid: object::uid(object).to_owned(), about }
    }

    fn stub(&self, subject: &WatchSubject, (namespace, name): &(String, String)) -> Value {
        let mut stub = json!({
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "metadata": {"name": name, "namespace": namespace, "uid": self.uid},
        });
        if let Some((field, about)) = &self.about {
            stub[*field] = about.clone();
        }
        stub
    }
}

/// Takes an object out of the world, but not one of the same name that was created since.
fn remove(world: &mut ClusterSnapshot, gone: &Value) {
    let id = ObjectId::of(gone);
    let known = world.get(&id.group, &id.kind, &id.namespace, &id.name);
    if known.is_none_or(|known| object::same_if_known(object::uid(known), object::uid(gone))) {
        world.remove(gone);
    }
}

/// The object itself and all that own it, or of an event: of what it is about.
fn roots(world: &ClusterSnapshot, object: &Value) -> BTreeSet<ObjectId> {
    /// An owner of an owner of …: a Deployment is two away from its pods.
    const FARTHEST: usize = 5;
    let mut roots = BTreeSet::from([ObjectId::of(object)]);
    let mut front: Vec<&Value> = match about(object) {
        Some(id) => {
            let found = world.get(&id.group, &id.kind, &id.namespace, &id.name);
            roots.insert(id);
            found.into_iter().collect()
        }
        None => vec![object],
    };
    for _ in 0..FARTHEST {
        front = front.into_iter().flat_map(|child| world.owners(child)).collect();
        roots.extend(front.iter().map(|owner| ObjectId::of(owner)));
    }
    let concerned = match object::kind(object) {
        "Node" => ("apps", "DaemonSet"),
        "PersistentVolume" | "StorageClass" => ("", "PersistentVolumeClaim"),
        _ => return roots,
    };
    roots.extend(world.of_kind(concerned.0, concerned.1).map(ObjectId::of));
    roots
}

/// What an event is about.
fn about(event: &Value) -> Option<ObjectId> {
    let subject = event.get("involvedObject").or_else(|| event.get("regarding"))?;
    let metadata = json!({"name": subject["name"], "namespace": subject["namespace"]});
    Some(ObjectId::of(
        &json!({"apiVersion": subject["apiVersion"], "kind": subject["kind"], "metadata": metadata}),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(api_version: &str, kind: &str, name: &str, owner: Option<(&str, &str)>) -> Value {
        let owners: Vec<Value> = owner
            .map(|(kind, name)| json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name}))
            .into_iter()
            .collect();
        json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": owners}})
    }

    #[test]
    fn a_pod_and_its_events_touch_the_deployment() {
        let pod = thing("v1", "Pod", "web-1-a", Some(("ReplicaSet", "web-1")));
        let world = ClusterSnapshot::new([
            thing("apps/v1", "Deployment", "web", None),
            thing("apps/v1", "ReplicaSet", "web-1", Some(("Deployment", "web"))),
        ]);
        let names = |touched: BTreeSet<ObjectId>| touched.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(roots(&world, &pod)), ["Pod/web-1-a", "Deployment/web", "ReplicaSet/web-1"]);
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"},
            "involvedObject": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "namespace": "shop"}});
        assert!(names(roots(&world, &event)).contains(&"Deployment/web".to_owned()));
    }

    #[test]
    fn what_was_created_again_stays_when_the_old_one_goes() {
        let mut world = ClusterSnapshot::new([thing("batch/v1", "Job", "migrate", None)]);
        let mut old = thing("batch/v1", "Job", "migrate", None);
        old["metadata"]["uid"] = json!("old");
        remove(&mut world, &old);
        assert!(world.get("batch", "Job", "shop", "migrate").is_some());
        remove(&mut world, &thing("batch/v1", "Job", "migrate", None));
        assert!(world.get("batch", "Job", "shop", "migrate").is_none());
    }
}
