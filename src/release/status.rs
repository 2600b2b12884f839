//! `status` and `explain TIER`: what runs on a tier now, how it is, what of it was changed by hand, and where a
//! rollback would lead.

mod drift;
mod way_back;

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Holder};
use crate::error::{Kind, Result};
use crate::model::Unserved;
use crate::model::{ObjectId, Verdict};
use crate::record::prior;
use crate::record::prior::Past;
use crate::record::store::base_name;
use crate::record::{Outcome, Record, Summary};
use crate::release::context::Site;
use crate::release::plan::planner::{CONCURRENCY, KindPlace};
use crate::release::run::{endpoints, redaction};
use crate::release::{context, lock};
use crate::report::paint;
use crate::rollout::explain::{self, Explained, Known};
use crate::rollout::watch::Before;
use drift::Drift;
use way_back::WayBack;

/// What runs on a tier now.
pub struct Status {
    tier: String,
    context: String,
    namespace: String,
    newest: Option<Summary>,
    /// Each object's verdict; or why none is known.
    health: std::result::Result<Vec<Explained>, String>,
    /// What the newest release has and the cluster has not.
    missing: Vec<ObjectId>,
    drift: Drift,
    lock: Option<Holder>,
    way_back: WayBack,
}

impl Status {
    /// Asks the cluster.
    pub(super) async fn read(site: Site<'_>) -> Result<Self> {
        let Site { project, tier, cluster, .. } = site;
        let mut summaries = site.store().history().await?;
        let lock = prior::as_it_is(cluster, &base_name(&project.name, &tier.slug), &mut summaries).await;
        let (health, missing, drift, way_back) = match Box::pin(seen(site, &summaries)).await {
            // Whoever may not read Secrets still sees what is in the history.
            Err(error) if error.kind() == Kind::Denied => {
                let why = error.message().to_owned();
                (Err(why.clone()), Vec::new(), Drift::Unknown(why.clone()), WayBack::None(why))
            }
            seen => seen.map(|(health, missing, drift, way_back)| (Ok(health), missing, drift, way_back))?,
        };
        Ok(Self {
            tier: tier.name.clone(),
            context: cluster.context().to_owned(),
            namespace: cluster.namespace().to_owned(),
            health,
            missing,
            drift,
            lock,
            way_back,
            newest: summaries.into_iter().next(),
        })
    }

    /// The status for machines.
    pub fn to_json(&self) -> Value {
        let release = self.newest.as_ref().map(|summary| {
            json!({
                "revision": summary.revision,
                "kind": summary.kind.describe(),
                "outcome": summary.outcome,
                "commit": summary.commit,
                "dirty": summary.dirty,
                "branch": summary.branch,
                "images": summary.images,
                "tested": summary.tested,
                "by": summary.by.person,
                "job": summary.by.job,
                "started": summary.started,
                "finished": summary.finished,
            })
        });
        json!({
            "tier": self.tier,
            "context": self.context,
            "namespace": self.namespace,
            "revision": self.newest.as_ref().map(|summary| summary.revision),
            "commit": self.newest.as_ref().and_then(|summary| summary.commit.clone()),
            "images": self.newest.as_ref().map(|summary| summary.images.clone()).unwrap_or_default(),
            "release": release,
            "ready": self.all_ready(),
            "objects": self.objects().map(Explained::to_json).collect::<Vec<_>>(),
            "drift": self.drift.to_json(),
            "others": self.drift.others_to_json(),
            "lock": self.lock.as_ref().map(|lock| lock::to_json(lock, lock::held_by(self.newest.as_ref(), lock))),
            "rollback": self.way_back.to_json(),
        })
    }

    /// The status for people.
    pub fn to_text(&self) -> String {
        let mut lines =
            vec![format!("{}  {} in {}", paint::strong(&self.tier), self.namespace, self.context)];
        match &self.newest {
            None => lines.push("nothing was released here yet".to_owned()),
            Some(summary) => lines.extend(release_lines(summary)),
        }
        lines.push(format!("health    {}", self.health_sentence()));
        for object in self.objects().filter(|one| !is_fine(one.verdict())) {
            lines.push(format!("          {}", object.to_text().trim_end()));
        }
        if let Drift::Unknown(_) = self.drift {
            lines.extend(self.missing.iter().map(|id| format!("          {id} is not there")));
        }
        if self.newest.is_some() {
            lines.extend(row("drift", &self.drift.lines()));
            lines.extend(row("others", &self.drift.other_lines()));
        }
        if let Some(lock) = &self.lock {
            lines.push(format!("lock      {}", lock::to_text(lock)));
        }
        lines.push(format!("rollback  {}", self.way_back.to_text()));
        lines.join("\n") + "\n"
    }

    fn objects(&self) -> impl Iterator<Item = &Explained> {
        self.health.iter().flatten()
    }

    /// Whether everything is known to be well.
    fn all_ready(&self) -> bool {
        self.newest.is_some()
            && self.health.is_ok()
            && self.missing.is_empty()
            && self.objects().all(|one| is_fine(one.verdict()))
    }

    fn health_sentence(&self) -> String {
        if let Err(why) = &self.health {
            return paint::doubtful(&format!("not known: {why}"));
        }
        let ready = self.objects().filter(|one| is_fine(one.verdict())).count();
        let sentence = format!("{ready} of {} objects ready", self.objects().count() + self.missing.len());
        if self.all_ready() { paint::good(&sentence) } else { paint::bad(&sentence) }
    }
}

/// What needs the full records.
async fn seen(
    site: Site<'_>,
    summaries: &[Summary],
) -> Result<(Vec<Explained>, Vec<ObjectId>, Drift, WayBack)> {
    let past = Past::of(&site.store(), summaries.to_vec()).await?;
    let (health, drift, way_back) = futures::join!(
        explain(site, past.last.as_ref()),
        drift::drift(site, &past),
        way_back::way_back(site, summaries),
    );
    let (health, drift) = (health?, drift?);
    let missing = drift.gone().unwrap_or_else(|| missing(past.last.as_ref(), &health));
    Ok((health, missing, drift, way_back?))
}

/// What the newest release has, or was to have, and the cluster has not; a Job may be gone when it has run, and what lies
/// outside of namespaces may be another tier's as well, and bear its labels.
fn missing(last: Option<&Record>, health: &[Explained]) -> Vec<ObjectId> {
    let wanted = last.into_iter().flat_map(|last| &last.objects).map(|one| &one.object);
    let is_alone = |object: &Value| object["kind"] != "Job" && !ObjectId::of(object).namespace.is_empty();
    let lacks = |object: &&Value| is_alone(object) && !health.iter().any(|one| one.is_about(object));
    wanted.filter(lacks).map(ObjectId::of).collect()
}

/// A row of the table, with its further lines below the first.
fn row(title: &str, lines: &[String]) -> Vec<String> {
    let begin = |index| if index == 0 { title } else { "" };
    lines.iter().enumerate().map(|(index, line)| format!("{:<10}{line}", begin(index))).collect()
}

fn is_fine(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Ready | Verdict::Paused)
}

fn release_lines(summary: &Summary) -> Vec<String> {
    let when = summary.started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let outcome = summary.outcome.word();
    let outcome = match summary.outcome {
        Outcome::Good => paint::good(outcome),
        Outcome::Running => paint::doubtful(outcome),
        _ => paint::bad(outcome),
    };
    let commit = summary.short_commit().unwrap_or_else(|| "no commit".to_owned());
    let branch = summary.branch.as_deref().map(|branch| format!(" of {branch}")).unwrap_or_default();
    let mut lines = vec![
        format!(
            "release   {} ({outcome}), {}, {when}, by {}",
            summary.revision,
            summary.kind.describe(),
            summary.by.person
        ),
        format!("commit    {commit}{branch}"),
    ];
    if summary.outcome == Outcome::Interrupted {
        lines.insert(1, format!("          {}", prior::interruption(summary)));
    }
    lines.extend(summary.images.values().map(|image| format!("image     {image}")));
    lines
}

/// Verdict and cause of every object of the tier, judged as a dump of now.
pub(super) async fn explain(site: Site<'_>, last: Option<&Record>) -> Result<Vec<Explained>> {
    let Some(last) = last else { return Ok(Vec::new()) };
    redaction::hide(site.session, site.cluster, site.tier, &last.objects).await;
    let Gathered { objects, known } =
        gather(site.cluster, last, &context::selector(&site.project.name, site.tier)).await?;
    // What else is in the namespace is there as evidence, not to be explained itself.
    let own: BTreeSet<ObjectId> = objects.iter().map(ObjectId::of).filter(|id| owns(last, id)).collect();
    let known = Known { had: had(site, last, &objects, &known).await?, ..known };
    let explained = explain::explain_known(objects, site.cluster.now(), &site.tier.health, &known);
    Ok(explained.into_iter().filter(|one| own.contains(&ObjectId::of(&whole(&one.to_json())))).collect())
}

/// Where Services and Ingresses of the last good release lead nowhere.
async fn had(site: Site<'_>, last: &Record, objects: &[Value], known: &Known) -> Result<BTreeSet<Unserved>> {
    let is_good = last.summary.outcome == Outcome::Good;
    let history = if is_good { vec![last.summary.clone()] } else { site.store().history().await? };
    Ok(match endpoints::good_before(&site.store(), &history, Some(last)).await? {
        Before::Nothing | Before::Anything => BTreeSet::new(),
        Before::Recorded(unserved) => unserved,
        Before::Set(set) => explain::unserved(&set, objects, known),
    })
}

fn owns(last: &Record, id: &ObjectId) -> bool {
    last.owned.iter().any(|one| one.id == *id)
}

/// An explained object in the shape of an object.
fn whole(line: &Value) -> Value {
    json!({
        "apiVersion": line["apiVersion"],
        "kind": line["kind"],
        "metadata": {"name": line["name"], "namespace": line["namespace"]},
    })
}

/// The tier's objects and what is beside them, and which kinds are known as a whole.
struct Gathered {
    objects: Vec<Value>,
    known: Known,
}

/// The tier's objects, and in their namespaces what those own and what happened to it.
async fn gather(cluster: &Cluster, last: &Record, selector: &str) -> Result<Gathered> {
    let own: BTreeSet<KindPlace> = last.owned.iter().map(KindPlace::owned).collect();
    let has_ingress = own.iter().any(|place| place.kind == "Ingress");
    let namespaces: BTreeSet<String> =
        own.iter().map(|place| place.namespace.clone()).filter(|name| !name.is_empty()).collect();
    let mut wanted: Vec<(KindPlace, Option<String>)> =
        own.into_iter().map(|place| (place, Some(selector.to_owned()))).collect();
    let mut beside = vec![("v1", "Pod"), ("apps/v1", "ReplicaSet"), ("v1", "Event")];
    // An Ingress may lead to Services of others.
    beside.extend(has_ingress.then_some(("v1", "Service")));
    for namespace in &namespaces {
        for (api_version, kind) in &beside {
            let (api_version, kind) = ((*api_version).to_owned(), (*kind).to_owned());
            wanted.push((KindPlace { api_version, kind, namespace: namespace.clone() }, None));
        }
    }
    let lists: Vec<(String, Option<Vec<Value>>)> = stream::iter(wanted)
        .map(|(place, selector)| async move {
            let namespace = Some(place.namespace.as_str()).filter(|name| !name.is_empty());
            match cluster.list(&place.api_version, &place.kind, namespace, selector.as_deref()).await {
                Ok(listing) => Ok((place.kind, Some(listing.items))),
                // Pods and events are evidence: without the right to list them there is less of it.
                Err(error) if error.kind() == Kind::Denied && selector.is_none() => Ok((place.kind, None)),
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let denied: BTreeSet<String> =
        lists.iter().filter(|(_, items)| items.is_none()).map(|(kind, _)| kind.clone()).collect();
    let complete = beside.into_iter().map(|(_, kind)| kind.to_owned());
    let complete = complete.filter(|kind| !namespaces.is_empty() && !denied.contains(kind)).collect();
    let objects = lists.into_iter().filter_map(|(_, items)| items).flatten().collect();
    Ok(Gathered { objects, known: Known { complete, denied, ..Known::default() } })
}
