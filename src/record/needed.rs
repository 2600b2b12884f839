//! Which images tiers still need.

use super::store::{self, Store};
use super::{RecordedImage, Summary};
use crate::cluster::{self, Cluster};
use crate::error::Result;
use crate::project::{Project, Tier};
use crate::session::Session;

/// The digests that a tier runs or may be rolled back to, each with the release that needs it, and those of the
/// project's other tiers in that cluster. `everywhere`: the tier is one of many, and a missing permission to list all
/// of them is an error.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn digests(
    session: &Session,
    project: &Project,
    tier: &Tier,
    everywhere: bool,
) -> Result<Vec<(String, String)>> {
    let cluster = Cluster::connect(&tier.target(), session).await?;
    let mut summaries = match store::histories(&cluster, &project.name).await {
        Err(error) if cluster::is_denied(&error) && !everywhere => Vec::new(),
        summaries => summaries?,
    };
    if !everywhere {
        summaries.extend(Store::new(&cluster, &project.name, &tier.slug).history().await?);
    }
    let is_kept = |one: &Summary| summaries.iter().any(|other| other.kept && other.set == one.set);
    let needed = summaries.iter().filter(|one| is_kept(one));
    let named = |one: &Summary| format!("release {} of {}", one.revision, one.tier);
    let digests = |one: &Summary| -> Vec<(String, String)> {
        one.images.values().map(|image| (digest(image), named(one))).collect()
    };
    Ok(needed.flat_map(digests).collect())
}

/// The part after the `@`, even if the text is not an image: what cannot be parsed must not count as unneeded.
fn digest(image: &RecordedImage) -> String {
    match image {
        RecordedImage::Pinned(pinned) => pinned.digest.to_string(),
        RecordedImage::Text(text) => {
            text.rsplit_once('@').map_or(text.as_str(), |(_, digest)| digest).to_owned()
        }
    }
}
