//! Which images tiers still need.

use super::Summary;
use super::store::{self, Store};
use crate::cluster::Cluster;
use crate::error::{Kind, Result};
use crate::project::{Project, Tier};
use crate::session::Session;

/// The images that a tier runs or may be rolled back to, each with who needs it, and those of the project's other tiers in
/// that cluster. `everywhere`: the tier is one of many, and without the right to look for all of them nothing is known.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn images(
    session: &Session,
    project: &Project,
    tier: &Tier,
    everywhere: bool,
) -> Result<Vec<(String, String)>> {
    let cluster = Cluster::connect(&tier.target(), session).await?;
    let mut summaries = match store::histories(&cluster, &project.name).await {
        Err(error) if error.kind() == Kind::Denied && !everywhere => Vec::new(),
        summaries => summaries?,
    };
    if !everywhere {
        summaries.extend(Store::new(&cluster, &project.name, &tier.slug).history().await?);
    }
    let is_kept = |one: &Summary| summaries.iter().any(|other| other.kept && other.set == one.set);
    let needed = summaries.iter().filter(|one| is_kept(one));
    let named = |one: &Summary| format!("release {} of {}", one.revision, one.tier);
    Ok(needed.flat_map(|one| one.images.values().map(move |image| (image.clone(), named(one)))).collect())
}
