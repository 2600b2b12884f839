//! What would help, cause by cause: the next thing to look at or to change.

use crate::model::Cause;

/// What would help against this cause.
pub(super) fn of(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::ImageNotFound => {
            "check the image's name and tag; `windlass build` pushes the project's own images"
        }
        Cause::ImagePullDenied => {
            "give the pods credentials: `secrets: {registry: {pull: …}}` in windlass.yaml, or an imagePullSecret"
        }
        Cause::ImagePullFailed => "check that the nodes of the cluster can reach the registry",
        Cause::InvalidImageName => "correct the image's name in the manifest",
        Cause::CrashLoop => "the program ends by itself: it should keep running, or be a Job",
        Cause::OutOfMemory => "raise resources.limits.memory, or let the program use less",
        Cause::CannotRun => "check command, args, workingDir and mounts against what the image holds",
        Cause::ConfigMissing => {
            "add it to the manifests or to `secrets`, or name it under `external` if others make it"
        }
        Cause::StartupProbe | Cause::LivenessProbe => {
            "check the probe's path and port, and give the program more time (failureThreshold, periodSeconds)"
        }
        Cause::ReadinessProbe => "check the probe's path and port, and the log for why it is not ready",
        Cause::Unschedulable => "lower the requests, correct nodeSelector and tolerations, or add nodes",
        Cause::QuotaExceeded => "ask for a larger quota, or lower the requests: kubectl describe quota",
        Cause::VolumeUnbound => "check the claim's storage class and size: kubectl get storageclass",
        Cause::Forbidden => "check that the service account exists and may do this",
        Cause::NoEndpoints => {
            "correct the selector, the labels or the backend; if others create the pods or the Service, set windlass.dev/endpoints: optional"
        }
        Cause::LoadBalancerPending => "check that the cluster gives out load balancer addresses",
        Cause::BeingDeleted => "wait until it is gone, then release again",
        _ => return None,
    })
}
