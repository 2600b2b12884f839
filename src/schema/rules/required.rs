//! Which fields the server really requires.

use serde_json::Value;

use super::Checked;
use crate::schema::finding::Finding;
use crate::schema::table::Field;

/// Groups whose validation was not read: the schema's word alone is not enough for an error.
const NOT_READ: [&str; 7] = [
    "apiserverinternal.",
    "authentication.",
    "authorization.",
    "lifecycle.",
    "resource.",
    "scheduling.v1alpha",
    "storagemigration.",
];

/// What the schema calls required and the server accepts without: it has a default, or zero and empty are values.
const OPTIONAL: [(&str, &str); 40] = [
    // No rule: ValidateStatefulSetSpec asks only for the form of a name that is there.
    ("apps.v1.StatefulSetSpec", "serviceName"),
    ("apps.v1.ControllerRevision", "revision"),
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
    ("core.v1.ScaleIOVolumeSource", "secretRef"),
    ("core.v1.ScaleIOPersistentVolumeSource", "secretRef"),
    ("core.v1.EvictionResponder", "priority"),
    ("core.v1.WorkloadReference", "name"),
    ("core.v1.WorkloadReference", "podGroup"),
    ("core.v1.Binding", "target"),
    ("core.v1.Event", "involvedObject"),
    ("core.v1.Event", "metadata"),
    ("core.v1.ConfigMapNodeConfigSource", "kubeletConfigKey"),
    // SetDefaults_PodFailurePolicyOnPodConditionsPattern: True.
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", "status"),
    ("batch.v1.PodFailurePolicy", "rules"),
    ("discovery.v1.EndpointSlice", "endpoints"),
    // An empty label is one, an empty address too where its type is none of IP addresses.
    ("discovery.v1.ForZone", "name"),
    ("scheduling.v1.PriorityClass", "value"),
    ("storage.v1.CSIDriver", "spec"),
    ("storage.v1.CSINode", "spec"),
    ("storage.v1.CSINodeSpec", "drivers"),
    ("storage.v1.TokenRequest", "audience"),
    // SetDefaults_FlowSchemaSpec
    ("flowcontrol.v1.FlowSchema", "spec"),
    // false is a value.
    // What is needed of a webhook that is not asked is nothing.
    ("apiextensions.v1.WebhookConversion", "conversionReviewVersions"),
    ("apiextensions.v1.CustomResourceDefinitionVersion", "served"),
    ("apiextensions.v1.CustomResourceDefinitionVersion", "storage"),
    ("meta.v1.FieldSelectorRequirement", "key"),
    ("meta.v1.FieldSelectorRequirement", "operator"),
    ("meta.v1.GroupResource", "group"),
    ("meta.v1.GroupResource", "resource"),
    ("events.v1.EventSeries", "count"),
    ("events.v1.EventSeries", "lastObservedTime"),
    ("scheduling.v1beta1.Workload", "spec"),
];

/// What the schema does not call required and the server does not accept without.
const REQUIRED: &[(&str, &str)] = &[
    // validateContainerCommon
    ("core.v1.Container", "image"),
    ("core.v1.EphemeralContainer", "image"),
    // validateExecAction
    ("core.v1.ExecAction", "command"),
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
    // validateEphemeralVolumeSource, validateScaleIOVolumeSource, validateStorageOSVolumeSource
    ("core.v1.EphemeralVolumeSource", "volumeClaimTemplate"),
    ("core.v1.ScaleIOVolumeSource", "volumeName"),
    ("core.v1.ScaleIOPersistentVolumeSource", "volumeName"),
    ("core.v1.StorageOSVolumeSource", "volumeName"),
    ("core.v1.StorageOSPersistentVolumeSource", "volumeName"),
    // ValidateHostAliases
    ("core.v1.HostAlias", "ip"),
    // validatePodDNSConfig
    ("core.v1.PodDNSConfigOption", "name"),
    // validateContainerRestartPolicy
    ("core.v1.ContainerRestartRule", "exitCodes"),
    // ValidatePersistentVolumeClaimSpec, ValidatePersistentVolumeSpec, validateVolumeNodeAffinity
    ("core.v1.PersistentVolumeClaimSpec", "accessModes"),
    ("core.v1.PersistentVolumeSpec", "accessModes"),
    ("core.v1.PersistentVolumeSpec", "capacity"),
    ("core.v1.VolumeNodeAffinity", "required"),
    // ValidatePodSpec, ValidatePodTemplateSpec: a pod has containers.
    ("core.v1.Pod", "spec"),
    ("core.v1.PodTemplate", "template"),
    ("core.v1.PodTemplateSpec", "spec"),
    ("batch.v1.JobTemplateSpec", "spec"),
    // ValidatePodTemplateSpecForReplicaSet, ValidatePodTemplateSpecForRC, ValidateNonEmptySelector
    ("apps.v1.ReplicaSetSpec", "template"),
    ("core.v1.ReplicationController", "spec"),
    ("core.v1.ReplicationControllerSpec", "template"),
    // ValidateControllerRevision
    ("apps.v1.ControllerRevision", "data"),
    // Something in each of these is required.
    ("apps.v1.DaemonSet", "spec"),
    ("apps.v1.Deployment", "spec"),
    ("apps.v1.ReplicaSet", "spec"),
    ("apps.v1.StatefulSet", "spec"),
    ("autoscaling.v1.HorizontalPodAutoscaler", "spec"),
    ("autoscaling.v2.HorizontalPodAutoscaler", "spec"),
    ("batch.v1.CronJob", "spec"),
    ("batch.v1.Job", "spec"),
    ("core.v1.PersistentVolumeClaim", "spec"),
    ("core.v1.PersistentVolume", "spec"),
    ("core.v1.Service", "spec"),
    ("networking.v1.Ingress", "spec"),
    ("networking.v1.IngressClass", "spec"),
    ("networking.v1.ServiceCIDR", "spec"),
    ("flowcontrol.v1.FlowSchema", "spec"),
    ("flowcontrol.v1.PriorityLevelConfiguration", "spec"),
    ("apiregistration.v1.APIService", "spec"),
    ("admissionregistration.v1.ValidatingAdmissionPolicy", "spec"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyBinding", "spec"),
    ("admissionregistration.v1.MutatingAdmissionPolicy", "spec"),
    ("admissionregistration.v1.MutatingAdmissionPolicyBinding", "spec"),
    // validateIngressClassSpec, validateServiceCIDRSpec
    ("networking.v1.IngressClassSpec", "controller"),
    ("networking.v1.ServiceCIDRSpec", "cidrs"),
    // ValidateClusterRole
    ("rbac.v1.AggregationRule", "clusterRoleSelectors"),
    // validateCertificateSigningRequest
    ("certificates.v1.CertificateSigningRequestSpec", "usages"),
    // validateParameters of ValidateVolumeAttributesClass
    ("storage.v1.VolumeAttributesClass", "parameters"),
    // ValidateAPIService
    ("apiregistration.v1.ServiceReference", "name"),
    ("apiregistration.v1.ServiceReference", "namespace"),
    // validateRuleWithOperations
    ("admissionregistration.v1.RuleWithOperations", "apiGroups"),
    ("admissionregistration.v1.RuleWithOperations", "apiVersions"),
    ("admissionregistration.v1.RuleWithOperations", "operations"),
    ("admissionregistration.v1.RuleWithOperations", "resources"),
    ("admissionregistration.v1.NamedRuleWithOperations", "apiGroups"),
    ("admissionregistration.v1.NamedRuleWithOperations", "apiVersions"),
    ("admissionregistration.v1.NamedRuleWithOperations", "operations"),
    ("admissionregistration.v1.NamedRuleWithOperations", "resources"),
    // validateValidatingAdmissionPolicySpec, validateMutatingAdmissionPolicySpec and their bindings
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "matchConstraints"),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", "matchConstraints"),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", "mutations"),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", "reinvocationPolicy"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "policyName"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "validationActions"),
    ("admissionregistration.v1.MutatingAdmissionPolicyBindingSpec", "policyName"),
    ("admissionregistration.v1.ParamKind", "apiVersion"),
    ("admissionregistration.v1.ParamKind", "kind"),
    ("admissionregistration.v1.ParamRef", "parameterNotFoundAction"),
    ("admissionregistration.v1.JSONPatch", "expression"),
    ("admissionregistration.v1.ApplyConfiguration", "expression"),
    // validateCustomResourceDefinitionSpec, validateCustomResourceConversion
    ("apiextensions.v1.CustomResourceDefinitionVersion", "schema"),
    ("apiextensions.v1.CustomResourceValidation", "openAPIV3Schema"),
    // ValidatePriorityLevelConfigurationSpec
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", "limitResponse"),
    // validateDeviceClassSpec, validateDeviceSelector
    ("resource.v1.DeviceClassConfiguration", "opaque"),
    ("resource.v1.DeviceClaimConfiguration", "opaque"),
    ("resource.v1.DeviceSelector", "cel"),
    ("resource.v1.CELDeviceSelector", "expression"),
    ("resource.v1.OpaqueDeviceConfiguration", "driver"),
    ("resource.v1.OpaqueDeviceConfiguration", "parameters"),
    ("resource.v1.ExactDeviceRequest", "deviceClassName"),
    ("resource.v1.DeviceRequest", "name"),
    ("resource.v1.DeviceSubRequest", "name"),
    ("resource.v1.DeviceSubRequest", "deviceClassName"),
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
        let field = checked.schemas.field_of(checked.type_name, name);
        // What the schema of this version asks for itself was reported already.
        if field.is_none_or(|field| is_required(checked.type_name, field)) {
            continue;
        }
        let is_missing = match checked.get(name) {
            None => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(map)) => map.is_empty() && !is_something(checked),
            Some(_) => false,
        };
        if is_missing {
            found.push(checked.missing(format!("`{name}` is missing")));
        }
    }
}

/// What a driver is told may be nothing; before 1.37 a revision, too.
fn is_something(checked: &Checked<'_>) -> bool {
    let is_of_revision = checked.type_name == "apps.v1.ControllerRevision" && checked.schemas.minor() < 37;
    is_of_revision || checked.type_name == "resource.v1.OpaqueDeviceConfiguration"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::TABLE;

    #[test]
    fn every_field_is_one_of_the_table() {
        for (type_name, name) in REQUIRED.iter().chain(&OPTIONAL) {
            let one = TABLE.types.get(type_name);
            assert!(
                one.is_some_and(|one| one.fields.iter().any(|field| field.name == *name)),
                "{type_name}.{name}"
            );
        }
    }
}
