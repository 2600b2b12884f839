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

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::address::query;
use crate::cluster::error_class::is_unreachable;
use crate::cluster::objects::list::{Item, Page, Pages, resource_version};
use crate::cluster::objects::{Located, unserved};
use crate::cluster::transport::Call;
use crate::cluster::transport::lines::Lines;
use crate::cluster::transport::request_error::RequestError;
use crate::cluster::transport::status::Status;
use crate::cluster::watch::state::{Next, WatchState};
use crate::error::Error;

/// How long one request watches; the server ends it then.
const SECONDS: &str = "120";
/// Silence for longer is a broken connection.
const IDLE: Duration = Duration::from_secs(135);
/// A watch that ended sooner did not work.
const SHORT: Duration = Duration::from_secs(5);
/// An object is never as long as this.
const LONGEST: usize = 16 << 20;
/// How many items wait to be read before the server has to wait.
const QUEUE: usize = 256;
/// How many of them may be there when a page of a list is added: pages are large.
const BESIDE_PAGE: usize = 2;

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

/// What a watch says, of objects that were read to a `T`; as JSON they come with their `apiVersion` and `kind`, without
/// their managed fields.
#[derive(Debug, Clone)]
pub enum WatchItem<T = Value> {
    /// Some of what is there.
    Page {
        /// Whether a list begins with it, for the first time or again.
        first: bool,
        /// The objects.
        items: Vec<T>,
    },
    /// The list is complete: what was known before and was on none of its pages is gone.
    Listed,
    /// An object was created or changed.
    Applied(T),
    /// An object is gone; as it was last.
    Deleted(T),
    /// It may not or cannot be watched; nothing more will come.
    Denied(Error),
    /// The server did not answer, or could not; it is asked again. Said each time.
    Trouble(Error),
    /// It answers again.
    Back,
}

/// What is watched, and what it says.
type Said<T> = (Arc<WatchSubject>, WatchItem<T>);

/// Reads an object that the server sent to what is kept of it.
type Read<T> = Arc<dyn Fn(Item<'_>) -> serde_json::Result<T> + Send + Sync>;

/// The watches of one listener, in one queue. They end when this is dropped.
pub struct Watches<T = Value> {
    cluster: Cluster,
    read: Read<T>,
    sender: mpsc::Sender<Said<T>>,
    receiver: mpsc::Receiver<Said<T>>,
    open: HashMap<WatchSubject, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Watches {
    /// No watch yet; of whole objects.
    pub fn new(cluster: &Cluster) -> Self {
        Self::reading(cluster, |item| item.without_managed_fields())
    }
}

impl<T: Send + 'static> Watches<T> {
    /// No watch yet; of objects that are read to what is needed of them as they come, so that no more is kept.
    pub fn reading(
        cluster: &Cluster,
        read: impl Fn(Item<'_>) -> serde_json::Result<T> + Send + Sync + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (cluster, read) = (cluster.clone(), Arc::new(read));
        Self { cluster, read, sender, receiver, open: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Begins to watch; `false` if it is watched already. Needs a tokio runtime.
    pub fn open(&mut self, subject: WatchSubject) -> bool {
        if self.open.contains_key(&subject) {
            return false;
        }
        let watch = Watch {
            cluster: self.cluster.clone(),
            read: Arc::clone(&self.read),
            subject: Arc::new(subject.clone()),
            sender: self.sender.clone(),
            course: WatchState::default(),
        };
        self.open.insert(subject, self.tasks.spawn(watch.run()));
        true
    }

    /// The next item of any watch. Waits for ever while there is none.
    pub async fn next(&mut self) -> (Arc<WatchSubject>, WatchItem<T>) {
        match self.receiver.recv().await {
            Some(item) => item,
            None => std::future::pending().await,
        }
    }

    /// An item that is there already.
    pub fn try_next(&mut self) -> Option<(Arc<WatchSubject>, WatchItem<T>)> {
        self.receiver.try_recv().ok()
    }
}

/// One watch under way.
struct Watch<T> {
    cluster: Cluster,
    read: Read<T>,
    subject: Arc<WatchSubject>,
    sender: mpsc::Sender<Said<T>>,
    course: WatchState,
}

/// A line of a watch.
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

impl<T: Send + 'static> Watch<T> {
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
                Err(error) if error.is_interruption() => return None,
                Err(error) if is_unreachable(&error) => {
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
    async fn turn(&mut self, located: &Located) -> Option<Result<(), RequestError>> {
        match self.course.position().map(ToOwned::to_owned) {
            None => self.list(located).await,
            Some(position) => self.watch(located, &position).await,
        }
    }

    /// Lists, and sends each page before it asks for the next one.
    async fn list(&mut self, located: &Located) -> Option<Result<(), RequestError>> {
        let mut pages = Pages::default();
        loop {
            let first = pages.is_first();
            let page = match self.page(located, &pages).await {
                Ok(page) => page,
                Err(fault) => return Some(Err(fault)),
            };
            match pages.turn(page.after, &located.resource.kind) {
                Ok(true) => self.send_page(first, page.items).await?,
                Ok(false) => {
                    self.answered(Some(page.position)).await?;
                    self.send_page(first, page.items).await?;
                    return self.send(WatchItem::Listed).await.map(Ok);
                }
                Err(fault) => return Some(Err(fault)),
            }
        }
    }

    async fn page(&self, located: &Located, pages: &Pages) -> Result<ReadPage<T>, RequestError> {
        let transport = &self.cluster.transport;
        let json = transport
            .once(&pages.call(located, &[("labelSelector", self.subject.selector.as_deref())]))
            .await?;
        let page = Page::read(&json).map_err(|error| transport.unreadable(&error))?;
        let items = page.items.iter().map(|json| (self.read)(Item::new(located, json)));
        let items = items.collect::<Result<_, _>>().map_err(|error| transport.unreadable(&error))?;
        Ok(ReadPage { items, after: page.after, position: page.position })
    }

    async fn watch(&mut self, located: &Located, position: &str) -> Option<Result<(), RequestError>> {
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
    async fn take(&mut self, line: &[u8], located: &Located) -> Option<Result<(), RequestError>> {
        let Some((kind, object)) = change(line) else { return Some(Err(broken_off())) };
        if kind == "ERROR" {
            return Some(Err(RequestError::Status(Box::new(Status::read(500, object.get().as_bytes())))));
        }
        if let Some(position) = resource_version(object) {
            self.course.moved(&position);
        }
        // A bookmark says only how far it is.
        let is_news = matches!(kind.as_str(), "ADDED" | "MODIFIED" | "DELETED");
        if !is_news {
            return Some(Ok(()));
        }
        let Ok(object) = (self.read)(Item::new(located, object)) else { return Some(Err(broken_off())) };
        let item = if kind == "DELETED" { WatchItem::Deleted(object) } else { WatchItem::Applied(object) };
        self.send(item).await.map(Ok)
    }

    fn closed(&self) -> RequestError {
        RequestError::Broken(format!("the API server closed the watch of {} at once", self.subject.kind))
    }

    /// The server answered: what was wrong is over.
    async fn answered(&mut self, position: Option<String>) -> Option<()> {
        if self.course.answered(position) { self.send(WatchItem::Back).await } else { Some(()) }
    }

    async fn stumble(&mut self, fault: RequestError, located: &Located) -> Next {
        tracing::debug!(kind = %self.subject.kind, ?fault, "a watch failed");
        let verb = if self.course.position().is_some() { "watch" } else { "list" };
        let stumble = self.course.on_error(&fault);
        let error = |fault: RequestError| {
            unserved(&fault, located).unwrap_or_else(|| fault.into_error(&located.wanted(verb)))
        };
        let told = match (stumble.denied, stumble.trouble) {
            (true, _) => self.send(WatchItem::Denied(error(fault))).await,
            (false, true) => self.send(WatchItem::Trouble(error(fault))).await,
            (false, false) => Some(()),
        };
        if told.is_none() { Next::End } else { stumble.next }
    }

    async fn send(&self, item: WatchItem<T>) -> Option<()> {
        self.sender.send((Arc::clone(&self.subject), item)).await.ok()
    }

    /// Sends a page once little else is waiting to be read.
    async fn send_page(&self, first: bool, items: Vec<T>) -> Option<()> {
        let mut room = self.sender.reserve_many(QUEUE - BESIDE_PAGE).await.ok()?;
        room.next()?.send((Arc::clone(&self.subject), WatchItem::Page { first, items }));
        Some(())
    }
}

/// A page whose items were read.
struct ReadPage<T> {
    items: Vec<T>,
    after: String,
    position: String,
}

/// The type of a change, and the object that it is about.
fn change(line: &[u8]) -> Option<(String, &RawValue)> {
    let Change { kind, object } = serde_json::from_slice(line).ok()?;
    let kind = serde_json::from_str(kind?.get()).ok()?;
    Some((kind, object?))
}

fn broken_off() -> RequestError {
    RequestError::Broken("the API server closed the watch in the middle of an event".to_owned())
}
