//! The steps of a release, and of a rollback, which differs only in its input: check, connect, lock, plan, record, apply and
//! watch, verify, prune, record.

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::manifest::Sources;
use crate::model::{Images, Outcome, RunResult, Stage};
use crate::record::ReleaseKind;
use crate::record::prior::PriorReleases;
use crate::release::ancestry::{self, Course};
use crate::release::context::{Request, TierContext};
use crate::release::input::{Decision, Input, LoadedInput};
use crate::release::rollback::{self, failed_and_restored, target_after};
use crate::release::rules::promotion;
use crate::release::run::{Attempt, Deployed, Desired, until_drained};
use crate::release::tier_lock::TierLock;
use crate::release::{TestStage, explain, from_manifests, from_record};

/// Applies the tier's manifests with these images and watches the rollout to its end.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) before anything is changed, [`Kind::Rollout`](crate::error::Kind::Rollout)
/// and [`Kind::TimedOut`](crate::error::Kind::TimedOut) with what failed,
/// [`Kind::RolledBack`](crate::error::Kind::RolledBack) and
/// [`Kind::RollbackFailed`](crate::error::Kind::RollbackFailed) where the tier rolls back automatically,
/// [`Kind::Locked`](crate::error::Kind::Locked), [`Kind::Rule`](crate::error::Kind::Rule), and what the cluster refuses.
pub(crate) async fn release(
    request: Request<'_>,
    sources: &Sources,
    images: &Images,
    tests: &dyn TestStage,
) -> Result<RunResult> {
    run(request, Input::Manifests { sources, images, tests }).await
}

/// Rolls the tier back to a recorded release, by default the last good one, without Git, CI or a rebuild.
///
/// # Errors
/// As [`release`]; [`Kind::RollbackFailed`](crate::error::Kind::RollbackFailed) where the rollout fails or does not finish.
pub(crate) async fn rollback(request: Request<'_>, revision: Option<u64>) -> Result<RunResult> {
    run(request, Input::Record { revision }).await
}

async fn run(request: Request<'_>, input: Input<'_>) -> Result<RunResult> {
    let stage = request.session.stage(input.stage(), input.title(request));
    let (cluster, source, lock) = match open(request, input).await {
        Ok(opened) => opened,
        Err(error) => return Err(stage.fail(error)),
    };
    let context = request.on(&cluster);
    let mut prior = PriorReleases::default();
    let deployed = lock.hold(Box::pin(deploy(context, &mut prior, &source))).await;
    let deployed = stage.close(deployed, Deployed::summary);
    let known = source.result(&prior);
    let deployed = match deployed.map_err(|error| error.after(prior.begun()).after(known.clone())) {
        Ok(deployed) => Ok(deployed),
        Err(error) => {
            // Even if the lock is lost in the meantime, the result reports what was done.
            let done = RunResult { next: Vec::new(), ..error.result().clone() };
            let restoring = Box::pin(restore_previous(context, &mut prior, error));
            lock.hold(restoring).await.map_err(|error| error.after(done))
        }
    };
    lock.release(context).await;
    let deployed = deployed?;
    if let LoadedInput::Manifests(read) = &source
        && !deployed.from_record
    {
        promote(context, read.images, &deployed).await;
    }
    Ok(deployed.result.after(known))
}

/// Check, connect, lock: nothing is changed but what the lock needs.
async fn open<'a>(request: Request<'_>, input: Input<'a>) -> Result<(Cluster, LoadedInput<'a>, TierLock)> {
    input.check(request)?;
    let (cluster, tested) = input.connect(request).await?;
    let source = input.read(request.on(&cluster), tested).await?;
    let lock = request.on(&cluster).lock(source.verb()).await?;
    Ok((cluster, source, lock))
}

/// Under the lock: decides what to run, plans it, then carries it out.
async fn deploy<'a>(
    context: TierContext<'a>,
    prior: &mut PriorReleases,
    source: &'a LoadedInput<'a>,
) -> Result<Deployed> {
    *prior = PriorReleases::read(&context.store()).await?;
    explain::warn_of_deaths(context, prior).await;
    let desired = match decide(context, prior, source).await? {
        Decision::Unchanged(deployed) => return Ok(deployed),
        Decision::Manifests(manifests) => from_manifests::prepare(context, prior, manifests).await?,
        Decision::Record { to, kind } => from_record::prepare(context, prior, to, kind).await?,
    };
    carry_out(context, prior, desired).await
}

/// Decides what is to run.
///
/// # Errors
/// [`Kind::Rule`](crate::error::Kind::Rule) for what may not be, and what the cluster refuses.
async fn decide<'a>(
    context: TierContext<'_>,
    prior: &PriorReleases,
    source: &'a LoadedInput<'a>,
) -> Result<Decision<'a>> {
    let read = match source {
        LoadedInput::Record(revision) => return rollback::decide(context, prior, *revision).await,
        LoadedInput::Manifests(read) => read,
    };
    if let Course::BringBack { to, from } = ancestry::course(context, &prior.summaries).await? {
        return rollback::redeploy(context, prior, from, to).await;
    }
    // Releasing the commit of the last good release, after one that failed, is a rollback as well.
    if let Some(good) = ancestry::returns_to(context.project.revision.as_ref(), &prior.summaries) {
        rollback::confirm_jobs(context, prior, good).await?;
    }
    Ok(Decision::Manifests(read))
}

/// Record, apply and watch, verify, prune, record.
async fn carry_out<'a>(
    context: TierContext<'a>,
    prior: &'a mut PriorReleases,
    desired: Desired<'a>,
) -> Result<Deployed> {
    let mut attempt = Attempt::begin(context, prior, desired).await?;
    let applying = async {
        attempt.apply_up_to_jobs().await?;
        attempt.record_jobs().await?;
        attempt.apply_workloads().await?;
        attempt.verify().await?;
        // Last, because a release that fails must leave what the previous one needs.
        attempt.prune().await
    };
    let applied = until_drained(context.session, applying).await;
    attempt.finish(applied).await
}

/// Handles a failed release: if the tier has `rollback: auto` and something was changed, the last good release is
/// restored, with a time limit of its own. The evidence stays that of the failure.
///
/// # Errors
/// Always: that of the release, with the result of the rollback.
async fn restore_previous(
    context: TierContext<'_>,
    prior: &mut PriorReleases,
    failed: Error,
) -> Result<Deployed> {
    let Some(way) = target_after(context, prior, &failed) else { return Err(failed) };
    let title = format!("{} on {}, automatically", context.project.name, context.tier.name);
    let stage = context.session.stage(Stage::Rollback, title);
    let kind = ReleaseKind::Rollback { from: way.from, to: way.to, automatic: true, redeployed: false };
    let restored = async {
        let desired = from_record::prepare(context, prior, way.to, kind).await?;
        carry_out(context, prior, desired).await
    };
    let restored = stage.close(restored.await, Deployed::summary);
    Err(failed_and_restored(failed, restored, way))
}

/// A later tier requires the proof that it was good here.
async fn promote(context: TierContext<'_>, images: &Images, deployed: &Deployed) {
    let TierContext { session, project, tier, .. } = context;
    let Some(revision) = deployed.result.revision else { return };
    if let Err(error) = promotion::prove(project, tier, images, revision).await {
        session.reporter.warn(format!("could not record success in the registry: {error}"));
    }
}

impl Deployed {
    /// How the stage ended, and the line that says so.
    fn summary(&self) -> (Outcome, String) {
        let outcome = if self.result.changed == Some(true) { Outcome::Ok } else { Outcome::Skipped };
        (outcome, self.sentence.clone())
    }
}
