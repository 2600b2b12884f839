//! The manifests looked at without images and without a cluster: for `validate`, and before minutes go into a build.

use std::collections::{BTreeMap, BTreeSet};

use super::load::{Request, Sources, assemble, directories, first, orphans};
use super::{Manifests, sources};
use crate::error::{Error, Result};
use crate::model::{Digest, PinnedImage};
use crate::project::{Project, Tier};

/// What there is to say of the manifests of all tiers.
#[derive(Debug, Default)]
pub struct Findings {
    /// With these nothing can be released.
    pub mistakes: Vec<Error>,
    /// Probably not meant.
    pub warnings: Vec<String>,
}

/// Every mistake in the manifests of all tiers; `review/*` is tried as `review/example`.
pub async fn validate(project: &Project) -> Findings {
    let mut found = Findings::default();
    let mistakes = &mut found.mistakes;
    if project.config.tiers.is_empty() {
        // A project without manifests is built and tested, but not released.
        if project.config_file.is_none() || project.root.join(".kube").exists() {
            sources::read_base(project, mistakes, &mut found.warnings).await;
        }
        return found;
    }
    let mut warnings = BTreeSet::new();
    for tier in project.sample_tiers() {
        match tier {
            Ok(tier) => {
                mistakes.extend(tier.addresses().err());
                match assemble(&offline(project, &tier)).await {
                    Ok(manifests) => warnings.extend(manifests.warnings),
                    Err(errors) => mistakes.extend(errors),
                }
            }
            Err(error) => mistakes.push(error),
        }
    }
    mistakes.extend(orphans(&project.root, &directories(project)));
    let mut seen = BTreeSet::new();
    mistakes.retain(|mistake| seen.insert(mistake.to_string()));
    found.warnings = warnings.into_iter().collect();
    found
}

/// Reads the manifests of a tier. They are valid, as far as that is known without its images.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for the first mistake, with its place.
pub async fn read(project: &Project, tier: &Tier) -> Result<Sources> {
    tier.addresses()?;
    let request = offline(project, tier);
    let sources = Sources::read(&request).await.map_err(first)?;
    sources.assemble(&request).map_err(first)?;
    Ok(sources)
}

/// The manifests of a tier with images that have digests which no image has: enough to know which objects they describe.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for the first mistake, with its place.
pub async fn described(project: &Project, tier: &Tier) -> Result<Manifests> {
    assemble(&offline(project, tier)).await.map_err(first)
}

/// The kinds of the tier's objects: `apiVersion` and `kind`, each once.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for the first mistake, with its place.
pub async fn kinds(project: &Project, tier: &Tier) -> Result<Vec<(String, String)>> {
    let manifests = assemble(&offline(project, tier)).await.map_err(first)?;
    let kinds: BTreeSet<(String, String)> = manifests
        .objects
        .iter()
        .map(|object| {
            let text = |key: &str| object.json[key].as_str().unwrap_or_default().to_owned();
            (text("apiVersion"), text("kind"))
        })
        .collect();
    Ok(kinds.into_iter().collect())
}

/// A request whose images have digests that no image has.
fn offline(project: &Project, tier: &Tier) -> Request {
    let registry = project.registry.as_deref().unwrap_or("registry.invalid");
    let pinned = |image: &String| PinnedImage {
        registry: registry.to_owned(),
        repository: image.clone(),
        tag: Some("offline".to_owned()),
        digest: Digest::of(b""),
    };
    let references: BTreeMap<String, PinnedImage> =
        project.config.images.keys().map(|image| (image.clone(), pinned(image))).collect();
    Request::new(project, tier, &references)
}
