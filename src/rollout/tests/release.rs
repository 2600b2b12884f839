//! What only a release knows: when it applied what, what was seen before, and who else is on its way.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::model::{Cause, Verdict};
use crate::rollout::context::{Context, ReleaseContext};
use crate::rollout::dump;
use crate::rollout::evaluate::{judge, judge_gone};
use crate::rollout::health::Health;
use crate::rollout::memory::Memory;
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
fn deaths_from_before_the_release_and_good_ends_do_not_count() {
    let mut release = Release::new();
    release.see(&pod(OLD, &died(40, 1)));
    assert_eq!(release.says(1).0, Verdict::Progressing);
    release.see(&pod(OLD, &died(41, 0)));
    release.says(2);
    release.see(&pod(OLD, &died(43, 1)));
    assert_eq!(release.says(3).0, Verdict::Progressing, "two died badly: 42, which nobody saw, and 43");
    release.see(&pod(OLD, &died(44, 1)));
    assert_eq!(release.says(4), (Verdict::Failed, Some(Cause::ExitCode)));
}

#[test]
fn while_others_are_on_their_way_strikes_are_only_shown() {
    let mut release = Release::new();
    release.context.others_on_their_way = true;
    release.see(&pod(NEW, &died(3, 1)));
    let judgement = release.at(20);
    assert_eq!((judgement.verdict, judgement.cause), (Verdict::Progressing, Some(Cause::ExitCode)));
    assert!(judgement.out_of_strikes);
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
    release.context.sets_progress_deadline = true;
    release.see(&overdue("2026-10-03T13:59:59Z"));
    assert_eq!(release.says(60).0, Verdict::Progressing);
    release.see(&overdue("2026-10-03T14:00:01Z"));
    assert_eq!(release.says(61), (Verdict::Failed, Some(Cause::DeadlineExceeded)));
    release.context.sets_progress_deadline = false;
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
    assert_eq!(release.says(10).0, Verdict::Progressing);
    assert_eq!(release.says(11).0, Verdict::Ready);
    let mut release = Release::new();
    release.see(&running("13:50:00"));
    release.see(&deployment(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]",
    ));
    assert_eq!(release.says(0).0, Verdict::Ready, "it was there long before anybody looked");
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
    assert_eq!(waits.message.as_deref(), Some("nothing in its status says how it is: waiting for Pod/app-1"));
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
        Some("it has no status, and windlass.dev/wait: health asks for a rule in `health:`")
    );

    // What was there before, and nobody has changed, is not waited for.
    release.see("{apiVersion: example.com/v1, kind: App, metadata: {name: app, namespace: shop, uid: a, generation: 2}}");
    release.context.applied_at = None;
    let context = Context { now, release: Some(release.context.clone()), health: Arc::default() };
    let object = release.snapshot.get("example.com", "App", "shop", "app").expect("it was seen").clone();
    assert_eq!(judge(&object, &release.snapshot, &context, &mut release.memory).verdict, Verdict::Ready);
}
