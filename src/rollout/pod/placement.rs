//! Scheduling: no node fits the pod, its node is lost, or it has not started there yet.

use serde_json::Value;

use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::memory::StateKey;
use crate::rollout::pod::container::{Container, Role, pointer};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::probe::Probe;
use crate::rollout::pod::{hook, volume};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::pod::{ContainerStatus, Pod, Said};

/// The finding about a pod that cannot be scheduled: one of its claims, or the scheduler's message, says why.
pub(crate) fn unplaced<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let scheduled = pod.scheduled.why_false();
    if scheduled.is_some_and(|said| &*said.reason == "SchedulingGated") {
        return Some(Finding::new(pod, Severity::Waiting, Some(Cause::Unschedulable), gated(pod)));
    }
    let placed = !pod.node.is_empty() || pod.scheduled.is_true();
    if !placed && let Some(finding) = without_volume(context, pod, events) {
        return Some(finding);
    }
    let refused = || events.iter().rev().find(|event| event.reason == "FailedScheduling" && !placed);
    let said = match scheduled {
        Some(said) if !said.words().is_empty() => said.words(),
        Some(_) => refused().map_or("the scheduler does not say why", |event| event.message),
        None => refused()?.message,
    };
    // What follows about preemption only repeats the reasons.
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

/// The finding about a claim of the pod that has no volume, or does not exist.
fn without_volume<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let (snapshot, cause) = (context.snapshot, Some(Cause::VolumeUnbound));
    for name in &pod.claims {
        let Some(found) = snapshot.get("", "PersistentVolumeClaim", &pod.namespace, name) else { continue };
        let Some(unbound) = volume::unbound(context, found) else { continue };
        let grade = if unbound.has_failed { Severity::Failed } else { Severity::Waiting };
        let message = format!("{} (PersistentVolumeClaim {name})", unbound.message);
        return Some(Finding::new(pod, grade, cause, message).about(claim_pointer(
            context,
            name,
            unbound.field,
        )));
    }
    let told = pod.scheduled.why_false().map(Said::words).into_iter();
    let mut told = told.chain(events.iter().map(|event| event.message));
    let mut is_missing = |name: &&Symbol| {
        let words = format!("persistentvolumeclaim \"{name}\" not found");
        told.any(|said| said.contains(&words))
    };
    let name = pod.claims.iter().find(&mut is_missing)?;
    let state = StateKey::MissingClaim(Symbol::clone(pod.key()), (&**name).into());
    let lasts = context.has_lasted(state, pod.created, volume::CLAIM_PATIENCE)
        && !context.is_made_elsewhere("PersistentVolumeClaim", name);
    let grade = if lasts { Severity::Failed } else { Severity::Waiting };
    let message = format!("PersistentVolumeClaim {name} does not exist");
    Some(Finding::new(pod, grade, cause, message).about(claim_pointer(context, name, None)))
}

/// Where the manifest asks for a claim: in a `volumeClaimTemplates` entry, else in a volume.
fn claim_pointer(context: &EvalContext, name: &str, field: Option<&str>) -> Option<String> {
    let workload = object::name(context.object);
    let templates = object::list(context.object, "/spec/volumeClaimTemplates");
    let is_its = |template: &Value| name.starts_with(&format!("{}-{workload}-", object::name(template)));
    if let Some(index) = templates.iter().position(is_its) {
        return Some(format!("/spec/volumeClaimTemplates/{index}{}", field.unwrap_or_default()));
    }
    let (spec, prefix) = context.written_pod();
    let is_its = |volume: &Value| object::text(volume, "/persistentVolumeClaim/claimName") == name;
    let index = object::list(spec, "/volumes").iter().position(is_its)?;
    Some(format!("{prefix}/volumes/{index}/persistentVolumeClaim/claimName"))
}

/// The scheduling gates that keep the pod from being scheduled.
fn gated(pod: &Pod) -> String {
    match pod.template.gates.join(", ") {
        gates if gates.is_empty() => "the pod waits for its scheduling gates".to_owned(),
        gates => format!("the pod waits for its scheduling gates: {gates}"),
    }
}

/// The finding about a pod whose node is lost, or that was removed from its node: its controller replaces it.
pub(crate) fn lost<'a>(context: &EvalContext<'a>, pod: &'a Pod, events: &[Event<'a>]) -> Option<Finding<'a>> {
    let (reason, node) = (pod.reason(), &*pod.node);
    if &*pod.phase == "Failed" {
        let cause = if reason == "NodeLost" { Cause::NodeLost } else { Cause::Evicted };
        let said = pod.said.as_deref().map_or("", Said::words);
        return Some(Finding::new(
            pod,
            Severity::Waiting,
            Some(cause),
            format!("the pod was not scheduled: {said}"),
        ));
    }
    let known = context.snapshot.get("", "Node", "", node);
    let is_down =
        known.is_some_and(|node| condition::find(node, "Ready").is_some_and(|ready| !ready.is_true()));
    let is_told = events.iter().any(|event| event.reason == "NodeNotReady");
    let is_ready = pod.ready.is_true();
    (reason == "NodeLost" || (!is_ready && (is_down || is_told))).then(|| {
        Finding::new(pod, Severity::Waiting, Some(Cause::NodeLost), format!("node {node} does not respond"))
    })
}

/// What a pod without any known problem is doing at the moment.
pub(crate) fn underway<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    containers: &[Container<'a>],
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    if pod.ready.is_true() {
        return None;
    }
    let waiting = |message: String| Finding::new(pod, Severity::Waiting, None, message);
    let gate = pod.ready.why_not().filter(|ready| &*ready.reason == "ReadinessGatesNotReady");
    if let Some(gate) = gate {
        return Some(waiting(gate.message.to_string()));
    }
    if let Some(init) = containers.iter().find(|one| one.role == Role::Init && one.runs()) {
        return Some(waiting(format!("{} still runs", init.title())).of_container(init.name, false));
    }
    if let Some((hook, one)) = containers.iter().find_map(|one| Some((hook::unfinished(one, events)?, one))) {
        return Some(waiting(hook).of_container(one.name, false).about(pointer(context, one, hook::FIELD)));
    }
    let last = events.last().filter(|event| matches!(event.reason, "FailedCreatePodSandBox" | "Pulling"));
    if let Some(event) = last {
        return Some(waiting(event.message.to_owned()));
    }
    not_begun(context, pod).or_else(|| not_asked(context, pod, containers))
}

/// The finding about a pod that neither its scheduler nor the kubelet of its node has handled.
fn not_begun<'a>(context: &mut EvalContext<'a>, pod: &'a Pod) -> Option<Finding<'a>> {
    /// A scheduler and a kubelet take a moment, in seconds.
    const SOON: i64 = 10;
    let has_begun = pod.started.is_some() || pod.containers.iter().any(ContainerStatus::has_begun);
    let is_young = pod.created.is_some_and(|created| !context.is_past(created, SOON));
    if has_begun || is_young || pod.scheduled.why_not().is_some() {
        return None;
    }
    let (spec, prefix) = context.written_pod();
    let scheduler = object::text(spec, "/schedulerName");
    let (cause, message, field) = if !pod.node.is_empty() {
        let message = format!(
            "node {} has not started the pod: its kubelet does not respond, or does not exist",
            pod.node
        );
        (Cause::NodeLost, message, "/nodeName")
    } else if matches!(scheduler, "" | "default-scheduler") {
        return None;
    } else {
        let message = format!("no scheduler has placed the pod: it asks for `{scheduler}` (schedulerName)");
        (Cause::Unschedulable, message, "/schedulerName")
    };
    let field = Some(format!("{prefix}{field}")).filter(|_| object::has(spec, field));
    Some(Finding::new(pod, Severity::Waiting, Some(cause), message).about(field))
}

/// The finding about a container whose probe has not run yet.
fn not_asked<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    containers: &[Container<'a>],
) -> Option<Finding<'a>> {
    containers.iter().filter(|one| one.runs() && !one.is_ready()).find_map(|one| {
        let starts = one.status.started == Some(false);
        let probe = if starts && Probe::Startup.is_set(one) { Probe::Startup } else { Probe::Readiness };
        let delay = probe.delay(one).filter(|delay| *delay > 0)?;
        if one.running_since().is_some_and(|since| context.is_past(since, delay)) {
            return None;
        }
        let message = format!(
            "{} runs, and its {} starts after {delay} s (initialDelaySeconds)",
            one.title(),
            probe.title()
        );
        let field = format!("{}/initialDelaySeconds", probe.field());
        Some(Finding::new(pod, Severity::Waiting, None, message).about(pointer(context, one, &field)))
    })
}
