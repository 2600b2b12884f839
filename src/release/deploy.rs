//! Releasing: from the tier's manifests to an attempt on the cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::{Kind, Result};
use crate::manifest::{self, Manifests};
use crate::model::{Image, Images, ObjectId, Outcome, Reference, Stage, labels};
use crate::project::{Project, Tier};
use crate::record;
use crate::record::prior::PriorReleases;
use crate::record::{Applied, Kind as ReleaseKind, Owned, Summary, content};
use crate::release::context::TierContext;
use crate::release::plan::difference::Mask;
use crate::release::plan::planner::{KindPlace, May, PlanInput, Survey, survey};
use crate::release::plan::{Plan, Wanted, drift, external, namespaces, prune};
use crate::release::rules::ancestry::Course;
use crate::release::rules::{Rules, ancestry, promotion};
use crate::release::run::verify::Checks;
use crate::release::run::{Attempt, Done, jobs, redaction};
use crate::release::{TestStage, context, rollback};
use crate::report::StageReport;
use crate::session::Session;

/// Applies the tier's manifests with these images and watches the rollout to its end.
///
/// # Errors
/// [`Kind::Refused`] before anything is changed, [`Kind::Rollout`] and [`Kind::TimedOut`] with what failed,
/// [`Kind::RolledBack`] and [`Kind::RollbackFailed`] where the tier rolls back by itself, [`Kind::Locked`],
/// [`Kind::Rule`], and what the cluster refuses.
pub async fn release(
    session: &Session,
    project: &Project,
    tier: &Tier,
    (images, tests): (&Images, &dyn TestStage),
    rules: &Rules,
) -> Result<Done> {
    let mut stage = Some(session.stage(Stage::Release, title(project, tier)));
    let result = async {
        session.unless_cancelled(manifest::check(project, tier)).await?;
        rules.check_source(session, project, tier)?;
        let (cluster, tested) = admitted(session, project, tier, (images, tests), rules).await?;
        let site = TierContext { session, project, tier, rules, cluster: &cluster };
        // Whatever keeps the history from being read is said below, in its place.
        let history = site.store().history().await.unwrap_or_default();
        let images = &as_they_run(images, newest_written(&history));
        session.note(|noted| {
            noted.images = images.values().map(|one| (one.name.clone(), one.reference.to_string())).collect();
        });
        let secrets = crate::release::secrets(session, project, tier).await?;
        let manifests = crate::release::manifests(session, project, tier, images, secrets).await?;
        session.note(|noted| noted.url = url(&manifests));
        external::check(site, &wanted(manifests.clone(), b"")).await?;
        cluster.ensure_namespace(&context::made_for(project, tier), context::LOCKING).await?;
        let work = Box::pin(under_lock(site, ReleaseInput { manifests, images, tests, tested }, &mut stage));
        site.locked("release", work).await
    };
    let result = result.await;
    close(&mut stage, &result);
    let done = result?;
    if done.brought_back {
        return Ok(done);
    }
    if let Err(error) = promotion::prove(project, tier, images, done.revision).await {
        session.reporter.warn(format!("that this was good could not be noted in the registry: {error}"));
    }
    Ok(done)
}

/// An image whose digest runs already keeps the tag that it runs under: of two tags of one image no pod is restarted.
pub(crate) fn as_they_run(images: &Images, newest: Option<&Summary>) -> Images {
    let running = |image: &Image| -> Option<Reference> {
        let running: Reference = newest?.images.get(&image.name)?.parse().ok()?;
        let is_same = running.digest == image.reference.digest && running.name() == image.reference.name();
        is_same.then_some(running)
    };
    let kept = |image: &Image| Image {
        reference: running(image).unwrap_or_else(|| image.reference.clone()),
        ..image.clone()
    };
    images.iter().map(|(name, image)| (name.clone(), kept(image))).collect()
}

/// The newest release that wrote anything: what it wrote runs, or is to.
pub(crate) fn newest_written(newest_first: &[Summary]) -> Option<&Summary> {
    let wrote = |one: &&Summary| {
        let counted = one.progress.and_then(|progress| progress.written);
        one.outcome == record::Outcome::Good || counted.is_none_or(|written| written > 0)
    };
    newest_first.iter().find(wrote)
}

/// What is released.
struct ReleaseInput<'a> {
    manifests: Manifests,
    images: &'a Images,
    tests: &'a dyn TestStage,
    /// Whether its tests passed, as far as that is known.
    tested: Option<bool>,
}

/// Connects, if the images may be released: tested, and good on the tier before. What was good on this very tier
/// comes back without.
async fn admitted(
    session: &Session,
    project: &Project,
    tier: &Tier,
    (images, tests): (&Images, &dyn TestStage),
    rules: &Rules,
) -> Result<(Cluster, Option<bool>)> {
    let proven = async {
        let tested = rules.check_tested(session, project, tier, (images, tests)).await?;
        rules.check_after(session, project, tier, images).await?;
        Ok(tested)
    };
    let proven: Result<Option<bool>> = proven.await;
    match proven {
        Ok(tested) => Ok((context::connect_under(session, tier, rules).await?, tested)),
        Err(error) if error.kind() == Kind::Rule => {
            let Ok(cluster) = context::connect_under(session, tier, rules).await else { return Err(error) };
            let site = TierContext { session, project, tier, rules, cluster: &cluster };
            if comes_back(site).await { Ok((cluster, None)) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// Whether the commit is an older one that was good here.
async fn comes_back(site: TierContext<'_>) -> bool {
    let Ok(history) = site.store().history().await else { return false };
    matches!(ancestry::course(site, &history).await, Ok(Course::BringBack { .. }))
}

/// Where the set answers: the first host of its first Ingress.
fn url(manifests: &Manifests) -> Option<String> {
    let ingress = &manifests.objects.iter().find(|object| object.json["kind"] == "Ingress")?.json;
    let host = ingress.pointer("/spec/rules/0/host")?.as_str().filter(|host| !host.contains('*'))?;
    let secured = ingress.pointer("/spec/tls").and_then(Value::as_array).into_iter().flatten();
    let is_secured = |hosts: &Value| hosts.as_array().is_some_and(|all| all.iter().any(|one| one == host));
    let scheme = if secured.map(|tls| &tls["hosts"]).any(is_secured) { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

/// The release under the lock, and the rollback of one that failed, where the tier wants that.
async fn under_lock<'a>(
    site: TierContext<'a>,
    cargo: ReleaseInput<'a>,
    stage: &mut Option<StageReport>,
) -> Result<Done> {
    let mut past = PriorReleases::read(&site.store()).await?;
    if let Course::BringBack { to, from } = ancestry::course(site, &past.summaries).await? {
        return rollback::redeploy(site, &mut past, from, to).await;
    }
    // The commit of the last good release, after one that failed, is a way back as well.
    if let Some(good) = ancestry::returns_to(site.project.revision.as_ref(), &past.summaries) {
        rollback::confirm_jobs(site, &past, good).await?;
    }
    let revision = past.next_revision();
    let result = attempt(site, &mut past, cargo).await;
    close(stage, &result);
    match result {
        Err(error) => Err(rollback::after(site, &mut past, revision, error).await),
        done => done,
    }
}

async fn attempt<'a>(
    site: TierContext<'a>,
    past: &'a mut PriorReleases,
    cargo: ReleaseInput<'a>,
) -> Result<Done> {
    let ReleaseInput { manifests, images, tests, tested } = cargo;
    let checks = Checks::of(site, (images, tests), url(&manifests))?;
    let key = site.store().key(true).await?;
    let wanted = namespaces::placed(site.cluster, wanted(manifests, &key)).await?;
    let set = content::set(wanted.iter().map(|one| &one.object), &key, &past.summaries);
    site.rules.check_rolled_back(&past.summaries, &set)?;
    let looked = build_plan(site, past, wanted.clone(), &[], &key, May::Change).await;
    past.settle(site.session, looked.as_ref().ok().map(|looked| &looked.live));
    let mut plan = looked?.plan;
    if jobs::settle(site, past, &plan).await? {
        plan = build_plan(site, past, wanted, &[], &key, May::Change).await?.plan;
    }
    warn_of_foreign(site, &plan);
    drift::warn(site, &plan);
    match prune::check(&plan, false) {
        Err(_) if site.rules.overrides("mass-deletion") => {}
        checked => checked?,
    }
    let summary = Summary { set, tested, ..summary(site, images, past, &plan).await? };
    // What was good, has not changed, and was checked like this is not checked again.
    let newest = past.summaries.first();
    let known = newest.and_then(|one| one.verified.as_deref());
    let verified = checks.as_ref().map(|checks| checks.hash(&key, known));
    let is_new = plan.has_changes()
        || newest.is_none_or(|one| one.outcome != record::Outcome::Good || one.verified != verified);
    let checks = checks.filter(|_| is_new);
    let summary = Summary { verified, ..summary };
    let attempt = Attempt { site, stage: Stage::Release, past, untouched: Vec::new(), checks };
    attempt.run(plan, summary).await
}

/// What others made is not taken over in silence.
pub(crate) fn warn_of_foreign(site: TierContext<'_>, plan: &Plan) {
    if let Some(sentence) = plan.foreign_sentence() {
        let hint = format!(
            "`{}` takes over what is there, as it is, and makes it a release to go back to",
            context::command("adopt", site.tier)
        );
        site.session.reporter.warn_with_hint(sentence, hint);
    }
}

/// For a plan: what the server did not try.
pub(crate) fn warn_of_untried(site: TierContext<'_>, plan: &Plan) {
    let untried = plan.steps.iter().filter(|step| step.untried);
    let untried: Vec<String> = untried.map(|step| step.wanted.id().to_string()).collect();
    if !untried.is_empty() {
        let sentence = format!(
            "this user may not change {}: compared with the last release, and not tried by the cluster",
            untried.join(", ")
        );
        site.session.reporter.warn(sentence);
    }
}

/// For a plan: what of the tier's rules would refuse a release of this, and whether it would be a rollback.
pub(crate) async fn preview_rules(
    site: TierContext<'_>,
    past: &PriorReleases,
    (images, tests): (&Images, &dyn TestStage),
    set: &str,
) {
    let TierContext { session, project, tier, rules, .. } = site;
    let course = match ancestry::course(site, &past.summaries).await {
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
        rules.check_rolled_back(&past.summaries, set),
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

fn title(project: &Project, tier: &Tier) -> String {
    match &project.revision {
        Some(revision) => format!("{} {} to {}", project.name, revision.short(), tier.name),
        None => format!("{} to {}", project.name, tier.name),
    }
}

/// Ends the stage, unless it has ended.
pub(crate) fn close(stage: &mut Option<StageReport>, result: &Result<Done>) {
    if let Some(stage) = stage.take() {
        stage.close(result, |done| {
            (if done.changed { Outcome::Ok } else { Outcome::Skipped }, done.sentence())
        });
    }
}

/// The wanted set of the manifests: with the hash of their configuration in each pod template.
pub(crate) fn wanted(manifests: Manifests, key: &[u8]) -> Vec<Wanted> {
    manifest::with_config_hashes(manifests, key)
        .objects
        .into_iter()
        .map(|one| {
            let (object, values) = redaction::redact(one.json, key);
            Wanted { phase: one.phase, place: Some(one.place), object, values }
        })
        .collect()
}

/// Looks at the cluster and plans, with everything that earlier releases own in view.
pub(crate) async fn build_plan(
    site: TierContext<'_>,
    past: &PriorReleases,
    wanted: Vec<Wanted>,
    untouched: &[Applied],
    key: &[u8],
    may: May,
) -> Result<Survey> {
    let kept: BTreeSet<ObjectId> = untouched.iter().map(|one| ObjectId::of(&one.object)).collect();
    let owned: Vec<&Owned> = past.last.iter().flat_map(|last| &last.owned).collect();
    let subjects = PlanInput {
        wanted,
        last: past.last.as_ref(),
        inventory: owned.iter().map(|one| one.id.clone()).filter(|id| !kept.contains(id)).collect(),
        places: owned.iter().map(|one| KindPlace::owned(one)).collect(),
        selector: labels::tier_selector(&site.project.name, &site.tier.slug),
        mask: Mask::new(key),
        takes_back: site.rules.overrides("conflict"),
        removes_drift: site.rules.is_overridden("drift"),
        may,
    };
    let mut looked = survey(site.cluster, subjects).await?;
    drift::find(site, &mut looked.plan, &Mask::new(key)).await;
    Ok(looked)
}

/// What is known of the release before it begins; set and tests are filled in by the caller.
async fn summary(
    site: TierContext<'_>,
    images: &Images,
    past: &PriorReleases,
    plan: &Plan,
) -> Result<Summary> {
    let revision = site.project.revision.as_ref();
    Ok(Summary {
        commit: revision.map(|revision| revision.commit.clone()),
        branch: revision.and_then(|revision| revision.branch_of_project()).map(str::to_owned),
        images: images.values().map(|image| (image.name.clone(), image.reference.to_string())).collect(),
        dirty: revision.is_some_and(|revision| revision.dirty),
        objects: plan.steps.len(),
        ..site.begin(past, past.next_revision(), ReleaseKind::Release).await?
    })
}
