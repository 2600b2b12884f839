//! Which fields the server really requires.

use serde_json::Value;

use super::Checked;
use crate::schema::finding::Finding;
use crate::schema::table::Field;

/// Groups whose validation was not read: the schema's word alone is not enough for an error.
const NOT_READ: [&str; 11] = [
    "apiserverinternal.",
    "authentication.",
    "authorization.",
    "coordination.",
    "events.",
    "flowcontrol.",
    "lifecycle.",
    "resource.",
    "scheduling.v1alpha",
    "scheduling.v1beta",
    "storagemigration.",
];

/// What the schema calls required and the server accepts without: it has a default, or zero and empty are values.
const OPTIONAL: [(&str, &str); 40] = [
    // No rule: ValidateStatefulSetSpec asks only for the form of a name that is there.
    ("apps.v1.StatefulSetSpec", "serviceName"),
    ("apps.v1.ControllerRevision", "revision"),
    ("apps.v1.ControllerRevision", "data"),
    // Empty selects everything.
    ("networking.v1.NetworkPolicySpec", "podSelector"),
    // SetDefaults_RoleBinding, SetDefaults_ClusterRoleBinding.
    ("rbac.v1.RoleRef", "apiGroup"),
    // ValidateHTTPHeader looks at the name, validateSysctls too.
    ("core.v1.HTTPHeader", "value"),
    ("core.v1.Sysctl", "value"),
    // 0 is allowed behind a gate.
    ("core.v1.SleepAction", "seconds"),
    ("core.v1.ISCSIVolumeSource", "lun"),
    ("core.v1.ISCSIPersistentVolumeSource", "lun"),
    ("core.v1.LimitRangeSpec", "limits"),
    ("core.v1.PreferredSchedulingTerm", "preference"),
    ("core.v1.Taint", "effect"),
    ("core.v1.ScaleIOVolumeSource", "secretRef"),
    ("core.v1.ScaleIOPersistentVolumeSource", "secretRef"),
    ("core.v1.EvictionResponder", "priority"),
    ("core.v1.WorkloadReference", "name"),
    ("core.v1.WorkloadReference", "podGroup"),
    ("core.v1.Binding", "target"),
    ("core.v1.Event", "involvedObject"),
    ("core.v1.Event", "metadata"),
    ("core.v1.EndpointPort", "port"),
    ("core.v1.ConfigMapNodeConfigSource", "kubeletConfigKey"),
    // SetDefaults_PodFailurePolicyOnPodConditionsPattern: True.
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", "status"),
    ("batch.v1.PodFailurePolicy", "rules"),
    ("discovery.v1.EndpointSlice", "endpoints"),
    ("scheduling.v1.PriorityClass", "value"),
    ("storage.v1.CSIDriver", "spec"),
    ("storage.v1.CSINode", "spec"),
    ("storage.v1.CSINodeSpec", "drivers"),
    ("storage.v1.TokenRequest", "audience"),
    ("storage.v1.VolumeAttachmentSpec", "source"),
    // false is a value.
    ("apiextensions.v1.CustomResourceDefinitionVersion", "served"),
    ("apiextensions.v1.CustomResourceDefinitionVersion", "storage"),
    // SetDefaults_CustomResourceDefinitionSpec: None.
    ("apiextensions.v1.CustomResourceConversion", "strategy"),
    ("meta.v1.FieldSelectorRequirement", "key"),
    ("meta.v1.FieldSelectorRequirement", "operator"),
    ("meta.v1.GroupResource", "group"),
    ("meta.v1.GroupResource", "resource"),
    ("admissionregistration.v1.Mutation", "patchType"),
];

/// What the schema does not call required and the server does not accept without.
const REQUIRED: [(&str, &str); 25] = [
    // validateContainerCommon
    ("core.v1.Container", "image"),
    ("core.v1.EphemeralContainer", "image"),
    // validateConfigMapKeySelector, validateSecretKeySelector
    ("core.v1.ConfigMapKeySelector", "name"),
    ("core.v1.SecretKeySelector", "name"),
    // validateConfigMapEnvSource, validateSecretEnvSource
    ("core.v1.ConfigMapEnvSource", "name"),
    ("core.v1.SecretEnvSource", "name"),
    // validateConfigMapVolumeSource, validateSecretVolumeSource, validateProjectionSources
    ("core.v1.ConfigMapVolumeSource", "name"),
    ("core.v1.SecretVolumeSource", "secretName"),
    ("core.v1.ConfigMapProjection", "name"),
    ("core.v1.SecretProjection", "name"),
    // ValidatePersistentVolumeClaimSpec, ValidatePersistentVolumeSpec
    ("core.v1.PersistentVolumeClaimSpec", "accessModes"),
    ("core.v1.PersistentVolumeSpec", "accessModes"),
    ("core.v1.PersistentVolumeSpec", "capacity"),
    // ValidatePodSpec, ValidatePodTemplateSpec: a pod has containers.
    ("core.v1.Pod", "spec"),
    ("core.v1.PodTemplateSpec", "spec"),
    // ValidatePodTemplateSpecForReplicaSet
    ("apps.v1.ReplicaSetSpec", "template"),
    // Something in each of these is required.
    ("autoscaling.v1.HorizontalPodAutoscaler", "spec"),
    ("autoscaling.v2.HorizontalPodAutoscaler", "spec"),
    ("batch.v1.CronJob", "spec"),
    ("batch.v1.Job", "spec"),
    ("core.v1.PersistentVolumeClaim", "spec"),
    ("core.v1.PersistentVolume", "spec"),
    ("core.v1.Service", "spec"),
    ("networking.v1.Ingress", "spec"),
    ("core.v1.EphemeralVolumeSource", "volumeClaimTemplate"),
];

/// Whether the server refuses an object of this type without this field.
pub(in crate::schema) fn is_required(type_name: &str, field: &Field) -> bool {
    let is_stable = || !NOT_READ.iter().any(|group| type_name.starts_with(group));
    let is_of_preview = || type_name.contains(".v1alpha") || type_name.contains("beta");
    let wanted = (type_name, field.name);
    field.required && is_stable() && !is_of_preview() && !OPTIONAL.contains(&wanted)
}

/// What the schema does not ask for.
pub(super) fn check(checked: &Checked<'_>, found: &mut Vec<Finding>) {
    for (_, name) in REQUIRED.iter().filter(|(type_name, _)| *type_name == checked.type_name) {
        let is_missing = match checked.get(name) {
            None => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if is_missing {
            found.push(checked.missing(format!("`{name}` is missing")));
        }
    }
}
