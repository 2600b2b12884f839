//! Objects removed from the manifests: which are deleted, which are kept, and when there are too many to delete without
//! an override.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::{ObjectId, job, labels, object};
use crate::release::plan::Plan;

/// Up to this many objects are deleted without an override.
const MOST: usize = 20;

/// Helm's annotation for the same purpose.
const HELM: &str = "/metadata/annotations/helm.sh~1resource-policy";

/// An object that is kept although it was removed from the manifests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptObject {
    /// The live object.
    pub object: Value,
    /// Why it is kept.
    pub why: &'static str,
}

/// Objects of earlier releases that were removed from the manifests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PruneSet {
    /// The objects to delete, in reverse apply order.
    pub prune: Vec<Value>,
    /// The objects to keep.
    pub left: Vec<KeptObject>,
    /// How many live objects earlier releases own, without Jobs that have ended.
    pub owned: usize,
}

/// Marks an object as shared by tiers: removing one of them does not delete it.
pub(crate) fn share(object: &mut Value) {
    object["metadata"]["annotations"][labels::SHARED] = "true".into();
}

/// Whether tiers share this object.
pub(crate) fn is_shared(object: &Value) -> bool {
    object["metadata"]["annotations"].get(labels::SHARED).is_some()
}

/// Splits the live objects that earlier releases own, and that are no longer wanted, into those to delete and those to
/// keep.
pub(crate) fn leftovers(
    inventory: &BTreeSet<ObjectId>,
    wanted: &BTreeSet<ObjectId>,
    live: &BTreeMap<ObjectId, Arc<Value>>,
) -> PruneSet {
    let is_owned = |id: &ObjectId| inventory.contains(id);
    let owned = live.iter().filter(|(id, object)| is_owned(id) && !has_ended(object)).count();
    let mut leftovers = PruneSet { owned, ..PruneSet::default() };
    let gone = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
    for (id, object) in
        live.iter().filter(|(id, object)| is_owned(id) && !wanted.contains(id) && !gone(object))
    {
        match stays(id, object) {
            Some(why) => leftovers.left.push(KeptObject { object: Value::clone(object), why }),
            None => leftovers.prune.push(Value::clone(object)),
        }
    }
    leftovers
        .prune
        .sort_by_key(|object| std::cmp::Reverse((crate::manifest::phase_of(object), ObjectId::of(object))));
    leftovers
}

/// Why an object is kept; `None` if it is deleted.
pub(crate) fn stays(id: &ObjectId, object: &Value) -> Option<&'static str> {
    match (object::annotation(object, labels::PRUNE), id.kind.as_str()) {
        (None, _) if object.pointer(HELM).is_some_and(|policy| policy == "keep") => {
            Some("it has helm.sh/resource-policy: keep")
        }
        (Some("never"), _) => Some("it has windlass.dev/prune: never"),
        (Some("allowed"), _) => None,
        _ if is_shared(object) => {
            Some("another tier of the project released it as well; windlass.dev/prune: allowed deletes it")
        }
        (_, "PersistentVolumeClaim") => Some("it holds data; windlass.dev/prune: allowed deletes it"),
        (_, "Namespace") => Some("it may contain objects of others; windlass.dev/prune: allowed deletes it"),
        (_, "CustomResourceDefinition") => {
            Some("all objects of its kind would be deleted with it; windlass.dev/prune: allowed deletes it")
        }
        _ => None,
    }
}

fn has_ended(object: &Value) -> bool {
    object["kind"] == "Job" && (job::completed(object) || job::failed(object))
}

/// Why deleting so many objects needs an override.
pub(crate) fn mass_deletion(plan: &Plan) -> Option<String> {
    let count = plan.prune.iter().filter(|object| !has_ended(object)).count();
    (count > MOST || count * 2 > plan.owned)
        .then(|| format!("it would delete {count} of the {} objects that earlier releases made", plan.owned))
}

/// Refuses to delete too much without an override.
///
/// # Errors
/// [`Kind::Rule`] with the numbers and the override.
pub(crate) fn check(plan: &Plan, overridden: bool) -> Result<()> {
    match mass_deletion(plan).filter(|_| !overridden) {
        None => Ok(()),
        Some(sentence) => Err(Error::new(Kind::Rule, sentence).with_hint(
            "`windlass plan TIER` lists them; to delete them: --override mass-deletion --reason \"…\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, prune: Option<&str>) -> Value {
        let version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        let mut object =
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
        if let Some(prune) = prune {
            object["metadata"]["annotations"] = json!({"windlass.dev/prune": prune});
        }
        object
    }

    fn found(live: &[Value], foreign: &[Value]) -> PruneSet {
        let map =
            live.iter().chain(foreign).map(|object| (ObjectId::of(object), object.clone().into())).collect();
        let inventory = live.iter().map(ObjectId::of).collect();
        leftovers(&inventory, &[ObjectId::of(&object("Service", "wanted", None))].into(), &map)
    }

    #[test]
    fn what_nobody_wants_goes_in_reverse_order_and_what_holds_data_stays() {
        let live = [
            object("ConfigMap", "a", None),
            object("Deployment", "b", None),
            object("PersistentVolumeClaim", "data", None),
            object("Service", "wanted", None),
        ];
        let found = found(&live, &[object("Secret", "of-others", None)]);
        let names: Vec<_> = found.prune.iter().map(|object| ObjectId::of(object).to_string()).collect();
        assert_eq!(names, ["Deployment/b", "ConfigMap/a"]);
        assert_eq!(found.left.len(), 1);
        assert_eq!(found.owned, 4);
    }

    #[test]
    fn an_annotation_decides_either_way() {
        let live = [
            object("PersistentVolumeClaim", "data", Some("allowed")),
            object("ConfigMap", "kept", Some("never")),
        ];
        let found = found(&live, &[]);
        assert_eq!(found.prune, live[..1]);
        assert_eq!(found.left[0].object, live[1]);
    }

    #[test]
    fn more_than_half_or_more_than_twenty_is_too_much() {
        let plan = |count: usize, owned| Plan {
            prune: (0..count).map(|index| object("ConfigMap", &index.to_string(), None)).collect(),
            owned,
            ..Plan::default()
        };
        for (count, owned, refused) in
            [(1, 2, false), (2, 3, true), (1, 1, true), (20, 100, false), (21, 100, true), (0, 0, false)]
        {
            assert_eq!(check(&plan(count, owned), false).is_err(), refused, "{count} of {owned}");
            assert!(check(&plan(count, owned), true).is_ok());
        }
    }

    #[test]
    fn a_job_that_has_ended_is_nothing_to_lose() {
        let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate-1"}});
        job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        let found = found(&[job], &[]);
        let plan = Plan { prune: found.prune, owned: found.owned, ..Plan::default() };
        assert!(check(&plan, false).is_ok());
    }
}
