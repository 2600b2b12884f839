//! Who releases, and from where.

use crate::cluster::Cluster;
use crate::error::Result;
use crate::project::ci;
use crate::record::Actor;

impl Actor {
    /// The identity of this run, as the cluster knows it and for colleagues.
    pub(crate) async fn of(cluster: &Cluster) -> Result<Self> {
        let identity = cluster.identity().await?;
        let person = Self::this_person();
        Ok(Self { identity, person, job: ci::job_url(), pipeline: ci::pipeline() })
    }

    /// GitLab's user, or the local one with the host.
    pub(crate) fn this_person() -> String {
        ci::user().unwrap_or_else(|| {
            let named = |name| std::env::var(name).ok().filter(|user: &String| !user.is_empty());
            let user = named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "root".to_owned());
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{user}@{}", if host.trim().is_empty() { "localhost" } else { host.trim() })
        })
    }
}
