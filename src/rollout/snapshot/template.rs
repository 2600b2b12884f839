//! The part of a pod that comes from its manifest: equal for all pods of a ReplicaSet, and stored once.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::Projection;
use crate::model::object;
use crate::rollout::snapshot::intern::{ByText, Symbol};

/// Volumes that the API server adds to every pod, each with a different name.
const API_ACCESS: &str = "kube-api-access-";

/// The fields of a container's manifest that verdicts need.
pub(crate) const CONTAINER: Projection = Projection::Only(&[
    ("name", Projection::All),
    ("image", Projection::All),
    ("restartPolicy", Projection::All),
    ("resources", Projection::Only(&[("limits", Projection::Only(&[("memory", Projection::All)]))])),
    ("startupProbe", Projection::All),
    ("livenessProbe", Projection::All),
    ("readinessProbe", Projection::All),
    ("lifecycle", Projection::Only(&[("postStart", Projection::All)])),
]);

/// The fields of a volume that verdicts need, except for the claim, which may differ from pod to pod.
const VOLUME: Projection = Projection::Only(&[
    ("name", Projection::All),
    ("configMap", SOURCE),
    ("secret", SOURCE),
    ("projected", Projection::Only(&[("sources", SOURCES)])),
]);
/// The fields of a ConfigMap or a Secret in a volume.
pub(crate) const SOURCE: Projection = Projection::Only(&[
    ("name", Projection::All),
    ("secretName", Projection::All),
    ("items", Projection::Only(&[("key", Projection::All)])),
]);
/// The sources of a projected volume.
pub(crate) const SOURCES: Projection = Projection::Only(&[("configMap", SOURCE), ("secret", SOURCE)]);

/// The role of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerRole {
    /// It runs before the others, and exits.
    Init,
    /// An init container that keeps running, with `restartPolicy: Always` of its own.
    Sidecar,
    /// A container of `spec.containers`.
    Regular,
}

/// The part of a pod that comes from its manifest.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodTemplate {
    pub(crate) restart_policy: Box<str>,
    /// The init containers first.
    pub(crate) containers: Box<[ContainerSpec]>,
    /// The scheduling gates that keep it from being scheduled.
    pub(crate) gates: Box<[Box<str>]>,
    volumes: Box<[Value]>,
}

/// A container as in the manifest.
#[derive(Debug, Clone)]
pub(crate) struct ContainerSpec {
    pub(crate) name: Symbol,
    pub(crate) role: ContainerRole,
    /// Whether the kubelet restarts it whenever it ends.
    pub(crate) is_kept_alive: bool,
    /// The fields that verdicts need; null if a dump does not have the container.
    pub(crate) spec: Value,
}

/// A container of a pod: its spec and its status, either of which may be missing in a dump.
pub(crate) struct Part<'a> {
    name: &'a str,
    role: ContainerRole,
    is_kept_alive: bool,
    spec: &'a Value,
    pub(crate) status: &'a Value,
}

impl<'a> Part<'a> {
    /// All containers of a pod, the init containers first.
    pub(crate) fn all(pod: &'a Value) -> Vec<Self> {
        let mut parts = Self::some(pod, "/spec/initContainers", "/status/initContainerStatuses", true);
        parts.extend(Self::some(pod, "/spec/containers", "/status/containerStatuses", false));
        parts
    }

    fn some(pod: &'a Value, specs: &str, statuses: &str, init: bool) -> Vec<Self> {
        let (specs, statuses) = (object::list(pod, specs), object::list(pod, statuses));
        let named =
            |list: &'a [Value], name: &str| list.iter().find(|one| object::text(one, "/name") == name);
        let policy = object::text(pod, "/spec/restartPolicy");
        let alone = statuses.iter().filter(|status| named(specs, object::text(status, "/name")).is_none());
        let part = |one: &'a Value| {
            let name = object::text(one, "/name");
            let spec = named(specs, name).unwrap_or(&Value::Null);
            let own = object::text(spec, "/restartPolicy");
            let role = match (init, own) {
                (true, "Always") => ContainerRole::Sidecar,
                (true, _) => ContainerRole::Init,
                (false, _) => ContainerRole::Regular,
            };
            let is_kept_alive = matches!(if own.is_empty() { policy } else { own }, "Always" | "");
            Self { name, role, is_kept_alive, spec, status: named(statuses, name).unwrap_or(&Value::Null) }
        };
        specs.iter().chain(alone).map(part).collect()
    }
}

impl PodTemplate {
    /// The template of a pod with these containers, shared with all pods that have an equal one.
    pub(crate) fn of(pod: &Value, parts: &[Part<'_>], shared: &mut ByText<Self>) -> Arc<Self> {
        let gates = object::list(pod, "/spec/schedulingGates").iter();
        let gates: Vec<&str> = gates.map(|gate| object::text(gate, "/name")).collect();
        let volumes: Vec<Value> = object::list(pod, "/spec/volumes").iter().map(volume).collect();
        let restart_policy = object::text(pod, "/spec/restartPolicy");
        let mut json = format!("{restart_policy:?} {gates:?}");
        for part in parts {
            json += &format!("\n{:?} {:?} {}", part.name, part.role, part.spec);
        }
        for volume in &volumes {
            json += &format!("\n{volume}");
        }
        shared.get(json, || Self {
            restart_policy: restart_policy.into(),
            containers: parts.iter().map(ContainerSpec::of).collect(),
            gates: gates.iter().map(|gate| (*gate).into()).collect(),
            volumes: volumes.into_boxed_slice(),
        })
    }

    /// The images of its regular containers.
    pub(crate) fn images(&self) -> impl Iterator<Item = &str> {
        let regular = self.containers.iter().filter(|one| one.role == ContainerRole::Regular);
        regular.filter(|one| !one.spec.is_null()).map(|one| object::text(&one.spec, "/image"))
    }

    /// The volume of this name.
    pub(crate) fn volume(&self, name: &str) -> Option<&Value> {
        let name = if name.starts_with(API_ACCESS) { API_ACCESS } else { name };
        self.volumes.iter().find(|volume| object::text(volume, "/name") == name)
    }
}

impl ContainerSpec {
    fn of(part: &Part<'_>) -> Self {
        Self {
            name: part.name.into(),
            role: part.role,
            is_kept_alive: part.is_kept_alive,
            spec: CONTAINER.copy(part.spec),
        }
    }
}

/// The cached part of a volume, without what differs from pod to pod.
fn volume(volume: &Value) -> Value {
    let mut kept = VOLUME.copy(volume);
    if object::text(&kept, "/name").starts_with(API_ACCESS) {
        kept["name"] = Value::from(API_ACCESS);
    }
    kept
}
