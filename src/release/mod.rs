//! Release and rollback: what is wanted, what would change, carrying it out in order, and the record of it.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`plan`], [`survey`], `trial`, [`difference`], [`identity`] | what would change, decided object by object |
//! | [`prune`], `restart`, `show` | what the manifests no longer have; why pods restart; the plan as it is read |
//! | [`drift`] | fields of pod templates that no manifest mentions, and removing what a person added |
//! | `execute`, `unstick` | carrying a plan out, phase by phase; `StatefulSets` that a broken version holds up |
//! | `deletion` | deleting what was seen, and waiting until it is gone |
//! | `external`, `verify` | what others make, checked before; what must hold after the rollout |
//! | `tasks` | Jobs: which still run, and in which order they do |
//! | `seal` | values of Secrets that no record keeps |
//! | [`record`], [`store`] | what a release leaves in the cluster |
//! | [`target`], `images` | where a rollback leads, and whether its images are still there |
//! | `safeguard` | what a rollback does not do by itself: grant rights, delete data |
//! | [`rules`] | what must be true before anything is changed |
//! | `place`, `past` | the connected cluster, the lock, who we are; what is on record |
//! | `kept_rules` | the tier's rules in its records, for commands that read no configuration |
//! | `forward`, `back` | a release from its manifests, a rollback from its record |
//! | `attempt`, `cancel` | both from the record before the first change to the one after the last |
//! | `refused` | attempts that end before their first change, and are no release |
//! | `adopt`, `foreign` | taking over what already runs; whose it is |
//! | `remove` | taking everything away again |
//! | [`history`], [`status`], `lock` | what people ask afterwards, and the lock in a person's hand |

mod adopt;
pub(crate) mod context;
pub(crate) mod deploy;
pub(crate) mod fuzzing;
pub mod history;
mod kept_rules;
mod lock;
mod logs;
pub mod plan;
mod refused;
mod remove;
pub(crate) mod rollback;
pub mod rules;
pub(crate) mod run;
mod show;
pub mod status;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::Result;
use crate::manifest::{self, Manifests};
use crate::model::Images;
use crate::project::{Project, Tier};
use crate::rollout::explain::Explained;
use crate::secret::{self, Secret};
use crate::session::Session;

pub(crate) use crate::release::context::quoted;
pub use crate::release::deploy::release;
pub use crate::release::rollback::{RollbackPreview, rollback, rollback_preview};
pub use crate::release::run::Done;
pub use adopt::{Adoption, adopt};
pub use history::History;
pub use kept_rules::recorded_rules;
pub use lock::{Lock, lock, unlock};
pub use logs::{LogRequest, logs};
pub use plan::Plan;
pub use refused::noting_refusal;
pub use remove::{Removal, RemoveRequest, remove};
pub use rules::{Rules, RunningJobs};
pub use status::Status;

/// The tier's manifests as they would be applied with these images, without the stamps of a release.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) with the place in the user's files; [`Kind::Interrupted`].
pub async fn manifests(
    session: &Session,
    project: &Project,
    tier: &Tier,
    images: &Images,
    secrets: Vec<Secret>,
) -> Result<Manifests> {
    let references: BTreeMap<String, String> =
        images.values().map(|image| (image.name.clone(), image.reference.to_string())).collect();
    let request = manifest::Request::new(project, tier, &references).with_secrets(secrets);
    let manifests = session.unless_cancelled(manifest::load(&request)).await?;
    secret::hide_objects(manifests.objects.iter().map(|object| &object.json), &session.reporter);
    for warning in &manifests.warnings {
        session.reporter.warn(warning);
    }
    Ok(manifests)
}

/// The Secrets of the configuration with their values; nothing shows them from now on.
async fn secrets(session: &Session, project: &Project, tier: &Tier) -> Result<Vec<Secret>> {
    session.unless_cancelled(secret::fetch(project, tier, &session.reporter)).await
}

/// What a release of these images would change; nothing is changed.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) with every object that the server would refuse, and what
/// the cluster refuses.
pub async fn plan(session: &Session, project: &Project, tier: &Tier, images: &Images) -> Result<Plan> {
    session.unless_cancelled(manifest::check(project, tier)).await?;
    let secrets = secrets(session, project, tier).await?;
    let cluster = crate::release::context::connect(session, tier).await?;
    let store = crate::record::store::Store::new(&cluster, &project.name, &tier.slug);
    let past = crate::record::prior::Past::read(&store).await?;
    let images =
        &crate::release::deploy::as_they_run(images, crate::release::deploy::newest_written(&past.summaries));
    let manifests = manifests(session, project, tier, images, secrets).await?;
    let key = store.key(false).await?;
    let wanted =
        crate::release::plan::namespaces::placed(&cluster, crate::release::deploy::wanted(manifests, &key))
            .await?;
    let rules = Rules::default();
    let site = crate::release::context::Site { session, project, tier, rules: &rules, cluster: &cluster };
    crate::release::plan::external::check(site, &wanted).await?;
    let set = crate::record::content::set(wanted.iter().map(|one| &one.object), &key, &past.summaries);
    let plan = crate::release::deploy::look(
        site,
        &past,
        wanted,
        &[],
        &key,
        crate::release::plan::planner::May::Read,
    )
    .await?
    .plan;
    crate::release::deploy::warn_of_untried(site, &plan);
    crate::release::context::say_requests(session, &cluster);
    crate::release::deploy::foretell(site, &past, images, &set).await;
    crate::release::deploy::warn_of_foreign(site, &plan);
    crate::release::plan::drift::warn(site, &plan);
    if let Some(sentence) = crate::release::plan::prune::mass_deletion(&plan) {
        session.reporter.warn_with_hint(sentence, "a release needs --override mass-deletion --reason \"…\"");
    }
    if let Some(sentence) = crate::release::run::jobs::running_sentence(&past, &plan) {
        session.reporter.warn_with_hint(sentence, crate::release::run::jobs::HINT);
    }
    Ok(plan)
}

/// What runs on the tier now.
///
/// # Errors
/// What the cluster refuses.
pub async fn status(session: &Session, project: &Project, tier: &Tier) -> Result<Status> {
    let cluster = crate::release::context::connect(session, tier).await?;
    let rules = Rules::default();
    Status::read(crate::release::context::Site { session, project, tier, rules: &rules, cluster: &cluster })
        .await
}

/// The releases of the tier, newest first, or what ran at a time.
///
/// # Errors
/// What the cluster refuses.
pub async fn history(
    session: &Session,
    project: &str,
    tier: &Tier,
    at: Option<Timestamp>,
) -> Result<History> {
    let cluster = crate::release::context::connect(session, tier).await?;
    let store = crate::record::store::Store::new(&cluster, project, &tier.slug);
    let mut summaries = store.whole_history().await?;
    crate::record::prior::as_it_is(
        &cluster,
        &crate::record::store::base_name(project, &tier.slug),
        &mut summaries,
    )
    .await;
    Ok(History::new(summaries, store.attempts().await?, at))
}

/// Verdict and cause of every object that runs on the tier now.
///
/// # Errors
/// What the cluster refuses.
pub async fn explain(session: &Session, project: &Project, tier: &Tier) -> Result<Vec<Explained>> {
    let cluster = crate::release::context::connect(session, tier).await?;
    let rules = Rules::default();
    let site = crate::release::context::Site { session, project, tier, rules: &rules, cluster: &cluster };
    let past = crate::record::prior::Past::read(&site.store()).await?;
    status::explain(site, past.last.as_ref()).await
}
