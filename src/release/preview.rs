//! What a release would change.

use crate::error::{Kind, Result};
use crate::manifest::Sources;
use crate::model::Images;
use crate::project::{Project, Tier};
use crate::record::content;
use crate::record::prior::PriorReleases;
use crate::release::ancestry::{self, Course};
use crate::release::context::{Request, TierContext, say_requests};
use crate::release::input::{as_they_run, manifests, newest_written, secrets};
use crate::release::plan::checks::{external, missing};
use crate::release::plan::dry_run::May;
use crate::release::plan::planner::build_plan;
use crate::release::plan::{Plan, drift, namespaces, prune};
use crate::release::plan::{jobs, redaction};
use crate::release::{Rules, TestStage, context, explain, from_manifests, manifest_check};
use crate::session::Session;

/// What a release of these images would change; nothing is changed.
///
/// # Errors
/// [`Kind::Refused`] with every object that the server would refuse, and what the cluster refuses.
pub(crate) async fn plan(
    session: &Session,
    project: &Project,
    tier: &Tier,
    sources: &Sources,
    (images, tests): (&Images, &dyn TestStage),
) -> Result<Plan> {
    let secrets = secrets(session, project, tier).await?;
    let cluster = context::connect(session, tier).await?;
    let rules = Rules::default();
    let context = Request { session, project, tier, rules: &rules }.on(&cluster);
    let store = context.store();
    let prior = PriorReleases::read(&store).await?;
    explain::warn_of_deaths(context, &prior).await;
    let images = &as_they_run(images, newest_written(&prior.summaries));
    let manifests = manifests(session, sources, images, secrets)?;
    manifest_check::check(&cluster, &manifests).await?;
    let key = store.key(false).await?;
    let wanted = namespaces::placed(&cluster, redaction::wanted(manifests, &key)).await?;
    external::check(context, &wanted).await?;
    let set = content::set(wanted.iter().map(|one| &*one.object), &key, &prior.summaries);
    let plan = build_plan(context, &prior, wanted, &[], &key, May::Read).await?.plan;
    missing::warn(context, &plan).await;
    warn_of_untried(context, &plan);
    say_requests(session, &cluster);
    preview_rules(context, &prior, (images, tests), &set).await;
    from_manifests::warn_of_foreign(context, &plan);
    drift::warn(context, &plan);
    if let Some(sentence) = prune::mass_deletion(&plan) {
        session.reporter.warn_with_hint(sentence, "a release needs --override mass-deletion --reason \"…\"");
    }
    if let Some(sentence) = jobs::running_sentence(&prior, &plan) {
        session.reporter.warn_with_hint(sentence, jobs::HINT);
    }
    Ok(plan)
}

/// For a plan: what the server did not try.
fn warn_of_untried(context: TierContext<'_>, plan: &Plan) {
    let untried = plan.steps.iter().filter(|step| step.untried);
    let untried: Vec<String> = untried.map(|step| step.wanted.id().to_string()).collect();
    if !untried.is_empty() {
        let sentence = format!(
            "this user may not change {}: compared with the last release, without a dry run",
            untried.join(", ")
        );
        context.session.reporter.warn(sentence);
    }
}

/// For a plan: what of the tier's rules would refuse a release of this, and whether it would be a rollback.
async fn preview_rules(
    context: TierContext<'_>,
    prior: &PriorReleases,
    (images, tests): (&Images, &dyn TestStage),
    set: &str,
) {
    let TierContext { session, project, tier, rules, .. } = context;
    let course = match ancestry::course(context, &prior.summaries).await {
        Ok(Course::BringBack { to, .. }) => {
            let sentence = format!(
                "this pipeline made release {to}, and its commit is older: a release rolls back to release {to}"
            );
            session.reporter.warn(sentence);
            return;
        }
        course => course.map(drop),
    };
    let checks = [
        rules.check_source(session, project, tier),
        rules.check_tested(session, project, tier, (images, tests)).await.map(drop),
        rules.check_after(session, project, tier, images).await,
        course,
        rules.check_rolled_back(&prior.summaries, set),
    ];
    for error in checks.into_iter().filter_map(Result::err) {
        let sentence = match error.kind() {
            Kind::Rule => format!("a release would be refused: {}", error.message()),
            _ => format!("whether a release would be refused is not known: {}", error.message()),
        };
        match error.hint() {
            Some(advice) => session.reporter.warn_with_hint(sentence, advice),
            None => session.reporter.warn(sentence),
        }
    }
}
