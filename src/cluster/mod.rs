//! The door to a Kubernetes API server: the only room that uses kube.
//!
//! Objects cross this door as [`serde_json::Value`]; everything else as types of this room. Every request
//! goes through one HTTP/2 connection, is counted, has a deadline, is repeated only where repeating cannot
//! do harm, and its refusal is said in plain words.

mod access;
mod address;
mod clock;
mod connect;
mod discovery;
#[cfg(test)]
pub(crate) mod fake;
mod fault;
mod fence;
mod id;
mod kinds;
mod kubeconfig;
mod lease;
mod lines;
mod logs;
mod objects;
mod refusal;
mod status;
mod transport;
mod watch;

use std::sync::Arc;

pub use discovery::Resource;
pub use id::{ObjectId, group};
pub use kinds::near_kind;
pub use kubeconfig::current_context;
pub use lease::{Hold, Holder, Lease, LeaseRequest, Patience};
pub use logs::{ContainerRef, LogFollower, LogLine, LogOptions};
pub use objects::{ApplyOptions, DeleteOptions, Listing, ObjectRef, Propagation};
pub use refusal::{ApplyError, Conflict, Refusal};
pub use watch::{WatchItem, WatchSubject, Watches};

use jiff::Timestamp;

/// The field manager that owns what windlass applies.
pub const FIELD_MANAGER: &str = "windlass";

/// Which cluster and namespace a tier means.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Names of kubeconfig contexts; the first that the kubeconfig has is used, nothing else ever.
    pub contexts: Vec<String>,
    /// The tier's namespace.
    pub namespace: String,
    /// The uid of the cluster meant ([`Cluster::uid`]); any other is refused.
    pub pin: Option<String>,
}

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

    /// How many requests were sent so far, repeated ones included.
    pub fn requests(&self) -> u64 {
        self.transport.requests()
    }
}
