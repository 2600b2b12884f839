//! `explain TIER`: verdict and cause of every object that runs on a tier now.

use crate::error::Result;
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::release::rules::Rules;
use crate::release::{context, explain};
use crate::rollout::explain::Explained;
use crate::session::Session;

/// Verdict and cause of every object that runs on the tier now.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn explain(session: &Session, project: &Project, tier: &Tier) -> Result<Vec<Explained>> {
    let cluster = context::connect(session, tier).await?;
    let rules = Rules::default();
    let context = context::TierContext { session, project, tier, rules: &rules, cluster: &cluster };
    let prior = PriorReleases::read(&context.store()).await?;
    explain::explain(context, prior.last.as_ref()).await
}
