//! Follows the logs of a Job's pods and prints each line as it arrives, while the Job is waited for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, ContainerRef};
use crate::model::{Stage, Stream, object};
use crate::report::Reporter;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::pod::Pod;

/// How many containers are followed at the same time.
const MOST: usize = 20;
/// How long to wait for the last lines of ended containers, as long as lines keep arriving.
const DRAIN: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_millis(300);

/// The containers that are followed.
pub(super) struct Follows {
    cluster: Cluster,
    reporter: Reporter,
    stage: Stage,
    /// Instances that are followed now or were before.
    known: HashSet<String>,
    tasks: JoinSet<()>,
    line: Arc<Notify>,
}

impl Follows {
    pub(super) fn new(cluster: &Cluster, reporter: &Reporter, stage: Stage) -> Self {
        Self {
            cluster: cluster.clone(),
            reporter: reporter.clone(),
            stage,
            known: HashSet::new(),
            tasks: JoinSet::new(),
            line: Arc::default(),
        }
    }

    /// Follows every started container of the Job's pods that is not followed yet.
    pub(super) fn observe(&mut self, snapshot: &ClusterSnapshot, job: &Value) {
        while self.tasks.try_join_next().is_some() {}
        for pod in snapshot.pods_of(job) {
            for (container, instance) in begun(pod) {
                if self.tasks.len() < MOST && self.known.insert(instance) {
                    self.follow(object::title(job), container);
                }
            }
        }
    }

    fn follow(&mut self, source: String, container: ContainerRef) {
        let (reporter, stage, line) = (self.reporter.clone(), self.stage, Arc::clone(&self.line));
        let mut log = self.cluster.follow_log(container);
        self.tasks.spawn(async move {
            loop {
                match log.next().await {
                    Ok(Some(text)) => reporter.log(stage, &source, Stream::Stdout, text),
                    Ok(None) => return,
                    // The log is for people; the verdict does not depend on it.
                    Err(error) => return tracing::debug!(%error, "a log cannot be followed"),
                }
                line.notify_one();
            }
        });
    }

    /// Waits for the last lines of ended containers, then stops following the rest.
    pub(super) async fn finish(&mut self) {
        let all = async {
            loop {
                tokio::select! {
                    ended = self.tasks.join_next() => if ended.is_none() { return },
                    () = self.line.notified() => {}
                    () = tokio::time::sleep(QUIET) => return,
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN, all).await;
        self.tasks.abort_all();
    }
}

/// The started containers of a pod, each with a key that identifies its instance.
fn begun(pod: &Pod) -> Vec<(ContainerRef, String)> {
    let all = pod.template.containers.iter().zip(&pod.containers);
    all.filter(|(_, status)| status.has_begun())
        .map(|(one, status)| {
            let container = ContainerRef {
                namespace: pod.namespace.to_string(),
                pod: pod.name.to_string(),
                container: one.name.to_string(),
            };
            let instance = format!("{}/{}/{}", pod.uid, one.name, status.restarts);
            (container, instance)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_followed_once_it_has_begun() {
        let status = |name: &str, state: &str| json!({"name": name, "state": {state: {"x": 1}}});
        let pod = json!({"metadata": {"name": "migrate-a", "namespace": "shop", "uid": "1"}, "status": {
            "initContainerStatuses": [status("wait", "terminated")],
            "containerStatuses": [status("app", "waiting"), status("proxy", "running")],
        }});
        let names: Vec<String> =
            begun(&Pod::of(&pod)).into_iter().map(|(container, _)| container.container).collect();
        assert_eq!(names, ["wait", "proxy"]);
    }
}
