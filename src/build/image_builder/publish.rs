//! An image that was built gets its tags: pushed where the registry does not have the same already, and one digest for all
//! who build the same at the same time.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{EngineImage, ImageBuilder, Made, Product, Published};
use crate::build::{push, result};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::{Digest, PinnedImage, Reference};
use crate::registry::{self, Build, is_refusal};
use crate::report::StepReport;
use crate::text::display;

/// Longer than anybody takes from looking at a tag to writing it, and shorter than a person notices.
const AGREEMENT: Duration = Duration::from_millis(400);

impl ImageBuilder<'_> {
    /// Pushes what was built, unless the registry has the same already, and gives it its names.
    pub(super) async fn publish(
        &self,
        content: &Reference,
        made: Made<'_>,
        step: &StepReport,
    ) -> Result<Published> {
        let Made { product, caches, cache_tag, .. } = made;
        let reference = self.commit_tag(content);
        // Somebody else may have built the same in the meantime: one content, one digest.
        if !self.options.rebuilds()
            && let Some(digest) = self.look_up(content).await?
        {
            return self.named(reference.pinned_to(digest)).await;
        }
        let layers = self.layers_tag(content, &product).await?;
        if let Some(tag) = &layers
            && let Some(digest) = self.same_image(tag).await?
        {
            let agreed = self.await_consistency(content, &digest).await?;
            return self.named(reference.pinned_to(agreed)).await;
        }
        let mut stages = Vec::new();
        let pinned = match product {
            Product::Pushed(digest) => {
                self.published(content, self.verified(&reference, digest).await?).await?
            }
            Product::InEngine(engine, built, layers) => {
                let pushed = self.push(engine, content, &reference, built, step).await?;
                stages = self.push_layers(engine, layers, step).await?;
                self.published_under(content, reference, pushed).await?
            }
        };
        if let Some(tag) = layers {
            // It only finds the image again: a registry that does not move the tag keeps nobody from building.
            let put = self.put(&pinned.reference(), tag.tag.as_deref()).await;
            put.or_else(|refused| if is_refusal(&refused) { Ok(()) } else { Err(refused) })?;
        }
        if let Some(tag) = cache_tag {
            stages.push(pinned.reference().with_tag(tag).with_digest(pinned.digest.clone()));
        }
        self.leave_records(&stages, &caches).await?;
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
                result::of_configs(
                    &self.session.unless_cancelled(self.registry.configurations(&pushed)).await?,
                )
            }
            Product::InEngine(engine, built, _) => {
                let looks = built.iter().map(async |image| engine.inspect(&image.id).await);
                let found = self.session.unless_cancelled(futures::future::try_join_all(looks)).await?;
                found.into_iter().collect::<Option<Vec<_>>>().and_then(|images| result::of_inspected(&images))
            }
        };
        Ok(fingerprint.map(|fingerprint| content.with_tag(registry::layers_tag(&fingerprint))))
    }

    /// The image to which this tag leads, if it is what the tag says.
    async fn same_image(&self, tag: &Reference) -> Result<Option<Digest>> {
        let Some(digest) = self.look_up(tag).await? else { return Ok(None) };
        let image = tag.with_digest(digest.clone());
        let configs = self.session.unless_cancelled(self.registry.configurations(&image)).await?;
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
        built: Vec<EngineImage>,
        step: &StepReport,
    ) -> Result<Digest> {
        let other = self.look_up(reference).await?;
        let pushed = if let [only] = built.as_slice() {
            self.session.unless_cancelled(engine.tag(&only.id, reference)).await?;
            push::push(self.session, engine, &self.registry, step, reference).await
        } else {
            let mut images = Vec::new();
            for EngineImage { platform, id } in built {
                let platform = platform.unwrap_or_default();
                let image = part(content, &platform);
                let digest = self.push_as(engine, &id, &image, step).await?;
                images.push((platform, image.with_digest(digest)));
            }
            self.session.unless_cancelled(self.registry.put_index(reference, &images)).await
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

    /// Pushes an image of the Engine under a tag that it does not keep there.
    pub(super) async fn push_as(
        &self,
        engine: &Engine,
        image: &str,
        tag: &Reference,
        step: &StepReport,
    ) -> Result<Digest> {
        self.session.unless_cancelled(engine.tag(image, tag)).await?;
        let pushed = push::push(self.session, engine, &self.registry, step, tag).await;
        engine.untag(tag).await;
        pushed
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
        if self.options.rebuilds() {
            // What is there is the image that is to be replaced.
            return Err(immovable(refused, reference));
        }
        if self.leads_to(content).await.is_ok_and(|content| content.as_ref() == Some(&there)) {
            return Ok(there);
        }
        let pushed = self.push_as(engine, &reference.to_string(), content, step).await;
        if pushed.is_ok_and(|pushed| pushed == there) {
            return Ok(there);
        }
        Err(built_before(refused, &there))
    }

    /// Registries have lost images after a push that looked good: what counts is what can be asked for.
    async fn verified(&self, reference: &Reference, digest: Digest) -> Result<Digest> {
        let exact = Reference { tag: None, ..reference.with_digest(digest.clone()) };
        if self.session.unless_cancelled(self.registry.digest(&exact)).await?.is_some() {
            return Ok(digest);
        }
        Err(Error::new(Kind::Push, format!("{exact} was pushed, but the registry does not have it"))
            .with_hint("run the command again; if that does not help, check the registry's log"))
    }

    /// The digest that all who built this content at the same time will use. A registry cannot write "only if there is
    /// nothing yet": whoever saw nothing writes, waits longer than anybody takes from looking to writing, and then takes
    /// what stands there.
    async fn await_consistency(&self, content: &Reference, pushed: &Digest) -> Result<Digest> {
        if self.options.rebuilds() {
            return self.replace(content, pushed).await;
        }
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
        self.session.pause(AGREEMENT.max(2 * began.elapsed())).await?;
        Ok(self.leads_to(content).await?.unwrap_or_else(|| pushed.clone()))
    }

    /// Whoever asks for a rebuild wants its image, whatever was there.
    async fn replace(&self, content: &Reference, pushed: &Digest) -> Result<Digest> {
        match self.put(&content.with_digest(pushed.clone()), content.tag.as_deref()).await {
            Err(refused) if is_refusal(&refused) => {
                let is_there = self.leads_to(content).await.is_ok_and(|there| there.as_ref() == Some(pushed));
                if is_there { Ok(pushed.clone()) } else { Err(immovable(refused, content)) }
            }
            put => put.map(|()| pushed.clone()),
        }
    }

    /// Makes sure that the commit's tag leads to this image; one request where it does already.
    pub(super) async fn name(&self, image: &Reference) -> Result<()> {
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
                    let origin = self.session.unless_cancelled(self.registry.origin(&followed)).await?;
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
        let noted = self.session.unless_cancelled(self.registry.note_build(image, build)).await;
        // What a signal ended ends with the next request.
        if let Err(error) = noted.or_else(|error| if error.is_interruption() { Ok(()) } else { Err(error) }) {
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

    /// Gives an image the tags of the configuration; none to one of a work tree that is not its commit.
    pub(super) async fn put_more_tags(&self, name: &str, image: &PinnedImage) -> Result<()> {
        if self.revision.dirty {
            return Ok(());
        }
        for tag in self.project.image_tags(name)? {
            if self.is_taken(&tag) {
                let message = format!("`images.{name}.tags` has `{tag}`, a tag that windlass itself writes");
                return Err(Error::new(Kind::Invalid, message));
            }
            let reference = image.reference();
            if self.leads_to(&reference.with_tag(&tag)).await?.as_ref() == Some(&image.digest) {
                continue;
            }
            match self.put(&reference, Some(&tag)).await {
                Err(refused) if is_refusal(&refused) => self.session.reporter.warn_with_hint(
                    format!("the tag `{tag}` of the image `{name}` was not moved: {}", refused.message()),
                    "the registry does not allow a tag to be overwritten",
                ),
                put => put?,
            }
        }
        Ok(())
    }

    /// What the tag leads to before anything was pushed by it: perhaps there is no such repository yet.
    pub(super) async fn look_up(&self, tag: &Reference) -> Result<Option<Digest>> {
        self.session.unless_cancelled(self.registry.digest_before_push(tag)).await
    }

    /// What the image's tag leads to now.
    async fn leads_to(&self, image: &Reference) -> Result<Option<Digest>> {
        let tag = image.tag.clone().unwrap_or_default();
        self.session.unless_cancelled(self.registry.digest(&image.with_tag(tag))).await
    }

    async fn put(&self, image: &Reference, tag: Option<&str>) -> Result<()> {
        match tag {
            Some(tag) => self.session.unless_cancelled(self.registry.tag(image, tag)).await,
            None => Ok(()),
        }
    }

    fn warn_of_other(&self, other: &Digest) {
        self.session.reporter.warn(format!(
            "commit {} was built before{} ({}): its tag now points to the new image",
            self.revision.short(),
            if self.options.rebuilds() { "" } else { " with other content" },
            display::shorten(other.as_str())
        ));
    }
}

/// The error of a commit's tag that leads to another image and cannot be moved.
fn built_before(refused: Error, there: &Digest) -> Error {
    if !is_refusal(&refused) {
        return refused;
    }
    refused.with_hint(format!(
        "this commit was built before with other content ({}), and the registry does not allow it to be overwritten: \
         build a new commit, or delete that tag",
        display::shorten(there.as_str())
    ))
}

/// The error of a rebuild whose tag leads to the image of before and cannot be moved.
fn immovable(refused: Error, tag: &Reference) -> Error {
    refused.with_hint(format!(
        "the registry does not allow tags to be overwritten: delete the tag {tag}, and build again"
    ))
}

/// The name by which the image of one of several platforms is pushed.
fn part(content: &Reference, platform: &str) -> Reference {
    let tag = content.tag.as_deref().unwrap_or_default();
    content.with_tag(format!("{tag}-{}", platform.replace('/', "-")))
}
