//! The forms of strings and the ranges of numbers, field by field.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::{Format, is_label_key, is_label_value};

/// What the value of a field must be.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// A string of this form; empty counts as left out.
    Form(Format),
    /// A list of such strings.
    Forms(Format),
    /// A map whose keys are of this form.
    Keys(Format),
    /// A map of labels.
    Labels,
    /// A map of annotations.
    Annotations,
    /// A number from this to that.
    Range(i64, i64),
    /// A port by number or name.
    Port,
    /// A number that is not negative, or a percentage.
    Share,
    /// One of these.
    Words(&'static [&'static str]),
}

use Format::{
    AbsolutePath, Cidr, ConfigKey, Cron, Header, Host, Ip, Label, LabelKey, LabelValue, PortName,
    RelativePath, Subdomain, Variable,
};
use Rule::{Annotations, Form, Forms, Keys, Labels, Port, Range, Share, Words};

const PORT: Rule = Range(1, 65535);
const NOT_NEGATIVE: Rule = Range(0, i64::MAX);
const POSITIVE: Rule = Range(1, i64::MAX);
const USER: Rule = Range(0, i32::MAX as i64);
const MODE: Rule = Range(0, 0o777);

/// By type and field; the function of Kubernetes that asks for it stands above.
const RULES: &[(&str, &str, Rule)] = &[
    // ValidateObjectMeta, ValidateLabels, ValidateAnnotations
    ("meta.v1.ObjectMeta", "labels", Labels),
    ("meta.v1.ObjectMeta", "annotations", Annotations),
    // ValidateLabelSelector, ValidateLabelSelectorRequirement
    ("meta.v1.LabelSelector", "matchLabels", Labels),
    ("meta.v1.LabelSelectorRequirement", "key", Form(LabelKey)),
    ("meta.v1.LabelSelectorRequirement", "values", Forms(LabelValue)),
    ("meta.v1.LabelSelectorRequirement", "operator", Words(&["In", "NotIn", "Exists", "DoesNotExist"])),
    // ValidatePodSpec
    ("core.v1.PodSpec", "nodeSelector", Labels),
    ("core.v1.PodSpec", "serviceAccountName", Form(Subdomain)),
    ("core.v1.PodSpec", "hostname", Form(Label)),
    ("core.v1.PodSpec", "subdomain", Form(Label)),
    ("core.v1.PodSpec", "nodeName", Form(Subdomain)),
    ("core.v1.PodSpec", "runtimeClassName", Form(Subdomain)),
    ("core.v1.PodSpec", "priorityClassName", Form(Subdomain)),
    ("core.v1.PodSpec", "activeDeadlineSeconds", Range(1, i32::MAX as i64)),
    // ValidateHostAliases
    ("core.v1.HostAlias", "ip", Form(Ip)),
    ("core.v1.HostAlias", "hostnames", Forms(Subdomain)),
    // ValidateVolumes
    ("core.v1.Volume", "name", Form(Label)),
    ("core.v1.ConfigMapVolumeSource", "defaultMode", MODE),
    ("core.v1.SecretVolumeSource", "defaultMode", MODE),
    ("core.v1.ProjectedVolumeSource", "defaultMode", MODE),
    ("core.v1.DownwardAPIVolumeSource", "defaultMode", MODE),
    ("core.v1.DownwardAPIVolumeFile", "mode", MODE),
    ("core.v1.DownwardAPIVolumeFile", "path", Form(RelativePath)),
    ("core.v1.NFSVolumeSource", "path", Form(AbsolutePath)),
    // validateKeyToPath
    ("core.v1.KeyToPath", "mode", MODE),
    ("core.v1.KeyToPath", "path", Form(RelativePath)),
    // validateLocalDescendingPath of ValidateVolumeMounts
    ("core.v1.VolumeMount", "subPath", Form(RelativePath)),
    // validateContainerCommon, validateContainerPorts
    ("core.v1.Container", "name", Form(Label)),
    ("core.v1.EphemeralContainer", "name", Form(Label)),
    ("core.v1.ContainerPort", "name", Form(PortName)),
    ("core.v1.ContainerPort", "containerPort", PORT),
    ("core.v1.ContainerPort", "hostPort", Range(0, 65535)),
    // ValidateEnv, ValidateEnvFrom
    ("core.v1.EnvVar", "name", Form(Variable)),
    ("core.v1.EnvFromSource", "prefix", Form(Variable)),
    ("core.v1.ConfigMapKeySelector", "key", Form(ConfigKey)),
    ("core.v1.ConfigMapKeySelector", "name", Form(Subdomain)),
    ("core.v1.SecretKeySelector", "key", Form(ConfigKey)),
    ("core.v1.SecretKeySelector", "name", Form(Subdomain)),
    ("core.v1.ConfigMapEnvSource", "name", Form(Subdomain)),
    ("core.v1.SecretEnvSource", "name", Form(Subdomain)),
    // validateProbe, validateHTTPGetAction, validateTCPSocketAction, validateGRPCAction
    ("core.v1.Probe", "initialDelaySeconds", NOT_NEGATIVE),
    ("core.v1.Probe", "timeoutSeconds", NOT_NEGATIVE),
    ("core.v1.Probe", "periodSeconds", NOT_NEGATIVE),
    ("core.v1.Probe", "successThreshold", NOT_NEGATIVE),
    ("core.v1.Probe", "failureThreshold", NOT_NEGATIVE),
    ("core.v1.Probe", "terminationGracePeriodSeconds", POSITIVE),
    ("core.v1.HTTPGetAction", "port", Port),
    ("core.v1.TCPSocketAction", "port", Port),
    ("core.v1.GRPCAction", "port", PORT),
    ("core.v1.HTTPHeader", "name", Form(Header)),
    // ValidateSecurityContext, validatePodSpecSecurityContext
    ("core.v1.SecurityContext", "runAsUser", USER),
    ("core.v1.SecurityContext", "runAsGroup", USER),
    ("core.v1.PodSecurityContext", "runAsUser", USER),
    ("core.v1.PodSecurityContext", "runAsGroup", USER),
    ("core.v1.PodSecurityContext", "fsGroup", USER),
    // validateAffinity, validateTopologySpreadConstraints
    ("core.v1.PreferredSchedulingTerm", "weight", Range(1, 100)),
    ("core.v1.WeightedPodAffinityTerm", "weight", Range(1, 100)),
    ("core.v1.PodAffinityTerm", "topologyKey", Form(LabelKey)),
    ("core.v1.NodeSelectorRequirement", "key", Form(LabelKey)),
    ("core.v1.TopologySpreadConstraint", "maxSkew", POSITIVE),
    ("core.v1.TopologySpreadConstraint", "minDomains", POSITIVE),
    // ValidateTolerations
    ("core.v1.Toleration", "key", Form(LabelKey)),
    // validateService
    ("core.v1.ServicePort", "port", PORT),
    ("core.v1.ServicePort", "name", Form(Label)),
    ("core.v1.ServicePort", "targetPort", Port),
    ("core.v1.ServicePort", "nodePort", Range(0, 65535)),
    ("core.v1.ServiceSpec", "selector", Labels),
    ("core.v1.ClientIPConfig", "timeoutSeconds", Range(1, 86400)),
    // ValidateConfigMap, ValidateSecret
    ("core.v1.ConfigMap", "data", Keys(ConfigKey)),
    ("core.v1.ConfigMap", "binaryData", Keys(ConfigKey)),
    ("core.v1.Secret", "data", Keys(ConfigKey)),
    ("core.v1.Secret", "stringData", Keys(ConfigKey)),
    // ValidatePersistentVolumeClaimSpec
    ("core.v1.PersistentVolumeClaimSpec", "storageClassName", Form(Subdomain)),
    // ValidateServiceAccountTokenProjection
    ("core.v1.ServiceAccountTokenProjection", "expirationSeconds", Range(600, 1 << 32)),
    // ValidateReplicationControllerSpec
    ("core.v1.ReplicationControllerSpec", "replicas", NOT_NEGATIVE),
    ("core.v1.ReplicationControllerSpec", "minReadySeconds", NOT_NEGATIVE),
    // ValidateDeploymentSpec, ValidateReplicaSetSpec, ValidateStatefulSetSpec, ValidateDaemonSetSpec
    ("apps.v1.DeploymentSpec", "replicas", NOT_NEGATIVE),
    ("apps.v1.DeploymentSpec", "minReadySeconds", NOT_NEGATIVE),
    ("apps.v1.DeploymentSpec", "revisionHistoryLimit", NOT_NEGATIVE),
    ("apps.v1.DeploymentSpec", "progressDeadlineSeconds", NOT_NEGATIVE),
    ("apps.v1.ReplicaSetSpec", "replicas", NOT_NEGATIVE),
    ("apps.v1.ReplicaSetSpec", "minReadySeconds", NOT_NEGATIVE),
    ("apps.v1.StatefulSetSpec", "replicas", NOT_NEGATIVE),
    ("apps.v1.StatefulSetSpec", "minReadySeconds", NOT_NEGATIVE),
    ("apps.v1.DaemonSetSpec", "minReadySeconds", NOT_NEGATIVE),
    ("apps.v1.DaemonSetSpec", "revisionHistoryLimit", NOT_NEGATIVE),
    ("apps.v1.RollingUpdateDeployment", "maxUnavailable", Share),
    ("apps.v1.RollingUpdateDeployment", "maxSurge", Share),
    ("apps.v1.RollingUpdateDaemonSet", "maxUnavailable", Share),
    ("apps.v1.RollingUpdateDaemonSet", "maxSurge", Share),
    ("apps.v1.RollingUpdateStatefulSetStrategy", "partition", NOT_NEGATIVE),
    // ValidatePersistentVolumeClaimRetentionPolicyType
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", Words(&["Retain", "Delete"])),
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", Words(&["Retain", "Delete"])),
    // validateJobSpec, validateCronJobSpec
    ("batch.v1.JobSpec", "parallelism", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "completions", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "backoffLimit", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "backoffLimitPerIndex", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "activeDeadlineSeconds", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "ttlSecondsAfterFinished", NOT_NEGATIVE),
    ("batch.v1.CronJobSpec", "schedule", Form(Cron)),
    ("batch.v1.CronJobSpec", "startingDeadlineSeconds", NOT_NEGATIVE),
    ("batch.v1.CronJobSpec", "successfulJobsHistoryLimit", NOT_NEGATIVE),
    ("batch.v1.CronJobSpec", "failedJobsHistoryLimit", NOT_NEGATIVE),
    // ValidateIngressSpec, validateIngressBackend, validateServiceBackendPort
    ("networking.v1.IngressRule", "host", Form(Host)),
    ("networking.v1.IngressTLS", "hosts", Forms(Host)),
    ("networking.v1.HTTPIngressPath", "path", Form(AbsolutePath)),
    ("networking.v1.IngressServiceBackend", "name", Form(Label)),
    ("networking.v1.ServiceBackendPort", "name", Form(PortName)),
    ("networking.v1.ServiceBackendPort", "number", PORT),
    ("networking.v1.IngressSpec", "ingressClassName", Form(Subdomain)),
    // ValidateNetworkPolicyPort, ValidateIPBlock
    ("networking.v1.NetworkPolicyPort", "port", Port),
    ("networking.v1.IPBlock", "cidr", Form(Cidr)),
    ("networking.v1.IPBlock", "except", Forms(Cidr)),
    // validateHorizontalPodAutoscalerSpec, validateMetricSpec, validateScalingRules; 0 behind a gate.
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "minReplicas", NOT_NEGATIVE),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "maxReplicas", POSITIVE),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "targetCPUUtilizationPercentage", POSITIVE),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas", NOT_NEGATIVE),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "maxReplicas", POSITIVE),
    ("autoscaling.v2.MetricTarget", "type", Words(&["Utilization", "Value", "AverageValue"])),
    ("autoscaling.v2.MetricTarget", "averageUtilization", POSITIVE),
    ("autoscaling.v2.HPAScalingPolicy", "type", Words(&["Pods", "Percent"])),
    ("autoscaling.v2.HPAScalingPolicy", "value", POSITIVE),
    ("autoscaling.v2.HPAScalingPolicy", "periodSeconds", Range(1, 1800)),
    ("autoscaling.v2.HPAScalingRules", "stabilizationWindowSeconds", Range(0, 3600)),
    ("autoscaling.v2.HPAScalingRules", "selectPolicy", Words(&["Max", "Min", "Disabled"])),
    // ValidatePodDisruptionBudgetSpec
    ("policy.v1.PodDisruptionBudgetSpec", "minAvailable", Share),
    ("policy.v1.PodDisruptionBudgetSpec", "maxUnavailable", Share),
    // ValidatePriorityClass: those of the system have greater ones.
    ("scheduling.v1.PriorityClass", "value", Range(i64::MIN, 2_000_001_000)),
];

static BY_FIELD: LazyLock<HashMap<(&str, &str), Rule>> =
    LazyLock::new(|| RULES.iter().map(|(type_name, field, rule)| ((*type_name, *field), *rule)).collect());

/// What is wrong with the value of a field.
pub(super) fn check(field: (&str, &str), value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let Some(rule) = BY_FIELD.get(&field) else { return };
    match (rule, value) {
        (Form(format), Value::String(text)) => found.extend(form(*format, text, pointer)),
        (Forms(format), Value::Array(items)) => {
            let texts = items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_str()?)));
            found.extend(texts.filter_map(|(index, text)| form(*format, text, &step(pointer, index))));
        }
        (Keys(format), Value::Object(map)) => {
            found.extend(map.keys().filter_map(|key| key_form(*format, key, pointer)));
        }
        (Labels, Value::Object(map)) => {
            for (key, value) in map {
                labels(key, value.as_str().unwrap_or_default(), pointer, found);
            }
        }
        (Annotations, Value::Object(map)) => {
            // The prefix of an annotation may have upper-case letters.
            let wrong = map.keys().filter(|key| !is_label_key(&key.to_lowercase()));
            found.extend(wrong.map(|key| bad_key(key, "annotation key", pointer)));
        }
        (Range(least, most), Value::Number(number)) => {
            found.extend(number.as_i64().and_then(|one| range(one, *least, *most, pointer)));
        }
        (Port, _) => found.extend(port(value, pointer)),
        (Share, _) => found.extend(share(value, pointer)),
        (Words(words), Value::String(text)) if !text.is_empty() && !words.contains(&text.as_str()) => {
            found.push(not_one_of(pointer, text, words));
        }
        _ => {}
    }
}

fn form(format: Format, text: &str, pointer: &str) -> Option<Finding> {
    let malformed = format.check(text).err().filter(|_| !text.is_empty())?;
    Some(Finding::error(pointer, malformed.message).with_hint_if(malformed.hint.map(ToOwned::to_owned)))
}

fn key_form(format: Format, key: &str, pointer: &str) -> Option<Finding> {
    let malformed = format.check(key).err()?;
    let finding = Finding::error(step(pointer, key), malformed.message).at_key();
    Some(finding.with_hint_if(malformed.hint.map(ToOwned::to_owned)))
}

fn labels(key: &str, value: &str, pointer: &str, found: &mut Vec<Finding>) {
    if !is_label_key(key) {
        found.push(bad_key(key, "label key", pointer));
    }
    if !is_label_value(value) {
        found.extend(form(LabelValue, value, &step(pointer, key)));
    }
}

fn bad_key(key: &str, what: &str, pointer: &str) -> Finding {
    let hint = LabelKey.check(key).err().and_then(|malformed| malformed.hint);
    let finding = Finding::error(step(pointer, key), format!("`{key}` is not a valid {what}")).at_key();
    finding.with_hint_if(hint.map(ToOwned::to_owned))
}

fn range(number: i64, least: i64, most: i64, pointer: &str) -> Option<Finding> {
    if (least..=most).contains(&number) {
        return None;
    }
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let wanted = match most {
        i64::MAX => format!("{least} or more"),
        0o777 => "between 0 and 0777 (octal)".to_owned(),
        _ if least == i64::MIN => format!("at most {most}"),
        _ => format!("between {least} and {most}"),
    };
    Some(Finding::error(pointer, format!("`{name}` must be {wanted}, not {number}")))
}

/// A port by number or by name. Source: `ValidatePortNumOrName`.
fn port(value: &Value, pointer: &str) -> Option<Finding> {
    match value {
        Value::Number(number) => range(number.as_i64()?, 1, 65535, pointer),
        // A number in quotes is a name of digits, which is none.
        Value::String(text) if text.parse::<u16>().is_ok() => {
            let finding = Finding::error(pointer, format!("`{text}` in quotes is not a port number"));
            Some(finding.with_hint("remove the quotes"))
        }
        Value::String(text) => form(PortName, text, pointer),
        _ => None,
    }
}

/// Source: `ValidatePositiveIntOrPercent`.
fn share(value: &Value, pointer: &str) -> Option<Finding> {
    match value {
        Value::Number(number) => range(number.as_i64()?, 0, i64::MAX, pointer),
        Value::String(text) => form(Format::Share, text, pointer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::TABLE;

    /// A rule for a field that does not exist would never be asked.
    #[test]
    fn every_rule_is_for_a_field_of_the_table() {
        for (type_name, field, _) in RULES {
            let one = TABLE.types.get(type_name);
            let has = one.is_some_and(|one| one.fields.iter().any(|known| known.name == *field));
            assert!(has, "{type_name}.{field}");
        }
        assert_eq!(BY_FIELD.len(), RULES.len(), "two rules for one field");
    }
}
