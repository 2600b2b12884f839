//! Polls what no watch reports: objects that may be read but not watched, whether discovery serves a definition,
//! whether a ConfigMap or Secret that a pod lacked exists by now, and logs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{self, Cluster, ContainerRef};
use crate::error::Result;
use crate::model::{ObjectId, ObjectRef, Verdict, object};
use crate::rollout::health::{LogQuestion, LogSource};
use crate::rollout::made_elsewhere;
use crate::rollout::watch::evidence::LINES;
use crate::rollout::watch::tracked::without_managed_fields;
use crate::rollout::watch::watcher::{DISCOVER, POLL, Watcher};

/// Timeout for checking whether an object exists, and for reading a log.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout for discovery.
const DISCOVERY: Duration = Duration::from_secs(5);

impl Watcher {
    /// Reads the objects that may be read but not watched.
    pub(crate) async fn poll_unwatched(&mut self, waiting: &[ObjectId]) -> Result<()> {
        let unwatched = |id: &&ObjectId| self.rights.is_unwatched(&self.set[*id].needs);
        let unwatched: Vec<ObjectId> = waiting.iter().filter(unwatched).cloned().collect();
        if unwatched.is_empty() || self.polled.is_some_and(|polled| polled.elapsed() < POLL) {
            return Ok(());
        }
        for id in unwatched {
            let tracked = &self.set[&id];
            match self.cluster.get(&ObjectRef::of(tracked.newest())).await {
                Ok(Some(found)) => self.snapshot.upsert(without_managed_fields(found)),
                Ok(None) => self.snapshot.remove(tracked.id()),
                // The deadline ends this.
                Err(error) if cluster::is_unreachable(&error) => continue,
                Err(error) => return Err(error),
            }
            self.dirty.insert(id);
        }
        self.polled = Some(Instant::now());
        Ok(())
    }

    /// Whether a `ConfigMap`, a Secret or a key exists by now although an object failed because it was missing: the
    /// kubelet, which checks about every 10 s, then gets the time to see it.
    pub(crate) async fn has_come(&mut self, ids: &[ObjectId]) -> bool {
        let lacks = |id: &ObjectId| {
            let judgement = self.set[id].judgement.as_ref()?;
            let lacks = judgement.lacks.as_ref().filter(|_| judgement.verdict == Verdict::Failed)?;
            Some((id.clone(), lacks.clone()))
        };
        let asked = ids.iter().filter_map(lacks).map(|(id, missing)| async {
            let reference = ObjectRef::new("v1", missing.kind, &missing.name).in_namespace(&id.namespace);
            let found =
                tokio::time::timeout(REQUEST_TIMEOUT, self.cluster.get(&reference)).await.ok()?.ok()??;
            has_key(&found, missing.key.as_deref()).then_some((id, missing))
        });
        let come: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
        for (id, missing) in &come {
            Arc::make_mut(&mut self.made_elsewhere).push((missing.kind.to_owned(), missing.name.clone()));
            self.dirty.insert(id.clone());
        }
        !come.is_empty()
    }

    /// Reads the logs that say more about a death than the status. Returns whether any were read.
    pub(crate) async fn read_logs(&mut self, ids: &[ObjectId]) -> bool {
        let asked = |id: &ObjectId| Some((id.clone(), self.set[id].asks()?.clone()));
        let asked: Vec<(ObjectId, LogQuestion)> = ids.iter().filter_map(asked).collect();
        let read = asked.into_iter().map(|(id, question)| async {
            // If the log cannot be read, nothing more is known than before.
            let lines = tokio::time::timeout(REQUEST_TIMEOUT, log_of(&self.cluster, &question)).await;
            (id, question, lines.ok().and_then(Result::ok).flatten().unwrap_or_default())
        });
        let read = futures::future::join_all(read).await;
        for (id, question, log) in &read {
            if let Some(tracked) = self.set.get_mut(id) {
                tracked.answer(question.clone(), log.clone());
            }
            self.dirty.insert(id.clone());
        }
        !read.is_empty()
    }

    /// Checks whether discovery serves new definitions, because only then can they be used. Returns whether it was
    /// asked.
    pub(crate) async fn ask_discovery(&mut self, ids: &[ObjectId]) -> bool {
        let unknown = |id: &&ObjectId| self.set[*id].is_served_unknown();
        let unknown: Vec<ObjectId> = ids.iter().filter(unknown).cloned().collect();
        if unknown.is_empty() || self.discovered.is_some_and(|asked| asked.elapsed() < DISCOVER) {
            return false;
        }
        let asked = async {
            self.cluster.discover().await?;
            self.cluster.resources().await
        };
        let answer = tokio::time::timeout(DISCOVERY, asked).await;
        self.discovered = Some(Instant::now());
        let Ok(Ok(served)) = answer else { return false };
        for id in unknown {
            let Some(tracked) = self.set.get_mut(&id) else { continue };
            let is_served = |(version, kind): &(String, String)| {
                served.iter().any(|one| one.api_version == *version && one.kind == *kind)
            };
            tracked.served = Some(made_elsewhere::defined(&tracked.manifest).iter().all(is_served));
            self.dirty.insert(id);
        }
        true
    }
}

/// The last lines of the log of an instance that died.
async fn log_of(cluster: &Cluster, question: &LogQuestion) -> Result<Option<Vec<String>>> {
    let LogSource { namespace, pod, container, previous } = question.source.clone();
    let container = ContainerRef { namespace, pod, container };
    // The first instance may have been restarted since it was seen dead: then it is the previous one.
    if !previous && question.instance == 1 {
        let lines = cluster.last_lines(&container, LINES, true).await?;
        if lines.is_some() {
            return Ok(lines);
        }
    }
    cluster.last_lines(&container, LINES, previous).await
}

fn has_key(found: &Value, key: Option<&str>) -> bool {
    key.is_none_or(|key| ["data", "binaryData"].iter().any(|map| found[*map].get(key).is_some()))
        && !object::has(found, "/metadata/deletionTimestamp")
}
