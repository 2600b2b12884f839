//! The health of the objects of a tier's last release, and which of them died after it was good.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::cluster::{self, Cluster, Item};
use crate::error::Result;
use crate::http::CONCURRENCY;
use crate::model::{Unserved, labels, object};
use crate::record::prior::PriorReleases;
use crate::record::{Outcome, Record, Summary};
use crate::release::context::TierContext;
use crate::release::plan::planner::KindPlace;
use crate::release::plan::redaction;
use crate::release::run::endpoints;
use crate::rollout::explain::{self, Explained, Known};
use crate::rollout::pod::volume::wants_claims;
use crate::rollout::snapshot::decode::{Cached, Decoder};
use crate::rollout::watch::Before;
use crate::text::display;

/// The time limit for finding out what died: it does not affect what follows.
const DEATHS: Duration = Duration::from_secs(1);
/// Deaths within this time after a release, or within the last such time, are worth a warning.
const SOON: SignedDuration = SignedDuration::from_mins(10);

/// Verdict and cause of every object of the tier, judged as a dump of now.
pub(crate) async fn explain(context: TierContext<'_>, last: Option<&Record>) -> Result<Vec<Explained>> {
    let Some(last) = last else { return Ok(Vec::new()) };
    redaction::hide(context.session, context.cluster, context.tier, &last.objects).await;
    let Gathered { objects, known } =
        gather(context.cluster, last, &labels::tier_selector(&context.project.name, &context.tier.slug))
            .await?;
    // Other objects in the namespace are evidence and are not explained themselves.
    let wanted = Some(last.owned.iter().map(|one| one.id.clone()).collect());
    let good_at = good_at(&last.summary);
    let known = Known { had: had(context, last, &objects, &known).await?, wanted, good_at, ..known };
    Ok(explain::explain_known(objects, context.cluster.now(), &context.tier.health, &known))
}

fn good_at(summary: &Summary) -> Option<Timestamp> {
    summary.finished.filter(|_| summary.outcome == Outcome::Good)
}

/// `release 7 was good, but Deployment/web died 4 s after it ended`: a rollout that is watched no longer is good too soon.
/// `died` names the first object of which a container died since then, and when.
pub(crate) fn aftermath(newest: &Summary, died: Option<(String, Timestamp)>) -> Option<String> {
    let (title, at) = died?;
    let after = Duration::try_from(at.duration_since(good_at(newest)?)).ok()?;
    let revision = newest.revision;
    Some(format!("release {revision} was good, but {title} died {} after it ended", display::whole(after)))
}

/// Warns the next user of the tier if something of the newest good release died soon after it, or a moment ago. Says nothing if
/// that cannot be read.
pub(crate) fn warn_of_deaths<'a>(context: TierContext<'a>, prior: &'a PriorReleases) -> BoxFuture<'a, ()> {
    let warning = async move {
        let (newest, last) = (prior.summaries.first()?, prior.last.as_ref()?);
        let good = good_at(newest).filter(|_| last.summary.revision == newest.revision)?;
        let died = tokio::time::timeout(DEATHS, first_death(context.cluster, last, good)).await;
        let now = context.cluster.now();
        let is_soon = |at: Timestamp| at.duration_since(good) <= SOON || now.duration_since(at) <= SOON;
        aftermath(newest, died.ok()?.ok()?.filter(|(_, at)| is_soon(*at)))
    };
    let warned = warning.map(move |sentence| {
        if let Some(sentence) = sentence {
            let hint = format!("`{}` says why", context.tier.command("explain"));
            context.session.reporter.warn_with_hint(sentence, hint);
        }
    });
    warned.boxed()
}

/// The first object of a release of which a container died after that time, and when.
async fn first_death(
    cluster: &Cluster,
    last: &Record,
    good: Timestamp,
) -> Result<Option<(String, Timestamp)>> {
    let objects = || last.objects.iter().map(|one| &*one.object);
    let running = objects().filter(|object| object.pointer("/spec/template/spec").is_some());
    let namespaces: BTreeSet<&str> = running.map(object::namespace).filter(|name| !name.is_empty()).collect();
    let place = |(api_version, kind): (&str, &str), namespace: &str| KindPlace {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
    };
    let places = namespaces.iter().flat_map(|namespace| OWNED.map(|of_kind| place(of_kind, namespace)));
    let places: Vec<KindPlace> = places.collect();
    let decoder = &Decoder::default();
    let lists: Vec<Vec<Cached>> = stream::iter(places)
        .map(|KindPlace { api_version, kind, namespace }| async move {
            let read = |item: Item<'_>| decoder.read(item);
            cluster.list_each(&api_version, &kind, Some(&namespace), None, read).await
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(explain::first_death(objects(), lists.into_iter().flatten(), good))
}

/// What stands between a workload and its containers.
const OWNED: [(&str, &str); 2] = [("v1", "Pod"), ("apps/v1", "ReplicaSet")];

/// The Services and Ingresses of the last good release that had no endpoints.
async fn had(
    context: TierContext<'_>,
    last: &Record,
    objects: &[Cached],
    known: &Known,
) -> Result<BTreeSet<Unserved>> {
    let is_good = last.summary.outcome == Outcome::Good;
    let history = if is_good { vec![last.summary.clone()] } else { context.store().history().await? };
    Ok(match endpoints::good_before(&context.store(), &history, Some(last)).await? {
        Before::Nothing | Before::Anything => BTreeSet::new(),
        Before::Recorded(unserved) => unserved,
        Before::Set(set) => explain::unserved(&set, objects, known),
    })
}

/// The tier's objects and those beside them, and which kinds are known completely.
struct Gathered {
    objects: Vec<Cached>,
    known: Known,
}

/// The tier's objects, and the objects that they own and the events in their namespaces.
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
    // The reason why a claim has no volume is the reason why its pods do not start.
    let has_claims = last.objects.iter().any(|one| wants_claims(&one.object));
    beside.extend(has_claims.then_some(("v1", "PersistentVolumeClaim")));
    for namespace in &namespaces {
        for (api_version, kind) in &beside {
            let (api_version, kind) = ((*api_version).to_owned(), (*kind).to_owned());
            wanted.push((KindPlace { api_version, kind, namespace: namespace.clone() }, None));
        }
    }
    let decoder = &Decoder::of(last.owned.iter().map(|one| &one.id));
    let lists: Vec<(String, Option<Vec<Cached>>)> = stream::iter(wanted)
        .map(|(place, selector)| async move {
            let namespace = Some(place.namespace.as_str()).filter(|name| !name.is_empty());
            let KindPlace { api_version, kind, .. } = &place;
            let read = |item: Item<'_>| decoder.read(item);
            match cluster.list_each(api_version, kind, namespace, selector.as_deref(), read).await {
                Ok(items) => Ok((place.kind, Some(items))),
                // Pods and events are evidence: without the right to list them there is less of it.
                Err(error) if cluster::is_denied(&error) && selector.is_none() => Ok((place.kind, None)),
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
