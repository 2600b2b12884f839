//! The `PersistentVolumeClaims` that `StatefulSet`s create from their templates: no manifest has them, and they outlive
//! the `StatefulSet`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::error::Result;
use crate::model::{ObjectId, labels};

/// Whether the object is a `PersistentVolumeClaim`.
pub(crate) fn is_claim(object: &Value) -> bool {
    object["kind"] == "PersistentVolumeClaim"
}

/// The claims that these `StatefulSet`s created from their templates; other objects are ignored.
pub(crate) async fn of_sets(cluster: &Cluster, sets: impl Iterator<Item = &Value>) -> Result<Vec<Value>> {
    let mut prefixes: BTreeSet<(String, String)> = BTreeSet::new();
    for set in sets.filter(|object| object["kind"] == "StatefulSet") {
        let id = ObjectId::of(set);
        let templates = set.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
        for template in templates.into_iter().flatten() {
            let name = template.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            prefixes.insert((id.namespace.clone(), format!("{name}-{}-", id.name)));
        }
    }
    let namespaces: BTreeSet<&String> = prefixes.iter().map(|(namespace, _)| namespace).collect();
    let mut found = Vec::new();
    for namespace in namespaces {
        let claims = cluster.list_metadata("v1", "PersistentVolumeClaim", Some(namespace), None).await?;
        let is_of_set = |claim: &Value| {
            let name = claim.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let mut of_namespace = prefixes.iter().filter(|(of, _)| of == namespace);
            of_namespace.any(|(_, prefix)| {
                name.strip_prefix(prefix.as_str()).is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
            })
        };
        found.extend(claims.into_iter().filter(is_of_set));
    }
    Ok(found)
}

/// Puts the tier's labels on claims that outlive the objects of a release: `remove` finds them by these labels.
pub(crate) async fn mark(
    cluster: &Cluster,
    project: &str,
    tier_slug: &str,
    claims: impl Iterator<Item = &Value>,
) -> Result<()> {
    let labels = [(labels::PROJECT, project), (labels::TIER, tier_slug)];
    for claim in claims {
        if labels.iter().all(|(key, value)| claim["metadata"]["labels"][*key] == *value) {
            continue;
        }
        let patch = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": claim["metadata"]["name"],
                "namespace": claim["metadata"]["namespace"],
                "labels": labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            },
        });
        cluster.merge_patch(&patch).await?;
    }
    Ok(())
}
