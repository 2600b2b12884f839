//! The end of a lease that nobody needs any more.

use super::{Lease, reference};
use crate::cluster::lease::waiter::LeaseState;
use crate::cluster::{Cluster, DeleteOptions, SeenObject};
use crate::error::Result;

impl Lease {
    /// Deletes the `Lease` object of this name unless somebody holds it, or takes it at the same time.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub async fn forget(cluster: &Cluster, name: &str) -> Result<()> {
        let Some(found) = cluster.get(&reference(name)).await? else { return Ok(()) };
        let state = LeaseState::read(&found);
        if !state.is_free() && !state.has_run_out(cluster.now()) {
            return Ok(());
        }
        let unchanged = DeleteOptions { unchanged: true, ..DeleteOptions::default() };
        cluster.delete(&SeenObject::of(&found)?, unchanged).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::report::Reporter;
    use crate::session::Session;

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";

    #[tokio::test]
    async fn only_a_lease_that_nobody_holds_is_deleted() {
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let lease = |holder: &str| {
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "windlass.shop.staging", "namespace": "shop"},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2999-01-01T00:00:00.000000Z"}})
        };
        server.put(LEASES, lease("ann"));
        Lease::forget(&cluster, "windlass.shop.staging").await.unwrap();
        assert!(server.get(LEASES, "windlass.shop.staging").is_some());
        server.put(LEASES, lease(""));
        Lease::forget(&cluster, "windlass.shop.staging").await.unwrap();
        assert!(server.get(LEASES, "windlass.shop.staging").is_none());
        Lease::forget(&cluster, "windlass.shop.staging").await.unwrap();
    }
}
