//! What the containers of a test's pod say: the test's lines while they come, the reports in its log, and the last lines
//! of whoever died.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::{Cluster, ContainerRef, LogOptions};
use crate::model::{Evidence, ObjectRef, Stage, Stream};
use crate::report::Reporter;
use crate::session::Session;
use crate::test::case::own_lines;
use crate::test::cluster::outcome::Log;
use crate::test::cluster::pod;
use crate::test::reports;
use crate::text::lines::Tail;

/// So many of the last lines are kept as evidence.
const TAIL: u32 = 20;
/// A log that has not begun, or was cut short, is asked for again after this, …
const PAUSE: Duration = Duration::from_millis(200);
/// … one that has not begun so often, …
const BEGINNINGS: u32 = 10;
/// … and one that was cut short so often.
const READINGS: u32 = 5;

/// Listens to the pod of one test.
pub(crate) struct LogStream {
    cluster: Cluster,
    reporter: Reporter,
    /// The test's name.
    name: String,
    heard: Arc<Mutex<Heard>>,
    listener: Option<(ContainerRef, AbortOnDropHandle<()>)>,
}

struct Heard {
    log: Log,
    tail: Tail,
}

impl LogStream {
    /// Nobody listens yet. Reports are announced in the log by this mark.
    pub(crate) fn new(cluster: &Cluster, session: &Session, name: &str, mark: String) -> Self {
        let heard = Heard { log: Log::new(mark), tail: Tail::of(TAIL as usize) };
        Self {
            cluster: cluster.clone(),
            reporter: session.reporter.clone(),
            name: name.to_owned(),
            heard: Arc::new(Mutex::new(heard)),
            listener: None,
        }
    }

    /// Whether somebody listens.
    pub(crate) fn has_begun(&self) -> bool {
        self.listener.is_some()
    }

    /// Hears every line of the test, from its first.
    pub(crate) fn begin(&mut self, pod: &Value) {
        if self.listener.is_some() {
            return;
        }
        let container = self.container(pod, pod::TEST);
        let (cluster, reporter, name) = (self.cluster.clone(), self.reporter.clone(), self.name.clone());
        let (heard, source) = (self.heard.clone(), container.clone());
        let listening = tokio::spawn(async move {
            // The kubelet may not know yet that it has begun.
            for _ in 0..BEGINNINGS {
                let mut lines = cluster.follow_log(source.clone());
                while let Ok(Some(line)) = lines.next().await {
                    let heard = &mut *heard.lock().unwrap_or_else(PoisonError::into_inner);
                    for said in heard.log.line(&line) {
                        heard.tail.push(&said);
                        reporter.log(Stage::Test, &name, Stream::Stdout, said);
                    }
                }
                if lines.position().is_some() {
                    return;
                }
                sleep(PAUSE).await;
            }
        });
        self.listener = Some((container, AbortOnDropHandle::new(listening)));
    }

    /// The reports in the log, which is heard to its end, but no longer than `patience`; where it was cut short it is
    /// read once more.
    pub(crate) async fn reports(&mut self, patience: Duration) -> Vec<reports::FetchedReports> {
        let Some((container, listening)) = self.listener.take() else { return Vec::new() };
        let _ = timeout(patience, listening).await;
        let (mut archives, again) = {
            let log = &self.heard().log;
            (log.archives(), log.is_cut_short().then(|| log.again()))
        };
        let Some(unread) = again else { return archives };
        for _ in 0..READINGS {
            let mut whole = unread.again();
            let mut lines = self.cluster.log(container.clone(), LogOptions::default());
            while let Ok(Some(line)) = lines.next().await {
                whole.line(&line);
            }
            archives = whole.archives();
            if !whole.is_cut_short() {
                break;
            }
            sleep(PAUSE).await;
        }
        archives
    }

    /// The last lines of the test.
    pub(crate) fn own_lines(&self) -> Option<Evidence> {
        own_lines(self.heard().tail.lines())
    }

    /// The last lines of a service: of the instance that died, where one did.
    pub(crate) async fn service_lines(&self, pod: &Value, name: &str) -> Option<Evidence> {
        let container = self.container(pod, &pod::container_of(name));
        let cluster = self.cluster.for_cleanup();
        // Started again between two questions, the instance that died is the previous one after all.
        for previous in [true, false, true] {
            let lines = cluster.last_lines(&container, TAIL, previous).await.ok().flatten();
            if let Some(lines) = lines.filter(|lines| !lines.is_empty()) {
                return Some(Evidence { title: format!("service {name}, the last lines"), lines });
            }
        }
        None
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn container(&self, pod: &Value, name: &str) -> ContainerRef {
        ContainerRef {
            namespace: self.cluster.namespace().to_owned(),
            pod: ObjectRef::of(pod).name,
            container: name.to_owned(),
        }
    }
}
