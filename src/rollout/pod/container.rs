//! A container of a pod: what the manifest says of it beside what the kubelet says.

use jiff::Timestamp;
use serde_json::Value;

use crate::model::object;
use crate::rollout::memory::ContainerKey;

/// Which part a container plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It runs before the others, and ends.
    Init,
    /// An init container that stays: `restartPolicy: Always` of its own.
    Sidecar,
    /// It is what the pod is for.
    Regular,
}

/// A container of a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) spec: &'a Value,
    pub(crate) status: &'a Value,
    /// Whether the kubelet starts it again whenever it ends.
    pub(crate) is_kept_alive: bool,
}

/// An instance of a container that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Termination<'a> {
    pub(crate) exit_code: i64,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
    pub(crate) id: &'a str,
}

impl<'a> Container<'a> {
    /// All containers of a pod, the init containers first.
    pub(crate) fn all(pod: &'a Value) -> Vec<Self> {
        let mut containers = Self::some(pod, "/spec/initContainers", "/status/initContainerStatuses", true);
        containers.extend(Self::some(pod, "/spec/containers", "/status/containerStatuses", false));
        containers
    }

    /// A dump may have lost the one or the other: either is enough.
    fn some(pod: &'a Value, specs: &str, statuses: &str, init: bool) -> Vec<Self> {
        let (specs, statuses) = (object::list(pod, specs), object::list(pod, statuses));
        let named =
            |list: &'a [Value], name: &str| list.iter().find(|one| object::text(one, "/name") == name);
        let policy = object::text(pod, "/spec/restartPolicy");
        let alone = statuses.iter().filter(|status| named(specs, object::text(status, "/name")).is_none());
        specs
            .iter()
            .chain(alone)
            .map(|one| object::text(one, "/name"))
            .map(|name| {
                let spec = named(specs, name).unwrap_or(&Value::Null);
                let own = object::text(spec, "/restartPolicy");
                let role = match (init, own) {
                    (true, "Always") => Role::Sidecar,
                    (true, _) => Role::Init,
                    (false, _) => Role::Regular,
                };
                let status = named(statuses, name).unwrap_or(&Value::Null);
                let is_kept_alive = matches!(if own.is_empty() { policy } else { own }, "Always" | "");
                Self { name, role, spec, status, is_kept_alive }
            })
            .collect()
    }

    /// What it is remembered by.
    pub(crate) fn key(&self, pod: &Value) -> ContainerKey {
        ContainerKey { pod: pod_key(pod).into(), container: self.name.into() }
    }

    /// `container web`, `init container migrate`.
    pub(crate) fn title(&self) -> String {
        match self.role {
            Role::Init => format!("init container {}", self.name),
            Role::Sidecar => format!("sidecar container {}", self.name),
            Role::Regular => format!("container {}", self.name),
        }
    }

    /// The image that the manifest names.
    pub(crate) fn image(&self) -> &'a str {
        let image = object::text(self.spec, "/image");
        if image.is_empty() { object::text(self.status, "/image") } else { image }
    }

    /// Why it waits; empty when it does not.
    pub(crate) fn waits(&self) -> &'a str {
        object::text(self.status, "/state/waiting/reason")
    }

    /// What the kubelet says about its waiting.
    pub(crate) fn waiting_message(&self) -> &'a str {
        object::text(self.status, "/state/waiting/message")
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        object::has(self.status, "/state/running")
            || self.status.pointer("/state/running").is_some_and(Value::is_object)
    }

    /// Since when it runs, where it does.
    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        object::time(self.status, "/state/running/startedAt")
    }

    /// Whether the kubelet calls it ready.
    pub(crate) fn is_ready(&self) -> bool {
        object::is_true(self.status, "/ready")
    }

    /// How often the kubelet has started it again.
    pub(crate) fn restarts(&self) -> i64 {
        object::count(self.status, "/restartCount").max(0)
    }

    /// The instance that was there last, where it is dead now and no new one runs.
    pub(crate) fn dead_now(&self) -> Option<Termination<'a>> {
        let now = self.status.pointer("/state/terminated").and_then(Termination::read);
        now.or_else(|| if self.runs() { None } else { self.died_before() })
    }

    /// The instance before the one that there is.
    pub(crate) fn died_before(&self) -> Option<Termination<'a>> {
        self.status.pointer("/lastState/terminated").and_then(Termination::read)
    }

    /// Whether it has done what it was there for: what it died of before is over.
    pub(crate) fn is_done(&self) -> bool {
        let ended = self.status.pointer("/state/terminated").and_then(Termination::read);
        ended.is_some_and(|ended| ended.exit_code == 0 && !ended.wanted_memory())
            && (self.role == Role::Init || !self.is_kept_alive)
    }

    /// The instances that are known to be dead, the latest first.
    pub(crate) fn known_deaths(&self) -> impl Iterator<Item = Termination<'a>> {
        let now = self.status.pointer("/state/terminated").and_then(Termination::read);
        now.into_iter().chain(self.died_before())
    }

    /// How many instances have ended.
    pub(crate) fn ended(&self) -> i64 {
        self.restarts() + i64::from(self.dead_now().is_some())
    }

    /// A pointer to a field of it in the pod's spec: `/containers/0/image`.
    pub(crate) fn pointer(&self, pod_spec: &Value, field: &str) -> Option<String> {
        let list = if self.role == Role::Regular { "/containers" } else { "/initContainers" };
        let all = object::list(pod_spec, list);
        let index = all.iter().position(|one| object::text(one, "/name") == self.name)?;
        Some(format!("{list}/{index}{field}"))
    }
}

impl<'a> Termination<'a> {
    fn read(terminated: &'a Value) -> Option<Self> {
        terminated.as_object()?;
        Some(Self {
            exit_code: object::count(terminated, "/exitCode"),
            reason: object::text(terminated, "/reason"),
            message: object::text(terminated, "/message"),
            started: object::time(terminated, "/startedAt"),
            finished: object::time(terminated, "/finishedAt"),
            id: object::text(terminated, "/containerID"),
        })
    }

    /// For how many seconds it had run; none where it never did, whose start is said to be that of all time.
    pub(crate) fn lived(&self) -> i64 {
        match (self.started, self.finished) {
            (Some(started), Some(finished)) if started.as_second() > 0 => {
                finished.as_second().saturating_sub(started.as_second()).max(0)
            }
            _ => 0,
        }
    }

    /// Whether it never ran: the container runtime could not start it.
    pub(crate) fn never_ran(&self) -> bool {
        matches!(self.reason, "StartError" | "ContainerCannotRun")
    }

    /// Whether the kernel ended it for want of memory.
    pub(crate) fn wanted_memory(&self) -> bool {
        self.reason == "OOMKilled" || self.message.contains("OOM-killed")
    }
}

/// A pod by its uid, which a pod of the same name in the same place does not share.
pub(crate) fn pod_key(pod: &Value) -> &str {
    let uid = object::uid(pod);
    if uid.is_empty() { object::name(pod) } else { uid }
}
