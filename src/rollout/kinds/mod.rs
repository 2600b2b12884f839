//! Which rule judges which kind.

pub(crate) mod autoscaler;
pub(crate) mod claim;
pub(crate) mod cronjob;
pub(crate) mod custom;
pub(crate) mod definition;
pub(crate) mod health_rule;
pub(crate) mod ingress;
pub(crate) mod namespace;
pub(crate) mod owned;
pub(crate) mod quota;
pub(crate) mod service;
pub(crate) mod workload;

use crate::model::kinds::is_of_kubernetes;
use crate::model::object;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload::{bare_pod, daemonset, deployment, job, replicaset, statefulset};

/// Judges by the rule of the object's kind.
pub(crate) fn judge(scene: &mut EvalContext) -> Health {
    if let Some(rule) = scene.health() {
        return health_rule::judge(scene, rule);
    }
    let group = object::group(object::api_version(scene.object));
    match (group, object::kind(scene.object)) {
        ("apps" | "extensions", "Deployment") => deployment::judge(scene),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => replicaset::judge(scene),
        ("apps", "StatefulSet") => statefulset::judge(scene),
        ("apps" | "extensions", "DaemonSet") => daemonset::judge(scene),
        ("", "Pod") => bare_pod::judge(scene),
        ("batch", "Job") => job::judge(scene),
        ("batch", "CronJob") => cronjob::judge(scene),
        ("", "Service") => service::judge(scene),
        ("networking.k8s.io" | "extensions", "Ingress") => ingress::judge(scene),
        ("", "PersistentVolumeClaim") => claim::judge(scene),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::judge(scene),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition::of_custom_resources(scene),
        ("apiregistration.k8s.io", "APIService") => definition::of_api(scene),
        ("", "Namespace") => namespace::judge(scene),
        ("", "ResourceQuota") => quota::judge(scene),
        // Nodes and volumes speak of themselves as custom resources do.
        ("", "Node" | "PersistentVolume") => custom::judge(scene),
        (group, _) if is_of_kubernetes(group) => Health::ready(),
        _ => custom::judge(scene),
    }
}
