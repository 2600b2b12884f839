//! A release from its manifests: what it wants, what that would change, and whether it is allowed.

use crate::error::Result;
use crate::model::{Image, Images, Stage};
use crate::record;
use crate::record::prior::PriorReleases;
use crate::record::{RecordedImage, ReleaseKind, Summary, content};
use crate::release::context::TierContext;
use crate::release::input::ReleaseManifests;
use crate::release::plan::checks::missing;
use crate::release::plan::dry_run::May;
use crate::release::plan::jobs;
use crate::release::plan::planner::build_plan;
use crate::release::plan::redaction;
use crate::release::plan::{Plan, Wanted, drift, namespaces, prune};
use crate::release::run::Desired;
use crate::release::run::verify::Checks;

/// Plans the release, and checks whether the plan is allowed.
///
/// # Errors
/// [`Kind::Rule`](crate::error::Kind::Rule) and [`Kind::Refused`](crate::error::Kind::Refused); nothing is changed.
pub(crate) async fn prepare<'a>(
    context: TierContext<'a>,
    prior: &mut PriorReleases,
    release: &'a ReleaseManifests<'a>,
) -> Result<Desired<'a>> {
    let ReleaseManifests { manifests, running_images: images, tests, tested, .. } = release;
    let checks = Checks::of(context, (images, *tests), release.url())?;
    let key = context.store().key(true).await?;
    let wanted = namespaces::placed(context.cluster, redaction::wanted(manifests.clone(), &key)).await?;
    let set = content::set(wanted.iter().map(|one| &*one.object), &key, &prior.summaries);
    context.rules.check_rolled_back(&prior.summaries, &set)?;
    let plan = plan(context, prior, wanted, &key).await?;
    missing::warn(context, &plan).await;
    warn_of_foreign(context, &plan);
    drift::warn(context, &plan);
    match prune::check(&plan, false) {
        Err(_) if context.rules.overrides("mass-deletion") => {}
        checked => checked?,
    }
    let summary = Summary { set, tested: *tested, ..summary(context, images, prior, &plan).await? };
    // Do not check again what was good, has not changed, and was checked in the same way.
    let newest = prior.summaries.first();
    let known = newest.and_then(|one| one.verified.as_deref());
    let verified = checks.as_ref().map(|checks| checks.hash(&key, known));
    let is_new = plan.has_changes()
        || newest.is_none_or(|one| one.outcome != record::Outcome::Good || one.verified != verified);
    let checks = checks.filter(|_| is_new);
    let summary = Summary { verified, ..summary };
    Ok(Desired { checks, ..Desired::new(Stage::Release, plan, summary) })
}

/// What would change, once the previous release has ended and no Job with different content runs.
async fn plan(
    context: TierContext<'_>,
    prior: &mut PriorReleases,
    wanted: Vec<Wanted>,
    key: &[u8],
) -> Result<Plan> {
    let looked = build_plan(context, prior, wanted.clone(), &[], key, May::Change).await;
    prior.settle(context.session, looked.as_ref().ok().map(|looked| &looked.live));
    let plan = looked?.plan;
    if jobs::settle(context, prior, &plan).await? {
        return Ok(build_plan(context, prior, wanted, &[], key, May::Change).await?.plan);
    }
    Ok(plan)
}

/// Report objects of others instead of taking them over silently.
pub(crate) fn warn_of_foreign(context: TierContext<'_>, plan: &Plan) {
    if let Some(sentence) = plan.foreign_sentence() {
        let hint = format!(
            "`{}` takes over what runs, without a change, as a release to roll back to",
            context.tier.command("adopt")
        );
        context.session.reporter.warn_with_hint(sentence, hint);
    }
}

/// What is known of the release before it begins; set and tests are filled in by the caller.
async fn summary(
    context: TierContext<'_>,
    images: &Images,
    prior: &PriorReleases,
    plan: &Plan,
) -> Result<Summary> {
    let revision = context.project.revision.as_ref();
    let pinned = |image: &Image| (image.name.clone(), RecordedImage::Pinned(image.pinned.clone()));
    Ok(Summary {
        commit: revision.map(|revision| revision.commit.clone()),
        branch: revision.and_then(|revision| revision.branch_of_project()).map(str::to_owned),
        images: images.values().map(pinned).collect(),
        dirty: revision.is_some_and(|revision| revision.dirty),
        objects: plan.steps.len(),
        ..context.begin(prior, prior.next_revision(), ReleaseKind::Release).await?
    })
}
