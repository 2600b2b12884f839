//! Decodes what a server sends, or a dump holds, into what is cached. Of what is many (pods, events, nodes, the revisions of
//! workloads) only the fields that verdicts need are read at all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::cluster::{Item, Projection};
use crate::model::{ObjectId, object};
use crate::rollout::snapshot::event::{self, EventRecord};
use crate::rollout::snapshot::history::controller_revision::{self, ControllerRevision};
use crate::rollout::snapshot::history::replica_set::{self, ReplicaSet};
use crate::rollout::snapshot::identity::Identified as _;
use crate::rollout::snapshot::owner::OwnerView;
use crate::rollout::snapshot::pod::{self, Interner, Pod};
use crate::rollout::snapshot::subject::{Seen, Subject};

/// What is cached of an object that was read.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    /// An event.
    Event(Box<EventRecord>),
    /// Anything else.
    Object(Seen),
    /// An object that is not worth caching.
    Nothing,
}

/// The fields of a node that verdicts need.
const NODE: Projection = Projection::Only(&[
    (
        "metadata",
        Projection::AllBut(&[("managedFields", Projection::Nothing), ("annotations", Projection::Nothing)]),
    ),
    ("spec", Projection::Only(&[("unschedulable", Projection::All)])),
    ("status", Projection::Only(&[("conditions", Projection::All)])),
]);

/// The kinds of which many objects are cached, each in few fields.
#[derive(Debug, Clone, Copy)]
enum Many {
    Pod,
    ReplicaSet,
    ControllerRevision,
}

impl Many {
    fn of(api_version: &str, kind: &str) -> Option<Self> {
        Some(match (object::group(api_version), kind) {
            ("", "Pod") => Self::Pod,
            ("apps" | "extensions", "ReplicaSet") => Self::ReplicaSet,
            ("apps", "ControllerRevision") => Self::ControllerRevision,
            _ => return None,
        })
    }

    fn fields(self) -> Projection {
        match self {
            Self::Pod => pod::FIELDS,
            Self::ReplicaSet => replica_set::FIELDS,
            Self::ControllerRevision => controller_revision::FIELDS,
        }
    }

    fn read(self, object: &Value, interner: &mut Interner) -> Seen {
        match self {
            Self::Pod => Seen::Pod(Box::new(Pod::read(object, interner))),
            Self::ReplicaSet => Seen::ReplicaSet(Box::new(ReplicaSet::read(object, interner))),
            Self::ControllerRevision => {
                Seen::ControllerRevision(Box::new(ControllerRevision::read(object, interner)))
            }
        }
    }
}

/// Decodes objects, and lets them share equal values.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    interner: Mutex<Interner>,
    /// The names of objects that are judged on their own, and are therefore cached completely.
    roots: BTreeSet<String>,
}

impl Decoder {
    /// A decoder for objects of which these will be judged: they are cached completely.
    pub(crate) fn of<'a>(judged: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        Self { interner: Mutex::default(), roots: judged.into_iter().map(|id| id.name.clone()).collect() }
    }

    /// Reads an object of a list or of a watch.
    ///
    /// # Errors
    /// If the item is not valid JSON, or is nested too deeply.
    pub(crate) fn read(&self, item: Item<'_>) -> serde_json::Result<Cached> {
        if event::is_event(item.api_version, item.kind) {
            let event = EventRecord::read(&item.read(event::FIELDS)?, &mut self.interner().symbols);
            return Ok(if event.is_idle() {
                Cached::Nothing
            } else {
                Cached::Event(Box::new(event.without_idle_words()))
            });
        }
        if let Some(many) = Many::of(item.api_version, item.kind) {
            let seen = many.read(&item.read(many.fields())?, &mut self.interner());
            let is_judged = self.roots.contains(seen.subject().name()) || stands_alone(seen.subject());
            return Ok(Cached::Object(if is_judged {
                seen.with_whole(Arc::new(item.without_managed_fields()?))
            } else {
                seen
            }));
        }
        Ok(Cached::Object(Seen::Object(Arc::new(match (object::group(item.api_version), item.kind) {
            ("", "Node") => item.read(NODE)?,
            _ => item.without_managed_fields()?,
        }))))
    }

    fn interner(&self) -> std::sync::MutexGuard<'_, Interner> {
        self.interner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it may be judged on its own, because it has no owner, or one that judges all that it owns.
fn stands_alone(subject: Subject<'_>) -> bool {
    let is_part = |OwnerView { group, kind, .. }: OwnerView<'_>| match subject {
        Subject::Pod(_) => true,
        Subject::ReplicaSet(_) => group == "apps" && kind == "Deployment",
        Subject::ControllerRevision(_) => group == "apps" && matches!(kind, "StatefulSet" | "DaemonSet"),
        Subject::Object(_) => false,
    };
    let mut owners = subject.owners().peekable();
    owners.peek().is_none() || !owners.all(is_part)
}

impl Cached {
    /// Converts an object that is already decoded; it is cached completely.
    pub(crate) fn of(object: impl Into<Arc<Value>>, interner: &mut Interner) -> Self {
        let object = object.into();
        let (api_version, kind) = (object::api_version(&object), object::kind(&object));
        if event::is_event(api_version, kind) {
            return Self::Event(Box::new(EventRecord::read(&object, &mut interner.symbols)));
        }
        Self::Object(match Many::of(api_version, kind) {
            Some(many) => many.read(&object, interner).with_whole(object),
            None => Seen::Object(object),
        })
    }

    /// The object; `None` for an event.
    pub(crate) fn subject(&self) -> Option<Subject<'_>> {
        match self {
            Self::Object(seen) => Some(seen.subject()),
            Self::Event(_) | Self::Nothing => None,
        }
    }
}

/// Whether this is the kind `Pod`.
pub(crate) fn is_pod(group: &str, kind: &str) -> bool {
    group.is_empty() && kind == "Pod"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_judged_on_its_own_is_cached_completely() {
        let named = ObjectId {
            group: "apps".to_owned(),
            kind: "ReplicaSet".to_owned(),
            namespace: String::new(),
            name: "named".to_owned(),
        };
        let decoder = Decoder::of([&named]);
        let is_whole = |(api_version, kind, name): (&str, &str, &str), owners: &[(&str, &str)]| {
            let owner = |(api_version, kind): &(&str, &str)| json!({"apiVersion": api_version, "kind": kind, "name": "a"});
            let owners: Vec<Value> = owners.iter().map(owner).collect();
            let json = json!({"metadata": {"name": name, "ownerReferences": owners}}).to_string();
            let cached = decoder.read(Item::of(api_version, kind, &json)).expect("it is JSON");
            cached.subject().expect("it is no event").whole().is_some()
        };
        let (deployment, set) = (("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet", "web-1"));
        assert!(!is_whole(set, &[deployment]));
        assert!(is_whole(set, &[]));
        assert!(is_whole(set, &[("argoproj.io/v1alpha1", "Rollout")]));
        assert!(is_whole(set, &[deployment, ("example.com/v1", "App")]), "the App judges all that it owns");
        assert!(is_whole(("apps/v1", "ReplicaSet", "named"), &[deployment]));
        let revision = ("apps/v1", "ControllerRevision", "db-1");
        assert!(!is_whole(revision, &[("apps/v1", "DaemonSet")]));
        assert!(is_whole(revision, &[("apps.kruise.io/v1alpha1", "DaemonSet")]));
        assert!(!is_whole(("v1", "Pod", "web-1-a"), &[("apps/v1", "ReplicaSet")]));
        assert!(is_whole(("v1", "Pod", "alone"), &[]));
    }
}
