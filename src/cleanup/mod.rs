//! `cleanup`: deletes registry tags that nothing needs any more. Keeps what a release may still restore, the commits of
//! branches and tags of the repository, recent images, and images that windlass did not build.

pub(crate) mod needs;
pub(crate) mod tags;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::cleanup::needs::Needs;
use crate::error::Result;
use crate::http::CONCURRENCY;
use crate::model::{Digest, Outcome, Reference, Stage};
use crate::project::Project;
use crate::registry::{self, Registry};
use crate::report::view::setup::cleanup::{Cleanup, FoundImage};
use crate::session::{Session, interrupted};

/// How tags are chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Images of commits that are younger than this stay.
    pub keep_for: Duration,
    /// Nothing is deleted.
    pub dry_run: bool,
}

/// An image in the registry, with its tags.
struct TaggedImage {
    repository: Arc<Reference>,
    digest: Digest,
    tags: Vec<String>,
    /// Why it stays; `None` where it goes.
    stays: Option<Cow<'static, str>>,
    /// When its commit was made.
    made: Option<Timestamp>,
    /// Whether it may lead to other images.
    may_be_index: bool,
}

/// Looks at every repository of the project, and deletes what nothing needs.
///
/// # Errors
/// [`Kind::Unreachable`](crate::error::Kind::Unreachable) and [`Kind::Denied`](crate::error::Kind::Denied) for a tier's
/// cluster, the registry or Git: where it cannot be known what is needed, nothing is deleted.
pub(crate) async fn cleanup(session: &Session, project: &Project, request: Request) -> Result<Cleanup> {
    // Which commits still count only Git knows.
    project.revision()?;
    let registry = Registry::of(project);
    let work = async {
        let mut needs = Needs::ask(session, project, request).await?;
        let mut images = Vec::new();
        for name in project.config.images.keys() {
            let repository = project.image_repository(name)?;
            images.extend(examine(&registry, project, repository, &mut needs).await?);
        }
        if !request.dry_run {
            keep_tagged_meanwhile(&registry, &mut images).await?;
            delete(session, &registry, &images).await?;
        }
        Ok(Cleanup { images: images.iter().map(TaggedImage::view).collect(), dry_run: request.dry_run })
    };
    tokio::select! {
        biased;
        () = session.cancel.cancelled() => Err(interrupted()),
        swept = work => swept,
    }
}

/// The images of a repository, and what becomes of each.
async fn examine(
    registry: &Registry,
    project: &Project,
    repository: Reference,
    needs: &mut Needs,
) -> Result<Vec<TaggedImage>> {
    let repository = Arc::new(repository);
    let tags = registry.tags(&repository).await?;
    let (records, tags): (Vec<String>, Vec<String>) =
        tags.into_iter().partition(|tag| tags::record(tag).is_some());
    needs.extend(proven(registry, project, &repository, &records).await?);
    let needs = &*needs;
    let mut images = images(registry, &repository, tags).await?;
    images.retain(|_, image| !image.tags.iter().all(|tag| registry::is_mark(tag)));
    let caches = abandoned_caches(&mut images, needs);
    let builds: BTreeMap<String, &str> =
        newest(&records, |kind| kind == registry::BUILD).map(|((about, _), tag)| (about, tag)).collect();
    let judged = |image: TaggedImage| {
        let build = builds.get(image.digest.as_str()).copied();
        judge(registry, image, needs, build)
    };
    let looks: Vec<_> = images.into_values().map(judged).collect();
    let mut found: Vec<TaggedImage> = stream::iter(looks).buffered(CONCURRENCY).try_collect().await?;
    keep_parts(&mut found);
    keep_members(registry, &mut found).await?;
    let records = of_nothing(registry, &repository, records, &found).await?;
    found.sort_by_key(|image| std::cmp::Reverse(image.made));
    found.extend(caches);
    found.extend(records);
    Ok(found)
}

/// The layers that builds of branches left which are no more. They are no image, and those of the other branches stay
/// without a word.
fn abandoned_caches(images: &mut BTreeMap<Digest, TaggedImage>, needs: &Needs) -> Vec<TaggedImage> {
    let is_cache = |tag: &String| registry::branch_of_cache(tag).is_some() || registry::is_mark(tag);
    let (caches, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(images).into_iter().partition(|(_, image)| image.tags.iter().all(is_cache));
    *images = others;
    let is_abandoned = |image: &TaggedImage| {
        let mut branches = image.tags.iter().filter_map(|tag| registry::branch_of_cache(tag));
        branches.all(|branch| !needs.branches.contains(branch))
    };
    caches.into_values().filter(is_abandoned).collect()
}

/// The images that these tags lead to.
async fn images(
    registry: &Registry,
    repository: &Arc<Reference>,
    tags: Vec<String>,
) -> Result<BTreeMap<Digest, TaggedImage>> {
    let mut images = BTreeMap::new();
    for (tag, digest, may_be_index) in digests(registry, repository, tags).await? {
        let new = || TaggedImage::new(repository, digest.clone(), may_be_index);
        images.entry(digest.clone()).or_insert_with(new).tags.push(tag);
    }
    Ok(images)
}

/// What the proofs among these records say to be needed, of images that were good on a tier.
async fn proven(
    registry: &Registry,
    project: &Project,
    repository: &Reference,
    records: &[String],
) -> Result<Vec<(String, String)>> {
    let proofs = proofs(repository, records);
    let needed: Vec<Vec<(String, String)>> = stream::iter(proofs)
        .map(|(image, tag)| async move { needs::of_proof(registry, project, &image, &tag).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(needed.into_iter().flatten().collect())
}

/// The newest proofs among these records, each with the image that it is about.
fn proofs(repository: &Reference, records: &[String]) -> Vec<(Reference, String)> {
    let newest = newest(records, |kind| kind.starts_with("good-"));
    let of = |((about, _), tag): ((String, &str), &str)| {
        Some((repository.with_digest(about.parse().ok()?), tag.to_owned()))
    };
    newest.filter_map(of).collect()
}

/// The newest of these records, of each image and kind: where tags cannot be overwritten, the one with the highest number.
fn newest(
    records: &[String],
    is_meant: impl Fn(&str) -> bool,
) -> impl Iterator<Item = ((String, &str), &str)> {
    let mut newest: BTreeMap<(String, &str), (u32, &str)> = BTreeMap::new();
    for tag in records {
        let Some((about, kind)) = tags::record(tag) else { continue };
        let (number, kind) = tags::numbered(kind);
        if is_meant(kind) {
            let known = newest.entry((about, kind)).or_default();
            *known = (*known).max((number, tag.as_str()));
        }
    }
    newest.into_iter().map(|(key, (_, tag))| (key, tag))
}

/// What these tags lead to, and whether it may be an index; one that was deleted meanwhile leads nowhere.
async fn digests(
    registry: &Registry,
    repository: &Reference,
    tags: Vec<String>,
) -> Result<Vec<(String, Digest, bool)>> {
    let found: Vec<Option<(String, Digest, bool)>> = stream::iter(tags)
        .map(|tag| async move {
            let found = registry.digest_and_kind(&repository.with_tag(&tag)).await?;
            Ok::<_, crate::error::Error>(found.map(|(digest, may_be_index)| (tag, digest, may_be_index)))
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// What an index that stays leads to stays, whatever its tags: it may be an index that others made.
async fn keep_members(registry: &Registry, found: &mut [TaggedImage]) -> Result<()> {
    if found.iter().all(|image| image.stays.is_some()) {
        return Ok(());
    }
    let stays = found.iter().filter(|image| image.stays.is_some() && image.may_be_index);
    let stays: Vec<Reference> = stays.map(TaggedImage::reference).collect();
    let members: Vec<Vec<Digest>> = stream::iter(stays)
        .map(|index| async move { registry.members(&index).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let members: BTreeSet<Digest> = members.into_iter().flatten().collect();
    for image in found.iter_mut() {
        if members.contains(&image.digest) {
            image.stays.get_or_insert_with(|| "part of an index that is kept".into());
        }
    }
    Ok(())
}

/// Looking took its time: what has got a tag since then stays.
async fn keep_tagged_meanwhile(registry: &Registry, images: &mut [TaggedImage]) -> Result<()> {
    for of_repository in images.chunk_by_mut(|one, other| Arc::ptr_eq(&one.repository, &other.repository)) {
        if of_repository.iter().all(|image| image.stays.is_some()) {
            continue;
        }
        let repository = of_repository[0].repository.clone();
        let known: BTreeSet<&str> =
            of_repository.iter().flat_map(|image| &image.tags).map(String::as_str).collect();
        // A record is about an image, and is none.
        let is_new = |tag: &String| tags::record(tag).is_none() && !known.contains(tag.as_str());
        let mut new = registry.tags(&repository).await?;
        new.retain(is_new);
        for (tag, digest, _) in digests(registry, &repository, new).await? {
            if let Some(image) = of_repository.iter_mut().find(|image| image.digest == digest) {
                image.stays.get_or_insert_with(|| format!("tagged {tag} in the meantime").into());
            }
        }
    }
    Ok(())
}

/// The images of the single platforms, `content-…-linux-arm64`, stay as long as the index that leads to them.
fn keep_parts(found: &mut [TaggedImage]) {
    let whole = |tag: &String| {
        let (content, platform) = tag.strip_prefix("content-")?.split_once('-')?;
        (!platform.is_empty()).then(|| format!("content-{content}"))
    };
    let stays = found.iter().filter(|image| image.stays.is_some());
    let stays: BTreeSet<String> = stays.flat_map(|image| image.tags.iter().cloned()).collect();
    for image in found.iter_mut() {
        if let Some(index) = image.tags.iter().filter_map(whole).find(|index| stays.contains(index)) {
            image.stays.get_or_insert_with(|| format!("of the index {index}").into());
        }
    }
}

/// Records about images that are gone, or that go, go with them. Only what these lead to is asked for.
async fn of_nothing(
    registry: &Registry,
    repository: &Arc<Reference>,
    mut records: Vec<String>,
    images: &[TaggedImage],
) -> Result<Vec<TaggedImage>> {
    let stays: BTreeSet<&str> =
        images.iter().filter(|image| image.stays.is_some()).map(|image| image.digest.as_str()).collect();
    records.retain(|tag| tags::record(tag).is_some_and(|(about, _)| !stays.contains(about.as_str())));
    let mut gone = self::images(registry, repository, records).await?;
    // Under another tag it is an image to others.
    gone.retain(|digest, _| !images.iter().any(|image| image.digest == *digest));
    Ok(gone.into_values().collect())
}

/// Whether somebody needs an image; `build` is the tag of the record of its builds, where it has one.
async fn judge(
    registry: &Registry,
    mut found: TaggedImage,
    needs: &Needs,
    build: Option<&str>,
) -> Result<TaggedImage> {
    found.tags.sort();
    let head = found.tags.iter().find_map(|tag| needs.commits.get(tags::commit(tag)?));
    found.stays = match (needs.digests.get(found.digest.as_str()), head) {
        _ if !found.tags.iter().any(|tag| tags::is_content(tag)) => Some("not built by windlass".into()),
        (Some(release), _) => Some(release.clone().into()),
        (None, Some(head)) => Some(format!("the commit of {head}").into()),
        (None, None) => None,
    };
    if found.stays.is_none() {
        let origin = match build {
            Some(tag) => registry.origin_under(&found.reference(), tag).await?,
            None => registry.origin_by_labels(&found.reference()).await?,
        };
        let foreign = tags::foreign(&found.tags, origin.branches());
        found.stays = match origin.made() {
            _ if !foreign.is_empty() => {
                Some(format!("its tag {} is not from windlass", foreign.join(", ")).into())
            }
            None => Some("its age is unknown".into()),
            Some(made) if made > needs.oldest => Some("young".into()),
            Some(_) => None,
        };
        found.made = origin.made();
    }
    Ok(found)
}

/// Deletes what goes: the records about an image before the image.
async fn delete(session: &Session, registry: &Registry, images: &[TaggedImage]) -> Result<()> {
    let goes: Vec<&TaggedImage> = images.iter().filter(|image| image.stays.is_none()).collect();
    if goes.is_empty() {
        return Ok(());
    }
    let step = session.reporter.step(Stage::Build, "delete images", "deleting unneeded images");
    let (records, rest): (Vec<&TaggedImage>, Vec<&TaggedImage>) =
        goes.iter().partition(|image| image.is_record());
    for some in [records, rest] {
        let references: Vec<Reference> = some.into_iter().map(TaggedImage::reference).collect();
        let deletions = stream::iter(references)
            .map(|image| async move { registry.delete(&image).await })
            .buffer_unordered(CONCURRENCY);
        deletions.try_collect::<()>().await?;
    }
    step.finish(Outcome::Ok, format!("{} deleted", goes.len()));
    Ok(())
}

impl TaggedImage {
    /// An image of which no more is known.
    fn new(repository: &Arc<Reference>, digest: Digest, may_be_index: bool) -> Self {
        Self {
            repository: repository.clone(),
            digest,
            tags: Vec::new(),
            stays: None,
            made: None,
            may_be_index,
        }
    }

    fn reference(&self) -> Reference {
        self.repository.with_digest(self.digest.clone())
    }

    fn is_record(&self) -> bool {
        self.tags.iter().all(|tag| tags::record(tag).is_some())
    }

    fn view(&self) -> FoundImage {
        FoundImage {
            repository: (*self.repository).clone(),
            digest: self.digest.clone(),
            tags: self.tags.clone(),
            made: self.made,
            why: self.stays.as_ref().map(ToString::to_string),
            is_record: self.is_record(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::setup::cleanup::tests::found;

    #[test]
    fn people_are_not_told_of_records() {
        let repository: Arc<Reference> = Arc::new("registry.test/shop/web".parse().unwrap());
        let digest: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        let image = |tag: &str| TaggedImage {
            tags: vec![tag.to_owned()],
            stays: Some(Cow::Borrowed("release 7 of staging runs it")),
            ..TaggedImage::new(&repository, digest.clone(), false)
        };
        let shown = found("1", &["1f3c9a0b"], Some("release 7 of staging runs it"));
        assert_eq!(image("1f3c9a0b").view(), shown);
        assert!(image(&format!("sha256-{}.windlass-test", "1".repeat(64))).view().is_record);
    }
}
