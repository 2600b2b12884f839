//! From the watches into the world: what came, what is gone, and whose verdict it may change.

pub(crate) mod connectivity;
pub(crate) mod needs;
pub(crate) mod permissions;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::cluster::{Cluster, WatchItem, WatchSubject, Watches};
use crate::error::Error;
use crate::model::{ObjectId, object};
use crate::rollout::snapshot::decode::{Cached, Decoder};
use crate::rollout::snapshot::event::EventSubject;
use crate::rollout::snapshot::subject::{Seen, Subject};
use crate::rollout::snapshot::{ClusterSnapshot, Mark};
use crate::rollout::watch::cache::connectivity::Connectivity;
use crate::rollout::watch::cache::needs::Role;

/// What a watch brought.
pub(crate) type Item = (Arc<WatchSubject>, WatchItem<Cached>);

/// Whose verdict may have changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Everything,
    These(BTreeSet<ObjectId>),
}

/// The watches of a rollout.
pub(crate) struct WatchCache {
    watches: Watches<Cached>,
    roles: HashMap<WatchSubject, Role>,
    /// By what is known which watch brought an object, and with which of its lists.
    marks: HashMap<Arc<WatchSubject>, Mark>,
    /// The watches that have listed, or never will.
    heard: HashSet<WatchSubject>,
    denied: Vec<(Arc<WatchSubject>, Error)>,
    pub(crate) trouble: Connectivity,
    /// A sentence for people.
    pub(crate) news: Option<String>,
}

impl WatchCache {
    /// No watch yet, of a rollout of these objects.
    pub(crate) fn new<'a>(cluster: &Cluster, set: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        let decoder = Decoder::of(set);
        Self {
            watches: Watches::reading(cluster, move |item| decoder.read(item)),
            roles: HashMap::new(),
            marks: HashMap::new(),
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
    pub(crate) fn has_listed(&self, subjects: &[WatchSubject]) -> bool {
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
    pub(crate) fn take(&mut self, snapshot: &mut ClusterSnapshot, (subject, item): Item) -> Touched {
        match item {
            WatchItem::Applied(object) => {
                let touched = roots(snapshot, &object);
                snapshot.insert(object, self.mark(&subject));
                Touched::These(touched)
            }
            WatchItem::Deleted(object) => {
                let touched = roots(snapshot, &object);
                snapshot.remove_seen(&object, self.mark(&subject).watch);
                Touched::These(touched)
            }
            WatchItem::Page { first, items } => {
                if first {
                    self.begin_list(&subject);
                }
                let mark = self.mark(&subject);
                for object in items {
                    snapshot.insert(object, mark);
                }
                Touched::These(BTreeSet::new())
            }
            WatchItem::Listed => {
                self.listed(snapshot, &subject);
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

    fn listed(&mut self, snapshot: &mut ClusterSnapshot, subject: &WatchSubject) {
        let mark = self.mark(subject);
        // Before its first list a watch has brought nothing.
        if mark.list > 1 {
            snapshot.remove_unlisted(mark);
        }
        if subject.namespace.is_none() && subject.selector.is_none() && subject.kind == "StorageClass" {
            snapshot.mark_complete(&subject.kind);
        }
        self.heard.insert(subject.clone());
    }

    fn mark(&self, subject: &WatchSubject) -> Mark {
        self.marks.get(subject).copied().unwrap_or_default()
    }

    fn begin_list(&mut self, subject: &Arc<WatchSubject>) {
        let number = u32::try_from(self.marks.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mark = self.marks.entry(Arc::clone(subject)).or_insert(Mark { watch: number, list: 0 });
        mark.list += 1;
    }
}

/// The object itself and all that own it, or of an event: of what it is about.
fn roots(snapshot: &ClusterSnapshot, object: &Cached) -> BTreeSet<ObjectId> {
    /// An owner of an owner of …: a Deployment is two away from its pods.
    const FARTHEST: usize = 5;
    let mut roots: BTreeSet<ObjectId> = object.subject().map(Subject::id).into_iter().collect();
    let mut front: Vec<Subject<'_>> = match object {
        Cached::Object(seen) => snapshot.owners(seen.subject()),
        Cached::Event(event) => {
            roots.insert(about(&event.subject));
            snapshot.owners_of_subject(&event.subject)
        }
        Cached::Nothing => return roots,
    };
    for _ in 0..FARTHEST {
        roots.extend(front.iter().map(|owner| owner.id()));
        front = front.into_iter().flat_map(|child| snapshot.owners(child)).collect();
    }
    let kind = match object {
        Cached::Object(Seen::Object(object)) => object::kind(object),
        Cached::Event(event) if &*event.subject.kind == "PersistentVolumeClaim" => &event.subject.kind,
        _ => return roots,
    };
    let concerned: &[(&str, &str)] = match kind {
        "Node" => &[("apps", "DaemonSet")],
        "PersistentVolumeClaim" => CLAIMANTS,
        "PersistentVolume" | "StorageClass" => {
            roots.extend(snapshot.of_kind("", "PersistentVolumeClaim").map(ObjectId::of));
            CLAIMANTS
        }
        _ => return roots,
    };
    for (group, kind) in concerned {
        roots.extend(snapshot.of_kind(group, kind).map(ObjectId::of));
    }
    roots
}

/// Whose pods want volumes: no claim says who uses it.
const CLAIMANTS: &[(&str, &str)] =
    &[("apps", "StatefulSet"), ("apps", "Deployment"), ("apps", "DaemonSet"), ("batch", "Job"), ("", "Pod")];

fn about(subject: &EventSubject) -> ObjectId {
    ObjectId {
        group: subject.group.to_string(),
        kind: subject.kind.to_string(),
        namespace: subject.namespace.to_string(),
        name: subject.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rollout::snapshot::pod::Interner;

    fn cached(object: Value) -> Cached {
        Cached::of(object, &mut Interner::default())
    }

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
        let snapshot = ClusterSnapshot::new([
            thing("apps/v1", "Deployment", "web", None),
            thing("apps/v1", "ReplicaSet", "web-1", Some(("Deployment", "web"))),
        ]);
        let names = |touched: BTreeSet<ObjectId>| touched.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            names(roots(&snapshot, &cached(pod))),
            ["Pod/web-1-a", "Deployment/web", "ReplicaSet/web-1"]
        );
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"},
            "involvedObject": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "namespace": "shop"}});
        assert!(names(roots(&snapshot, &cached(event))).contains(&"Deployment/web".to_owned()));
    }

    #[test]
    fn what_was_created_again_stays_when_the_old_one_goes() {
        let mut snapshot = ClusterSnapshot::new([thing("batch/v1", "Job", "migrate", None)]);
        let mut old = thing("batch/v1", "Job", "migrate", None);
        old["metadata"]["uid"] = json!("old");
        snapshot.remove_seen(&cached(old), 1);
        assert!(snapshot.get("batch", "Job", "shop", "migrate").is_some());
        snapshot.remove_seen(&cached(thing("batch/v1", "Job", "migrate", None)), 1);
        assert!(snapshot.get("batch", "Job", "shop", "migrate").is_none());
    }
}
