//! Where a pod is to run: no node takes it, its node is lost, or it is on its way.

use jiff::Timestamp;
use serde_json::Value;

use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::pod::container::{Container, Role};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;
use crate::rollout::snapshot::event::Event;

/// When the kubelet, else the API server, first knew of the pod.
pub(crate) fn began(pod: &Value) -> Option<Timestamp> {
    object::time(pod, "/status/startTime").or_else(|| object::created(pod))
}

/// No node takes it: the scheduler's sentence says why.
pub(crate) fn unplaced<'a>(
    scene: &EvalContext<'a>,
    pod: &'a Value,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let scheduled = condition::find(pod, "PodScheduled").filter(Condition::is_false);
    if scheduled.as_ref().is_some_and(|condition| condition.reason == "SchedulingGated") {
        return Some(Finding::new(pod, Severity::Waiting, Some(Cause::Unschedulable), gated(pod)));
    }
    let placed = object::has(pod, "/spec/nodeName") || condition::is_true(pod, "PodScheduled");
    let refused = || events.iter().rev().find(|event| event.reason == "FailedScheduling" && !placed);
    let said = match scheduled {
        Some(condition) if !condition.words().is_empty() => condition.words(),
        Some(_) => refused().map_or("the scheduler does not say why", |event| event.message),
        None => refused()?.message,
    };
    // What preemption could not do either is the same news twice.
    let said = said.split(" preemption: ").next().unwrap_or(said).trim();
    let said = said.trim_end_matches("no new claims to deallocate,").trim();
    let (spec, prefix) = scene.written_pod();
    let selects = said.contains("node affinity/selector") && object::has(spec, "/nodeSelector");
    Some(
        Finding::new(
            pod,
            Severity::Waiting,
            Some(Cause::Unschedulable),
            format!("no node takes the pod: {said}"),
        )
        .about(selects.then(|| format!("{prefix}/nodeSelector"))),
    )
}

/// Whom it waits for that keeps the scheduler from it.
fn gated(pod: &Value) -> String {
    let gates = object::list(pod, "/spec/schedulingGates").iter().map(|gate| object::text(gate, "/name"));
    match gates.collect::<Vec<_>>().join(", ") {
        gates if gates.is_empty() => "the pod waits for its scheduling gates".to_owned(),
        gates => format!("the pod waits for its scheduling gates: {gates}"),
    }
}

/// Its node is lost, or it was put off its node: its controller replaces it.
pub(crate) fn lost<'a>(scene: &EvalContext<'a>, pod: &'a Value, events: &[Event<'a>]) -> Option<Finding<'a>> {
    let reason = object::text(pod, "/status/reason");
    let node = object::text(pod, "/spec/nodeName");
    if object::text(pod, "/status/phase") == "Failed" {
        let cause = if reason == "NodeLost" { Cause::NodeLost } else { Cause::Evicted };
        let said = object::text(pod, "/status/message");
        let said = if said.is_empty() { reason } else { said };
        return Some(Finding::new(
            pod,
            Severity::Waiting,
            Some(cause),
            format!("the pod was put off: {said}"),
        ));
    }
    let known = scene.world.get("", "Node", "", node);
    let is_down =
        known.is_some_and(|node| condition::find(node, "Ready").is_some_and(|ready| !ready.is_true()));
    let is_told = events.iter().any(|event| event.reason == "NodeNotReady");
    let is_ready = condition::is_true(pod, "Ready");
    (reason == "NodeLost" || (!is_ready && (is_down || is_told))).then(|| {
        Finding::new(pod, Severity::Waiting, Some(Cause::NodeLost), format!("node {node} does not answer"))
    })
}

/// Nothing is wrong with it as far as is known: what it does at the moment.
pub(crate) fn underway<'a>(
    pod: &'a Value,
    containers: &[Container<'a>],
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    if condition::is_true(pod, "Ready") {
        return None;
    }
    let gate = condition::find(pod, "Ready").filter(|ready| ready.reason == "ReadinessGatesNotReady");
    let init = containers.iter().find(|one| one.role == Role::Init && one.runs());
    let sandbox = events.last().filter(|event| event.reason == "FailedCreatePodSandBox");
    let pulling = events.last().filter(|event| event.reason == "Pulling");
    let text = gate
        .map(|gate| gate.message.to_owned())
        .or_else(|| init.map(|init| format!("{} still runs", init.title())))
        .or_else(|| sandbox.map(|event| event.message.to_owned()))
        .or_else(|| pulling.map(|event| event.message.to_owned()))?;
    Some(Finding::new(pod, Severity::Waiting, None, text))
}
