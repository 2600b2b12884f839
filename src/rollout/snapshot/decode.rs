//! Decodes what a server sends, or a dump holds, into what is cached. Of pods, events and nodes, which are many, only
//! the fields that verdicts need are read at all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::cluster::{Item, Projection};
use crate::model::{ObjectId, object};
use crate::rollout::snapshot::event::{self, EventRecord};
use crate::rollout::snapshot::pod::{self, Interner, Pod};

/// An object as it is cached.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    /// A pod.
    Pod(Box<Pod>),
    /// An event.
    Event(Box<EventRecord>),
    /// Anything else, complete.
    Object(Arc<Value>),
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

/// Decodes objects, and lets them share equal values.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    interner: Mutex<Interner>,
    /// The names of pods that are judged on their own, and are therefore cached completely.
    roots: BTreeSet<String>,
}

impl Decoder {
    /// A decoder for objects of which these will be judged: the pods among them are cached completely.
    pub(crate) fn of<'a>(judged: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        let pods = judged.into_iter().filter(|id| is_pod(&id.group, &id.kind));
        Self { interner: Mutex::default(), roots: pods.map(|id| id.name.clone()).collect() }
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
        match (object::group(item.api_version), item.kind) {
            ("", "Pod") => {
                let pod = Pod::read(&item.read(pod::FIELDS)?, &mut self.interner());
                let is_root = pod.owners.is_empty() || self.roots.contains(&*pod.name);
                let pod =
                    if is_root { pod.with_whole(Arc::new(item.without_managed_fields()?)) } else { pod };
                Ok(Cached::Pod(Box::new(pod)))
            }
            ("", "Node") => Ok(Cached::Object(Arc::new(item.read(NODE)?))),
            _ => Ok(Cached::Object(Arc::new(item.without_managed_fields()?))),
        }
    }

    fn interner(&self) -> std::sync::MutexGuard<'_, Interner> {
        self.interner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cached {
    /// Converts an object that is already decoded; a pod is cached completely.
    pub(crate) fn of(object: impl Into<Arc<Value>>, interner: &mut Interner) -> Self {
        let object = object.into();
        let (api_version, kind) = (object::api_version(&object), object::kind(&object));
        if event::is_event(api_version, kind) {
            return Self::Event(Box::new(EventRecord::read(&object, &mut interner.symbols)));
        }
        if is_pod(object::group(api_version), kind) {
            let pod = Pod::read(&object, interner);
            return Self::Pod(Box::new(pod.with_whole(object)));
        }
        Self::Object(object)
    }

    /// The identity of the object; `None` for an event.
    pub(crate) fn id(&self) -> Option<ObjectId> {
        match self {
            Self::Pod(pod) => Some(pod.id()),
            Self::Object(object) => Some(ObjectId::of(object)),
            Self::Event(_) | Self::Nothing => None,
        }
    }
}

/// Whether this is the kind `Pod`.
pub(crate) fn is_pod(group: &str, kind: &str) -> bool {
    group.is_empty() && kind == "Pod"
}
