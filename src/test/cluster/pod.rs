//! The Job of a test on a cluster, and what its pod says of itself: pure, from data to data.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::Exit;
use crate::error::{Error, Kind, Result};
use crate::model::object::{INIT_STATUSES, STATUSES, container_statuses};
use crate::project::{Ready, ServiceConfig, TestConfig};

/// The container that runs the test's command.
pub(super) const TEST: &str = "test";
/// The name of a service's container begins so.
const SERVICE: &str = "service-";
/// How long its containers may take to end when they are asked to.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// So long the cluster keeps what nobody took away: a killed run's Job.
const KEPT: u64 = 600;

/// What the Job is made of.
pub(super) struct Order<'a> {
    pub(super) name: String,
    pub(super) namespace: &'a str,
    pub(super) labels: Value,
    /// Whose it is, as on everything a run starts.
    pub(super) owner: HashMap<String, String>,
    pub(super) test: &'a TestConfig,
    /// The image under test, by digest.
    pub(super) image: String,
    /// The command, with what brings the reports out.
    pub(super) command: Vec<String>,
    /// The images of the services, by name.
    pub(super) services: BTreeMap<String, String>,
    /// Secrets with which the node pulls.
    pub(super) pull_secrets: Vec<String>,
    /// After so long it has ended, whatever happens here.
    pub(super) longest: Duration,
    /// Nothing is to be cleaned up by the cluster.
    pub(super) keep: bool,
}

/// The Job: one pod, tried once. Services are its sidecars: they are there before the test begins, share its network, and
/// end with it.
///
/// # Errors
/// [`Kind::Invalid`] where a service tells that it is ready in a way that a cluster cannot ask.
pub(super) fn job(order: &Order<'_>) -> Result<Value> {
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": order.name, "namespace": order.namespace, "labels": order.labels, "annotations": order.owner,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": order.longest.as_secs(),
            "template": {"metadata": {"labels": order.labels}, "spec": pod(order)?},
        },
    });
    if !order.keep {
        job["spec"]["ttlSecondsAfterFinished"] = KEPT.into();
    }
    Ok(job)
}

fn pod(order: &Order<'_>) -> Result<Value> {
    let services = order.test.services.iter();
    let sidecars: Vec<Value> =
        services.map(|(name, service)| sidecar(order, name, service)).collect::<Result<_>>()?;
    let names: Vec<&String> = order.test.services.keys().collect();
    let aliases = if names.is_empty() { json!([]) } else { json!([{"ip": "127.0.0.1", "hostnames": names}]) };
    let secrets: Vec<Value> = order.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    Ok(json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE.as_secs(),
        // The test is no client of the cluster, and knows of it only what it is told.
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "hostAliases": aliases,
        "imagePullSecrets": secrets,
        "initContainers": sidecars,
        "containers": [{
            "name": TEST,
            "image": order.image,
            "command": order.command.iter().map(|word| literal(word)).collect::<Vec<_>>(),
            "env": environment(&order.test.env),
            "resources": {"limits": limits(order.test)},
        }],
    }))
}

/// A service beside the test.
fn sidecar(order: &Order<'_>, name: &str, service: &ServiceConfig) -> Result<Value> {
    let mut sidecar = json!({
        "name": container_of(name),
        "image": order.services[name],
        "restartPolicy": "Always",
        "env": environment(&service.env),
    });
    if let Some(ready) = &service.ready {
        sidecar["startupProbe"] = probe(name, ready)?;
    }
    Ok(sidecar)
}

fn limits(test: &TestConfig) -> Value {
    let mut limits = json!({});
    if let Some(memory) = test.memory {
        limits["memory"] = memory.to_string().into();
    }
    if let Some(cpus) = test.cpus {
        limits["cpu"] = format!("{cpus}m").into();
    }
    limits
}

/// The text as it must stand in a pod for a container to have it as it is: the kubelet replaces `$(NAME)`, and makes one
/// of two dollars.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

fn environment(variables: &BTreeMap<String, String>) -> Vec<Value> {
    variables.iter().map(|(name, value)| json!({"name": name, "value": literal(value)})).collect()
}

/// How the kubelet asks whether a service is ready.
fn probe(service: &str, ready: &Ready) -> Result<Value> {
    let refused = |what: &str| {
        Err(Error::new(Kind::Invalid, format!("service `{service}`: {what} on a cluster"))
            .with_hint("set one of `command`, `tcp` and `http` to check it"))
    };
    let asked = [!ready.command.is_empty(), ready.tcp.is_some(), ready.http.is_some()];
    let mut probe = match (&ready.http, ready.tcp) {
        _ if ready.log.is_some() => return refused("`ready.log` cannot be waited for"),
        _ if asked.into_iter().filter(|asked| *asked).count() != 1 => {
            return refused("`ready` takes only one check");
        }
        (Some(address), _) => {
            let rest = super::super::ready::port_and_path(address);
            let (port, path) =
                rest.trim_start_matches(':').split_once('/').unwrap_or((rest.trim_start_matches(':'), ""));
            let port = if port.is_empty() { "80" } else { port };
            let Ok(port) = port.parse::<u16>() else { return refused("`ready.http` has no proper port") };
            json!({"httpGet": {"port": port, "path": format!("/{path}")}})
        }
        (None, Some(port)) => json!({"tcpSocket": {"port": port}}),
        (None, None) => json!({"exec": {"command": ready.command}}),
    };
    probe["periodSeconds"] = 1.into();
    probe["timeoutSeconds"] = 2.into();
    probe["failureThreshold"] = ready.timeout.as_secs().max(1).into();
    Ok(probe)
}

/// What a pod says of a container.
pub(super) struct Seen<'a>(&'a Value);

impl<'a> Seen<'a> {
    /// The test's container.
    pub(super) fn test(pod: &'a Value) -> Option<Self> {
        container_statuses(pod, &[STATUSES]).find(|status| status["name"] == TEST).map(Self)
    }

    /// The services' containers, with their names in the configuration.
    pub(super) fn services(pod: &'a Value) -> impl Iterator<Item = (&'a str, Self)> {
        container_statuses(pod, &[INIT_STATUSES])
            .filter_map(|status| Some((status["name"].as_str()?.strip_prefix(SERVICE)?, Self(status))))
    }

    /// Whether its command has begun.
    pub(super) fn has_begun(&self) -> bool {
        !self.0["state"]["running"].is_null() || !self.0["state"]["terminated"].is_null()
    }

    /// How it ended.
    pub(super) fn exit(&self) -> Option<Exit> {
        exit(&self.0["state"]["terminated"])
    }

    /// How long it ran, in whole seconds; zero where that is not known.
    pub(super) fn ran(&self) -> Duration {
        let time = |key: &str| self.0["state"]["terminated"][key].as_str()?.parse::<Timestamp>().ok();
        let (Some(from), Some(to)) = (time("startedAt"), time("finishedAt")) else { return Duration::ZERO };
        Duration::try_from(to.duration_since(from)).unwrap_or_default()
    }

    /// Why it could not begin at all, in the runtime's words.
    pub(super) fn cannot_start(&self) -> Option<&'a str> {
        let ended = [&self.0["state"]["terminated"], &self.0["lastState"]["terminated"]];
        let never =
            |ended: &&Value| ["StartError", "ContainerCannotRun"].iter().any(|one| ended["reason"] == *one);
        let ended = ended.into_iter().find(never)?;
        Some(ended["message"].as_str().unwrap_or("the container runtime gave no reason"))
    }

    /// How its first instance ended, although nobody asked for that.
    pub(super) fn death(&self) -> Option<Exit> {
        exit(&self.0["state"]["terminated"]).or_else(|| exit(&self.0["lastState"]["terminated"]))
    }

    /// Whether it was ever ready, or is on the way.
    pub(super) fn is_started(&self) -> bool {
        self.0["started"] == true
    }

    /// What it waits for: `ImagePullBackOff`.
    pub(super) fn waits_for(&self) -> Option<&'a str> {
        self.0["state"]["waiting"]["reason"].as_str()
    }
}

/// The container of a service.
pub(super) fn container_of(service: &str) -> String {
    format!("{SERVICE}{service}")
}

/// What a pod that has not begun is busy with, for people.
pub(super) fn busy_with(pod: &Value) -> String {
    if pod.pointer("/spec/nodeName").and_then(Value::as_str).is_none() {
        return "waiting for a node".to_owned();
    }
    let waiting = Seen::services(pod).find(|(_, service)| !service.is_started());
    match (waiting, Seen::test(pod).and_then(|test| test.waits_for())) {
        (Some((name, _)), _) => format!("waiting for service {name}"),
        (None, Some("PodInitializing" | "ContainerCreating") | None) => "pulling the image".to_owned(),
        (None, Some(reason)) => reason.to_owned(),
    }
}

fn exit(terminated: &Value) -> Option<Exit> {
    let code = terminated["exitCode"].as_i64()?;
    Some(Exit { code, out_of_memory: terminated["reason"] == "OOMKilled" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::ServiceConfig;

    fn ready() -> Ready {
        Ready { command: Vec::new(), tcp: None, http: None, log: None, timeout: Duration::from_secs(30) }
    }

    #[test]
    fn a_cluster_asks_a_service_in_its_own_ways() {
        let http = probe("db", &Ready { http: Some("http://:8080/health".to_owned()), ..ready() }).unwrap();
        assert_eq!(http["httpGet"], json!({"port": 8080, "path": "/health"}));
        assert_eq!(http["failureThreshold"], 30);
        let bare = probe("db", &Ready { http: Some("/health".to_owned()), ..ready() }).unwrap();
        assert_eq!(bare["httpGet"], json!({"port": 80, "path": "/health"}));
        let tcp = probe("db", &Ready { tcp: Some(5432), ..ready() }).unwrap();
        assert_eq!(tcp["tcpSocket"]["port"], 5432);
        let log = probe("db", &Ready { log: Some("x".to_owned()), ..ready() }).unwrap_err();
        assert!(log.to_string().contains("`ready.log` cannot be waited for on a cluster"), "{log}");
        let two = Ready { tcp: Some(1), command: vec!["true".to_owned()], ..ready() };
        assert!(probe("db", &two).is_err());
    }

    #[test]
    fn services_are_sidecars_under_their_names() {
        let db = ServiceConfig {
            image: "postgres".to_owned(),
            env: [("A".to_owned(), "$(B)".to_owned())].into(),
            ready: None,
        };
        let test = TestConfig {
            services: [("db".to_owned(), db)].into(),
            memory: Some(1024),
            cpus: Some(500),
            ..super::super::super::plan::tests::test(&[])
        };
        let order = Order {
            name: "t".to_owned(),
            namespace: "shop",
            labels: json!({}),
            owner: HashMap::new(),
            test: &test,
            image: "r.test/web@sha256:0".to_owned(),
            command: vec!["make".to_owned()],
            services: [("db".to_owned(), "postgres".to_owned())].into(),
            pull_secrets: vec!["registry".to_owned()],
            longest: Duration::from_secs(60),
            keep: false,
        };
        let job = job(&order).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["hostAliases"], json!([{"ip": "127.0.0.1", "hostnames": ["db"]}]));
        assert_eq!(pod["initContainers"][0]["restartPolicy"], "Always");
        assert_eq!(pod["initContainers"][0]["env"][0]["value"], "$$(B)");
        assert_eq!(pod["containers"][0]["resources"]["limits"], json!({"memory": "1024", "cpu": "500m"}));
        assert_eq!(pod["imagePullSecrets"][0]["name"], "registry");
    }

    #[test]
    fn a_pod_says_what_it_is_busy_with_and_how_it_ended() {
        let mut pod = json!({"spec": {}, "status": {}});
        assert_eq!(busy_with(&pod), "waiting for a node");
        pod["spec"]["nodeName"] = "n".into();
        let waiting = json!({"name": "test", "state": {"waiting": {"reason": "ImagePullBackOff"}}});
        pod["status"]["containerStatuses"] = json!([waiting]);
        assert_eq!(busy_with(&pod), "ImagePullBackOff");
        let died =
            json!({"name": "service-db", "started": false, "lastState": {"terminated": {"exitCode": 1}}});
        pod["status"]["initContainerStatuses"] = json!([died]);
        assert_eq!(busy_with(&pod), "waiting for service db");
        let (name, service) = Seen::services(&pod).next().unwrap();
        assert_eq!((name, service.death()), ("db", Some(Exit { code: 1, out_of_memory: false })));
        let ended =
            json!({"name": "test", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
        pod["status"]["containerStatuses"] = json!([ended]);
        let test = Seen::test(&pod).unwrap();
        assert_eq!(test.exit(), Some(Exit { code: 137, out_of_memory: true }));
        assert!(test.has_begun() && test.cannot_start().is_none());
    }
}
