//! What is not of the release but beside it, asked for once at the end: whether any pod has the labels that a
//! Service selects, and whether the Services exist that an Ingress leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Watcher;
use crate::cluster::{Cluster, ObjectId, ObjectRef};
use crate::rollout::judge::{Context, Memory, ReleaseContext, judge};
use crate::rollout::object;
use crate::rollout::world::World;

/// A warning is not worth more.
const PATIENCE: Duration = Duration::from_secs(3);
/// Kinds that a Service or an Ingress may lead to.
const KINDS: [&str; 7] =
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Service"];

impl Watcher {
    /// Has the Services and Ingresses judged once more, knowing what is beside them.
    pub(super) async fn look_beside(&mut self, ids: &[ObjectId]) {
        let leads = |id: &&ObjectId| {
            matches!(
                (id.group.as_str(), id.kind.as_str()),
                ("", "Service") | ("networking.k8s.io", "Ingress")
            )
        };
        let leading: Vec<&ObjectId> = ids.iter().filter(leads).filter(|id| self.set[*id].is_done()).collect();
        let worlds = self.worlds(&leading);
        let unanswered = leading.into_iter().filter(|id| {
            let object = self.set[*id].newest();
            !self.warnings(object, &worlds[&id.namespace]).is_empty()
        });
        let looks = unanswered.map(|id| async {
            let object = self.set[id].newest();
            let others = tokio::time::timeout(PATIENCE, others(&self.cluster, object)).await.ok()??;
            Some((id.clone(), self.warnings(object, &complete(others))))
        });
        for (id, warnings) in futures::future::join_all(looks).await.into_iter().flatten() {
            if let Some(judgement) = self.set.get_mut(&id).and_then(|tracked| tracked.judgement.as_mut()) {
                judgement.warnings = warnings;
            }
        }
    }

    /// What of the release they may lead to, once for each of their namespaces.
    fn worlds(&self, leading: &[&ObjectId]) -> BTreeMap<String, World> {
        let namespaces: BTreeSet<&str> = leading.iter().map(|id| id.namespace.as_str()).collect();
        let mut worlds: BTreeMap<String, World> =
            namespaces.into_iter().map(|namespace| (namespace.to_owned(), complete(Vec::new()))).collect();
        for tracked in self.set.values().filter(|tracked| KINDS.contains(&tracked.id().kind.as_str())) {
            if let Some(world) = worlds.get_mut(&tracked.id().namespace) {
                world.upsert(tracked.newest().clone());
            }
        }
        worlds
    }

    fn warnings(&self, object: &Value, world: &World) -> Vec<String> {
        let context = Context {
            now: self.cluster.now(),
            release: Some(ReleaseContext::default()),
            health: self.health.clone(),
        };
        judge(object, world, &context, &mut Memory::default()).warnings
    }
}

/// The world in which there are no pods and no Services but these.
fn complete(objects: Vec<Value>) -> World {
    let mut world = World::new(objects);
    world.mark_complete("Pod");
    world.mark_complete("Service");
    world
}

/// All that it leads to, as the cluster has it; `None` where that may not be known.
async fn others(cluster: &Cluster, object: &Value) -> Option<Vec<Value>> {
    let namespace = Some(object::namespace(object)).filter(|namespace| !namespace.is_empty());
    if let Some(selector) = object.pointer("/spec/selector").and_then(Value::as_object) {
        let pods = cluster.list_metadata("v1", "Pod", namespace, Some(&written(selector))).await.ok()?.items;
        return Some(
            pods.into_iter().filter(|pod| !object::has(pod, "/metadata/deletionTimestamp")).collect(),
        );
    }
    let mut found = Vec::new();
    for name in backends(object) {
        let service = ObjectRef::new("v1", "Service", name).in_namespace(object::namespace(object));
        found.extend(cluster.get(&service).await.ok()?);
    }
    Some(found)
}

/// `app=web,tier=front`
fn written(selector: &Map<String, Value>) -> String {
    let terms = selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    terms.collect::<Vec<_>>().join(",")
}

/// The Services that an Ingress names.
fn backends(ingress: &Value) -> Vec<&str> {
    let rules =
        object::list(ingress, "/spec/rules").iter().flat_map(|rule| object::list(rule, "/http/paths"));
    let of_rules = rules.map(|path| object::text(path, "/backend/service/name"));
    let mut names: Vec<&str> =
        of_rules.chain([object::text(ingress, "/spec/defaultBackend/service/name")]).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}
