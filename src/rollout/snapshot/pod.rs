//! The fields of a pod that verdicts need: some hundred bytes instead of several thousand of JSON.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Projection;
use crate::model::object;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::intern::{ByText, Shared, Symbol, Symbols};
use crate::rollout::snapshot::labels::Labels;
use crate::rollout::snapshot::owner::OwnerRef;
use crate::rollout::snapshot::template::{CONTAINER, Part, PodTemplate, SOURCE, SOURCES};

/// The fields of a pod that are read.
pub(crate) const FIELDS: Projection = Projection::Only(&[
    (
        "metadata",
        Projection::Only(&[
            ("name", Projection::All),
            ("namespace", Projection::All),
            ("uid", Projection::All),
            ("labels", Projection::All),
            ("ownerReferences", Projection::All),
            ("creationTimestamp", Projection::All),
            ("deletionTimestamp", Projection::All),
        ]),
    ),
    (
        "spec",
        Projection::Only(&[
            ("nodeName", Projection::All),
            ("restartPolicy", Projection::All),
            ("containers", CONTAINER),
            ("initContainers", CONTAINER),
            ("volumes", VOLUME),
            ("schedulingGates", Projection::All),
            (
                "affinity",
                Projection::Only(&[("nodeAffinity", Projection::Only(&[(REQUIRED, Projection::All)]))]),
            ),
        ]),
    ),
    (
        "status",
        Projection::Only(&[
            ("phase", Projection::All),
            ("reason", Projection::All),
            ("message", Projection::All),
            ("startTime", Projection::All),
            ("conditions", CONDITION),
            ("containerStatuses", STATUS),
            ("initContainerStatuses", STATUS),
        ]),
    ),
]);
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const VOLUME: Projection = Projection::Only(&[
    ("name", Projection::All),
    ("configMap", SOURCE),
    ("secret", SOURCE),
    ("projected", Projection::Only(&[("sources", SOURCES)])),
    ("persistentVolumeClaim", Projection::All),
]);
const CONDITION: Projection = Projection::Only(&[
    ("type", Projection::All),
    ("status", Projection::All),
    ("reason", Projection::All),
    ("message", Projection::All),
]);
const STATUS: Projection = Projection::Only(&[
    ("name", Projection::All),
    ("image", Projection::All),
    ("ready", Projection::All),
    ("started", Projection::All),
    ("restartCount", Projection::All),
    ("state", Projection::All),
    ("lastState", Projection::All),
]);

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) namespace: Symbol,
    pub(crate) name: Symbol,
    pub(crate) uid: Symbol,
    pub(crate) owners: Arc<[OwnerRef]>,
    pub(crate) labels: Arc<Labels>,
    pub(crate) template: Arc<PodTemplate>,
    /// The node that it runs on; empty before it is scheduled.
    pub(crate) node: Symbol,
    /// The node that its controller chose for it; empty if it may run on any.
    pub(crate) meant_for: Symbol,
    pub(crate) created: Option<Timestamp>,
    /// When the kubelet first saw it.
    pub(crate) started: Option<Timestamp>,
    pub(crate) is_being_deleted: bool,
    pub(crate) phase: Symbol,
    /// Why it is in this phase.
    pub(crate) said: Option<Box<Said>>,
    pub(crate) ready: PodCondition,
    pub(crate) scheduled: PodCondition,
    /// The claims that its volumes refer to.
    pub(crate) claims: Box<[Symbol]>,
    /// The container statuses, in the order of the template's containers.
    pub(crate) containers: Box<[ContainerStatus]>,
    /// The complete object, if the pod may be judged on its own.
    pub(crate) whole: Option<Arc<Value>>,
}

/// A reason and a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) reason: Box<str>,
    pub(crate) message: Box<str>,
}

/// A condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PodCondition {
    Absent,
    True,
    False(Box<Said>),
    /// `Unknown`, or an unexpected value.
    Other(Box<Said>),
}

/// The status that the kubelet reports for a container.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerStatus {
    pub(crate) ready: bool,
    pub(crate) started: Option<bool>,
    /// How often the kubelet has restarted it.
    pub(crate) restarts: i64,
    /// Why it waits, if it does.
    pub(crate) waiting: Option<Box<Said>>,
    /// The running instance, if there is one.
    pub(crate) running: Option<Running>,
    /// How it ended, if it has.
    pub(crate) terminated: Option<Box<Terminated>>,
    /// How the previous instance ended.
    pub(crate) last: Option<Box<Terminated>>,
    /// The image, if the manifest does not name it.
    pub(crate) image: Option<Symbol>,
}

/// A running instance of a container.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Running {
    pub(crate) since: Option<Timestamp>,
}

/// How an instance of a container ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terminated {
    pub(crate) exit_code: Option<i64>,
    pub(crate) said: Said,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
    pub(crate) id: Box<str>,
}

/// The values that pods and ReplicaSets have in common, stored once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    pub(crate) symbols: Symbols,
    pub(super) labels: Shared<Arc<Labels>>,
    pub(super) owners: Shared<Arc<[OwnerRef]>>,
    templates: ByText<PodTemplate>,
}

impl Pod {
    /// Reads a pod; fields of an unexpected type count as missing.
    pub(crate) fn read(pod: &Value, interner: &mut Interner) -> Self {
        let symbols = &mut interner.symbols;
        let parts = Part::all(pod);
        let labels = Labels::read(pod, "/metadata/labels", symbols);
        let owners = OwnerRef::all(pod, symbols);
        let (reason, message) = (object::text(pod, "/status/reason"), object::text(pod, "/status/message"));
        let said = Said { reason: reason.into(), message: message.into() };
        let claims = object::list(pod, "/spec/volumes").iter();
        let claims = claims.map(|volume| object::text(volume, "/persistentVolumeClaim/claimName"));
        Self {
            namespace: symbols.get(object::namespace(pod)),
            name: object::name(pod).into(),
            uid: symbols.get(object::uid(pod)),
            owners: interner.owners.get(owners),
            labels: interner.labels.get(labels),
            template: PodTemplate::of(pod, &parts, &mut interner.templates),
            node: symbols.get(object::text(pod, "/spec/nodeName")),
            meant_for: symbols.get(meant_for(pod)),
            created: object::created(pod),
            started: object::time(pod, "/status/startTime"),
            is_being_deleted: object::is_being_deleted(pod),
            phase: symbols.get(object::text(pod, "/status/phase")),
            said: (said != Said::default()).then(|| Box::new(said)),
            ready: PodCondition::read(pod, "Ready"),
            scheduled: PodCondition::read(pod, "PodScheduled"),
            claims: claims.filter(|name| !name.is_empty()).map(|name| symbols.get(name)).collect(),
            containers: parts.iter().map(|part| ContainerStatus::read(part.status, symbols)).collect(),
            whole: None,
        }
    }

    /// Reads a single pod, without sharing values.
    pub(crate) fn of(pod: &Value) -> Self {
        Self::read(pod, &mut Interner::default())
    }

    /// The key under which it is remembered: its uid, because another pod may have the same name later.
    pub(crate) fn key(&self) -> &Symbol {
        if self.uid.is_empty() { &self.name } else { &self.uid }
    }

    /// A label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    pub(crate) fn reason(&self) -> &str {
        self.said.as_ref().map_or("", |said| &said.reason)
    }

    /// Whether there is nothing to examine, as for most pods most of the time.
    pub(crate) fn is_healthy(&self) -> bool {
        let is_healthy = |one: &ContainerStatus| {
            one.restarts == 0 && one.waiting.as_ref().is_none_or(|said| said.reason.is_empty())
        };
        self.ready.is_true() && self.containers.iter().all(is_healthy)
    }

    /// When the kubelet, else the API server, first saw it.
    pub(crate) fn began(&self) -> Option<Timestamp> {
        self.started.or(self.created)
    }
}

/// The node of a pod of a `DaemonSet`, before it is bound to that node.
fn meant_for(pod: &Value) -> &str {
    let terms =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let fields = object::list(pod, terms).iter().flat_map(|term| object::list(term, "/matchFields"));
    let mut named = fields.filter(|field| object::text(field, "/key") == "metadata.name");
    named.next().map(|field| object::text(field, "/values/0")).unwrap_or_default()
}

impl Said {
    /// Its message, or its reason if it has none.
    pub(crate) fn words(&self) -> &str {
        if self.message.is_empty() { &self.reason } else { &self.message }
    }
}

impl PodCondition {
    fn read(pod: &Value, kind: &str) -> Self {
        let Some(condition) = condition::find(pod, kind) else { return Self::Absent };
        if condition.is_true() {
            return Self::True;
        }
        let said = Box::new(Said { reason: condition.reason.into(), message: condition.message.into() });
        if condition.is_false() { Self::False(said) } else { Self::Other(said) }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::True
    }

    /// Why it is false, if it is.
    pub(crate) fn why_false(&self) -> Option<&Said> {
        match self {
            Self::False(said) => Some(said),
            _ => None,
        }
    }

    /// Why it is not true, if it exists.
    pub(crate) fn why_not(&self) -> Option<&Said> {
        match self {
            Self::False(said) | Self::Other(said) => Some(said),
            Self::Absent | Self::True => None,
        }
    }
}

impl ContainerStatus {
    /// Reads the status of a container.
    pub(crate) fn read(status: &Value, symbols: &mut Symbols) -> Self {
        let said = |at: &str| Said {
            reason: object::text(status, &format!("{at}/reason")).into(),
            message: object::text(status, &format!("{at}/message")).into(),
        };
        let waiting = said("/state/waiting");
        let runs = object::has(status, "/state/running")
            || status.pointer("/state/running").is_some_and(Value::is_object);
        let image = object::text(status, "/image");
        Self {
            ready: object::is_true(status, "/ready"),
            started: status.pointer("/started").and_then(Value::as_bool),
            restarts: object::count(status, "/restartCount").max(0),
            waiting: (waiting != Said::default()).then(|| Box::new(waiting)),
            running: runs.then(|| Running { since: object::time(status, "/state/running/startedAt") }),
            terminated: Terminated::read(status.pointer("/state/terminated")),
            last: Terminated::read(status.pointer("/lastState/terminated")),
            image: (!image.is_empty()).then(|| symbols.get(image)),
        }
    }

    /// Whether an instance of it has ever started.
    pub(crate) fn has_begun(&self) -> bool {
        self.running.is_some() || self.terminated.is_some()
    }
}

impl Terminated {
    fn read(terminated: Option<&Value>) -> Option<Box<Self>> {
        let terminated = terminated.filter(|one| one.is_object())?;
        let said = Said {
            reason: object::text(terminated, "/reason").into(),
            message: object::text(terminated, "/message").into(),
        };
        Some(Box::new(Self {
            exit_code: object::number(terminated, "/exitCode"),
            said,
            started: object::time(terminated, "/startedAt"),
            finished: object::time(terminated, "/finishedAt"),
            id: object::text(terminated, "/containerID").into(),
        }))
    }
}
