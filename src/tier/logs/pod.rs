//! The part of a pod that logs need: its owner, and its containers.

use serde_json::Value;

use crate::cluster::{ContainerRef, Item, Projection};
use crate::model::ObjectRef;
use crate::model::object::{self, EPHEMERAL_STATUSES, INIT_STATUSES, STATUSES};

/// The fields of a pod that are read.
const FIELDS: Projection = Projection::Only(&[
    (
        "metadata",
        Projection::Only(&[
            ("name", Projection::All),
            ("namespace", Projection::All),
            ("uid", Projection::All),
            ("labels", Projection::All),
            ("ownerReferences", Projection::All),
        ]),
    ),
    (
        "spec",
        Projection::Only(&[("initContainers", NAME), ("containers", NAME), ("ephemeralContainers", NAME)]),
    ),
    (
        "status",
        Projection::Only(&[
            ("initContainerStatuses", STATUS),
            ("containerStatuses", STATUS),
            ("ephemeralContainerStatuses", STATUS),
        ]),
    ),
]);
const NAME: Projection = Projection::Only(&[("name", Projection::All)]);
const STATUS: Projection = Projection::Only(&[
    ("name", Projection::All),
    ("restartCount", Projection::All),
    ("state", Projection::All),
    ("lastState", Projection::All),
]);

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct LogPod {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// The uid of its controller, and a reference to it.
    pub(crate) owner: Option<(String, ObjectRef)>,
    /// The init containers first.
    containers: Box<[LogContainer]>,
}

/// A container of a pod.
#[derive(Debug, Clone)]
struct LogContainer {
    name: Box<str>,
    instance: Option<Instance>,
}

/// An instance of a container: how often the container was restarted before it, and whether it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) number: i64,
    pub(crate) runs: bool,
}

impl LogPod {
    /// Reads a pod of a list or of a watch.
    ///
    /// # Errors
    /// If the item is not valid JSON, or is nested too deeply.
    pub(crate) fn read(item: Item<'_>) -> serde_json::Result<Self> {
        Ok(Self::of(&item.read(FIELDS)?))
    }

    /// Reads a pod; fields of an unexpected type count as missing.
    fn of(pod: &Value) -> Self {
        let labels = pod.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())));
        let lists = ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"];
        let names = lists.into_iter().flat_map(|list| object::list(pod, list));
        let names = names.filter_map(|spec| spec["name"].as_str());
        Self {
            namespace: object::namespace(pod).into(),
            name: object::name(pod).into(),
            uid: object::uid(pod).into(),
            labels: labels.collect(),
            owner: owner(pod),
            containers: names
                .map(|name| LogContainer { name: name.into(), instance: instance(pod, name) })
                .collect(),
        }
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value)
    }

    /// All of its containers, or only the one with this name.
    pub(crate) fn containers(
        &self,
        wanted: Option<&str>,
    ) -> impl Iterator<Item = (ContainerRef, Option<Instance>)> {
        let all = self.containers.iter();
        all.filter(move |one| wanted.is_none_or(|wanted| *wanted == *one.name)).map(|one| {
            let container = ContainerRef {
                namespace: self.namespace.to_string(),
                pod: self.name.to_string(),
                container: one.name.to_string(),
            };
            (container, one.instance)
        })
    }
}

/// The uid of the controller, and a reference to it.
pub(crate) fn owner(object: &Value) -> Option<(String, ObjectRef)> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true).or_else(|| owners.first())?;
    let text = |key: &str| owner[key].as_str().unwrap_or_default();
    let reference = ObjectRef::new(text("apiVersion"), text("kind"), text("name"));
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    Some((text("uid").to_owned(), reference.in_namespace(namespace)))
}

/// The current or last instance of a container; `None` before the first.
fn instance(pod: &Value, container: &str) -> Option<Instance> {
    let mut statuses = object::container_statuses(pod, &[INIT_STATUSES, STATUSES, EPHEMERAL_STATUSES]);
    let status = statuses.find(|status| status["name"] == container)?;
    let runs = !status["state"]["running"].is_null();
    let has_run = !status["state"]["terminated"].is_null() || !status["lastState"]["terminated"].is_null();
    (runs || has_run).then(|| Instance { number: status["restartCount"].as_i64().unwrap_or(0), runs })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instance_is_known_from_its_start_to_the_next_one() {
        let pod = |status: Value| json!({"status": {"containerStatuses": [status]}});
        let waits =
            json!({"name": "app", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}});
        assert_eq!(instance(&pod(waits), "app"), None);
        let died = json!({"terminated": {"exitCode": 1}});
        let loops = json!({"name": "app", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": died});
        assert_eq!(instance(&pod(loops), "app"), Some(Instance { number: 1, runs: false }));
        let runs = json!({"name": "app", "restartCount": 2, "state": {"running": {"startedAt": "x"}}, "lastState": died});
        assert_eq!(instance(&pod(runs), "app"), Some(Instance { number: 2, runs: true }));
    }

    #[test]
    fn those_that_run_first_come_first_and_odd_fields_are_as_if_they_were_missing() {
        let pod = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "odd": 1}},
            "spec": {"containers": [{"name": "web"}, 7], "initContainers": [{"name": "migrate"}], "ephemeralContainers": "x"},
            "status": {"containerStatuses": [{"name": "web", "restartCount": 1, "state": {"running": {}}}]},
        });
        let pod = LogPod::of(&FIELDS.copy(&pod));
        let names: Vec<_> = pod.containers(None).map(|(one, instance)| (one.container, instance)).collect();
        let runs = Some(Instance { number: 1, runs: true });
        assert_eq!(names, [("migrate".to_owned(), None), ("web".to_owned(), runs)]);
        assert_eq!(pod.containers(Some("web")).count(), 1);
        assert_eq!((pod.label("app"), pod.label("odd"), &pod.owner), (Some("web"), None, &None));
    }
}
