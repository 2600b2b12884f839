//! Hints: the next thing to check or to change. They depend on the message, because one cause can have many reasons;
//! where the message does not tell which, there is no hint.

use crate::model::Cause;

/// The hint for this cause and this message.
pub(super) fn of(cause: Cause, sentence: &str) -> Option<&'static str> {
    let of_sentence = by_sentence(cause).iter().find(|(sign, _)| sentence.contains(sign));
    of_sentence.map(|(_, hint)| *hint).or_else(|| always(cause))
}

/// The hint for any message.
fn always(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::ImagePullDenied => {
            "give the pods credentials: `secrets: {registry: {pull: {user: {env: CI_DEPLOY_USER}, password: {env: CI_DEPLOY_PASSWORD}}}}` in windlass.yaml, or an imagePullSecret"
        }
        Cause::InvalidImageName => "correct the image's name in the manifest",
        Cause::OutOfMemory => "raise resources.limits.memory, or make the program use less",
        Cause::StartupProbe | Cause::LivenessProbe => {
            "check the probe's path and port, and give the program more time (failureThreshold, periodSeconds)"
        }
        Cause::ReadinessProbe => "check the probe's path and port, and the log for why it is not ready",
        Cause::NoEndpoints => {
            "correct the selector, the labels or the backend; if others create the pods or the Service, set windlass.dev/endpoints: optional"
        }
        Cause::LoadBalancerPending => {
            "check that the cluster gives out load balancer addresses; if it does not, set windlass.dev/wait: none"
        }
        Cause::BeingDeleted => "wait until it is deleted, then release again",
        _ => return None,
    })
}

/// Hints for messages that contain this text; the first match counts.
fn by_sentence(cause: Cause) -> &'static [(&'static str, &'static str)] {
    match cause {
        Cause::ImageNotFound => &[
            ("platform of the node", "build the image for the platform of the nodes"),
            ("imagePullPolicy Never", "load the image onto the nodes, or remove imagePullPolicy: Never"),
            ("", "check the image's name and tag; `windlass build` pushes the project's own images"),
        ],
        Cause::ImagePullFailed => &[
            ("x509", "let the nodes trust the registry's certificate"),
            ("oo many requests", "the registry limits pulls: wait, or pull with credentials"),
            ("toomanyrequests", "the registry limits pulls: wait, or pull with credentials"),
            ("", "check that the nodes of the cluster can reach the registry"),
        ],
        Cause::CrashLoop => {
            &[("exited with code 0", "keep the program in the foreground, or make it a Job if it has an end")]
        }
        Cause::CannotRun => CANNOT_RUN,
        Cause::StartupProbe | Cause::LivenessProbe | Cause::ReadinessProbe => PROBE,
        Cause::ConfigMissing => &[
            ("runAsNonRoot", "set runAsUser to a number other than 0, or a numeric USER in the Dockerfile"),
            ("does not exist", CONFIGURATION),
            ("has no key", CONFIGURATION),
        ],
        Cause::ExitCode | Cause::InitFailed => &[
            (
                "command not found",
                "check that the image has the program, and that PATH includes its directory",
            ),
            ("cannot be executed", "make the program executable in the image"),
        ],
        Cause::Unschedulable => UNSCHEDULABLE,
        Cause::QuotaExceeded => {
            &[("exceeded quota", "ask for a larger quota, or lower the requests: kubectl describe quota")]
        }
        Cause::VolumeUnbound => VOLUME_UNBOUND,
        Cause::Forbidden => {
            &[("service account", "add the ServiceAccount to the manifests, or correct serviceAccountName")]
        }
        Cause::AdmissionDenied => ADMISSION_DENIED,
        Cause::Evicted => &[
            ("EmptyDir", "raise sizeLimit of the volume, or write less into it"),
            (
                "ephemeral",
                "raise resources.limits.ephemeral-storage, or write less to the container's own files",
            ),
        ],
        Cause::DeadlineExceeded => &[(
            "progressDeadlineSeconds",
            "raise spec.progressDeadlineSeconds if the pods only need more time",
        )],
        Cause::JobFailed => {
            &[("DeadlineExceeded", "raise spec.activeDeadlineSeconds if the Job only needs more time")]
        }
        _ => &[],
    }
}

const CONFIGURATION: &str =
    "add it to the manifests or to `secrets`, or name it under `external` if it is created elsewhere";

const PROBE: &[(&str, &str)] = &[
    ("is not in the image", "add the program to the image, or ask in another way (httpGet, tcpSocket)"),
    ("no port named", "give the port that name under `ports`, or ask for it by its number"),
    ("no container declares port", "compare the probe's port with the one that the program listens on"),
];

const CANNOT_RUN: &[(&str, &str)] = &[
    ("postStart hook", "correct the hook: what it calls must be in the image, and end with 0"),
    (
        "exec format error",
        "build the image for the architecture of the nodes, or begin the script with `#!/bin/sh`",
    ),
    (
        "interpreter or loader",
        "save the script with Unix line ends (LF), or add its interpreter or libraries to the image",
    ),
    ("argument list too long", "set enableServiceLinks: false, or pass less in arguments and environment"),
    ("permission denied", "make the file executable in the image (chmod +x), or run it as its owner"),
    ("sysctl", "ask an administrator to allow the sysctl on the nodes, or remove it"),
    ("", "check command, args, workingDir and mounts against what the image holds"),
];

const UNSCHEDULABLE: &[(&str, &str)] = &[
    ("no scheduler", "correct schedulerName, or install that scheduler"),
    ("Insufficient", "lower the requests, or add nodes"),
    ("Too many pods", "add nodes"),
    ("untolerated taint", "add a toleration, or remove the taint from a node"),
    ("anti-affinity", "run fewer replicas, loosen podAntiAffinity, or add nodes"),
    ("topology spread", "loosen topologySpreadConstraints, or add nodes"),
    ("affinity/selector", "correct nodeSelector or nodeAffinity, or label a node"),
    ("free ports", "the hostPort is in use on every node: remove it, or add nodes"),
    ("didn't have free", "the hostPort is in use on every node: remove it, or add nodes"),
];

const VOLUME_UNBOUND: &[(&str, &str)] = &[
    ("StorageClass", "correct storageClassName, or create the class: kubectl get storageclass"),
    ("does not exist", "add the claim to the manifests, or correct claimName"),
    ("AccessMode", "ask for an access mode that the class's provisioner supports"),
    ("access mode", "ask for an access mode that the class's provisioner supports"),
    ("no storage class is set", "name a storageClassName, or create a PersistentVolume that fits"),
    ("no persistent volumes available", "name a storageClassName, or create a PersistentVolume that fits"),
];

const ADMISSION_DENIED: &[(&str, &str)] = &[
    (
        "violates PodSecurity",
        "set the fields that it names, or ask for another label pod-security.kubernetes.io/enforce of the namespace",
    ),
    ("must specify", "set resources for each container: the namespace has a quota that counts them"),
    (" per Container", "keep to the LimitRange of the namespace: kubectl describe limitrange"),
    (" per Pod", "keep to the LimitRange of the namespace: kubectl describe limitrange"),
    ("PriorityClass", "correct priorityClassName, or create the class: kubectl get priorityclass"),
    ("RuntimeClass", "correct runtimeClassName, or create the class: kubectl get runtimeclass"),
    ("failed calling webhook", "a webhook of the cluster does not respond: check its Service and pods"),
    ("ysctl", "ask an administrator to allow the sysctl on the nodes, or remove it"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_pull_secret_can_be_typed() {
        let hint = of(Cause::ImagePullDenied, "the registry refuses it").unwrap();
        let line = format!("`secrets: {{{}}}`", crate::model::PULL_SECRET);
        assert!(hint.contains(&line), "{hint}");
    }

    #[test]
    fn a_hint_follows_from_the_sentence() {
        let limit =
            "its pods cannot be created: maximum memory usage per Container is 64Mi, but limit is 128Mi";
        assert!(of(Cause::AdmissionDenied, limit).is_some_and(|hint| hint.contains("LimitRange")));
        let account = r#"its pods cannot be created: error looking up service account shop/robot: serviceaccount "robot" not found"#;
        assert!(of(Cause::Forbidden, account).is_some_and(|hint| hint.contains("serviceAccountName")));
        assert_eq!(of(Cause::Forbidden, "its pods cannot be created: nobody knows why"), None);
        let root =
            "container web cannot be configured: container has runAsNonRoot and image will run as root";
        assert!(of(Cause::ConfigMissing, root).is_some_and(|hint| hint.contains("runAsUser")));
        assert_eq!(of(Cause::ConfigMissing, "container web cannot be configured: odd"), None);
        let class = "StorageClass fast does not exist";
        assert!(of(Cause::VolumeUnbound, class).is_some_and(|hint| hint.contains("storageClassName")));
        let taint = "no node takes the pod: 0/1 nodes are available: 1 node(s) had untolerated taint {a: b}.";
        assert_eq!(
            of(Cause::Unschedulable, taint),
            Some("add a toleration, or remove the taint from a node")
        );
        assert!(
            of(Cause::CannotRun, "container web cannot start")
                .is_some_and(|hint| hint.contains("workingDir"))
        );
    }
}
