//! One test to run, its resources, and the meaning of its exit.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::plan::Job;
use super::reports::Reports;
use super::service::{explained, explained_as};
use super::{CANNOT_RUN, Runner};
use crate::engine::Exit;
use crate::error::{Error, Kind, Result};
use crate::model::{Evidence, Failure, Image, Subject};
use crate::project::TestConfig;
use crate::text::display;

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

    /// What its container, or its Job, is among all that a run starts.
    pub(super) fn role(&self) -> String {
        format!("test {}", self.name)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Handles)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What its end means: what it came to, in one line.
    ///
    /// # Errors
    /// [`Kind::TestsFailed`], [`Kind::TestNotRun`].
    pub(super) fn verdict(&self, runner: &Runner<'_>, outcome: TestOutcome) -> Result<String> {
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
        for complaint in &outcome.reports.complaints {
            runner.session.reporter.warn(format!("reports of test `{}`: {complaint}", self.name));
        }
        if outcome.late || !outcome.exit.passed() {
            return Err(self.failed(&summary, outcome));
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
            return format!("it did not finish within {}", display::duration(self.test.timeout));
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
            (true, ..) => ("timed-out", Some("`timeout:` of the test sets its limit")),
            (_, true, Some(_)) => ("out-of-memory", Some("`memory:` of the test sets its limit")),
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
