//! A namespace of many pods is watched with little memory: only one page of what the server sends is there at a time, and of
//! each pod only what a verdict asks for. In a process of its own, whose whole memory is measured.

#![expect(clippy::unwrap_used, reason = "a test may fail at any point")]

use std::time::Duration;

use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
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

const PODS: usize = 15_000;
const PAGE: usize = 500;
/// With what this process itself needs to be the server. As JSON the pods are about 100 MB.
const MOST: usize = 48 << 20;

const TEMPLATE: &str = r#"{"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
    {"name": "web", "image": "registry.example.com/web:1", "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}},
    {"name": "proxy", "image": "registry.example.com/proxy:1", "readinessProbe": {"tcpSocket": {"port": 9000}}}]}}"#;

fn template() -> Value {
    serde_json::from_str(TEMPLATE).unwrap()
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "d", "generation": 1},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
        "status": {"observedGeneration": 1, "replicas": PODS, "updatedReplicas": PODS, "readyReplicas": PODS - 1,
            "availableReplicas": PODS - 1, "conditions": [{"type": "Available", "status": "True"}]},
    })
}

fn replica_set() -> Value {
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true});
    json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "r", "labels": {"app": "web", "pod-template-hash": "1"},
            "ownerReferences": [owner]},
        "spec": {"replicas": PODS, "template": template()},
    })
}

/// What stands for a pod's number.
const NUMBER: &str = "@@@@@";

/// The JSON of a pod as large as pods are; the last one of all dies again and again.
fn pod(is_last: bool) -> String {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": true});
    let mut spec = template()["spec"].clone();
    let env: Vec<Value> =
        (0..40).map(|key| json!({"name": format!("KEY_{key}"), "value": "v".repeat(20)})).collect();
    let access = format!("kube-api-access-{NUMBER}");
    for container in spec["containers"].as_array_mut().unwrap() {
        container["env"] = json!(env);
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
    .to_string()
}

fn list(items: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"metadata": {"resourceVersion": "1"}, "items": items}))
}

fn page(from: usize) -> ResponseTemplate {
    let to = (from + PAGE).min(PODS);
    let after = if to < PODS { to.to_string() } else { String::new() };
    let (well, dying) = (pod(false), pod(true));
    let numbered = |number: usize| {
        let pod = if number + 1 == PODS { &dying } else { &well };
        pod.replace(NUMBER, &format!("{number:05}"))
    };
    let items: Vec<String> = (from..to).map(numbered).collect();
    let json = format!(
        r#"{{"metadata": {{"resourceVersion": "1", "continue": "{after}"}}, "items": [{}]}}"#,
        items.join(",")
    );
    ResponseTemplate::new(200).set_body_raw(json, "application/json")
}

fn answer(request: &Request) -> ResponseTemplate {
    let query = |name: &str| {
        let found = request.url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    if query("watch").is_some() {
        return ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    }
    match request.url.path().rsplit('/').next() {
        Some("pods") => {
            let from: usize = query("continue").map_or(0, |after| after.parse().unwrap());
            assert_eq!(query("limit").as_deref(), Some("500"), "pods are asked for page by page");
            page(from)
        }
        Some("replicasets") => list(&[replica_set()]),
        Some("deployments") => list(&[deployment()]),
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

#[tokio::test]
async fn fifteen_thousand_pods_are_watched_with_little_memory() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let session = Session::new(Reporter::silent());
    let cluster = connect(&server, &session).await;
    let set = vec![Watched { object: deployment().into(), place: None, live: None }];
    let mut watcher = Watcher::new(&session, &cluster, Stage::Release, set);
    watcher.applied(&deployment());
    let ids = [ObjectId::of(&deployment())];
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let deadline = Instant::now() + Duration::from_secs(120);
    let error =
        watcher.until(Goal::Ready(&ids), deadline).await.expect_err("the last pod dies again and again");
    let most = MEMORY.peak_usage() - before;
    assert_eq!(error.kind(), Kind::Rollout, "{error}");
    assert!(error.failures()[0].message.contains("exited 1"), "{:?}", error.failures()[0]);
    assert!(most < MOST, "{} MiB for {PODS} pods", most >> 20);
}
