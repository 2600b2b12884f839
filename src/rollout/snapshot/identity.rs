//! The identity of objects: the order in which they are stored, and what distinguishes objects of the same name.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use crate::model::object;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::pod::Pod;

/// An object's identity: group, kind, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(super) group: Symbol,
    pub(super) kind: Symbol,
    pub(super) namespace: Symbol,
    pub(super) name: Symbol,
}

impl Key {
    pub(super) fn is_of(&self, group: &str, kind: &str) -> bool {
        &*self.kind == kind && &*self.group == group
    }
}

/// Group, kind, namespace and name, to look up a [`Key`] without creating one.
pub(super) trait Parts {
    fn parts(&self) -> [&str; 4];
}

impl Parts for Key {
    fn parts(&self) -> [&str; 4] {
        [&self.group, &self.kind, &self.namespace, &self.name]
    }
}

impl Parts for [&str; 4] {
    fn parts(&self) -> [&str; 4] {
        *self
    }
}

impl PartialEq for dyn Parts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Parts + '_ {}

impl PartialOrd for dyn Parts + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Parts + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl<'a> Borrow<dyn Parts + 'a> for Arc<Key> {
    fn borrow(&self) -> &(dyn Parts + 'a) {
        &**self
    }
}

/// An object that events can be about.
pub(crate) trait Identified {
    fn kind(&self) -> &str;
    fn namespace(&self) -> &str;
    fn name(&self) -> &str;
    fn uid(&self) -> &str;
}

impl Identified for Value {
    fn kind(&self) -> &str {
        object::kind(self)
    }

    fn namespace(&self) -> &str {
        object::namespace(self)
    }

    fn name(&self) -> &str {
        object::name(self)
    }

    fn uid(&self) -> &str {
        object::uid(self)
    }
}

impl Identified for Pod {
    fn kind(&self) -> &'static str {
        "Pod"
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn uid(&self) -> &str {
        &self.uid
    }
}

/// The subject of a finding: a pod, or any other object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Pod(&'a Pod),
    Object(&'a Value),
}

impl<'a> Subject<'a> {
    /// The pod, if it is one.
    pub(crate) fn pod(self) -> Option<&'a Pod> {
        match self {
            Self::Pod(pod) => Some(pod),
            Self::Object(_) => None,
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

    fn identified(&self) -> &dyn Identified {
        match self {
            Self::Pod(pod) => *pod,
            Self::Object(object) => *object,
        }
    }
}

impl Identified for Subject<'_> {
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

impl<'a> From<&'a Value> for Subject<'a> {
    fn from(object: &'a Value) -> Self {
        Self::Object(object)
    }
}
