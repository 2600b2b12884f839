//! One image on its way: looked for under its content tag, built where it is not there, pushed, and named.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::build::context::Context;
use crate::build::daemon::Daemon;
use crate::build::dockerfile::reads::Reads;
use crate::build::earlier::Earlier;
use crate::build::request::BuildRequest;
use crate::build::{bytes, content, engine, failed, interruptible, pause, push, result};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::graph::Needs;
use crate::model::{Digest, Image, Outcome, PinnedImage, Reference, Revision, Stage};
use crate::project::{ImageConfig, Project, ci};
use crate::registry::{self, Build, Registry, is_refusal};
use crate::report::StepReport;
use crate::secret;
use crate::session::Session;
use crate::text::{display, slug};

/// A context of more bytes than this is hardly meant.
const BIG: u64 = 100_000_000;
/// More pushes at the same time only take each other's bandwidth: the Engine pushes the layers of each in parallel.
const PUSHES: usize = 3;
/// Longer than anybody takes from looking at a tag to writing it, and shorter than a person notices.
const AGREEMENT: Duration = Duration::from_millis(400);

/// What all images of a run share.
pub(crate) struct ImageBuilder<'a> {
    session: &'a Session,
    project: &'a Project,
    revision: &'a Revision,
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
    /// What of the context counts.
    reads: Arc<Reads>,
}

/// An image that was looked for.
enum Ready<'w> {
    /// It is in the registry, with the commit's tag.
    Found(PinnedImage),
    /// It was built, of this content; a line about it.
    Made(Reference, String, Product<'w>),
}

/// What was built.
enum Product<'w> {
    /// Images in the Engine, by what they are built for; `None` for the Engine's own platform.
    InEngine(&'w Engine, Vec<(Option<String>, Reference)>),
    /// An image that is in the registry already, without a tag.
    Pushed(Digest),
}

impl<'a> ImageBuilder<'a> {
    /// Connects to the builder.
    ///
    /// # Errors
    /// [`Kind::Invalid`] without a commit; those of [`Engine::connect`] and of [`Daemon::connect`].
    pub(crate) async fn open(session: &'a Session, project: &'a Project, images: &Needs) -> Result<Self> {
        let (revision, registry) = (project.revision()?, Registry::of(project));
        let builder = match &project.config.builder {
            Some(config) => Builder::Daemon(Daemon::connect(session, project, config).await?),
            None => Builder::Engine(Engine::connect(session).await?),
        };
        let (pushes, contents) = (Semaphore::new(PUSHES), Mutex::default());
        let mut workshop =
            Self { session, project, revision, registry, builder, pushes, earlier: None, contents };
        let tagged =
            |name: &String| Ok((name.clone(), workshop.commit_tag(&project.image_repository(name)?)));
        let images = images.keys().map(tagged).collect::<Result<BTreeMap<_, _>>>()?;
        let branch = workshop.followed_branch();
        let earlier = Earlier::find(&workshop.registry, &images, branch.as_deref());
        workshop.earlier = interruptible(session, earlier).await?;
        Ok(workshop)
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
        if let Err(error) = interruptible(self.session, earlier.write(&self.registry, &made)).await {
            // It only saves time.
            tracing::debug!(%error, "what was built was not recorded");
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
        let (made_of, product) = match self.find_or_make(name, image, needed, &step).await {
            Ok(Ready::Found(pinned)) => {
                step.finish(Outcome::Skipped, format!("already built: {pinned}"));
                return Ok(Image { name: name.to_owned(), pinned, built: false });
            }
            Ok(Ready::Made(made_of, summary, product)) => {
                step.finish(Outcome::Ok, summary);
                (made_of, product)
            }
            Err(error) => return Err(failed(step, error)),
        };
        let step = self.session.reporter.step(Stage::Build, format!("push {name}"), "pushing");
        let _turn = interruptible(self.session, self.turn()).await;
        match self.publish(&made_of, product, &step).await {
            Ok(Published { pinned, is_new }) => {
                if is_new {
                    step.finish(Outcome::Ok, pinned.to_string());
                } else {
                    step.finish(Outcome::Skipped, format!("the same as before: {pinned}"));
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
            if let Some(PushedImage { digest, is_named }) = self.pushed(name, &made_of).await? {
                let pinned = self.commit_tag(&made_of).pinned_to(digest);
                if !is_named {
                    self.name(&pinned.reference()).await?;
                }
                return Ok(Ready::Found(pinned));
            }
            if let Some((summary, product)) = self.make(name, image, needed, sources, &made_of, step).await? {
                return Ok(Ready::Made(made_of, summary, product));
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
            let tag = content::tag(&mut context, &config, &needed, (&platform, &commit), &reads)?;
            Ok::<_, Error>((Sources { context: Arc::new(context), reads: Arc::new(reads) }, tag))
        });
        let hashing = async {
            hashing
                .await
                .map_err(|error| Error::new(Kind::Defect, format!("reading the context: {error}")))?
        };
        let (sources, tag) = interruptible(self.session, hashing).await?;
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
    ) -> Result<Option<(String, Product<'_>)>> {
        let Sources { context, reads } = sources;
        self.complain(name, &context, &reads);
        let mut image = image.clone();
        for (argument, needed) in needed {
            image.args.insert(argument.clone(), needed.pinned.by_digest());
        }
        let files = display::count(context.entries.len(), "file");
        step.progress(format!("sending {files}, {}", bytes(context.size())));
        let cache = if image.cache { self.caches(tag).await? } else { Vec::new() };
        let (project, reporter) = (self.project, &self.session.reporter);
        let inputs =
            self.session.unless_cancelled(secret::of_build(project, &image.secrets, reporter)).await?;
        let order = |tag: Reference, platforms: Vec<String>| BuildRequest {
            name,
            image: &image,
            context: context.clone(),
            reads: reads.clone(),
            dockerfile: image.dockerfile.clone(),
            tag,
            platforms,
            cache: cache.clone(),
            inputs: inputs.clone(),
        };
        match &self.builder {
            Builder::Daemon(daemon) => {
                let order = order(tag.clone(), image.platforms.clone());
                let built = daemon.build(self.session, &self.registry, step, &order).await?;
                Ok(built.map(|(summary, digest)| (summary, Product::Pushed(digest))))
            }
            Builder::Engine(engine) => {
                let (mut built, mut summaries) = (Vec::new(), Vec::new());
                for (platform, tag) in parts(&image.platforms, tag) {
                    let order = order(tag.clone(), platform.clone().into_iter().collect());
                    let done = engine::build(self.session, engine, &self.registry, step, &order).await?;
                    let Some(summary) = done else { return Ok(None) };
                    summaries.push(match &platform {
                        Some(platform) => format!("{platform}: {summary}"),
                        None => summary,
                    });
                    built.push((platform, tag));
                }
                Ok(Some((summaries.join("; "), Product::InEngine(engine, built))))
            }
        }
    }

    /// The images of the branch and of the default branch, as far as they are there. A merge request may take layers of the
    /// branch that is called like its own: only the project's own pipelines have put an image there.
    async fn caches(&self, image: &Reference) -> Result<Vec<String>> {
        let default = ci::default_branch().unwrap_or_else(|| "main".to_owned());
        let branch = self.revision.branch.as_deref().and_then(|branch| self.tag_of(branch));
        let mut tags: Vec<String> = branch.into_iter().chain([slug(&default)]).collect();
        tags.dedup();
        let looks = tags.into_iter().map(async |tag| {
            let found = self.registry.digest_before_push(&image.with_tag(&tag)).await?;
            Ok::<_, Error>(found.map(|_| image.with_tag(tag).to_string()))
        });
        let found = interruptible(self.session, futures::future::try_join_all(looks)).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.pushes.acquire().await.map_err(|error| Error::new(Kind::Defect, error.to_string()))
    }

    /// Pushes what was built, unless the registry has the same already, and gives it its names.
    async fn publish(
        &self,
        content: &Reference,
        product: Product<'_>,
        step: &StepReport,
    ) -> Result<Published> {
        let reference = self.commit_tag(content);
        // Somebody else may have built the same in the meantime: one content, one digest.
        if let Some(digest) = self.look_up(content).await? {
            return self.named(reference.pinned_to(digest)).await;
        }
        let layers = self.layers_tag(content, &product).await?;
        if let Some(tag) = &layers
            && let Some(digest) = self.same_image(tag).await?
        {
            let agreed = self.await_consistency(content, &digest).await?;
            return self.named(reference.pinned_to(agreed)).await;
        }
        let pinned = match product {
            Product::Pushed(digest) => {
                self.published(content, self.verified(&reference, digest).await?).await?
            }
            Product::InEngine(engine, built) => {
                let pushed = self.push(engine, content, &reference, built, step).await?;
                self.published_under(content, reference, pushed).await?
            }
        };
        if let Some(tag) = layers {
            // It only finds the image again: a registry that does not move the tag keeps nobody from building.
            let put = self.put(&pinned.reference(), tag.tag.as_deref()).await;
            put.or_else(|refused| if is_refusal(&refused) { Ok(()) } else { Err(refused) })?;
        }
        Ok(Published { pinned, is_new: true })
    }

    /// An image that was in the registry before, under the commit's tag.
    async fn named(&self, pinned: PinnedImage) -> Result<Published> {
        self.name(&pinned.reference()).await?;
        Ok(Published { pinned, is_new: false })
    }

    /// Gives an image that was pushed without a tag its names.
    async fn published(&self, content: &Reference, pushed: Digest) -> Result<PinnedImage> {
        let agreed = self.await_consistency(content, &pushed).await?;
        let pinned = self.commit_tag(content).pinned_to(agreed);
        self.name(&pinned.reference()).await?;
        Ok(pinned)
    }

    /// Gives an image that was pushed under the commit's tag its other names.
    async fn published_under(
        &self,
        content: &Reference,
        reference: Reference,
        pushed: Digest,
    ) -> Result<PinnedImage> {
        self.note(&reference.with_digest(pushed.clone())).await;
        let agreed = self.await_consistency(content, &pushed).await?;
        let mut pinned = reference.pinned_to(agreed);
        if pinned.digest != pushed {
            self.note(&pinned.reference()).await;
            match self.put(&pinned.reference(), pinned.tag.as_deref()).await {
                // The tag of the commit leads to what was pushed and cannot be moved: that is the image of this commit.
                Err(error) if is_refusal(&error) => pinned.digest = pushed,
                put => put?,
            }
        }
        self.put_branch(&pinned.reference(), self.branch_tag().as_deref()).await?;
        Ok(pinned)
    }

    /// The tag that says what came out of a build; `None` where that cannot be told.
    async fn layers_tag(&self, content: &Reference, product: &Product<'_>) -> Result<Option<Reference>> {
        let fingerprint = match product {
            Product::Pushed(digest) => {
                let pushed = content.with_digest(digest.clone());
                result::of_configs(&interruptible(self.session, self.registry.configurations(&pushed)).await?)
            }
            Product::InEngine(engine, built) => {
                let looks = built.iter().map(async |(_, image)| engine.inspect(&image.to_string()).await);
                let found = interruptible(self.session, futures::future::try_join_all(looks)).await?;
                found.into_iter().collect::<Option<Vec<_>>>().and_then(|images| result::of_inspected(&images))
            }
        };
        Ok(fingerprint.map(|fingerprint| content.with_tag(registry::layers_tag(&fingerprint))))
    }

    /// The image to which this tag leads, if it is what the tag says.
    async fn same_image(&self, tag: &Reference) -> Result<Option<Digest>> {
        let Some(digest) = self.look_up(tag).await? else { return Ok(None) };
        let image = tag.with_digest(digest.clone());
        let configs = interruptible(self.session, self.registry.configurations(&image)).await?;
        let is_it = result::of_configs(&configs).map(|found| registry::layers_tag(&found)) == tag.tag;
        Ok(is_it.then_some(digest))
    }

    /// Pushes what the Engine has built. Under the commit's tag first: between the look at the content's tag and its writing
    /// must lie an instant only, and a push takes long.
    async fn push(
        &self,
        engine: &Engine,
        content: &Reference,
        reference: &Reference,
        built: Vec<(Option<String>, Reference)>,
        step: &StepReport,
    ) -> Result<Digest> {
        let other = self.look_up(reference).await?;
        let pushed = if let [(_, only)] = built.as_slice() {
            interruptible(self.session, engine.tag(&only.to_string(), reference)).await?;
            push::push(self.session, engine, &self.registry, step, reference).await
        } else {
            let mut images = Vec::new();
            for (platform, image) in built {
                let digest = push::push(self.session, engine, &self.registry, step, &image).await?;
                images.push((platform.unwrap_or_default(), image.with_digest(digest)));
            }
            interruptible(self.session, self.registry.put_index(reference, &images)).await
        };
        match pushed {
            Err(refused) if is_refusal(&refused) => {
                self.push_beside(engine, content, reference, refused, step).await
            }
            pushed => {
                let pushed = pushed?;
                if let Some(other) = other.filter(|other| *other != pushed) {
                    self.warn_of_other(&other);
                }
                Ok(pushed)
            }
        }
    }

    /// Where the commit's tag is there already and cannot be moved: the image that it leads to, if that is the one that
    /// was built. A run that was killed before it wrote the content's tag left it so, or another job that was faster.
    async fn push_beside(
        &self,
        engine: &Engine,
        content: &Reference,
        reference: &Reference,
        refused: Error,
        step: &StepReport,
    ) -> Result<Digest> {
        let Ok(Some(there)) = self.leads_to(reference).await else { return Err(refused) };
        if self.leads_to(content).await.is_ok_and(|content| content.as_ref() == Some(&there)) {
            return Ok(there);
        }
        let pushed = push::push(self.session, engine, &self.registry, step, content).await;
        if pushed.is_ok_and(|pushed| pushed == there) {
            return Ok(there);
        }
        Err(built_before(refused, &there))
    }

    /// Registries have lost images after a push that looked good: what counts is what can be asked for.
    async fn verified(&self, reference: &Reference, digest: Digest) -> Result<Digest> {
        let exact = Reference { tag: None, ..reference.with_digest(digest.clone()) };
        if interruptible(self.session, self.registry.digest(&exact)).await?.is_some() {
            return Ok(digest);
        }
        Err(Error::new(Kind::Push, format!("{exact} was pushed, but the registry does not have it"))
            .with_hint("run the command again; if it stays so, look at the registry's log"))
    }

    /// The digest that all who built this content at the same time will use. A registry cannot write "only if there is
    /// nothing yet": whoever saw nothing writes, waits longer than anybody takes from looking to writing, and then takes
    /// what stands there.
    async fn await_consistency(&self, content: &Reference, pushed: &Digest) -> Result<Digest> {
        let began = Instant::now();
        if let Some(first) = self.leads_to(content).await? {
            return Ok(first);
        }
        match self.put(&content.with_digest(pushed.clone()), content.tag.as_deref()).await {
            // Where tags cannot be moved, whoever was first has decided.
            Err(refused) if is_refusal(&refused) => return self.leads_to(content).await?.ok_or(refused),
            put => put?,
        }
        // To a registry that is far away others take as long as this one took.
        pause(self.session, AGREEMENT.max(2 * began.elapsed())).await?;
        Ok(self.leads_to(content).await?.unwrap_or_else(|| pushed.clone()))
    }

    /// Makes sure that the commit's tag leads to this image; one request where it does already.
    async fn name(&self, image: &Reference) -> Result<()> {
        // A commit that reaches the default branch by fast-forward was built on its own branch: the default branch's tag,
        // from which all others take their layers, must follow all the same.
        let branch_tag = self.branch_tag();
        let looked_at = self.followed_branch().map(|tag| image.with_tag(tag));
        let branch = async {
            match &looked_at {
                Some(branch) => self.leads_to(branch).await,
                None => Ok(image.digest.clone()),
            }
        };
        let (there, branch) = futures::future::try_join(self.leads_to(image), branch).await?;
        if there == image.digest {
            let Some(tag) = branch_tag.filter(|_| branch != image.digest) else { return Ok(()) };
            // A job that runs again must not lead it back.
            let newest = match branch {
                Some(there) => {
                    let followed = image.with_digest(there);
                    let origin = interruptible(self.session, self.registry.origin(&followed)).await?;
                    origin.made_on(self.revision.own_branch().unwrap_or_default())
                }
                None => None,
            };
            let is_behind = newest.is_none_or(|newest| newest.as_second() <= self.revision.time);
            return self.put_branch(image, Some(tag.as_str()).filter(|_| is_behind)).await;
        }
        self.note(image).await;
        let put = self.put(image, image.tag.as_deref()).await;
        if let Some(other) = there {
            put.map_err(|refused| built_before(refused, &other))?;
            self.warn_of_other(&other);
        } else {
            put?;
        }
        self.put_branch(image, branch_tag.as_deref()).await
    }

    /// Leaves beside the image which commit it is of, which nothing in the image says. Without it `cleanup` cannot tell how old
    /// the image is, and keeps it.
    async fn note(&self, image: &Reference) {
        let build = Build {
            commit: self.revision.tag(),
            time: Timestamp::from_second(self.revision.time).ok(),
            branch: self.revision.own_branch().map(str::to_owned),
        };
        let noted = interruptible(self.session, self.registry.note_build(image, build)).await;
        // What a signal ended ends with the next request.
        if let Err(error) =
            noted.or_else(|error| if error.kind() == Kind::Interrupted { Ok(()) } else { Err(error) })
        {
            self.session.reporter.warn(format!("the record of this build was not written: {error}"));
        }
    }

    /// A branch's tag is for people: where the registry does not let it move, the image is there all the same.
    async fn put_branch(&self, image: &Reference, tag: Option<&str>) -> Result<()> {
        match (self.put(image, tag).await, tag) {
            (Err(refused), Some(tag)) if is_refusal(&refused) => {
                self.session.reporter.warn_with_hint(
                    format!("the tag `{tag}` of the branch was not moved: {}", refused.message()),
                    "nothing depends on it; in a repository with immutable tags, make an exception for the tags of branches",
                );
                Ok(())
            }
            (put, _) => put,
        }
    }

    /// What the tag leads to before anything was pushed by it: perhaps there is no such repository yet.
    async fn look_up(&self, tag: &Reference) -> Result<Option<Digest>> {
        interruptible(self.session, self.registry.digest_before_push(tag)).await
    }

    /// What the image's tag leads to now.
    async fn leads_to(&self, image: &Reference) -> Result<Option<Digest>> {
        let tag = image.tag.clone().unwrap_or_default();
        interruptible(self.session, self.registry.digest(&image.with_tag(tag))).await
    }

    async fn put(&self, image: &Reference, tag: Option<&str>) -> Result<()> {
        match tag {
            Some(tag) => interruptible(self.session, self.registry.tag(image, tag)).await,
            None => Ok(()),
        }
    }

    fn warn_of_other(&self, other: &Digest) {
        self.session.reporter.warn(format!(
            "commit {} was built before with other content ({}): its tag now leads to the new image",
            self.revision.short(),
            display::shorten(other.as_str())
        ));
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
        let taken = tag.starts_with("content-") || tag.starts_with("sha256-") || tag == self.revision.commit;
        (!self.revision.dirty && !taken && !tag.is_empty()).then_some(tag)
    }

    /// Says what makes builds slow or different, before it does.
    fn complain(&self, name: &str, context: &Context, reads: &Reads) {
        let reporter = &self.session.reporter;
        if context.has_git() && reads.includes(".git") {
            reporter.warn_with_hint(
                format!("the build context of `{name}` has `.git` in it: every commit is built anew"),
                "add `.git` to .dockerignore",
            );
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
                    "leave out what the build does not need by .dockerignore; `windlass build --context-list {name}` shows what goes in"
                ),
            );
        }
    }
}

/// The error of a commit's tag that leads to another image and cannot be moved.
fn built_before(refused: Error, there: &Digest) -> Error {
    if !is_refusal(&refused) {
        return refused;
    }
    refused.with_hint(format!(
        "this commit was built before with other content ({}), and the registry does not let its tag move: build a new \
         commit, or delete that tag",
        display::shorten(there.as_str())
    ))
}

/// What the Engine builds one after the other, and what it calls it: of several platforms each has a tag of its own, by
/// which it is pushed.
fn parts(platforms: &[String], tag: &Reference) -> Vec<(Option<String>, Reference)> {
    match platforms {
        [] => vec![(None, tag.clone())],
        [only] => vec![(Some(only.clone()), tag.clone())],
        several => {
            let content = tag.tag.as_deref().unwrap_or_default();
            let named = |platform: &String| tag.with_tag(format!("{content}-{}", platform.replace('/', "-")));
            several.iter().map(|platform| (Some(platform.clone()), named(platform))).collect()
        }
    }
}
