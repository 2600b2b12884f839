//! The rules of a tier, for commands that read no configuration.

use crate::cluster::Cluster;
use crate::error::Result;
use crate::project::{Tier, TierRules};
use crate::record::kept_rules::newest;
use crate::record::store::Store;
use crate::session::Session;

/// The rules in the tier's newest record that has any; the default if none has.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn recorded_rules(session: &Session, project: &str, tier: &Tier) -> Result<TierRules> {
    let cluster = Cluster::connect(&tier.target(), session).await?;
    let history = Store::new(&cluster, project, &tier.slug).history().await?;
    Ok(newest(&history).unwrap_or_default())
}
