//! `status` and `explain TIER`: what runs on a tier now, its health, changes by hand, and the rollback
//! target.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster;
use crate::error::Result;
use crate::model::{ObjectId, ObjectRef};
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::record::store::base_name;
use crate::record::{Outcome, Record, Summary, prior};
use crate::release::context::TierContext;
use crate::release::rules::Rules;
use crate::release::{context, explain, tier_lock};
use crate::report::view::drift::Drift;
use crate::report::view::history::Release;
use crate::report::view::rollback::RollbackOutlook;
use crate::report::view::status::Status;
use crate::rollout::explain::Explained;
use crate::session::Session;
use crate::tier::lock;

/// Reads the status from the cluster.
async fn read(context: TierContext<'_>) -> Result<Status> {
    let TierContext { project, tier, cluster, .. } = context;
    let mut summaries = context.store().history().await?;
    let lock = prior::as_it_is(cluster, &base_name(&project.name, &tier.slug), &mut summaries).await;
    let (health, missing, drift, rollback, died) = match Box::pin(seen(context, &summaries)).await {
        // A user who may not read Secrets still sees the history.
        Err(error) if cluster::is_denied(&error) => {
            let why = error.message().to_owned();
            (Err(why.clone()), Vec::new(), Drift::Unknown(why.clone()), RollbackOutlook::None(why), None)
        }
        seen => {
            let (health, missing, drift, rollback) = seen?;
            let died = first_death(&health);
            (Ok(health.iter().map(Explained::view).collect()), missing, drift, rollback, died)
        }
    };
    let lock = lock.map(|lock| lock::shown(&lock, tier_lock::held_by(summaries.first(), &lock)));
    let newest = summaries.into_iter().next();
    let aftermath = newest.as_ref().and_then(|newest| match newest.outcome {
        Outcome::Interrupted => Some(prior::interruption(newest)),
        _ => explain::aftermath(newest, died),
    });
    Ok(Status {
        tier: tier.name.clone(),
        context: cluster.context().to_owned(),
        namespace: cluster.namespace().to_owned(),
        aftermath,
        release: newest.map(Release::from),
        health,
        missing,
        drift,
        lock,
        rollback,
    })
}

/// The parts of the status that need the full records.
async fn seen(
    context: TierContext<'_>,
    summaries: &[Summary],
) -> Result<(Vec<Explained>, Vec<ObjectRef>, Drift, RollbackOutlook)> {
    let prior = PriorReleases::of(&context.store(), summaries.to_vec()).await?;
    let (health, drift, way_back) = futures::join!(
        explain::explain(context, prior.last.as_ref()),
        crate::tier::drift::drift(context, &prior),
        crate::tier::rollback_outlook::way_back(context, summaries),
    );
    let (health, drift) = (health?, drift?);
    let missing = crate::tier::drift::gone(&drift).unwrap_or_else(|| missing(prior.last.as_ref(), &health));
    Ok((health, missing, drift, way_back?))
}

/// The first known death of a container since the newest release, if that was good: the object, and when.
fn first_death(health: &[Explained]) -> Option<(String, Timestamp)> {
    let died = health.iter().filter_map(|one| Some((one.title(), one.died_since()?)));
    died.min_by_key(|(_, at)| *at)
}

/// Objects of the newest release that the cluster lacks. A Job may be deleted after it has run; a cluster-scoped object
/// may be shared and have another tier's labels.
fn missing(last: Option<&Record>, health: &[Explained]) -> Vec<ObjectRef> {
    let wanted = last.into_iter().flat_map(|last| &last.objects).map(|one| &*one.object);
    let is_alone = |object: &Value| object["kind"] != "Job" && !ObjectId::of(object).namespace.is_empty();
    let lacks = |object: &&Value| is_alone(object) && !health.iter().any(|one| one.is_about(object));
    wanted.filter(lacks).map(ObjectRef::of).collect()
}

/// What runs on the tier now.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn status(session: &Session, project: &Project, tier: &Tier) -> Result<Status> {
    let cluster = context::connect(session, tier).await?;
    let rules = Rules::default();
    read(context::TierContext { session, project, tier, rules: &rules, cluster: &cluster }).await
}
