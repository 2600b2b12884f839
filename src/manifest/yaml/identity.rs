//! Which object a manifest is about.

use std::fmt;

use crate::manifest::yaml::node::Node;
use crate::model::group;
use crate::model::kinds::is_cluster_scoped;

/// What stays the same when an object's content changes. The version of its API is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// The namespace it is in once the tier's is filled in; empty for a cluster-scoped object.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Identity {
    /// The identity of an object in a tier whose namespace is this one.
    pub(crate) fn of(object: &Node, namespace: &str) -> Self {
        let text = |path: &[&str]| object.text_at(path).unwrap_or_default().to_owned();
        let (group, kind) = (group(&text(&["apiVersion"])).to_owned(), text(&["kind"]));
        let namespace = match text(&["metadata", "namespace"]) {
            own if !own.is_empty() => own,
            _ if is_cluster_scoped(&group, &kind) => String::new(),
            _ => namespace.to_owned(),
        };
        Self { group, kind, namespace, name: text(&["metadata", "name"]) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}
