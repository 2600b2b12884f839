//! The context of a release: the connected cluster, the tier's records and its lock, opened and closed
//! together.

use crate::cluster::{Cluster, ErrorClass};
use crate::error::Result;
use crate::model::{Stage, labels};
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::record::store::Store;
use crate::record::{Actor, ReleaseKind, Summary, kept_rules};
use crate::release::rules::Rules;
use crate::session::Session;
use crate::text::display;

/// Connects to the tier's cluster.
pub(crate) async fn connect(session: &Session, tier: &Tier) -> Result<Cluster> {
    Cluster::connect(&tier.target(), session).await
}

/// What is asked for: of which project, for which tier, under which rules.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Where to report, and when to stop.
    pub session: &'a Session,
    /// The project.
    pub project: &'a Project,
    /// The tier.
    pub tier: &'a Tier,
    /// What a person said about the tier's rules.
    pub rules: &'a Rules,
}

impl<'a> Request<'a> {
    /// Connects to the tier's cluster; the pin to a cluster can be overridden.
    pub(crate) async fn connect(&self) -> Result<Cluster> {
        let Self { session, tier, rules, .. } = *self;
        match connect(session, tier).await {
            Err(error)
                if ErrorClass::of(&error) == Some(ErrorClass::OtherCluster) && rules.overrides("cluster") =>
            {
                session.reporter.warn(format!("{} (overridden)", error.message()));
                connect(session, &Tier { cluster: None, ..tier.clone() }).await
            }
            connected => connected,
        }
    }

    /// The same with a connected cluster.
    pub(crate) fn on(self, cluster: &'a Cluster) -> TierContext<'a> {
        let Self { session, project, tier, rules } = self;
        TierContext { session, project, tier, rules, cluster }
    }
}

/// What does not change between the lock and the last record: who releases what to which tier, and where.
#[derive(Clone, Copy)]
pub(crate) struct TierContext<'a> {
    pub(crate) session: &'a Session,
    pub(crate) project: &'a Project,
    pub(crate) tier: &'a Tier,
    pub(crate) rules: &'a Rules,
    pub(crate) cluster: &'a Cluster,
}

impl<'a> TierContext<'a> {
    /// The tier's records.
    pub(crate) fn store(&self) -> Store {
        Store::new(self.cluster, &self.project.name, &self.tier.slug)
    }

    /// The same, for work after a cancellation; the caller limits its time.
    pub(crate) fn with_cluster(self, cluster: &'a Cluster) -> Self {
        Self { cluster, ..self }
    }

    /// A release of this kind as it begins here; the caller fills in its content.
    pub(crate) async fn begin(
        &self,
        prior: &PriorReleases,
        revision: u64,
        kind: ReleaseKind,
    ) -> Result<Summary> {
        let (by, started) = (Actor::of(self.cluster).await?, prior.begin(self.cluster.now()));
        let of = (self.project.name.as_str(), self.tier.name.as_str());
        Ok(Summary {
            overrides: self.rules.recorded(&self.session.reporter),
            rules: kept_rules::to_record(self.tier, &prior.summaries),
            ..Summary::begin(revision, kind, of, by, started)
        })
    }
}

/// The number of requests to the API server, for verbose output.
pub(crate) fn say_requests(session: &Session, cluster: &Cluster) {
    let requests = format!("{} to the API server", display::count(count(cluster.requests()), "request"));
    session.reporter.detail(Stage::Release, "cluster", requests);
}

fn count(requests: u64) -> usize {
    usize::try_from(requests).unwrap_or(usize::MAX)
}

/// Whether windlass created this namespace for the tier.
pub(crate) fn is_made_for(namespace: &serde_json::Value, project: &Project, tier: &Tier) -> bool {
    namespace["metadata"]["annotations"].get(labels::MADE_FOR).and_then(serde_json::Value::as_str)
        == Some(tier.made_for(project).as_str())
}
