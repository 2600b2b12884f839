//! Watches: what is there of a kind, and from then on every change, for as long as somebody listens.
//!
//! One watch per kind, namespace and selector. A watch that ends is resumed where it was; one that the server
//! can no longer resume lists again; a server that is away is asked again until it answers.

pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::address::query;
use crate::cluster::objects::{Located, name_kind, unserved};
use crate::cluster::transport::fault::Fault;
use crate::cluster::transport::lines::Lines;
use crate::cluster::transport::status::Status;
use crate::cluster::transport::{Call, LIST};
use crate::cluster::watch::state::{Next, WatchState};
use crate::error::{Error, Kind};

/// How long one request watches; the server ends it then.
const SECONDS: &str = "120";
/// Silence for longer is a broken connection.
const IDLE: Duration = Duration::from_secs(135);
/// A watch that ended sooner did not work.
const SHORT: Duration = Duration::from_secs(5);
/// How many objects are listed per request.
const PAGE: &str = "500";
/// Pages of one list: half a million objects.
const PAGES: u32 = 1000;
/// An object is never as long as this.
const LONGEST: usize = 16 << 20;
/// How many items wait to be read before the server has to wait.
const QUEUE: usize = 256;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchSubject {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `None` means the tier's, or none for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// A label selector.
    pub selector: Option<String>,
}

/// What a watch says. Objects come with their `apiVersion` and `kind`, without their managed fields.
#[derive(Debug, Clone)]
pub enum WatchItem {
    /// All that is there: what was known before and is not among it is gone.
    Listed(Vec<Value>),
    /// An object was created or changed.
    Applied(Value),
    /// An object is gone; as it was last.
    Deleted(Value),
    /// It may not or cannot be watched; nothing more will come.
    Denied(Error),
    /// The server did not answer, or could not; it is asked again. Said each time.
    Trouble(Error),
    /// It answers again.
    Back,
}

/// The watches of one listener, in one queue. They end when this is dropped.
pub struct Watches {
    cluster: Cluster,
    sender: mpsc::Sender<(Arc<WatchSubject>, WatchItem)>,
    receiver: mpsc::Receiver<(Arc<WatchSubject>, WatchItem)>,
    open: HashMap<WatchSubject, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Watches {
    /// No watch yet.
    pub fn new(cluster: &Cluster) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self { cluster: cluster.clone(), sender, receiver, open: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Begins to watch; `false` if it is watched already. Needs a tokio runtime.
    pub fn open(&mut self, subject: WatchSubject) -> bool {
        if self.open.contains_key(&subject) {
            return false;
        }
        let watch = Watch {
            cluster: self.cluster.clone(),
            subject: Arc::new(subject.clone()),
            sender: self.sender.clone(),
            course: WatchState::default(),
        };
        self.open.insert(subject, self.tasks.spawn(watch.run()));
        true
    }

    /// Whether nothing was opened yet.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The next item of any watch. Waits for ever while there is none.
    pub async fn next(&mut self) -> (Arc<WatchSubject>, WatchItem) {
        match self.receiver.recv().await {
            Some(item) => item,
            None => std::future::pending().await,
        }
    }

    /// An item that is there already.
    pub fn try_next(&mut self) -> Option<(Arc<WatchSubject>, WatchItem)> {
        self.receiver.try_recv().ok()
    }
}

/// One watch under way.
struct Watch {
    cluster: Cluster,
    subject: Arc<WatchSubject>,
    sender: mpsc::Sender<(Arc<WatchSubject>, WatchItem)>,
    course: WatchState,
}

impl Watch {
    /// Ends when it is denied, when the run is cancelled, or when nobody listens.
    async fn run(mut self) {
        let Some(located) = self.locate().await else { return };
        while let Some(worked) = self.turn(&located).await {
            let next = match worked {
                Ok(()) => Next::Again { pause: Duration::ZERO },
                Err(fault) => self.stumble(fault, &located).await,
            };
            match next {
                Next::Again { pause } => tokio::time::sleep(pause).await,
                Next::End => return,
            }
        }
    }

    /// Where the kind is served.
    async fn locate(&mut self) -> Option<Located> {
        let WatchSubject { api_version, kind, namespace, .. } = &*Arc::clone(&self.subject);
        loop {
            match self.cluster.locate(api_version, kind, namespace.as_deref()).await {
                Ok(located) => return Some(located),
                Err(error) if error.kind() == Kind::Interrupted => return None,
                Err(error) if error.kind() == Kind::Unreachable => {
                    self.send(WatchItem::Trouble(error)).await?;
                }
                Err(error) => {
                    self.send(WatchItem::Denied(error)).await;
                    return None;
                }
            }
        }
    }

    /// Lists, or watches from where it is. `None` when nobody listens any more.
    async fn turn(&mut self, located: &Located) -> Option<Result<(), Fault>> {
        match self.course.position().map(ToOwned::to_owned) {
            None => match self.list(located).await {
                Ok((items, position)) => {
                    self.answered(Some(position)).await?;
                    self.send(WatchItem::Listed(items)).await.map(Ok)
                }
                Err(fault) => Some(Err(fault)),
            },
            Some(position) => self.watch(located, &position).await,
        }
    }

    async fn list(&self, located: &Located) -> Result<(Vec<Value>, String), Fault> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let parameters = [
                ("labelSelector", self.subject.selector.as_deref()),
                ("limit", Some(PAGE)),
                ("continue", after.as_deref()),
            ];
            let path = located.collection() + &query(&parameters);
            let call = Call { most: LIST, ..Call::get(path, located.wanted("list")) };
            let mut answer = self.cluster.transport.once(&call).await?;
            if let Value::Array(items) = answer["items"].take() {
                all.extend(items.into_iter().map(|item| named(item, located)));
            }
            let text = |name: &str| answer["metadata"][name].as_str().unwrap_or_default().to_owned();
            match text("continue") {
                more if more.is_empty() => return Ok((all, text("resourceVersion"))),
                // The same page again and again.
                more if after.as_ref() == Some(&more) => break,
                more => after = Some(more),
            }
        }
        let kind = &self.subject.kind;
        Err(Fault::TooLong(format!("the list of {kind} that the API server gives does not come to an end")))
    }

    async fn watch(&mut self, located: &Located, position: &str) -> Option<Result<(), Fault>> {
        let parameters = [
            ("watch", Some("true")),
            ("labelSelector", self.subject.selector.as_deref()),
            ("resourceVersion", Some(position)),
            ("allowWatchBookmarks", Some("true")),
            ("timeoutSeconds", Some(SECONDS)),
        ];
        let call = Call::get(located.collection() + &query(&parameters), located.wanted("watch"));
        let began = Instant::now();
        let mut lines = match Lines::open(&self.cluster.transport, &call, LONGEST, IDLE).await {
            Ok(lines) => lines,
            Err(fault) => return Some(Err(fault)),
        };
        self.answered(None).await?;
        let end = loop {
            match lines.next().await {
                Ok(Some(line)) => match self.take(&line, located).await? {
                    Ok(()) => {}
                    Err(fault) => break Err(fault),
                },
                Ok(None) if began.elapsed() < SHORT => break Err(self.closed()),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        if began.elapsed() >= SHORT {
            self.course.lasted();
        }
        Some(end)
    }

    /// One line of a watch.
    async fn take(&mut self, line: &[u8], located: &Located) -> Option<Result<(), Fault>> {
        let Ok(mut event) = serde_json::from_slice::<Value>(line) else {
            return Some(Err(Fault::Broken("the API server broke off in the middle of a change".to_owned())));
        };
        let object = event["object"].take();
        if event["type"] == "ERROR" {
            return Some(Err(Fault::Status(Box::new(Status::read(500, object.to_string().as_bytes())))));
        }
        if let Some(position) = object["metadata"]["resourceVersion"].as_str() {
            self.course.moved(position);
        }
        let item = match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => WatchItem::Applied(named(object, located)),
            Some("DELETED") => WatchItem::Deleted(named(object, located)),
            // A bookmark: only how far it is.
            _ => return Some(Ok(())),
        };
        self.send(item).await.map(Ok)
    }

    fn closed(&self) -> Fault {
        Fault::Broken(format!("the API server closed the watch of {} at once", self.subject.kind))
    }

    /// The server answered: what was wrong is over.
    async fn answered(&mut self, position: Option<String>) -> Option<()> {
        if self.course.answered(position) { self.send(WatchItem::Back).await } else { Some(()) }
    }

    async fn stumble(&mut self, fault: Fault, located: &Located) -> Next {
        tracing::debug!(kind = %self.subject.kind, ?fault, "a watch stumbled");
        let verb = if self.course.position().is_some() { "watch" } else { "list" };
        let stumble = self.course.on_error(&fault);
        let error = |fault: Fault| {
            unserved(&fault, located).unwrap_or_else(|| fault.into_error(&located.wanted(verb)))
        };
        let told = match (stumble.denied, stumble.trouble) {
            (true, _) => self.send(WatchItem::Denied(error(fault))).await,
            (false, true) => self.send(WatchItem::Trouble(error(fault))).await,
            (false, false) => Some(()),
        };
        if told.is_none() { Next::End } else { stumble.next }
    }

    async fn send(&self, item: WatchItem) -> Option<()> {
        self.sender.send((Arc::clone(&self.subject), item)).await.ok()
    }
}

fn named(mut object: Value, located: &Located) -> Value {
    name_kind(&mut object, &located.resource);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}
