//! A namespace of many pods, or of many old ReplicaSets, is watched with little memory: only one page of what the server
//! sends is there at a time, and of each object only what a verdict asks for. In a process of its own, whose whole memory is
//! measured.

#![expect(clippy::unwrap_used, reason = "a test may fail at any point")]

use std::time::Duration;

use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use windlass::cluster::Cluster;
use windlass::error::Kind;
use windlass::model::{ObjectId, Stage};
use windlass::project::Target;
use windlass::report::Reporter;
use windlass::rollout::watch::{Goal, Watched, Watcher};
use windlass::session::Session;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The memory is that of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

const PAGE: usize = 500;

/// What the server has, besides the Deployment and its new ReplicaSet.
#[derive(Clone, Copy)]
struct Namespace {
    pods: usize,
    /// ReplicaSets of earlier revisions.
    old_sets: usize,
}

const TEMPLATE: &str = r#"{"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
    {"name": "web", "image": "registry.example.com/web:1", "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}},
    {"name": "proxy", "image": "registry.example.com/proxy:1", "readinessProbe": {"tcpSocket": {"port": 9000}}}]}}"#;

fn template() -> Value {
    serde_json::from_str(TEMPLATE).unwrap()
}

fn deployment(pods: usize) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "d", "generation": 1},
        "spec": {"replicas": pods, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
        "status": {"observedGeneration": 1, "replicas": pods, "updatedReplicas": pods, "readyReplicas": pods - 1,
            "availableReplicas": pods - 1, "conditions": [{"type": "Available", "status": "True"}]},
    })
}

/// The environment of a container as large as they are.
fn environment(value: &str) -> Value {
    (0..40).map(|key| json!({"name": format!("KEY_{key}"), "value": value})).collect()
}

/// The ReplicaSet of the new revision.
fn replica_set(pods: usize) -> Value {
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true});
    let mut template = template();
    template["metadata"]["creationTimestamp"] = json!(null);
    template["metadata"]["labels"]["pod-template-hash"] = json!("1");
    json!({
        "metadata": {"name": "newest", "namespace": "shop", "uid": "r", "labels": {"app": "web", "pod-template-hash": "1"},
            "ownerReferences": [owner], "creationTimestamp": "2099-11-29T09:59:00Z"},
        "spec": {"replicas": pods, "template": template},
    })
}

/// A ReplicaSet of an earlier revision.
fn old_set() -> Value {
    let mut set = replica_set(0);
    let labels = json!({"app": "web", "pod-template-hash": NUMBER});
    set["metadata"]["name"] = json!(format!("web-{NUMBER}"));
    set["metadata"]["uid"] = json!(format!("set-{NUMBER}{}", "0".repeat(27)));
    set["metadata"]["labels"] = labels.clone();
    set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": NUMBER});
    set["metadata"]["managedFields"] = json!([{"manager": "x", "fieldsV1": {"f:spec": "x".repeat(1500)}}]);
    set["spec"]["selector"] = json!({"matchLabels": labels});
    set["spec"]["template"]["metadata"]["labels"] = labels;
    for container in set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap() {
        container["env"] = environment(NUMBER);
    }
    set["status"] = json!({"replicas": 0, "observedGeneration": 1});
    set
}

/// What stands for an object's number.
const NUMBER: &str = "@@@@@";

/// The JSON of a pod as large as pods are; the last one of all dies again and again.
fn pod(is_last: bool) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "newest", "uid": "r", "controller": true});
    let mut spec = template()["spec"].clone();
    let access = format!("kube-api-access-{NUMBER}");
    for container in spec["containers"].as_array_mut().unwrap() {
        container["env"] = environment(&"v".repeat(20));
        container["volumeMounts"] =
            json!([{"name": access, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    }
    spec["nodeName"] = json!(format!("node-{NUMBER}"));
    spec["volumes"] =
        json!([{"name": access, "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}]);
    let runs = json!({"running": {"startedAt": "2026-11-29T10:00:00Z"}});
    let died = json!({"exitCode": 1, "reason": "Error", "containerID": "containerd://a",
        "startedAt": "2099-11-29T10:00:00Z", "finishedAt": "2099-11-29T10:00:01Z"});
    let status = |name: &str| {
        let id = format!("containerd://{NUMBER}{}", "0".repeat(59));
        if is_last && name == "web" {
            let waits = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
            return json!({"name": name, "ready": false, "restartCount": 5, "state": waits, "lastState": {"terminated": died}});
        }
        json!({"name": name, "ready": true, "started": true, "restartCount": 0, "state": runs, "containerID": id})
    };
    json!({
        "metadata": {"name": format!("web-1-{NUMBER}"), "namespace": "shop", "uid": format!("pod-{NUMBER}{}", "0".repeat(27)),
            "labels": {"app": "web", "pod-template-hash": "1"}, "ownerReferences": [owner],
            "creationTimestamp": "2099-11-29T09:59:00Z",
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:conditions": "x".repeat(1500)}}}]},
        "spec": spec,
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if is_last { "False" } else { "True" }}],
            "containerStatuses": [status("web"), status("proxy")]},
    })
}

fn list(items: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"metadata": {"resourceVersion": "1"}, "items": items}))
}

/// The page that a request asks for, of so many objects; `numbered` is the JSON of one.
fn page(request: &Request, all: usize, numbered: impl Fn(usize) -> String) -> ResponseTemplate {
    assert_eq!(query(request, "limit").as_deref(), Some("500"), "they are asked for page by page");
    let from: usize = query(request, "continue").map_or(0, |after| after.parse().unwrap());
    let to = (from + PAGE).min(all);
    let after = if to < all { to.to_string() } else { String::new() };
    let items: Vec<String> = (from..to).map(numbered).collect();
    let json = format!(
        r#"{{"metadata": {{"resourceVersion": "1", "continue": "{after}"}}, "items": [{}]}}"#,
        items.join(",")
    );
    ResponseTemplate::new(200).set_body_raw(json, "application/json")
}

/// An object as JSON, the last one of all another.
fn with_last(many: &Value, last: &Value, all: usize) -> impl Fn(usize) -> String {
    let (many, last) = (many.to_string(), last.to_string());
    move |number| {
        let one = if number + 1 == all { &last } else { &many };
        one.replace(NUMBER, &format!("{number:05}"))
    }
}

fn query(request: &Request, name: &str) -> Option<String> {
    let found = request.url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

fn answer(request: &Request, Namespace { pods, old_sets }: Namespace) -> ResponseTemplate {
    if query(request, "watch").is_some() {
        return ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    }
    match request.url.path().rsplit('/').next() {
        Some("pods") => page(request, pods, with_last(&pod(false), &pod(true), pods)),
        Some("replicasets") => {
            let sets = old_sets + 1;
            page(request, sets, with_last(&old_set(), &replica_set(pods), sets))
        }
        Some("deployments") => list(&[deployment(pods)]),
        Some("events") => list(&[]),
        Some("selfsubjectreviews") => {
            ResponseTemplate::new(201).set_body_json(json!({"status": {"userInfo": {"username": "me"}}}))
        }
        _ => ResponseTemplate::new(404).set_body_json(json!({"kind": "Status", "code": 404})),
    }
}

async fn connect(server: &MockServer, session: &Session) -> Cluster {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "many",
        "clusters": [{"name": "many", "cluster": {"server": server.uri()}}],
        "contexts": [{"name": "many", "context": {"cluster": "many", "user": "me"}}],
        "users": [{"name": "me", "user": {}}],
    });
    std::fs::write(file.path(), config.to_string()).unwrap();
    let target = Target {
        contexts: vec!["many".to_owned()],
        namespace: "shop".to_owned(),
        kubeconfig: Some(file.path().to_owned()),
        ..Target::default()
    };
    Cluster::connect(&target, session).await.unwrap()
}

/// Watches the Deployment until its last pod has died, and returns the most memory that this took.
async fn peak(namespace: Namespace) -> usize {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(move |request: &Request| answer(request, namespace)).mount(&server).await;
    let session = Session::new(Reporter::silent());
    let cluster = connect(&server, &session).await;
    let deployment = deployment(namespace.pods);
    let set = vec![Watched { object: deployment.clone().into(), place: None, live: None }];
    let mut watcher = Watcher::new(&session, &cluster, Stage::Release, set);
    watcher.applied(&deployment);
    let ids = [ObjectId::of(&deployment)];
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let deadline = Instant::now() + Duration::from_secs(120);
    let error =
        watcher.until(Goal::Ready(&ids), deadline).await.expect_err("the last pod dies again and again");
    let most = MEMORY.peak_usage() - before;
    assert_eq!(error.kind(), Kind::Rollout, "{error}");
    assert!(error.failures()[0].message.contains("exited 1"), "{:?}", error.failures()[0]);
    most
}

#[tokio::test]
async fn fifteen_thousand_pods_are_watched_with_little_memory() {
    /// With what this process itself needs to be the server. As JSON the pods are about 100 MB.
    const MOST: usize = 48 << 20;
    let _alone = ALONE.lock().await;
    let most = peak(Namespace { pods: 15_000, old_sets: 0 }).await;
    assert!(most < MOST, "{} MiB", most >> 20);
}

#[tokio::test]
async fn five_thousand_old_replica_sets_are_watched_with_little_memory() {
    /// As trees of JSON the ReplicaSets are about 230 MB.
    const MOST: usize = 24 << 20;
    let _alone = ALONE.lock().await;
    let most = peak(Namespace { pods: 1, old_sets: 5_000 }).await;
    assert!(most < MOST, "{} MiB", most >> 20);
}
