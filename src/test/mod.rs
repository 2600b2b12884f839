//! The tests, inside the built images: the digest that is released is the one that passed.
//!
//! A test is a command in a container of the image, on a network of its own with its services beside it. Nothing is
//! mounted into it and nothing of it stays. That it passed is a record in the registry beside the image, so that nobody
//! has to run it again for the same digest and the same definition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, Owner};
use crate::error::{Error, Kind, Result};
use crate::graph::{self, Ended};
use crate::model::{Image, MissingPass, Outcome, Reference, RunResult, Stage};
use crate::project::{On, Project, TestConfig, Tier, ci};
use crate::registry::Registry;
use crate::report::StepReport;
use crate::session::{Session, interrupted};
use crate::text::{nearest, shell_word};

mod case;
mod cluster;
mod container;
mod execution;
pub(crate) mod fuzzing;
mod junit;
mod keep;
mod passes;
mod plan;
mod ready;
mod record;
mod reports;
mod service;

use case::Case;
use cluster::TestCluster;
use plan::Job;
use record::{Images, ProofState};

/// More tests than this do not run at the same time, however many processors there are.
const MOST: usize = 4;
/// What a run may take beyond its tests' own limits before its things are taken for left behind.
const SLACK: Duration = Duration::from_secs(3600);
/// How long something that is kept on purpose stays.
const KEPT: Duration = Duration::from_secs(4 * 3600);
/// Before a test is tried again that could not be run.
const PAUSE: Duration = Duration::from_secs(2);

/// How the tests are run.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestOptions {
    /// Also those that are known to have passed.
    pub again: bool,
    /// Leave what a test started standing, and say how to get a shell in.
    pub keep: bool,
    /// Where reports go: those of test `unit` into `<reports>/tests/unit`.
    pub reports: Option<PathBuf>,
    /// The test verifies a tier: it has these variables beside its own, runs whatever a record says, and leaves none.
    pub against: Option<BTreeMap<String, String>>,
    /// The tier on whose cluster those tests run that say `on: cluster`.
    pub tier: Option<Tier>,
}

/// A test that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestRun {
    /// Its name.
    pub name: String,
    /// It passed in a former run with the same digest and definition.
    pub reused: bool,
    /// What it came to: `6 passed`.
    pub summary: String,
    /// The command that gets into what `--keep` left of it.
    pub kept: Option<String>,
}

/// What the tests of a run share.
struct Runner<'a> {
    session: &'a Session,
    images: &'a Images,
    registry: Registry,
    /// For the tests that run there.
    engine: Option<Engine>,
    test_cluster: Option<TestCluster>,
    owner: Owner,
    keep: bool,
    /// Whether what a test came to is recorded.
    records: bool,
    /// The repositories of the images that have tests.
    tested: BTreeSet<Reference>,
    /// What the Engine is being asked to make: a cancelled run waits for it, to take it away again.
    making: TaskTracker,
}

/// Runs the named tests, or all of them, as far as they have not passed already. In a CI job that is one of several
/// (`CI_NODE_INDEX` of `CI_NODE_TOTAL`), all means this job's part of them.
///
/// # Errors
/// [`Kind::Invalid`] for a name that is not in the configuration; [`Kind::TestsFailed`] and [`Kind::TestNotRun`] with
/// one failure for each test; [`Kind::Unreachable`] and [`Kind::Denied`] for Engine and registry.
pub(crate) async fn run(
    session: &Session,
    project: &Project,
    images: &BTreeMap<String, Image>,
    names: &[String],
    options: TestOptions,
) -> Result<Vec<TestRun>> {
    let mut jobs = selected(project, names, ci::node())?;
    for job in &mut jobs {
        job.config.env.extend(options.against.clone().unwrap_or_default());
    }
    let registry = Registry::of(project);
    // What a named test only needs need not run again.
    let again = |job: &Job| {
        options.again && (names.is_empty() || names.contains(&job.test) || names.contains(&job.name))
    };
    let records = options.against.is_none();
    let (chosen, asked): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| !records || again(job));
    for job in &chosen {
        image_of(images, job)?;
    }
    let (mut runs, unproven) = passed_before(session, &registry, images, asked).await?;
    let open: Vec<Job> = chosen.into_iter().chain(unproven).collect();
    if open.is_empty() {
        return Ok(runs);
    }
    let (engine, test_cluster) = places(session, project, &open, options.tier.as_ref()).await?;
    let longest = longest(&open) + if options.keep { KEPT } else { SLACK };
    let owner = Owner::new(&project.name, longest, options.keep);
    let making = TaskTracker::new();
    making.close();
    let tested = passes::repositories(project)?;
    let runner = Runner {
        session,
        images,
        registry,
        engine,
        test_cluster,
        owner,
        keep: options.keep,
        records,
        tested,
        making,
    };
    runs.extend(runner.all(&open, &options).await?);
    runs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(runs)
}

/// Those that have passed before, and those that have not.
async fn passed_before(
    session: &Session,
    registry: &Registry,
    images: &BTreeMap<String, Image>,
    jobs: Vec<Job>,
) -> Result<(Vec<TestRun>, Vec<Job>)> {
    let states = session.unless_cancelled(passes::proof_states(registry, &jobs, images)).await?;
    let (mut runs, mut open) = (Vec::new(), Vec::new());
    for (job, state) in jobs.into_iter().zip(states) {
        match state {
            ProofState::Passed { time, summary } => runs.push(reused(session, &job, &time, summary)),
            ProofState::Open(_) => open.push(job),
        }
    }
    Ok((runs, open))
}

/// The places where these tests run, cleared of what former runs left.
async fn places(
    session: &Session,
    project: &Project,
    open: &[Job],
    tier: Option<&Tier>,
) -> Result<(Option<Engine>, Option<TestCluster>)> {
    let on = |place: On| open.iter().find(|job| job.config.on == place);
    let test_cluster = match (on(On::Cluster), tier) {
        (None, _) => None,
        (Some(job), None) => {
            let message = format!("test `{}` runs on a cluster, and no tier says on which", job.test);
            return Err(Error::new(Kind::Usage, message).with_hint("name one: windlass test --tier TIER"));
        }
        (Some(_), Some(tier)) => Some(TestCluster::connect(session, project, tier).await?),
    };
    let engine = if on(On::Engine).is_some() { Some(Engine::connect(session).await?) } else { None };
    if let Some(engine) = &engine {
        engine.reap(session).await?;
    }
    if let Some(test_cluster) = &test_cluster {
        test_cluster.reap().await;
    }
    Ok((engine, test_cluster))
}

/// What will run, in a few words: `3 tests`, `3 of 9 tests (part 2 of 3)`.
pub(crate) fn title(project: &Project, names: &[String]) -> String {
    let count = |node| selected(project, names, node).map_or(0, |jobs| jobs.len());
    match ci::node().filter(|_| names.is_empty()) {
        Some((index, total)) => format!(
            "{} of {} (part {index} of {total})",
            count(Some((index, total))),
            crate::text::display::count(count(None), "test")
        ),
        None => crate::text::display::count(count(None), "test"),
    }
}

/// Which of the project's tests have no passed record for these images and their present definition.
///
/// # Errors
/// [`Kind::Unreachable`] and [`Kind::Denied`] for the registry.
pub(crate) async fn missing(
    session: &Session,
    project: &Project,
    images: &BTreeMap<String, Image>,
) -> Result<Vec<MissingPass>> {
    let registry = Registry::of(project);
    let jobs = regular(project);
    let proof_states = session.unless_cancelled(passes::proof_states(&registry, &jobs, images)).await?;
    let missing = jobs.into_iter().zip(proof_states).filter_map(|(job, standing)| match standing {
        ProofState::Passed { .. } => None,
        ProofState::Open(reason) => Some(MissingPass { test: job.name, reason }),
    });
    Ok(missing.collect())
}

/// Why something that was asked for in a task of its own is missing.
fn unmade(error: &tokio::task::JoinError) -> Error {
    if error.is_cancelled() {
        return interrupted();
    }
    Error::new(Kind::Defect, format!("this is a defect in windlass: {error}"))
}

/// The project's images that these tests, or all of this job's part, run in or have beside them.
///
/// # Errors
/// [`Kind::Invalid`] for a name that is not in the configuration.
pub(crate) fn images(project: &Project, names: &[String]) -> Result<BTreeSet<String>> {
    let jobs = selected(project, names, ci::node())?;
    let used = jobs.iter().flat_map(|job| {
        let beside = job.config.services.values().map(|service| &service.image);
        std::iter::once(&job.config.image).chain(beside)
    });
    Ok(used.filter(|image| project.config.images.contains_key(*image)).cloned().collect())
}

/// The jobs meant by these names; where there is none, all of them, or this node's part.
fn selected(project: &Project, names: &[String], node: Option<(usize, usize)>) -> Result<Vec<Job>> {
    if names.is_empty() {
        let jobs = regular(project);
        return Ok(node.map_or(jobs.clone(), |(index, total)| plan::part(jobs, index, total)));
    }
    plan::chosen(plan::jobs(&project.config.tests), names)
}

/// The jobs of all tests but those that verify tiers.
fn regular(project: &Project) -> Vec<Job> {
    let mut jobs = plan::jobs(&project.config.tests);
    jobs.retain(|job| !project.config.is_verifying(&job.test));
    jobs
}

fn image_of<'a>(images: &'a Images, job: &Job) -> Result<&'a Image> {
    let wanted = &job.config.image;
    images.get(wanted).ok_or_else(|| {
        let message =
            format!("test `{}` runs in the image `{wanted}`, which is not one of `images`", job.test);
        let near = nearest(wanted, images.keys().map(String::as_str));
        let error = Error::new(Kind::Invalid, message);
        match near {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        }
    })
}

/// The test's former pass, told as a step that had nothing to do.
fn reused(session: &Session, job: &Job, time: &str, summary: String) -> TestRun {
    let step = session.reporter.step(Stage::Test, format!("test {}", job.name), "looking for its record");
    step.finish(Outcome::Skipped, format!("passed before: {summary} ({time})"));
    TestRun { name: job.name.clone(), reused: true, summary, kept: None }
}

/// After this time nothing of the run can be alive any more, but for the slack.
fn longest(open: &[Job]) -> Duration {
    let of = |test: &TestConfig| {
        let services = test.services.values().filter_map(|service| service.ready.as_ref());
        (test.timeout + services.map(|ready| ready.timeout).max().unwrap_or_default()) * (test.retry + 1)
    };
    open.iter().map(|job| of(&job.config)).sum()
}

impl Runner<'_> {
    fn engine(&self) -> Result<&Engine> {
        self.engine.as_ref().ok_or_else(|| Error::new(Kind::Defect, "a test has no Docker Engine"))
    }

    /// Makes sure that the Engine has this image; says whether it was pulled for it.
    async fn provide(&self, image: &Reference, progress: &(dyn Fn(String) + Sync)) -> Result<bool> {
        let credentials = || self.registry.credentials(&image.registry);
        self.engine()?.provide(image, credentials, progress).await
    }

    /// The labels of what is started in the Engine now, for this role.
    async fn labels(&self, role: &str) -> Result<HashMap<String, String>> {
        Ok(self.owner.labels(role, self.engine_time().await?))
    }

    /// The time by the Engine's clock, by which others will judge what is left of this run.
    async fn engine_time(&self) -> Result<Timestamp> {
        // An Engine that does not tell is asked by nobody else either.
        Ok(self.engine()?.now().await.unwrap_or_else(Timestamp::now))
    }

    fn test_cluster(&self) -> Result<&TestCluster> {
        self.test_cluster.as_ref().ok_or_else(|| Error::new(Kind::Defect, "a test has no cluster"))
    }

    /// Runs the jobs side by side, each when what it needs has passed.
    async fn all(&self, open: &[Job], options: &TestOptions) -> Result<Vec<TestRun>> {
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
        let ended = graph::run(&plan::needs(open), at_once, |name, _: &BTreeMap<String, TestRun>| {
            let job = open.iter().find(|job| job.name == name);
            let reports =
                options.reports.as_ref().map(|directory| directory.join("tests").join(directory_of(name)));
            async move {
                let job = job.ok_or_else(interrupted)?;
                self.run(Case::new(job, image_of(self.images, job)?, reports)).await
            }
        })
        .await;
        let (mut runs, mut errors, mut left) = (Vec::new(), Vec::new(), 0);
        for (name, ended) in ended {
            match ended {
                Ended::Done(Ok(run)) => runs.push(run),
                Ended::Done(Err(error)) => errors.push(error),
                Ended::Left(_) if self.session.cancel.is_cancelled() => {}
                Ended::Left(why) => {
                    left += 1;
                    let step = self.session.reporter.step(Stage::Test, format!("test {name}"), "waiting");
                    step.finish(Outcome::Skipped, format!("not run: it needs `{why}`"));
                }
            }
        }
        let ran = runs.len() + errors.len();
        if errors.is_empty() {
            return Ok(runs);
        }
        let next = runs.into_iter().filter_map(|run| run.kept).collect();
        Err(sum_up(self, errors, ran, left).after(RunResult { next, ..RunResult::default() }))
    }

    /// Runs one test, again where it could not be run and may be tried again.
    async fn tries(&self, case: &Case<'_>, step: &StepReport) -> Result<(String, Option<String>)> {
        let mut again = 0..case.test.retry;
        loop {
            match execution::run(self, case, step).await {
                Err(error) if is_infrastructure(&error) && again.next().is_some() => {
                    let why = error.failures().first().map_or(error.message(), |failure| &failure.message);
                    self.session.reporter.warn(format!("test `{}` is tried again: {why}", case.name));
                    self.session.pause(PAUSE).await?;
                }
                result => return result,
            }
        }
    }

    /// Runs one test as a step of the stage, and leaves a record of what came of it.
    async fn run(&self, case: Case<'_>) -> Result<TestRun> {
        let step = self.session.reporter.step(Stage::Test, format!("test {}", case.name), "starting");
        let result = self.tries(&case, &step).await;
        let result = match result {
            Ok((summary, kept)) => self.note(&case, true, &summary).await.map(|()| (summary, kept)),
            Err(error) if error.kind() == Kind::TestsFailed => {
                // A failure counts without its record; but a record of a former pass must not outlive it.
                let summary =
                    error.failures().first().map(|failure| failure.message.clone()).unwrap_or_default();
                if let Err(trouble) = self.note(&case, false, &summary).await {
                    self.session.reporter.warn(format!("that it failed could not be recorded: {trouble}"));
                }
                Err(error)
            }
            Err(error) => Err(error),
        };
        match result {
            Ok((summary, kept)) => {
                step.finish(Outcome::Ok, summary.clone());
                Ok(TestRun { name: case.name.to_owned(), reused: false, summary, kept })
            }
            Err(error) => {
                let told =
                    error.failures().first().map_or(error.message(), |failure| failure.message.as_str());
                step.finish(error.outcome(), told);
                Err(error)
            }
        }
    }

    async fn note(&self, case: &Case<'_>, passed: bool, summary: &str) -> Result<()> {
        if !self.records {
            return Ok(());
        }
        let definition = record::definition(case.test, self.images);
        // Whoever may pull the image reads it.
        let summary = &self.session.reporter.masked(summary);
        let writing = async {
            let flips =
                !passed && record::has_passed(&self.registry, case.image, case.name, &definition).await?;
            // On both sides of the record: whoever reads it in between, and a run that is killed there.
            if flips {
                passes::retract(&self.registry, &self.tested).await?;
            }
            let outcome = (passed, summary.as_str());
            record::write(&self.registry, case.image, case.name, &definition, outcome).await?;
            if flips { passes::retract(&self.registry, &self.tested).await } else { Ok(()) }
        };
        self.session.unless_cancelled(writing).await
    }
}

/// One error for all: an interruption before everything, then what failed, then what could not be run.
fn sum_up(runner: &Runner<'_>, errors: Vec<Error>, ran: usize, left: usize) -> Error {
    let first = |kind: Kind| errors.iter().position(|error| error.kind() == kind);
    let worst = first(Kind::Interrupted)
        .or_else(|| first(Kind::TestsFailed))
        .or_else(|| first(Kind::TestNotRun))
        .unwrap_or(0);
    let kind = errors[worst].kind();
    let failures: Vec<_> = errors.iter().flat_map(|error| error.failures().iter().cloned()).collect();
    if failures.is_empty() || kind == Kind::Interrupted {
        return errors.into_iter().nth(worst).unwrap_or_else(interrupted);
    }
    let names: Vec<String> = failures
        .iter()
        .filter_map(|failure| match &failure.subject {
            crate::model::Subject::Test(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let tier = runner
        .test_cluster
        .as_ref()
        .map(|test_cluster| format!("--tier {} ", test_cluster.tier))
        .unwrap_or_default();
    let kept = errors.iter().flat_map(|error| error.result().next.iter().cloned());
    let next = kept.chain([format!("windlass test {tier}{}", quoted(&names))]).collect();
    let failed = failures.iter().filter(|failure| !NOT_RUN.contains(&failure.cause.as_str())).count();
    let message = match (names.as_slice(), failed) {
        ([only], 0) if ran == 1 => format!("test `{only}` could not be run"),
        ([only], _) if ran == 1 => format!("test `{only}` failed"),
        (names, 0) => format!("{} of {ran} tests could not be run", names.len()),
        (names, failed) if failed == names.len() => format!("{failed} of {ran} tests failed"),
        (names, failed) => {
            format!("{failed} of {ran} tests failed, {} could not be run", names.len() - failed)
        }
    };
    let message = if left == 0 { message } else { format!("{message}, {left} that need them were not run") };
    Error::new(kind, message).with_failures(failures).after(RunResult { next, ..RunResult::default() })
}

/// Names as a shell takes them.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| shell_word(name)).collect::<Vec<_>>().join(" ")
}

/// The directory of a test's reports: without what file systems and shells dislike.
fn directory_of(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._=-".contains(letter);
    let parts = name.split(|letter| !fits(letter)).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// Causes of tests that could not be run.
const NOT_RUN: [&str; 2] = ["test-not-run", CANNOT_RUN];
/// The command is not in the image: trying again is useless.
const CANNOT_RUN: &str = "cannot-run";

/// Is it nobody's fault who wrote the test?
fn is_infrastructure(error: &Error) -> bool {
    let useless = error.failures().iter().any(|failure| failure.cause == CANNOT_RUN);
    matches!(error.kind(), Kind::TestNotRun | Kind::Unreachable) && !useless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_directory_has_a_plain_name() {
        assert_eq!(directory_of("e2e (BROWSER=a b, 1/3)"), "e2e-BROWSER=a-b-1-3");
        assert_eq!(directory_of("unit"), "unit");
    }
}
