//! Promotion from one tier to the next: a good release stores its proof beside each image in the registry, and `after:`
//! looks for it there, so that no credentials for the other tier's cluster are needed.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;
use crate::model::{Images, PinnedImage};
use crate::project::{Project, Tier};
use crate::registry::Registry;
use crate::text::{hex, slug};

/// How many combinations of an image with others and with manifests are kept.
const REMEMBERED: usize = 20;
/// The key in the entry beside the first image which says that all other images have the entry, too.
const BESIDE_ALL: &str = "beside_all";

/// What was good, or is to be released: all images by digest, and the manifests as in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ReleasedSet {
    project: String,
    images: BTreeMap<String, String>,
    source: String,
}

impl ReleasedSet {
    fn of(project: &Project, images: &Images) -> Result<Self> {
        Ok(Self {
            project: project.name.clone(),
            images: images
                .values()
                .map(|image| (image.name.clone(), image.pinned.digest.to_string()))
                .collect(),
            source: source(project)?,
        })
    }

    /// Whether this entry of a proof is about the same images and manifests.
    fn is(&self, entry: &Value) -> bool {
        entry["project"] == self.project.as_str()
            && entry["source"] == self.source.as_str()
            && entry["images"] == json!(self.images)
    }
}

/// The kind of the registry record about an image that was good on a tier.
fn kind(tier: &str) -> String {
    format!("good-{}", slug(tier))
}

/// Writes the proof that these images and manifests were good here; an equal one is kept.
///
/// # Errors
/// What the registry refuses.
pub(crate) async fn prove(project: &Project, tier: &Tier, images: &Images, revision: u64) -> Result<()> {
    let Some(first) = images.values().next() else { return Ok(()) };
    let registry = Registry::of(project);
    let set = ReleasedSet::of(project, images)?;
    let entry = json!({
        "project": set.project,
        "source": set.source,
        "images": set.images,
        "release": revision,
        "commit": project.revision.as_ref().map(|revision| revision.commit.clone()),
        "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    let kind = kind(&tier.name);
    let known = registry.read_record(&first.pinned.reference(), &kind).await?;
    let mut known = entries(known.as_ref());
    if known.iter().any(|entry| set.is(entry) && entry[BESIDE_ALL] == true) {
        return Ok(());
    }
    let others: Vec<_> =
        images.values().skip(1).map(|image| beside(&registry, &image.pinned, tier, &set, &entry)).collect();
    stream::iter(others).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    // Write the first image's entry last: from then on it says that all others have theirs.
    known.retain(|entry| !set.is(entry));
    let mut entry = entry.clone();
    entry[BESIDE_ALL] = true.into();
    registry.write_record(&first.pinned.reference(), &kind, &proof(tier, &entry, known)).await.map(drop)
}

/// Writes the entry beside an image, unless it has an equal one.
async fn beside(
    registry: &Registry,
    image: &PinnedImage,
    tier: &Tier,
    set: &ReleasedSet,
    entry: &Value,
) -> Result<()> {
    let (image, kind) = (image.reference(), kind(&tier.name));
    let known = registry.read_record(&image, &kind).await?;
    let entries = entries(known.as_ref());
    if entries.iter().any(|entry| set.is(entry)) {
        return Ok(());
    }
    registry.write_record(&image, &kind, &proof(tier, entry, entries)).await.map(drop)
}

fn proof(tier: &Tier, new: &Value, known: Vec<Value>) -> Value {
    let all: Vec<Value> = [new.clone()].into_iter().chain(known).take(REMEMBERED).collect();
    json!({"tier": tier.name, "good": all})
}

/// Checks that exactly these images, with these unrendered manifests, were good on the tier before.
///
/// # Errors
/// [`Kind::Rule`] naming what is missing, and what the registry refuses.
pub(crate) async fn check(project: &Project, before: &str, images: &Images) -> Result<()> {
    let Some(image) = images.values().next() else {
        return Err(Error::new(
            Kind::Rule,
            format!("nothing proves that this was good on {before}: the project has no image"),
        )
        .with_hint(
            "`after:` needs an image, beside which the proof is stored; or --override after --reason \"…\"",
        ));
    };
    let set = ReleasedSet::of(project, images)?;
    // The entry beside one image names all of them.
    let proof = Registry::of(project).read_record(&image.pinned.reference(), &kind(before)).await?;
    match missing_proof(&set, &entries(proof.as_ref())) {
        None => Ok(()),
        Some(words) => Err(Error::new(Kind::Rule, words.replace("{}", before))
            .with_hint(format!("`windlass release {before}` first, or --override after --reason \"…\""))),
    }
}

fn entries(proof: Option<&Value>) -> Vec<Value> {
    proof.and_then(|proof| proof["good"].as_array()).cloned().unwrap_or_default()
}

/// What the proof lacks; `None` if it is complete.
fn missing_proof(set: &ReleasedSet, entries: &[Value]) -> Option<&'static str> {
    let of_project = || entries.iter().filter(|entry| entry["project"] == set.project.as_str());
    if entries.iter().any(|entry| set.is(entry)) {
        return None;
    }
    Some(if of_project().any(|entry| entry["images"] == json!(set.images)) {
        "these images were good on {} with different manifests"
    } else if of_project().any(|entry| entry["source"] == set.source.as_str()) {
        "these manifests were good on {} with different images"
    } else {
        "this was not good on {}"
    })
}

/// A hash of `windlass.yaml` and `.kube` as in the repository.
fn source(project: &Project) -> Result<String> {
    let directory = project.root.join(".kube");
    let mut files: Vec<_> = project.config_file.clone().into_iter().collect();
    for entry in walkdir::WalkDir::new(&directory).follow_links(true).sort_by_file_name() {
        let entry =
            entry.map_err(|error| Error::new(Kind::Invalid, format!("cannot read .kube: {error}")))?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    let mut hasher = Sha256::new();
    for file in files {
        let name = file.strip_prefix(&project.root).unwrap_or(&file).to_string_lossy().into_owned();
        let bytes = std::fs::read(&file)
            .map_err(|error| Error::new(Kind::Invalid, format!("cannot read {name}: {error}")))?;
        for part in [name.as_bytes(), &bytes] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(hex::encode(hasher.finalize())[..32].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_these_images_together_and_of_these_manifests() {
        let set = |web: &str, worker: &str, source: &str| ReleasedSet {
            project: "shop".to_owned(),
            images: [("web", web), ("worker", worker)]
                .map(|(name, id)| (name.to_owned(), id.to_owned()))
                .into(),
            source: source.to_owned(),
        };
        let entry =
            |set: &ReleasedSet| json!({"project": set.project, "images": set.images, "source": set.source});
        let good = [entry(&set("1", "1", "a")), entry(&set("2", "2", "b"))];
        assert_eq!(missing_proof(&set("1", "1", "a"), &good), None);
        assert_eq!(missing_proof(&set("2", "2", "b"), &good), None);
        assert!(missing_proof(&set("1", "1", "b"), &good).unwrap().contains("different manifests"));
        assert!(
            missing_proof(&set("1", "2", "a"), &good).unwrap().contains("different images"),
            "never together"
        );
        assert!(missing_proof(&set("3", "3", "c"), &good).unwrap().contains("not good"));
        let other = ReleasedSet { project: "toys".to_owned(), ..set("1", "1", "a") };
        assert!(missing_proof(&other, &good).unwrap().contains("not good"));
    }
}
