//! The input of a release: the tier's manifests with the images of the commit, or the record of an earlier release.

use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::manifest::{self, Manifests, Sources};
use crate::model::{Image, Images, ObjectRef, Outcome, RunResult, Stage, object};
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::record::{self, ReleaseKind, Summary, target};
use crate::release::ancestry::{self, Course};
use crate::release::context::{Request, TierContext};
use crate::release::plan::checks::external;
use crate::release::plan::redaction;
use crate::release::run::{Deployed, deletion};
use crate::release::tier_lock::LOCKING;
use crate::release::{TestStage, from_record, manifest_check};
use crate::secret::{self, Secret};
use crate::session::Session;

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    /// The tier's manifests with these images.
    Manifests {
        /// The manifests as they stand in the files.
        sources: &'a Sources,
        /// The images of the commit.
        images: &'a Images,
        /// Who knows whether they were tested.
        tests: &'a dyn TestStage,
    },
    /// What a release left on record.
    Record {
        /// Which one; `None` is the last good one.
        revision: Option<u64>,
    },
}

/// What was asked for, read.
pub(crate) enum LoadedInput<'a> {
    /// The tier's manifests.
    Manifests(Box<ReleaseManifests<'a>>),
    /// What a release left on record; `None` is the last good one.
    Record(Option<u64>),
}

/// The tier's manifests, and what belongs to them.
pub(crate) struct ReleaseManifests<'a> {
    /// As they are applied.
    pub(crate) manifests: Manifests,
    /// The images of the commit.
    pub(crate) images: &'a Images,
    /// The same under the tags that they run under already.
    pub(crate) running_images: Images,
    /// Who runs tests against the release.
    pub(crate) tests: &'a dyn TestStage,
    /// Whether the images were tested, as far as that is known.
    pub(crate) tested: Option<bool>,
}

/// What is to run.
pub(crate) enum Decision<'a> {
    /// What runs already: nothing is done.
    Unchanged(Deployed),
    /// The manifests.
    Manifests(&'a ReleaseManifests<'a>),
    /// What the release `to` left on record.
    Record {
        /// Whose set it is.
        to: u64,
        /// What kind of rollback leads there.
        kind: ReleaseKind,
    },
}

impl<'a> Input<'a> {
    /// The stage that it is.
    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Manifests { .. } => Stage::Release,
            Self::Record { .. } => Stage::Rollback,
        }
    }

    /// What the stage is about, in a few words.
    pub(crate) fn title(self, request: Request<'_>) -> String {
        let (project, tier) = (request.project, request.tier);
        match (self, &project.revision) {
            (Self::Record { .. }, _) => format!("{} on {}", project.name, tier.name),
            (_, Some(revision)) => format!("{} {} to {}", project.name, revision.short(), tier.name),
            (_, None) => format!("{} to {}", project.name, tier.name),
        }
    }

    /// Checks that need no cluster.
    ///
    /// # Errors
    /// [`Kind::Rule`] for the branch and the work tree.
    pub(crate) fn check(self, request: Request<'_>) -> Result<()> {
        let Request { session, project, tier, rules } = request;
        match self {
            Self::Manifests { .. } => rules.check_source(session, project, tier),
            Self::Record { .. } => Ok(()),
        }
    }

    /// Connects, if this may be released: tested, and good on the tier before. What was good on this tier needs neither. Also
    /// returns whether it was tested, as far as that is known.
    pub(crate) async fn connect(self, request: Request<'_>) -> Result<(Cluster, Option<bool>)> {
        let Self::Manifests { images, tests, .. } = self else { return Ok((request.connect().await?, None)) };
        let Request { session, project, tier, rules } = request;
        let proven = async {
            let tested = rules.check_tested(session, project, tier, (images, tests)).await?;
            rules.check_after(session, project, tier, images).await?;
            Ok(tested)
        };
        let proven: Result<Option<bool>> = proven.await;
        match proven {
            Ok(tested) => Ok((request.connect().await?, tested)),
            Err(error) if error.kind() == Kind::Rule => {
                let Ok(cluster) = request.connect().await else { return Err(error) };
                if comes_back(request.on(&cluster)).await { Ok((cluster, None)) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads what is to run, as far as that is possible before the lock is held.
    pub(crate) async fn read(
        self,
        context: TierContext<'_>,
        tested: Option<bool>,
    ) -> Result<LoadedInput<'a>> {
        match self {
            Self::Manifests { sources, images, tests } => {
                let (manifests, running_images) = read_manifests(context, sources, images).await?;
                let read = ReleaseManifests { manifests, images, running_images, tests, tested };
                Ok(LoadedInput::Manifests(Box::new(read)))
            }
            Self::Record { revision } => {
                // If nothing was released, no lock is needed.
                if context.store().history().await?.is_empty() {
                    target::choose(&[], &[], revision)?;
                }
                Ok(LoadedInput::Record(revision))
            }
        }
    }
}

/// The manifests with the images under the tags that they run under, and these.
async fn read_manifests(
    context: TierContext<'_>,
    sources: &Sources,
    images: &Images,
) -> Result<(Manifests, Images)> {
    let TierContext { session, project, tier, cluster, .. } = context;
    until_deleted(context, cluster.namespace()).await?;
    // An error that keeps the history from being read is reported later.
    let history = context.store().history().await.unwrap_or_default();
    let images = as_they_run(images, newest_written(&history));
    let read = async {
        let secrets = secrets(session, project, tier).await?;
        let manifests = manifests(session, sources, &images, secrets)?;
        for namespace in namespaces_besides(&manifests, cluster.namespace()) {
            until_deleted(context, namespace).await?;
        }
        manifest_check::check(cluster, &manifests).await?;
        external::check(context, &redaction::wanted(manifests.clone(), b"")).await?;
        cluster.ensure_namespace(&tier.made_for(project), LOCKING).await?;
        Ok(manifests)
    };
    let read: Result<Manifests> = read.await;
    let manifests = read.map_err(|error| error.after(RunResult::of_images(&images)))?;
    Ok((manifests, images))
}

/// The namespaces that the set has, besides the tier's own.
fn namespaces_besides<'a>(manifests: &'a Manifests, own: &'a str) -> impl Iterator<Item = &'a str> {
    let objects = manifests.objects.iter().map(|object| &object.json);
    let namespaces = objects.filter(|object| object::kind(object) == "Namespace").map(object::name);
    namespaces.filter(move |name| *name != own)
}

/// If somebody has deleted a namespace, and this release creates it again, wait until it is deleted: everything in it is
/// deleted with it.
async fn until_deleted(context: TierContext<'_>, name: &str) -> Result<()> {
    let TierContext { session, tier, cluster, .. } = context;
    // Other problems are reported by the requests that need it.
    let Ok(Some(live)) = cluster.get(&ObjectRef::new("v1", "Namespace", name)).await else { return Ok(()) };
    if !object::is_being_deleted(&live) {
        return Ok(());
    }
    let title = format!("the namespace `{name}` is terminating: waiting until it is deleted");
    let step = session.reporter.step(Stage::Release, "namespace", title);
    let gone = deletion::until_gone(session, cluster, &live);
    match tokio::time::timeout(tier.timeout, gone).await {
        Ok(Ok(())) => {
            step.finish(Outcome::Ok, format!("`{name}` was deleted"));
            Ok(())
        }
        Ok(Err(error)) if error.kind() != Kind::TimedOut => Err(error),
        _ => {
            step.finish(Outcome::Failed, format!("`{name}` is still terminating"));
            let since = object::text(&live, "/metadata/deletionTimestamp");
            let sentence = format!("the namespace `{name}` has been terminating since {since}");
            let hint = format!("its conditions say what blocks it: kubectl get namespace {name} -o yaml");
            Err(Error::new(Kind::Refused, sentence).with_hint(hint))
        }
    }
}

impl LoadedInput<'_> {
    /// The command that takes the lock.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Manifests(_) => "release",
            Self::Record(_) => "rollback",
        }
    }

    /// What is known about the result of the run before it begins.
    pub(crate) fn result(&self, prior: &PriorReleases) -> RunResult {
        match self {
            Self::Manifests(read) => {
                RunResult { url: read.url(), ..RunResult::of_images(&read.running_images) }
            }
            // If nothing is rolled back.
            Self::Record(_) => {
                RunResult { url: prior.last.as_ref().and_then(from_record::url), ..RunResult::default() }
            }
        }
    }
}

impl ReleaseManifests<'_> {
    /// The address of the set.
    pub(crate) fn url(&self) -> Option<String> {
        manifest::address(self.manifests.objects.iter().map(|object| &object.json))
    }
}

/// An image whose digest runs already keeps its tag there, so that a new tag of the same image restarts no pod.
pub(crate) fn as_they_run(images: &Images, newest: Option<&Summary>) -> Images {
    let running = |image: &Image| {
        let running = newest?.images.get(&image.name)?.pinned()?;
        let is_same = running.digest == image.pinned.digest && running.name() == image.pinned.name();
        is_same.then(|| running.clone())
    };
    let kept = |image: &Image| Image {
        pinned: running(image).unwrap_or_else(|| image.pinned.clone()),
        ..image.clone()
    };
    images.iter().map(|(name, image)| (name.clone(), kept(image))).collect()
}

/// The newest release that wrote anything: its objects run, or should.
pub(crate) fn newest_written(newest_first: &[Summary]) -> Option<&Summary> {
    let wrote = |one: &&Summary| {
        let counted = one.progress.and_then(|progress| progress.written);
        one.outcome == record::Outcome::Good || counted.is_none_or(|written| written > 0)
    };
    newest_first.iter().find(wrote)
}

/// Whether the commit is an older one that was good here.
async fn comes_back(context: TierContext<'_>) -> bool {
    let Ok(history) = context.store().history().await else { return false };
    matches!(ancestry::course(context, &history).await, Ok(Course::BringBack { .. }))
}

/// The tier's manifests as they would be applied with these images, without the stamps of a release. From now on their
/// Secrets are masked.
///
/// # Errors
/// [`Kind::Invalid`] with the place in the user's files; [`Kind::Rule`] where they use an image that was not built.
pub(crate) fn manifests(
    session: &Session,
    sources: &Sources,
    images: &Images,
    secrets: Vec<Secret>,
) -> Result<Manifests> {
    let pinned = images.values().map(|image| (image.name.clone(), image.pinned.clone())).collect();
    let manifests = sources.manifests(pinned, secrets)?;
    secret::hide_objects(manifests.objects.iter().map(|object| &object.json), &session.reporter);
    for warning in &manifests.warnings {
        session.reporter.warn_of(warning);
    }
    Ok(manifests)
}

/// The Secrets of the configuration with their values, which are masked from now on.
pub(crate) async fn secrets(session: &Session, project: &Project, tier: &Tier) -> Result<Vec<Secret>> {
    session.unless_cancelled(secret::fetch(project, tier, &session.reporter)).await
}
