//! What a release is made of: the manifests with their images, and the Secrets of the configuration.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::manifest::{self, Manifests};
use crate::model::Images;
use crate::project::{Project, Tier};
use crate::secret::{self, Secret};
use crate::session::Session;

/// The tier's manifests as they would be applied with these images, without the stamps of a release.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) with the place in the user's files; [`Kind::Interrupted`].
pub async fn manifests(
    session: &Session,
    project: &Project,
    tier: &Tier,
    images: &Images,
    secrets: Vec<Secret>,
) -> Result<Manifests> {
    let references: BTreeMap<String, String> =
        images.values().map(|image| (image.name.clone(), image.reference.to_string())).collect();
    let request = manifest::Request::new(project, tier, &references).with_secrets(secrets);
    let manifests = session.unless_cancelled(manifest::load(&request)).await?;
    secret::hide_objects(manifests.objects.iter().map(|object| &object.json), &session.reporter);
    for warning in &manifests.warnings {
        session.reporter.warn(warning);
    }
    Ok(manifests)
}

/// The Secrets of the configuration with their values; nothing shows them from now on.
pub(crate) async fn secrets(session: &Session, project: &Project, tier: &Tier) -> Result<Vec<Secret>> {
    session.unless_cancelled(secret::fetch(project, tier, &session.reporter)).await
}
