//! What need not be remembered of a pod that is well, so that thousands of them fit: a change brings it whole.

use serde_json::{Map, Value};

use crate::model::object;
use crate::rollout::snapshot::condition;

const METADATA: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "labels",
    "annotations",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
];
const SPEC: &[&str] = &["containers", "initContainers", "nodeName", "restartPolicy"];
const CONTAINER: &[&str] = &["name", "image", "restartPolicy", "readinessProbe", "livenessProbe"];
const STATUS: &[&str] = &["phase", "conditions", "containerStatuses", "initContainerStatuses"];
const CONDITION: &[&str] = &["type", "status"];
const CONTAINER_STATUS: &[&str] = &["name", "ready", "started", "restartCount", "state", "containerID"];

/// The object as it is to be remembered.
pub(crate) fn slim(mut object: Value) -> Value {
    if object::kind(&object) == "Pod" && is_well(&object) {
        keep(&mut object["metadata"], METADATA);
        keep(&mut object["spec"], SPEC);
        keep(&mut object["status"], STATUS);
        for list in ["/spec/containers", "/spec/initContainers"] {
            keep_each(&mut object, list, CONTAINER);
        }
        for list in ["/status/containerStatuses", "/status/initContainerStatuses"] {
            keep_each(&mut object, list, CONTAINER_STATUS);
        }
        keep_each(&mut object, "/status/conditions", CONDITION);
    }
    object
}

/// Ready, and no container of it ever died: nobody will ask what it is made of.
fn is_well(pod: &Value) -> bool {
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let mut statuses = lists.into_iter().flat_map(|list| object::list(pod, list));
    condition::is_true(pod, "Ready") && statuses.all(|one| object::count(one, "/restartCount") == 0)
}

fn keep_each(object: &mut Value, list: &str, fields: &[&str]) {
    for item in object.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
        keep(item, fields);
    }
}

fn keep(value: &mut Value, fields: &[&str]) {
    if let Value::Object(map) = value {
        // A new map: one whose fields were taken out keeps the room they had.
        let kept: Map<String, Value> = fields
            .iter()
            .filter_map(|field| map.remove(*field).map(|value| ((*field).to_owned(), value)))
            .collect();
        *map = kept;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(restarts: i64) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-1", "labels": {"app": "web"}, "generateName": "web-"},
            "spec": {"volumes": [], "containers": [{"name": "app", "env": [], "readinessProbe": {"periodSeconds": 1}}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}],
                "containerStatuses": [{"name": "app", "restartCount": restarts, "imageID": "x"}]},
        })
    }

    #[test]
    fn of_a_pod_that_is_well_only_what_a_verdict_asks_for_is_kept() {
        assert_eq!(
            slim(pod(0)),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web-1", "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "readinessProbe": {"periodSeconds": 1}}]},
                "status": {"conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [{"name": "app", "restartCount": 0}]},
            })
        );
    }

    #[test]
    fn a_pod_that_is_not_is_kept_whole() {
        assert_eq!(slim(pod(1)), pod(1));
    }
}
