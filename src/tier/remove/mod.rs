//! Removes a tier: deletes what its records own, in reverse order, and the records themselves last, so that a removal
//! that was killed can simply be repeated. Kept objects lose windlass's labels.

pub(crate) mod disown;
pub(crate) mod namespace;
pub(crate) mod others;
pub(crate) mod removal;
pub(crate) mod volumes;

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::cluster::{self, Cluster, DeleteOptions, Deleted, Lease, SeenObject};
use crate::error::Result;
use crate::http::CONCURRENCY;
use crate::manifest::phase_of;
use crate::model::{ObjectId, Outcome, Stage, labels};
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::record::store::base_name;
use crate::release::context;
use crate::release::context::TierContext;
use crate::release::plan::claims::is_claim;
use crate::release::plan::dry_run::May;
use crate::release::plan::prune::KeptObject;
use crate::release::plan::{claims, planner, prune};
use crate::release::rules::Rules;
use crate::release::run::deletion;
use crate::session::Session;
use crate::tier::remove::disown::KeptOf;
use crate::tier::remove::namespace::Draft;
use crate::tier::remove::removal::{Kept, Namespace};

pub(crate) use crate::tier::remove::removal::Removal;

const HOLDS_DATA: &str = "it holds data; --with-data deletes it";
const REPLACED: &str = "somebody created it again meanwhile";

/// The options of a removal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RemoveRequest {
    /// Delete claims and their volumes as well.
    pub with_data: bool,
    /// Delete the namespace as well, with everything in it.
    pub with_namespace: bool,
    /// Delete only windlass's records of the tier: the workloads keep running.
    pub records_only: bool,
}

/// Removes everything that the tier's records own. `agreed` is called before anything is deleted, with what would be.
///
/// # Errors
/// That of `agreed`, [`Kind::Locked`](crate::error::Kind::Locked), [`Kind::Usage`](crate::error::Kind::Usage) if data
/// would be deleted without `--with-data`, and what the cluster refuses.
pub(crate) async fn remove(
    session: &Session,
    project: &Project,
    tier: &Tier,
    rules: &Rules,
    request: RemoveRequest,
    agreed: impl AsyncFnOnce(&Removal) -> Result<()>,
) -> Result<Removal> {
    let cluster = context::connect(session, tier).await?;
    let context = TierContext { session, project, tier, rules, cluster: &cluster };
    let (_, removal) = survey(context, request).await?;
    if removal.is_nothing() {
        return Ok(Removal { done: true, ..removal });
    }
    agreed(&removal).await?;
    let removal = match removal.namespace {
        Namespace::Missing | Namespace::Going { .. } => removal,
        Namespace::Goes { .. } | Namespace::Stays { .. } => {
            context.locked("remove", carry_out(context, request)).await?
        }
    };
    match removal.namespace.goes() {
        Some(live) => {
            let name = live["metadata"]["name"].as_str().unwrap_or_default();
            let step = session.reporter.step(Stage::Release, "delete namespace", format!("deleting {name}"));
            deletion::until_gone(session, &cluster, live).await?;
            step.finish(Outcome::Ok, name.to_owned());
        }
        None => Lease::forget(&cluster, &base_name(&project.name, &tier.slug)).await?,
    }
    Ok(Removal { done: true, ..removal })
}

/// Under the lock: deletes the objects that exist by then, and decides about the namespace only when all objects of the
/// tier are deleted. The deletion of the namespace is the last step, because nothing can be created in it from then on,
/// not even a lock.
async fn carry_out(context: TierContext<'_>, request: RemoveRequest) -> Result<Removal> {
    let TierContext { session, cluster, .. } = context;
    let (prior, mut removal) = survey(context, request).await?;
    delete_objects(context, &mut removal).await?;
    if let Namespace::Goes { .. } = removal.namespace {
        let known = std::mem::take(&mut removal.ours);
        let draft = Draft { request, known, kept: &removal.kept, said: Some(true) };
        (removal.namespace, removal.ours) = namespace::decide(context, &draft).await?;
        removal = removal.without_what_goes_with_the_namespace();
    }
    let of = KeptOf { project: &context.project.name, slug: &context.tier.slug };
    let of = Some(of).filter(|_| !request.records_only);
    disown::disown(session, cluster, of, removal.kept.iter().map(|kept| &kept.object)).await?;
    if let Namespace::Goes { live, with, unknown } = &removal.namespace {
        say_what_goes_along(session, with, unknown);
        match cluster.delete(&SeenObject::of(live)?, DeleteOptions::default()).await? {
            Deleted::Begun | Deleted::Gone => return Ok(removal),
            Deleted::Replaced => removal.keep_namespace(REPLACED),
        }
    }
    if let Namespace::Stays { live: Some(live), .. } = &removal.namespace {
        if request.records_only && context::is_made_for(live, context.project, context.tier) {
            disown::forget_namespace(session, cluster, live).await?;
        } else {
            disown::disown(session, cluster, None, own_namespace(context, live).into_iter()).await?;
        }
    }
    let step =
        session.reporter.step(Stage::Release, "delete records", "deleting the records of the releases");
    context.store().erase(&prior.summaries).await?;
    step.finish(Outcome::Ok, format!("{} deleted", prior.summaries.len()));
    Ok(removal)
}

/// The namespace, if the tier's own manifests have it.
fn own_namespace<'a>(context: TierContext<'_>, live: &'a Value) -> Option<&'a Value> {
    let label = |key: &str| live["metadata"]["labels"].get(key).and_then(Value::as_str);
    let is_its = label(labels::PROJECT) == Some(&context.project.name)
        && label(labels::TIER) == Some(&context.tier.slug);
    is_its.then_some(live)
}

/// Warns about objects of others that are deleted with the namespace.
fn say_what_goes_along(session: &Session, with: &[Value], unknown: &[String]) {
    if !with.is_empty() {
        let all: Vec<String> = with.iter().map(|object| ObjectId::of(object).to_string()).collect();
        session
            .reporter
            .warn(format!("deleted with the namespace, though not of this tier: {}", all.join(", ")));
    }
    if !unknown.is_empty() {
        let sentence =
            format!("what else is deleted with the namespace is not known: {}", unknown.join("; "));
        session.reporter.warn(sentence);
    }
}

/// Deletes the objects, dependents before what they depend on.
async fn delete_objects(context: TierContext<'_>, removal: &mut Removal) -> Result<()> {
    let TierContext { session, cluster, .. } = context;
    if removal.goes.is_empty() {
        return Ok(());
    }
    let step = session.reporter.step(Stage::Release, "delete objects", "deleting what the releases made");
    let mut replaced = Vec::new();
    for phase in removal.goes.chunk_by(|one, other| rank(one) == rank(other)) {
        let deletions = stream::iter(phase.to_vec()).map(|object| async move {
            let deleted = deletion::delete_only(session, cluster, &object).await?;
            Ok::<_, crate::error::Error>((deleted == Deleted::Replaced).then_some(object))
        });
        let others: Vec<Option<Value>> = deletions.buffer_unordered(CONCURRENCY).try_collect().await?;
        replaced.extend(others.into_iter().flatten());
    }
    for object in replaced {
        removal.keep_instead(object, REPLACED);
    }
    step.finish(Outcome::Ok, format!("{} deleted", removal.goes.len()));
    Ok(())
}

/// The order of deletion: claims after what uses them, and volumes after their claims.
fn rank(object: &Value) -> (u8, std::cmp::Reverse<crate::manifest::Phase>) {
    let last = match object {
        _ if volumes::is_volume(object) => 2,
        _ if is_claim(object) => 1,
        _ => 0,
    };
    (last, std::cmp::Reverse(phase_of(object)))
}

/// What exists, and what would happen to it.
async fn survey(context: TierContext<'_>, request: RemoveRequest) -> Result<(PriorReleases, Removal)> {
    let store = context.store();
    let prior = PriorReleases::read(&store).await?;
    let key = store.key(false).await?;
    let plan = planner::build_plan(context, &prior, Vec::new(), &[], &key, May::Change).await?.plan;
    let (mut goes, mut left) = (plan.prune, plan.left);
    let said = take_out_namespace(context, &mut goes, &mut left);
    let data = data(context, &prior).await?;
    let is_known = |object: &Value| {
        let id = ObjectId::of(object);
        goes.iter().chain(left.iter().map(|left| &left.object)).any(|one| ObjectId::of(one) == id)
    };
    let data: Vec<Value> = data.into_iter().filter(|object| !is_known(object)).collect();
    left.extend(data.into_iter().map(|object| KeptObject { why: why_data_stays(&object), object }));
    let mut kept = kept_objects(context, request, left, &mut goes);
    volumes::keep(context.cluster, &mut goes, &mut kept).await?;
    keep_namespaces(&mut goes, &mut kept);
    goes.sort_by_key(|object| (rank(object), ObjectId::of(object)));
    kept.sort_by_key(|kept| ObjectId::of(&kept.object));
    let draft = Draft { request, known: namespace::uids(goes.iter()), kept: &kept, said };
    let (namespace, ours) = namespace::decide(context, &draft).await?;
    let removal = Removal {
        request,
        tier: context.tier.name.clone(),
        place: format!("{} in {}", context.cluster.namespace(), context.cluster.context()),
        goes,
        kept,
        releases: prior.summaries.len(),
        namespace,
        ours,
        done: false,
    };
    Ok((prior, removal.without_what_goes_with_the_namespace()))
}

/// The objects to keep among those that a release would keep; data is deleted with `--with-data`, and with
/// `--records-only` everything is kept.
fn kept_objects(
    context: TierContext<'_>,
    request: RemoveRequest,
    left: Vec<KeptObject>,
    goes: &mut Vec<Value>,
) -> Vec<Kept> {
    let (data, rest): (Vec<KeptObject>, Vec<KeptObject>) = left.into_iter().partition(is_kept_data);
    let mut kept: Vec<Kept> =
        rest.into_iter().map(|left| Kept { object: left.object, why: left.why.to_owned() }).collect();
    for left in data {
        if request.with_data {
            goes.push(left.object);
        } else {
            kept.push(Kept { why: why_kept(context.cluster, &left.object), object: left.object });
        }
    }
    if request.records_only {
        let stay = std::mem::take(goes).into_iter().map(|object| Kept { object, why: String::new() });
        kept.extend(stay);
        for kept in &mut kept {
            "it stays, without windlass's labels".clone_into(&mut kept.why);
        }
    }
    kept
}

/// Why data is kept: its own annotation takes precedence.
fn why_data_stays(object: &Value) -> &'static str {
    let said = prune::stays(&ObjectId::of(object), object);
    said.filter(|why| !why.starts_with("it holds data")).unwrap_or(HOLDS_DATA)
}

/// Whether it is kept only because it holds data.
fn is_kept_data(left: &KeptObject) -> bool {
    disown::holds_data(&left.object) && left.why.starts_with("it holds data")
}

/// Why an object that holds data is kept: a later removal looks for data only in the tier's namespace.
fn why_kept(cluster: &Cluster, object: &Value) -> String {
    let id = ObjectId::of(object);
    if id.namespace.is_empty() || id.namespace == cluster.namespace() {
        return HOLDS_DATA.to_owned();
    }
    format!(
        "it holds data; --with-data deletes it, and later only kubectl -n {} delete {} {}",
        id.namespace,
        id.kind.to_lowercase(),
        id.name
    )
}

/// Takes the tier's own namespace out of both lists, because it is decided separately, and returns what its manifest
/// says.
fn take_out_namespace(
    context: TierContext<'_>,
    goes: &mut Vec<Value>,
    left: &mut Vec<KeptObject>,
) -> Option<bool> {
    let name = context.cluster.namespace();
    let is_own = |object: &Value| object["kind"] == "Namespace" && object["metadata"]["name"] == name;
    let allowed = goes.extract_if(.., |object| is_own(object)).count() > 0;
    let never = left.extract_if(.., |left| is_own(&left.object)).any(|left| left.why.ends_with("never"));
    if allowed { Some(true) } else { never.then_some(false) }
}

/// Keeps other namespaces of the tier if they contain kept objects.
fn keep_namespaces(goes: &mut Vec<Value>, kept: &mut Vec<Kept>) {
    let used: BTreeSet<String> = kept.iter().map(|kept| ObjectId::of(&kept.object).namespace).collect();
    let holds = |object: &mut Value| {
        object["kind"] == "Namespace"
            && object["metadata"]["name"].as_str().is_some_and(|name| used.contains(name))
    };
    let namespaces: Vec<Value> = goes.extract_if(.., holds).collect();
    let why = "it contains kept objects";
    kept.extend(namespaces.into_iter().map(|object| Kept { object, why: why.to_owned() }));
}

/// The claims of the tier's `StatefulSet`s, and data that an earlier removal or release kept, found by its labels.
async fn data(context: TierContext<'_>, prior: &PriorReleases) -> Result<Vec<Value>> {
    let cluster = context.cluster;
    let of = KeptOf { project: &context.project.name, slug: &context.tier.slug };
    let sets = prior.last.iter().flat_map(|last| &last.objects).map(|one| &*one.object);
    let mut data = claims::of_sets(cluster, sets).await?;
    let claims =
        cluster.list_metadata("v1", "PersistentVolumeClaim", Some(cluster.namespace()), None).await?;
    data.extend(claims.into_iter().filter(|claim| of.is_its(claim)));
    match cluster.list("v1", "PersistentVolume", None, Some(&of.selector())).await {
        // A user with permissions only in namespaces has never created a volume.
        Err(error) if cluster::is_denied(&error) => {}
        volumes => data.extend(volumes?.into_iter().filter(|volume| of.is_its(volume))),
    }
    data.retain(|object| !object["metadata"]["deletionTimestamp"].is_string());
    let mut seen = BTreeSet::new();
    data.retain(|object| seen.insert(ObjectId::of(object)));
    Ok(data)
}
