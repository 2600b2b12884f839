//! One test from its network to its last report: what is started here is gone when it returns, whatever happens.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::models::NetworkCreateRequest;

use super::container::{Container, Exit, Spec, name};
use super::plan::Job;
use super::reports::{self, Reports};
use super::service::{self, Service, explained, explained_as};
use super::{CANNOT_RUN, Runner, cluster, keep, unmade};
use crate::error::{Error, Kind, Result};
use crate::model::{Evidence, Failure, Image, RunResult, Stage, Subject};
use crate::project::{On, TestConfig};
use crate::report::StepReport;
use crate::session::interrupted;
use crate::text::display;

/// How long a test that took too long may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How long tidying up may take: all of it after a cancellation must fit into what is left of the run.
const TIDY: Duration = Duration::from_secs(10);
const TIDY_CANCELLED: Duration = Duration::from_secs(3);
/// The part of it in which the Engine may still answer what it was asked to make.
const MADE_CANCELLED: Duration = Duration::from_secs(2);
/// More lines of a failed case's text are not shown: the end says most.
const CASE_LINES: usize = 30;

/// How long a test may go on when one of its services has died: perhaps it ends by itself.
pub(super) const AFTER_DEATH: Duration = Duration::from_secs(3);

/// A test that is to be run.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) test: &'a TestConfig,
    pub(super) image: &'a Image,
    /// Where its reports go.
    pub(super) reports: Option<PathBuf>,
    /// What runs now, for those who want to keep it.
    pub(super) standing: Mutex<Handles>,
}

/// The network and the container of a test; on a cluster its Job.
#[derive(Debug, Default, Clone)]
pub(super) struct Handles {
    pub(super) network: String,
    pub(super) container: Option<String>,
}

/// How the command under test ended.
pub(super) struct TestOutcome {
    pub(super) exit: Exit,
    pub(super) late: bool,
    /// The service that died while the test ran, and how.
    pub(super) died: Option<(String, Exit)>,
    pub(super) reports: Reports,
    /// The last lines of the test, then of its services.
    pub(super) evidence: Vec<Evidence>,
}

impl<'a> Case<'a> {
    pub(super) fn new(job: &'a Job, image: &'a Image, reports: Option<PathBuf>) -> Self {
        Self { name: &job.name, test: &job.config, image, reports, standing: Mutex::default() }
    }

    /// Runs the test; gives what it came to, in one line, and the command that gets into what was kept of it.
    ///
    /// # Errors
    /// [`Kind::TestsFailed`], [`Kind::TestNotRun`]; [`Kind::Unreachable`] and [`Kind::Denied`] for Engine and registry.
    pub(super) async fn run(
        &self,
        runner: &Runner<'_>,
        step: &StepReport,
    ) -> Result<(String, Option<String>)> {
        let result = tokio::select! {
            biased;
            () = runner.session.cancel.cancelled() => Err(interrupted()),
            result = self.course(runner, step) => result,
        };
        let keeping = async { if runner.keep { Some(keep::keep(runner, self).await) } else { None } };
        let kept = tokio::select! {
            biased;
            () = runner.session.cancel.cancelled() => None,
            kept = keeping => kept,
        };
        if kept.is_none() {
            self.tidy(runner).await;
        }
        let next = kept.flatten();
        match result {
            Ok(summary) => Ok((summary, next)),
            Err(error) => {
                Err(error.after(RunResult { next: next.into_iter().collect(), ..RunResult::default() }))
            }
        }
    }

    async fn course(&self, runner: &Runner<'_>, step: &StepReport) -> Result<String> {
        if self.test.on == On::Cluster {
            let outcome = cluster::run(runner, self, step).await?;
            return self.verdict(runner, outcome);
        }
        self.provide(runner, step).await?;
        let network = self.network(runner).await?;
        let services = service::start_all(runner, self.name, &self.test.services, &network, step).await?;
        step.progress("running");
        let outcome = self.command(runner, &network, &services).await?;
        self.verdict(runner, outcome)
    }

    /// Another job may have built the image: this Engine has to fetch it.
    async fn provide(&self, runner: &Runner<'_>, step: &StepReport) -> Result<()> {
        let progress = |line: String| step.progress(format!("pulling {}: {line}", self.image.name));
        let provided = runner.provide(&self.image.pinned.reference(), &progress).await;
        provided.map(drop).map_err(|error| explained(self.name, error, Vec::new()))
    }

    async fn network(&self, runner: &Runner<'_>) -> Result<String> {
        let role = format!("network {}", self.name);
        let name = name(&runner.owner, &role);
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(runner.labels(&role).await?),
            ..Default::default()
        };
        let engine = runner.engine()?;
        let creating = engine.clone();
        let making = runner
            .making
            .spawn(async move { creating.at_once(creating.docker().create_network(request)).await });
        let made = making.await.map_err(|error| unmade(&error))?;
        made.map_err(|error| {
            let error = engine.error(Kind::TestNotRun, "making the test's network", &error);
            explained(self.name, error, Vec::new())
        })?;
        self.note(|standing| standing.network.clone_from(&name));
        Ok(name)
    }

    /// What its container, or its Job, is among all that a run starts.
    pub(super) fn role(&self) -> String {
        format!("test {}", self.name)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Handles)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn command(&self, runner: &Runner<'_>, network: &str, services: &[Service]) -> Result<TestOutcome> {
        let role = self.role();
        let spec = Spec {
            role: &role,
            image: self.image.pinned.by_digest(),
            command: Some(&self.test.run),
            env: &self.test.env,
            network,
            alias: "test",
            memory: self.test.memory,
            cpus: self.test.cpus,
        };
        let (reporter, source) = (runner.session.reporter.clone(), self.name.to_owned());
        let hear = move |stream, line: &str| reporter.log(Stage::Test, &source, stream, line);
        let started = Container::start(runner, &spec, hear).await;
        let mut container = started.map_err(|error| explained(self.name, error, Vec::new()))?;
        self.note(|standing| standing.container = Some(container.id.clone()));
        let (mut late, mut died) = (false, None);
        let ended = tokio::select! {
            biased;
            exit = container.wait() => Some(exit?),
            death = service::death(services) => {
                died = Some(death);
                None
            }
            () = tokio::time::sleep(self.test.timeout) => {
                late = true;
                None
            }
        };
        let exit = match ended {
            Some(exit) => exit,
            None => self.end(&mut container, died.is_some()).await?,
        };
        let reports =
            reports::bring(runner.engine()?, &container.id, self.test, self.reports.as_deref()).await?;
        reports::mask(&runner.session.reporter, self.reports.as_deref())?;
        let own = own_lines(container.tail());
        let evidence = own.into_iter().chain(services.iter().filter_map(Service::evidence)).collect();
        Ok(TestOutcome { exit, late, died, reports, evidence })
    }

    /// Ends a test that is late, or whose service died: that one may still end by itself.
    async fn end(&self, container: &mut Container, died: bool) -> Result<Exit> {
        if died && let Ok(exit) = tokio::time::timeout(AFTER_DEATH, container.wait()).await {
            return exit;
        }
        container.stop(GRACE).await
    }

    fn verdict(&self, runner: &Runner<'_>, outcome: TestOutcome) -> Result<String> {
        if let Some(why) = not_started(&outcome) {
            let program = self.test.run.first().map_or("", String::as_str);
            let error =
                Error::new(Kind::TestNotRun, format!("`{program}` cannot be run in the image: {why}"))
                    .with_hint("no shell reads `run`: its first word is a program of the image");
            return Err(explained_as(CANNOT_RUN, self.name, error, outcome.evidence));
        }
        if let Some((service, exit)) = outcome.died.as_ref().filter(|_| !outcome.exit.passed()) {
            let message = format!("service `{service}` ended with {exit} while the test ran");
            return Err(explained(self.name, Error::new(Kind::TestNotRun, message), outcome.evidence));
        }
        let summary = self.summary(&outcome);
        if outcome.late || !outcome.exit.passed() {
            return Err(self.failed(&summary, outcome));
        }
        for complaint in &outcome.reports.complaints {
            runner.session.reporter.warn(format!("reports of test `{}`: {complaint}", self.name));
        }
        if outcome.reports.tally.as_ref().is_some_and(|tally| tally.failed > 0) {
            runner.session.reporter.warn(format!(
                "test `{}` ended with exit code 0, but its report has failures: {summary}",
                self.name
            ));
        }
        Ok(summary)
    }

    /// `6 passed`, `5 passed, 1 failed: test_x: first line`, `exit code 2`.
    fn summary(&self, outcome: &TestOutcome) -> String {
        if outcome.late {
            return format!("it did not end within {}", display::duration(self.test.timeout));
        }
        match &outcome.reports.tally {
            Some(tally) if tally.failed > 0 || outcome.exit.passed() => match &tally.first {
                Some(case) => format!("{tally}: {}: {}", case.name, case.message),
                None => tally.to_string(),
            },
            _ if outcome.exit.passed() => "passed".to_owned(),
            _ => format!("it ended with {}", outcome.exit),
        }
    }

    fn failed(&self, summary: &str, outcome: TestOutcome) -> Error {
        let first = outcome.reports.tally.and_then(|tally| tally.first).map(|case| {
            let lines = if case.lines.is_empty() { vec![case.message] } else { case.lines };
            let skip = lines.len().saturating_sub(CASE_LINES);
            Evidence { title: case.name, lines: lines.into_iter().skip(skip).collect() }
        });
        let (cause, hint) = match (outcome.late, outcome.exit.out_of_memory, self.test.memory) {
            (true, ..) => ("timed-out", Some("`timeout:` of the test says how long it may take")),
            (_, true, Some(_)) => ("out-of-memory", Some("`memory:` of the test says how much it may take")),
            (_, true, None) => ("out-of-memory", Some("the Engine's machine has no more memory")),
            _ => ("tests-failed", None),
        };
        let failure = Failure {
            subject: Subject::Test(self.name.to_owned()),
            cause: cause.to_owned(),
            message: summary.to_owned(),
            hint: hint.map(str::to_owned),
            evidence: first.into_iter().chain(outcome.evidence).collect(),
        };
        Error::new(Kind::TestsFailed, format!("test `{}` failed: {summary}", self.name))
            .with_failures([failure])
    }

    /// Removes everything that was started for this test.
    async fn tidy(&self, runner: &Runner<'_>) {
        let cancelled = runner.session.cancel.is_cancelled();
        let own = [self.role(), format!("network {}", self.name)];
        let services = format!("service {}/", self.name);
        let mine = |role: &str| own.iter().any(|one| one == role) || role.starts_with(&services);
        let tidying = async {
            let clear = async || {
                while match &runner.engine {
                    _ if self.test.on == On::Cluster => cluster::clear(runner, self).await,
                    Some(engine) => engine.clear(&runner.owner, &mine).await,
                    None => 0,
                } > 0
                {}
            };
            clear().await;
            if cancelled {
                // What was under way by then is made all the same: only now is it known to be there.
                // One that the Engine does not answer must not keep the others.
                let _ = tokio::time::timeout(MADE_CANCELLED, runner.making.wait()).await;
                clear().await;
            }
        };
        let limit = if cancelled { TIDY_CANCELLED } else { TIDY };
        if tokio::time::timeout(limit, tidying).await.is_err() {
            runner.session.reporter.warn(format!(
                "what test `{}` started could not be removed in time; the next run removes it",
                self.name
            ));
        }
    }
}

/// What the test said last, as evidence; `None` where it said nothing.
pub(super) fn own_lines(lines: Vec<String>) -> Option<Evidence> {
    let title = "the last lines of the test".to_owned();
    (!lines.is_empty()).then_some(Evidence { title, lines })
}

/// The container's init could not run the command: that is no failure of the tests.
fn not_started(outcome: &TestOutcome) -> Option<String> {
    let last = outcome.evidence.first()?.lines.last()?;
    let init = matches!(outcome.exit.code, 126 | 127) && last.starts_with("[FATAL tini");
    init.then(|| last.rsplit_once("failed: ").map_or(last.as_str(), |(_, words)| words).to_owned())
}
