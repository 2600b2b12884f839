//! The rule for each kind.

pub(crate) mod autoscaler;
pub(crate) mod claim;
pub(crate) mod cronjob;
pub(crate) mod custom;
pub(crate) mod definition;
pub(crate) mod ingress;
pub(crate) mod namespace;
pub(crate) mod quota;
pub(crate) mod service;
pub(crate) mod workload;

use crate::model::kinds::is_of_kubernetes;
use crate::model::object;
use crate::rollout::catalogue;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload::{bare_pod, daemonset, deployment, job, replicaset, statefulset};

/// Judges by the rule of the object's kind.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    if let Some(rule) = context.health() {
        return custom::by_configuration(context, rule);
    }
    let group = object::group(object::api_version(context.object));
    match (group, object::kind(context.object)) {
        ("apps" | "extensions", "Deployment") => deployment::judge(context),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => replicaset::judge(context),
        ("apps", "StatefulSet") => statefulset::judge(context),
        ("apps" | "extensions", "DaemonSet") => daemonset::judge(context),
        ("", "Pod") => bare_pod::judge(context),
        ("batch", "Job") => job::judge(context),
        ("batch", "CronJob") => cronjob::judge(context),
        ("", "Service") => service::judge(context),
        ("networking.k8s.io" | "extensions", "Ingress") => ingress::judge(context),
        ("", "PersistentVolumeClaim") => claim::judge(context),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::judge(context),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition::of_custom_resources(context),
        ("apiregistration.k8s.io", "APIService") => definition::of_api(context),
        ("", "Namespace") => namespace::judge(context),
        ("", "ResourceQuota") => quota::judge(context),
        // Nodes and volumes report their health as custom resources do.
        ("", "Node" | "PersistentVolume") => custom::judge(context),
        (group, _) if is_of_kubernetes(group) => Health::ready(),
        _ => match catalogue::find(context.object) {
            Some(rule) => custom::by_catalogue(context, rule),
            None => custom::judge(context),
        },
    }
}
