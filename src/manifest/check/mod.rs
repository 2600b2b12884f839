//! The manifests looked at without images and without a cluster: for `validate`, and before minutes go into a build.

mod schemas;
mod unreplaced;
mod unused;

pub use schemas::Against;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::graph::in_parallel;
use crate::manifest::load::{Sources, orphans, unless_wrong};
use crate::manifest::sources::request::{Request, directories};
use crate::manifest::sources::{Base, rules};
use crate::manifest::{Manifests, sources};
use crate::model::{Digest, PinnedImage};
use crate::project::{ExternalObject, Project, SecretContent, Tier};
use crate::schema::{self, Schemas};

/// What there is to say of the manifests of all tiers.
#[derive(Debug, Default)]
pub struct Findings {
    /// With these nothing can be released.
    pub errors: Vec<Error>,
    /// Probably not meant, or made elsewhere.
    pub warnings: Vec<Error>,
    /// What could not be checked without a cluster, in words: `Certificate of cert-manager.io/v1`.
    pub unchecked: BTreeSet<String>,
}

impl Findings {
    fn add(&mut self, more: Self) {
        self.errors.extend(more.errors);
        self.warnings.extend(more.warnings);
        self.unchecked.extend(more.unchecked);
    }
}

/// Everything that is wrong with the manifests of all tiers for a version of Kubernetes; `review/*` is tried as
/// `review/example`, and with a name as long as slugs get.
pub async fn validate(project: &Project, schemas: Schemas) -> Findings {
    let mut found = Findings::default();
    if project.config.tiers.is_empty() {
        // A project without manifests is built and tested, but not released.
        if project.config_file.is_none() || project.root.join(".kube").exists() {
            without_tiers(project, schemas, &mut found).await;
        }
        return found;
    }
    let (mut base, mut read) = (Base::default(), Vec::new());
    for tier in project.sample_tiers() {
        match tier {
            Ok(tier) => read.push(TierSources::read(project, tier, &mut base).await),
            Err(error) => found.errors.push(error),
        }
    }
    let mut used = unused::Images::of(project);
    for (more, also_used) in in_parallel(read, |tier| tier.check(project, schemas)) {
        found.add(more);
        used.leave(&also_used);
    }
    if found.errors.is_empty() {
        found.warnings.extend(used.unused());
    }
    found.errors.extend(orphans(&project.root, &directories(project)));
    let mut seen = BTreeSet::new();
    found.errors.retain(|error| seen.insert(error.to_string()));
    found.warnings.retain(|warning| seen.insert(warning.to_string()));
    // As whoever mends them goes through the files.
    found.errors.sort_by(|one, other| one.place().cmp(&other.place()));
    found.warnings.sort_by(|one, other| one.place().cmp(&other.place()));
    found
}

/// What is wrong with the objects of a project that names no tier: what its variables stand for is not known.
async fn without_tiers(project: &Project, schemas: Schemas, found: &mut Findings) {
    let base = sources::read_base(project, &mut found.errors, &mut found.warnings).await;
    for object in &base {
        rules::check(object, &mut found.errors);
    }
    let checked = Manifests::as_read(base).checked(Against::Version(schemas)).besides(&found.errors);
    found.add(checked);
}

/// A tier with what its manifests were read from.
struct TierSources {
    tier: Tier,
    sources: Sources,
    mistakes: Vec<Error>,
}

impl TierSources {
    async fn read(project: &Project, tier: Tier, base: &mut Base) -> Self {
        let mut mistakes: Vec<Error> = tier.addresses().err().into_iter().collect();
        let sources = Sources::read(&offline(project, &tier), base, &mut mistakes).await;
        Self { tier, sources, mistakes }
    }

    /// What there is to say of them, and which images they use.
    fn check(self, project: &Project, schemas: Schemas) -> (Findings, unused::Images<'_>) {
        let Self { tier, sources, mut mistakes } = self;
        let mut images = unused::Images::of(project);
        let is_whole = mistakes.is_empty();
        let longest = project.longest_tier(&tier.pattern).map(|longest| (longest, sources.clone()));
        let mut manifests = sources.into_manifests(&mut mistakes);
        let mut found = manifests.checked(Against::Version(schemas)).besides(&mistakes);
        if is_whole {
            images.note(&manifests);
            found.warnings.extend(references(&tier, &manifests));
            found.warnings.extend(unreplaced::warnings(&tier.vars, &manifests));
        }
        if mistakes.is_empty() && found.errors.is_empty() {
            let longest = longest.into_iter();
            found.errors.extend(
                longest.flat_map(|(longest, sources)| with_longest_slug(project, longest, &sources, schemas)),
            );
        }
        found.warnings.append(&mut manifests.warnings);
        found.errors.append(&mut mistakes);
        (found, images)
    }
}

/// What is too long in a tier of a pattern once the part that `*` stands for is.
fn with_longest_slug(
    project: &Project,
    longest: Result<Tier>,
    sources: &Sources,
    schemas: Schemas,
) -> Vec<Error> {
    let Ok(longest) = longest else { return Vec::new() };
    let mut mistakes = Vec::new();
    let manifests = sources.on(offline(project, &longest)).into_manifests(&mut mistakes);
    let more = manifests.checked(Against::Version(schemas)).besides(&mistakes).errors;
    let hint = format!("a slug has up to 40 characters, as that of `{}`: leave room for it", longest.name);
    mistakes.into_iter().chain(more).map(|error| error.with_hint(&*hint)).collect()
}

/// What the objects of a tier refer to and the tier does not have.
fn references(tier: &Tier, manifests: &Manifests) -> Vec<Error> {
    let external: Vec<ExternalObject> =
        tier.externals.iter().filter_map(|one| tier.external(one).ok()).collect();
    let is_of_unknown_keys =
        |name: &str| tier.secrets.get(name).is_some_and(|one| matches!(one.content, SecretContent::Whole(_)));
    let objects: Vec<&Value> = manifests.objects.iter().map(|object| &object.json).collect();
    let set = schema::Set {
        objects: &objects,
        namespace: &tier.namespace,
        have: "the manifests have",
        is_elsewhere: &|kind, name| {
            external.iter().any(|one| (&*one.kind, &*one.name) == (kind, name))
                || kind == "Secret" && is_of_unknown_keys(name)
        },
        may_create: &schema::may_create,
    };
    let found = schema::references(&set).into_iter();
    found
        .filter_map(|(index, finding)| Some(manifests.objects.get(index)?.origin.mistake(&finding)))
        .collect()
}

/// Reads the manifests of a tier. They can be rendered, as far as that is known without its images.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for the first mistake, with its place.
pub async fn read(project: &Project, tier: &Tier) -> Result<Sources> {
    read_and_made(project, tier).await.map(|(sources, _)| sources)
}

/// As [`read`], for a release: the version of Kubernetes that the configuration names does not refuse them, or where it
/// names none, not every version does.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for the first mistake, with its place.
pub async fn read_valid(project: &Project, tier: &Tier) -> Result<Sources> {
    let (sources, manifests) = read_and_made(project, tier).await?;
    let of_version = project.config.kubernetes.as_deref().and_then(|version| Schemas::of(version).ok());
    manifests.check(of_version.map_or(Against::AnyVersion, Against::Version))?;
    Ok(sources)
}

async fn read_and_made(project: &Project, tier: &Tier) -> Result<(Sources, Manifests)> {
    tier.addresses()?;
    let mut mistakes = Vec::new();
    let sources = Sources::read(&offline(project, tier), &mut Base::default(), &mut mistakes).await;
    let manifests = sources.clone().into_manifests(&mut mistakes);
    unless_wrong((sources, manifests), mistakes)
}

/// The manifests of a tier with images that have digests which no image has: enough to know which objects they describe.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for the first mistake, with its place.
pub async fn described(project: &Project, tier: &Tier) -> Result<Manifests> {
    read_and_made(project, tier).await.map(|(_, manifests)| manifests)
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

#[cfg(test)]
mod tests;
