//! The forms in which objects are cached, what all of them have in common, and which of them owns which.

use std::sync::Arc;

use serde_json::Value;

use crate::model::{ObjectId, object};
use crate::rollout::snapshot::history::controller_revision::ControllerRevision;
use crate::rollout::snapshot::history::replica_set::ReplicaSet;
use crate::rollout::snapshot::identity::Identified;
use crate::rollout::snapshot::intern::{Symbol, Symbols};
use crate::rollout::snapshot::owner::{OwnerRef, OwnerView};
use crate::rollout::snapshot::pod::Pod;

/// A cached object.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Pod(Box<Pod>),
    ReplicaSet(Box<ReplicaSet>),
    ControllerRevision(Box<ControllerRevision>),
    /// Anything else, complete.
    Object(Arc<Value>),
}

/// The same, borrowed: the subject of a finding, an owner, or what is owned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Pod(&'a Pod),
    ReplicaSet(&'a ReplicaSet),
    ControllerRevision(&'a ControllerRevision),
    Object(&'a Value),
}

impl Seen {
    pub(crate) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Pod(pod) => Subject::Pod(pod),
            Self::ReplicaSet(set) => Subject::ReplicaSet(set),
            Self::ControllerRevision(revision) => Subject::ControllerRevision(revision),
            Self::Object(object) => Subject::Object(object),
        }
    }

    /// The complete object, as far as it is cached.
    pub(super) fn whole(&self) -> Option<&Arc<Value>> {
        match self {
            Self::Pod(pod) => pod.whole.as_ref(),
            Self::ReplicaSet(set) => set.whole.as_ref(),
            Self::ControllerRevision(revision) => revision.whole.as_ref(),
            Self::Object(object) => Some(object),
        }
    }

    /// Adds the complete object.
    pub(super) fn with_whole(mut self, whole: Arc<Value>) -> Self {
        match &mut self {
            Self::Pod(pod) => pod.whole = Some(whole),
            Self::ReplicaSet(set) => set.whole = Some(whole),
            Self::ControllerRevision(revision) => revision.whole = Some(whole),
            Self::Object(object) => *object = whole,
        }
        self
    }

    pub(super) fn owners(&self, symbols: &mut Symbols) -> Arc<[OwnerRef]> {
        match self {
            Self::Pod(pod) => Arc::clone(&pod.owners),
            Self::ReplicaSet(set) => Arc::clone(&set.owners),
            Self::ControllerRevision(revision) => Arc::clone(&revision.owners),
            Self::Object(object) => OwnerRef::all(object, symbols).into(),
        }
    }

    pub(super) fn name(&self) -> Symbol {
        match self {
            Self::Pod(pod) => Arc::clone(&pod.name),
            Self::ReplicaSet(set) => Arc::clone(&set.name),
            Self::ControllerRevision(revision) => Arc::clone(&revision.name),
            Self::Object(object) => object::name(object).into(),
        }
    }
}

impl<'a> Subject<'a> {
    /// The pod, if it is one.
    pub(crate) fn pod(self) -> Option<&'a Pod> {
        match self {
            Self::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// The ReplicaSet, if it is one.
    pub(crate) fn replica_set(self) -> Option<&'a ReplicaSet> {
        match self {
            Self::ReplicaSet(set) => Some(set),
            _ => None,
        }
    }

    /// The `ControllerRevision`, if it is one.
    pub(crate) fn controller_revision(self) -> Option<&'a ControllerRevision> {
        match self {
            Self::ControllerRevision(revision) => Some(revision),
            _ => None,
        }
    }

    /// The complete object, as far as it is cached.
    pub(crate) fn whole(self) -> Option<&'a Value> {
        match self {
            Self::Pod(pod) => pod.whole.as_deref(),
            Self::ReplicaSet(set) => set.whole.as_deref(),
            Self::ControllerRevision(revision) => revision.whole.as_deref(),
            Self::Object(object) => Some(object),
        }
    }

    /// Whether it is this very object in memory.
    pub(crate) fn is(self, object: &Value) -> bool {
        matches!(self, Self::Object(own) if std::ptr::eq(own, object))
    }

    /// `Pod/web-1`.
    pub(crate) fn title(self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    pub(crate) fn id(self) -> ObjectId {
        ObjectId {
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
        }
    }

    /// The owners that it names.
    pub(crate) fn owners(self) -> impl Iterator<Item = OwnerView<'a>> + Clone {
        let (owners, object): (&[OwnerRef], _) = match self {
            Self::Pod(pod) => (&pod.owners, None),
            Self::ReplicaSet(set) => (&set.owners, None),
            Self::ControllerRevision(revision) => (&revision.owners, None),
            Self::Object(object) => (&[], Some(object)),
        };
        owners.iter().map(OwnerRef::view).chain(object.into_iter().flat_map(OwnerView::all))
    }

    /// Whether the other names it as an owner.
    pub(crate) fn owns(self, other: Subject<'_>) -> bool {
        object::same_if_known(self.namespace(), other.namespace())
            && other.owners().any(|reference| self.is_meant_by(reference))
    }

    /// Whether an owner reference means it, compared by uid if both sides know it.
    fn is_meant_by(self, OwnerView { group, kind, name, uid }: OwnerView<'_>) -> bool {
        kind == self.kind()
            && name == self.name()
            && !name.is_empty()
            && (group.is_empty() || group == self.group())
            && object::same_if_known(uid, self.uid())
    }

    /// What identifies it, for as long as the object itself is there.
    pub(super) fn identified(self) -> &'a dyn Identified {
        match self {
            Self::Pod(pod) => pod,
            Self::ReplicaSet(set) => set,
            Self::ControllerRevision(revision) => revision,
            Self::Object(object) => object,
        }
    }
}

impl Identified for Subject<'_> {
    fn group(&self) -> &str {
        self.identified().group()
    }

    fn kind(&self) -> &str {
        self.identified().kind()
    }

    fn namespace(&self) -> &str {
        self.identified().namespace()
    }

    fn name(&self) -> &str {
        self.identified().name()
    }

    fn uid(&self) -> &str {
        self.identified().uid()
    }
}

impl<'a> From<&'a Pod> for Subject<'a> {
    fn from(pod: &'a Pod) -> Self {
        Self::Pod(pod)
    }
}

impl<'a> From<&'a ReplicaSet> for Subject<'a> {
    fn from(set: &'a ReplicaSet) -> Self {
        Self::ReplicaSet(set)
    }
}

impl<'a> From<&'a Value> for Subject<'a> {
    fn from(object: &'a Value) -> Self {
        Self::Object(object)
    }
}
