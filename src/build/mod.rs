//! An image for a commit: built only where its content was never built before, pushed, and named from then on by the
//! digest that the registry has for it.
//!
//! Four tags lead to an image. `content-…` says what it was made of, and finds it again for every commit with the same
//! content; `windlass.layers-…` says what came out, and finds it again for other sources that come to the same; the commit's tag
//! is what later stages look for; the branch's tag is for people.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Place, Result};
use crate::git;
use crate::graph::{self, Ended, Needs};
use crate::model::{Image, Outcome, Stage};
use crate::project::{ImageConfig, Project};
use crate::registry::Registry;
use crate::report::StepReport;
use crate::session::Session;
use crate::text::nearest;

mod content;
mod context;
mod daemon;
mod dockerfile;
mod earlier;
mod engine;
mod failure;
pub(crate) mod fuzzing;
pub(crate) mod image_builder;
mod inline_cache;
mod missing;
mod progress;
mod push;
pub(crate) mod request;
mod result;
mod session;

pub(crate) use crate::build::context::compare::compared;
use crate::build::image_builder::ImageBuilder;
use context::Context;

/// What of earlier builds is taken over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BuildOptions {
    /// Nothing: each step runs again.
    pub(crate) no_cache: bool,
    /// No base image that the builder has already: each is fetched again.
    pub(crate) pull: bool,
}

impl BuildOptions {
    /// Whether an image of the same content that is in the registry is no reason not to build.
    fn rebuilds(self) -> bool {
        self.no_cache || self.pull
    }
}

/// More images than this are not built at the same time.
const AT_ONCE: usize = 4;

/// Builds and pushes the named images, or all of them, as far as they are not in the registry already.
///
/// # Errors
/// [`Kind::Invalid`] for a name that is not in the configuration, a missing Dockerfile or registry; [`Kind::Build`] and
/// [`Kind::Push`]; [`Kind::Unreachable`] and [`Kind::Denied`] for Engine and registry.
pub(crate) async fn build(
    session: &Session,
    project: &Project,
    names: &[String],
    options: BuildOptions,
) -> Result<Vec<Image>> {
    let needs = needs(project, wanted(project, names)?.into_iter().map(|(name, _)| name.to_owned()));
    if needs.is_empty() {
        return Ok(Vec::new());
    }
    for name in needs.keys() {
        // A missing registry is known before anything is connected to.
        project.image_repository(name)?;
    }
    // So is what cannot be built whatever builds it.
    for name in needs.keys() {
        lacks(project, name, &project.config.images[name])?;
        not_for_the_engine(project, name, &project.config.images[name])?;
        context::exposed::check(project, name, &project.config.images[name])?;
    }
    warn_of_submodules(session, project, needs.keys());
    warn_of_changes(session, project);
    let image_builder = ImageBuilder::open(session, project, &needs, options).await?;
    let image_builder = &image_builder;
    let ended = graph::run(&needs, AT_ONCE, |name, done: &BTreeMap<String, Image>| {
        let (name, image) = (name.to_owned(), &project.config.images[name]);
        let needed = |(argument, name): (&String, &String)| (argument.clone(), done[name].clone());
        let needed: BTreeMap<String, Image> = image.needs.iter().map(needed).collect();
        async move { image_builder.image(&name, image, &needed).await }
    })
    .await;
    let images = together(session, ended)?;
    image_builder.remember(&images).await;
    missing::note_changes(session, project, &images).await?;
    Ok(images)
}

/// The chosen images and those that they need.
fn needs(project: &Project, chosen: impl Iterator<Item = String>) -> Needs {
    let needs = |image: &ImageConfig| image.needs.values().cloned().collect::<Vec<_>>();
    let all = project.config.images.iter().map(|(name, image)| (name.clone(), needs(image))).collect();
    let wanted = graph::with_needs(chosen, &all);
    all.into_iter().filter(|(name, _)| wanted.contains(name)).collect()
}

/// All images, or one error for everything that failed.
fn together(session: &Session, ended: BTreeMap<String, Ended<Image>>) -> Result<Vec<Image>> {
    let (all, mut images, mut errors) = (ended.len(), Vec::new(), Vec::new());
    for (name, ended) in ended {
        match ended {
            Ended::Done(Ok(image)) => images.push(image),
            Ended::Done(Err(error)) => errors.push(error),
            Ended::Left(why) => {
                let step = session.reporter.step(Stage::Build, format!("build {name}"), "waiting");
                step.finish(Outcome::Skipped, format!("not built: it needs `{why}`"));
            }
        }
    }
    let interrupted = errors.iter().position(Error::is_interruption);
    match (errors.len(), interrupted) {
        (0, _) => Ok(images),
        (1, _) => Err(errors.swap_remove(0)),
        (_, Some(index)) => Err(errors.swap_remove(index)),
        (failed, None) => {
            let failures: Vec<_> = errors.iter().flat_map(|error| error.failures().iter().cloned()).collect();
            let message = format!("{failed} of {all} images could not be built");
            let first = errors.swap_remove(0);
            let error =
                Error::new(first.kind(), if failures.len() == failed { message } else { first.to_string() });
            let error = if let Some(hint) = first.hint() { error.with_hint(hint) } else { error };
            Err(error.with_failures(failures))
        }
    }
}

/// Finds the image of the project's commit in the registry; never builds.
///
/// # Errors
/// [`Kind::Rule`] where it was never built, with what makes this work tree or the one that was built another than the
/// commit; [`Kind::Unreachable`] and [`Kind::Denied`] for the registry.
pub(crate) async fn find(session: &Session, project: &Project, name: &str) -> Result<Image> {
    let _ = wanted(project, &[name.to_owned()])?;
    let revision = project.revision()?;
    let tagged = project.image_repository(name)?.with_tag(revision.tag());
    let registry = Registry::of(project);
    let found = session.unless_cancelled(registry.digest(&tagged)).await?;
    let Some(digest) = found else {
        return Err(session.unless_cancelled(missing::why(&registry, revision, &tagged, name)).await?);
    };
    Ok(Image { name: name.to_owned(), pinned: tagged.pinned_to(digest), built: false })
}

/// The BuildKit daemon that `builder:` names, in a few words.
///
/// # Errors
/// [`Kind::Unreachable`], and [`Kind::Invalid`] for certificates that cannot be read.
pub(crate) async fn builder(session: &Session, project: &Project) -> Result<String> {
    match &project.config.builder {
        Some(config) => Ok(daemon::Daemon::connect(session, project, config).await?.describe()),
        None => Ok("the Docker Engine".to_owned()),
    }
}

/// What the images of the configuration lack before anything can be built: a directory, a Dockerfile, the stage that
/// they are to be.
pub(crate) fn lacking(project: &Project) -> Vec<Error> {
    let images = project.config.images.iter();
    let lacking = images.filter_map(|(name, image)| {
        let error =
            lacks(project, name, image).and_then(|()| context::exposed::check(project, name, image)).err()?;
        Some(project.at_image(name, error))
    });
    lacking.collect()
}

fn lacks(project: &Project, name: &str, image: &ImageConfig) -> Result<()> {
    let text = context::check(&project.root, &image.context, &image.dockerfile)?;
    let file = dockerfile::Dockerfile::parse(&text);
    match &image.target {
        Some(target) if !file.has_stage(target) => {
            let shown = image.dockerfile.display();
            let message = format!("`images.{name}.target`: {shown} has no stage `{target}`");
            Err(Error::new(Kind::Invalid, message).with_hint(match file.stages().as_slice() {
                [] => format!("name one there: `FROM … AS {target}`"),
                stages => format!("the stages are: {}", stages.join(", ")),
            }))
        }
        _ => Ok(()),
    }
}

/// What only a BuildKit daemon can do.
fn not_for_the_engine(project: &Project, name: &str, image: &ImageConfig) -> Result<()> {
    let keys = [
        ("contexts", !image.contexts.is_empty()),
        ("annotations", !image.annotations.is_empty()),
        ("entitlements", !image.entitlements.is_empty()),
    ];
    let Some((key, _)) = keys.into_iter().find(|(_, is_set)| *is_set && project.config.builder.is_none())
    else {
        return Ok(());
    };
    let error = Error::new(
        Kind::Invalid,
        format!("`images.{name}.{key}`: not supported by the Docker Engine's builder"),
    )
    .with_hint("name a BuildKit daemon with `builder:`");
    Err(project.at_image(name, error))
}

/// A submodule that was not checked out goes into the image as an empty directory: Git says nothing of it.
fn warn_of_submodules<'n>(session: &Session, project: &Project, names: impl Iterator<Item = &'n String>) {
    let contexts: Vec<_> =
        names.map(|name| project.root.join(&project.config.images[name].context)).collect();
    let contexts: Vec<_> = contexts.iter().filter_map(|context| context.canonicalize().ok()).collect();
    for path in git::missing_submodules(&project.root) {
        let path = path.canonicalize().unwrap_or(path);
        if contexts.iter().any(|context| path.starts_with(context)) {
            let shown = path.strip_prefix(&project.root).unwrap_or(&path).display();
            session.reporter.warn_with_hint(
                format!("the submodule `{shown}` is not checked out: the images do not contain it"),
                "`git submodule update --init --recursive`, or `GIT_SUBMODULE_STRATEGY: recursive` in .gitlab-ci.yml",
            );
        }
    }
}

/// An image of a work tree that is not its commit is none of the commit: people must see what makes it so.
fn warn_of_changes(session: &Session, project: &Project) {
    let Some(revision) = project.revision.as_ref().filter(|revision| revision.dirty) else { return };
    let commit = crate::model::revision::short(&revision.commit);
    let sentence = format!("this work tree is not commit {commit}: {}", revision.changes);
    let tag = revision.dirty_hash.as_deref().unwrap_or_default();
    session.reporter.warn_with_hint(
        sentence,
        format!("{}; until then the images are tagged {commit}…-dirty-{tag}", missing::remedy(revision)),
    );
}

/// The base images of the project's Dockerfiles that no digest pins, with their places: they count by their names, so that
/// another image under the same name builds nothing anew. What cannot be read is told by the build.
pub(crate) fn unpinned(project: &Project) -> Vec<(Place, String)> {
    let mut found = Vec::new();
    for image in project.config.images.values() {
        let Ok(text) = std::fs::read_to_string(project.root.join(&image.dockerfile)) else { continue };
        let mut args = image.args.clone();
        // Another image of the project comes by its digest.
        args.extend(image.needs.keys().map(|argument| (argument.clone(), "needed@sha256:".to_owned())));
        let file = dockerfile::Dockerfile::of(&text, image);
        let bases = file.bases(&args, "linux/amd64");
        for (line, base) in bases.into_iter().filter(|(_, base)| !base.contains("@sha256:")) {
            let place = Place { file: image.dockerfile.clone(), line: Some(line), column: None };
            if !found.contains(&(place.clone(), base.clone())) {
                found.push((place, base));
            }
        }
    }
    found
}

/// What of the project's images may not be what was meant: what every commit changes and no image needs, pointers of Git LFS,
/// secrets that only a Dockerfile has.
pub(crate) fn doubts(project: &Project) -> Vec<Error> {
    content::doubts(project)
}

/// What the builds of these images, or of all, would see, and which line keeps the rest out: for people and for machines.
/// Nothing is connected to.
///
/// # Errors
/// [`Kind::Invalid`] for a name that is not in the configuration, a missing context or Dockerfile, a broken pattern.
pub(crate) fn contexts(project: &Project, names: &[String]) -> Result<(String, serde_json::Value)> {
    let (mut texts, mut objects) = (Vec::new(), Vec::new());
    for (name, image) in wanted(project, names)? {
        let listing = Context::list(&project.root, &image.context, &image.dockerfile)?;
        texts.push(listing.text(name));
        objects.extend(listing.json(name));
    }
    Ok((texts.join("\n"), objects.into()))
}

/// The images meant by these names; all of them where there is none.
fn wanted<'a>(project: &'a Project, names: &[String]) -> Result<Vec<(&'a str, &'a ImageConfig)>> {
    let images = &project.config.images;
    if names.is_empty() {
        return Ok(images.iter().map(|(name, image)| (name.as_str(), image)).collect());
    }
    let find = |name: &String| {
        let found = images.get_key_value(name).map(|(name, image)| (name.as_str(), image));
        found.ok_or_else(|| {
            let hint = match nearest(name, images.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("windlass.yaml has {}", listed(images.keys())),
            };
            Error::new(Kind::Invalid, format!("there is no image `{name}`")).with_hint(hint)
        })
    };
    let mut wanted = names.iter().map(find).collect::<Result<Vec<_>>>()?;
    wanted.sort_by_key(|(name, _)| *name);
    wanted.dedup_by_key(|(name, _)| *name);
    Ok(wanted)
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "no images".to_owned() } else { format!("only {}", names.join(", ")) }
}

fn failed(step: StepReport, error: Error) -> Error {
    let summary = error.failures().first().map_or(error.message(), |failure| failure.message.as_str());
    step.finish(error.outcome(), summary);
    error
}

/// `118 kB`, `12.5 MB`.
fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{} kB", number / 1_000),
        _ => format!("{}.{} MB", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_images_without_a_digest_are_named_with_their_lines() {
        let root = tempfile::tempdir().unwrap();
        let text = "ARG V=12\nARG OTHER\nFROM debian:${V} AS build\nFROM build\nFROM ${OTHER}\nFROM scratch\n\
                    FROM a@sha256:00\nCOPY --from=tools:1 /x /x\nCOPY --from=build /y /y\n";
        std::fs::write(root.path().join("Dockerfile"), text).unwrap();
        let config = "version: 1\nimages: {web: {needs: {OTHER: base}}, base: {dockerfile: gone}}\n";
        std::fs::write(root.path().join("windlass.yaml"), config).unwrap();
        let options = crate::project::Options { directory: root.path().to_path_buf(), ..Default::default() };
        let project =
            Project::open(&options, crate::project::GitFacts::default(), &crate::project::variable).unwrap();
        let found: Vec<String> =
            unpinned(&project).iter().map(|(place, base)| format!("{place} {base}")).collect();
        assert_eq!(found, ["Dockerfile:3 debian:12", "Dockerfile:8 tools:1"]);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([bytes(12), bytes(118_400), bytes(12_540_000)], ["12 B", "118 kB", "12.5 MB"]);
    }
}
