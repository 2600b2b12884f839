//! The door to a Kubernetes API server: the only module that uses kube.
//!
//! Objects cross this door as [`serde_json::Value`]; everything else as types of this module. Every request
//! goes through one HTTP/2 connection, is counted, has a deadline, is repeated only where repeating cannot
//! do harm, and its refusal is said in plain words.

mod access;
mod address;
mod connect;
mod discovery;
mod error_class;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod fuzzing;
mod kinds;
mod kubeconfig;
mod lease;
mod logs;
mod objects;
pub(crate) mod ownership;
mod transport;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::cluster::objects::FieldError;
pub use crate::cluster::objects::contents::Contents;
pub use crate::cluster::objects::deletion::{DeleteOptions, Deleted, Propagation, SeenObject};
pub use crate::cluster::objects::refusal::{ApplyError, Conflict, Refusal, is_person};
pub use error_class::{ErrorClass, is_denied, is_unreachable};
pub use kinds::Resource;
pub use kubeconfig::{Contexts, contexts};
pub use lease::{Holder, Lease, LeaseRequest, LeaseTask, LockWait, ManualLock};
pub use logs::{ContainerRef, LogFollower, LogLine, LogOptions};
pub use objects::ApplyOptions;
pub use objects::list::Item;
pub use objects::projection::{Projection, WITHOUT_MANAGED_FIELDS};
pub use watch::{WatchItem, WatchSubject, Watches};

use jiff::Timestamp;

/// The field manager that owns what windlass applies.
pub const FIELD_MANAGER: &str = "windlass";

/// A connection to the API server of one tier. Cloned freely; all clones share it.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    transport: transport::Transport,
}

struct Inner {
    context: String,
    namespace: String,
    user: tokio::sync::OnceCell<String>,
    version: tokio::sync::OnceCell<Option<String>>,
    discovery: discovery::Cache,
}

impl Cluster {
    /// The namespace of the tier, used for namespaced objects that name none.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The kubeconfig context that was chosen.
    pub fn context(&self) -> &str {
        &self.inner.context
    }

    /// The API server's clock: its last `Date` plus the monotonic time since. Never ahead of it, and
    /// behind by less than a second.
    pub fn now(&self) -> Timestamp {
        self.transport.now()
    }

    /// The same connection for what must still be done after the run was cancelled: records, locks. The
    /// caller bounds it in time.
    #[must_use]
    pub fn for_cleanup(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), transport: self.transport.uncancelled() }
    }

    /// The same connection for the lease itself, whose writes do not wait for the lease.
    fn for_lease(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), transport: self.transport.unfenced() }
    }

    /// When the work ends for which requests are made: none of them waits longer for an answer than until then, and
    /// those that come later, of records and locks, wait for a few seconds only. `None` takes the end away.
    pub fn end_at(&self, end: Option<tokio::time::Instant>) {
        self.transport.contact().end_at(end.map(tokio::time::Instant::into_std));
    }

    /// For how long the API server has said nothing, where it does not respond what it is asked; `None` while it
    /// answers.
    pub fn silence(&self) -> Option<Duration> {
        self.transport.contact().silence(Instant::now())
    }

    /// How long ago it said anything.
    pub fn heard_ago(&self) -> Duration {
        self.transport.contact().heard_ago(Instant::now())
    }

    /// How many requests were sent so far, repeated ones included.
    pub fn requests(&self) -> u64 {
        self.transport.requests()
    }
}
