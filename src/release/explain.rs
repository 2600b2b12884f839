//! How the objects of a tier's last release are.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};

use crate::cluster::{Cluster, Item};
use crate::error::{Kind, Result};
use crate::http::CONCURRENCY;
use crate::model::{Unserved, labels};
use crate::record::{Outcome, Record};
use crate::release::context::TierContext;
use crate::release::plan::planner::KindPlace;
use crate::release::plan::redaction;
use crate::release::run::endpoints;
use crate::rollout::explain::{self, Explained, Known};
use crate::rollout::snapshot::decode::{Cached, Decoder};
use crate::rollout::watch::Before;

/// Verdict and cause of every object of the tier, judged as a dump of now.
pub(crate) async fn explain(context: TierContext<'_>, last: Option<&Record>) -> Result<Vec<Explained>> {
    let Some(last) = last else { return Ok(Vec::new()) };
    redaction::hide(context.session, context.cluster, context.tier, &last.objects).await;
    let Gathered { objects, known } =
        gather(context.cluster, last, &labels::tier_selector(&context.project.name, &context.tier.slug))
            .await?;
    // What else is in the namespace is there as evidence, not to be explained itself.
    let wanted = Some(last.owned.iter().map(|one| one.id.clone()).collect());
    let known = Known { had: had(context, last, &objects, &known).await?, wanted, ..known };
    Ok(explain::explain_known(objects, context.cluster.now(), &context.tier.health, &known))
}

/// Where Services and Ingresses of the last good release lead nowhere.
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

/// The tier's objects and what is beside them, and which kinds are known as a whole.
struct Gathered {
    objects: Vec<Cached>,
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
    let decoder = &Decoder::of(last.owned.iter().map(|one| &one.id));
    let lists: Vec<(String, Option<Vec<Cached>>)> = stream::iter(wanted)
        .map(|(place, selector)| async move {
            let namespace = Some(place.namespace.as_str()).filter(|name| !name.is_empty());
            let KindPlace { api_version, kind, .. } = &place;
            let read = |item: Item<'_>| decoder.read(item);
            match cluster.list_each(api_version, kind, namespace, selector.as_deref(), read).await {
                Ok(items) => Ok((place.kind, Some(items))),
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
