//! Workloads, Jobs, autoscalers, disruption budgets.

use super::Rule::{
    Both, Exact, ExactWords, Form, Longest, Most, NotEmpty, NotNegative, Positive, Range, Share, ShareOfAll,
    Since, Words,
};
use super::{NOT_NEGATIVE, POSITIVE, Table};
use crate::schema::format::Format::{ApiVersion, Cron, DomainPath, Label, PathSegment, Qualified};

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
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
    ("apps.v1.StatefulSetSpec", "serviceName", Since(34, &Form(Label))),
    ("apps.v1.StatefulSetOrdinals", "start", NOT_NEGATIVE),
    ("apps.v1.DaemonSetSpec", "minReadySeconds", NOT_NEGATIVE),
    ("apps.v1.DaemonSetSpec", "revisionHistoryLimit", NOT_NEGATIVE),
    ("apps.v1.RollingUpdateDeployment", "maxUnavailable", Share),
    ("apps.v1.RollingUpdateDeployment", "maxSurge", Share),
    ("apps.v1.RollingUpdateDaemonSet", "maxUnavailable", ShareOfAll),
    ("apps.v1.RollingUpdateDaemonSet", "maxSurge", ShareOfAll),
    ("apps.v1.RollingUpdateStatefulSetStrategy", "partition", NOT_NEGATIVE),
    // The field is behind a gate until 1.35.
    ("apps.v1.RollingUpdateStatefulSetStrategy", "maxUnavailable", Since(35, &ShareOfAll)),
    ("apps.v1.ControllerRevision", "revision", NOT_NEGATIVE),
    // ValidatePersistentVolumeClaimRetentionPolicyType
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", Words(&["Retain", "Delete"])),
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", Words(&["Retain", "Delete"])),
    // validateJobSpec, validateCronJobSpec
    ("batch.v1.JobSpec", "parallelism", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "completions", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "backoffLimit", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "backoffLimitPerIndex", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "maxFailedIndexes", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "activeDeadlineSeconds", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "ttlSecondsAfterFinished", NOT_NEGATIVE),
    ("batch.v1.JobSpec", "completionMode", ExactWords(&["Indexed", "NonIndexed"])),
    ("batch.v1.JobSpec", "managedBy", Both(&Exact(DomainPath), &Longest(63))),
    ("batch.v1.PodFailurePolicy", "rules", Most(20)),
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", "type", Form(Qualified)),
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", "status", Words(&["False", "True", "Unknown"])),
    ("batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", Most(255)),
    ("batch.v1.SuccessPolicy", "rules", Most(20)),
    ("batch.v1.SuccessPolicyRule", "succeededCount", NOT_NEGATIVE),
    ("batch.v1.CronJobSpec", "schedule", Form(Cron)),
    ("batch.v1.CronJobSpec", "startingDeadlineSeconds", NOT_NEGATIVE),
    ("batch.v1.CronJobSpec", "successfulJobsHistoryLimit", NOT_NEGATIVE),
    ("batch.v1.CronJobSpec", "failedJobsHistoryLimit", NOT_NEGATIVE),
    // validateHorizontalPodAutoscalerSpec, validateMetricSpec, validateScalingRules; 0 behind a gate.
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "minReplicas", NOT_NEGATIVE),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "maxReplicas", POSITIVE),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "targetCPUUtilizationPercentage", POSITIVE),
    ("autoscaling.v1.CrossVersionObjectReference", "kind", Form(PathSegment)),
    ("autoscaling.v1.CrossVersionObjectReference", "name", Form(PathSegment)),
    ("autoscaling.v1.CrossVersionObjectReference", "apiVersion", Since(33, &Form(ApiVersion))),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas", NOT_NEGATIVE),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "maxReplicas", POSITIVE),
    ("autoscaling.v2.CrossVersionObjectReference", "kind", Form(PathSegment)),
    ("autoscaling.v2.CrossVersionObjectReference", "name", Form(PathSegment)),
    ("autoscaling.v2.CrossVersionObjectReference", "apiVersion", Since(33, &Form(ApiVersion))),
    ("autoscaling.v2.MetricTarget", "type", Words(&["Utilization", "Value", "AverageValue"])),
    ("autoscaling.v2.MetricTarget", "averageUtilization", POSITIVE),
    ("autoscaling.v2.MetricTarget", "averageValue", Positive),
    ("autoscaling.v2.MetricTarget", "value", Positive),
    ("autoscaling.v2.MetricIdentifier", "name", Form(PathSegment)),
    ("autoscaling.v2.ContainerResourceMetricSource", "container", Form(Label)),
    ("autoscaling.v2.HPAScalingPolicy", "type", Words(&["Pods", "Percent"])),
    ("autoscaling.v2.HPAScalingPolicy", "value", POSITIVE),
    ("autoscaling.v2.HPAScalingPolicy", "periodSeconds", Range(1, 1800)),
    ("autoscaling.v2.HPAScalingRules", "stabilizationWindowSeconds", Range(0, 3600)),
    ("autoscaling.v2.HPAScalingRules", "selectPolicy", ExactWords(&["Max", "Min", "Disabled"])),
    ("autoscaling.v2.HPAScalingRules", "tolerance", NotNegative),
    // ValidatePodDisruptionBudgetSpec
    ("policy.v1.PodDisruptionBudgetSpec", "minAvailable", ShareOfAll),
    ("policy.v1.PodDisruptionBudgetSpec", "maxUnavailable", ShareOfAll),
    ("policy.v1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy", NotEmpty),
    // ValidatePriorityClass: those of the system have greater ones.
    ("scheduling.v1.PriorityClass", "value", Range(i64::MIN, 2_000_001_000)),
];
