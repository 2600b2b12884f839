//! Builds one image: looks for its content tag, builds it if it is missing, pushes and tags it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::build::context::{Context, unwanted};
use crate::build::daemon::Daemon;
use crate::build::dockerfile::reads::Reads;
use crate::build::earlier::Earlier;
use crate::build::request::BuildRequest;
use crate::build::{BuildOptions, bytes, content, engine, failed};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::graph::Needs;
use crate::model::{Digest, Image, Outcome, PinnedImage, Reference, Revision, Stage};
use crate::project::{CacheMode, ImageConfig, Project, ci};
use crate::registry::{self, Registry};
use crate::report::StepReport;
use crate::secret;
use crate::session::Session;
use crate::text::{display, slug};

mod cache;
mod publish;

/// A context of more bytes than this is hardly meant.
const BIG: u64 = 100_000_000;
/// More pushes at the same time only take each other's bandwidth: the Engine pushes the layers of each in parallel.
const PUSHES: usize = 3;

/// What all images of a run share.
pub(crate) struct ImageBuilder<'a> {
    session: &'a Session,
    project: &'a Project,
    revision: &'a Revision,
    options: BuildOptions,
    registry: Registry,
    builder: Builder,
    pushes: Semaphore,
    /// What an earlier run of this commit came to.
    earlier: Option<Earlier>,
    /// The content tag of each image, as far as this run has come.
    contents: Mutex<BTreeMap<String, String>>,
}

/// Who builds.
enum Builder {
    /// The Docker Engine: what it has built is pushed afterwards.
    Engine(Engine),
    /// A BuildKit daemon, which pushes what it builds.
    Daemon(Daemon),
}

impl Builder {
    /// What it builds for where nothing is said.
    fn platform(&self) -> &str {
        match self {
            Self::Engine(engine) => &engine.platform,
            Self::Daemon(daemon) => &daemon.platform,
        }
    }

    /// Whether it fetches the files that it wants, instead of being sent all.
    fn fetches(&self) -> bool {
        match self {
            Self::Engine(engine) => engine.builder == crate::engine::Builder::BuildKit,
            Self::Daemon(_) => true,
        }
    }
}

/// An image that is in the registry already.
struct PushedImage {
    digest: Digest,
    /// Whether the commit's tag leads to it, and the branch's was seen to by an earlier run.
    is_named: bool,
}

/// An image that has its tags.
struct Published {
    pinned: PinnedImage,
    /// Whether it was not in the registry before this build.
    is_new: bool,
}

/// What an image is built from.
struct Sources {
    context: Arc<Context>,
    /// Directories that the Dockerfile knows by names.
    named: BTreeMap<String, Arc<Context>>,
    /// What of the context counts.
    reads: Arc<Reads>,
}

/// An image that was looked for.
enum Ready<'w> {
    /// It is in the registry, with the commit's tag.
    Found(PinnedImage),
    /// It was built, of this content.
    Made(Reference, Made<'w>),
}

/// What a build came to.
struct Made<'w> {
    /// A line about it.
    summary: String,
    product: Product<'w>,
    /// Images whose layers the builder was told to take over, with their digests.
    caches: Vec<Reference>,
    /// The tag under which its own layers are found by later builds, where that is not the branch's tag or a cache of its own.
    cache_tag: Option<String>,
}

/// What was built.
enum Product<'w> {
    /// Images in the Engine, to which no tag leads yet, and layers for later builds: each with the tag that it is to have.
    InEngine(&'w Engine, Vec<EngineImage>, Vec<(Reference, String)>),
    /// An image that is in the registry already, without a tag.
    Pushed(Digest),
}

/// An image in the Engine.
struct EngineImage {
    /// What it is built for, where it is not what the Engine itself is.
    platform: Option<String>,
    /// What the Engine calls it.
    id: String,
}

impl<'a> ImageBuilder<'a> {
    /// Connects to the builder.
    ///
    /// # Errors
    /// [`Kind::Invalid`] without a commit; those of [`Engine::connect`] and of [`Daemon::connect`].
    pub(crate) async fn open(
        session: &'a Session,
        project: &'a Project,
        images: &Needs,
        options: BuildOptions,
    ) -> Result<Self> {
        let (revision, registry) = (project.revision()?, Registry::of(project));
        let builder = match &project.config.builder {
            Some(config) => Builder::Daemon(Daemon::connect(session, project, config).await?),
            None => Builder::Engine(Engine::connect(session).await?),
        };
        let (pushes, contents) = (Semaphore::new(PUSHES), Mutex::default());
        let mut image_builder =
            Self { session, project, revision, options, registry, builder, pushes, earlier: None, contents };
        let tagged =
            |name: &String| Ok((name.clone(), image_builder.commit_tag(&project.image_repository(name)?)));
        let images = images.keys().map(tagged).collect::<Result<BTreeMap<_, _>>>()?;
        let branch = image_builder.followed_branch();
        let earlier = Earlier::find(&image_builder.registry, &images, branch.as_deref());
        image_builder.earlier = session.unless_cancelled(earlier).await?;
        Ok(image_builder)
    }

    /// Leaves a record of what was built or found, so that the next run of this commit asks less.
    pub(crate) async fn remember(&self, images: &[Image]) {
        let Some(earlier) = &self.earlier else { return };
        let mut contents = std::mem::take(&mut *self.contents.lock().unwrap_or_else(PoisonError::into_inner));
        let made = images.iter().filter_map(|image| {
            let content = contents.remove(&image.name)?;
            Some((image.name.clone(), (content, image.pinned.digest.clone())))
        });
        let made = made.collect();
        if let Err(error) = self.session.unless_cancelled(earlier.write(&self.registry, &made)).await {
            // It only saves time.
            tracing::debug!(%error, "the build was not recorded");
        }
    }

    /// The image, built or found, as one step of the stage; `needed` are the images it is built from, by argument.
    pub(crate) async fn image(
        &self,
        name: &str,
        image: &ImageConfig,
        needed: &BTreeMap<String, Image>,
    ) -> Result<Image> {
        let step = self.session.reporter.step(Stage::Build, format!("build {name}"), "looking for the image");
        let (made_of, made) = match self.find_or_make(name, image, needed, &step).await {
            Ok(Ready::Found(pinned)) => {
                if let Err(error) = self.put_more_tags(name, &pinned).await {
                    return Err(failed(step, error));
                }
                step.finish(Outcome::Skipped, format!("already built: {pinned}"));
                return Ok(Image { name: name.to_owned(), pinned, built: false });
            }
            Ok(Ready::Made(made_of, made)) => {
                step.finish(Outcome::Ok, made.summary.clone());
                (made_of, made)
            }
            Err(error) => return Err(failed(step, error)),
        };
        let step = self.session.reporter.step(Stage::Build, format!("push {name}"), "pushing");
        let _turn = self.session.unless_cancelled(self.turn()).await;
        let published = async {
            let published = self.publish(&made_of, made, &step).await?;
            self.put_more_tags(name, &published.pinned).await?;
            Ok::<_, Error>(published)
        };
        match published.await {
            Ok(Published { pinned, is_new }) => {
                if is_new {
                    step.finish(Outcome::Ok, pinned.to_string());
                } else {
                    step.finish(Outcome::Skipped, format!("unchanged: {pinned}"));
                }
                Ok(Image { name: name.to_owned(), pinned, built: true })
            }
            Err(error) => Err(failed(step, error)),
        }
    }

    /// The image of this content in the registry, or what was built of it.
    async fn find_or_make(
        &self,
        name: &str,
        image: &ImageConfig,
        needed: &BTreeMap<String, Image>,
        step: &StepReport,
    ) -> Result<Ready<'_>> {
        // What a base image's `ONBUILD` reads only the builder knows: then the whole context counts.
        for whole in [false, true] {
            let (sources, made_of) = self.resolve(name, image, needed, whole).await?;
            if !self.options.rebuilds()
                && let Some(PushedImage { digest, is_named }) = self.pushed(name, &made_of).await?
            {
                let pinned = self.commit_tag(&made_of).pinned_to(digest);
                if !is_named {
                    self.name(&pinned.reference()).await?;
                }
                return Ok(Ready::Found(pinned));
            }
            if let Some(made) = self.make(name, image, needed, sources, &made_of, step).await? {
                return Ok(Ready::Made(made_of, made));
            }
        }
        Err(Error::new(Kind::Defect, "the builder wants more than the whole context"))
    }

    /// What would be built, and under which content tag; the `whole` context counts, or what the Dockerfile can read.
    async fn resolve(
        &self,
        name: &str,
        image: &ImageConfig,
        needed: &BTreeMap<String, Image>,
        whole: bool,
    ) -> Result<(Sources, Reference)> {
        let (root, config) = (self.project.root.clone(), image.clone());
        let platforms = image.platforms.join(",");
        let platform = if platforms.is_empty() { self.builder.platform().to_owned() } else { platforms };
        let commit = self.revision.tag();
        let report = self.project.report.clone();
        let fetches = self.builder.fetches();
        let needed: BTreeMap<String, Digest> =
            needed.iter().map(|(argument, image)| (argument.clone(), image.pinned.digest.clone())).collect();
        // Reading and hashing the files is work for a thread of its own.
        let hashing = tokio::task::spawn_blocking(move || {
            let mut context = Context::find(&root, &config.context, &config.dockerfile)?;
            if let Some(report) = report {
                context.leave_out(&root.join(&config.context), &report);
            }
            let reads = if whole { Reads::Everything } else { content::reads(&context, &config, &platform) };
            if fetches {
                context.narrow(&|path| reads.needs(path));
            }
            let mut named = content::named_contexts(&root, &config)?;
            let tag = content::tag(&mut context, &mut named, &config, &needed, (&platform, &commit), &reads)?;
            let named = named.into_iter().map(|(name, context)| (name, Arc::new(context))).collect();
            Ok::<_, Error>((Sources { context: Arc::new(context), named, reads: Arc::new(reads) }, tag))
        });
        let hashing = async {
            hashing
                .await
                .map_err(|error| Error::new(Kind::Defect, format!("reading the context: {error}")))?
        };
        let (sources, tag) = self.session.unless_cancelled(hashing).await?;
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), tag.clone());
        Ok((sources, self.project.image_repository(name)?.with_tag(tag)))
    }

    /// The image of this content that the registry has.
    async fn pushed(&self, name: &str, made_of: &Reference) -> Result<Option<PushedImage>> {
        let tag = made_of.tag.as_deref().unwrap_or_default();
        let known = self.earlier.as_ref().and_then(|earlier| earlier.digest(name, tag));
        if let Some(digest) = known
            && self.look_up(&self.commit_tag(made_of)).await?.as_ref() == Some(digest)
        {
            return Ok(Some(PushedImage { digest: digest.clone(), is_named: true }));
        }
        let found = self.look_up(made_of).await?;
        Ok(found.map(|digest| PushedImage { digest, is_named: false }))
    }

    /// Builds; `None` where the build reads more of its context than was counted.
    async fn make(
        &self,
        name: &str,
        image: &ImageConfig,
        needed: &BTreeMap<String, Image>,
        sources: Sources,
        tag: &Reference,
        step: &StepReport,
    ) -> Result<Option<Made<'_>>> {
        let Sources { context, named, reads } = sources;
        self.complain(name, &context, &reads);
        let image = with_needed(image, needed);
        let files = display::count(context.entries.len(), "file");
        step.progress(format!("sending {files}, {}", bytes(context.size())));
        let takes_over = image.cache != CacheMode::Off && !self.options.no_cache;
        let caches = if takes_over { self.caches(&image, &context, tag).await? } else { Vec::new() };
        let leaves = match (image.cache, self.branch_tag()) {
            (CacheMode::Max, Some(branch)) => Some(tag.with_tag(registry::cache_tag(&branch))),
            _ => None,
        };
        let (project, reporter) = (self.project, &self.session.reporter);
        let inputs =
            self.session.unless_cancelled(secret::of_build(project, &image.secrets, reporter)).await?;
        let order = |platforms: Vec<String>| BuildRequest {
            name,
            image: &image,
            context: context.clone(),
            named: named.clone(),
            reads: reads.clone(),
            dockerfile: image.dockerfile.clone(),
            tag: tag.clone(),
            platforms,
            cache: caches.iter().map(by_tag).collect(),
            cache_export: leaves.clone(),
            is_silent: false,
            options: self.options,
            inputs: inputs.clone(),
        };
        let building = self.built(&order, &image.platforms, step);
        let late = || not_in_time(name, &image);
        let Some((summary, product)) = self.session.within(image.timeout, building, late).await? else {
            return Ok(None);
        };
        let cache_tag = if self.leaves_records(&image) { self.branch_tag() } else { None };
        let cache_tag = cache_tag.map(|branch| registry::cache_tag(&branch));
        Ok(Some(Made { summary, product, caches, cache_tag }))
    }

    /// What the builder makes of the order.
    async fn built<'r>(
        &self,
        order: &impl Fn(Vec<String>) -> BuildRequest<'r>,
        platforms: &[String],
        step: &StepReport,
    ) -> Result<Option<(String, Product<'_>)>> {
        match &self.builder {
            Builder::Daemon(daemon) => {
                let order = order(platforms.to_vec());
                let built = daemon.build(self.session, &self.registry, step, &order).await?;
                Ok(built.map(|(summary, digest)| (summary, Product::Pushed(digest))))
            }
            Builder::Engine(engine) => {
                let (mut built, mut summaries) = (Vec::new(), Vec::new());
                for platform in one_by_one(platforms) {
                    let order = order(platform.clone().into_iter().collect());
                    let done = engine::build(self.session, engine, &self.registry, step, &order).await?;
                    let Some(engine::Built { summary, id }) = done else { return Ok(None) };
                    summaries.push(match &platform {
                        Some(platform) => format!("{platform}: {summary}"),
                        None => summary,
                    });
                    built.push(EngineImage { platform, id });
                }
                let layers = self.layers_of_stages(engine, order, step).await?;
                Ok(Some((summaries.join("; "), Product::InEngine(engine, built, layers))))
            }
        }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.pushes.acquire().await.map_err(|error| Error::new(Kind::Defect, error.to_string()))
    }

    fn commit_tag(&self, image: &Reference) -> Reference {
        image.with_tag(self.revision.tag())
    }

    /// A branch's tag never leads to what is not on the branch, and never takes the place of another kind of tag. What a
    /// merge request proposes is on no branch of the project, whatever its own is called.
    fn branch_tag(&self) -> Option<String> {
        self.tag_of(self.revision.own_branch()?)
    }

    /// The branch's tag where the branch is the default one.
    fn followed_branch(&self) -> Option<String> {
        let default = ci::default_branch().map(|branch| slug(&branch));
        self.branch_tag().filter(|tag| default.as_ref() == Some(tag))
    }

    fn tag_of(&self, branch: &str) -> Option<String> {
        let tag = slug(branch);
        (!self.revision.dirty && !self.is_taken(&tag) && !tag.is_empty()).then_some(tag)
    }

    /// Whether the tag means something else.
    fn is_taken(&self, tag: &str) -> bool {
        let own = ["content-", "sha256-", "windlass."];
        own.iter().any(|begin| tag.starts_with(begin)) || tag == self.revision.commit
    }

    /// Says what makes builds slow or different, before it does.
    fn complain(&self, name: &str, context: &Context, reads: &Reads) {
        let reporter = &self.session.reporter;
        if context.has_git() && reads.includes(".git") {
            reporter.warn_with_hint(
                format!("the build context of `{name}` contains `.git`: every commit rebuilds the image"),
                "add `.git` to .dockerignore",
            );
        }
        for doubt in unwanted::doubts(name, &self.project.root, context, &|path| reads.includes(path)) {
            reporter.warn_of(&doubt);
        }
        if context.size() > BIG {
            let biggest = context.biggest(5).into_iter();
            let biggest: Vec<String> =
                biggest.map(|(path, size)| format!("{path} {}", bytes(size))).collect();
            reporter.warn_with_hint(
                format!(
                    "the build context of `{name}` has {}: {}",
                    bytes(context.size()),
                    biggest.join(", ")
                ),
                format!(
                    "exclude what the build does not need with .dockerignore; `windlass build \
                     --context-list {name}` lists what is sent"
                ),
            );
        }
    }
}

/// What the Engine builds one after the other: it knows one platform at a time.
fn one_by_one(platforms: &[String]) -> Vec<Option<String>> {
    if platforms.is_empty() { vec![None] } else { platforms.iter().cloned().map(Some).collect() }
}

/// The configuration of an image with the images that it is built from among its arguments.
fn with_needed(image: &ImageConfig, needed: &BTreeMap<String, Image>) -> ImageConfig {
    let mut image = image.clone();
    image.args.extend(needed.iter().map(|(argument, one)| (argument.clone(), one.pinned.by_digest())));
    image
}

/// An image as a builder is told of it that takes over what an earlier build left.
fn by_tag(image: &Reference) -> String {
    Reference { digest: None, ..image.clone() }.to_string()
}

fn not_in_time(name: &str, image: &ImageConfig) -> Error {
    let limit = display::whole(image.timeout);
    Error::new(Kind::Build, format!("the build of `{name}` did not finish within {limit}"))
        .with_hint(format!("`images.{name}.timeout` is its limit (1h by default)"))
}
