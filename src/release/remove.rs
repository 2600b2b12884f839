//! Removing a tier: everything that its records own goes, in reverse order, and the records themselves go last, so that a
//! removal that was killed is simply said again.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::claims;
use super::execute::delete_and_wait;
use super::forward;
use super::identity::ObjectId;
use super::past::Past;
use super::place::{self, Site};
use super::prune::Left;
use super::rules::Rules;
use super::store::base_name;
use super::survey::CONCURRENCY;
use crate::cluster::{Cluster, DeleteOptions, Lease, ObjectRef};
use crate::error::{Kind, Result};
use crate::manifest::phase_of;
use crate::project::{Project, Tier};
use crate::report::event::{Outcome, Stage};
use crate::report::paint;
use crate::session::Session;

/// What a removal deletes and what it keeps.
pub struct Removal {
    tier: String,
    place: String,
    /// In the order in which it goes.
    goes: Vec<Value>,
    stays: Vec<Left>,
    /// How many releases are on record.
    releases: usize,
    namespace: Namespace,
    done: bool,
}

/// What becomes of the tier's namespace.
enum Namespace {
    /// windlass made it for this tier, and nothing else is in it.
    Goes(String),
    /// It is on its way already, with all that is in it.
    Going(String),
    /// Why it stays.
    Stays(String, String),
    /// There is none.
    Missing,
}

/// Removes all that the tier's records own; claims only `with_data`. `agreed` is asked before anything is deleted, with
/// what would be.
///
/// # Errors
/// Whatever `agreed` says, [`Kind::Locked`], and what the cluster refuses.
pub async fn remove(
    session: &Session,
    project: &Project,
    tier: &Tier,
    rules: &Rules,
    with_data: bool,
    agreed: impl FnOnce(&Removal) -> Result<()>,
) -> Result<Removal> {
    let cluster = place::connect(session, tier).await?;
    let site = Site { session, project, tier, rules, cluster: &cluster };
    let (_, removal) = look(site, with_data).await?;
    if removal.is_nothing() {
        return Ok(Removal { done: true, ..removal });
    }
    agreed(&removal)?;
    let removal = if matches!(removal.namespace, Namespace::Missing | Namespace::Going(_)) {
        removal
    } else {
        let removal = site.locked(delete(site, with_data)).await?;
        forget_lock(site).await?;
        removal
    };
    if let Namespace::Goes(name) | Namespace::Going(name) = &removal.namespace {
        let step = session.reporter.step(Stage::Release, "delete namespace", format!("deleting {name}"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        delete_and_wait(session, &cluster, &object).await?;
        step.finish(Outcome::Ok, name.clone());
    }
    Ok(Removal { done: true, ..removal })
}

/// Deletes under the lock what is there by then.
async fn delete(site: Site<'_>, with_data: bool) -> Result<Removal> {
    let (past, removal) = look(site, with_data).await?;
    let Site { session, cluster, .. } = site;
    let step = session.reporter.step(Stage::Release, "delete objects", "deleting what the releases made");
    for phase in removal.goes.chunk_by(|one, other| rank(one) == rank(other)) {
        let deletions = stream::iter(phase.to_vec())
            .map(|object| async move { delete_and_wait(session, cluster, &object).await });
        deletions.buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    }
    step.finish(Outcome::Ok, format!("{} deleted", removal.goes.len()));
    let stay = removal.stays.iter().map(|left| &left.object).filter(|object| claims::is_claim(object));
    claims::mark(cluster, &site.project.name, &site.tier.slug, stay).await?;
    let step =
        session.reporter.step(Stage::Release, "delete records", "deleting the records of the releases");
    site.store().erase(&past.summaries).await?;
    step.finish(Outcome::Ok, format!("{} deleted", past.summaries.len()));
    Ok(removal)
}

/// Claims last: what uses them must be gone.
fn rank(object: &Value) -> (bool, std::cmp::Reverse<crate::manifest::Phase>) {
    (claims::is_claim(object), std::cmp::Reverse(phase_of(object)))
}

/// The lease itself, unless somebody has taken it meanwhile.
async fn forget_lock(site: Site<'_>) -> Result<()> {
    let name = base_name(&site.project.name, &site.tier.slug);
    if Lease::holder(site.cluster, &name).await?.is_none() {
        let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", name);
        let lease = lease.in_namespace(site.cluster.namespace());
        site.cluster.delete(&lease, &DeleteOptions::default()).await?;
    }
    Ok(())
}

/// What is there, and what would become of it.
async fn look(site: Site<'_>, with_data: bool) -> Result<(Past, Removal)> {
    let store = site.store();
    let past = Past::read(&store).await?;
    let key = store.key(false).await?;
    let plan = forward::look(site, &past, Vec::new(), &[], &key).await?.plan;
    let (mut goes, mut stays) = (plan.prune, plan.left);
    let sets = past.last.iter().flat_map(|last| &last.objects).map(|one| &one.object);
    let mut claims = claims::of_sets(site.cluster, sets).await?;
    // What an earlier removal, or a set that is gone, left bears the tier's labels.
    let (name, selector) = (site.cluster.namespace(), place::selector(&site.project.name, site.tier));
    let kept = site.cluster.list_metadata("v1", "PersistentVolumeClaim", Some(name), Some(&selector));
    claims.extend(kept.await?.items);
    for claim in claims {
        let id = ObjectId::of(&claim);
        let is_known = stays.iter().map(|left| &left.object).chain(&goes).any(|one| ObjectId::of(one) == id);
        if !is_known && claim.pointer("/metadata/deletionTimestamp").is_none() {
            stays.push(Left { object: claim, why: HOLDS_DATA });
        }
    }
    let is_claim = |left: &Left| claims::is_claim(&left.object) && left.why.starts_with("it holds data");
    for left in stays.extract_if(.., |left| is_claim(left) && with_data) {
        goes.push(left.object);
    }
    stays.iter_mut().filter(|left| is_claim(left)).for_each(|left| left.why = HOLDS_DATA);
    goes.sort_by_key(|object| (rank(object), ObjectId::of(object)));
    let namespace = namespace(site, &goes, &stays).await?;
    let removal = Removal {
        tier: site.tier.name.clone(),
        place: format!("{} in {}", site.cluster.namespace(), site.cluster.context()),
        goes,
        stays,
        releases: past.summaries.len(),
        namespace,
        done: false,
    };
    Ok((past, removal))
}

const HOLDS_DATA: &str = "it holds data; --with-data deletes it";

/// The namespace goes if windlass made it for this tier and nothing but what goes is in it.
async fn namespace(site: Site<'_>, goes: &[Value], stays: &[Left]) -> Result<Namespace> {
    let Site { project, tier, cluster, .. } = site;
    let name = cluster.namespace().to_owned();
    let stays_for = |why: &str| Ok(Namespace::Stays(name.clone(), why.to_owned()));
    let found = match cluster.get(&ObjectRef::new("v1", "Namespace", &name)).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Namespace::Missing),
        Err(error) if error.kind() == Kind::Denied => return stays_for("whose it is may not be seen"),
        Err(error) => return Err(error),
    };
    if found.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(Namespace::Going(name));
    }
    let made_for = found.pointer("/metadata/annotations/windlass.dev~1made-for").and_then(Value::as_str);
    if made_for != Some(place::made_for(project, tier).as_str()) {
        return stays_for("windlass did not make it for this tier");
    }
    if stays.iter().any(|left| ObjectId::of(&left.object).namespace == name) {
        return stays_for("what stays is in it");
    }
    let gone: BTreeSet<ObjectId> = goes.iter().map(ObjectId::of).collect();
    let own = base_name(&project.name, &tier.slug);
    match others(cluster, &gone, &own).await? {
        Some(other) => stays_for(&format!("{other} is in it")),
        None => Ok(Namespace::Goes(name)),
    }
}

/// Something in the namespace that is not the tier's, if there is something.
async fn others(cluster: &Cluster, gone: &BTreeSet<ObjectId>, own: &str) -> Result<Option<ObjectId>> {
    let kinds = [
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
    ];
    let namespace = Some(cluster.namespace());
    let lists = kinds.map(|(api_version, kind)| cluster.list_metadata(api_version, kind, namespace, None));
    let lists = futures::future::try_join_all(lists).await?;
    let is_other = |object: &&Value| {
        let id = ObjectId::of(object);
        let is_record = id.name == own || id.name.starts_with(&format!("{own}."));
        let is_of_namespace = id.name == "kube-root-ca.crt" || id.name.starts_with("default-token-");
        let is_owned = object.pointer("/metadata/ownerReferences").is_some();
        let is_going = object.pointer("/metadata/deletionTimestamp").is_some();
        !(gone.contains(&id) || is_record || is_of_namespace || is_owned || is_going)
    };
    Ok(lists.iter().flat_map(|list| &list.items).find(is_other).map(ObjectId::of))
}

impl Removal {
    fn is_nothing(&self) -> bool {
        self.goes.is_empty()
            && self.releases == 0
            && !matches!(self.namespace, Namespace::Goes(_) | Namespace::Going(_))
    }

    /// The removal for machines.
    pub fn to_json(&self) -> Value {
        let shown = |object: &Value| {
            let id = ObjectId::of(object);
            json!({"apiVersion": object["apiVersion"], "kind": id.kind, "namespace": id.namespace, "name": id.name})
        };
        let kept = self.stays.iter().map(|left| {
            let mut object = shown(&left.object);
            object["why"] = json!(left.why);
            object
        });
        let namespace = match &self.namespace {
            Namespace::Goes(name) | Namespace::Going(name) => json!({"name": name, "removed": self.done}),
            Namespace::Stays(name, why) => json!({"name": name, "removed": false, "why": why}),
            Namespace::Missing => Value::Null,
        };
        json!({
            "tier": self.tier,
            "done": self.done,
            "removed": self.goes.iter().map(shown).collect::<Vec<_>>(),
            "kept": kept.collect::<Vec<_>>(),
            "releases": self.releases,
            "namespace": namespace,
        })
    }

    /// The removal for people.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}  {}\n", paint::strong(&self.tier), self.place);
        if self.is_nothing() && self.stays.is_empty() {
            return text + "there is nothing of it\n";
        }
        let (goes, stays) = if self.done { ("removed", "kept") } else { ("goes", "stays") };
        let mut line = |word: &str, rest: String| {
            let _ = writeln!(text, "{word:<9} {rest}");
        };
        for object in &self.goes {
            line(goes, ObjectId::of(object).to_string());
        }
        if self.releases > 0 {
            line(goes, format!("the records of {}", crate::report::human::count(self.releases, "release")));
        }
        if let Namespace::Goes(name) | Namespace::Going(name) = &self.namespace {
            line(goes, format!("Namespace/{name}"));
        }
        for left in &self.stays {
            line(stays, format!("{}: {}", ObjectId::of(&left.object), left.why));
        }
        if let Namespace::Stays(name, why) = &self.namespace {
            line(stays, format!("Namespace/{name}: {why}"));
        }
        text
    }
}
