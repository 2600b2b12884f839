//! Follows logs across restarts of containers, new pods and outages of the API server, until
//! interrupted.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cluster::{self, Cluster, ContainerRef, LogLine, LogOptions, WatchItem, WatchSubject, Watches};
use crate::error::{Error, Result};
use crate::session::{Session, interrupted};
use crate::tier::logs::members::Members;
use crate::tier::logs::pod::{Instance, LogPod};
use crate::tier::logs::{LogSelection, show};

/// How many lines may wait to be shown before reading from the containers pauses.
const QUEUE: usize = 256;
/// The pause before a log that ended although its container runs is requested again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often to check whether the output still has a reader.
const LOOK: Duration = Duration::from_millis(500);

type Line = (ContainerRef, Result<LogLine>);

/// Follows the logs of the tier's pods.
pub(crate) async fn follow(
    session: &Session,
    cluster: &Cluster,
    wanted: &LogSelection<'_>,
    members: Members,
    namespaces: BTreeSet<String>,
) -> Result<()> {
    let mut watches = Watches::reading(cluster, LogPod::read);
    for namespace in namespaces {
        let namespace = Some(namespace);
        watches.open(WatchSubject {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace,
            selector: None,
        });
    }
    let (sender, mut lines) = mpsc::channel(QUEUE);
    let mut following =
        Following { cluster, wanted, members, sender, pods: HashMap::new(), tasks: JoinSet::new() };
    let mut refresh = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = session.cancel.cancelled() => return Err(interrupted()),
            Some((container, line)) = lines.recv() => show(session, &container, &line?),
            (_, item) = watches.next() => following.take(item).await?,
            _ = refresh.tick() => if !session.reporter.is_read() { return Ok(()) },
        }
    }
}

/// What is followed.
struct Following<'a> {
    cluster: &'a Cluster,
    wanted: &'a LogSelection<'a>,
    members: Members,
    sender: mpsc::Sender<Line>,
    /// The pods by their uid, each with its containers.
    pods: HashMap<String, HashMap<String, watch::Sender<Instance>>>,
    tasks: JoinSet<()>,
}

impl Following<'_> {
    async fn take(&mut self, item: WatchItem<LogPod>) -> Result<()> {
        match item {
            WatchItem::Page { items, .. } => {
                for pod in items {
                    self.refresh(&pod).await?;
                }
            }
            WatchItem::Applied(pod) => self.refresh(&pod).await?,
            // Its log continues until its containers have ended.
            WatchItem::Deleted(pod) => drop(self.pods.remove(&*pod.uid)),
            WatchItem::Denied(error) => return Err(error),
            WatchItem::Trouble(error) => tracing::debug!(%error, "the watch of pods failed"),
            WatchItem::Listed | WatchItem::Back => {}
        }
        Ok(())
    }

    /// Follows the started containers of a pod, and notifies those that are followed of new instances.
    async fn refresh(&mut self, pod: &LogPod) -> Result<()> {
        if !self.pods.contains_key(&*pod.uid) {
            let member = match self.members.of(pod).await {
                Err(error) if cluster::is_unreachable(&error) => return Ok(()),
                member => member?,
            };
            if !member.is_some_and(|member| member.is(self.wanted.request.object.as_deref())) {
                return Ok(());
            }
            self.pods.insert(pod.uid.to_string(), HashMap::new());
        }
        while self.tasks.try_join_next().is_some() {}
        for (container, instance) in self.wanted.containers(pod) {
            let Some(instance) = instance else { continue };
            let Some(known) = self.pods.get_mut(&*pod.uid) else { continue };
            if let Some(sender) = known.get(&container.container) {
                sender.send_if_modified(|old| std::mem::replace(old, instance) != instance);
                continue;
            }
            let (sender, receiver) = watch::channel(instance);
            known.insert(container.container.clone(), sender);
            let log = ContainerLog {
                cluster: self.cluster.clone(),
                container,
                options: self.wanted.options.clone(),
                instances: receiver,
                lines: self.sender.clone(),
            };
            self.tasks.spawn(log.run());
        }
        Ok(())
    }
}

/// The log of one container over all its instances.
struct ContainerLog {
    cluster: Cluster,
    container: ContainerRef,
    options: LogOptions,
    instances: watch::Receiver<Instance>,
    lines: mpsc::Sender<Line>,
}

impl ContainerLog {
    async fn run(mut self) {
        let mut read: Option<i64> = None;
        loop {
            let now = *self.instances.borrow_and_update();
            // An instance started and ended between two updates: read its log as well.
            if read.is_some_and(|read| now.number > read + 1) && self.pass_on(true).await.is_none() {
                return;
            }
            if self.pass_on(false).await.is_none() {
                return;
            }
            read = Some(now.number);
            if now.runs {
                let _ = tokio::time::timeout(AGAIN, self.instances.changed()).await;
                // The pod was deleted, so there will be no more updates.
                if self.instances.has_changed().is_err() {
                    return;
                }
            } else if self.instances.changed().await.is_err() {
                return;
            }
        }
    }

    /// Forwards the lines of the current instance, or of the previous one; `None` if nobody reads them any more.
    async fn pass_on(&mut self, previous: bool) -> Option<()> {
        let options = LogOptions { previous, follow: !previous, ..self.options.clone() };
        let mut log = self.cluster.log(self.container.clone(), options);
        let end = loop {
            match log.next_line().await {
                Ok(Some(line)) => self.send(Ok(line)).await?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Continue after this line.
        self.options.since = log.position();
        self.options.tail = None;
        match end {
            Err(error) if cluster::is_denied(&error) => self.send(Err(error)).await,
            Err(error) => {
                tracing::debug!(%error, "a log cannot be followed");
                Some(())
            }
            Ok(()) => Some(()),
        }
    }

    async fn send(&self, line: Result<LogLine, Error>) -> Option<()> {
        self.lines.send((self.container.clone(), line)).await.ok()
    }
}
