//! The layers that builds reuse from earlier builds, and save for later ones.

use serde_json::Value;

use super::{Builder, ImageBuilder};
use crate::build::context::Context;
use crate::build::dockerfile::Dockerfile;
use crate::build::request::BuildRequest;
use crate::build::{BuildOptions, engine, inline_cache};
use crate::engine::{self as docker, Engine};
use crate::error::{Error, Result};
use crate::model::Reference;
use crate::project::{CacheMode, ImageConfig, ci};
use crate::registry::{self, is_refusal};
use crate::report::StepReport;
use crate::text::slug;

impl ImageBuilder<'_> {
    /// The stages that an image was made of, as images of their own: an Engine leaves the layers of an image in the image
    /// alone, and those of the other stages nowhere. All their steps were run just now. Trouble is a warning: it only
    /// costs later builds time.
    pub(super) async fn layers_of_stages<'r>(
        &self,
        engine: &Engine,
        order: &impl Fn(Vec<String>) -> BuildRequest<'r>,
        step: &StepReport,
    ) -> Result<Vec<(Reference, String)>> {
        let whole = order(Vec::new());
        let Some(cache) = whole.cache_export.as_ref().and_then(|cache| cache.tag.as_deref()) else {
            return Ok(Vec::new());
        };
        if engine.builder != docker::Builder::BuildKit || whole.image.platforms.len() > 1 {
            return Ok(Vec::new());
        }
        let mut layers = Vec::new();
        for (stage, name) in other_stages(whole.image, &whole.context, &engine.platform) {
            let image = ImageConfig { target: Some(name.clone()), ..whole.image.clone() };
            let platforms = image.platforms.clone();
            let request = BuildRequest {
                image: &image,
                options: BuildOptions::default(),
                is_silent: true,
                ..order(platforms)
            };
            match engine::build(self.session, engine, &self.registry, step, &request).await {
                Ok(Some(built)) => {
                    layers.push((whole.tag.with_tag(registry::stage_cache_tag(cache, stage)), built.id));
                }
                Ok(None) => {}
                Err(error) if error.is_interruption() => return Err(error),
                Err(error) => {
                    let sentence =
                        format!("the layers of stage `{name}` were not saved for later builds: {error}");
                    self.session.reporter.warn(sentence);
                }
            }
        }
        Ok(layers)
    }

    /// What builds of the branch and of the default branch left, as far as it is there. A merge request may take layers of the
    /// branch that is called like its own: only the project's own pipelines have put an image there.
    pub(super) async fn caches(
        &self,
        config: &ImageConfig,
        context: &Context,
        image: &Reference,
    ) -> Result<Vec<Reference>> {
        let default = ci::default_branch().unwrap_or_else(|| "main".to_owned());
        let branch = self.revision.branch.as_deref().and_then(|branch| self.tag_of(branch));
        let mut branches: Vec<String> = branch.into_iter().chain([slug(&default)]).collect();
        branches.dedup();
        let stages = match &self.builder {
            Builder::Engine(engine) if config.cache == CacheMode::Max => {
                other_stages(config, context, &engine.platform)
            }
            _ => Vec::new(),
        };
        let mut tags = Vec::new();
        for branch in &branches {
            let cache = registry::cache_tag(branch);
            tags.extend(stages.iter().map(|(stage, _)| registry::stage_cache_tag(&cache, *stage)));
            tags.extend([cache, branch.clone()]);
        }
        let mut found = self.those_that_are_there(image, tags).await?;
        let tags: Vec<String> = found.iter().filter_map(|image| image.tag.clone()).collect();
        let has_cache = |branch: &String| tags.contains(&registry::cache_tag(branch));
        // The image itself knows some of these layers, and would only hide the others from the builder.
        found.retain(|image| !image.tag.as_ref().is_some_and(has_cache));
        if config.cache == CacheMode::Max
            && matches!(self.builder, Builder::Daemon(_))
            && branches.iter().any(has_cache)
        {
            found.retain(|image| !image.tag.as_ref().is_some_and(|tag| branches.contains(tag)));
        }
        Ok(found)
    }

    /// Those of an image's tags that lead somewhere, with their digests.
    async fn those_that_are_there(&self, image: &Reference, tags: Vec<String>) -> Result<Vec<Reference>> {
        let looks = tags.into_iter().map(async |tag| {
            let found = self.registry.digest_before_push(&image.with_tag(&tag)).await?;
            Ok::<_, Error>(found.map(|digest| image.with_tag(tag).with_digest(digest)))
        });
        let found = self.session.unless_cancelled(futures::future::try_join_all(looks)).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether what later builds take over is found by the records in the images themselves.
    pub(super) fn leaves_records(&self, image: &ImageConfig) -> bool {
        match (&self.builder, image.cache) {
            (_, CacheMode::Off) => false,
            (Builder::Daemon(_), mode) => mode != CacheMode::Max,
            (Builder::Engine(engine), _) => engine.builder == docker::Builder::BuildKit,
        }
    }

    /// Pushes what later builds take over; gives what was pushed. Trouble is a warning: it only costs them time.
    pub(super) async fn push_layers(
        &self,
        engine: &Engine,
        layers: Vec<(Reference, String)>,
        step: &StepReport,
    ) -> Result<Vec<Reference>> {
        let mut pushed = Vec::new();
        for (tag, id) in layers {
            match self.push_as(engine, &id, &tag, step).await {
                Err(error) => self.not_left(&tag, error)?,
                Ok(digest) => pushed.push(tag.with_digest(digest)),
            }
        }
        Ok(pushed)
    }

    /// Sees to it that later builds find all layers of these images by their tags, also those that this build took over:
    /// the builder has left no records of them.
    pub(super) async fn leave_records(&self, images: &[Reference], caches: &[Reference]) -> Result<()> {
        if images.is_empty() || caches.is_empty() {
            return Ok(());
        }
        let mut earlier = Vec::new();
        for image in caches {
            match self.session.unless_cancelled(self.registry.configurations(image)).await {
                Ok(found) => earlier.extend(found),
                Err(error) if error.is_interruption() => return Err(error),
                // It was deleted in the meantime, or cannot be read: its records are lost.
                Err(error) => tracing::debug!(%error, "the records of {image} are not known"),
            }
        }
        for image in images {
            let is_there = caches.iter().any(|cache| cache.tag == image.tag);
            match self.session.unless_cancelled(self.leave_records_of(image, &earlier, is_there)).await {
                // Where tags cannot be moved later builds find what the first one left.
                Err(error) if !is_refusal(&error) => self.not_left(image, error)?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn leave_records_of(&self, image: &Reference, earlier: &[Value], is_there: bool) -> Result<()> {
        let Some(tag) = image.tag.as_deref() else { return Ok(()) };
        let configurations = self.registry.configurations(image).await?;
        let [configuration] = configurations.as_slice() else { return Ok(()) };
        match inline_cache::with_records_of(configuration, earlier) {
            Some(complete) => self.registry.put_with_configuration(image, &complete, tag).await,
            None if is_there => self.registry.tag(image, tag).await,
            None => Ok(()),
        }
    }

    fn not_left(&self, tag: &Reference, error: Error) -> Result<()> {
        if error.is_interruption() {
            return Err(error);
        }
        let tag = Reference { digest: None, ..tag.clone() };
        let sentence = format!("{tag} was not saved for later builds: {}", error.message());
        self.session.reporter.warn(sentence);
        Ok(())
    }
}

/// The stages that an image is made of besides its own, by their numbers and names.
fn other_stages(config: &ImageConfig, context: &Context, platform: &str) -> Vec<(usize, String)> {
    let file = Dockerfile::of(&context.text, config);
    let stages = file.other_stages(config.target.as_deref(), &config.args, platform).into_iter();
    stages.map(|(stage, name)| (stage, name.to_owned())).collect()
}
