//! Removes windlass's labels from the objects that a removal keeps, so that another project can adopt them.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Refusal};
use crate::error::Result;
use crate::http::CONCURRENCY;
use crate::model::{ObjectId, labels};
use crate::record::content::STAMPS;
use crate::release::plan::prune;
use crate::session::Session;

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const LABELS: [&str; 2] = [labels::PROJECT, labels::TIER];
/// Only annotations that windlass wrote: those of the user's manifest (`windlass.dev/prune`) are kept.
const ANNOTATIONS: [&str; 5] = [labels::TIER, STAMPS[0], STAMPS[1], labels::CONTENT, labels::SOURCE];

/// The tier whose kept data a later removal may look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptOf<'a> {
    pub(crate) project: &'a str,
    pub(crate) slug: &'a str,
}

impl KeptOf<'_> {
    /// Selects the objects that an earlier removal of the tier kept.
    pub(crate) fn selector(&self) -> String {
        format!("{}={},{}={}", labels::KEPT_OF_PROJECT, self.project, labels::KEPT_OF_TIER, self.slug)
    }

    /// Whether an earlier removal of the tier kept this object and nobody has adopted it since, or whether it still has
    /// the tier's own labels, like the claims of a StatefulSet that an earlier release deleted.
    pub(crate) fn is_its(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        let is = |project, tier| label(project) == Some(self.project) && label(tier) == Some(self.slug);
        is(LABELS[0], LABELS[1])
            || (label(LABELS[0]).is_none() && is(labels::KEPT_OF_PROJECT, labels::KEPT_OF_TIER))
    }
}

/// Removes windlass's labels from these objects. Objects that were deleted or replaced in the meantime are skipped; if
/// a permission is missing, a warning has the command to run.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn disown(
    session: &Session,
    cluster: &Cluster,
    kept_of: Option<KeptOf<'_>>,
    objects: impl Iterator<Item = &Value>,
) -> Result<()> {
    let patches = objects.filter_map(|object| patch(object, kept_of.filter(|_| holds_data(object))));
    let patches: Vec<Value> = patches.collect();
    let sent = stream::iter(patches).map(|patch| async move { send(session, cluster, &patch).await });
    sent.buffer_unordered(CONCURRENCY).try_collect().await
}

async fn send(session: &Session, cluster: &Cluster, patch: &Value) -> Result<()> {
    match cluster.merge_patch(patch).await {
        Err(error) if error.refusal == Refusal::Forbidden => {
            let (id, place) = (ObjectId::of(patch), patch["metadata"]["namespace"].as_str());
            let place = place.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
            let [project, tier] = LABELS;
            session.reporter.warn_with_hint(
                format!("{id} keeps the labels of windlass: the right to change it is missing"),
                format!("kubectl label{place} {} {} {project}- {tier}-", id.kind, id.name),
            );
            Ok(())
        }
        Err(error) if is_another(&error.refusal) => Ok(()),
        patched => Ok(patched.map(drop)?),
    }
}

/// Whether the object was deleted or replaced in the meantime: the patch names the old uid, which cannot be changed.
fn is_another(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::NotFound | Refusal::Stale => true,
        Refusal::Immutable { field } | Refusal::Invalid { field } => field == "metadata.uid",
        _ => false,
    }
}

/// Whether it is a claim or a volume.
pub(crate) fn holds_data(object: &Value) -> bool {
    object["kind"] == "PersistentVolumeClaim" || object["kind"] == "PersistentVolume"
}

/// A merge patch that removes windlass's labels and annotations from an object; `None` if it has none. An object that
/// tiers of the project share still belongs to another tier.
fn patch(live: &Value, kept_of: Option<KeptOf<'_>>) -> Option<Value> {
    if prune::is_shared(live) {
        return None;
    }
    let metadata = &live["metadata"];
    let gone = |section: &str, keys: &mut dyn Iterator<Item = &'static str>| -> Map<String, Value> {
        keys.filter(|key| metadata[section].get(*key).is_some())
            .map(|key| (key.to_owned(), Value::Null))
            .collect()
    };
    let ours = metadata["labels"].get(MANAGED_BY).is_some_and(|by| by == "windlass").then_some(MANAGED_BY);
    let mut labels = gone("labels", &mut LABELS.into_iter().chain(ours));
    let annotations = gone("annotations", &mut ANNOTATIONS.into_iter());
    for (key, value) in kept_of
        .into_iter()
        .flat_map(|of| [(labels::KEPT_OF_PROJECT, of.project), (labels::KEPT_OF_TIER, of.slug)])
    {
        if metadata["labels"].get(key).is_none_or(|known| known != value) {
            labels.insert(key.to_owned(), value.into());
        }
    }
    // After a removal of only the records, no label may remain.
    if kept_of.is_none() {
        labels.extend(gone("labels", &mut [labels::KEPT_OF_PROJECT, labels::KEPT_OF_TIER].into_iter()));
    }
    if labels.is_empty() && annotations.is_empty() {
        return None;
    }
    let mut patch = json!({
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        // The uid protects another object of this name.
        "metadata": {"name": metadata["name"], "uid": metadata["uid"], "labels": labels, "annotations": annotations},
    });
    if let Some(namespace) = metadata.get("namespace") {
        patch["metadata"]["namespace"] = namespace.clone();
    }
    Some(patch)
}

/// Removes the annotation which says that windlass created a namespace, and windlass's labels.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn forget_namespace(session: &Session, cluster: &Cluster, live: &Value) -> Result<()> {
    let mut patch = patch(live, None).unwrap_or_else(|| {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": live["metadata"]["name"], "uid": live["metadata"]["uid"]}})
    });
    patch["metadata"]["annotations"][labels::MADE_FOR] = Value::Null;
    send(session, cluster, &patch).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: KeptOf<'_> = KeptOf { project: "shop", slug: "staging" };

    fn claim(labels: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {
            "name": "files", "namespace": "shop", "uid": "u", "labels": labels,
            "annotations": {"windlass.dev/tier": "staging", "windlass.dev/revision": "3", "windlass.dev/prune": "never"}}})
    }

    #[test]
    fn what_windlass_wrote_goes_and_what_the_manifest_says_stays() {
        let live =
            claim(&json!({"app": "shop", "windlass.dev/project": "shop", "windlass.dev/tier": "staging",
            "app.kubernetes.io/managed-by": "windlass"}));
        let patch = patch(&live, None).unwrap();
        assert_eq!(
            patch["metadata"],
            json!({"name": "files", "namespace": "shop", "uid": "u",
                "labels": {"windlass.dev/project": null, "windlass.dev/tier": null, "app.kubernetes.io/managed-by": null},
                "annotations": {"windlass.dev/tier": null, "windlass.dev/revision": null}})
        );
        let helm = claim(&json!({"app.kubernetes.io/managed-by": "Helm"}));
        assert_eq!(super::patch(&helm, None).unwrap()["metadata"]["labels"], json!({}), "it is not ours");
        let mut shared = live;
        shared["metadata"]["annotations"]["windlass.dev/shared"] = "true".into();
        assert_eq!(super::patch(&shared, None), None, "another tier has it still");
        assert_eq!(super::patch(&json!({"metadata": {"name": "a"}}), None), None);
    }

    #[test]
    fn data_is_found_again_until_somebody_takes_it_over() {
        let mut live = claim(&json!({"windlass.dev/project": "shop", "windlass.dev/tier": "staging"}));
        assert!(OF.is_its(&live), "by the tier's own labels");
        let labels = patch(&live, Some(OF)).unwrap()["metadata"]["labels"].clone();
        live["metadata"]["labels"] = json!({labels::KEPT_OF_PROJECT: labels[labels::KEPT_OF_PROJECT], labels::KEPT_OF_TIER: labels[labels::KEPT_OF_TIER]});
        assert!(OF.is_its(&live));
        assert!(!KeptOf { slug: "production", ..OF }.is_its(&live));
        live["metadata"]["labels"]["windlass.dev/project"] = "toys".into();
        assert!(!OF.is_its(&live), "it is another project's by now");
    }
}
