//! Reads what exists and plans what would change: one list request per kind and namespace, and a server-side dry run of
//! the objects that may differ, which validates them and shows the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::cluster::{ApplyError, Cluster, ErrorClass};
use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;
use crate::model::{Failure, ObjectId, group, labels};
use crate::record::prior::PriorReleases;
use crate::record::{Applied, Owned, Record};
use crate::release::context::TierContext;
use crate::release::plan;
use crate::release::plan::difference::Mask;
use crate::release::plan::dry_run::{Decided, DryRun, May};
use crate::release::plan::jobs;
use crate::release::plan::prune::PruneSet;
use crate::release::plan::{Before, Known, Plan, PlanStep, Wanted, drift, prune};

/// The input of a plan.
pub(crate) struct PlanInput<'a> {
    /// The wanted objects, in apply order.
    pub wanted: Vec<Wanted>,
    /// The newest record, if there is one.
    pub last: Option<&'a Record>,
    /// Everything that records say was applied by earlier releases.
    pub inventory: BTreeSet<ObjectId>,
    /// The kinds and namespaces of those objects: `(apiVersion, kind, namespace)`.
    pub places: BTreeSet<KindPlace>,
    /// `windlass.dev/project=…,windlass.dev/tier=…`
    pub selector: String,
    /// What replaces secret values.
    pub mask: Mask,
    /// Whether `--override conflict` takes over conflicting fields of our objects, whoever owns them.
    pub takes_back: bool,
    /// Whether `--override drift` removes fields that were added by hand before anything is applied.
    pub removes_drift: bool,
    /// The permissions that are required.
    pub may: May,
    /// The revisions of releases that ended and did not succeed.
    pub not_good: BTreeSet<u64>,
}

/// A kind in a namespace; the namespace is empty for cluster-scoped kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KindPlace {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
    /// Empty for a cluster-scoped kind.
    pub namespace: String,
}

impl KindPlace {
    /// The kind and namespace of an object of an earlier release.
    pub(crate) fn owned(owned: &Owned) -> Self {
        Self {
            api_version: owned.api_version.clone(),
            kind: owned.id.kind.clone(),
            namespace: owned.id.namespace.clone(),
        }
    }

    /// The kind and namespace of this object.
    pub(crate) fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { api_version: text("/apiVersion"), kind: text("/kind"), namespace: text("/metadata/namespace") }
    }
}

/// The live objects of the tier, and the plan.
pub(crate) struct Survey {
    /// What a release would change.
    pub plan: Plan,
    /// All live objects with the tier's labels.
    pub live: BTreeMap<ObjectId, Arc<Value>>,
}

/// Reads the cluster and plans, including everything that earlier releases own.
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
        not_good: prior.not_good(),
    };
    let mut looked = survey(context.cluster, subjects).await?;
    drift::find(context, &mut looked.plan, &Mask::new(key)).await;
    Ok(looked)
}

/// Reads the cluster and plans.
///
/// # Errors
/// [`Kind::Refused`] with every object that the server refuses, [`Kind::Denied`] when a permission is missing,
/// [`Kind::Unreachable`].
pub(crate) async fn survey(cluster: &Cluster, mut subjects: PlanInput<'_>) -> Result<Survey> {
    let live = live(cluster, &subjects).await?;
    let scaled = plan::scaled_targets(subjects.wanted.iter());
    for wanted in &mut subjects.wanted {
        keep_replicas(wanted, &live, &scaled);
        if live.get(&wanted.id()).is_some_and(|live| prune::is_shared(live)) {
            prune::share(Arc::make_mut(&mut wanted.object));
        }
    }
    let before = Before::of(subjects.last);
    let known = subjects.wanted.iter().map(|wanted| {
        let id = wanted.id();
        plan::known(wanted, live.get(&id).map(Arc::as_ref), &before, plan::is_scaled(&scaled, &id))
    });
    let known: Vec<Known> = known.collect();
    let changed = subjects.wanted.iter().zip(&known).filter(|(_, known)| **known != Known::Unchanged);
    let defined = definitions(changed.map(|(one, _)| one));
    let wanted_ids = subjects.wanted.iter().map(Wanted::id).collect();
    let PruneSet { prune, left, owned } = prune::leftovers(&subjects.inventory, &wanted_ids, &live);
    let namespaces = coming_namespaces(cluster, &subjects.wanted);
    let ids = subjects.wanted.iter().map(Wanted::id);
    let roles = ids.filter(|id| matches!(id.kind.as_str(), "Role" | "ClusterRole"));
    let roles: BTreeSet<(String, String)> = roles.map(|id| (id.kind, id.name)).collect();
    let trial = DryRun {
        cluster,
        live: &live,
        defined: &defined,
        namespaces: &namespaces,
        roles: &roles,
        before: &before,
        may: subjects.may,
        takes_back: subjects.takes_back,
        removes_drift: subjects.removes_drift,
        scaled: &scaled,
        mask: &subjects.mask,
    };
    let wanted = std::mem::take(&mut subjects.wanted);
    let running = jobs::not_stuck(cluster, jobs::running(&wanted, &live), &subjects.not_good).await;
    let decisions = wanted.into_iter().zip(known).map(|(wanted, known)| trial.decide(wanted, known));
    let decided: Vec<Decided> = stream::iter(decisions).buffered(CONCURRENCY).collect().await;
    let steps = accepted(decided)?;
    Ok(Survey { plan: Plan { steps, prune, left, owned, running }, live })
}

async fn live(cluster: &Cluster, subjects: &PlanInput<'_>) -> Result<BTreeMap<ObjectId, Arc<Value>>> {
    let mut places = subjects.places.clone();
    places.extend(subjects.wanted.iter().map(|wanted| KindPlace::of(&wanted.object)));
    let own = definitions(subjects.wanted.iter());
    let wanted: BTreeSet<KindPlace> = subjects.wanted.iter().map(|one| KindPlace::of(&one.object)).collect();
    let lists: Vec<Vec<Value>> = stream::iter(places)
        .map(|place| {
            let (own, wanted) = (&own, &wanted);
            async move {
                let namespace = Some(place.namespace.as_str()).filter(|name| !name.is_empty());
                let listed =
                    cluster.list(&place.api_version, &place.kind, namespace, Some(&subjects.selector)).await;
                match listed {
                    Ok(items) => Ok(items),
                    // A kind that this release defines is not served before its definition is applied, and one whose
                    // definition was deleted has no objects any more.
                    Err(error)
                        if ErrorClass::of(&error).is_some_and(ErrorClass::is_refusal)
                            && (own.contains(&defined(&place)) || !wanted.contains(&place)) =>
                    {
                        Ok(Vec::new())
                    }
                    Err(error) => Err(error),
                }
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().map(|object| (ObjectId::of(&object), Arc::new(object))).collect())
}

/// The kinds that CustomResourceDefinitions define, as `group/kind`.
fn definitions<'a>(wanted: impl Iterator<Item = &'a Wanted>) -> BTreeSet<String> {
    wanted
        .filter(|one| one.object["kind"] == "CustomResourceDefinition")
        .map(|one| {
            let spec = &one.object["spec"];
            format!(
                "{}/{}",
                spec["group"].as_str().unwrap_or_default(),
                spec["names"]["kind"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

/// The namespaces that exist before any object is applied: the tier's, and those in the manifests.
fn coming_namespaces(cluster: &Cluster, wanted: &[Wanted]) -> BTreeSet<String> {
    let of_set = wanted.iter().map(Wanted::id).filter(|id| id.kind == "Namespace" && id.group.is_empty());
    of_set.map(|id| id.name).chain([cluster.namespace().to_owned()]).collect()
}

fn defined(place: &KindPlace) -> String {
    format!("{}/{}", group(&place.api_version), place.kind)
}

/// Sets the replicas of an object that has a `spec`.
pub(crate) fn set_replicas(object: &mut Value, replicas: &Value) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".to_owned(), replicas.clone());
    }
}

/// Keeps the current replicas of an autoscaler's target: without the field they would be reset to one.
fn keep_replicas(
    wanted: &mut Wanted,
    live: &BTreeMap<ObjectId, Arc<Value>>,
    scaled: &BTreeSet<(String, String, String)>,
) {
    let id = wanted.id();
    if !plan::is_scaled(scaled, &id) {
        return;
    }
    if let Some(replicas) = live.get(&id).and_then(|live| live.pointer("/spec/replicas")) {
        set_replicas(Arc::make_mut(&mut wanted.object), replicas);
    }
}

/// The steps, or one error with every refusal.
fn accepted(decided: Vec<Decided>) -> Result<Vec<PlanStep>> {
    let mut steps = Vec::new();
    let mut refused = Vec::new();
    for one in decided {
        match one {
            Ok(step) => steps.push(step),
            Err(refusal) => refused.push(refusal),
        }
    }
    if refused.is_empty() { Ok(steps) } else { Err(refusal(&refused)) }
}

/// One error for all objects that the server refused. Missing permissions or an unreachable cluster have other exit
/// codes than a mistake in a manifest.
pub(crate) fn refusal(refused: &[(Wanted, ApplyError)]) -> Error {
    let kinds: Vec<Kind> = refused.iter().map(|(_, error)| Error::from(error.clone()).kind()).collect();
    // If one response is missing, it is unknown what was written.
    let worst = kinds.iter().find(|kind| **kind == Kind::Unreachable);
    let kind = worst.or_else(|| kinds.iter().find(|kind| **kind != Kind::Refused)).copied();
    let kind = kind.unwrap_or(Kind::Refused);
    let (first, error) = &refused[0];
    let message = match refused.len() {
        // Whether it was written is unknown.
        _ if kind == Kind::Unreachable => {
            let of = if refused.len() == 1 {
                first.id().to_string()
            } else {
                format!("{} objects", refused.len())
            };
            format!("no answer to the apply of {of}: {}", error.message)
        }
        1 => format!("the cluster refused {}: {}", first.id(), error.message),
        count => format!("the cluster refused {count} objects"),
    };
    let mut whole = match (refused.len(), &first.origin) {
        (1, Some(origin)) => origin.error_at(error.field(), message).into_kind(kind),
        _ => Error::new(kind, message),
    };
    if let Some(hint) = refused.iter().find_map(|(_, error)| error.hint.clone()) {
        whole = whole.with_hint(hint);
    }
    let cause = refused.iter().find(|(_, error)| Error::from(error.clone()).kind() == kind);
    let (_, cause) = cause.unwrap_or(&refused[0]);
    whole
        .with_source(cause.clone())
        .with_failures(refused.iter().flat_map(|(wanted, error)| failures(wanted, error)))
}

/// One failure for each field that the server names, at its place in the manifest.
fn failures(wanted: &Wanted, error: &ApplyError) -> Vec<Failure> {
    let place = |field: &str| {
        let place = wanted.origin.as_ref().and_then(|origin| origin.error_at(field, "").place().cloned());
        place.map(|place| format!("{place}: ")).unwrap_or_default()
    };
    let failure = error.failure();
    match error.fields.as_slice() {
        [] | [_] => {
            let message = format!("{}{}", place(error.field()), failure.message);
            vec![Failure { message, ..failure }]
        }
        fields => fields
            .iter()
            .map(|one| {
                let message = format!("{}{}: {}", place(&one.field), one.field, one.message);
                Failure { message, ..failure.clone() }
            })
            .collect(),
    }
}
