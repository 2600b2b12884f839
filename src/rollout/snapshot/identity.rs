//! The identity of objects: the order in which they are stored, and what distinguishes objects of the same name.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use crate::model::object;
use crate::rollout::snapshot::history::controller_revision::ControllerRevision;
use crate::rollout::snapshot::history::replica_set::ReplicaSet;
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

/// An object that events can be about, and that can own others.
pub(crate) trait Identified {
    fn group(&self) -> &str;
    fn kind(&self) -> &str;
    fn namespace(&self) -> &str;
    fn name(&self) -> &str;
    fn uid(&self) -> &str;
}

impl Identified for Value {
    fn group(&self) -> &str {
        object::group(object::api_version(self))
    }

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
    fn group(&self) -> &'static str {
        ""
    }

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

impl Identified for ReplicaSet {
    fn group(&self) -> &str {
        &self.group
    }

    fn kind(&self) -> &'static str {
        "ReplicaSet"
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

impl Identified for ControllerRevision {
    fn group(&self) -> &'static str {
        "apps"
    }

    fn kind(&self) -> &'static str {
        "ControllerRevision"
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
