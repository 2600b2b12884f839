//! Whether the status of a custom resource that a release changed is the one of before.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::model::{Cause, Verdict};
use crate::rollout::context::{Context, ReleaseContext};
use crate::rollout::evaluate::judge;
use crate::rollout::health::Health;
use crate::rollout::memory::Memory;
use crate::rollout::snapshot::ClusterSnapshot;

const APPLIED: &str = "2026-10-03T14:00:00Z";
const BEFORE: &str = "2026-10-03T13:00:00Z";

/// The object's judgement so many seconds after it was changed.
fn at(second: i64, object: &Value, beside: &[Value]) -> Health {
    let applied: Timestamp = APPLIED.parse().expect("a time");
    let release = ReleaseContext { applied_at: Some(applied), ..ReleaseContext::default() };
    let now = applied + SignedDuration::from_secs(second);
    let context = Context { now, release: Some(release), health: Arc::default() };
    let snapshot = ClusterSnapshot::new(std::iter::once(object.clone()).chain(beside.iter().cloned()));
    judge(object, &snapshot, &context, &mut Memory::default())
}

fn object(api_version: &str, kind: &str, created: &str, status: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "status": status,
        "metadata": {"name": "web", "namespace": "shop", "uid": "w", "generation": 2, "creationTimestamp": created}})
}

fn is_ready(since: &str, observed: Option<i64>) -> Value {
    let mut condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": since});
    if let Some(observed) = observed {
        condition["observedGeneration"] = json!(observed);
    }
    json!({"conditions": [condition]})
}

/// One kind of the catalogue, and one of which nothing is known.
const KINDS: [(&str, &str); 2] = [("cert-manager.io/v1", "Issuer"), ("example.com/v1", "App")];

#[test]
fn a_status_that_names_no_generation_is_believed_once_its_controller_had_time() {
    for (api_version, kind) in KINDS {
        let old = object(api_version, kind, BEFORE, &is_ready(BEFORE, None));
        let early = at(1, &old, &[]);
        assert_eq!(early.verdict, Verdict::Progressing, "{kind}");
        assert_eq!(early.again_at, "2026-10-03T14:00:03Z".parse().ok(), "{kind}");
        assert_eq!(at(3, &old, &[]).verdict, Verdict::Ready, "{kind}");
        let written = object(api_version, kind, BEFORE, &is_ready(APPLIED, None));
        assert_eq!(at(1, &written, &[]).verdict, Verdict::Ready, "{kind}: it was written after the change");
        let new = object(api_version, kind, APPLIED, &is_ready(APPLIED, None));
        assert_eq!(at(1, &new, &[]).verdict, Verdict::Ready, "{kind}: there was none before");
    }
}

#[test]
fn a_condition_of_an_older_generation_says_nothing_of_this_one() {
    for (api_version, kind) in KINDS {
        let of = |observed| object(api_version, kind, BEFORE, &is_ready(BEFORE, Some(observed)));
        let said = |seconds| {
            let old = at(seconds, &of(1), &[]);
            assert_eq!(old.verdict, Verdict::Progressing, "{kind}");
            old.message.unwrap_or_default()
        };
        assert_eq!(said(10), "waiting for the controller", "{kind}");
        let silent = "its controller has not observed the change for more than 30 s: does it run?";
        assert_eq!(said(60), silent, "{kind}");
        assert_eq!(at(0, &of(2), &[]).verdict, Verdict::Ready, "{kind}");
    }
}

#[test]
fn what_failed_before_the_change_is_no_failure_of_it() {
    let failed = |observed: i64| {
        let conditions = json!([
            {"type": "Ready", "status": "False", "reason": "DoesNotExist", "lastTransitionTime": BEFORE, "observedGeneration": 2},
            {"type": "Issuing", "status": "False", "reason": "Failed", "message": "refused", "observedGeneration": observed},
        ]);
        at(60, &object("cert-manager.io/v1", "Certificate", BEFORE, &json!({"conditions": conditions})), &[])
    };
    assert_eq!((failed(2).verdict, failed(2).cause), (Verdict::Failed, Some(Cause::ControllerFailed)));
    assert_eq!(failed(1).verdict, Verdict::Progressing);
}

#[test]
fn a_certificate_that_waits_says_what_its_newest_request_waits_for() {
    let waits =
        json!({"conditions": [{"type": "Ready", "status": "False", "message": "Issuing certificate"}]});
    let certificate = object("cert-manager.io/v1", "Certificate", APPLIED, &waits);
    let request = |name: &str, created: &str, message: &str| {
        json!({"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": created,
                "ownerReferences": [{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "name": "web", "uid": "w"}]},
            "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Pending", "message": message}]}})
    };
    let requests =
        [request("web-2", "2026-10-03T14:00:02Z", "no such issuer"), request("web-1", BEFORE, "refused")];
    let waiting = at(5, &certificate, &requests);
    assert_eq!(waiting.verdict, Verdict::Progressing);
    let said = waiting.message.expect("it says why");
    assert!(said.starts_with("CertificateRequest/web-2: ") && said.ends_with("no such issuer"), "{said}");
}

#[test]
fn what_its_controller_calls_ready_has_to_stay_up_after_a_death() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 2}]});
    let rollout = object("example.com/v1", "App", BEFORE, &ready);
    let pod = |created: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "p", "creationTimestamp": created,
                "ownerReferences": [{"apiVersion": "example.com/v1", "kind": "App", "name": "web", "uid": "w"}]},
            "spec": {"restartPolicy": "Always", "nodeName": "node-1",
                "containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "web", "ready": true, "restartCount": 1,
                    "state": {"running": {"startedAt": "2026-10-03T14:00:04Z"}},
                    "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "containerID": "containerd://1",
                        "startedAt": "2026-10-03T14:00:02Z", "finishedAt": "2026-10-03T14:00:03Z"}}}]}})
    };
    let new = at(6, &rollout, &[pod("2026-10-03T14:00:01Z")]);
    assert_eq!((new.verdict, new.cause), (Verdict::Progressing, Some(Cause::ExitCode)));
    assert_eq!(at(60, &rollout, &[pod("2026-10-03T14:00:01Z")]).verdict, Verdict::Ready);
    assert_eq!(at(6, &rollout, &[pod(BEFORE)]).verdict, Verdict::Ready, "it died before, too");
}
