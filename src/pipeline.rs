//! The stages in order: build, test, release, rollback. Each stage passes a typed value to the next; this file
//! only connects them and reports.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;

use crate::build::{self, BuildOptions};
use crate::error::{Error, Kind, Result};
use crate::manifest::{self, Sources};
use crate::model::{Image, Images, MissingPass, Outcome, RunResult, Stage};
use crate::project::{Project, Tier};
use crate::release::{self, Plan, Request, Rules, TestStage};
use crate::secret;
use crate::session::Session;
use crate::test::{self, TestOptions, TestRun};

/// The tests, as a release runs them.
struct Tests;

impl TestStage for Tests {
    fn missing<'a>(
        &'a self,
        session: &'a Session,
        project: &'a Project,
        images: &'a Images,
    ) -> BoxFuture<'a, Result<Vec<MissingPass>>> {
        Box::pin(test::missing(session, project, images))
    }

    fn run_against<'a>(
        &'a self,
        session: &'a Session,
        project: &'a Project,
        images: &'a Images,
        tier: &'a Tier,
        (name, environment): (&'a str, BTreeMap<String, String>),
    ) -> BoxFuture<'a, Result<()>> {
        let options = TestOptions {
            reports: project.report.clone(),
            against: Some(environment),
            tier: Some(tier.clone()),
            ..TestOptions::default()
        };
        Box::pin(
            async move { test::run(session, project, images, &[name.to_owned()], options).await.map(drop) },
        )
    }
}

/// Which stages run, and how.
pub(crate) struct Stages {
    /// How the tests are run.
    pub tests: TestOptions,
    /// The release that follows; `None` ends after the tests.
    pub release: Option<Release>,
}

/// A release to a tier.
pub(crate) struct Release {
    /// Where to.
    pub tier: Tier,
    /// Which of the tier's rules are overridden.
    pub rules: Rules,
}

/// Build, test and, where asked for, release.
///
/// # Errors
/// Those of the first stage that fails.
pub(crate) async fn pipeline(session: &Session, project: &Project, stages: Stages) -> Result<RunResult> {
    // Find errors in the manifests before spending minutes on a build.
    let release = match &stages.release {
        Some(release) => {
            let sources = session.unless_cancelled(manifest::read_valid(project, &release.tier)).await?;
            session.unless_cancelled(secret::check(project, &release.tier)).await?;
            Some((release, sources))
        }
        None => None,
    };
    let images = build(session, project, &[], BuildOptions::default()).await?;
    if project.config.has_tests() {
        test(session, project, &images, &[], stages.tests).await?;
    }
    match release {
        Some((release, sources)) => self::release(session, project, &sources, &images, release).await,
        None => Ok(RunResult::of_images(&images)),
    }
}

/// The result of a run that begins with these images.
pub(crate) fn with_images(images: &Images, result: Result<RunResult>) -> Result<RunResult> {
    let images = RunResult::of_images(images);
    match result {
        Ok(result) => Ok(result.after(images)),
        Err(error) => Err(error.after(images)),
    }
}

/// Builds and pushes the named images, or all.
///
/// # Errors
/// [`Kind::Build`](crate::error::Kind::Build), [`Kind::Push`](crate::error::Kind::Push), and what Docker and
/// the registry refuse.
pub(crate) async fn build(
    session: &Session,
    project: &Project,
    names: &[String],
    options: BuildOptions,
) -> Result<Images> {
    let title = match &project.revision {
        Some(revision) => format!("commit {}", revision.describe()),
        None if project.work_tree.is_some() => "no commit yet".to_owned(),
        None => "no Git repository".to_owned(),
    };
    let stage = session.stage(Stage::Build, title);
    let result = match nothing_to_build(project) {
        Some(error) => Err(error),
        None => build::build(session, project, names, options).await.map(by_name),
    };
    stage.close(result, |images| match images.values().filter(|image| image.built).count() {
        0 => (Outcome::Skipped, format!("{} already built", count(images.len(), "image"))),
        built => (Outcome::Ok, format!("{} built, {} already there", built, images.len() - built)),
    })
}

/// Without a configuration there is one image by convention, if there is a Dockerfile.
fn nothing_to_build(project: &Project) -> Option<Error> {
    (project.config_file.is_none() && project.config.images.is_empty()).then(|| {
        Error::new(Kind::Invalid, "there is neither a Dockerfile nor a windlass.yaml that names one")
            .with_hint("if there is nothing to build, write a windlass.yaml with `images: {}`")
    })
}

/// Finds the images of this commit, which an earlier `windlass build` pushed: never builds.
///
/// # Errors
/// [`Kind::Rule`](crate::error::Kind::Rule) when an image of this commit was never built.
pub(crate) async fn find(session: &Session, project: &Project) -> Result<Images> {
    find_these(session, project, project.config.images.keys().cloned().collect()).await
}

/// As [`find`], for these tests only: all of them where none is named.
///
/// # Errors
/// As [`find`], and [`Kind::Invalid`](crate::error::Kind::Invalid) for a test that does not exist.
pub(crate) async fn find_for_tests(session: &Session, project: &Project, tests: &[String]) -> Result<Images> {
    find_these(session, project, test::images(project, tests)?).await
}

async fn find_these(session: &Session, project: &Project, names: BTreeSet<String>) -> Result<Images> {
    let found = names.iter().map(|name| build::find(session, project, name));
    Ok(by_name(futures::future::try_join_all(found).await?))
}

/// Runs the named tests, or all, inside the images.
///
/// # Errors
/// [`Kind::TestsFailed`](crate::error::Kind::TestsFailed) and
/// [`Kind::TestNotRun`](crate::error::Kind::TestNotRun).
pub(crate) async fn test(
    session: &Session,
    project: &Project,
    images: &Images,
    names: &[String],
    options: TestOptions,
) -> Result<RunResult> {
    let stage = session.stage(Stage::Test, test::title(project, names));
    let result = test::run(session, project, images, names, options).await;
    let ended = stage.close(result, |runs| match runs.iter().filter(|run| !run.reused).count() {
        0 if runs.is_empty() => (Outcome::Skipped, "windlass.yaml has no tests".to_owned()),
        0 => (Outcome::Skipped, format!("{} passed before", count(runs.len(), "test"))),
        ran => (Outcome::Ok, format!("{} passed", count(ran, "test"))),
    });
    let next = |runs: Vec<TestRun>| runs.into_iter().filter_map(|run| run.kept).collect();
    with_images(images, ended.map(|runs| RunResult { next: next(runs), ..RunResult::default() }))
}

/// Applies the tier's manifests with these images and watches the rollout.
///
/// # Errors
/// Those of [`release::release`].
pub(crate) async fn release(
    session: &Session,
    project: &Project,
    sources: &Sources,
    images: &Images,
    release: &Release,
) -> Result<RunResult> {
    let request = Request { session, project, tier: &release.tier, rules: &release.rules };
    with_images(images, release::release(request, sources, images, &Tests).await)
}

/// What a release would change.
///
/// # Errors
/// Those of [`release::plan`].
pub(crate) async fn plan(
    session: &Session,
    project: &Project,
    tier: &Tier,
    sources: &Sources,
    images: &Images,
) -> Result<Plan> {
    release::plan(session, project, tier, sources, (images, &Tests)).await
}

fn by_name(images: Vec<Image>) -> Images {
    images.into_iter().map(|image| (image.name.clone(), image)).collect()
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
