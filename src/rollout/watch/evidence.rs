//! What is said of an object that did not become ready: the sentence, the log lines of the container that
//! died, the events, the place in the manifest, and what would help.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{Cluster, ContainerRef};
use crate::error::{Error, Kind};
use crate::model::{Cause, Evidence, Failure, ObjectId, Subject, Verdict, object};
use crate::rollout::health::{Health, LogSource};
use crate::rollout::hint;
use crate::rollout::watch::tracked::TrackedObject;
use crate::rollout::watch::watcher::Watcher;
use crate::text::{display, pointer};

/// So many of a container's last lines are shown.
const LINES: u32 = 20;
/// Evidence that takes longer is left out.
const PATIENCE: Duration = Duration::from_secs(3);

impl Watcher {
    /// The error of the objects that have failed; `None` where none has.
    pub(super) async fn failed(&self, ids: &[ObjectId]) -> Option<Error> {
        let failed = |tracked: &&TrackedObject| tracked.verdict() == Some(Verdict::Failed);
        let failed: Vec<&TrackedObject> = ids.iter().map(|id| &self.set[id]).filter(failed).collect();
        if failed.is_empty() {
            return None;
        }
        let message = format!("{} of {} objects failed: {}", failed.len(), ids.len(), titles(&failed));
        Some(Error::new(Kind::Rollout, message).with_failures(gather(&self.cluster, failed).await))
    }

    /// The error of the objects that did not become ready until the deadline.
    pub(super) async fn late(&self, waiting: &[ObjectId], count: usize) -> Error {
        match self.cluster.silence() {
            Some(silence) => self.unknown(waiting, silence),
            None => self.timed_out(waiting, count).await,
        }
    }

    /// Nobody can say how these are: no request is made for them any more.
    fn unknown(&self, waiting: &[ObjectId], silence: Duration) -> Error {
        let age = display::whole(silence);
        let why = self.feed.trouble.why().map(|why| format!(" ({why})")).unwrap_or_default();
        let message = format!("the API server has not responded for {age}{why}");
        let failures = waiting.iter().map(|id| {
            let tracked = &self.set[id];
            let cause = tracked.judgement.as_ref().and_then(|judgement| judgement.cause);
            Failure {
                subject: Subject::Object(tracked.id().to_string()),
                cause: cause.unwrap_or(Cause::Unknown).to_string(),
                message: format!("last seen {age} ago: {}", tracked.words()),
                hint: None,
                evidence: Vec::new(),
            }
        });
        Error::new(Kind::Unreachable, message).with_failures(failures)
    }

    /// What is known of the set while the API server does not answer: `state unknown, last seen 1m 05s ago:
    /// Deployment/web progressing 0/1`.
    pub fn last_seen(&self) -> String {
        let age = display::whole(self.cluster.heard_ago());
        let waiting: Vec<&TrackedObject> =
            self.set.values().filter(|tracked| tracked.exists() && !tracked.is_done()).collect();
        let words =
            |tracked: &&TrackedObject| format!("{} {}", object::title(&tracked.manifest), tracked.state());
        let words = if !self.set.values().any(TrackedObject::exists) {
            "nothing was applied yet".to_owned()
        } else if waiting.is_empty() {
            "all objects ready".to_owned()
        } else {
            some(&waiting.iter().map(words).collect::<Vec<_>>())
        };
        format!("state unknown, last seen {age} ago: {words}")
    }

    async fn timed_out(&self, waiting: &[ObjectId], count: usize) -> Error {
        let late: Vec<&TrackedObject> = waiting.iter().map(|id| &self.set[id]).collect();
        let titles = titles(&late);
        let mut message = format!("{} of {count} objects did not become ready in time: {titles}", late.len());
        if let Some(trouble) = self.feed.trouble.sentence(Instant::now()) {
            message = format!("{message}; {trouble}");
        }
        Error::new(Kind::TimedOut, message).with_failures(gather(&self.cluster, late).await)
    }
}

/// What is said of these objects, asked for in parallel.
async fn gather(cluster: &Cluster, objects: Vec<&TrackedObject>) -> Vec<Failure> {
    let failures = objects.into_iter().map(|tracked| async move {
        let log_source = tracked.judgement.as_ref().and_then(|judgement| judgement.log_source.as_ref());
        let log = match log_source {
            Some(log_source) => {
                tokio::time::timeout(PATIENCE, last_lines(cluster, log_source)).await.unwrap_or_default()
            }
            None => None,
        };
        failure(tracked, log)
    });
    futures::future::join_all(failures).await
}

/// The last lines of the instance that died, or of the one that runs where nothing is left of that.
async fn last_lines(cluster: &Cluster, log_source: &LogSource) -> Option<Evidence> {
    let container = ContainerRef {
        namespace: log_source.namespace.clone(),
        pod: log_source.pod.clone(),
        container: log_source.container.clone(),
    };
    // Started again between two questions, the instance that died is the previous one after all.
    for previous in [true, false, true].into_iter().skip(usize::from(!log_source.previous)) {
        match cluster.last_lines(&container, LINES, previous).await {
            Ok(Some(lines)) => {
                return Some(Evidence { title: title(log_source, previous, lines.len()), lines });
            }
            Ok(None) => {}
            Err(error) => {
                let title = format!("the log of container {} cannot be read", log_source.container);
                return Some(Evidence { title, lines: vec![error.message().to_owned()] });
            }
        }
    }
    None
}

/// `container app of web-5d9-x2x, previous instance, last 20 lines`
fn title(log_source: &LogSource, previous: bool, count: usize) -> String {
    let instance = if previous { ", previous instance" } else { "" };
    let LogSource { container, pod, .. } = log_source;
    format!("container {container} of {pod}{instance}, last {}", display::count(count, "line"))
}

fn failure(tracked: &TrackedObject, log: Option<Evidence>) -> Failure {
    let judgement = tracked.judgement.as_ref();
    let message = judgement.and_then(|judgement| judgement.message.clone());
    let mut evidence: Vec<Evidence> = log.into_iter().collect();
    evidence.extend(judgement.into_iter().flat_map(|judgement| judgement.evidence.iter().cloned()));
    evidence.extend(manifest(tracked, judgement));
    Failure {
        subject: Subject::Object(tracked.id().to_string()),
        cause: tracked.cause().to_string(),
        message: message.unwrap_or_else(|| "nothing is known of it yet".to_owned()),
        hint: judgement.and_then(|judgement| judgement.cause).and_then(hint::of).map(ToOwned::to_owned),
        evidence,
    }
}

/// Where it stands in the user's files, and the field that it is about.
fn manifest(tracked: &TrackedObject, judgement: Option<&Health>) -> Option<Evidence> {
    let place = tracked.place.as_ref()?;
    let pointer = judgement.and_then(|judgement| judgement.pointer.as_deref());
    let line = pointer.and_then(|pointer| field(&tracked.manifest, pointer));
    Some(Evidence { title: place.to_string(), lines: line.into_iter().collect() })
}

/// `spec.template.spec.containers[0].image: shop/web:1`
fn field(manifest: &Value, pointer: &str) -> Option<String> {
    /// A longer value is a whole section.
    const LONGEST: usize = 200;
    let value = manifest.pointer(pointer)?;
    let path = pointer::path(pointer);
    let text = match value {
        Value::Object(_) | Value::Array(_) => return Some(path),
        Value::String(text) => text.clone(),
        scalar => scalar.to_string(),
    };
    Some(if text.len() > LONGEST { path } else { format!("{path}: {text}") })
}

/// The names of some objects, the first few of them.
fn titles(objects: &[&TrackedObject]) -> String {
    some(&objects.iter().map(|tracked| object::title(&tracked.manifest)).collect::<Vec<_>>())
}

/// The first few of these.
fn some(names: &[String]) -> String {
    const NAMED: usize = 3;
    match names.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_written_as_people_write_it() {
        let manifest = json!({"spec": {"containers": [{"image": "shop/web:1"}], "a/b": {"c": 1}}});
        assert_eq!(
            field(&manifest, "/spec/containers/0/image").as_deref(),
            Some("spec.containers[0].image: shop/web:1")
        );
        assert_eq!(field(&manifest, "/spec/a~1b").as_deref(), Some("spec[a/b]"));
        assert_eq!(field(&manifest, "/spec/missing"), None);
    }
}
