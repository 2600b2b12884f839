//! Attempts to release that end before their first change: noted in the cluster, so that a rollback right after one does not
//! take away the good release that still runs.

use std::time::Duration;

use crate::cluster::{Cluster, Holder, Lease};
use crate::error::{Error, Kind, Result};
use crate::model::RunResult;
use crate::project::{Project, Tier};
use crate::record::store::{Store, base_name};
use crate::record::{Actor, FORMAT, Outcome, RefusedAttempt, Summary};
use crate::release::context;
use crate::release::context::TierContext;
use crate::report::Reporter;
use crate::session::Session;

/// How long noting an attempt may take: it must not make a refusal slow.
const LIMIT: Duration = Duration::from_secs(5);
/// The same where something could not be reached, and after a signal.
const SHORT_LIMIT: Duration = Duration::from_millis(1500);

/// What a shell tells of a process that SIGKILL ended.
const KILLED: u8 = 137;

/// Does all that a release to this tier takes. Where it ends before its first change, the attempt is noted in the cluster, as
/// far as that can be reached, and the end of the run says what still runs.
///
/// # Errors
/// Those of `work`.
pub(crate) async fn noting_refusal(
    session: &Session,
    project: &Project,
    tier: &Tier,
    work: impl Future<Output = Result<RunResult>>,
) -> Result<RunResult> {
    match work.await {
        Err(error) if is_refusal(&error) => {
            let still_runs = note_in_time(session, project, tier, &error).await;
            Err(error.after(RunResult { changed: Some(false), still_runs, ..RunResult::default() }))
        }
        ended => ended,
    }
}

/// Whether a release ended before its first change; one that is on record tells its end itself.
fn is_refusal(error: &Error) -> bool {
    let is_misuse = matches!(error.kind(), Kind::Usage | Kind::Changes | Kind::Defect);
    !is_misuse && error.result().changed.is_none()
}

/// Notes the attempt, if that does not take too long; gives the good release that still runs, if that is known.
async fn note_in_time(session: &Session, project: &Project, tier: &Tier, error: &Error) -> Option<u64> {
    let is_short = session.cancel.is_cancelled() || error.kind() == Kind::Unreachable;
    let limit = if is_short { SHORT_LIMIT } else { LIMIT };
    // Whoever cannot reach the records, or may not write them, has been told already why the attempt ended.
    let noted = tokio::time::timeout(limit, note(session, project, tier, error)).await;
    let history = noted.ok()?.ok()?;
    history.first().filter(|newest| newest.outcome == Outcome::Good).map(|newest| newest.revision)
}

/// Notes the attempt over a connection of its own: that of the run may be cancelled, or not there yet.
async fn note(session: &Session, project: &Project, tier: &Tier, error: &Error) -> Result<Vec<Summary>> {
    let cluster = context::connect(&Session::new(Reporter::silent()), tier).await?;
    let store = Store::new(&cluster, &project.name, &tier.slug);
    let history = store.history().await?;
    // Before the first release there is nothing that a rollback could take away, and perhaps no namespace. A release that
    // still runs has its end before it: what comes of it is no matter of this attempt.
    if let Some(newest) = history.iter().find(|one| one.outcome != Outcome::Running) {
        let message = session.reporter.masked(&error.to_string());
        let attempt = attempt(&cluster, project, newest.revision, error.kind(), message).await?;
        store.note_attempt(attempt).await?;
    }
    Ok(history)
}

/// Notes that a release was killed before its first change, told by the lock that it left; the record of one that had begun
/// says that itself.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn note_dead_run(context: TierContext<'_>, dead: &Holder) -> Result<()> {
    let store = context.store();
    let history = store.history().await?;
    match killed_before_its_record(context.cluster, dead, &history) {
        Some(attempt) => store.note_attempt(attempt).await,
        None => Ok(()),
    }
}

/// As [`note_dead_run`], for who only looks.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn of_dead_run(
    context: TierContext<'_>,
    history: &[Summary],
) -> Result<Option<RefusedAttempt>> {
    let name = base_name(&context.project.name, &context.tier.slug);
    let dead = Lease::dead_holder(context.cluster, &name).await?;
    Ok(dead.and_then(|dead| killed_before_its_record(context.cluster, &dead, history)))
}

fn killed_before_its_record(cluster: &Cluster, dead: &Holder, history: &[Summary]) -> Option<RefusedAttempt> {
    // A record that began after the lock was taken is its own.
    let newest = history.first().filter(|newest| newest.started < dead.since)?;
    let is_release = dead.task.command == "release";
    let job = Some(dead.name.clone()).filter(|name| name.contains("://"));
    is_release.then(|| RefusedAttempt {
        format: FORMAT,
        after: newest.revision,
        at: cluster.now(),
        commit: dead.task.commit.clone(),
        branch: None,
        dirty: false,
        by: Actor { identity: String::new(), person: dead.task.by.clone(), job, pipeline: None },
        exit_code: KILLED,
        message: "killed before its first change".to_owned(),
    })
}

async fn attempt(
    cluster: &Cluster,
    project: &Project,
    after: u64,
    kind: Kind,
    message: String,
) -> Result<RefusedAttempt> {
    let revision = project.revision.as_ref();
    Ok(RefusedAttempt {
        format: FORMAT,
        after,
        at: cluster.now(),
        commit: revision.map(|revision| revision.commit.clone()),
        branch: revision.and_then(|revision| revision.branch.clone()),
        dirty: revision.is_some_and(|revision| revision.dirty),
        by: Actor::of(cluster).await?,
        exit_code: kind.exit_code(),
        message,
    })
}
