//! Takes over what already runs: finds the live objects of the manifests and their owners, takes ownership of their
//! fields without changing them, and records the state as a release that a rollback can restore.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::cluster::{ApplyOptions, Cluster, ErrorClass, ownership};
use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;
use crate::manifest;
use crate::model::{ObjectId, ObjectRef, Stage, labels};
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::record::{Applied, Outcome, Owned, Record, ReleaseKind, Summary, content};
use crate::release::context::TierContext;
use crate::release::plan::difference::Mask;
use crate::release::plan::redaction;
use crate::release::plan::{difference, namespaces};
use crate::release::rules::Rules;
use crate::release::{context, plan};
use crate::report::view::adoption::{AdoptedObject, AdoptedState, Adoption};
use crate::session::Session;

/// How often to retry an object that another manager changes at the same time.
const TRIES: u32 = 20;

/// An object that the manifests describe.
struct Adoptee {
    id: ObjectId,
    api_version: String,
    state: OwnershipState,
}

/// The ownership of an object.
enum OwnershipState {
    /// It does not exist yet.
    Missing,
    /// It belongs to the tier.
    Ours,
    /// Adopt it.
    Foreign {
        /// Its owner.
        owner: String,
        /// The live object.
        live: Box<Value>,
        /// The fields that its authors asked for, with the labels of the tier.
        asked: Box<Value>,
    },
}

/// Takes over the objects of the tier's manifests that others created; with `dry_run`, only shows them.
///
/// # Errors
/// [`Kind::Invalid`] for the manifests, [`Kind::Rule`] for objects that belong to another project or would change,
/// [`Kind::Locked`], and what the cluster refuses.
pub(crate) async fn adopt(
    session: &Session,
    project: &Project,
    tier: &Tier,
    rules: &Rules,
    dry_run: bool,
) -> Result<Adoption> {
    let cluster = context::connect(session, tier).await?;
    let context = TierContext { session, project, tier, rules, cluster: &cluster };
    let prior = PriorReleases::read(&context.store()).await?;
    let objects = found_objects(context, &prior).await?;
    if dry_run || !(objects.iter().any(Adoptee::is_foreign) || was_killed(&prior)) {
        return Ok(adoption(context, &objects, None));
    }
    context.locked("adopt", take_over(context)).await
}

/// Adopts, under the lock, the objects that exist by then.
async fn take_over(context: TierContext<'_>) -> Result<Adoption> {
    let mut prior = PriorReleases::read(&context.store()).await?;
    prior.settle(context.session, None);
    let objects = found_objects(context, &prior).await?;
    let revision = revision(&prior);
    let foreign: Vec<&Adoptee> = objects.iter().filter(|found| found.is_foreign()).collect();
    let key = context.store().key(true).await?;
    let record = record(context, &prior, revision, &foreign, &key).await?;
    context.store().write(&record, &mut prior.summaries).await?;
    let title = format!("taking over {} objects", foreign.len());
    let step = context.session.reporter.step(Stage::Release, "adopt", title);
    let work: Vec<_> = foreign.iter().map(|found| take(context.cluster, found, revision)).collect();
    let taken: Vec<Applied> = stream::iter(work)
        .buffered(CONCURRENCY)
        .try_filter_map(|taken| async move { Ok(taken) })
        .try_collect()
        .await?;
    step.finish(crate::model::Outcome::Ok, format!("{} taken over", taken.len()));
    let objects_of = |one: &Applied| ObjectId::of(&one.object);
    let before =
        record.objects.iter().filter(|one| taken.iter().all(|other| objects_of(one) != objects_of(other)));
    let all: Vec<Applied> = before.cloned().chain(taken.iter().cloned()).collect();
    let summary = Summary {
        outcome: Outcome::Good,
        finished: Some(context.cluster.now()),
        set: content::set(all.iter().map(|one| &*one.object), &key, &[]),
        ..record.summary.clone()
    };
    let record = Record { objects: all, summary, ..record };
    context.store().write(&record, &mut prior.summaries).await?;
    Ok(adoption(context, &objects, Some(revision)))
}

/// Whether an adoption did not finish.
fn was_killed(prior: &PriorReleases) -> bool {
    let newest = prior.summaries.first();
    newest.is_some_and(|newest| newest.kind == ReleaseKind::Adoption && newest.outcome != Outcome::Good)
}

/// The revision of the adoption; a killed one is repeated with the same revision.
fn revision(prior: &PriorReleases) -> u64 {
    match prior.summaries.first() {
        None => 0,
        Some(newest) if was_killed(prior) => newest.revision,
        Some(_) => prior.next_revision(),
    }
}

/// The record before the first change: what is recorded already, and what is adopted.
async fn record(
    context: TierContext<'_>,
    prior: &PriorReleases,
    revision: u64,
    foreign: &[&Adoptee],
    key: &[u8],
) -> Result<Record> {
    let asked = foreign.iter().filter_map(|found| found.asked()).filter(|asked| is_kept(asked));
    let asked: Vec<Applied> =
        asked.map(|asked| Applied { object: Arc::new(asked.clone()), fields: None }).collect();
    let known = prior.last.iter().flat_map(|last| &last.objects);
    let known =
        known.filter(|one| asked.iter().all(|new| ObjectId::of(&new.object) != ObjectId::of(&one.object)));
    let objects: Vec<Applied> = known.cloned().chain(asked.iter().cloned()).collect();
    let owned = prior.last.iter().flat_map(|last| last.owned.iter().cloned());
    let owned = owned.chain(foreign.iter().map(|found| found.owned())).collect();
    let newest = prior.summaries.first();
    let summary = Summary {
        commit: newest.and_then(|newest| newest.commit.clone()),
        branch: newest.and_then(|newest| newest.branch.clone()),
        images: newest.map(|newest| newest.images.clone()).unwrap_or_default(),
        tested: newest.and_then(|newest| newest.tested),
        dirty: newest.is_some_and(|newest| newest.dirty),
        set: content::set(objects.iter().map(|one| &*one.object), key, &prior.summaries),
        objects: objects.len(),
        ..context.begin(prior, revision, ReleaseKind::Adoption).await?
    };
    let jobs = prior.last.as_ref().map(|last| last.jobs.clone()).unwrap_or_default();
    Ok(Record { objects, owned, jobs, ..Record::new(summary) })
}

/// Records never contain the values of the configuration's Secrets.
fn is_kept(asked: &Value) -> bool {
    !manifest::is_from_configuration(asked)
}

/// Adopts an object: its fields become ours unchanged, and their previous managers are removed.
async fn take(cluster: &Cluster, found: &Adoptee, revision: u64) -> Result<Option<Applied>> {
    let OwnershipState::Foreign { live, asked, .. } = &found.state else { return Ok(None) };
    let mut object = (**asked).clone();
    content::stamp(&mut object, revision, None);
    let applied = cluster.apply(&object, ApplyOptions { force: true, ..ApplyOptions::default() }).await?;
    let ours = forget_authors(cluster, applied).await?;
    if let Some(field) = changed(live, &ours) {
        let sentence = format!("{field} of {} was changed while it was being taken over", found.id);
        return Err(Error::new(Kind::Refused, sentence).with_hint("adopt it again"));
    }
    Ok(is_kept(asked)
        .then(|| Applied { fields: plan::owned_fields(&ours, false), object: Arc::new((**asked).clone()) }))
}

/// The first field that the apply would change. Replicas do not count, because an autoscaler may own them.
fn changed(before: &Value, after: &Value) -> Option<String> {
    let changes = difference::fields(before, after, &Mask::new(b""));
    let counts = |field: &str| {
        !field.starts_with("metadata.") && !field.starts_with("status") && field != "spec.replicas"
    };
    changes.into_iter().map(|change| change.field).find(|field| counts(field))
}

/// Removes the other managers of the object. Its controller may write at the same time: then retry.
async fn forget_authors(cluster: &Cluster, mut object: Value) -> Result<Value> {
    for _ in 0..TRIES {
        let patch = json!({
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
            "metadata": {
                "name": object["metadata"]["name"],
                "namespace": object["metadata"]["namespace"],
                "resourceVersion": object["metadata"]["resourceVersion"],
                "managedFields": ownership::without_other_authors(&object),
                "annotations": {ownership::LAST_APPLIED: null},
            },
        });
        match cluster.merge_patch(&patch).await {
            Err(error) if error.refusal.is_lost_race() => {}
            patched => return Ok(patched?),
        }
        let reference = ObjectRef::of(&object);
        object = cluster
            .get(&reference)
            .await?
            .ok_or_else(|| Error::new(Kind::Refused, format!("{} was deleted meanwhile", reference.id())))?;
    }
    let message = format!("something else keeps changing {}", ObjectId::of(&object));
    Err(Error::new(Kind::Refused, message).with_hint("adopt it again when that has stopped"))
}

/// The objects of the manifests, and the state of each.
async fn found_objects(context: TierContext<'_>, prior: &PriorReleases) -> Result<Vec<Adoptee>> {
    let key = context.store().key(false).await?;
    let described =
        context.session.unless_cancelled(manifest::described(context.project, context.tier)).await?;
    let wanted = namespaces::placed(context.cluster, redaction::wanted(described, &key)).await?;
    let objects: Vec<Arc<Value>> = wanted.into_iter().map(|one| one.object).collect();
    stream::iter(objects).map(|object| find(context, prior, object)).buffered(CONCURRENCY).try_collect().await
}

async fn find(context: TierContext<'_>, prior: &PriorReleases, object: Arc<Value>) -> Result<Adoptee> {
    let id = ObjectId::of(&object);
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let state = |state| Ok(Adoptee { id: id.clone(), api_version: api_version.clone(), state });
    let live = match context.cluster.get(&ObjectRef::of(&object)).await {
        Ok(Some(live)) => live,
        Ok(None) => return state(OwnershipState::Missing),
        // The manifests define its kind, which does not exist yet.
        Err(error) if ErrorClass::of(&error).is_some_and(ErrorClass::is_refusal) => {
            return state(OwnershipState::Missing);
        }
        Err(error) => return Err(error),
    };
    let label = |key: &str| live["metadata"]["labels"].get(key).and_then(Value::as_str);
    let of_project = label(labels::PROJECT);
    let is_marked =
        of_project == Some(&context.project.name) && label(labels::TIER) == Some(&context.tier.slug);
    let is_known = prior.last.iter().any(|last| last.owned.iter().any(|owned| owned.id == id));
    if is_marked && is_known && !(was_killed(prior) && ownership::has_other_authors(&live)) {
        return state(OwnershipState::Ours);
    }
    let owner = ownership::owner(&live).unwrap_or_else(|| "an unknown manager".to_owned());
    if of_project.is_some() && !is_marked {
        return Err(Error::new(Kind::Rule, format!("{id} is managed by {owner}"))
            .with_hint("two projects cannot have the same object: give one of them another name"));
    }
    let mut asked = ownership::asked_for(&live);
    manifest::mark(&mut asked, context.project, context.tier);
    if manifest::is_from_configuration(&object) {
        asked["metadata"]["annotations"][labels::SOURCE] =
            object["metadata"]["annotations"][labels::SOURCE].clone();
    }
    let tried = context
        .cluster
        .apply(&asked, ApplyOptions { dry_run: true, force: true, ..ApplyOptions::default() })
        .await?;
    if let Some(field) = changed(&live, &tried) {
        let message = format!("{id} cannot be taken over as it is: {field} would change");
        return Err(
            Error::new(Kind::Rule, message).with_hint("release it instead: the plan shows what changes")
        );
    }
    state(OwnershipState::Foreign { owner, live: Box::new(live), asked: Box::new(asked) })
}

impl Adoptee {
    fn is_foreign(&self) -> bool {
        matches!(self.state, OwnershipState::Foreign { .. })
    }

    fn asked(&self) -> Option<&Value> {
        match &self.state {
            OwnershipState::Foreign { asked, .. } => Some(asked),
            OwnershipState::Missing | OwnershipState::Ours => None,
        }
    }

    fn owned(&self) -> Owned {
        Owned { api_version: self.api_version.clone(), id: self.id.clone() }
    }

    fn view(&self) -> AdoptedObject {
        let state = match &self.state {
            OwnershipState::Missing => AdoptedState::Missing,
            OwnershipState::Ours => AdoptedState::Ours,
            OwnershipState::Foreign { owner, .. } => AdoptedState::Foreign { owner: owner.clone() },
        };
        let ObjectId { kind, namespace, name, .. } = &self.id;
        AdoptedObject { object: ObjectRef::new(&self.api_version, kind, name).in_namespace(namespace), state }
    }
}

fn adoption(context: TierContext<'_>, objects: &[Adoptee], revision: Option<u64>) -> Adoption {
    Adoption {
        tier: context.tier.name.clone(),
        context: context.cluster.context().to_owned(),
        namespace: context.cluster.namespace().to_owned(),
        objects: objects.iter().map(Adoptee::view).collect(),
        revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_object_is_whose_it_is() {
        let object =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}});
        let found = |state| Adoptee { id: ObjectId::of(&object), api_version: "v1".to_owned(), state };
        let owner = "Helm release shop".to_owned();
        let foreign =
            OwnershipState::Foreign { owner: owner.clone(), live: Box::default(), asked: Box::default() };
        for (state, shown) in [
            (OwnershipState::Missing, AdoptedState::Missing),
            (OwnershipState::Ours, AdoptedState::Ours),
            (foreign, AdoptedState::Foreign { owner }),
        ] {
            assert_eq!(found(state).view(), AdoptedObject { object: ObjectRef::of(&object), state: shown });
        }
    }
}
