//! Rolling back: from a record to an attempt on the cluster; no Git, no CI, no rebuild.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::manifest;
use crate::model::{Failure, ObjectId, Stage, Verdict, job};
use crate::project::{Project, Rollback, Tier};
use crate::record::prior::PriorReleases;
use crate::record::target::Target;
use crate::record::{Applied, FORMAT, Kind as ReleaseKind, Outcome, Record, Summary, kept_rules, target};
use crate::release::context::TierContext;
use crate::release::deploy::{build_plan, close};
use crate::release::plan::planner::{May, Survey};
use crate::release::plan::{Action, Plan, Wanted, drift, images, safeguard};
use crate::release::rules::Rules;
use crate::release::run::{Attempt, Done, redaction};
use crate::release::{context, explain, refused};
use crate::report::view::rollback::RollbackPreview;
use crate::rollout::explain::Explained;
use crate::session::Session;
use crate::text::display;

/// Brings the tier back to a recorded release: no Git, no CI, no rebuild.
///
/// # Errors
/// As [`release`](crate::release::release); [`Kind::RollbackFailed`] in place of [`Kind::Rollout`] and
/// [`Kind::TimedOut`].
pub async fn rollback(
    session: &Session,
    project: &Project,
    tier: &Tier,
    to: Option<u64>,
    rules: &Rules,
) -> Result<Done> {
    let mut stage = Some(session.stage(Stage::Rollback, format!("{} on {}", project.name, tier.name)));
    let result = async {
        let cluster = context::connect_under(session, tier, rules).await?;
        let site = TierContext { session, project, tier, rules, cluster: &cluster };
        // Where nothing was released, nothing is locked either.
        if site.store().history().await?.is_empty() {
            target::choose(&[], &[], to)?;
        }
        site.locked("rollback", Box::pin(under_lock(site, to))).await
    };
    let result = result.await;
    close(&mut stage, &result);
    result
}

/// What a rollback would change; nothing is changed, and nothing is locked.
///
/// # Errors
/// As [`rollback`], before its first change.
pub(crate) async fn rollback_preview(
    session: &Session,
    project: &Project,
    tier: &Tier,
    asked: Option<u64>,
    rules: &Rules,
) -> Result<RollbackPreview> {
    let cluster = context::connect_under(session, tier, rules).await?;
    let site = TierContext { session, project, tier, rules, cluster: &cluster };
    let past = PriorReleases::read(&site.store()).await?;
    let mut attempts = site.store().attempts().await?;
    attempts.extend(refused::of_dead_run(site, &past.summaries).await?);
    let to = match target::choose(&past.summaries, &attempts, asked)? {
        Target::Release { to, .. } => to,
        Target::Already { revision, from, to, further } => {
            if undone(site, &past, to).await?.is_none() {
                return Ok(nothing(already(site, &past, revision, from, to, further)));
            }
            to
        }
        Target::Unchanged { runs, further } => {
            return Ok(nothing(unchanged(site, runs, further)));
        }
    };
    let prepared = prepare(site, &past, to, false).await?;
    if asked.is_none() && changed_nothing(&past, &prepared) {
        let further = target::further_back(&past.summaries, to);
        return Ok(nothing(unchanged(site, to, further)));
    }
    let Prepared { plan, under_lock, .. } = prepared;
    safeguard::warn_of_held(site, to, &under_lock);
    let back_to = back_to(&past.summaries, to);
    let sentence = format!("a rollback leads back to {back_to}");
    Ok(RollbackPreview { to: Some(to), back_to: Some(back_to), sentence, plan: plan.view() })
}

/// A rollback that would do nothing.
fn nothing(done: Done) -> RollbackPreview {
    RollbackPreview { to: None, back_to: None, sentence: done.sentence, plan: Plan::default().view() }
}

/// Where a rollback leads from what is on record.
async fn chosen(site: TierContext<'_>, past: &PriorReleases, to: Option<u64>) -> Result<Target> {
    // Whoever names a release goes there whatever was attempted.
    let attempts = if to.is_some() { Vec::new() } else { site.store().attempts().await? };
    target::choose(&past.summaries, &attempts, to)
}

/// What comes after a release that failed: where the tier says `rollback: auto` and something was changed, the
/// last good release is brought back, with a time budget of its own. The evidence stays that of the failure.
pub(crate) async fn after(
    site: TierContext<'_>,
    past: &mut PriorReleases,
    revision: u64,
    error: Error,
) -> Error {
    if !leads_back(site, past, revision, &error) {
        return error;
    }
    let (to, from) = match target::choose(&past.summaries, &[], None) {
        Ok(Target::Release { to, from }) => (to, from),
        Ok(Target::Already { .. } | Target::Unchanged { .. }) => return error,
        Err(none) => {
            site.session.reporter.warn(format!("not rolled back: {}", none.message()));
            return error;
        }
    };
    // Also what a release in between ran is not undone by going back behind it.
    if let Some((_, task)) = target::refusing(&past.summaries, to) {
        site.session
            .reporter
            .warn(format!("not rolled back: {} ran, and it says windlass.dev/rollback: refuse", task.job));
        return error;
    }
    let title = format!("{} on {}, by itself", site.project.name, site.tier.name);
    let mut stage = Some(site.session.stage(Stage::Rollback, title));
    let kind = ReleaseKind::Rollback { from, to, automatic: true, redeployed: false };
    let result = bring_back(site, past, to, kind).await;
    close(&mut stage, &result);
    site.session.note(|noted| {
        noted.stage = Some(Stage::Release);
        noted.revision = Some(from);
        noted.changed = Some(true);
    });
    match result {
        Ok(_) => {
            site.session.note(|noted| noted.next.clear());
            error.into_kind(Kind::RolledBack)
        }
        Err(failed) => failed_too(&error, &failed, to),
    }
}

/// Whether a failed release is rolled back by itself.
fn leads_back(site: TierContext<'_>, past: &PriorReleases, revision: u64, error: &Error) -> bool {
    let Some(failed) = past.summaries.first().filter(|newest| newest.revision == revision) else {
        return false;
    };
    let failure = matches!(error.kind(), Kind::Rollout | Kind::TimedOut | Kind::Refused);
    let changed = failed.progress.and_then(|progress| progress.written).is_some_and(|written| written > 0);
    site.tier.rollback == Rollback::Auto && failure && changed
}

/// The release failed, and so did the way back: both are said, the first one first.
fn failed_too(error: &Error, rollback: &Error, to: u64) -> Error {
    let kind = match rollback.kind() {
        Kind::Interrupted | Kind::Terminated => rollback.kind(),
        _ => Kind::RollbackFailed,
    };
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

/// The rollback itself, under the lock.
async fn under_lock(site: TierContext<'_>, asked: Option<u64>) -> Result<Done> {
    let mut past = PriorReleases::read(&site.store()).await?;
    match chosen(site, &past, asked).await? {
        Target::Release { to, from } => {
            let kind = ReleaseKind::Rollback { from, to, automatic: false, redeployed: false };
            if asked.is_none()
                && was_interrupted(&past)
                && changed_nothing(&past, &prepare(site, &past, to, false).await?)
            {
                return Ok(unchanged(site, to, target::further_back(&past.summaries, to)));
            }
            confirm_jobs(site, &past, to).await?;
            mention_if_bad(site, &past, to);
            bring_back(site, &mut past, to, kind).await
        }
        Target::Already { revision, from, to, further } => {
            let Some(why) = undone(site, &past, to).await? else {
                return Ok(already(site, &past, revision, from, to, further));
            };
            site.session
                .reporter
                .warn(format!("release {revision} is the rollback of {from} to {to}, but {why}"));
            let kind = ReleaseKind::Rollback { from, to, automatic: false, redeployed: false };
            bring_back(site, &mut past, to, kind).await
        }
        Target::Unchanged { runs, further } => {
            if let Some(why) = undone(site, &past, runs).await? {
                let command = context::rollback_command(site.tier);
                site.session.reporter.warn_with_hint(
                    format!("release {runs} is on record as good, but {why}"),
                    format!("`{command} --to {runs}` applies it again"),
                );
            }
            Ok(unchanged(site, runs, further))
        }
    }
}

/// Whether the newest release was killed, or ended by a signal: perhaps before its first change.
fn was_interrupted(past: &PriorReleases) -> bool {
    past.summaries.first().is_some_and(|newest| {
        matches!(newest.outcome, Outcome::Running | Outcome::Interrupted)
            && !matches!(newest.kind, ReleaseKind::Rollback { .. })
    })
}

/// Whether the newest release ended before its first change: what it would be rolled back to is what runs.
fn changed_nothing(past: &PriorReleases, back: &Prepared) -> bool {
    was_interrupted(past) && !back.plan.has_changes() && back.under_lock.is_empty()
}

/// Why what was brought back is not what runs, or does not run well; `None` where there is nothing to do.
async fn undone(site: TierContext<'_>, past: &PriorReleases, to: u64) -> Result<Option<String>> {
    let Some(record) = site.store().recorded(&past.summaries, to).await? else { return Ok(None) };
    let plan = prepare_record(site, past, record, false).await?.plan;
    let differs = plan.steps.iter().find(|step| step.action != Action::Keep);
    if let Some(step) = differs {
        let what = if step.action == Action::Create { "gone" } else { "no longer what it was" };
        return Ok(Some(format!("{} is {what}", step.wanted.id())));
    }
    let explained = explain::explain(site, past.last.as_ref()).await?;
    let brought = |one: &&Explained| plan.steps.iter().any(|step| one.is_about(&step.wanted.object));
    let is_unwell = |one: &&Explained| {
        matches!(one.verdict(), Verdict::Failed | Verdict::Progressing | Verdict::Terminating)
    };
    let unwell = explained.iter().filter(brought).find(is_unwell);
    Ok(unwell.map(|one| format!("{} is {}", one.title(), one.verdict())))
}

/// A rollback that is planned, and not begun.
struct Prepared {
    record: Record,
    /// The Secrets of the configuration that are there and stay.
    kept: Vec<Applied>,
    plan: Plan,
    /// What the set has and the rollback leaves alone.
    untouched: Vec<Applied>,
    /// What differs and is left alone, since it grants rights or lies outside of the namespace.
    under_lock: Vec<Applied>,
    live: BTreeMap<ObjectId, Value>,
}

/// Plans the way to a revision; nothing is changed.
async fn prepare(site: TierContext<'_>, past: &PriorReleases, to: u64, automatic: bool) -> Result<Prepared> {
    let record = site.store().recorded(&past.summaries, to).await?.ok_or_else(|| no_longer_kept(to))?;
    prepare_record(site, past, record, automatic).await
}

/// As [`prepare`], from the record of the revision.
async fn prepare_record(
    site: TierContext<'_>,
    past: &PriorReleases,
    record: Record,
    automatic: bool,
) -> Result<Prepared> {
    let kept = redaction::there(site.cluster, past.last.as_ref(), &record).await?;
    redaction::hide(site.session, site.cluster, site.tier, &kept).await;
    let (wanted, mut untouched, key) = sought(site, &record, kept.clone()).await?;
    let Survey { mut plan, live } =
        build_plan(site, past, wanted, &untouched, &key, May::Change).await.map_err(as_rollback)?;
    let under_lock = safeguard::hold_back(site, &mut plan).await;
    untouched.extend(under_lock.iter().cloned());
    if automatic {
        untouched.extend(safeguard::spare_data(site, &mut plan));
    }
    untouched.extend(spare_running_jobs(site, past, &mut plan));
    Ok(Prepared { record, kept, plan, untouched, under_lock, live })
}

/// What a rollback to this record applies, what it leaves alone, and the tier's key.
async fn sought(
    site: TierContext<'_>,
    record: &Record,
    kept: Vec<Applied>,
) -> Result<(Vec<Wanted>, Vec<Applied>, Vec<u8>)> {
    let (mut wanted, mut untouched) = recorded(record);
    let key = site.store().key(false).await?;
    redaction::rehash(site.cluster, &mut wanted, &kept, &key).await?;
    untouched.extend(kept);
    Ok((wanted, untouched, key))
}

/// A revision that somebody names need not be a good one.
fn mention_if_bad(site: TierContext<'_>, past: &PriorReleases, to: u64) {
    let bad = past.summaries.iter().find(|one| one.revision == to && one.outcome != Outcome::Good);
    if let Some(bad) = bad {
        site.session.reporter.warn(format!("release {to} was not good: {}", bad.outcome.word()));
    }
}

/// A GitLab job of an older commit, which was good here, runs again: its recorded set is brought back.
pub(crate) async fn redeploy(
    site: TierContext<'_>,
    past: &mut PriorReleases,
    from: u64,
    to: u64,
) -> Result<Done> {
    confirm_jobs(site, past, to).await?;
    site.session.reporter.warn(format!(
        "this pipeline made release {to}, and its commit is older than the one that runs: rolling back to release {to}, without its Jobs"
    ));
    let kind = ReleaseKind::Rollback { from, to, automatic: false, redeployed: true };
    let done = bring_back(site, past, to, kind).await?;
    Ok(Done { brought_back: true, ..done })
}

/// Applies the recorded set of a revision, after saying what that changes.
async fn bring_back(
    site: TierContext<'_>,
    past: &mut PriorReleases,
    to: u64,
    kind: ReleaseKind,
) -> Result<Done> {
    let automatic = matches!(kind, ReleaseKind::Rollback { automatic: true, .. });
    let prepared = prepare(site, past, to, automatic).await;
    past.settle(site.session, prepared.as_ref().ok().map(|prepared| &prepared.live));
    let Prepared { record, kept, plan, untouched, under_lock, .. } = prepared?;
    for id in redaction::missing_secrets(&record.objects, &kept) {
        let sentence = format!("{id} of release {to} is gone, and no record has its values");
        site.session.reporter.warn_with_hint(sentence, "a release from the commit makes it again");
    }
    drift::warn(site, &plan);
    let back_to = back_to(&past.summaries, to);
    if plan.has_changes() {
        site.session.reporter.plan(Stage::Rollback, &format!("back to {back_to}"), &plan.view());
    }
    safeguard::warn_of_held(site, to, &under_lock);
    if plan.has_changes() {
        if !automatic {
            safeguard::confirm_deletions(site, &plan, to).await?;
        }
        images::check(site, &plan).await?;
    }
    site.session.note(|noted| {
        noted.rolled_back_to = Some(to);
        noted.back_to = Some(back_to.clone());
        noted.images.clone_from(&record.summary.images);
    });
    let summary = summary(site, &record, past, kind).await?;
    let sentence = format!("rollback {}: back to {back_to}: {}", summary.revision, plan.sentence());
    let attempt = Attempt { site, stage: Stage::Rollback, past, untouched, checks: None };
    let done = attempt.run(plan, summary).await.map_err(as_rollback)?;
    Ok(Done { sentence, ..done })
}

/// `89147efa, release 1`: the commit, and the release that first brought it.
fn back_to(newest_first: &[Summary], to: u64) -> String {
    let original = target::original(newest_first, to);
    let commit = newest_first.iter().find(|one| one.revision == to).and_then(Summary::short_commit);
    let commit = commit.map(|commit| format!("{commit}, ")).unwrap_or_default();
    format!("{commit}release {original}")
}

/// A Job of the release that is left behind and still runs is not broken off: nobody knows what it is doing. The
/// next release deletes it.
fn spare_running_jobs(site: TierContext<'_>, past: &PriorReleases, plan: &mut Plan) -> Vec<Applied> {
    let runs = |object: &Value| object["kind"] == "Job" && !job::completed(object) && !job::failed(object);
    let (running, prune) = std::mem::take(&mut plan.prune).into_iter().partition::<Vec<_>, _>(runs);
    plan.prune = prune;
    for job in &running {
        site.session.reporter.warn(format!("{} still runs and is left alone", ObjectId::of(job)));
    }
    let applied = |job: &Value| {
        let last = past.last.as_ref()?.objects.iter();
        last.clone().find(|one| ObjectId::of(&one.object) == ObjectId::of(job)).cloned()
    };
    running.iter().filter_map(applied).collect()
}

/// What Jobs did between the revision that is brought back and now may not be undone by going back: somebody
/// must say so.
pub(crate) async fn confirm_jobs(site: TierContext<'_>, past: &PriorReleases, to: u64) -> Result<()> {
    let Some((revision, task)) = target::refusing(&past.summaries, to) else { return Ok(()) };
    let fact = format!(
        "release {revision} ran {}, which says windlass.dev/rollback: refuse: what it did stays",
        task.job
    );
    site.rules.confirm(site.session, &fact, &format!("go back to release {to} all the same?")).await
}

/// A rollback that fails is an exit code of its own.
fn as_rollback(error: Error) -> Error {
    match error.kind() {
        Kind::Rollout | Kind::TimedOut | Kind::Refused => error.into_kind(Kind::RollbackFailed),
        _ => error,
    }
}

/// The wanted set of a record, and what a rollback leaves alone: Jobs, which it never runs again, and claims.
pub(crate) fn recorded(record: &Record) -> (Vec<Wanted>, Vec<Applied>) {
    let (untouched, wanted): (Vec<&Applied>, Vec<&Applied>) =
        record.objects.iter().filter(|one| !manifest::is_from_configuration(&one.object)).partition(|one| {
            matches!(ObjectId::of(&one.object).kind.as_str(), "Job" | "PersistentVolumeClaim")
        });
    let wanted = wanted.into_iter().map(|one| Wanted {
        phase: manifest::phase_of(&one.object),
        place: None,
        object: one.object.clone(),
        values: None,
    });
    (wanted.collect(), untouched.into_iter().cloned().collect())
}

/// The images and the commit are those of the release that is brought back.
async fn summary(
    site: TierContext<'_>,
    record: &Record,
    past: &PriorReleases,
    kind: ReleaseKind,
) -> Result<Summary> {
    Ok(Summary {
        format: FORMAT,
        revision: past.next_revision(),
        kind,
        by: context::actor(site.cluster).await?,
        started: past.begin(site.cluster.now()),
        finished: None,
        outcome: Outcome::Running,
        progress: None,
        jobs: Vec::new(),
        sent_back: None,
        verified: None,
        kept: true,
        causes: Vec::new(),
        overrides: site.rules.recorded(&site.session.reporter),
        rules: kept_rules::to_record(site.tier, &past.summaries),
        ..record.summary.clone()
    })
}

/// The last attempt changed nothing: what was good before it runs.
fn unchanged(site: TierContext<'_>, runs: u64, further: Option<u64>) -> Done {
    site.session.note(|noted| {
        noted.revision = Some(runs);
        noted.changed = Some(false);
        noted.still_runs = Some(runs);
    });
    let further = further.map(|to| format!("; to go back further: --to {to}")).unwrap_or_default();
    Done {
        revision: runs,
        changed: false,
        brought_back: false,
        sentence: format!("nothing was rolled back: release {runs} is good and runs{further}"),
    }
}

fn already(
    site: TierContext<'_>,
    past: &PriorReleases,
    revision: u64,
    from: u64,
    to: u64,
    further: Option<u64>,
) -> Done {
    site.session.note(|summary| {
        summary.revision = Some(revision);
        summary.rolled_back_to = Some(to);
        summary.back_to = Some(back_to(&past.summaries, to));
        summary.changed = Some(false);
    });
    let rollback = past.summaries.iter().find(|summary| summary.revision == revision);
    let told = rollback.map(|one| {
        let age = site.cluster.now().duration_since(one.finished.unwrap_or(one.started));
        format!(", {} ago, by {}", display::whole(age.unsigned_abs()), one.by.person)
    });
    let further = further.map(|to| format!("; further back: --to {to}")).unwrap_or_default();
    Done {
        revision,
        changed: false,
        brought_back: false,
        sentence: format!(
            "release {revision} is already the rollback of {from} to {to}{}{further}",
            told.unwrap_or_default()
        ),
    }
}

fn no_longer_kept(revision: u64) -> Error {
    Error::new(Kind::Rule, format!("the full set of release {revision} is no longer kept"))
        .with_hint("the last ten are; `windlass history TIER` shows the releases")
}
