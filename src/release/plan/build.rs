//! Building a plan: the cluster looked at with everything in view that earlier releases own.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::model::{ObjectId, labels};
use crate::record::prior::PriorReleases;
use crate::record::{Applied, Owned};
use crate::release::context::TierContext;
use crate::release::plan::difference::Mask;
use crate::release::plan::planner::{KindPlace, May, PlanInput, Survey, survey};
use crate::release::plan::{Wanted, drift};

/// Looks at the cluster and plans, with everything that earlier releases own in view.
pub(crate) async fn build_plan(
    context: TierContext<'_>,
    prior: &PriorReleases,
    wanted: Vec<Wanted>,
    untouched: &[Applied],
    key: &[u8],
    may: May,
) -> Result<Survey> {
    let kept: BTreeSet<ObjectId> = untouched.iter().map(|one| ObjectId::of(&one.object)).collect();
    let owned: Vec<&Owned> = prior.last.iter().flat_map(|last| &last.owned).collect();
    let subjects = PlanInput {
        wanted,
        last: prior.last.as_ref(),
        inventory: owned.iter().map(|one| one.id.clone()).filter(|id| !kept.contains(id)).collect(),
        places: owned.iter().map(|one| KindPlace::owned(one)).collect(),
        selector: labels::tier_selector(&context.project.name, &context.tier.slug),
        mask: Mask::new(key),
        takes_back: context.rules.overrides("conflict"),
        removes_drift: context.rules.is_overridden("drift"),
        may,
    };
    let mut looked = survey(context.cluster, subjects).await?;
    drift::find(context, &mut looked.plan, &Mask::new(key)).await;
    Ok(looked)
}
