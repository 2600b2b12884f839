//! Where a pod is to run: no node takes it, its node is lost, or it is on its way.

use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::pod::container::{Container, Role};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::{Pod, Said};

/// No node takes it: the scheduler's sentence says why.
pub(crate) fn unplaced<'a>(
    context: &EvalContext<'a>,
    pod: &'a Pod,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let scheduled = pod.scheduled.why_false();
    if scheduled.is_some_and(|said| &*said.reason == "SchedulingGated") {
        return Some(Finding::new(pod, Severity::Waiting, Some(Cause::Unschedulable), gated(pod)));
    }
    let placed = !pod.node.is_empty() || pod.scheduled.is_true();
    let refused = || events.iter().rev().find(|event| event.reason == "FailedScheduling" && !placed);
    let said = match scheduled {
        Some(said) if !said.words().is_empty() => said.words(),
        Some(_) => refused().map_or("the scheduler does not say why", |event| event.message),
        None => refused()?.message,
    };
    // What preemption could not do either is the same news twice.
    let said = said.split(" preemption: ").next().unwrap_or(said).trim();
    let said = said.trim_end_matches("no new claims to deallocate,").trim();
    let (spec, prefix) = context.written_pod();
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
fn gated(pod: &Pod) -> String {
    match pod.template.gates.join(", ") {
        gates if gates.is_empty() => "the pod waits for its scheduling gates".to_owned(),
        gates => format!("the pod waits for its scheduling gates: {gates}"),
    }
}

/// Its node is lost, or it was put off its node: its controller replaces it.
pub(crate) fn lost<'a>(context: &EvalContext<'a>, pod: &'a Pod, events: &[Event<'a>]) -> Option<Finding<'a>> {
    let (reason, node) = (pod.reason(), &*pod.node);
    if &*pod.phase == "Failed" {
        let cause = if reason == "NodeLost" { Cause::NodeLost } else { Cause::Evicted };
        let said = pod.said.as_deref().map_or("", Said::words);
        return Some(Finding::new(
            pod,
            Severity::Waiting,
            Some(cause),
            format!("the pod was put off: {said}"),
        ));
    }
    let known = context.snapshot.get("", "Node", "", node);
    let is_down =
        known.is_some_and(|node| condition::find(node, "Ready").is_some_and(|ready| !ready.is_true()));
    let is_told = events.iter().any(|event| event.reason == "NodeNotReady");
    let is_ready = pod.ready.is_true();
    (reason == "NodeLost" || (!is_ready && (is_down || is_told))).then(|| {
        Finding::new(pod, Severity::Waiting, Some(Cause::NodeLost), format!("node {node} does not answer"))
    })
}

/// Nothing is wrong with it as far as is known: what it does at the moment.
pub(crate) fn underway<'a>(
    pod: &'a Pod,
    containers: &[Container<'a>],
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    if pod.ready.is_true() {
        return None;
    }
    let gate = pod.ready.why_not().filter(|ready| &*ready.reason == "ReadinessGatesNotReady");
    let init = containers.iter().find(|one| one.role == Role::Init && one.runs());
    let sandbox = events.last().filter(|event| event.reason == "FailedCreatePodSandBox");
    let pulling = events.last().filter(|event| event.reason == "Pulling");
    let text = gate
        .map(|gate| gate.message.to_string())
        .or_else(|| init.map(|init| format!("{} still runs", init.title())))
        .or_else(|| sandbox.map(|event| event.message.to_owned()))
        .or_else(|| pulling.map(|event| event.message.to_owned()))?;
    Some(Finding::new(pod, Severity::Waiting, None, text))
}
