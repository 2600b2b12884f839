//! The report about an object that did not become ready: the message, the log lines of the container that died, the
//! events, the place in the manifest, and a hint.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{Cluster, ContainerRef};
use crate::error::{Error, Kind};
use crate::model::{Cause, Evidence, Failure, ObjectId, Subject, Verdict, object};
use crate::rollout::health::{Health, LogSource};
use crate::rollout::hint;
use crate::rollout::memory::FirstLog;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::pod::Pod;
use crate::rollout::watch::tracked::TrackedObject;
use crate::rollout::watch::watcher::Watcher;
use crate::text::{display, pointer};

/// How many of a container's last lines are shown, …
pub(super) const LINES: u32 = 20;
/// … how many are read, to find errors that were logged earlier, …
const LINES_READ: u32 = 400;
/// … and how many of those are shown.
const TELLING_LINES: usize = 5;
/// Longer log lines are cut, in characters.
const LONGEST_LINE: usize = 500;
/// Evidence that takes longer to collect is left out.
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
        // The user who fixes one mistake also wants to know the other.
        let has_cause = |tracked: &&TrackedObject| {
            let judgement = tracked.judgement.as_ref();
            judgement.is_some_and(|one| one.verdict == Verdict::Progressing && one.cause.is_some())
        };
        let others = ids.iter().map(|id| &self.set[id]).filter(has_cause);
        let all = failed.into_iter().chain(others).collect();
        Some(Error::new(Kind::Rollout, message).with_failures(self.gather(all).await))
    }

    /// The error for the objects that did not become ready before the deadline.
    pub(super) async fn late(&self, waiting: &[ObjectId], count: usize) -> Error {
        match self.cluster.silence() {
            Some(silence) => self.unknown(waiting, silence),
            None => self.timed_out(waiting, count).await,
        }
    }

    /// The error when the API server does not respond: the state of these objects is unknown, and no request can be
    /// made for them.
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

    /// The last known state of the release while the API server does not respond: `state unknown, last seen 1m 05s ago:
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
        // An object that crashed too often has failed by the rules; only the progress of others kept it waiting.
        let (spent, late): (Vec<&TrackedObject>, Vec<&TrackedObject>) =
            waiting.iter().map(|id| &self.set[id]).partition(|tracked| tracked.is_out_of_strikes());
        let failed = format!("{} of {count} objects failed: {}", spent.len(), titles(&spent));
        let (kind, mut message) = match (spent.is_empty(), late.is_empty()) {
            (true, _) => (
                Kind::TimedOut,
                format!("{} of {count} objects did not become ready in time: {}", late.len(), titles(&late)),
            ),
            (false, true) => (Kind::Rollout, failed),
            (false, false) => (Kind::Rollout, format!("{failed}; not ready in time: {}", titles(&late))),
        };
        if let Some(trouble) = self.feed.trouble.sentence(Instant::now()) {
            message = format!("{message}; {trouble}");
        }
        let all = spent.into_iter().chain(late).collect();
        Error::new(kind, message).with_failures(self.gather(all).await)
    }

    /// The failures of these objects, collected in parallel.
    async fn gather(&self, objects: Vec<&TrackedObject>) -> Vec<Failure> {
        let failures = objects.into_iter().map(|tracked| async move {
            let log_source = tracked.judgement.as_ref().and_then(|judgement| judgement.log_source.as_ref());
            let mut log = match log_source {
                Some(log_source) => {
                    let lines = last_lines(&self.cluster, log_source);
                    tokio::time::timeout(PATIENCE, lines).await.unwrap_or_default()
                }
                None => Vec::new(),
            };
            let first_log = tracked.judgement.as_ref().and_then(|judgement| judgement.first_log.as_ref());
            log.extend(first_log.and_then(|first_log| first(first_log, &log)));
            failure(tracked, log, serving(tracked, &self.snapshot))
        });
        futures::future::join_all(failures).await
    }
}

/// The last lines of the instance that died, or of the running one if that log is gone.
async fn last_lines(cluster: &Cluster, log_source: &LogSource) -> Vec<Evidence> {
    let container = ContainerRef {
        namespace: log_source.namespace.clone(),
        pod: log_source.pod.clone(),
        container: log_source.container.clone(),
    };
    // If the container restarted between two requests, the instance that died is the previous one after all.
    for previous in [true, false, true].into_iter().skip(usize::from(!log_source.previous)) {
        match cluster.last_lines(&container, LINES_READ, previous).await {
            Ok(Some(lines)) => return shown(log_source, previous, &lines),
            Ok(None) => {}
            Err(error) => {
                let title = format!("the log of container {} cannot be read", log_source.container);
                return vec![Evidence { title, lines: vec![error.message().to_owned()] }];
            }
        }
    }
    let LogSource { container, pod, .. } = log_source;
    vec![Evidence {
        title: format!("container {container} of {pod} wrote nothing to its log"),
        lines: Vec::new(),
    }]
}

/// The last lines of a log, and earlier lines that report errors: the reason for an exit is often logged some time
/// before.
fn shown(log_source: &LogSource, previous: bool, lines: &[String]) -> Vec<Evidence> {
    static TELLING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i:\b(fatal|error|panic|panicked|exception)\b)|[a-z](Error|Exception)\b")
            .expect("the pattern is a constant")
    });
    let (earlier, last) = lines.split_at(lines.len().saturating_sub(LINES as usize));
    let telling: Vec<&String> = earlier.iter().filter(|line| TELLING.is_match(line)).collect();
    let telling: Vec<String> =
        telling[telling.len().saturating_sub(TELLING_LINES)..].iter().map(|line| clip(line)).collect();
    let title = title(log_source, previous, last.len());
    let mut shown = Vec::new();
    if !telling.is_empty() {
        let count = display::count(telling.len(), "earlier line");
        shown.push(Evidence {
            title: format!("{count} of its log with fatal, error, panic or exception"),
            lines: telling,
        });
    }
    shown.insert(0, Evidence { title, lines: last.iter().map(|line| clip(line)).collect() });
    shown
}

fn clip(line: &str) -> String {
    display::clip(line, LONGEST_LINE)
}

/// The last lines before the first death, if they differ from those before the last one.
fn first(first: &FirstLog, shown: &[Evidence]) -> Option<Evidence> {
    let FirstLog { pod, container, lines } = first;
    let lines: Vec<String> = lines.iter().map(|line| clip(line)).collect();
    let last = shown.first().map_or(&[][..], |last| &last.lines);
    let lasting = |lines: &[String]| display::lasting(&lines.join("\n")).into_owned();
    let title = format!("container {container} of {pod}, first death, {}", lines_title(lines.len()));
    (!lines.is_empty() && lasting(&lines) != lasting(last)).then_some(Evidence { title, lines })
}

/// How many replicas are ready, and whether older pods still serve: `0 of 2 replicas are ready; 2 pods from before the
/// release still serve`.
fn serving(tracked: &TrackedObject, snapshot: &ClusterSnapshot) -> Option<Evidence> {
    let ready = tracked.judgement.as_ref()?.ready.as_deref()?;
    let (ready, wanted) = ready.split_once('/')?;
    let applied = tracked.applied_at()?;
    let is_older = |pod: &&Pod| {
        let created = pod.created.is_some_and(|created| created.as_second() < applied.as_second());
        created && pod.ready.is_true() && !pod.is_being_deleted
    };
    let older = snapshot.pods_below(tracked.newest()).filter(is_older).count();
    let serves = match older {
        0 if ready == "0" => "nothing serves".to_owned(),
        0 => "no pod from before the release serves".to_owned(),
        1 => "1 pod from before the release still serves".to_owned(),
        older => format!("{older} pods from before the release still serve"),
    };
    let title = format!("{ready} of {} ready; {serves}", display::count(wanted.parse().ok()?, "replica"));
    Some(Evidence { title, lines: Vec::new() })
}

/// `container app of web-5d9-x2x, previous instance, last 20 lines`
fn title(log_source: &LogSource, previous: bool, count: usize) -> String {
    let instance = if previous { ", previous instance" } else { "" };
    let LogSource { container, pod, .. } = log_source;
    format!("container {container} of {pod}{instance}, {}", lines_title(count))
}

/// `last line`, `last 20 lines`
fn lines_title(count: usize) -> String {
    if count == 1 { "last line".to_owned() } else { format!("last {count} lines") }
}

fn failure(tracked: &TrackedObject, log: Vec<Evidence>, serving: Option<Evidence>) -> Failure {
    let judgement = tracked.judgement.as_ref();
    let message = judgement.and_then(|judgement| judgement.message.clone());
    let mut evidence = log;
    evidence.extend(serving);
    evidence.extend(judgement.into_iter().flat_map(|judgement| judgement.evidence.iter().cloned()));
    evidence.extend(manifest(tracked, judgement));
    let message = message.unwrap_or_else(|| "its state is not known yet".to_owned());
    let cause = judgement.and_then(|judgement| judgement.cause);
    if let Some(of_pod) = cause.filter(|cause| *cause != tracked.cause()) {
        evidence.push(Evidence { title: "the Job".to_owned(), lines: vec![format!("its pod: {of_pod}")] });
    }
    Failure {
        subject: Subject::Object(tracked.id().to_string()),
        cause: tracked.cause().to_string(),
        hint: cause.and_then(|cause| hint::of(cause, &message)).map(ToOwned::to_owned),
        message,
        evidence,
    }
}

/// The place in the user's files, and the field that the cause is about.
fn manifest(tracked: &TrackedObject, judgement: Option<&Health>) -> Option<Evidence> {
    let written = tracked.place.as_ref()?;
    let pointer = judgement.and_then(|judgement| judgement.pointer.as_deref());
    let line = pointer.and_then(|pointer| field(&tracked.manifest, pointer));
    let place = written.place_of(pointer.filter(|_| line.is_some()).unwrap_or_default());
    Some(Evidence { title: place.to_string(), lines: line.into_iter().collect() })
}

/// `spec.template.spec.containers[0].image: shop/web:1`
fn field(manifest: &Value, pointer: &str) -> Option<String> {
    /// A longer value is not a single field any more.
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

/// The titles of the first few of these objects.
fn titles(objects: &[&TrackedObject]) -> String {
    some(&objects.iter().map(|tracked| object::title(&tracked.manifest)).collect::<Vec<_>>())
}

/// The first few of these names.
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
    fn of_a_log_the_end_is_shown_and_what_told_of_errors_before() {
        let source = LogSource {
            namespace: "shop".into(),
            pod: "web-1".into(),
            container: "web".into(),
            previous: true,
        };
        let mut lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        lines[3] = "FATAL: no such table".into();
        lines[4] = "terror in the night".into();
        lines[39] = "x".repeat(2000);
        let shown = shown(&source, true, &lines);
        let titles: Vec<&str> = shown.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "container web of web-1, previous instance, last 20 lines",
                "1 earlier line of its log with fatal, error, panic or exception"
            ]
        );
        assert_eq!((shown[0].lines.len(), shown[0].lines[19].chars().count()), (20, LONGEST_LINE));
        assert_eq!(shown[1].lines, ["FATAL: no such table"]);
    }

    #[test]
    fn the_first_death_is_shown_where_it_tells_another_story() {
        let shown = |log: &str, last: &str| {
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
            let last = [Evidence { title: "container web".into(), lines: lines(last) }];
            first(&FirstLog { pod: "web-1".into(), container: "web".into(), lines: lines(log) }, &last)
        };
        let told = shown("migrating\nno space left", "table is locked").expect("it differs");
        assert_eq!(told.title, "container web of web-1, first death, last 2 lines");
        assert_eq!(told.lines, ["migrating", "no space left"]);
        let at = |second: u32| format!("2026-10-03T14:00:0{second}Z cannot bind :80");
        assert_eq!(shown(&at(1), &at(9)), None, "only the time differs");
        assert_eq!(shown("", "table is locked"), None);
    }

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
