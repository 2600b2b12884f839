//! What a release would change.

use super::inputs::{manifests, secrets};
use super::plan::{drift, external, namespaces, planner, prune};
use super::run::jobs;
use super::{Plan, Rules, context, deploy};
use crate::error::Result;
use crate::manifest;
use crate::model::Images;
use crate::project::{Project, Tier};
use crate::record::{content, prior, store};
use crate::release::TestStage;
use crate::session::Session;

/// What a release of these images would change; nothing is changed.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) with every object that the server would refuse, and what
/// the cluster refuses.
pub async fn plan(
    session: &Session,
    project: &Project,
    tier: &Tier,
    (images, tests): (&Images, &dyn TestStage),
) -> Result<Plan> {
    session.unless_cancelled(manifest::check(project, tier)).await?;
    let secrets = secrets(session, project, tier).await?;
    let cluster = context::connect(session, tier).await?;
    let store = store::Store::new(&cluster, &project.name, &tier.slug);
    let past = prior::PriorReleases::read(&store).await?;
    let images = &deploy::as_they_run(images, deploy::newest_written(&past.summaries));
    let manifests = manifests(session, project, tier, images, secrets).await?;
    let key = store.key(false).await?;
    let wanted = namespaces::placed(&cluster, deploy::wanted(manifests, &key)).await?;
    let rules = Rules::default();
    let site = context::TierContext { session, project, tier, rules: &rules, cluster: &cluster };
    external::check(site, &wanted).await?;
    let set = content::set(wanted.iter().map(|one| &one.object), &key, &past.summaries);
    let plan = deploy::build_plan(site, &past, wanted, &[], &key, planner::May::Read).await?.plan;
    deploy::warn_of_untried(site, &plan);
    context::say_requests(session, &cluster);
    deploy::preview_rules(site, &past, (images, tests), &set).await;
    deploy::warn_of_foreign(site, &plan);
    drift::warn(site, &plan);
    if let Some(sentence) = prune::mass_deletion(&plan) {
        session.reporter.warn_with_hint(sentence, "a release needs --override mass-deletion --reason \"…\"");
    }
    if let Some(sentence) = jobs::running_sentence(&past, &plan) {
        session.reporter.warn_with_hint(sentence, jobs::HINT);
    }
    Ok(plan)
}
