//! A rollback from its record: what is restored, what is not changed, and whether it is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::manifest;
use crate::model::{ObjectId, RunResult, Stage, job};
use crate::record::prior::PriorReleases;
use crate::record::{Applied, Record, ReleaseKind, Summary, target};
use crate::release::context::TierContext;
use crate::release::plan::checks::{images, safeguard};
use crate::release::plan::dry_run::May;
use crate::release::plan::planner::Survey;
use crate::release::plan::planner::build_plan;
use crate::release::plan::redaction::{self, KeptSecret};
use crate::release::plan::{Plan, Wanted, drift};
use crate::release::run::{Desired, as_rollback};

/// Plans the rollback to a revision, shows what it changes, and checks whether that is allowed.
///
/// # Errors
/// [`Kind::Rule`] and [`Kind::RollbackFailed`]; nothing is changed.
pub(crate) async fn prepare<'a>(
    context: TierContext<'a>,
    prior: &mut PriorReleases,
    to: u64,
    kind: ReleaseKind,
) -> Result<Desired<'a>> {
    let automatic = matches!(kind, ReleaseKind::Rollback { automatic: true, .. });
    let prepared = plan(context, prior, to, automatic).await;
    prior.settle(context.session, prepared.as_ref().ok().map(|prepared| &prepared.live));
    let prepared = prepared?;
    let back_to = target::back_to(&prior.summaries, to);
    announce(context, to, &back_to, &prepared);
    prepared.check_values(context, to)?;
    let PreparedRollback { record, plan, untouched, .. } = prepared;
    if plan.has_changes() {
        if !automatic {
            safeguard::confirm_deletions(context, &plan, to).await?;
        }
        images::check(context, &plan).await?;
    }
    let summary = summary(context, &record, prior, kind).await?;
    let sentence = format!("rollback {}: back to {back_to}: {}", summary.revision, plan.result());
    let result = RunResult {
        url: url(&record),
        rolled_back_to: Some(to),
        back_to: Some(back_to),
        images: record.summary.images.into_iter().map(|(name, image)| (name, image.to_string())).collect(),
        ..RunResult::default()
    };
    Ok(Desired { untouched, sentence, result, ..Desired::new(Stage::Rollback, plan, summary) })
}

/// The address of a recorded set.
pub(crate) fn url(record: &Record) -> Option<String> {
    manifest::address(record.objects.iter().map(|one| &*one.object))
}

/// Reports what is restored, and what is not.
fn announce(context: TierContext<'_>, to: u64, back_to: &str, prepared: &PreparedRollback) {
    let PreparedRollback { record, kept, plan, held_back, .. } = prepared;
    prepared.warn_of_values(context, to);
    let reporter = &context.session.reporter;
    for id in redaction::missing_secrets(&record.objects, kept) {
        let sentence = format!("{id} of release {to} was deleted, and no record has its values");
        reporter.warn_with_hint(sentence, "a release of the commit creates it again");
    }
    drift::warn(context, plan);
    if plan.has_changes() {
        reporter.plan(Stage::Rollback, &format!("back to {back_to}"), &plan.view());
    }
    safeguard::warn_of_held(context, to, held_back);
}

/// A rollback that is planned but not started.
pub(crate) struct PreparedRollback {
    record: Record,
    /// The existing Secrets of the configuration, which are kept.
    kept: Vec<KeptSecret>,
    pub(crate) plan: Plan,
    /// What the set has and the rollback does not change.
    untouched: Vec<Applied>,
    /// What differs but is not changed, because it grants rights or is outside the namespace.
    pub(crate) held_back: Vec<Applied>,
    /// The Secrets whose live values are not those of the record, and are kept.
    changed_values: Vec<String>,
    live: BTreeMap<ObjectId, Arc<Value>>,
}

impl PreparedRollback {
    /// Reports the values that stay as they are.
    pub(crate) fn warn_of_values(&self, context: TierContext<'_>, to: u64) {
        if self.changed_values.is_empty() || !self.plan.has_changes() {
            return;
        }
        let sentence =
            format!("values changed since release {to} are kept: {}", self.changed_values.join(", "));
        context.session.reporter.warn_with_hint(sentence, values_hint(context));
    }

    /// Checks that a rollback would do something, where only values of Secrets differ.
    ///
    /// # Errors
    /// [`Kind::Rule`]: no record has the values.
    pub(crate) fn check_values(&self, context: TierContext<'_>, to: u64) -> Result<()> {
        if self.changed_values.is_empty() || self.plan.has_changes() || !self.held_back.is_empty() {
            return Ok(());
        }
        let changed = self.changed_values.join(", ");
        let sentence =
            format!("only values of Secrets differ from release {to}, and no record has them: {changed}");
        Err(Error::new(Kind::Rule, sentence).with_hint(values_hint(context)))
    }
}

fn values_hint(context: TierContext<'_>) -> String {
    format!("restore the values at their source, then `{}`", context.tier.command("release"))
}

/// Plans the rollback to a revision; changes nothing.
pub(crate) async fn plan(
    context: TierContext<'_>,
    prior: &PriorReleases,
    to: u64,
    automatic: bool,
) -> Result<PreparedRollback> {
    let record = context.store().recorded(&prior.summaries, to).await?.ok_or_else(|| no_longer_kept(to))?;
    plan_record(context, prior, record, automatic).await
}

/// As [`plan`], from the record of the revision.
pub(crate) async fn plan_record(
    context: TierContext<'_>,
    prior: &PriorReleases,
    record: Record,
    automatic: bool,
) -> Result<PreparedRollback> {
    let kept = redaction::there(context.cluster, prior.last.as_ref(), &record).await?;
    redaction::hide_kept(context.session, context.tier, &kept);
    let (wanted, mut untouched, key) = sought(context, &record, &kept).await?;
    let changed_values = redaction::changed_values(&record, &kept, &key);
    let Survey { mut plan, live } =
        build_plan(context, prior, wanted, &untouched, &key, May::Change).await.map_err(as_rollback)?;
    let held_back = safeguard::hold_back(context, &mut plan).await;
    untouched.extend(held_back.iter().cloned());
    if automatic {
        untouched.extend(safeguard::spare_data(context, &mut plan));
    }
    untouched.extend(spare_running_jobs(context, prior, &mut plan));
    Ok(PreparedRollback { record, kept, plan, untouched, held_back, changed_values, live })
}

/// What a rollback to this record applies, what it does not change, and the tier's key.
async fn sought(
    context: TierContext<'_>,
    record: &Record,
    kept: &[KeptSecret],
) -> Result<(Vec<Wanted>, Vec<Applied>, Vec<u8>)> {
    let (mut wanted, mut untouched) = recorded(record);
    let key = context.store().key(false).await?;
    redaction::rehash(&mut wanted, kept, &key);
    untouched.extend(kept.iter().map(|one| one.applied.clone()));
    Ok((wanted, untouched, key))
}

/// A running Job of the release that is rolled back is not stopped: what it is doing is unknown. The next release
/// deletes it.
fn spare_running_jobs(context: TierContext<'_>, prior: &PriorReleases, plan: &mut Plan) -> Vec<Applied> {
    let runs = |object: &Value| object["kind"] == "Job" && !job::completed(object) && !job::failed(object);
    let (running, prune) = std::mem::take(&mut plan.prune).into_iter().partition::<Vec<_>, _>(runs);
    plan.prune = prune;
    for job in &running {
        context.session.reporter.warn(format!("{} still runs and was not changed", ObjectId::of(job)));
    }
    let applied = |job: &Value| {
        let last = prior.last.as_ref()?.objects.iter();
        last.clone().find(|one| ObjectId::of(&one.object) == ObjectId::of(job)).cloned()
    };
    running.iter().filter_map(applied).collect()
}

/// The wanted set of a record, and what a rollback does not change: Jobs, which it never runs again, and claims.
pub(crate) fn recorded(record: &Record) -> (Vec<Wanted>, Vec<Applied>) {
    let (untouched, wanted): (Vec<&Applied>, Vec<&Applied>) =
        record.objects.iter().filter(|one| !manifest::is_from_configuration(&one.object)).partition(|one| {
            matches!(ObjectId::of(&one.object).kind.as_str(), "Job" | "PersistentVolumeClaim")
        });
    let wanted = wanted.into_iter().map(|one| Wanted {
        phase: manifest::phase_of(&one.object),
        origin: None,
        object: one.object.clone(),
        values: None,
    });
    (wanted.collect(), untouched.into_iter().cloned().collect())
}

/// The images and the commit are those of the release that is restored.
async fn summary(
    context: TierContext<'_>,
    record: &Record,
    prior: &PriorReleases,
    kind: ReleaseKind,
) -> Result<Summary> {
    let Summary { project, tier, commit, branch, images, tested, dirty, set, objects, .. } =
        record.summary.clone();
    let begun = context.begin(prior, prior.next_revision(), kind).await?;
    Ok(Summary { project, tier, commit, branch, images, tested, dirty, set, objects, ..begun })
}

fn no_longer_kept(revision: u64) -> Error {
    Error::new(Kind::Rule, format!("the objects of release {revision} are no longer recorded"))
        .with_hint("only the last ten sets are; `windlass history TIER` lists the releases")
}
