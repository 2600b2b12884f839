//! Rollouts on a mock API server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::cluster::Cluster;
use crate::cluster::fake::{FakeServer, InjectedFault as Fault};
use crate::error::Kind;
use crate::model::{ObjectId, Stage, Subject};
use crate::report::event::Event;
use crate::report::{Moment, Renderer, Reporter};
use crate::rollout::watch::watcher::SETTLE;
use crate::session::Session;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";
const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const PODS: &str = "/api/v1/namespaces/shop/pods";

/// Keeps the reported lines.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl Renderer for Ear {
    fn event(&mut self, _: Moment, event: &Event) {
        let line = match event {
            Event::Object(state) => format!("{}/{} {}", state.kind, state.name, state.verdict),
            Event::Log { source, line, .. } => format!("{source}: {line}"),
            Event::Warning(warning) => format!("warning: {}", warning.message),
            _ => return,
        };
        self.0.lock().expect("no test panics in here").push(line);
    }

    fn answer(&mut self, _: Option<&Value>, _: &str) {}
}

impl Ear {
    fn heard(&self) -> Vec<String> {
        self.0.lock().expect("no test panics in here").clone()
    }
}

struct Lab {
    server: FakeServer,
    session: Session,
    cluster: Cluster,
    ear: Ear,
}

impl Lab {
    async fn set() -> Self {
        let ear = Ear::default();
        let session = Session::new(Reporter::new(vec![Box::new(ear.clone())]));
        let server = FakeServer::start().await;
        let cluster = server.cluster(&session).await;
        Self { server, session, cluster, ear }
    }

    /// A watcher of objects that were just applied.
    fn watcher(&self, objects: &[(&str, &Value)]) -> (Watcher, Vec<ObjectId>) {
        let fresh = |object: &Value| Watched { object: object.clone().into(), place: None, live: None };
        let all = objects.iter().map(|(_, object)| fresh(object)).collect();
        let mut watcher = Watcher::new(&self.session, &self.cluster, Stage::Release, all);
        for (collection, object) in objects {
            watcher.applied(&self.server.put(collection, (*object).clone()));
        }
        (watcher, objects.iter().map(|(_, object)| ObjectId::of(object)).collect())
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn thing(api_version: &str, kind: &str, name: &str) -> Value {
    let metadata = json!({"name": name, "namespace": "shop", "uid": name, "generation": 1});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {}})
}

fn deployment(ready: bool) -> Value {
    let mut deployment = thing("apps/v1", "Deployment", "web");
    deployment["spec"] = json!({"replicas": 1, "minReadySeconds": 1});
    if ready {
        deployment["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": 1, "availableReplicas": 1,
            "conditions": [{"type": "Available", "status": "True"}]});
    }
    deployment
}

fn failed_job() -> Value {
    let mut job = thing("batch/v1", "Job", "migrate");
    job["status"] =
        json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    job
}

#[tokio::test]
async fn what_is_ready_when_it_is_applied_is_not_watched() {
    let stage = Lab::set().await;
    let map = thing("v1", "ConfigMap", "settings");
    let (mut watcher, ids) = stage.watcher(&[("/api/v1/namespaces/shop/configmaps", &map)]);
    watcher.until(Goal::Ready(&ids), soon()).await.expect("it is there");
    assert!(watcher.is_ready(&ids[0]));
    assert_eq!(stage.ear.heard(), ["ConfigMap/settings ready"]);
    assert!(stage.server.requests().is_empty());
}

#[tokio::test]
async fn what_was_ready_before_is_not_watched() {
    let stage = Lab::set().await;
    let live = Some(deployment(true).into());
    let set = vec![Watched { object: deployment(false).into(), place: None, live }];
    let mut watcher = Watcher::new(&stage.session, &stage.cluster, Stage::Release, set);
    let ids = [ObjectId::of(&deployment(false))];
    watcher.until(Goal::Ready(&ids), soon()).await.expect("it is ready");
    assert!(stage.server.requests().is_empty());
}

#[tokio::test]
async fn a_deployment_is_watched_until_it_is_ready_whatever_the_server_does_meanwhile() {
    let stage = Lab::set().await;
    let (mut watcher, ids) = stage.watcher(&[(DEPLOYMENTS, &deployment(false))]);
    let server = stage.server.clone();
    let controller = async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.faults(|_, _| Some(Fault::Code(503, 0)));
        server.cut_watches();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.put(DEPLOYMENTS, deployment(true));
        server.compact();
        server.no_faults();
    };
    let (waited, ()) = tokio::join!(watcher.until(Goal::Ready(&ids), soon()), controller);
    waited.expect("it becomes ready");
    let heard = stage.ear.heard();
    assert_eq!(heard.first().map(String::as_str), Some("Deployment/web progressing"));
    assert_eq!(heard.last().map(String::as_str), Some("Deployment/web ready"));
}

#[tokio::test]
async fn a_failed_job_ends_the_rollout_with_what_it_said() {
    let stage = Lab::set().await;
    let job = thing("batch/v1", "Job", "migrate");
    let (mut watcher, ids) = stage.watcher(&[(JOBS, &job)]);
    let mut pod = thing("v1", "Pod", "migrate-a");
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "migrate", "uid": "migrate"}]);
    let ended = json!({"name": "app", "restartCount": 0, "state": {"terminated": {"exitCode": 1}}});
    pod["status"] = json!({"phase": "Failed", "containerStatuses": [ended]});
    stage.server.log("shop/migrate-a/app", "2026-11-23T09:05:00Z no such table\n");
    stage.server.put(PODS, pod);
    let server = stage.server.clone();
    let controller = async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.put(JOBS, failed_job());
    };
    let (waited, ()) = tokio::join!(watcher.until(Goal::Ready(&ids), soon()), controller);
    let error = waited.expect_err("the Job failed");
    assert_eq!(error.kind(), Kind::Rollout);
    assert_eq!(error.message(), "1 of 1 objects failed: Job/migrate");
    assert_eq!(error.failures()[0].subject, Subject::Object("Job/migrate".into()));
    assert_eq!(error.failures()[0].cause, "job-failed");
    assert!(stage.ear.heard().contains(&"Job/migrate: no such table".to_owned()), "{:?}", stage.ear.heard());
}

#[tokio::test]
async fn at_the_deadline_it_is_said_what_was_waited_for() {
    let stage = Lab::set().await;
    let (mut watcher, ids) = stage.watcher(&[(DEPLOYMENTS, &deployment(false))]);
    let deadline = Instant::now() + Duration::from_millis(300);
    let error = watcher.until(Goal::Ready(&ids), deadline).await.expect_err("nothing happens");
    assert_eq!(error.kind(), Kind::TimedOut);
    assert_eq!(error.failures().len(), 1);
    assert_ne!(error.failures()[0].message, "");
}

/// A Deployment, and its ReplicaSet with one pod whose container has this status.
fn crashing(stage: &Lab, name: &str, container: &Value) -> Value {
    let owned = |kind: &str, name: &str, by: &str, owner: &str| {
        let mut object = thing(if kind == "Pod" { "v1" } else { "apps/v1" }, kind, name);
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": by, "name": owner, "uid": owner}]);
        // The rollout starts in a moment, and timestamps are whole seconds.
        object["metadata"]["creationTimestamp"] =
            json!(Timestamp::now() + jiff::SignedDuration::from_secs(1));
        object
    };
    let mut web = deployment(false);
    web["metadata"]["name"] = json!(name);
    web["metadata"]["uid"] = json!(name);
    web["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1});
    let set = format!("{name}-1");
    stage
        .server
        .put("/apis/apps/v1/namespaces/shop/replicasets", owned("ReplicaSet", &set, "Deployment", name));
    let mut pod = owned("Pod", &format!("{set}-a"), "ReplicaSet", &set);
    pod["spec"] = json!({"nodeName": "n", "containers": [{"name": "app", "image": "x"}]});
    pod["status"] =
        json!({"phase": "Running", "startTime": Timestamp::now(), "containerStatuses": [container]});
    stage.server.put(PODS, pod);
    web
}

#[tokio::test]
async fn what_died_too_often_has_failed_also_when_it_was_put_up_with_until_the_deadline() {
    let stage = Lab::set().await;
    let died = json!({"name": "app", "restartCount": 2, "state": {"terminated": {"exitCode": 1, "containerID": "c"}}});
    let starts = json!({"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}});
    let (web, db) = (crashing(&stage, "web", &died), crashing(&stage, "db", &starts));
    let (mut watcher, ids) = stage.watcher(&[(DEPLOYMENTS, &web), (DEPLOYMENTS, &db)]);
    let deadline = Instant::now() + Duration::from_secs(2);
    let error = watcher.until(Goal::Ready(&ids), deadline).await.expect_err("it dies");
    assert_eq!(error.kind(), Kind::Rollout);
    assert_eq!(error.message(), "1 of 2 objects failed: Deployment/web; not ready in time: Deployment/db");
    assert_eq!(error.failures()[0].cause, "exit-code");
}

#[tokio::test]
async fn the_log_of_what_dies_at_once_is_read_and_both_mistakes_are_told() {
    let stage = Lab::set().await;
    let died = json!({"name": "app", "restartCount": 1, "state": {"terminated": {"exitCode": 255, "containerID": "c"}}});
    let unknown =
        json!({"name": "app", "state": {"waiting": {"reason": "ErrImagePull", "message": "x: not found"}}});
    let (web, api) = (crashing(&stage, "web", &died), crashing(&stage, "api", &unknown));
    stage.server.log("shop/web-1-a/app", "exec /app: exec format error\n");
    let (mut watcher, ids) = stage.watcher(&[(DEPLOYMENTS, &web), (DEPLOYMENTS, &api)]);
    let error = watcher.until(Goal::Ready(&ids), soon()).await.expect_err("it cannot start");
    assert_eq!(error.message(), "1 of 2 objects failed: Deployment/web");
    let causes: Vec<(&str, bool)> =
        error.failures().iter().map(|one| (one.cause.as_str(), one.hint.is_some())).collect();
    assert_eq!(causes, [("cannot-run", true), ("image-not-found", true)]);
    let titles: Vec<&str> = error.failures()[0].evidence.iter().map(|one| one.title.as_str()).collect();
    assert!(titles.contains(&"0 of 1 replica ready; nothing serves"), "{titles:?}");
}

#[tokio::test]
async fn without_the_right_to_watch_it_is_read_and_without_events_less_is_said() {
    let stage = Lab::set().await;
    stage.server.faults(|_, path| {
        let denied = path.contains("/events") || path.contains("/deployments?");
        denied.then_some(Fault::Code(403, 0))
    });
    let (mut watcher, ids) = stage.watcher(&[(DEPLOYMENTS, &deployment(false))]);
    let server = stage.server.clone();
    let controller = async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.put(DEPLOYMENTS, deployment(true));
    };
    let (waited, ()) = tokio::join!(watcher.until(Goal::Ready(&ids), soon()), controller);
    waited.expect("it becomes ready");
    let warnings: Vec<String> =
        stage.ear.heard().into_iter().filter(|line| line.starts_with("warning")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("warning: without Events less can be said"));
}

#[tokio::test]
async fn a_signal_ends_it() {
    let stage = Lab::set().await;
    let (mut watcher, ids) = stage.watcher(&[(DEPLOYMENTS, &deployment(false))]);
    let cancel = stage.session.cancel.clone();
    let signal = async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    };
    let (waited, ()) = tokio::join!(watcher.until(Goal::Ready(&ids), soon()), signal);
    assert_eq!(waited.expect_err("it was interrupted").kind(), Kind::Interrupted);
}

#[tokio::test]
async fn what_became_ready_a_moment_ago_is_watched_for_a_while() {
    let stage = Lab::set().await;
    let mut live = deployment(true);
    live["spec"] = json!({"replicas": 1});
    live["status"]["conditions"][0]["lastTransitionTime"] = json!(Timestamp::now());
    let set =
        vec![Watched { object: deployment(false).into(), place: None, live: Some(live.clone().into()) }];
    stage.server.put(DEPLOYMENTS, live);
    let mut watcher = Watcher::new(&stage.session, &stage.cluster, Stage::Release, set);
    let ids = [ObjectId::of(&deployment(false))];
    watcher.until(Goal::Ready(&ids), soon()).await.expect("it stays ready");
    assert!(stage.server.requests().iter().any(|request| request.contains("/pods")));
}

#[tokio::test]
async fn what_a_good_release_waited_for_is_not_waited_for_again() {
    let ended = Timestamp::now();
    for (changed, is_asked) in [(-2, false), (1, true)] {
        let stage = Lab::set().await;
        let mut live = deployment(true);
        live["spec"] = json!({"replicas": 1});
        let changed = ended + jiff::SignedDuration::from_secs(changed);
        live["status"]["conditions"][0]["lastTransitionTime"] = json!(changed);
        let set =
            vec![Watched { object: deployment(false).into(), place: None, live: Some(live.clone().into()) }];
        stage.server.put(DEPLOYMENTS, live);
        let mut watcher = Watcher::new(&stage.session, &stage.cluster, Stage::Release, set);
        watcher.was_good_at(Some(ended));
        let ids = [ObjectId::of(&deployment(false))];
        watcher.until(Goal::Ready(&ids), soon()).await.expect("it is ready");
        assert_eq!(!stage.server.requests().is_empty(), is_asked, "{changed}");
    }
}

#[tokio::test]
async fn a_custom_resource_whose_manifest_names_no_namespace_is_found() {
    let stage = Lab::set().await;
    let mut manifest = thing("example.com/v1", "Widget", "w");
    manifest["metadata"].as_object_mut().expect("metadata").shift_remove("namespace");
    let set = vec![Watched { object: manifest.clone().into(), place: None, live: None }];
    let mut watcher = Watcher::new(&stage.session, &stage.cluster, Stage::Release, set);
    let mut live = thing("example.com/v1", "Widget", "w");
    live["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    watcher.applied(&live);
    let ids = [ObjectId::of(&manifest)];
    watcher.until(Goal::Ready(&ids), soon()).await.expect("it is ready");
    assert!(watcher.is_ready(&ids[0]));
}

#[tokio::test]
async fn what_comes_right_while_others_settle_is_good() {
    let stage = Lab::set().await;
    let pod = thing("v1", "Pod", "once");
    let objects = [(PODS, &pod), (DEPLOYMENTS, &deployment(false))];
    let (mut watcher, ids) = stage.watcher(&objects);
    let server = stage.server.clone();
    let in_phase = move |phase: &str| {
        let mut pod = thing("v1", "Pod", "once");
        pod["status"] = json!({"phase": phase});
        pod
    };
    let controller = async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.put(PODS, in_phase("Failed"));
        tokio::time::sleep(SETTLE / 2).await;
        server.put(PODS, in_phase("Succeeded"));
        server.put(DEPLOYMENTS, deployment(true));
    };
    let (waited, ()) = tokio::join!(watcher.until(Goal::Ready(&ids), soon()), controller);
    waited.expect("both are well in the end");
    assert!(stage.ear.heard().contains(&"Pod/once failed".to_owned()), "{:?}", stage.ear.heard());
}

const SERVICES: &str = "/api/v1/namespaces/shop/services";

/// A watcher of one ready Service that selects no pod.
async fn unserved(stage: &Lab) -> Watcher {
    let mut service = thing("v1", "Service", "web");
    service["spec"] = json!({"clusterIP": "10.96.0.1", "selector": {"app": "web"}});
    let (mut watcher, ids) = stage.watcher(&[(SERVICES, &service)]);
    watcher.until(Goal::Ready(&ids), soon()).await.expect("it has its address");
    assert!(!watcher.is_served());
    watcher
}

fn question(before: Before, millis: u64) -> EndpointCheck<'static> {
    EndpointCheck { pruned: &[], before, until: Instant::now() + Duration::from_millis(millis) }
}

#[tokio::test]
async fn a_service_without_pods_fails_when_the_wait_is_over() {
    let stage = Lab::set().await;
    let mut watcher = unserved(&stage).await;
    let error = watcher.endpoints(&question(Before::Nothing, 300)).await.expect_err("no pod comes");
    assert_eq!((error.kind(), error.message()), (Kind::Rollout, "1 of 1 objects failed: Service/web"));
    assert_eq!(error.failures()[0].cause, "no-endpoints");
    assert_eq!(stage.ear.heard(), ["Service/web ready", "Service/web failed"]);
}

#[tokio::test]
async fn what_was_without_pods_before_gets_a_warning_at_once() {
    let stage = Lab::set().await;
    let mut watcher = unserved(&stage).await;
    let began = Instant::now();
    let lacks = watcher.endpoints(&question(Before::Anything, 5000)).await.expect("a warning only");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(lacks.iter().map(|one| one.wants.as_str()).collect::<Vec<_>>(), ["app=web"]);
    // This selector is in the record; another one is a new mistake.
    let recorded = Before::Recorded(lacks.into_iter().collect());
    watcher.endpoints(&question(recorded, 5000)).await.expect("a warning only");
    let mut other = thing("v1", "Service", "web");
    other["spec"] = json!({"selector": {"app": "other"}});
    watcher
        .endpoints(&question(Before::Set(vec![other]), 100))
        .await
        .expect_err("that set lacked something else");
    let warned = stage.ear.heard().iter().filter(|line| line.starts_with("warning: Service/web")).count();
    assert_eq!(warned, 1, "{:?}", stage.ear.heard());
}

#[tokio::test]
async fn whoever_may_not_list_pods_is_warned() {
    let stage = Lab::set().await;
    let mut watcher = unserved(&stage).await;
    stage.server.faults(|_, path| path.contains("/pods").then_some(Fault::Code(403, 0)));
    watcher.endpoints(&question(Before::Nothing, 5000)).await.expect("a warning only");
    let heard = stage.ear.heard();
    assert!(heard.iter().any(|line| line.contains("(pods may not be listed)")), "{heard:?}");
}

#[tokio::test]
async fn a_pod_that_goes_with_what_is_pruned_does_not_count() {
    let stage = Lab::set().await;
    let mut watcher = unserved(&stage).await;
    let owned = |object: Value, api_version: &str, kind: &str, name: &str| {
        let mut object = object;
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": name, "controller": true}]);
        object
    };
    let pruned = [thing("apps/v1", "Deployment", "old")];
    let set = owned(thing("apps/v1", "ReplicaSet", "old-1"), "apps/v1", "Deployment", "old");
    stage.server.put("/apis/apps/v1/namespaces/shop/replicasets", set);
    let mut pod = owned(thing("v1", "Pod", "old-1-a"), "apps/v1", "ReplicaSet", "old-1");
    pod["metadata"]["labels"] = json!({"app": "web"});
    stage.server.put(PODS, pod);
    watcher.endpoints(&question(Before::Nothing, 5000)).await.expect("it is served");
    let question = EndpointCheck { pruned: &pruned, ..question(Before::Nothing, 100) };
    watcher.endpoints(&question).await.expect_err("the pod goes with its Deployment");
}
