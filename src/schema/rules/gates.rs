//! Fields that the server drops before it validates them, since their feature gate is not set: their content says nothing.
//! Source: `dropDisabledFields` and its like of `pkg/api` and `pkg/registry`, `pkg/features/kube_features.go`.

use serde_json::Value;

/// Gates that are not set in any version that is known.
const NOT_YET: u32 = u32::MAX;

/// By type and field, with the first minor version in which the gate is set unless somebody says otherwise.
const GATES: &[(&str, &str, u32)] = &[
    // ContainerStopSignals, ProcMountType, VolumeBindMountOptions, RecursiveReadOnlyMounts
    ("core.v1.Lifecycle", "stopSignal", NOT_YET),
    ("core.v1.SecurityContext", "procMount", 33),
    ("core.v1.VolumeMount", "bindMountOptions", NOT_YET),
    ("core.v1.VolumeMount", "recursiveReadOnly", 31),
    // H2CContainerProbe, GRPCContainerProbeTLS, PodLifecycleSleepAction
    ("core.v1.HTTPGetAction", "protocol", NOT_YET),
    ("core.v1.GRPCAction", "mode", NOT_YET),
    ("core.v1.LifecycleHandler", "sleep", 30),
    // SidecarContainers, ContainerRestartRules, InPlacePodVerticalScaling, DynamicResourceAllocation
    ("core.v1.Container", "restartPolicy", 29),
    ("core.v1.Container", "restartPolicyRules", 35),
    ("core.v1.Container", "resizePolicy", 33),
    ("core.v1.ResourceRequirements", "claims", 34),
    // EnvFiles, ImageVolume, ClusterTrustBundleProjection, PodCertificateRequest
    ("core.v1.EnvVarSource", "fileKeyRef", 35),
    ("core.v1.Volume", "image", 35),
    ("core.v1.VolumeProjection", "clusterTrustBundle", 37),
    ("core.v1.VolumeProjection", "podCertificate", 37),
    // DynamicResourceAllocation, PodLevelResources, UserNamespacesSupport, HostnameOverride, EvictionRequestAPI
    ("core.v1.PodSpec", "resourceClaims", 34),
    ("core.v1.PodSpec", "resources", 34),
    ("core.v1.PodSpec", "hostUsers", 33),
    ("core.v1.PodSpec", "hostnameOverride", 35),
    ("core.v1.PodSpec", "evictionResponders", NOT_YET),
    // SupplementalGroupsPolicy, SELinuxChangePolicy, MatchLabelKeysInPodAffinity
    ("core.v1.PodSecurityContext", "supplementalGroupsPolicy", 33),
    ("core.v1.PodSecurityContext", "seLinuxChangePolicy", 33),
    ("core.v1.PodAffinityTerm", "matchLabelKeys", 31),
    ("core.v1.PodAffinityTerm", "mismatchLabelKeys", 31),
    // VolumeAttributesClass, DynamicKubeletConfig
    ("core.v1.PersistentVolumeClaimSpec", "volumeAttributesClassName", 34),
    ("core.v1.PersistentVolumeSpec", "volumeAttributesClassName", 34),
    ("core.v1.NodeSpec", "configSource", NOT_YET),
    // ServiceTrafficDistribution
    ("core.v1.ServiceSpec", "trafficDistribution", 31),
    // MaxUnavailableStatefulSet, HPAConfigurableTolerance
    ("apps.v1.RollingUpdateStatefulSetStrategy", "maxUnavailable", 37),
    ("autoscaling.v2.HPAScalingRules", "tolerance", 35),
    // JobBackoffLimitPerIndex, JobPodReplacementPolicy, JobSuccessPolicy, JobManagedBy
    ("batch.v1.JobSpec", "backoffLimitPerIndex", 29),
    ("batch.v1.JobSpec", "maxFailedIndexes", 29),
    ("batch.v1.JobSpec", "podReplacementPolicy", 29),
    ("batch.v1.JobSpec", "successPolicy", 31),
    ("batch.v1.JobSpec", "managedBy", 32),
    // AdmissionWebhookMatchConditions
    ("admissionregistration.v1.ValidatingWebhook", "matchConditions", 28),
    ("admissionregistration.v1.MutatingWebhook", "matchConditions", 28),
    // CustomResourceFieldSelectors
    ("apiextensions.v1.CustomResourceDefinitionVersion", "selectableFields", 31),
    // MutableCSINodeAllocatableCount
    ("storage.v1.CSIDriverSpec", "nodeAllocatableUpdatePeriodSeconds", 35),
    // DRAConsumableCapacity, DRAExtendedResource
    ("resource.v1.DeviceConstraint", "distinctAttribute", 36),
    ("resource.v1.DeviceClassSpec", "extendedResourceName", 36),
    // CoordinatedLeaderElection
    ("coordination.v1.LeaseSpec", "strategy", NOT_YET),
    ("coordination.v1.LeaseSpec", "preferredHolder", NOT_YET),
];

/// Whether a version of Kubernetes drops a field, which stands at a pointer.
pub(in crate::schema) fn drops(
    (type_name, minor): (&str, u32),
    field: &str,
    value: &Value,
    pointer: &str,
) -> bool {
    // CrossNamespaceVolumeDataSource: with a namespace, all of it. A claim that a pod brings keeps it.
    let is_elsewhere = type_name == "core.v1.PersistentVolumeClaimSpec"
        && pointer == "/spec/dataSourceRef"
        && value["namespace"].as_str().is_some_and(|namespace| !namespace.is_empty());
    let is_gated = |gate: &&(&str, &str, u32)| (gate.0, gate.1) == (type_name, field) && minor < gate.2;
    is_elsewhere || GATES.iter().any(|gate| is_gated(&gate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::TABLE;

    #[test]
    fn every_field_is_one_of_the_table() {
        for (type_name, name, _) in GATES {
            let one = TABLE.types.get(type_name);
            assert!(
                one.is_some_and(|one| one.fields.iter().any(|field| field.name == *name)),
                "{type_name}.{name}"
            );
        }
    }
}
