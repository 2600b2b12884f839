//! A StatefulSet with ordered updates waits for each pod, even for one that will never be ready: a corrected template
//! is not rolled out while a broken pod of the previous version blocks it (kubernetes/kubernetes#67250). Its
//! documentation says to delete that pod by hand; this module does it.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::{self, Cluster, DeleteOptions, Deleted, Item, Projection, SeenObject};
use crate::error::Result;
use crate::model::{ObjectId, ObjectRef};
use crate::session::Session;

/// How long the controller may take to observe the new template.
const NOTICING: Duration = Duration::from_secs(10);

/// The fields of a pod that tell whether it blocks the rollout, and its identity.
const SEEN: Projection = Projection::Only(&[
    ("metadata", Projection::AllBut(&[("managedFields", Projection::Nothing)])),
    ("status", Projection::Only(&[("conditions", Projection::All)])),
]);

/// Whose pods may block a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspects {
    /// None: the previous release was good.
    None,
    /// Those of a version after the last complete one.
    Incomplete,
    /// Those of the current version as well: no release has ever been good, or this is a rollback.
    All,
}

/// Deletes the pods that block the rollout of this StatefulSet: not ready, and of a revision that is no longer wanted.
///
/// # Errors
/// What the cluster refuses. A missing permission is only a warning, with the command to run.
pub(crate) async fn unstick(
    session: &Session,
    cluster: &Cluster,
    wanted: &Value,
    suspects: Suspects,
) -> Result<()> {
    if suspects == Suspects::None || !rolls_in_order(wanted) {
        return Ok(());
    }
    let Some(set) = noticed(cluster, &ObjectRef::of(wanted)).await? else { return Ok(()) };
    let stuck = match pods(cluster, &set).await {
        Err(error) if cluster::is_denied(&error) => return Ok(()),
        pods => pods?.into_iter().filter(|pod| is_in_the_way(pod, &set, suspects)).collect::<Vec<_>>(),
    };
    for pod in stuck {
        let (id, owner) = (ObjectId::of(&pod), ObjectId::of(wanted));
        match cluster.delete(&SeenObject::of(&pod)?, DeleteOptions::default()).await {
            Err(error) if cluster::is_denied(&error) => session.reporter.warn_with_hint(
                format!("{id} holds up the rollout of {owner}, and the right to delete it is missing"),
                format!("kubectl -n {} delete pod {}", id.namespace, id.name),
            ),
            deleted => {
                if deleted? == Deleted::Begun {
                    session.reporter.warn(format!("deleted {id}: it was broken and held up {owner}"));
                }
            }
        }
    }
    Ok(())
}

fn rolls_in_order(set: &Value) -> bool {
    let is = |pointer: &str, word| set.pointer(pointer).and_then(Value::as_str) == Some(word);
    set["kind"] == "StatefulSet"
        && !is("/spec/podManagementPolicy", "Parallel")
        && !is("/spec/updateStrategy/type", "OnDelete")
}

/// The StatefulSet once its controller has observed its current generation; as it is, if that takes too long.
async fn noticed(cluster: &Cluster, reference: &ObjectRef) -> Result<Option<Value>> {
    let end = tokio::time::Instant::now() + NOTICING;
    loop {
        let Some(set) = cluster.get(reference).await? else { return Ok(None) };
        let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let seen = number("/status/observedGeneration") >= number("/metadata/generation");
        if seen || tokio::time::Instant::now() >= end {
            return Ok(Some(set));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The pods that it owns.
async fn pods(cluster: &Cluster, set: &Value) -> Result<Vec<Value>> {
    let labels = set.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selector =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let selector = selector.collect::<Vec<_>>().join(",");
    let namespace = set.pointer("/metadata/namespace").and_then(Value::as_str);
    let is_its = |pod: &Value| {
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == set["metadata"]["uid"]))
    };
    let read = |item: Item<'_>| Ok(Some(item.read(SEEN)?).filter(is_its));
    let listed = cluster.list_each("v1", "Pod", namespace, Some(&selector), read).await?;
    Ok(listed.into_iter().flatten().collect())
}

/// Whether a pod blocks the others and has a revision that is no longer wanted.
fn is_in_the_way(pod: &Value, set: &Value, suspects: Suspects) -> bool {
    let revision = pod.pointer("/metadata/labels/controller-revision-hash").and_then(Value::as_str);
    let known = |key: &str| set.pointer(&format!("/status/{key}")).and_then(Value::as_str);
    let (Some(revision), Some(update)) = (revision, known("updateRevision")) else { return false };
    let current = known("currentRevision").filter(|_| suspects != Suspects::All);
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready =
        conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
    let leaving = pod.pointer("/metadata/deletionTimestamp").is_some();
    !ready && !leaving && revision != update && Some(revision) != current
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(revision: &str, ready: &str) -> Value {
        json!({"metadata": {"labels": {"controller-revision-hash": revision}},
               "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn set(current: &str, update: &str) -> Value {
        json!({"status": {"currentRevision": current, "updateRevision": update}})
    }

    #[test]
    fn only_a_broken_pod_of_a_version_that_nobody_wants_is_in_the_way() {
        let is_in_the_way = |pod: &Value, set: &Value| super::is_in_the_way(pod, set, Suspects::Incomplete);
        let back = set("db-1", "db-1");
        assert!(is_in_the_way(&pod("db-2", "False"), &back));
        assert!(!is_in_the_way(&pod("db-2", "True"), &back), "the controller replaces it by itself");
        assert!(!is_in_the_way(&pod("db-1", "False"), &back), "it is what is wanted");
        let fixed = set("db-1", "db-3");
        assert!(is_in_the_way(&pod("db-2", "False"), &fixed));
        assert!(!is_in_the_way(&pod("db-1", "False"), &fixed), "it may only be starting");
        assert!(super::is_in_the_way(&pod("db-1", "False"), &fixed, Suspects::All), "it never worked");
        let mut leaving = pod("db-2", "False");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-23T09:05:00Z");
        assert!(!is_in_the_way(&leaving, &back));
    }

    #[test]
    fn sets_that_do_not_wait_for_each_pod_do_not_get_stuck() {
        let set = |spec: Value| json!({"kind": "StatefulSet", "spec": spec});
        assert!(rolls_in_order(&set(json!({}))));
        assert!(!rolls_in_order(&set(json!({"podManagementPolicy": "Parallel"}))));
        assert!(!rolls_in_order(&set(json!({"updateStrategy": {"type": "OnDelete"}}))));
    }
}
