//! Rolling back: where it leads, from the records alone, and what a failed release leads back to.

use crate::error::{Error, Kind, Result};
use crate::model::{Failure, RunResult, Stage, Verdict};
use crate::project::Rollback;
use crate::record::prior::PriorReleases;
use crate::record::target::Target;
use crate::record::{Outcome, ReleaseKind, Summary, target};
use crate::release::context::{Request, TierContext};
use crate::release::from_record::{self, PreparedRollback};
use crate::release::input::Decision;
use crate::release::plan::checks::safeguard;
use crate::release::plan::{Action, Plan};
use crate::release::run::Deployed;
use crate::release::{explain, refused};
use crate::report::view::rollback::RollbackPreview;
use crate::rollout::explain::Explained;
use crate::text::display;

/// What a rollback would change; nothing is changed, and nothing is locked.
///
/// # Errors
/// As [`rollback`](crate::release::rollback), before its first change.
pub(crate) async fn rollback_preview(request: Request<'_>, asked: Option<u64>) -> Result<RollbackPreview> {
    let cluster = request.connect().await?;
    let context = request.on(&cluster);
    let prior = PriorReleases::read(&context.store()).await?;
    explain::warn_of_deaths(context, &prior).await;
    let mut attempts = context.store().attempts().await?;
    attempts.extend(refused::of_dead_run(context, &prior.summaries).await?);
    let to = match target::choose(&prior.summaries, &attempts, asked)? {
        Target::Release { to, .. } => to,
        Target::Already { revision, from, to, further } => {
            if deviation(context, &prior, to).await?.is_none() {
                return Ok(nothing(already(context, &prior, revision, from, to, further)));
            }
            to
        }
        Target::Unchanged { runs, further } => {
            return Ok(nothing(unchanged(runs, further)));
        }
    };
    let prepared = from_record::plan(context, &prior, to, false).await?;
    if asked.is_none() && changed_nothing(&prior, &prepared) {
        let further = target::further_back(&prior.summaries, to);
        return Ok(nothing(unchanged(to, further)));
    }
    prepared.warn_of_values(context, to);
    prepared.check_values(context, to)?;
    let PreparedRollback { plan, held_back, .. } = prepared;
    safeguard::warn_of_held(context, to, &held_back);
    let back_to = target::back_to(&prior.summaries, to);
    let sentence = format!("a rollback would go back to {back_to}");
    Ok(RollbackPreview { to: Some(to), back_to: Some(back_to), sentence, plan: plan.view() })
}

/// A rollback that would do nothing.
fn nothing(done: Deployed) -> RollbackPreview {
    RollbackPreview { to: None, back_to: None, sentence: done.sentence, plan: Plan::default().view() }
}

/// Where a rollback leads from what is on record.
async fn chosen(context: TierContext<'_>, prior: &PriorReleases, to: Option<u64>) -> Result<Target> {
    // Whoever names a release goes there whatever was attempted.
    let attempts = if to.is_some() { Vec::new() } else { context.store().attempts().await? };
    target::choose(&prior.summaries, &attempts, to)
}

/// What a rollback leads to, decided under the lock.
///
/// # Errors
/// [`Kind::Rule`] where there is nothing to go back to, and what the cluster refuses.
pub(crate) async fn decide(
    context: TierContext<'_>,
    prior: &PriorReleases,
    asked: Option<u64>,
) -> Result<Decision<'static>> {
    match chosen(context, prior, asked).await? {
        Target::Release { to, from } => {
            if asked.is_none()
                && was_interrupted(prior)
                && changed_nothing(prior, &from_record::plan(context, prior, to, false).await?)
            {
                let further = target::further_back(&prior.summaries, to);
                return Ok(Decision::Unchanged(unchanged(to, further)));
            }
            confirm_jobs(context, prior, to).await?;
            mention_if_bad(context, prior, to);
            Ok(Decision::Record { to, kind: by_hand(from, to) })
        }
        Target::Already { revision, from, to, further } => {
            let Some(why) = deviation(context, prior, to).await? else {
                return Ok(Decision::Unchanged(already(context, prior, revision, from, to, further)));
            };
            context
                .session
                .reporter
                .warn(format!("release {revision} is the rollback of {from} to {to}, but {why}"));
            Ok(Decision::Record { to, kind: by_hand(from, to) })
        }
        Target::Unchanged { runs, further } => {
            if let Some(why) = deviation(context, prior, runs).await? {
                let command = context.tier.command("rollback");
                context.session.reporter.warn_with_hint(
                    format!("release {runs} is on record as good, but {why}"),
                    format!("`{command} --to {runs}` applies it again"),
                );
            }
            Ok(Decision::Unchanged(unchanged(runs, further)))
        }
    }
}

fn by_hand(from: u64, to: u64) -> ReleaseKind {
    ReleaseKind::Rollback { from, to, automatic: false, redeployed: false }
}

/// A GitLab job of an older commit, which was good here, runs again: its recorded set is brought back.
///
/// # Errors
/// [`Kind::Rule`] where a Job in between says that what it did is not undone.
pub(crate) async fn redeploy(
    context: TierContext<'_>,
    prior: &PriorReleases,
    from: u64,
    to: u64,
) -> Result<Decision<'static>> {
    confirm_jobs(context, prior, to).await?;
    context.session.reporter.warn(format!(
        "this pipeline made release {to}, and its commit is older than the one that runs: rolling back to release {to}, without its Jobs"
    ));
    let kind = ReleaseKind::Rollback { from, to, automatic: false, redeployed: true };
    Ok(Decision::Record { to, kind })
}

/// What Jobs did between the revision that is brought back and now may not be undone by going back: somebody
/// must say so.
pub(crate) async fn confirm_jobs(context: TierContext<'_>, prior: &PriorReleases, to: u64) -> Result<()> {
    let Some((revision, task)) = target::refusing(&prior.summaries, to) else { return Ok(()) };
    let fact = format!(
        "release {revision} ran {}, which has windlass.dev/rollback: refuse: its effects remain",
        task.job
    );
    context.rules.confirm(context.session, &fact, &format!("roll back to release {to} anyway?")).await
}

/// From one revision back to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WayBack {
    /// The release that is given up.
    pub(crate) from: u64,
    /// The one whose set comes back.
    pub(crate) to: u64,
}

/// What a release that failed leads back to by itself: where the tier says `rollback: auto`, something was changed, and
/// nothing stands in the way.
pub(crate) fn target_after(
    context: TierContext<'_>,
    prior: &PriorReleases,
    failed: &Error,
) -> Option<WayBack> {
    if !leads_back(context, prior, failed) {
        return None;
    }
    let (to, from) = match target::choose(&prior.summaries, &[], None) {
        Ok(Target::Release { to, from }) => (to, from),
        Ok(Target::Already { .. } | Target::Unchanged { .. }) => return None,
        Err(none) => {
            context.session.reporter.warn(format!("not rolled back: {}", none.message()));
            return None;
        }
    };
    // Also what a release in between ran is not undone by going back behind it.
    if let Some((_, task)) = target::refusing(&prior.summaries, to) {
        context
            .session
            .reporter
            .warn(format!("not rolled back: {} ran, and it has windlass.dev/rollback: refuse", task.job));
        return None;
    }
    Some(WayBack { from, to })
}

/// Whether a failed release is rolled back by itself.
fn leads_back(context: TierContext<'_>, prior: &PriorReleases, failed: &Error) -> bool {
    let is_this = |newest: &&Summary| {
        newest.kind == ReleaseKind::Release && Some(newest.revision) == failed.result().revision
    };
    let Some(newest) = prior.summaries.first().filter(is_this) else { return false };
    let failure = matches!(failed.kind(), Kind::Rollout | Kind::TimedOut | Kind::Refused);
    let changed = newest.progress.and_then(|progress| progress.written).is_some_and(|written| written > 0);
    context.tier.rollback == Rollback::Auto && failure && changed
}

/// The error of a release that failed and was rolled back by itself: the evidence stays that of the failure.
pub(crate) fn failed_and_restored(
    failed: Error,
    restored: Result<Deployed>,
    WayBack { from, to }: WayBack,
) -> Error {
    let release = RunResult {
        stage: Some(Stage::Release),
        revision: Some(from),
        changed: Some(true),
        ..RunResult::default()
    };
    match restored {
        Ok(restored) => {
            let result = release.after(restored.result).after(failed.result().clone());
            failed.into_kind(Kind::RolledBack).with_result(RunResult { next: Vec::new(), ..result })
        }
        Err(error) => {
            let result = release.after(error.result().clone()).after(failed.result().clone());
            failed_too(&failed, &error, to).with_result(result)
        }
    }
}

/// The release failed, and so did the way back: both are said, the first one first.
fn failed_too(error: &Error, rollback: &Error, to: u64) -> Error {
    let kind = if rollback.is_interruption() { rollback.kind() } else { Kind::RollbackFailed };
    let whole =
        Error::new(kind, format!("{}; the rollback failed too: {}", error.message(), rollback.message()));
    let in_rollback = rollback.failures().iter().cloned().map(|failure| Failure {
        message: format!("in the rollback to {to}: {}", failure.message),
        ..failure
    });
    let whole = whole.with_failures(error.failures().iter().cloned().chain(in_rollback));
    match rollback.hint().or(error.hint()) {
        Some(hint) => whole.with_hint(hint),
        None => whole,
    }
}

/// A revision that somebody names need not be a good one.
fn mention_if_bad(context: TierContext<'_>, prior: &PriorReleases, to: u64) {
    let bad = prior.summaries.iter().find(|one| one.revision == to && one.outcome != Outcome::Good);
    if let Some(bad) = bad {
        context.session.reporter.warn(format!("release {to} was not good: {}", bad.outcome.word()));
    }
}

/// Whether the newest release was killed, or ended by a signal: perhaps before its first change.
fn was_interrupted(prior: &PriorReleases) -> bool {
    prior.summaries.first().is_some_and(|newest| {
        matches!(newest.outcome, Outcome::Running | Outcome::Interrupted)
            && !matches!(newest.kind, ReleaseKind::Rollback { .. })
    })
}

/// Whether the newest release ended before its first change: what it would be rolled back to is what runs.
fn changed_nothing(prior: &PriorReleases, back: &PreparedRollback) -> bool {
    was_interrupted(prior) && !back.plan.has_changes() && back.held_back.is_empty()
}

/// Why what was brought back is not what runs, or does not run well; `None` where there is nothing to do.
async fn deviation(context: TierContext<'_>, prior: &PriorReleases, to: u64) -> Result<Option<String>> {
    let Some(record) = context.store().recorded(&prior.summaries, to).await? else { return Ok(None) };
    let plan = from_record::plan_record(context, prior, record, false).await?.plan;
    let differs = plan.steps.iter().find(|step| step.action != Action::Keep);
    if let Some(step) = differs {
        let what = if step.action == Action::Create { "deleted" } else { "changed" };
        return Ok(Some(format!("{} was {what}", step.wanted.id())));
    }
    let explained = explain::explain(context, prior.last.as_ref()).await?;
    let brought = |one: &&Explained| plan.steps.iter().any(|step| one.is_about(&step.wanted.object));
    let is_unwell = |one: &&Explained| {
        matches!(one.verdict(), Verdict::Failed | Verdict::Progressing | Verdict::Terminating)
    };
    let unwell = explained.iter().filter(brought).find(is_unwell);
    Ok(unwell.map(|one| format!("{} is {}", one.title(), one.verdict())))
}

/// The last attempt changed nothing: what was good before it runs.
fn unchanged(runs: u64, further: Option<u64>) -> Deployed {
    let further = further.map(|to| format!("; to go back further: --to {to}")).unwrap_or_default();
    Deployed {
        result: RunResult {
            revision: Some(runs),
            changed: Some(false),
            still_runs: Some(runs),
            ..RunResult::default()
        },
        sentence: format!("nothing was rolled back: release {runs} is good and runs{further}"),
        from_record: true,
    }
}

fn already(
    context: TierContext<'_>,
    prior: &PriorReleases,
    revision: u64,
    from: u64,
    to: u64,
    further: Option<u64>,
) -> Deployed {
    let rollback = prior.summaries.iter().find(|summary| summary.revision == revision);
    let told = rollback.map(|one| {
        let age = context.cluster.now().duration_since(one.finished.unwrap_or(one.started));
        format!(", {} ago, by {}", display::whole(age.unsigned_abs()), one.by.person)
    });
    let further = further.map(|to| format!("; further back: --to {to}")).unwrap_or_default();
    Deployed {
        result: RunResult {
            revision: Some(revision),
            rolled_back_to: Some(to),
            back_to: Some(target::back_to(&prior.summaries, to)),
            changed: Some(false),
            ..RunResult::default()
        },
        sentence: format!(
            "release {revision} is already the rollback of {from} to {to}{}{further}",
            told.unwrap_or_default()
        ),
        from_record: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: WayBack = WayBack { from: 8, to: 6 };

    fn failed() -> Error {
        let known = RunResult { revision: Some(8), next: vec!["a".to_owned()], ..RunResult::default() };
        Error::new(Kind::Rollout, "the rollout failed").after(known)
    }

    #[test]
    fn a_release_that_was_brought_back_is_said_to_be_rolled_back() {
        let result = RunResult { revision: Some(9), rolled_back_to: Some(6), ..RunResult::default() };
        let restored = Deployed { result, sentence: String::new(), from_record: true };
        let error = failed_and_restored(failed(), Ok(restored), WAY);
        assert_eq!((error.kind(), error.message()), (Kind::RolledBack, "the rollout failed"));
        let said = error.result();
        assert_eq!(
            (said.stage, said.revision, said.rolled_back_to),
            (Some(Stage::Release), Some(8), Some(6))
        );
        assert!(said.next.is_empty(), "nothing is left to be typed");
    }

    #[test]
    fn a_rollback_that_fails_too_is_said_behind_the_failure() {
        let known = RunResult { next: vec!["b".to_owned()], ..RunResult::default() };
        let error =
            failed_and_restored(failed(), Err(Error::new(Kind::RollbackFailed, "gone").after(known)), WAY);
        assert_eq!(error.kind(), Kind::RollbackFailed);
        assert_eq!(error.message(), "the rollout failed; the rollback failed too: gone");
        assert_eq!((error.result().revision, error.result().changed), (Some(8), Some(true)));
        assert_eq!(error.result().next, ["a", "b"]);
    }
}
