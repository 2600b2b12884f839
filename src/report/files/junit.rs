//! `junit.xml`: a test case for each image that was built, each test that ran and each object that was rolled
//! out, for GitLab (`artifacts:reports:junit`) and whatever else reads such files.
//!
//! Only what happened is told: what was not begun is missing, what was already done is skipped, and what had no
//! verdict when the run ended is skipped and says so. GitLab shows the text of a failure but not its attributes,
//! so the sentence stands in both.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::model::{Failure, Outcome, Stage, Subject, Verdict};
use crate::report::event::Warning;
use crate::report::files::run_log::{End, ObjectEntry, RunLog, StageEntry, StepEntry};
use crate::report::live::{format, summary};

/// The file's content.
pub(crate) fn junit(run: &RunLog) -> String {
    let mut report = Report::new("windlass");
    let causes = run.end.as_ref().map(|end| end.causes.as_slice()).unwrap_or_default();
    let mut suites: Vec<TestSuite> =
        suites(run, causes).filter(|suite| !suite.test_cases.is_empty()).collect();
    if let (Some(first), false) = (suites.first_mut(), run.warnings.is_empty()) {
        first.set_system_err(warnings(run));
    }
    report.add_test_suites(suites);
    if let Some(end) = &run.end {
        report.set_time(time(end.seconds));
    }
    report.to_string().expect("writing to memory cannot fail, and the names are clean")
}

/// The warnings of the run, a block each. Such a file has no place for what is no case, except what a suite says beside
/// its cases.
fn warnings(run: &RunLog) -> String {
    let block = |warning: &Warning| {
        let help = warning.hint.iter().map(|hint| format!("hint: {hint}"));
        let lines = [format!("warning: {}", warning.message)].into_iter().chain(warning.snippet.clone());
        lines.chain(help).collect::<Vec<_>>().join("\n")
    };
    run.warnings.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

fn suites<'r>(run: &'r RunLog, causes: &'r [Failure]) -> impl Iterator<Item = TestSuite> {
    let build = suite("build", images(run, causes), stage(run, Stage::Build));
    let tests = suite("tests", tests(run, causes), stage(run, Stage::Test));
    [build, tests].into_iter().chain(rollouts(run, causes))
}

fn suite(name: &str, cases: Vec<TestCase>, stage: Option<&StageEntry>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.add_test_cases(cases.into_iter().map(|mut case| {
        case.set_classname(name);
        case
    }));
    if let Some(end) = stage.and_then(|stage| stage.end.as_ref()) {
        suite.set_time(time(end.seconds));
    }
    suite
}

fn stage(run: &RunLog, stage: Stage) -> Option<&StageEntry> {
    run.stages.iter().rev().find(|entry| entry.stage == stage)
}

fn steps(run: &RunLog, stage: Stage) -> impl Iterator<Item = &StepEntry> {
    run.stages.iter().filter(move |entry| entry.stage == stage).flat_map(|entry| &entry.steps)
}

/// An image is built and then pushed: two steps, one case.
fn images(run: &RunLog, causes: &[Failure]) -> Vec<TestCase> {
    cases(run, Stage::Build, &["build ", "push "], &of_sort(causes, Subject::Image))
}

fn tests(run: &RunLog, causes: &[Failure]) -> Vec<TestCase> {
    cases(run, Stage::Test, &["test "], &of_sort(causes, Subject::Test))
}

/// What failed of one sort, by its name.
fn of_sort(causes: &[Failure], sort: fn(String) -> Subject) -> Vec<(&str, &Failure)> {
    let named = |failure: &'_ Failure| failure.subject == sort(failure.subject.name().to_owned());
    causes.iter().filter(|failure| named(failure)).map(|failure| (failure.subject.name(), failure)).collect()
}

/// The steps of a stage whose names begin like this, together for each that is named after it; and what failed
/// without a step.
fn cases(run: &RunLog, stage: Stage, beginnings: &[&str], causes: &[(&str, &Failure)]) -> Vec<TestCase> {
    let mut found: Vec<(&str, Vec<&StepEntry>)> = Vec::new();
    for step in steps(run, stage) {
        let Some(name) = beginnings.iter().find_map(|beginning| step.name.strip_prefix(beginning)) else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, steps)) => steps.push(step),
            None => found.push((name, vec![step])),
        }
    }
    let unheard = causes.iter().filter(|(name, _)| !found.iter().any(|(known, _)| known == name));
    let unheard: Vec<_> = unheard.map(|(name, failure)| TestCase::new(*name, failed(failure))).collect();
    let heard = found.iter().map(|(name, steps)| {
        let failure = causes.iter().find(|(failed, _)| failed == name).map(|(_, failure)| *failure);
        let mut case = TestCase::new(*name, of_steps(steps, failure));
        case.set_time(time(steps.iter().filter_map(|step| step.end.as_ref()).map(|end| end.seconds).sum()));
        case
    });
    heard.chain(unheard).collect()
}

/// The worst of the steps decides.
fn of_steps(steps: &[&StepEntry], cause: Option<&Failure>) -> TestCaseStatus {
    if let Some(cause) = cause {
        return failed(cause);
    }
    let ended = |outcomes: &[Outcome]| {
        let mut ends = steps.iter().filter_map(|step| step.end.as_ref());
        ends.find(|end| outcomes.contains(&end.outcome))
    };
    if let Some(end) = ended(&[Outcome::Failed, Outcome::Refused]) {
        return failure_of(end);
    }
    if let Some(end) = ended(&[Outcome::Interrupted]) {
        return skipped(&end.summary);
    }
    if steps.iter().any(|step| step.end.is_none()) {
        return skipped("the run ended before it did");
    }
    if ended(&[Outcome::Ok]).is_some() {
        return TestCaseStatus::success();
    }
    let summaries = steps.iter().filter_map(|step| step.end.as_ref()).map(|end| end.summary.as_str());
    skipped(&summaries.collect::<Vec<_>>().join("; "))
}

/// The objects of a release are the suite `rollout`; those of the rollback that followed by itself are another.
fn rollouts(run: &RunLog, causes: &[Failure]) -> Vec<TestSuite> {
    let of = |stage: Stage| run.objects.iter().filter(move |entry| entry.state.stage == stage).collect();
    let (release, rollback): (Vec<_>, Vec<_>) = (of(Stage::Release), of(Stage::Rollback));
    let (first, stage_of_first) =
        if release.is_empty() { (&rollback, Stage::Rollback) } else { (&release, Stage::Release) };
    let mut rollout = objects(run, first, causes);
    let heard_of = |name: &str| first.iter().any(|entry| format::name(&entry.state) == name);
    rollout.extend(causes.iter().filter_map(|cause| match &cause.subject {
        Subject::Object(name) if !heard_of(name) => Some(TestCase::new(name, failed(cause))),
        _ => None,
    }));
    let mut suites = vec![suite("rollout", rollout, stage(run, stage_of_first))];
    if !release.is_empty() {
        // What the release's objects failed of is no failure of the same objects once they are ready again.
        suites.push(suite("rollback", objects(run, &rollback, &[]), stage(run, Stage::Rollback)));
    }
    suites
}

fn objects(run: &RunLog, entries: &[&ObjectEntry], causes: &[Failure]) -> Vec<TestCase> {
    let case = |entry: &&ObjectEntry| {
        let subject = Subject::Object(format::name(&entry.state));
        let failure = causes.iter().find(|failure| failure.subject == subject);
        let mut case = TestCase::new(run.name(entry), of_object(entry, failure, run.end.is_some()));
        case.set_time(run.took(entry));
        case
    };
    entries.iter().map(case).collect()
}

fn of_object(entry: &ObjectEntry, cause: Option<&Failure>, ended: bool) -> TestCaseStatus {
    let text = format::state_text(&entry.state);
    match (cause, entry.state.verdict) {
        (Some(cause), _) => failed(cause),
        (None, Verdict::Ready) => TestCaseStatus::success(),
        (None, Verdict::Failed) => {
            let cause = entry.state.cause.map_or_else(|| "failed".to_owned(), |cause| cause.to_string());
            failure_status(&cause, &text, &text)
        }
        (None, Verdict::Paused) => skipped(&text),
        (None, _) if ended => skipped(&format!("no verdict when the run ended: {text}")),
        (None, _) => skipped(&format!("no verdict yet: {text}")),
    }
}

fn failed(cause: &Failure) -> TestCaseStatus {
    let mut text = vec![format!("{}: {}", cause.cause, cause.message)];
    for evidence in &cause.evidence {
        text.push(format!("\n{}", evidence.title));
        text.extend(evidence.lines.iter().map(|line| format!("  {line}")));
    }
    text.extend(cause.hint.iter().map(|hint| format!("\nhint: {hint}")));
    failure_status(&cause.cause, &cause.message, &text.join("\n"))
}

fn failure_of(end: &End) -> TestCaseStatus {
    failure_status(summary::word(end.outcome), &end.summary, &end.summary)
}

fn failure_status(cause: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(cause).set_message(message).set_description(text);
    status
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
