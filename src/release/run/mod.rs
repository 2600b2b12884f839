//! One release, or one rollback, from the record before the first change to the record after the last. State is written
//! before the act that it describes, so that the next run understands what is left after a kill at any time.

pub(crate) mod apply;
pub(crate) mod cancel;
pub(crate) mod deletion;
pub(crate) mod endpoints;
pub(crate) mod unstick;
pub(crate) mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::model::{Failure, ObjectId, RunResult, Stage, labels, object};
use crate::project::ci;
use crate::record::prior::PriorReleases;
use crate::record::target::Target;
use crate::record::{
    Applied, JobRun, Outcome, Owned, Record, RecordedCause, ReleaseProgress, SentBack, Summary, Task, prior,
    target,
};
use crate::release::context::TierContext;
use crate::release::plan::checks::external;
use crate::release::plan::{Action, Plan};
use crate::release::rules::RunningJobs;
use crate::release::run::apply::Execution;
use crate::release::run::unstick::Suspects;
use crate::release::run::verify::Checks;
use crate::report::Reporter;
use crate::rollout::watch::Watcher;
use crate::session::{Session, interrupted};
use crate::text::display;

/// How long requests in progress may take to complete after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long writing the record of an interrupted release may take.
const RECORD_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long deleting the record of an attempt that changed nothing may take.
const WITHDRAWAL: Duration = Duration::from_secs(10);

/// How many runs of Jobs are remembered.
const RUNS: usize = 100;

/// The result of a release or a rollback.
#[derive(Debug, Clone)]
pub(crate) struct Deployed {
    /// The facts of the run's last line.
    pub(crate) result: RunResult,
    /// One line for people.
    pub(crate) sentence: String,
    /// Whether a recorded release was restored: its proof of success exists already.
    pub(crate) from_record: bool,
}

/// What is to run: planned and allowed, but not started.
pub(crate) struct Desired<'a> {
    pub(crate) stage: Stage,
    pub(crate) plan: Plan,
    /// The record, as far as it is known before the first change.
    pub(crate) summary: Summary,
    /// Objects that belong to the release but that this attempt does not change: the Jobs and claims of a rollback.
    pub(crate) untouched: Vec<Applied>,
    /// What must hold before it counts as good.
    pub(crate) checks: Option<Checks<'a>>,
    /// The line for people if it succeeds.
    pub(crate) sentence: String,
    /// The facts of the run's last line that are already known.
    pub(crate) result: RunResult,
}

impl Desired<'_> {
    /// A plan without unchanged recorded objects and without checks.
    pub(crate) fn new(stage: Stage, plan: Plan, summary: Summary) -> Self {
        let sentence = format!("{} {}: {}", noun(stage), summary.revision, plan.result());
        Self {
            stage,
            plan,
            summary,
            untouched: Vec::new(),
            checks: None,
            sentence,
            result: RunResult::default(),
        }
    }
}

/// A release or a rollback in progress.
pub(crate) struct Attempt<'a> {
    context: TierContext<'a>,
    prior: &'a mut PriorReleases,
    untouched: Vec<Applied>,
    checks: Option<Checks<'a>>,
    summary: Summary,
    execution: Execution<'a>,
    sentence: String,
    result: RunResult,
}

impl<'a> Attempt<'a> {
    /// Writes the record before the first change. Afterwards this attempt is the newest of the prior releases.
    ///
    /// # Errors
    /// What the cluster refuses: then nothing was changed, and nothing is recorded.
    pub(crate) async fn begin(
        context: TierContext<'a>,
        prior: &'a mut PriorReleases,
        desired: Desired<'a>,
    ) -> Result<Self> {
        let Desired { stage, plan, mut summary, untouched, checks, sentence, result } = desired;
        summary.jobs = tasks(&plan);
        let changed = plan.has_changes();
        if changed {
            summary.progress = Some(ReleaseProgress { written: None, of: writes(&plan) });
            let running = running(&plan, &untouched, prior, summary.clone());
            if let Err(error) = context.store().write(&running, &mut prior.summaries).await {
                withdraw(context, prior, stage, summary.revision).await;
                return Err(of_stage(stage, error.after(result)));
            }
            prior.current = Some(summary.revision);
        }
        let execution = execution(context, prior, stage, plan, &summary);
        context.cluster.end_at(Some(execution.deadline));
        let known =
            RunResult { revision: Some(summary.revision), changed: Some(changed), ..RunResult::default() };
        let result = known.after(result);
        Ok(Self { context, prior, untouched, checks, summary, execution, sentence, result })
    }

    /// Applies everything up to the Jobs, and waits until these complete.
    pub(crate) async fn apply_up_to_jobs(&mut self) -> Result<()> {
        self.execution.up_to_jobs().await
    }

    /// Records that Jobs ran before anything else is changed, because they do not run again.
    pub(crate) async fn record_jobs(&mut self) -> Result<()> {
        note_tasks(&mut self.summary.jobs, &self.execution);
        if self.summary.jobs.is_empty() {
            return Ok(());
        }
        let record = self.record(self.summary.clone(), false);
        self.context.store().write(&record, &mut self.prior.summaries).await
    }

    /// Applies the rest, and watches it until everything is ready.
    pub(crate) async fn apply_workloads(&mut self) -> Result<()> {
        self.execution.workloads().await
    }

    /// Checks that the workloads have endpoints and pass the tier's checks.
    pub(crate) async fn verify(&mut self) -> Result<()> {
        // First, because an address without endpoints does not respond either, and that message would be less helpful.
        self.judge_endpoints().await?;
        match &self.checks {
            Some(checks) => Box::pin(checks.hold(&mut self.execution)).await,
            None => Ok(()),
        }
    }

    /// Deletes the objects removed from the manifests.
    pub(crate) async fn prune(&mut self) -> Result<()> {
        self.execution.prune().await
    }

    /// Writes the record after the last change.
    ///
    /// # Errors
    /// That of `applied`, with the result of the run; what the cluster refuses.
    pub(crate) async fn finish(mut self, applied: Result<()>) -> Result<Deployed> {
        let stage = self.execution.stage;
        let applied = match applied.map_err(|error| self.unless_known(error)) {
            Err(error) if self.execution.changed_nothing(&error) => {
                withdraw(self.context, self.prior, stage, self.summary.revision).await;
                let known = RunResult { revision: None, changed: None, ..self.result };
                return Err(of_stage(stage, error.after(known)));
            }
            applied => applied,
        };
        let record = self.conclude(&applied).await;
        let is_repeated =
            self.result.changed == Some(false) && applied.is_ok() && self.repeats(&record.summary);
        let written = if is_repeated { self.note(record).await } else { self.keep(record).await };
        // What follows, such as a rollback, has its own time limit; if the API server does not respond, only the lock
        // is left to release.
        if applied.as_ref().err().is_none_or(|error| error.kind() != Kind::Unreachable) {
            self.context.cluster.end_at(None);
        }
        match (applied, written) {
            (Ok(()), Ok(())) => {
                let from_record = stage == Stage::Rollback;
                Ok(Deployed { result: self.result, sentence: self.sentence, from_record })
            }
            (Ok(()), Err(unwritten)) => Err(of_stage(stage, unwritten.after(self.result))),
            (Err(error), written) => {
                if let Err(unwritten) = written {
                    let what = format!(
                        "the record of {} {} could not be written",
                        noun(stage),
                        self.summary.revision
                    );
                    self.context.session.reporter.warn(format!("{what}: {unwritten}"));
                }
                Err(of_stage(stage, self.with_way_on(error)))
            }
        }
    }

    /// The workloads that should have changed but were not reached: they still run the version before.
    fn untouched_workloads(&self) -> RunResult {
        let untouched = self.execution.untouched();
        if self.execution.stage == Stage::Rollback || untouched.is_empty() {
            return RunResult::default();
        }
        let mut before = self.prior.summaries.iter().skip(1);
        let good = before.find(|one| one.outcome == Outcome::Good).map(|one| one.revision);
        RunResult {
            untouched: untouched.iter().map(ToString::to_string).collect(),
            still_runs: good,
            ..RunResult::default()
        }
    }

    /// The record after the last change.
    async fn conclude(&self, result: &Result<()>) -> Record {
        let (execution, mut summary) = (&self.execution, self.summary.clone());
        let good = result.is_ok();
        summary.outcome = outcome(result);
        let reporter = &self.context.session.reporter;
        summary.causes =
            result.as_ref().err().map_or_else(Vec::new, |error| causes(error.failures(), reporter));
        note_tasks(&mut summary.jobs, execution);
        if let Some(progress) = summary.progress.take().filter(|_| !good) {
            // A deletion is a change as well.
            let written = execution.done.len().max(usize::from(execution.deleted));
            summary.progress = Some(ReleaseProgress { written: Some(written), ..progress });
        }
        if summary.outcome == Outcome::Interrupted {
            summary.sent_back = cancel::send_back(self).await;
        }
        summary.unjudged = if good { execution.watcher.unjudged() } else { Vec::new() };
        summary.finished = Some(self.context.cluster.now().max(summary.started));
        let sent_back = summary.sent_back.is_some();
        let mut record = self.record(summary, good);
        // A restored object is not what this release applied, although the same fields are ours.
        for one in record.objects.iter_mut().filter(|_| sent_back) {
            one.fields = one.fields.take().filter(|_| !execution.begun.contains(&ObjectId::of(&one.object)));
        }
        record
    }

    fn record(&self, summary: Summary, good: bool) -> Record {
        let execution = &self.execution;
        let objects: Vec<Applied> =
            execution.applied().into_iter().chain(self.untouched.iter().cloned()).collect();
        let set = objects.iter().map(|one| Owned::of(&one.object));
        // An object whose deletion has not finished exists until a later run finds that it is gone. An object that was
        // kept is still reported, and may be deleted one day.
        let left: BTreeSet<ObjectId> =
            execution.plan.left.iter().map(|left| ObjectId::of(&left.object)).collect();
        let stays = |one: &Owned| !good || execution.lingers.contains(&one.id) || left.contains(&one.id);
        let owned = owned_before(self.prior).filter(stays).chain(set).collect();
        let is_gone = |id: &ObjectId| good && !execution.lingers.contains(id);
        let pruned = execution.plan.prune.iter().map(ObjectId::of).filter(is_gone).collect();
        let jobs = runs(execution.jobs(), jobs_before(self.prior));
        let unserved = good.then(|| execution.unserved.clone());
        Record { objects, jobs, pruned, owned, unserved, ..Record::new(summary) }
    }

    /// Whether the previous release was good and had the same content, so that its record says everything except who
    /// released it, and when.
    fn repeats(&self, summary: &Summary) -> bool {
        let before = self.prior.summaries.first();
        self.prior.last.is_some()
            && summary.jobs.is_empty()
            && before.is_some_and(|one| one.outcome == Outcome::Good && one.set == summary.set)
    }

    /// Writes only the history line of a release that changed nothing.
    async fn note(&mut self, record: Record) -> Result<()> {
        let cluster = self.context.cluster.for_cleanup();
        let store = self.context.with_cluster(&cluster).store();
        let written = store.note(&record.summary, &mut self.prior.summaries).await;
        self.prior.last = Some(record);
        written
    }

    /// Writes the record, also after a cancellation, and deletes the full records that are no longer needed.
    async fn keep(&mut self, record: Record) -> Result<()> {
        let cluster = self.context.cluster.for_cleanup();
        let store = self.context.with_cluster(&cluster).store();
        let prior = &mut *self.prior;
        let interrupted = record.summary.outcome == Outcome::Interrupted;
        let write = async {
            store.write(&record, &mut prior.summaries).await?;
            if interrupted { Ok(()) } else { store.forget_unused(&mut prior.summaries).await }
        };
        let limit = if interrupted { RECORD_TIMEOUT } else { Duration::MAX };
        let written = tokio::time::timeout(limit, write).await;
        prior.last = Some(record);
        written
            .unwrap_or_else(|_| Err(Error::new(Kind::Unreachable, "the API server did not respond in time")))
    }

    /// Adds the last known state to an error if the API server does not respond: nobody knows how the release is.
    fn unless_known(&self, error: Error) -> Error {
        if error.kind() != Kind::Unreachable {
            return error;
        }
        let hint = format!("once it responds: {}", self.context.tier.command("status"));
        error.context(self.execution.watcher.last_seen()).with_hint(hint)
    }

    /// Adds to a failure of a release the complete command that rolls it back, and to an interruption how far it got.
    fn with_way_on(self, error: Error) -> Error {
        let (stage, tier) = (self.execution.stage, self.context.tier);
        let way_back = target::choose(&self.prior.summaries, &[], None).ok();
        let interrupted = error.is_interruption();
        let newest = self.prior.summaries.first();
        let sent_back_to =
            newest.and_then(|newest| newest.sent_back).filter(SentBack::is_complete).map(|sent| sent.to);
        let mut next = Vec::new();
        if interrupted && stage == Stage::Release && sent_back_to.is_none() {
            next.push(tier.command("release"));
        }
        if matches!(way_back, Some(Target::Release { .. })) && (interrupted || stage == Stage::Release) {
            next.push(tier.command("rollback"));
        }
        let known = RunResult { sent_back_to, next, ..self.untouched_workloads() };
        let error = match newest {
            Some(newest) if interrupted => Error::new(error.kind(), prior::interruption(newest)),
            _ => error,
        };
        error.after(known.after(self.result))
    }
}

/// Runs `work`, after a signal only as long as requests in progress may take.
///
/// # Errors
/// Those of `work`, and [`Kind::Interrupted`].
pub(crate) async fn until_drained(session: &Session, work: impl Future<Output = Result<()>>) -> Result<()> {
    let drained = async {
        session.cancel.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        result = work => result,
        () = drained => Err(interrupted()),
    }
}

/// `release`, `rollback`
fn noun(stage: Stage) -> &'static str {
    if stage == Stage::Rollback { "rollback" } else { "release" }
}

/// A failed rollback has an exit code of its own.
pub(crate) fn as_rollback(error: Error) -> Error {
    match error.kind() {
        Kind::Rollout | Kind::TimedOut | Kind::Refused => error.into_kind(Kind::RollbackFailed),
        _ => error,
    }
}

fn of_stage(stage: Stage, error: Error) -> Error {
    if stage == Stage::Rollback { as_rollback(error) } else { error }
}

/// The record to write before the first change.
fn running(plan: &Plan, untouched: &[Applied], prior: &PriorReleases, summary: Summary) -> Record {
    let objects = plan.steps.iter().map(|step| step.wanted.object.clone());
    let objects: Vec<Applied> =
        objects.map(|object| Applied { object, fields: None }).chain(untouched.iter().cloned()).collect();
    let owned = owned_before(prior).chain(objects.iter().map(|one| Owned::of(&one.object))).collect();
    Record { jobs: jobs_before(prior), owned, objects, ..Record::new(summary) }
}

fn owned_before(prior: &PriorReleases) -> impl Iterator<Item = Owned> {
    prior.last.iter().flat_map(|last| last.owned.iter().cloned())
}

fn jobs_before(prior: &PriorReleases) -> Vec<JobRun> {
    prior.last.as_ref().map(|last| last.jobs.clone()).unwrap_or_default()
}

/// Deletes the record of an attempt that the cluster refused before anything was changed: it is not a release.
async fn withdraw(context: TierContext<'_>, prior: &mut PriorReleases, stage: Stage, revision: u64) {
    let cluster = context.cluster.for_cleanup();
    let store = context.with_cluster(&cluster).store();
    let withdrawing = store.withdraw(revision, &mut prior.summaries);
    let limit = if context.session.cancel.is_cancelled() { RECORD_TIMEOUT } else { WITHDRAWAL };
    // If the record cannot be deleted, it counts as interrupted, and a rollback sees that nothing was changed.
    if !matches!(tokio::time::timeout(limit, withdrawing).await, Ok(Ok(()))) {
        let noun = noun(stage);
        let what = format!("the record of {noun} {revision}, which changed nothing, could not be deleted");
        context.session.reporter.warn(what);
    }
    prior.current = None;
}

/// The time limit of the rollout: in a CI job it leaves enough time to roll back and to write the record before the job
/// is killed.
fn within_job(session: &Session, timeout: Duration, left: Option<Duration>) -> Duration {
    const FOR_THE_REST: Duration = Duration::from_secs(60);
    const LEAST: Duration = Duration::from_secs(10);
    let Some(left) = left else { return timeout };
    let room = left.saturating_sub(FOR_THE_REST).max(LEAST);
    if room < timeout {
        let (room, left, timeout) = (display::whole(room), display::whole(left), display::whole(timeout));
        session.reporter.warn_with_hint(
            format!("the job ends in {left}: the rollout may take {room} instead of {timeout}"),
            "a longer `timeout:` of the job, or a shorter one of the tier",
        );
    }
    room.min(timeout)
}

/// The plan, ready to be carried out.
fn execution<'a>(
    context: TierContext<'a>,
    prior: &PriorReleases,
    stage: Stage,
    plan: Plan,
    summary: &Summary,
) -> Execution<'a> {
    let TierContext { session, cluster, tier, .. } = context;
    let mut watcher = Watcher::new(session, cluster, stage, apply::watched(&plan));
    watcher.made_elsewhere(external::names(context));
    watcher.judge_by(tier.health.clone());
    watcher.was_good_at(prior.good_at());
    Execution {
        session,
        cluster,
        stage,
        revision: summary.revision,
        commit: summary.commit.clone(),
        deadline: Instant::now() + within_job(session, tier.timeout, ci::time_left()),
        plan,
        watcher,
        kill_jobs: stage == Stage::Release && context.rules.running_jobs() == RunningJobs::Kill,
        suspects: suspects(prior, stage, summary.revision),
        begun: BTreeSet::new(),
        deleted: false,
        done: BTreeMap::new(),
        lingers: BTreeSet::new(),
        unserved: Vec::new(),
    }
}

/// Whose pods may block a `StatefulSet`: after a release that was not good, the pods that it left.
fn suspects(prior: &PriorReleases, stage: Stage, revision: u64) -> Suspects {
    let mut before = prior.summaries.iter().filter(|one| one.revision != revision);
    let broken = before.clone().next().is_some_and(|newest| newest.outcome != Outcome::Good);
    match before.any(|one| one.outcome == Outcome::Good) {
        false => Suspects::All,
        // Nobody rolls back from a working release.
        true if stage == Stage::Rollback => Suspects::All,
        true if broken => Suspects::Incomplete,
        true => Suspects::None,
    }
}

/// How an attempt ended.
fn outcome(result: &Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Good,
        Err(error) if error.is_interruption() => Outcome::Interrupted,
        Err(error) if error.kind() == Kind::TimedOut => Outcome::TimedOut,
        Err(_) => Outcome::Failed,
    }
}

/// The causes for the history, masked like all output, because everyone who may read ConfigMaps may read them.
fn causes(failures: &[Failure], reporter: &Reporter) -> Vec<RecordedCause> {
    let cause = |failure: &Failure| RecordedCause {
        object: failure.subject.name().to_owned(),
        cause: failure.cause.clone(),
        message: reporter.masked(&failure.message),
    };
    failures.iter().map(cause).collect()
}

/// All known runs of Jobs, newest first: a content that completed once does not run again, not even if another content
/// ran since.
fn runs(now: Vec<JobRun>, before: Vec<JobRun>) -> Vec<JobRun> {
    let mut all = now;
    for run in before {
        let same = all.iter().any(|one| one.job == run.job && one.content == run.content);
        if run.completed && !same {
            all.push(run);
        }
    }
    all.truncate(RUNS);
    all
}

/// How many objects the plan changes.
fn writes(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| step.action != Action::Keep).count()
}

/// The Jobs that the plan runs.
fn tasks(plan: &Plan) -> Vec<Task> {
    let run = plan.steps.iter().filter(|step| step.action == Action::Run);
    run.map(|step| Task {
        job: step.wanted.id(),
        completed: false,
        refuses_rollback: refuses_rollback(&step.wanted.object),
    })
    .collect()
}

/// Whether the work of a Job is not undone by a rollback.
fn refuses_rollback(job: &Value) -> bool {
    object::annotation(job, labels::ROLLBACK) == Some("refuse")
}

/// Keeps the Jobs that were started, and records how they ended.
fn note_tasks(tasks: &mut Vec<Task>, execution: &Execution<'_>) {
    tasks.retain(|task| execution.begun.contains(&task.job));
    for task in tasks {
        task.completed = execution.watcher.is_ready(&task.job);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Subject;

    #[test]
    fn a_rollout_ends_before_its_job_does() {
        let session = Session::new(Reporter::silent());
        let room = |left: Option<u64>| {
            within_job(&session, Duration::from_secs(600), left.map(Duration::from_secs)).as_secs()
        };
        assert_eq!((room(None), room(Some(3600)), room(Some(660))), (600, 600, 600));
        assert_eq!((room(Some(300)), room(Some(65)), room(Some(0))), (240, 10, 10));
    }

    #[test]
    fn what_no_output_shows_does_not_stand_in_the_history() {
        let reporter = Reporter::silent();
        reporter.hide("hunter22hunter");
        let failure = Failure {
            subject: Subject::Object("Deployment/web".to_owned()),
            cause: "readiness-probe".to_owned(),
            message: "cannot reach postgres://app:hunter22hunter@db".to_owned(),
            hint: None,
            evidence: Vec::new(),
        };
        let recorded = causes(&[failure], &reporter);
        assert_eq!(recorded[0].message, "cannot reach postgres://app:[MASKED]@db");
    }

    #[test]
    fn a_content_that_completed_is_remembered_when_another_ran_since() {
        let run = |content: &str, completed| JobRun {
            job: ObjectId::of(&json!({"kind": "Job", "metadata": {"name": "migrate"}})),
            content: content.to_owned(),
            completed,
        };
        let before = vec![run("a", true), run("failed", false)];
        let after = runs(vec![run("b", true)], before);
        assert_eq!(after, [run("b", true), run("a", true)]);
        assert_eq!(
            runs(vec![run("a", false)], after),
            [run("a", false), run("b", true)],
            "what ran last counts"
        );
    }
}
