//! One release, or one rollback, from the record before the first change to the record after the last. State
//! that matters is written before the act it describes: a kill at any instant leaves something the next run
//! understands.

pub(crate) mod apply;
pub(crate) mod cancel;
pub(crate) mod deletion;
pub(crate) mod endpoints;
pub(crate) mod jobs;
pub(crate) mod redaction;
pub(crate) mod unstick;
pub(crate) mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::model::{Failure, ObjectId, Stage, labels, object};
use crate::record::prior::PriorReleases;
use crate::record::target::Target;
use crate::record::{
    Applied, JobRun, Outcome, Owned, Progress, Record, RecordedCause, Summary, Task, prior, target,
};
use crate::release::context;
use crate::release::context::TierContext;
use crate::release::plan::{Action, Plan, external};
use crate::release::rules::RunningJobs;
use crate::release::run::apply::Execution;
use crate::release::run::unstick::Suspects;
use crate::release::run::verify::Checks;
use crate::report::Reporter;
use crate::rollout::watch::Watcher;
use crate::session::interrupted;

/// How long what is under way may take to come to its end after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long writing the record of an interrupted release may take.
const RECORD_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long taking back the record of an attempt that changed nothing may take.
const WITHDRAWAL: Duration = Duration::from_secs(10);

/// How many runs of Jobs are remembered.
const RUNS: usize = 100;

/// What a release or a rollback came to.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its revision.
    pub revision: u64,
    /// Whether anything was changed in the cluster.
    pub changed: bool,
    /// Whether it was the way back to an older commit: that this was good is proven already.
    pub(crate) brought_back: bool,
    pub(crate) sentence: String,
}

impl Done {
    /// One line for people.
    pub fn sentence(&self) -> String {
        self.sentence.clone()
    }
}

/// What one attempt works with.
pub(crate) struct Attempt<'a> {
    pub(crate) site: TierContext<'a>,
    pub(crate) stage: Stage,
    pub(crate) past: &'a mut PriorReleases,
    /// What the set has and this attempt leaves alone: the Jobs and claims of a rollback.
    pub(crate) untouched: Vec<Applied>,
    /// What must hold before it is called good.
    pub(crate) checks: Option<Checks<'a>>,
}

impl<'a> Attempt<'a> {
    /// Carries the plan out and keeps the record of it. Afterwards the past has this attempt as its newest.
    pub(crate) async fn run(mut self, plan: Plan, mut summary: Summary) -> Result<Done> {
        let (revision, changed, sentence) = (summary.revision, plan.has_changes(), plan.sentence());
        self.site.session.note(|noted| {
            noted.revision = Some(revision);
            noted.changed = Some(changed);
        });
        summary.jobs = tasks(&plan);
        if changed {
            summary.progress = Some(Progress { written: None, of: writes(&plan) });
            let running = self.running(&plan, summary.clone());
            if let Err(error) = self.site.store().write(&running, &mut self.past.summaries).await {
                return Err(self.withdraw(revision, error).await);
            }
        }
        let (execution, result) = self.execute(plan, &mut summary).await;
        let result = match result {
            Err(error) if execution.changed_nothing(&error) => {
                return Err(self.withdraw(revision, error).await);
            }
            result => result,
        };
        let record = self.conclude(&execution, summary, &result).await;
        let untouched = execution.untouched();
        drop(execution);
        let written = if !changed && result.is_ok() && self.repeats(&record.summary) {
            self.note(record).await
        } else {
            self.keep(record).await
        };
        // What comes next, a rollback say, has a time of its own; without an answer there is only the lock to give back.
        if result.as_ref().err().is_none_or(|error| error.kind() != Kind::Unreachable) {
            self.site.cluster.end_at(None);
        }
        match (result, written) {
            (Ok(()), written) => written.map(|()| Done {
                revision,
                changed,
                brought_back: false,
                sentence: format!("{} {revision}: {sentence}", self.noun()),
            }),
            (Err(error), written) => {
                if let Err(unwritten) = written {
                    let what = format!("the record of {} {revision} could not be written", self.noun());
                    self.site.session.reporter.warn(format!("{what}: {unwritten}"));
                }
                self.note_untouched(&untouched);
                Err(self.with_way_on(error))
            }
        }
    }

    /// Takes the record back of an attempt that the cluster refused before anything was changed: it is no release.
    async fn withdraw(&mut self, revision: u64, error: Error) -> Error {
        let cluster = self.site.cluster.for_cleanup();
        let store = self.site.with_cluster(&cluster).store();
        let withdrawing = store.withdraw(revision, &mut self.past.summaries);
        let limit = if self.site.session.cancel.is_cancelled() { RECORD_TIMEOUT } else { WITHDRAWAL };
        // What cannot be taken back stands there as interrupted, and a rollback sees that nothing was changed.
        if !matches!(tokio::time::timeout(limit, withdrawing).await, Ok(Ok(()))) {
            let noun = self.noun();
            let what =
                format!("the record of {noun} {revision}, which changed nothing, could not be deleted");
            self.site.session.reporter.warn(what);
        }
        self.site.session.note(|noted| {
            noted.revision = None;
            noted.changed = None;
        });
        error
    }

    /// The workloads that were to change and were not reached: what runs of them is what ran before.
    fn note_untouched(&self, untouched: &[ObjectId]) {
        if self.stage == Stage::Rollback || untouched.is_empty() {
            return;
        }
        let mut before = self.past.summaries.iter().skip(1);
        let good = before.find(|one| one.outcome == Outcome::Good).map(|one| one.revision);
        self.site.session.note(|noted| {
            noted.untouched = untouched.iter().map(ToString::to_string).collect();
            noted.still_runs = good;
        });
    }

    /// The record before the first change.
    fn running(&self, plan: &Plan, summary: Summary) -> Record {
        let objects = plan.steps.iter().map(|step| step.wanted.object.clone());
        let objects: Vec<Applied> = objects
            .map(|object| Applied { object, fields: None })
            .chain(self.untouched.iter().cloned())
            .collect();
        let owned = self.owned_before().chain(objects.iter().map(|one| Owned::of(&one.object))).collect();
        Record { jobs: self.jobs_before(), owned, objects, ..Record::new(summary) }
    }

    /// The record after the last change.
    async fn conclude(&self, execution: &Execution<'_>, mut summary: Summary, result: &Result<()>) -> Record {
        let good = result.is_ok();
        summary.outcome = outcome(result);
        let reporter = &self.site.session.reporter;
        summary.causes =
            result.as_ref().err().map_or_else(Vec::new, |error| causes(error.failures(), reporter));
        note_tasks(&mut summary.jobs, execution);
        if let Some(progress) = summary.progress.take().filter(|_| !good) {
            // A deletion is a change as well.
            let written = execution.done.len().max(usize::from(execution.deleted));
            summary.progress = Some(Progress { written: Some(written), ..progress });
        }
        if summary.outcome == Outcome::Interrupted {
            summary.sent_back = cancel::send_back(self, execution).await;
        }
        summary.finished = Some(self.site.cluster.now().max(summary.started));
        let sent_back = summary.sent_back.is_some();
        let mut record = self.record(execution, summary, good);
        // What was sent back is not what this release applied, although the same fields are ours.
        for one in record.objects.iter_mut().filter(|_| sent_back) {
            one.fields = one.fields.take().filter(|_| !execution.begun.contains(&ObjectId::of(&one.object)));
        }
        record
    }

    fn record(&self, execution: &Execution<'_>, summary: Summary, good: bool) -> Record {
        let objects: Vec<Applied> =
            execution.applied().into_iter().chain(self.untouched.iter().cloned()).collect();
        let set = objects.iter().map(|one| Owned::of(&one.object));
        // What takes its time to go is there until somebody has seen that it is gone.
        // So is what stays by itself: it is told, and may go one day.
        let left: BTreeSet<ObjectId> =
            execution.plan.left.iter().map(|left| ObjectId::of(&left.object)).collect();
        let stays = |one: &Owned| !good || execution.lingers.contains(&one.id) || left.contains(&one.id);
        let owned = self.owned_before().filter(stays).chain(set).collect();
        let is_gone = |id: &ObjectId| good && !execution.lingers.contains(id);
        let pruned = execution.plan.prune.iter().map(ObjectId::of).filter(is_gone).collect();
        let jobs = runs(execution.jobs(), self.jobs_before());
        let unserved = good.then(|| execution.unserved.clone());
        Record { objects, jobs, pruned, owned, unserved, ..Record::new(summary) }
    }

    /// Whether the release before was good and of the same set, so that its record says everything but who released, and when.
    fn repeats(&self, summary: &Summary) -> bool {
        let before = self.past.summaries.first();
        self.past.last.is_some()
            && summary.jobs.is_empty()
            && before.is_some_and(|one| one.outcome == Outcome::Good && one.set == summary.set)
    }

    /// Leaves the line of a release that found nothing to change, and nothing else.
    async fn note(&mut self, record: Record) -> Result<()> {
        let cluster = self.site.cluster.for_cleanup();
        let store = self.site.with_cluster(&cluster).store();
        let written = store.note(&record.summary, &mut self.past.summaries).await;
        self.past.last = Some(record);
        written
    }

    /// Writes the record, also after a cancellation, and forgets the sets that are no longer needed.
    async fn keep(&mut self, record: Record) -> Result<()> {
        let cluster = self.site.cluster.for_cleanup();
        let store = self.site.with_cluster(&cluster).store();
        let past = &mut *self.past;
        let interrupted = record.summary.outcome == Outcome::Interrupted;
        let write = async {
            store.write(&record, &mut past.summaries).await?;
            if interrupted { Ok(()) } else { store.sweep(&mut past.summaries).await }
        };
        let limit = if interrupted { RECORD_TIMEOUT } else { Duration::MAX };
        let written = tokio::time::timeout(limit, write).await;
        past.last = Some(record);
        written
            .unwrap_or_else(|_| Err(Error::new(Kind::Unreachable, "the API server did not answer in time")))
    }

    fn owned_before(&self) -> impl Iterator<Item = Owned> {
        self.past.last.iter().flat_map(|last| last.owned.iter().cloned())
    }

    fn jobs_before(&self) -> Vec<JobRun> {
        self.past.last.as_ref().map(|last| last.jobs.clone()).unwrap_or_default()
    }

    async fn execute(&mut self, plan: Plan, summary: &mut Summary) -> (Execution<'a>, Result<()>) {
        let TierContext { session, cluster, tier, .. } = self.site;
        let mut watcher = Watcher::new(session, cluster, self.stage, apply::watched(&plan));
        watcher.made_elsewhere(external::names(self.site));
        watcher.judge_by(tier.health.clone());
        let budget = match self.stage {
            Stage::Rollback => context::rollback_budget(tier),
            _ => tier.timeout,
        };
        let mut execution = Execution {
            session,
            cluster,
            stage: self.stage,
            revision: summary.revision,
            commit: summary.commit.clone(),
            deadline: Instant::now() + budget,
            plan,
            watcher,
            kill_jobs: self.stage == Stage::Release && self.site.rules.running_jobs() == RunningJobs::Kill,
            suspects: self.suspects(summary.revision),
            begun: BTreeSet::new(),
            deleted: false,
            done: BTreeMap::new(),
            lingers: BTreeSet::new(),
            unserved: Vec::new(),
        };
        cluster.end_at(Some(execution.deadline));
        let landed = async {
            session.cancel.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        let result = tokio::select! {
            biased;
            result = self.carry_out(&mut execution, summary) => result,
            () = landed => Err(interrupted()),
        };
        let result = result.map_err(|error| self.unless_known(error, &execution));
        (execution, result)
    }

    /// Of an API server that does not answer nobody knows how the release is.
    fn unless_known(&self, error: Error, execution: &Execution<'_>) -> Error {
        if error.kind() != Kind::Unreachable {
            return error;
        }
        let hint = format!("once it answers: {}", context::command("status", self.site.tier));
        error.context(execution.watcher.last_seen()).with_hint(hint)
    }

    /// Whose pods may hold up a `StatefulSet`: after a release that was not good, those that it left.
    fn suspects(&self, revision: u64) -> Suspects {
        let mut before = self.past.summaries.iter().filter(|one| one.revision != revision);
        let broken = before.clone().next().is_some_and(|newest| newest.outcome != Outcome::Good);
        match before.any(|one| one.outcome == Outcome::Good) {
            false => Suspects::All,
            // Nobody goes back from what works.
            true if self.stage == Stage::Rollback => Suspects::All,
            true if broken => Suspects::Incomplete,
            true => Suspects::None,
        }
    }

    /// All phases; that Jobs ran is on record before anything else is touched, for they do not run again.
    async fn carry_out(&mut self, execution: &mut Execution<'_>, summary: &mut Summary) -> Result<()> {
        execution.up_to_jobs().await?;
        note_tasks(&mut summary.jobs, execution);
        if !summary.jobs.is_empty() {
            let record = self.record(execution, summary.clone(), false);
            self.site.store().write(&record, &mut self.past.summaries).await?;
        }
        execution.workloads().await?;
        // Before the checks: an address without endpoints does not answer, and that would be the worse sentence.
        self.judge_endpoints(execution).await?;
        if let Some(checks) = &self.checks {
            Box::pin(checks.hold(execution)).await?;
        }
        // Last: a release that does not hold leaves what the one before needs.
        execution.prune().await
    }

    fn noun(&self) -> &'static str {
        if self.stage == Stage::Rollback { "rollback" } else { "release" }
    }

    /// Each failure of a release says the complete command that rolls it back; an interruption says how far it
    /// came.
    fn with_way_on(&self, error: Error) -> Error {
        let way_back = target::choose(&self.past.summaries, &[], None).ok();
        let (session, tier) = (self.site.session, self.site.tier);
        let interrupted = is_interruption(&error);
        let sent_back = self.past.summaries.first().and_then(|newest| newest.sent_back).map(|sent| sent.to);
        session.note(|summary| summary.sent_back_to = sent_back);
        if interrupted && self.stage == Stage::Release && sent_back.is_none() {
            session.note(|summary| summary.next.push(context::command("release", tier)));
        }
        if matches!(way_back, Some(Target::Release { .. })) && (interrupted || self.stage == Stage::Release) {
            session.note(|summary| summary.next.push(context::rollback_command(tier)));
        }
        match self.past.summaries.first() {
            Some(newest) if interrupted => Error::new(error.kind(), prior::interruption(newest)),
            _ => error,
        }
    }
}

fn is_interruption(error: &Error) -> bool {
    matches!(error.kind(), Kind::Interrupted | Kind::Terminated)
}

/// How an attempt ended.
fn outcome(result: &Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Good,
        Err(error) if is_interruption(error) => Outcome::Interrupted,
        Err(error) if error.kind() == Kind::TimedOut => Outcome::TimedOut,
        Err(_) => Outcome::Failed,
    }
}

/// The history is read by whoever may read ConfigMaps: what no output shows does not stand in it either.
fn causes(failures: &[Failure], reporter: &Reporter) -> Vec<RecordedCause> {
    let cause = |failure: &Failure| RecordedCause {
        object: failure.subject.name().to_owned(),
        cause: failure.cause.clone(),
        message: reporter.masked(&failure.message),
    };
    failures.iter().map(cause).collect()
}

/// All runs of Jobs that are known, newest first: a content that completed once does not run again, not even when
/// another ran since.
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

/// How many objects the plan writes.
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

/// Whether what a Job did is not undone by going back.
fn refuses_rollback(job: &Value) -> bool {
    object::annotation(job, labels::ROLLBACK) == Some("refuse")
}

/// Which of the Jobs were begun, and how they ended.
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
