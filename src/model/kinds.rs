//! What is known about kinds without a cluster.

use crate::text::nearest;
use crate::text::nearest::distance;

/// The stable kinds that every Kubernetes since 1.27 serves: `(apiVersion, kind, plural, namespaced)`.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Endpoints", "endpoints", true),
    ("v1", "Event", "events", true),
    ("v1", "LimitRange", "limitranges", true),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Node", "nodes", false),
    ("v1", "PersistentVolume", "persistentvolumes", false),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("v1", "Pod", "pods", true),
    ("v1", "PodTemplate", "podtemplates", true),
    ("v1", "ReplicationController", "replicationcontrollers", true),
    ("v1", "ResourceQuota", "resourcequotas", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("apps/v1", "ControllerRevision", "controllerrevisions", true),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "ReplicaSet", "replicasets", true),
    ("apps/v1", "StatefulSet", "statefulsets", true),
    ("autoscaling/v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("batch/v1", "CronJob", "cronjobs", true),
    ("batch/v1", "Job", "jobs", true),
    ("coordination.k8s.io/v1", "Lease", "leases", true),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", true),
    ("events.k8s.io/v1", "Event", "events", true),
    ("networking.k8s.io/v1", "Ingress", "ingresses", true),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
    ("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", false),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", false),
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers", false),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", false),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", false),
];

/// Plural and whether its objects live in namespaces, for a kind that every server has, which saves a request.
pub(crate) fn served_everywhere(api_version: &str, kind: &str) -> Option<(&'static str, bool)> {
    KINDS.iter().find(|entry| (entry.0, entry.1) == (api_version, kind)).map(|entry| (entry.2, entry.3))
}

/// The built-in kind that this word probably means; `None` where it is one, names its group, or is not just a typo: custom
/// kinds often have similar names.
pub(crate) fn near_kind(word: &str) -> Option<&'static str> {
    let kinds = || KINDS.iter().map(|entry| entry.1);
    if word.contains('.') || kinds().any(|kind| kind == word) {
        return None;
    }
    nearest(word, kinds()).filter(|near| distance(&word.to_lowercase(), &near.to_lowercase()) <= 2)
}

/// The API groups of Kubernetes itself.
const GROUPS: &[&str] = &[
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
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Whether the kinds of this API group are those of Kubernetes itself.
pub(crate) fn is_of_kubernetes(group: &str) -> bool {
    GROUPS.contains(&group)
}

/// Groups of [`GROUPS`] that not every server has, or in which kinds come and go.
const CHANGING: &[&str] =
    &["extensions", "internal.apiserver.k8s.io", "resource.k8s.io", "storagemigration.k8s.io"];

/// Whether the types of this API group are known: those of Kubernetes itself that every server has.
pub(crate) fn is_built_in(group: &str) -> bool {
    is_of_kubernetes(group) && !CHANGING.contains(&group)
}

/// Whether others than Kubernetes itself have made the kinds of this API group: by its name, so that groups to come count
/// for Kubernetes, too.
pub(crate) fn is_of_others(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// Whether a built-in kind lives outside of namespaces; false for kinds that are not built in.
pub(crate) fn is_cluster_scoped(group: &str, kind: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_groups_agrees() {
        for group in CHANGING {
            assert!(is_of_kubernetes(group) && !is_built_in(group), "{group}");
        }
        for group in GROUPS {
            assert!(!is_of_others(group), "{group}");
        }
        for (api_version, kind, _, namespaced) in KINDS {
            let group = crate::model::group(api_version);
            assert!(is_built_in(group), "{api_version}");
            assert_eq!(is_cluster_scoped(group, kind), !namespaced, "{api_version} {kind}");
        }
        assert_eq!(served_everywhere("apps/v1", "Deployment"), Some(("deployments", true)));
        assert_eq!(served_everywhere("apps/v1beta1", "Deployment"), None);
    }
}
