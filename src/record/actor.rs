//! Who releases, and from where.

use crate::cluster::Cluster;
use crate::error::Result;
use crate::project::ci;
use crate::record::Actor;

impl Actor {
    /// Who this run is, for its cluster and for its colleagues.
    pub(crate) async fn of(cluster: &Cluster) -> Result<Self> {
        let identity = cluster.identity().await?;
        let person = Self::this_person();
        Ok(Self { identity, person, job: ci::job_url(), pipeline: ci::pipeline() })
    }

    /// GitLab's user, or the local one with the host.
    pub(crate) fn this_person() -> String {
        ci::user().unwrap_or_else(|| {
            let user = std::env::var("USER")
                .or_else(|_| std::env::var("LOGNAME"))
                .unwrap_or_else(|_| "root".to_owned());
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{user}@{}", if host.trim().is_empty() { "localhost" } else { host.trim() })
        })
    }
}
