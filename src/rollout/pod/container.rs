//! A container of a pod: its spec together with the status that the kubelet reports.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::object;
use crate::rollout::context::EvalContext;
use crate::rollout::memory::ContainerKey;
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::pod::{ContainerStatus, Pod, Terminated};
pub(crate) use crate::rollout::snapshot::template::ContainerRole as Role;
use crate::rollout::snapshot::template::ContainerSpec;

/// A container of a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) spec: &'a Value,
    pub(crate) status: &'a ContainerStatus,
    /// Whether the kubelet restarts it whenever it ends.
    pub(crate) is_kept_alive: bool,
    key: (&'a Symbol, &'a Symbol),
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
    pub(crate) fn all(pod: &'a Pod) -> Vec<Self> {
        let container = |(one, status): (&'a ContainerSpec, &'a ContainerStatus)| Self {
            name: &one.name,
            role: one.role,
            spec: &one.spec,
            status,
            is_kept_alive: one.is_kept_alive,
            key: (pod.key(), &one.name),
        };
        pod.template.containers.iter().zip(&pod.containers).map(container).collect()
    }

    /// The key under which its states are remembered.
    pub(crate) fn key(&self) -> ContainerKey {
        let (pod, container) = self.key;
        ContainerKey { pod: Arc::clone(pod), container: Arc::clone(container) }
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
        if image.is_empty() { self.status.image.as_deref().unwrap_or_default() } else { image }
    }

    /// Why it waits; empty if it does not.
    pub(crate) fn waits(&self) -> &'a str {
        self.status.waiting.as_ref().map_or("", |said| &said.reason)
    }

    /// The kubelet's message about why it waits.
    pub(crate) fn waiting_message(&self) -> &'a str {
        self.status.waiting.as_ref().map_or("", |said| &said.message)
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.status.running.is_some()
    }

    /// Since when it runs, if it does.
    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        self.status.running.and_then(|running| running.since)
    }

    /// Whether the kubelet reports it as ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.status.ready
    }

    /// How often the kubelet has restarted it.
    pub(crate) fn restarts(&self) -> i64 {
        self.status.restarts
    }

    /// The last instance, if it has ended and no new one runs.
    pub(crate) fn dead_now(&self) -> Option<Termination<'a>> {
        let now = self.status.terminated.as_deref().map(Termination::of);
        now.or_else(|| if self.runs() { None } else { self.died_before() })
    }

    /// The instance before the current one.
    pub(crate) fn died_before(&self) -> Option<Termination<'a>> {
        self.status.last.as_deref().map(Termination::of)
    }

    /// Whether it has completed its work: earlier deaths are of no interest then.
    pub(crate) fn is_done(&self) -> bool {
        let ended = self.status.terminated.as_deref().map(Termination::of);
        ended.is_some_and(|ended| ended.exit_code == 0 && !ended.wanted_memory())
            && (self.role == Role::Init || !self.is_kept_alive)
    }

    /// The instances that are known to have died, the latest first.
    pub(crate) fn known_deaths(&self) -> impl Iterator<Item = Termination<'a>> {
        let now = self.status.terminated.as_deref().map(Termination::of);
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
    fn of(terminated: &'a Terminated) -> Self {
        Self {
            exit_code: terminated.exit_code.unwrap_or(0),
            reason: &terminated.said.reason,
            message: &terminated.said.message,
            started: terminated.started,
            finished: terminated.finished,
            id: &terminated.id,
        }
    }

    /// For how many seconds it ran; 0 if it never did, in which case the kubelet reports a start in 1970.
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

    /// Whether the kernel killed it because it ran out of memory.
    pub(crate) fn wanted_memory(&self) -> bool {
        self.reason == "OOMKilled" || self.message.contains("OOM-killed")
    }
}

/// A container as the rules see it.
pub(crate) struct ContainerView<'v, 'a> {
    /// The object that is evaluated, and its context.
    pub(crate) context: &'v mut EvalContext<'a>,
    /// The pod.
    pub(crate) pod: &'a Pod,
    /// The container.
    pub(crate) container: &'v Container<'a>,
    /// The pod's events.
    pub(crate) events: &'v [Event<'a>],
}

/// The JSON pointer to a field of a container in the manifest.
pub(crate) fn pointer(context: &EvalContext, container: &Container, field: &str) -> Option<String> {
    let (spec, prefix) = context.written_pod();
    Some(format!("{prefix}{}", container.pointer(spec, field)?))
}
