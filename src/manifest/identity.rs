//! Which object a manifest is about, and what is known of its kind without asking a cluster.

use std::fmt;

use super::node::Node;

/// What stays the same when an object's content changes. The version of its API is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) group: String,
    pub(super) kind: String,
    /// The namespace it is in once the tier's is filled in; empty for a cluster-scoped object.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Identity {
    /// The identity of an object in a tier whose namespace is this one.
    pub(super) fn of(object: &Node, namespace: &str) -> Self {
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

/// The group of an `apiVersion`; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The groups that every Kubernetes serves itself, so that their types are known.
const BUILT_IN: [&str; 20] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

pub(super) fn is_built_in(group: &str) -> bool {
    BUILT_IN.contains(&group)
}

/// Whether a built-in kind lives outside of namespaces; false for kinds that are not built in.
pub(super) fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Namespace" | "Node" | "PersistentVolume"),
        "admissionregistration.k8s.io"
        | "apiextensions.k8s.io"
        | "apiregistration.k8s.io"
        | "certificates.k8s.io"
        | "flowcontrol.apiserver.k8s.io"
        | "node.k8s.io"
        | "scheduling.k8s.io" => true,
        "networking.k8s.io" => matches!(kind, "IngressClass" | "IPAddress" | "ServiceCIDR"),
        "rbac.authorization.k8s.io" => matches!(kind, "ClusterRole" | "ClusterRoleBinding"),
        "storage.k8s.io" => kind != "CSIStorageCapacity",
        _ => false,
    }
}
