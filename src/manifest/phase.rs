//! In which order objects are applied (contract, section 5).

use serde_json::Value;

use crate::model::{group, labels, object};

/// A step of a release: its objects are applied together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Custom resource definitions and namespaces: without them the rest cannot be applied.
    Definitions,
    /// Permissions, configuration, claims, services, policies: what workloads refer to.
    Settings,
    /// Workloads marked `windlass.dev/phase: before`, such as a database.
    Before,
    /// Jobs, which are the release's tasks, unless they are marked otherwise.
    Jobs,
    /// Workloads, autoscalers, disruption budgets, `CronJobs`, Ingresses.
    Workloads,
    /// What is marked `windlass.dev/phase: after`, and what the API server itself calls.
    After,
}

impl Phase {
    /// What is applied, for a person: `applying …`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Definitions => "definitions and namespaces",
            Self::Settings => "settings",
            Self::Before => "workloads of phase before",
            Self::Jobs => "jobs",
            Self::Workloads => "workloads",
            Self::After => "objects of phase after",
        }
    }
}

/// When an object is applied. An annotation that is unknown counts as none here; reading the manifests refuses it.
pub fn phase_of(object: &Value) -> Phase {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match object::annotation(object, labels::PHASE) {
        Some("before") => Phase::Before,
        Some("after") => Phase::After,
        _ if is_job(object) => Phase::Jobs,
        _ => by_kind(group(text("/apiVersion")), text("/kind"), object),
    }
}

/// Whether it is a Job, which runs in a phase of its own.
pub(super) fn is_job(object: &Value) -> bool {
    object["kind"] == "Job" && object["apiVersion"].as_str().is_some_and(|version| group(version) == "batch")
}

fn by_kind(group: &str, kind: &str, object: &Value) -> Phase {
    match (group, kind) {
        ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => Phase::Definitions,
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("", "Pod" | "ReplicationController")
        | ("autoscaling", "HorizontalPodAutoscaler")
        | ("policy", "PodDisruptionBudget")
        | ("batch", "CronJob")
        | ("networking.k8s.io", "Ingress") => Phase::Workloads,
        // The API server calls these: while their backend is not ready, other writes fail.
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        )
        | ("apiregistration.k8s.io", "APIService") => Phase::After,
        _ if is_custom_workload(object) || is_route(group, kind) => Phase::Workloads,
        _ => Phase::Settings,
    }
}

/// A custom resource that makes pods; any other may make what a Job needs, such as a Secret.
fn is_custom_workload(object: &Value) -> bool {
    object.pointer("/spec/template/spec/containers").is_some()
}

/// What sends requests to workloads, as an Ingress does.
fn is_route(group: &str, kind: &str) -> bool {
    group.ends_with("gateway.networking.k8s.io") || kind.ends_with("Route") || kind == "VirtualService"
}

/// The order inside a phase, for the eye: as the contract lists the kinds.
pub(super) fn rank(object: &Value) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" | "ServiceAccount" | "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => 0,
        "ConfigMap" | "Secret" | "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" => 1,
        "PersistentVolume" | "PersistentVolumeClaim" | "HorizontalPodAutoscaler" => 2,
        "Service" | "PodDisruptionBudget" => 3,
        "CronJob" => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn phase(api: &str, kind: &str) -> Phase {
        phase_of(&json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}}))
    }

    #[test]
    fn the_order_of_the_contract() {
        let rows = [
            ("v1", "Namespace", Phase::Definitions),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Phase::Definitions),
            ("v1", "ServiceAccount", Phase::Settings),
            ("v1", "Secret", Phase::Settings),
            ("v1", "PersistentVolumeClaim", Phase::Settings),
            ("v1", "Service", Phase::Settings),
            ("networking.k8s.io/v1", "NetworkPolicy", Phase::Settings),
            ("external-secrets.io/v1", "ExternalSecret", Phase::Settings),
            ("batch/v1", "Job", Phase::Jobs),
            ("apps/v1", "StatefulSet", Phase::Workloads),
            ("autoscaling/v2", "HorizontalPodAutoscaler", Phase::Workloads),
            ("policy/v1", "PodDisruptionBudget", Phase::Workloads),
            ("batch/v1", "CronJob", Phase::Workloads),
            ("networking.k8s.io/v1", "Ingress", Phase::Workloads),
            ("gateway.networking.k8s.io/v1", "HTTPRoute", Phase::Workloads),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", Phase::After),
        ];
        for (api, kind, wanted) in rows {
            assert_eq!(phase(api, kind), wanted, "{kind}");
        }
        assert!(Phase::Definitions < Phase::Settings && Phase::Jobs < Phase::Workloads);
    }

    #[test]
    fn an_annotation_moves_an_object() {
        let marked = |api: &str, kind: &str, phase: &str| {
            let annotations = json!({"windlass.dev/phase": phase});
            phase_of(&json!({"apiVersion": api, "kind": kind, "metadata": {"annotations": annotations}}))
        };
        assert_eq!(marked("apps/v1", "StatefulSet", "before"), Phase::Before);
        assert_eq!(marked("v1", "ConfigMap", "after"), Phase::After);
        assert_eq!(marked("batch/v1", "Job", "after"), Phase::After);
        assert_eq!(marked("batch/v1", "Job", "other"), Phase::Jobs);
    }

    #[test]
    fn a_custom_resource_that_makes_pods_is_a_workload() {
        let spec = json!({"template": {"spec": {"containers": []}}});
        let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": spec});
        assert_eq!(phase_of(&rollout), Phase::Workloads);
    }
}
