//! What only a release knows: when it applied what, what was seen before, and who else is on its way.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::model::{Cause, Verdict};
use crate::rollout::context::{Context, OwnLimits, ReleaseContext};
use crate::rollout::dump;
use crate::rollout::evaluate::{judge, judge_gone};
use crate::rollout::health::Health;
use crate::rollout::memory::{FirstLog, Memory};
use crate::rollout::snapshot::ClusterSnapshot;

const APPLIED: &str = "2026-10-03T14:00:00.700Z";

/// A release of one Deployment with one pod, as a watch sees it.
struct Release {
    snapshot: ClusterSnapshot,
    memory: Memory,
    context: ReleaseContext,
}

impl Release {
    fn new() -> Self {
        let applied_at = Some(APPLIED.parse().expect("a time"));
        let context = ReleaseContext {
            applied_at,
            uid: Some("d".into()),
            generation: Some(2),
            ..ReleaseContext::default()
        };
        let mut release = Self { snapshot: ClusterSnapshot::default(), memory: Memory::default(), context };
        release.see(&deployment("replicas: 1, updatedReplicas: 1, unavailableReplicas: 1"));
        release.see(SET);
        release
    }

    fn see(&mut self, yaml: &str) {
        for one in dump::read(yaml, "test").expect("an object") {
            self.snapshot.upsert(one.object);
        }
    }

    /// The Deployment's judgement so many seconds after the apply.
    fn at(&mut self, second: i64) -> Health {
        let applied: Timestamp = APPLIED.parse().expect("a time");
        let now = applied + SignedDuration::from_secs(second);
        let context = Context { now, release: Some(self.context.clone()), health: Arc::default() };
        let object = self.snapshot.get("apps", "Deployment", "shop", "web").expect("it was seen").clone();
        judge(&object, &self.snapshot, &context, &mut self.memory)
    }

    fn says(&mut self, second: i64) -> (Verdict, Option<Cause>) {
        let judgement = self.at(second);
        (judgement.verdict, judgement.cause)
    }
}

fn deployment(status: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: shop, uid: d, generation: 2,
           creationTimestamp: '2026-10-03T13:00:00Z', annotations: {{deployment.kubernetes.io/revision: '2'}}}},
          spec: {{replicas: 1, progressDeadlineSeconds: 600, selector: {{matchLabels: {{app: web}}}}}},
          status: {{observedGeneration: 2, {status}}}}}"
    )
}

const SET: &str = "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: shop, uid: r,
    labels: {pod-template-hash: '1'}, annotations: {deployment.kubernetes.io/revision: '2'},
    creationTimestamp: '2026-10-03T14:00:01Z',
    ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d}]}, spec: {replicas: 1}}";

fn pod(created: &str, container: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web-1-a, namespace: shop, uid: p, creationTimestamp: '{created}',
           ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r}}]}},
          spec: {{restartPolicy: Always, nodeName: node-1, containers: [{{name: web, image: 'registry.example.com/web:1'}}]}},
          status: {{phase: Running, containerStatuses: [{{name: web, {container}}}]}}}}"
    )
}

const NEW: &str = "2026-10-03T14:00:00Z";
const OLD: &str = "2026-10-03T13:00:00Z";

fn died(number: i64, exit_code: i64) -> String {
    format!(
        "restartCount: {}, state: {{terminated: {{exitCode: {exit_code}, reason: Error, containerID: 'containerd://{number}'}}}}",
        number - 1
    )
}

#[test]
fn the_third_death_fails_and_two_do_not() {
    let mut release = Release::new();
    for number in 1..=3 {
        release.see(&pod(NEW, &died(number, 1)));
        let verdict = if number > 2 { Verdict::Failed } else { Verdict::Progressing };
        assert_eq!(release.says(number), (verdict, Some(Cause::ExitCode)), "death {number}");
    }
}

#[test]
fn deaths_from_before_the_release_do_not_count() {
    let mut release = Release::new();
    release.see(&pod(OLD, &died(40, 1)));
    assert_eq!(release.says(1).0, Verdict::Progressing);
    release.see(&pod(OLD, &died(42, 1)));
    assert_eq!(release.says(3).0, Verdict::Progressing, "two died: 41, which nobody saw, and 42");
    release.see(&pod(OLD, &died(43, 1)));
    assert_eq!(release.says(4), (Verdict::Failed, Some(Cause::ExitCode)));
}

#[test]
fn what_should_keep_running_and_exits_0_has_died() {
    let mut release = Release::new();
    for number in 1..=3 {
        release.see(&pod(NEW, &died(number, 0)));
        let verdict = if number > 2 { Verdict::Failed } else { Verdict::Progressing };
        assert_eq!(release.says(number), (verdict, Some(Cause::CrashLoop)), "death {number}");
    }
    let said = release.at(4).message;
    assert_eq!(
        said.as_deref(),
        Some("container web should keep running, but exited with code 0 three times")
    );
}

#[test]
fn the_fifth_death_fails_whatever_is_on_its_way() {
    let mut release = Release::new();
    release.context.others_on_their_way = true;
    for number in 3..=5 {
        release.see(&pod(NEW, &died(number, 1)));
        let verdict = if number > 4 { Verdict::Failed } else { Verdict::Progressing };
        assert_eq!(release.says(20 * number), (verdict, Some(Cause::ExitCode)), "death {number}");
    }
}

/// The pod of the release with another container beside the one that dies.
fn pod_with_proxy(container: &str, proxy: &str) -> String {
    pod(NEW, container)
        .replace(
            "'registry.example.com/web:1'}",
            "'registry.example.com/web:1'}, {name: proxy, image: proxy}",
        )
        .replace("}]}}", &format!("}}, {{name: proxy, {proxy}}}]}}}}"))
}

#[test]
fn a_slower_container_of_the_pod_may_be_what_it_crashes_for() {
    let mut release = Release::new();
    let starts = "ready: false, restartCount: 0, state: {running: {startedAt: '2026-10-03T14:00:05Z'}}";
    release.see(&pod_with_proxy(&died(3, 1), starts));
    assert_eq!(release.says(20), (Verdict::Progressing, Some(Cause::ExitCode)));
    // It is ready: the next death counts, and this one does not any more.
    let ready = starts.replace("ready: false", "ready: true");
    release.see(&pod_with_proxy(&died(3, 1), &ready));
    assert_eq!(release.says(22), (Verdict::Progressing, Some(Cause::ExitCode)));
    release.see(&pod_with_proxy(&died(4, 1), &ready));
    assert_eq!(release.says(40), (Verdict::Failed, Some(Cause::ExitCode)));
    // One that has not come within 30 s is no excuse.
    let mut release = Release::new();
    release.see(&pod_with_proxy(&died(3, 1), starts));
    assert_eq!(release.says(36), (Verdict::Failed, Some(Cause::ExitCode)));
}

#[test]
fn after_a_death_it_must_recover_also_where_nothing_else_is_to_be_proven() {
    let ready = "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]";
    let again = "restartCount: 1, ready: true, state: {running: {startedAt: '2026-10-03T14:00:05Z'}},
        lastState: {terminated: {exitCode: 1, startedAt: '2026-10-03T14:00:01Z', finishedAt: '2026-10-03T14:00:04Z', containerID: 'c://1'}}";
    for (object, pod) in [
        (
            deployment(ready).replace("replicas: 1, progress", "minReadySeconds: 1, replicas: 1, progress"),
            pod(NEW, again),
        ),
        (
            deployment(ready).replace("annotations: {", "annotations: {windlass.dev/stable-for: 0s, "),
            pod(NEW, again),
        ),
    ] {
        let mut release = Release::new();
        release.see(&object);
        release.see(&pod);
        assert_eq!(release.says(13), (Verdict::Progressing, Some(Cause::ExitCode)), "{object} {pod}");
        assert_eq!(release.says(18).0, Verdict::Ready, "{object} {pod}");
    }
}

#[test]
fn what_the_runtime_wrote_in_place_of_the_program_fails_at_the_second_death() {
    let mut release = Release::new();
    release.see(&pod(NEW, &died(1, 1)));
    assert!(release.at(1).asks.is_some_and(|question| question.is_first));
    release.see(&pod(NEW, &died(2, 1)));
    let question = release.at(2).asks.expect("its log would tell");
    assert_eq!((question.instance, &*question.source.container), (2, "web"));
    release.memory.read_log(question.key.clone(), 2, "listening\nno such table".into());
    assert_eq!(release.says(3), (Verdict::Progressing, Some(Cause::ExitCode)));
    assert_eq!(release.at(3).asks, None, "it was read");
    release.memory.read_log(question.key, 2, "exec /app: exec format error".into());
    let judgement = release.at(4);
    assert_eq!((judgement.verdict, judgement.cause), (Verdict::Failed, Some(Cause::CannotRun)));
    let said = judgement.message.unwrap_or_default();
    assert!(said.starts_with("container web cannot start: /app: exec format error"), "{said}");
}

#[test]
fn the_log_of_the_first_death_is_kept_for_the_verdict() {
    let mut release = Release::new();
    release.see(&pod(NEW, &died(1, 1)));
    let question = release.at(1).asks.expect("it is soon gone");
    assert_eq!((question.instance, question.is_first), (1, true));
    let (pod_name, container) = (question.source.pod, question.source.container);
    let first = FirstLog { pod: pod_name, container, lines: vec!["no space left".into()] };
    release.memory.keep_first_log(first);
    assert_eq!(release.at(2).asks, None, "it was read");
    release.see(&pod(NEW, &died(3, 1)));
    let judgement = release.at(3);
    assert_eq!(judgement.verdict, Verdict::Failed);
    assert_eq!(judgement.first_log.expect("it was kept").lines, ["no space left"]);

    let mut late = Release::new();
    late.see(&pod(NEW, &died(2, 1).replace("Error, ", "Error, message: over, ")));
    assert_eq!(late.at(2).asks, None, "nobody saw the first");
}

#[test]
fn a_file_that_a_volume_may_bring_is_waited_for() {
    let mut release = Release::new();
    let mounts = "containers: [{name: web, image: 'registry.example.com/web:1', volumeMounts: [{name: bin, mountPath: /opt}]}]";
    let object = deployment("replicas: 1").replace(
        "selector: {matchLabels: {app: web}}",
        &format!("selector: {{matchLabels: {{app: web}}}}, template: {{spec: {{{mounts}}}}}"),
    );
    release.see(&object);
    release.see(&pod(NEW, &died(2, 1)));
    let question = release.at(2).asks.expect("its log would tell");
    release.memory.read_log(question.key.clone(), 2, "exec /opt/app: no such file or directory".into());
    assert_eq!(release.says(3), (Verdict::Progressing, Some(Cause::ExitCode)));
    release.memory.read_log(question.key, 2, "exec /app: no such file or directory".into());
    assert_eq!(release.says(4), (Verdict::Failed, Some(Cause::CannotRun)));
}

#[test]
fn a_hook_that_fails_is_told_from_a_program_that_dies() {
    let mut release = Release::new();
    let died = "restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137,
        startedAt: '2026-10-03T14:00:20Z', finishedAt: '2026-10-03T14:00:21Z', containerID: 'c://3'}}";
    let hook =
        "image: 'registry.example.com/web:1', lifecycle: {postStart: {exec: {command: [warm-up, --all]}}}";
    release.see(&pod(NEW, died).replace("image: 'registry.example.com/web:1'", hook));
    assert_eq!(release.says(21), (Verdict::Failed, Some(Cause::ExitCode)));
    release.see(
        "{apiVersion: v1, kind: Event, metadata: {name: e, namespace: shop}, reason: FailedPostStartHook, type: Warning,
          message: PostStartHook failed, lastTimestamp: '2026-10-03T14:00:20Z',
          involvedObject: {kind: Pod, name: web-1-a, namespace: shop, uid: p, fieldPath: 'spec.containers{web}'}}",
    );
    let judgement = release.at(22);
    assert_eq!((judgement.verdict, judgement.cause), (Verdict::Failed, Some(Cause::CannotRun)));
    assert_eq!(
        judgement.message.as_deref(),
        Some(
            "the postStart hook of container web (command `warm-up --all`) failed; container web was killed by the kubelet \
             three times"
        )
    );
}

#[test]
fn while_others_are_on_their_way_strikes_are_only_shown() {
    let mut release = Release::new();
    release.context.others_on_their_way = true;
    release.see(&pod(NEW, &died(3, 1)));
    let judgement = release.at(20);
    assert_eq!((judgement.verdict, judgement.cause), (Verdict::Progressing, Some(Cause::ExitCode)));
    assert!(judgement.crashed_too_often);
    assert_eq!(judgement.log_source.expect("its log is evidence").container, "web");
    release.context.others_on_their_way = false;
    assert_eq!(release.says(21).0, Verdict::Failed);
}

#[test]
fn a_pull_is_believed_once_the_kubelet_has_waited() {
    let mut release = Release::new();
    let waiting = |reason: &str, message: &str| {
        pod(NEW, &format!("restartCount: 0, state: {{waiting: {{reason: {reason}, message: '{message}'}}}}"))
    };
    release.see(&waiting("ErrImagePull", "registry.example.com/web:1: not found"));
    assert_eq!(release.says(2), (Verdict::Progressing, Some(Cause::ImageNotFound)));
    // The kubelet's own word that it waits comes in the second of the first failure.
    release.see(
        "{apiVersion: v1, kind: Event, metadata: {name: e, namespace: shop}, reason: BackOff, type: Normal,
          message: 'Back-off pulling image \"registry.example.com/web:1\"', lastTimestamp: '2026-10-03T14:00:03Z',
          involvedObject: {kind: Pod, name: web-1-a, namespace: shop, uid: p, fieldPath: 'spec.containers{web}'}}",
    );
    assert_eq!(release.says(3), (Verdict::Progressing, Some(Cause::ImageNotFound)));
    // Older kubelets do not say in the second state why they wait.
    release.see(&waiting("ImagePullBackOff", "Back-off pulling image \"registry.example.com/web:1\""));
    assert_eq!(release.says(14), (Verdict::Failed, Some(Cause::ImageNotFound)));
}

#[test]
fn missing_configuration_has_ten_seconds_and_longer_when_others_make_it() {
    let mut release = Release::new();
    release.see(&pod(
        NEW,
        "restartCount: 0, state: {waiting: {reason: CreateContainerConfigError, message: 'secret \"db\" not found'}}",
    ));
    let first = release.at(3);
    assert_eq!((first.verdict, first.cause), (Verdict::Progressing, Some(Cause::ConfigMissing)));
    assert_eq!(first.again_at, Some("2026-10-03T14:00:13.7Z".parse().expect("a time")));
    assert_eq!(release.says(12).0, Verdict::Progressing);
    assert_eq!(release.says(13).0, Verdict::Failed);
    release.context.made_elsewhere = Arc::new(vec![("Secret".into(), "db".into())]);
    assert_eq!(release.says(60), (Verdict::Progressing, Some(Cause::ConfigMissing)));
}

#[test]
fn what_was_written_before_the_apply_is_of_another_rollout() {
    let overdue = |at: &str| {
        deployment(&format!(
            "replicas: 1, updatedReplicas: 1, conditions: [{{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded,
              message: 'ReplicaSet \"web-1\" has timed out progressing.', lastUpdateTime: '{at}', lastTransitionTime: '{at}'}}]"
        ))
    };
    let mut release = Release::new();
    release.context.limits.sets_progress_deadline = true;
    release.see(&overdue("2026-10-03T13:59:59Z"));
    assert_eq!(release.says(60).0, Verdict::Progressing);
    release.see(&overdue("2026-10-03T14:00:01Z"));
    assert_eq!(release.says(61), (Verdict::Failed, Some(Cause::DeadlineExceeded)));
    release.context.limits.sets_progress_deadline = false;
    assert_eq!(release.says(62).0, Verdict::Progressing, "the server's own 600 s are nobody's wish");
}

#[test]
fn a_refusal_lasts_since_the_apply_at_the_earliest() {
    let mut release = Release::new();
    release.see(&SET.replace(
        "spec: {replicas: 1}",
        "spec: {replicas: 1}, status: {conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate,
          lastTransitionTime: '2026-10-03T13:00:00Z', message: 'pods \"web-1-\" is forbidden: exceeded quota: compute'}]}",
    ));
    assert_eq!(release.says(29), (Verdict::Progressing, Some(Cause::QuotaExceeded)));
    assert_eq!(release.says(30), (Verdict::Failed, Some(Cause::QuotaExceeded)));
}

#[test]
fn a_quota_is_full_only_while_nothing_gives_its_share_back() {
    let mut release = Release::new();
    release.see(&SET.replace(
        "spec: {replicas: 1}",
        "spec: {replicas: 1}, status: {conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate,
          lastTransitionTime: '2026-10-03T14:00:01Z', message: 'pods \"web-1-\" is forbidden: exceeded quota: compute'}]}",
    ));
    let old = "{apiVersion: v1, kind: Pod, metadata: {name: web-0-a, namespace: shop, uid: o, creationTimestamp: '2026-10-03T13:00:00Z',
        deletionTimestamp: '2026-10-03T14:01:00Z'}, spec: {containers: [{name: web}]}}";
    release.see(old);
    let judgement = release.at(50);
    assert_eq!((judgement.verdict, judgement.cause), (Verdict::Progressing, Some(Cause::QuotaExceeded)));
    let said = judgement.message.unwrap_or_default();
    assert!(said.ends_with("; pod web-0-a is terminating and frees its share"), "{said}");
    // It has ended; the controller tries again.
    release.snapshot.remove(&pod_id("web-0-a"));
    assert_eq!(release.says(109).0, Verdict::Progressing);
    assert_eq!(release.says(110), (Verdict::Failed, Some(Cause::QuotaExceeded)));
}

#[test]
fn a_rule_of_the_cluster_refuses_for_10_s_at_most() {
    let mut release = Release::new();
    release.see(&SET.replace(
        "spec: {replicas: 1}",
        "spec: {replicas: 1}, status: {conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate,
          lastTransitionTime: '2026-10-03T14:00:01Z', message: 'pods \"web-1-\" is forbidden: violates PodSecurity \"restricted:latest\": privileged'}]}",
    ));
    assert_eq!(release.says(10), (Verdict::Progressing, Some(Cause::AdmissionDenied)));
    assert_eq!(release.says(11), (Verdict::Failed, Some(Cause::AdmissionDenied)));
}

#[test]
fn another_object_of_the_same_name_is_not_what_was_applied() {
    let mut release = Release::new();
    release.context.uid = Some("another".into());
    assert_eq!(release.says(1), (Verdict::Progressing, None));
    release.context.uid = None;
    release.context.generation = Some(3);
    assert_eq!(release.says(1), (Verdict::Progressing, None));
}

#[test]
fn what_runs_must_have_run_for_a_while_also_where_no_pod_can_be_seen() {
    let mut release = Release::new();
    release.see(&deployment(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]",
    ));
    assert_eq!(release.says(2).0, Verdict::Progressing);
    assert_eq!(release.says(6).0, Verdict::Progressing);
    assert_eq!(release.says(7).0, Verdict::Ready);
    release.see(&pod(
        NEW,
        "restartCount: 0, ready: true, state: {running: {startedAt: '2026-10-03T14:00:07Z'}}",
    ));
    assert_eq!(release.says(8).0, Verdict::Progressing);
    assert_eq!(release.says(13).0, Verdict::Progressing, "what happened at 12 s is not known yet");
    assert_eq!(release.says(14).0, Verdict::Ready);
}

#[test]
fn a_kubelet_that_is_slow_to_tell_of_a_start_is_slow_to_tell_of_a_death() {
    let mut release = Release::new();
    release.see(&deployment(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]",
    ));
    let running = |since: &str| {
        pod(
            NEW,
            &format!(
                "restartCount: 0, ready: true, state: {{running: {{startedAt: '2026-10-03T{since}Z'}}}}"
            ),
        )
    };
    release.see(&running("14:00:00"));
    assert_eq!(release.says(3).0, Verdict::Progressing);
    assert_eq!(release.says(9).0, Verdict::Progressing);
    assert_eq!(release.says(10).0, Verdict::Ready);
    let mut release = Release::new();
    release.see(&running("13:50:00"));
    release.see(&deployment(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]",
    ));
    assert_eq!(release.says(0).0, Verdict::Ready, "it was there long before anybody looked");
}

#[test]
fn a_probe_that_passed_just_before_the_program_ended_does_not_make_it_ready() {
    let ready = "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]";
    let probed = |status: &str| {
        pod(NEW, status)
            .replace("image: 'registry.example.com/web:1'", "readinessProbe: {exec: {command: ['true']}}")
    };
    let mut release = Release::new();
    release.see(&deployment(ready));
    release
        .see(&probed("restartCount: 0, ready: true, state: {running: {startedAt: '2026-10-03T14:00:01Z'}}"));
    let said = release.at(1);
    assert_eq!(
        (said.verdict, said.message.as_deref()),
        (Verdict::Progressing, Some("a pod started a moment ago"))
    );
    assert_eq!(release.says(3).0, Verdict::Ready, "the kubelet would have told of its end");
    let ended = died(1, 3).replace("restartCount: 0", "restartCount: 0, ready: true");
    release.see(&probed(&ended));
    assert_eq!(release.says(2), (Verdict::Progressing, Some(Cause::ExitCode)), "it has told of it");

    let mut trusted = Release::new();
    trusted.see(&deployment(ready).replace("annotations: {", "annotations: {windlass.dev/stable-for: 0s, "));
    trusted
        .see(&probed("restartCount: 0, ready: true, state: {running: {startedAt: '2026-10-03T14:00:01Z'}}"));
    assert_eq!(trusted.says(1).0, Verdict::Ready, "its manifest trusts the probe");
}

#[test]
fn what_the_release_applied_and_somebody_deletes_has_failed() {
    let mut release = Release::new();
    release.see(
        &deployment("replicas: 1").replace("uid: d,", "uid: d, deletionTimestamp: '2026-10-03T14:00:05Z',"),
    );
    assert_eq!(release.says(6), (Verdict::Failed, Some(Cause::BeingDeleted)));
}

#[test]
fn a_job_that_is_gone_is_judged_by_how_it_was_last_seen() {
    let job = |spec: Value, status: Value| {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": spec, "status": status});
        judge_gone(&job).verdict
    };
    let failed =
        json!({"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]});
    assert_eq!(job(json!({"ttlSecondsAfterFinished": 0}), json!({"active": 1})), Verdict::Ready);
    assert_eq!(job(json!({"ttlSecondsAfterFinished": 0}), failed), Verdict::Failed);
    assert_eq!(job(json!({}), json!({"active": 1})), Verdict::Failed);
}

/// A custom resource of this release in this state, judged half a minute after its apply.
fn custom(status: &str, owned: &str) -> (Verdict, Option<Cause>) {
    let mut release = Release::new();
    release.context.uid = None;
    release.see(&format!(
        "{{apiVersion: example.com/v1, kind: App, metadata: {{name: app, namespace: shop, uid: a, generation: 2}}, status: {{{status}}}}}"
    ));
    if !owned.is_empty() {
        release.see(owned);
    }
    let now = APPLIED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(30);
    let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
    let object = release.snapshot.get("example.com", "App", "shop", "app").expect("it was seen").clone();
    let judgement = judge(&object, &release.snapshot, &context, &mut release.memory);
    (judgement.verdict, judgement.cause)
}

#[test]
fn what_a_broken_version_left_does_not_fail_the_one_that_mends_it() {
    let pod = |created: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: app-1, namespace: shop, uid: p, creationTimestamp: '{created}',
               ownerReferences: [{{apiVersion: example.com/v1, kind: App, name: app, uid: a}}]}},
              spec: {{containers: [{{name: db, image: 'r.example.com/db:nope'}}]}},
              status: {{phase: Pending, containerStatuses: [{{name: db, restartCount: 0, state: {{waiting: {{reason: ImagePullBackOff,
                message: 'Back-off pulling image \"r.example.com/db:nope\": ErrImagePull: r.example.com/db:nope: not found'}}}}}}]}}}}"
        )
    };
    let waits = "conditions: [{type: Ready, status: 'False', reason: Creating}]";
    let old = custom(waits, &pod("2026-10-03T13:00:00Z"));
    assert_eq!(old, (Verdict::Progressing, Some(Cause::ImageNotFound)));
    let new = custom(waits, &pod("2026-10-03T14:00:05Z"));
    assert_eq!(new, (Verdict::Failed, Some(Cause::ImageNotFound)));

    let aborted = |when: &str, observed: &str| {
        format!(
            "observedGeneration: '{observed}', conditions: [{{type: Progressing, status: 'False', reason: RolloutAborted, \
             lastTransitionTime: '{when}'}}, {{type: Available, status: 'False'}}]"
        )
    };
    assert_eq!(custom(&aborted("2026-10-03T13:00:00Z", "1"), "").0, Verdict::Progressing);
    assert_eq!(custom(&aborted("2026-10-03T13:00:00Z", "2"), "").0, Verdict::Progressing);
    assert_eq!(custom(&aborted("2026-10-03T14:00:09Z", "2"), "").0, Verdict::Failed);
}

#[test]
fn one_whose_status_says_nothing_is_ready_when_nobody_writes_to_it() {
    let mut release = Release::new();
    release.context.uid = None;
    let app = |version: i64, rest: &str| {
        format!(
            "{{apiVersion: example.com/v1, kind: App, metadata: {{name: app, namespace: shop, uid: a, generation: 2, \
              resourceVersion: '{version}'{rest}}}, status: {{colour: red}}}}"
        )
    };
    let at = |release: &mut Release, second: i64| {
        let now = APPLIED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(second);
        let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
        let object = release.snapshot.get("example.com", "App", "shop", "app").expect("it was seen").clone();
        judge(&object, &release.snapshot, &context, &mut release.memory)
    };
    release.see(&app(1, ""));
    assert_eq!(at(&mut release, 1).verdict, Verdict::Progressing);
    assert_eq!(at(&mut release, 10).verdict, Verdict::Progressing);
    // Somebody writes to it: from then on it counts anew.
    release.see(&app(2, ""));
    for (second, verdict) in [(12, Verdict::Progressing), (26, Verdict::Progressing), (27, Verdict::Ready)] {
        assert_eq!(at(&mut release, second).verdict, verdict, "{second}");
    }
    let ready = at(&mut release, 28);
    assert!(ready.warnings.iter().any(|one| one.contains("`health:` of windlass.yaml")), "{ready:?}");
    assert_eq!(ready.rule.as_deref(), Some("generic: nothing to judge by"));
    assert!(ready.is_unjudged);

    // What others wait for gets more time, and what it owns must be ready.
    release.context.jobs_follow = true;
    assert_eq!(at(&mut release, 29).verdict, Verdict::Progressing);
    assert_eq!(at(&mut release, 72).verdict, Verdict::Ready);
    release.see(
        "{apiVersion: v1, kind: Pod, metadata: {name: app-1, namespace: shop, uid: p, creationTimestamp: '2026-10-03T14:00:05Z',
           ownerReferences: [{apiVersion: example.com/v1, kind: App, name: app, uid: a}]},
          spec: {containers: [{name: app, image: x}]}, status: {phase: Pending}}",
    );
    let waits = at(&mut release, 73);
    assert_eq!(waits.verdict, Verdict::Progressing);
    assert_eq!(
        waits.message.as_deref(),
        Some("its status has no known condition or phase: waiting for Pod/app-1")
    );
}

#[test]
fn one_whose_status_says_nothing_waits_for_a_rule_where_its_manifest_asks_for_it() {
    let mut release = Release::new();
    release.context.uid = None;
    release.see(
        "{apiVersion: example.com/v1, kind: App, metadata: {name: app, namespace: shop, uid: a, generation: 2,
           annotations: {windlass.dev/wait: health}}}",
    );
    let now = APPLIED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(500);
    let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
    let object = release.snapshot.get("example.com", "App", "shop", "app").expect("it was seen").clone();
    let judgement = judge(&object, &release.snapshot, &context, &mut release.memory);
    assert_eq!(judgement.verdict, Verdict::Progressing);
    assert_eq!(
        judgement.message.as_deref(),
        Some("it has no status, and windlass.dev/wait: health needs a rule in `health:`")
    );

    // What was there before, and nobody has changed, is not waited for.
    release.see("{apiVersion: example.com/v1, kind: App, metadata: {name: app, namespace: shop, uid: a, generation: 2}}");
    release.context.applied_at = None;
    let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
    let object = release.snapshot.get("example.com", "App", "shop", "app").expect("it was seen").clone();
    assert_eq!(judge(&object, &release.snapshot, &context, &mut release.memory).verdict, Verdict::Ready);
}

fn put_off(name: &str, reason: &str, message: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, uid: {name}, creationTimestamp: '{NEW}',
           ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r}}]}},
          spec: {{nodeName: node-1, containers: [{{name: web}}]}}, status: {{phase: Failed, reason: {reason}, message: '{message}'}}}}"
    )
}

#[test]
fn pods_that_break_their_own_limit_fail_it_the_third_time() {
    let mut release = Release::new();
    let full = "Usage of EmptyDir volume \"cache\" exceeds the limit \"1Mi\". ";
    let unready = "restartCount: 0, ready: false, state: {running: {startedAt: '2026-10-03T14:00:05Z'}}";
    release.see(&pod(NEW, unready));
    for number in 1..=3 {
        release.see(&put_off(&format!("web-1-e{number}"), "Evicted", full));
        let verdict = if number > 2 { Verdict::Failed } else { Verdict::Progressing };
        assert_eq!(release.says(10 * number), (verdict, Some(Cause::Evicted)), "eviction {number}");
    }
    let said = release.at(31).message.unwrap_or_default();
    assert_eq!(
        said,
        "its pods are evicted for their own limit: Usage of EmptyDir volume \"cache\" exceeds the limit \"1Mi\" (three times)"
    );
    // They are deleted by some controllers as soon as they have failed.
    for number in 1..=3 {
        release.snapshot.remove(&pod_id(&format!("web-1-e{number}")));
    }
    release.see(&put_off("web-1-e4", "Evicted", full));
    assert!(release.at(40).message.is_some_and(|said| said.ends_with("(four times)")));
}

fn pod_id(name: &str) -> crate::model::ObjectId {
    crate::model::ObjectId {
        group: String::new(),
        kind: "Pod".into(),
        namespace: "shop".into(),
        name: name.into(),
    }
}

#[test]
fn pods_that_their_node_rejects_fail_it_the_third_time_and_trouble_of_the_node_does_not() {
    let mut release = Release::new();
    for number in 1..=3 {
        release.see(&put_off(
            &format!("web-1-r{number}"),
            "SysctlForbidden",
            "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted",
        ));
        let verdict = if number > 2 { Verdict::Failed } else { Verdict::Progressing };
        assert_eq!(release.says(number), (verdict, Some(Cause::AdmissionDenied)), "rejection {number}");
    }
    let mut release = Release::new();
    for number in 1..=5 {
        let name = format!("web-1-n{number}");
        release.see(&put_off(&name, "Evicted", "The node was low on resource: memory."));
    }
    assert_eq!(release.says(9), (Verdict::Progressing, Some(Cause::Evicted)));
}

#[test]
fn what_took_the_place_of_an_evicted_pod_must_stay_longer() {
    let mut release = Release::new();
    release.see(&deployment(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]",
    ));
    release.see(&put_off(
        "web-1-e",
        "Evicted",
        "Container web exceeded its local ephemeral storage limit \"1Mi\". ",
    ));
    release.see(&pod(
        "2026-10-03T14:00:20Z",
        "restartCount: 0, ready: true, state: {running: {startedAt: '2026-10-03T14:00:20Z'}}",
    ));
    assert_eq!(release.says(50), (Verdict::Progressing, Some(Cause::Evicted)));
    assert_eq!(release.says(61).0, Verdict::Ready);
}

fn event(reason: &str, message: &str, count: i64) -> String {
    format!(
        "{{apiVersion: v1, kind: Event, metadata: {{name: '{reason}', namespace: shop}}, reason: {reason}, type: Warning, count: {count},
          message: '{message}', firstTimestamp: '2026-10-03T14:00:02Z', lastTimestamp: '2026-10-03T14:00:09Z',
          involvedObject: {{kind: Pod, name: web-1-a, namespace: shop, uid: p}}}}"
    )
}

/// The pod of the release before its container runs, with other fields in its container.
fn starting(fields: &str) -> String {
    pod(NEW, "restartCount: 0, state: {waiting: {reason: ContainerCreating}}").replace(
        "image: 'registry.example.com/web:1'",
        &format!("image: 'registry.example.com/web:1', {fields}"),
    )
}

#[test]
fn a_memory_limit_without_room_for_the_sandbox_is_told_as_such() {
    let limit = "resources: {limits: {memory: 4Mi}}";
    let sandbox = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: container init was OOM-killed (memory limit too low?): unknown";
    let volume = "MountVolume.SetUp failed for volume \"kube-api-access-x\" : write /var/lib/kubelet/pods/p/token: no space left on device";
    for (reason, message) in [("FailedCreatePodSandBox", sandbox), ("FailedMount", volume)] {
        let mut release = Release::new();
        release.see(&starting(limit));
        release.see(&event(reason, message, 2));
        assert_eq!(release.says(10), (Verdict::Progressing, Some(Cause::OutOfMemory)), "{reason}");
        release.see(&event(reason, message, 3));
        let judgement = release.at(11);
        assert_eq!(
            (judgement.verdict, judgement.cause),
            (Verdict::Failed, Some(Cause::OutOfMemory)),
            "{reason}"
        );
        let said = judgement.message.unwrap_or_default();
        assert!(
            said.starts_with("the memory limit of the pod (4Mi of container web) is too small: "),
            "{said}"
        );
    }
    let mut release = Release::new();
    release.see(&starting(limit));
    release.see(&event(
        "FailedCreatePodSandBox",
        "rpc error: failed to set up network: no IP addresses left",
        9,
    ));
    assert_eq!(release.says(10), (Verdict::Progressing, None));
}

#[test]
fn what_is_waited_for_has_a_name() {
    let says = |objects: &[String], second: i64| {
        let mut release = Release::new();
        for object in objects {
            release.see(object);
        }
        release.at(second).message.unwrap_or_default()
    };
    let hook = starting("lifecycle: {postStart: {exec: {command: [warm-up]}}}");
    let started = event("Started", "Started container web", 1).replace("Warning", "Normal");
    assert_eq!(
        says(&[hook, started], 20),
        "container web has started, and its postStart hook (command `warm-up`) still runs"
    );
    let late = starting("readinessProbe: {initialDelaySeconds: 60, tcpSocket: {port: 80}}").replace(
        "state: {waiting: {reason: ContainerCreating}}",
        "state: {running: {startedAt: '2026-10-03T14:00:05Z'}}",
    );
    assert_eq!(
        says(&[late], 20),
        "container web runs, and its readiness probe starts after 60 s (initialDelaySeconds)"
    );
    let of_scheduler = deployment("replicas: 1").replace(
        "selector: {matchLabels: {app: web}}",
        "selector: {matchLabels: {app: web}}, template: {spec: {schedulerName: mine}}",
    );
    let unplaced = starting("ports: []").replace("nodeName: node-1, ", "");
    assert_eq!(
        says(&[of_scheduler, unplaced], 20),
        "no scheduler has placed the pod: it asks for `mine` (schedulerName)"
    );
    assert_eq!(
        says(&[starting("ports: []")], 20),
        "node node-1 has not started the pod: its kubelet does not respond, or does not exist"
    );
    assert_eq!(says(&[starting("ports: []")], 5), "0 of 1 replica is available");
    let available = "replicas: 1, updatedReplicas: 1, readyReplicas: 1, unavailableReplicas: 1";
    let slow =
        deployment(available).replace("replicas: 1, progress", "minReadySeconds: 60, replicas: 1, progress");
    assert_eq!(
        says(&[slow], 20),
        "1 of 1 replica is ready, and counts as available after 60 s (minReadySeconds)"
    );
}

#[test]
fn an_old_pod_that_takes_long_to_end_is_named() {
    let mut release = Release::new();
    release.see(&deployment("replicas: 0"));
    release.see(&pod(OLD, "restartCount: 0, state: {running: {}}").replace(
        "web-1-a, namespace: shop,",
        "web-1-old, namespace: shop, deletionTimestamp: '2026-10-03T14:30:00Z',",
    ));
    assert_eq!(release.at(1).message.as_deref(), Some("0 of 1 replica is of the new revision"));
    assert_eq!(
        release.at(11).message.as_deref(),
        Some(
            "0 of 1 replica is of the new revision; pod web-1-old has not ended yet (terminationGracePeriodSeconds: 30)"
        )
    );
}

#[test]
fn an_answer_of_a_probe_that_is_old_says_when_it_was_recorded() {
    let mut release = Release::new();
    let probed = starting("readinessProbe: {periodSeconds: 1, httpGet: {path: /up, port: 80}}").replace(
        "state: {waiting: {reason: ContainerCreating}}",
        "state: {running: {startedAt: '2026-10-03T14:00:02Z'}}",
    );
    release.see(&probed);
    release.see(&event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 25));
    let said = |release: &mut Release, second| release.at(second).message.unwrap_or_default();
    assert_eq!(said(&mut release, 11), "readiness probe of container web: GET :80/up answered 503");
    assert_eq!(
        said(&mut release, 60),
        "readiness probe of container web: GET :80/up answered 503 (last recorded at 2026-10-03T14:00:09Z)"
    );
}

/// A Job of the release, with a pod that has died so often in place.
fn job(fields: &str, status: &str, restarts: i64) -> Health {
    let job = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: migrate, namespace: shop, uid: j, creationTimestamp: '{NEW}'}},
          spec: {{{fields}}}, status: {{{status}}}}}"
    );
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: migrate-a, namespace: shop, uid: p, creationTimestamp: '{NEW}',
           ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: migrate, uid: j}}]}},
          spec: {{restartPolicy: OnFailure, nodeName: n, containers: [{{name: app, image: x}}, {{name: proxy, image: y}}]}},
          status: {{phase: Running, startTime: '{NEW}', containerStatuses: [{{name: app, restartCount: {restarts}, state: {{terminated: {{exitCode: {}}}}}}},
            {{name: proxy, ready: true, state: {{running: {{startedAt: '{NEW}'}}}}}}]}}}}",
        i64::from(restarts > 0)
    );
    let mut release = Release::new();
    release.see(&job);
    release.see(&pod);
    release.context = ReleaseContext {
        applied_at: release.context.applied_at,
        limits: OwnLimits { lacks_backoff_limit: !fields.contains("backoffLimit"), ..OwnLimits::default() },
        ..ReleaseContext::default()
    };
    let now = APPLIED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(30);
    let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
    let object = release.snapshot.get("batch", "Job", "shop", "migrate").expect("it was seen").clone();
    judge(&object, &release.snapshot, &context, &mut release.memory)
}

#[test]
fn a_job_without_a_backoff_limit_of_its_own_fails_as_often_as_other_pods_die() {
    assert_eq!(job("", "", 1).verdict, Verdict::Progressing);
    let failed = job("", "", 2);
    assert_eq!((failed.verdict, failed.cause), (Verdict::Failed, Some(Cause::JobFailed)));
    assert_eq!(failed.message.as_deref(), Some("container app exited 1 three times"));
    let failed = job("", "failed: 3", 0);
    assert_eq!((failed.verdict, failed.cause), (Verdict::Failed, Some(Cause::JobFailed)));
    assert_eq!(job("backoffLimit: 6", "failed: 3", 1).verdict, Verdict::Progressing);
}

/// A Job whose pods, one for each attempt, ended within the second in which they started.
fn job_of_short_attempts(attempts: usize, log: Option<&str>) -> Health {
    let mut release = Release::new();
    release.context = ReleaseContext { applied_at: release.context.applied_at, ..ReleaseContext::default() };
    release.see(&format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: migrate, namespace: shop, uid: j, creationTimestamp: '{NEW}'}},
          spec: {{backoffLimit: 6}}, status: {{failed: {attempts}}}}}"
    ));
    for number in 1..=attempts {
        release.see(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: migrate-{number}, namespace: shop, uid: p{number},
               creationTimestamp: '2026-10-03T14:00:1{number}Z',
               ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: migrate, uid: j}}]}},
              spec: {{restartPolicy: Never, nodeName: n, containers: [{{name: app, image: x}}]}},
              status: {{phase: Failed, startTime: '{NEW}', containerStatuses: [{{name: app, restartCount: 0,
                state: {{terminated: {{exitCode: 255, reason: Error, startedAt: '{NEW}', finishedAt: '{NEW}', containerID: 'c://{number}'}}}}}}]}}}}"
        ));
    }
    let now = APPLIED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(30);
    let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
    let object = release.snapshot.get("batch", "Job", "shop", "migrate").expect("it was seen").clone();
    let judgement = judge(&object, &release.snapshot, &context, &mut release.memory);
    let (Some(log), Some(question)) = (log, judgement.asks.clone()) else { return judgement };
    assert_eq!(&*question.source.pod, format!("migrate-{attempts}"), "the latest");
    release.memory.read_log(question.key, question.instance, log.to_owned());
    judge(&object, &release.snapshot, &context, &mut release.memory)
}

#[test]
fn a_program_of_a_job_that_cannot_be_executed_is_not_tried_for_the_third_time() {
    let refused = "exec /app: exec format error";
    let once = job_of_short_attempts(1, Some(refused));
    assert_eq!((once.verdict, once.asks), (Verdict::Progressing, None));
    let unread = job_of_short_attempts(2, None);
    assert_eq!((unread.verdict, unread.asks.is_some()), (Verdict::Progressing, true));
    let other = job_of_short_attempts(2, Some("no such table"));
    assert_eq!((other.verdict, other.cause), (Verdict::Progressing, Some(Cause::ExitCode)));
    assert_eq!(other.asks, None, "it was read");
    let twice = job_of_short_attempts(2, Some(refused));
    assert_eq!((twice.verdict, twice.cause), (Verdict::Failed, Some(Cause::CannotRun)));
    let said = twice.message.unwrap_or_default();
    assert!(said.starts_with("container app cannot start: /app: exec format error"), "{said}");
}

#[test]
fn a_job_that_waits_for_a_sidecar_names_it() {
    let judgement = job("", "", 0);
    assert_eq!(
        judgement.message.as_deref(),
        Some(
            "container app has ended, and container proxy still runs: the Job is complete only when all have ended"
        )
    );
    assert_eq!(judgement.log_source.expect("its log tells").container, "proxy");
}

#[test]
fn a_probe_that_cannot_succeed_fails_after_20_s_and_a_port_that_nobody_declares_is_said() {
    let mut release = Release::new();
    let running = |probe: &str| {
        starting(probe).replace(
            "state: {waiting: {reason: ContainerCreating}}",
            "state: {running: {startedAt: '2026-10-03T14:00:02Z'}}",
        )
    };
    release.see(&running("readinessProbe: {exec: {command: [pg_isready]}}"));
    release.see(&event(
        "Unhealthy",
        "Readiness probe errored and resulted in unknown state: exec failed: exec: \"pg_isready\": executable file not found in $PATH",
        3,
    ));
    assert_eq!(release.says(20), (Verdict::Progressing, Some(Cause::ReadinessProbe)));
    let judgement = release.at(22);
    assert_eq!((judgement.verdict, judgement.cause), (Verdict::Failed, Some(Cause::ReadinessProbe)));
    assert_eq!(
        judgement.message.as_deref(),
        Some("readiness probe of container web: its program `pg_isready` is not in the image")
    );

    let mut release = Release::new();
    release.see(&deployment("replicas: 1").replace(
        "selector: {matchLabels: {app: web}}",
        "selector: {matchLabels: {app: web}}, template: {spec: {containers: [{name: web, ports: [{containerPort: 80}]}]}}",
    ));
    release.see(&running("readinessProbe: {tcpSocket: {port: 8080}}"));
    release.see(&event(
        "Unhealthy",
        "Readiness probe failed: dial tcp 10.1.0.7:8080: connect: connection refused",
        1,
    ));
    assert_eq!(
        release.at(12).message.as_deref(),
        Some(
            "readiness probe of container web: TCP :8080 refused the connection; no container declares port 8080 \
             (declared: 80)"
        )
    );
}

#[test]
fn events_that_differ_in_an_id_are_one() {
    let mut release = Release::new();
    release.see(&starting("ports: []"));
    for (name, id) in [("one", "9a0b1c2d3e4f5a6b"), ("two", "0f1e2d3c4b5a6978")] {
        let failed = event("FailedMount", &format!("mount failed: exit status 32, helper {id}"), 1);
        release.see(&failed.replace("name: 'FailedMount'", &format!("name: {name}")));
    }
    let evidence = release.at(20).evidence;
    let events = evidence.iter().find(|one| one.title == "events").expect("events are evidence");
    assert_eq!(events.lines.len(), 1, "{events:?}");
    assert!(events.lines[0].starts_with("FailedMount Pod/web-1-a, 2 times: mount failed"), "{events:?}");
}
