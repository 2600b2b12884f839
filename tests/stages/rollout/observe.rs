//! What the API server sends to somebody who watches a namespace, and when: to measure by.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::case::Decisive;

const RESOURCES: [(&str, &str); 5] = [
    ("api/v1", "pods"),
    ("apis/apps/v1", "deployments"),
    ("apis/apps/v1", "replicasets"),
    ("apis/apps/v1", "statefulsets"),
    ("apis/batch/v1", "jobs"),
];

type Seen = Arc<Mutex<Vec<(Instant, &'static str, Value)>>>;

/// Watches a namespace until it is dropped.
pub(super) struct Observer {
    seen: Seen,
    watches: Vec<Child>,
}

impl Observer {
    pub(super) fn of(namespace: &str) -> Self {
        let seen = Seen::default();
        let watches =
            RESOURCES.map(|(group, resource)| watch(namespace, group, resource, Arc::clone(&seen))).into();
        Self { seen, watches }
    }

    /// When, after this instant, the decisive status of an object whose name begins like this came.
    pub(super) fn first(&self, since: Instant, name: &str, decisive: Decisive) -> Option<Instant> {
        let seen = self.seen.lock().unwrap();
        let fits = |(at, resource, object): &&(Instant, &str, Value)| {
            *at >= since
                && *resource == decisive.resource
                && object["metadata"]["name"].as_str().is_some_and(|found| found.starts_with(name))
                && (decisive.holds)(object)
        };
        seen.iter().find(fits).map(|(at, ..)| *at)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        for watch in &mut self.watches {
            let _ = watch.kill();
            let _ = watch.wait();
        }
    }
}

fn watch(namespace: &str, group: &str, resource: &'static str, seen: Seen) -> Child {
    let path = format!("/{group}/namespaces/{namespace}/{resource}?watch=true");
    let mut child = Command::new("kubectl")
        .args(["--context", "lab-real", "get", "--raw", &path])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let at = Instant::now();
            let Ok(mut event) = serde_json::from_str::<Value>(&line) else { continue };
            seen.lock().unwrap().push((at, resource, event["object"].take()));
        }
    });
    child
}

/// How often a container of the pod has died.
pub(super) fn deaths(pod: &Value) -> i64 {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let statuses = lists.into_iter().flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
    statuses
        .map(|status| {
            let dead = !status["state"]["terminated"].is_null()
                || status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
            status["restartCount"].as_i64().unwrap_or(0) + i64::from(dead)
        })
        .max()
        .unwrap_or(0)
}

/// Whether a container of the pod waits for this reason.
pub(super) fn waits(pod: &Value, reason: &str) -> bool {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut statuses =
        lists.into_iter().flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
    statuses.any(|status| status["state"]["waiting"]["reason"] == reason)
}

/// Whether a condition is true.
pub(super) fn is(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == condition && one["status"] == "True")
}
