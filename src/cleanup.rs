//! `cleanup`: registry tags that nothing needs any more. What a release may still lead to, what a branch or tag of the
//! repository has as its commit, what is young, and what windlass did not make stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::error::Result;
use crate::project::{Project, TierOverrides};
use crate::registry::{Digest, Reference, Registry};
use crate::release;
use crate::report::event::{Outcome, Stage};
use crate::report::{human, paint};
use crate::session::{Session, interrupted};

/// How many requests to the registry are under way at once.
const CONCURRENCY: usize = 16;

/// How tags are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Images of commits that are younger than this stay.
    pub keep_for: Duration,
    /// Nothing is deleted.
    pub dry_run: bool,
}

/// What stays, what goes, and why.
pub struct Sweep {
    images: Vec<Found>,
    dry_run: bool,
}

/// An image in the registry, with its tags.
struct Found {
    reference: Reference,
    tags: Vec<String>,
    /// Why it stays; `None` where it goes.
    stays: Option<String>,
    /// When its commit was made.
    made: Option<Timestamp>,
}

/// What is needed.
struct Needs {
    /// By digest: who needs it.
    digests: BTreeMap<String, String>,
    /// By commit: the branch or tag whose it is.
    commits: BTreeMap<String, String>,
    oldest: Timestamp,
}

/// Looks at every repository of the project, and deletes what nothing needs.
///
/// # Errors
/// [`Kind::Unreachable`](crate::error::Kind::Unreachable) and [`Kind::Denied`](crate::error::Kind::Denied) for a tier's
/// cluster, the registry or Git: where it cannot be known what is needed, nothing is deleted.
pub async fn cleanup(session: &Session, project: &Project, request: Request) -> Result<Sweep> {
    // Which commits still count only Git knows.
    project.revision()?;
    let registry = Registry::of(project)?;
    let work = async {
        let needs = needs(session, project, request).await?;
        let mut images = Vec::new();
        for name in project.config.images.keys() {
            let repository = project.image_repository(name)?;
            images.extend(look(&registry, &repository, &needs).await?);
        }
        if !request.dry_run {
            delete(session, &registry, &images).await?;
        }
        Ok(Sweep { images, dry_run: request.dry_run })
    };
    tokio::select! {
        biased;
        () = session.cancel.cancelled() => Err(interrupted()),
        swept = work => swept,
    }
}

/// Asks every tier of the configuration and the repository's own remote.
async fn needs(session: &Session, project: &Project, request: Request) -> Result<Needs> {
    let mut digests = BTreeMap::new();
    for pattern in project.config.tiers.keys() {
        // Of `review/*` it is not known which there are: the cluster is asked for all of them.
        let everywhere = pattern.ends_with('*');
        let tier = project.tier(&pattern.replace('*', "any"), &TierOverrides::default())?;
        for (image, release) in release::needed_images(session, project, &tier, everywhere).await? {
            let digest = image.rsplit_once('@').map_or(image.as_str(), |(_, digest)| digest).to_owned();
            digests.entry(digest).or_insert(release);
        }
    }
    let age = SignedDuration::try_from(request.keep_for).unwrap_or(SignedDuration::MAX);
    let oldest = Timestamp::now().saturating_sub(age).unwrap_or(Timestamp::MIN);
    Ok(Needs { digests, commits: project.heads().await?, oldest })
}

/// The images of a repository, and what becomes of each.
async fn look(registry: &Registry, repository: &Reference, needs: &Needs) -> Result<Vec<Found>> {
    let tags = registry.tags(repository).await?;
    let digests: Vec<(String, Option<Digest>)> = stream::iter(tags)
        .map(|tag| async move {
            let digest = registry.digest(&repository.with_tag(&tag)).await?;
            Ok::<_, crate::error::Error>((tag, digest))
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut images: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for (tag, digest) in digests {
        if let Some(digest) = digest {
            images.entry(digest).or_default().push(tag);
        }
    }
    let records = records(&mut images);
    let looks: Vec<_> =
        images.into_iter().map(|(digest, tags)| judge(registry, repository, digest, tags, needs)).collect();
    let mut found: Vec<Found> = stream::iter(looks).buffered(CONCURRENCY).try_collect().await?;
    keep_parts(&mut found);
    found.sort_by_key(|image| std::cmp::Reverse(image.made));
    found.extend(of_nothing(repository, records, &found));
    Ok(found)
}

/// The images of the single platforms, `content-…-linux-arm64`, stay as long as the index that leads to them.
fn keep_parts(found: &mut [Found]) {
    let whole = |tag: &String| {
        let (content, platform) = tag.strip_prefix("content-")?.split_once('-')?;
        (!platform.is_empty()).then(|| format!("content-{content}"))
    };
    let stays = found.iter().filter(|image| image.stays.is_some());
    let stays: BTreeSet<String> = stays.flat_map(|image| image.tags.iter().cloned()).collect();
    for image in found.iter_mut() {
        if let Some(index) = image.tags.iter().filter_map(whole).find(|index| stays.contains(index)) {
            image.stays.get_or_insert_with(|| format!("of the index {index}"));
        }
    }
}

/// Takes out the records about images: by the image's digest, what they are called and their own digest.
fn records(images: &mut BTreeMap<Digest, Vec<String>>) -> BTreeMap<Digest, (String, Vec<String>)> {
    let about = |tag: &String| {
        let hex = tag.strip_prefix("sha256-")?.split('.').next()?;
        (hex.len() == 64).then(|| format!("sha256:{hex}"))
    };
    let is_record = |(_, tags): &(Digest, Vec<String>)| tags.iter().all(|tag| about(tag).is_some());
    let (records, rest): (Vec<_>, Vec<_>) = std::mem::take(images).into_iter().partition(is_record);
    *images = rest.into_iter().collect();
    records
        .into_iter()
        .filter_map(|(digest, tags)| Some((digest, (tags.first().and_then(about)?, tags))))
        .collect()
}

/// Records about images that are gone, or that go, go with them.
fn of_nothing(
    repository: &Reference,
    records: BTreeMap<Digest, (String, Vec<String>)>,
    images: &[Found],
) -> Vec<Found> {
    let stays: BTreeSet<&str> = images
        .iter()
        .filter(|image| image.stays.is_some())
        .filter_map(|image| image.reference.digest.as_ref().map(Digest::as_str))
        .collect();
    let gone = records.into_iter().filter(|(_, (about, _))| !stays.contains(about.as_str()));
    gone.map(|(digest, (_, tags))| Found {
        reference: repository.with_digest(digest),
        tags,
        stays: None,
        made: None,
    })
    .collect()
}

/// Whether somebody needs an image.
async fn judge(
    registry: &Registry,
    repository: &Reference,
    digest: Digest,
    mut tags: Vec<String>,
    needs: &Needs,
) -> Result<Found> {
    tags.sort();
    let reference = repository.with_digest(digest);
    let mut found = Found { stays: None, made: None, tags, reference };
    let digest = found.reference.digest.as_ref().map(Digest::as_str).unwrap_or_default();
    let head = found.tags.iter().find_map(|tag| needs.commits.get(tag.split('-').next().unwrap_or(tag)));
    found.stays = match (needs.digests.get(digest), head) {
        _ if !found.tags.iter().any(|tag| tag.starts_with("content-")) => {
            Some("windlass did not make it".to_owned())
        }
        (Some(release), _) => Some(release.clone()),
        (None, Some(head)) => Some(format!("the commit of {head}")),
        (None, None) => None,
    };
    if found.stays.is_none() {
        found.made = registry.made(&found.reference).await?;
        found.stays = match found.made {
            None => Some("nothing says how old it is".to_owned()),
            Some(made) if made > needs.oldest => Some("young".to_owned()),
            Some(_) => None,
        };
    }
    Ok(found)
}

/// Deletes what goes: the records about an image before the image.
async fn delete(session: &Session, registry: &Registry, images: &[Found]) -> Result<()> {
    let goes: Vec<&Found> = images.iter().filter(|image| image.stays.is_none()).collect();
    if goes.is_empty() {
        return Ok(());
    }
    let step = session.reporter.step(Stage::Build, "delete images", "deleting what nothing needs");
    let (records, rest): (Vec<&Found>, Vec<&Found>) = goes.iter().partition(|image| image.is_record());
    for image in records.into_iter().chain(rest) {
        registry.delete(&image.reference).await?;
    }
    step.finish(Outcome::Ok, format!("{} deleted", goes.len()));
    Ok(())
}

impl Found {
    fn is_record(&self) -> bool {
        self.tags.iter().all(|tag| tag.starts_with("sha256-"))
    }

    fn line(&self) -> String {
        let digest = self.reference.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = self.reference.name();
        let made = self.made.map(|made| format!(", of {}", made.strftime("%Y-%m-%d"))).unwrap_or_default();
        format!("{name}@{}  {}{made}", human::shorten(&digest), human::count(self.tags.len(), "tag"))
    }
}

impl Sweep {
    fn goes(&self) -> impl Iterator<Item = &Found> {
        self.images.iter().filter(|image| image.stays.is_none() && !image.is_record())
    }

    /// The sweep for machines.
    pub fn to_json(&self) -> Value {
        let shown = |image: &Found| {
            let mut line =
                json!({"image": image.reference.to_string(), "tags": image.tags, "made": image.made});
            if let Some(why) = &image.stays {
                line["why"] = json!(why);
            }
            line
        };
        let stays = self.images.iter().filter(|image| image.stays.is_some());
        json!({
            "done": !self.dry_run,
            "deleted": self.goes().map(shown).collect::<Vec<_>>(),
            "kept": stays.map(shown).collect::<Vec<_>>(),
        })
    }

    /// The sweep for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for image in self.images.iter().filter(|image| !image.is_record()) {
            let word = match (&image.stays, self.dry_run) {
                (Some(_), _) => paint::faint("stays   "),
                (None, true) => paint::doubtful("goes    "),
                (None, false) => paint::good("deleted "),
            };
            let why = image.stays.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
            text += &format!("{word} {}{why}\n", image.line());
        }
        let count = human::count(self.goes().count(), "image");
        text +=
            &if self.dry_run { format!("{count} would be deleted\n") } else { format!("{count} deleted\n") };
        text
    }
}
