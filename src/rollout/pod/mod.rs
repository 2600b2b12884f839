//! Pods: what keeps one from being ready, and whether it will come right by itself. Fail fast, but not on a
//! stumble.

pub(crate) mod configuration;
pub(crate) mod container;
pub(crate) mod crashes;
pub(crate) mod finding;
pub(crate) mod image;
pub(crate) mod placement;
pub(crate) mod probe;
pub(crate) mod start;
pub(crate) mod volume;

use crate::model::Cause;
use crate::rollout::annotations;
use crate::rollout::context::EvalContext;
use crate::rollout::memory::ContainerState;
use crate::rollout::pod::container::{Container, Role};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::image::Refusal;
use crate::rollout::pod::probe::Probe;
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::Pod;

/// A pull that failed is not followed by a wait before this many seconds are over.
const BACK_OFF: i64 = 15;
/// After so many seconds the kubelet has tried again to create a container.
const CREATE_RETRY: i64 = 20;

/// The worst that is wrong with a pod; `None` where nothing is.
pub(crate) fn examine<'a>(context: &mut EvalContext<'a>, pod: &'a Pod) -> Option<Finding<'a>> {
    let events = context.events_of(pod);
    let containers = Container::all(pod);
    let mut findings: Vec<Finding> = Vec::new();
    for container in &containers {
        findings.extend(of_container(context, pod, container, &events));
    }
    if findings.is_empty() {
        findings.extend(placement::unplaced(context, pod, &events));
        findings.extend(volume::unmounted(context, pod, &containers, &events));
        findings.extend(placement::lost(context, pod, &events));
    }
    if findings.is_empty() {
        findings.extend(placement::underway(pod, &containers, &events));
    }
    findings.into_iter().reduce(|worst, one| if one.weight() > worst.weight() { one } else { worst })
}

fn of_container<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    container: &Container<'a>,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    match container.waits() {
        "InvalidImageName" => Some(invalid_name(context, pod, container)),
        reason if image::is_pull_reason(reason) => Some(pull(context, pod, container, events)),
        "CreateContainerConfigError" => Some(configuration(context, pod, container)),
        _ => None,
    }
    .or_else(|| cannot_run(context, pod, container, events))
    .or_else(|| dies(context, pod, container, events))
    .or_else(|| probes(context, pod, container, events))
}

/// Where the field of a container stands in the manifest.
fn pointer(context: &EvalContext, container: &Container, field: &str) -> Option<String> {
    let (spec, prefix) = context.written_pod();
    Some(format!("{prefix}{}", container.pointer(spec, field)?))
}

fn invalid_name<'a>(context: &EvalContext, pod: &'a Pod, container: &Container<'a>) -> Finding<'a> {
    let message = format!("image {} of {} is not a valid image name", container.image(), container.title());
    Finding::new(pod, Severity::Failed, Some(Cause::InvalidImageName), message)
        .about(pointer(context, container, "/image"))
}

fn pull<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    container: &Container<'a>,
    events: &[Event<'a>],
) -> Finding<'a> {
    let explanation = image::explanation(container, events);
    let refusal = known_refusal(context, container, explanation);
    let lasts = refusal != Refusal::Other && was_tried_again(context, pod, container, events);
    let grade = if lasts { Severity::Failed } else { Severity::Waiting };
    let message = image::sentence(refusal, container, explanation);
    Finding::new(pod, grade, Some(refusal.cause()), message).about(pointer(context, container, "/image"))
}

/// What the registry's answer means; where the kubelet no longer says it, what was seen before.
fn known_refusal(context: &mut EvalContext, container: &Container, explanation: Option<&str>) -> Refusal {
    let key = container.key();
    let state = |refusal: Refusal| key.state(ContainerState::Image(refusal.cause()));
    if let Some(explanation) = explanation {
        let refusal = image::refusal(explanation, container.image());
        context.remember(state(refusal));
        return refusal;
    }
    let known = Refusal::ALL.into_iter().find(|refusal| context.recalls(&state(*refusal)));
    known.unwrap_or(Refusal::Other)
}

fn was_tried_again(context: &mut EvalContext, pod: &Pod, container: &Container, events: &[Event]) -> bool {
    let state = container.key().state(ContainerState::PullRetried);
    if image::was_tried_again(container, events) {
        context.remember(state);
        return true;
    }
    // In a dump the pod's own age tells whether the kubelet has had the time to wait.
    let failed =
        |event: &&Event| event.is_about(container.name) && event.message.contains("Failed to pull image");
    let told = events.iter().find(failed).and_then(|event| event.first);
    let since = if context.release().is_none() { told.or_else(|| pod.began()) } else { None };
    let first = container.key().state(ContainerState::Pull);
    context.recalls(&state) || context.has_lasted(first, since, BACK_OFF)
}

fn configuration<'a>(context: &mut EvalContext<'a>, pod: &'a Pod, container: &Container<'a>) -> Finding<'a> {
    let said = container.waiting_message();
    if configuration::is_cache_trouble(said) {
        return Finding::new(pod, Severity::Waiting, None, format!("{}: {said}", container.title()));
    }
    // In a dump the pod's own age bounds it.
    let since = if context.release().is_none() { pod.began() } else { None };
    let state = container.key().state(ContainerState::Configuration);
    let lasts = context.has_lasted(state, since, configuration::CONFIG_PATIENCE);
    let Some(missing) = configuration::missing(said, pod) else {
        let grade = if lasts { Severity::Failed } else { Severity::Waiting };
        let message = format!("{} cannot be configured: {said}", container.title());
        return Finding::new(pod, grade, Some(Cause::ConfigMissing), message)
            .about(pointer(context, container, ""));
    };
    let may_come = context.is_made_elsewhere(missing.kind, &missing.name) || context.has_come(&missing);
    let grade = if lasts && !may_come { Severity::Failed } else { Severity::Waiting };
    let message = format!("{} ({})", missing.sentence(), container.title());
    let (spec, prefix) = context.written_pod();
    let place = missing.pointer_in(container, spec).map(|place| format!("{prefix}{place}"));
    Finding::new(pod, grade, Some(Cause::ConfigMissing), message)
        .about(place.or_else(|| pointer(context, container, "")))
        .lacking(missing)
}

/// The runtime could not start it: a failure at the second time, where it will say the same again.
fn cannot_run<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    container: &Container<'a>,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let complaint = start::complaint(container)?;
    if complaint.contains("OOM-killed") {
        return None;
    }
    let again = match container.waits() {
        // No container came into being, so that no restart was counted.
        "CreateContainerError" => {
            let own = |event: &&Event| event.reason == "Failed" && event.is_about(container.name);
            let same = |event: &&Event| {
                event.message.strip_prefix("Error: ").is_some_and(|said| complaint.contains(said))
            };
            let failed = events.iter().filter(own).rev().find(same);
            let state = container.key().state(ContainerState::Creation);
            let began = if context.release().is_none() { pod.began() } else { None };
            failed.is_some_and(|event| event.count > 1)
                || context.has_lasted(state, failed.and_then(|event| event.first).or(began), CREATE_RETRY)
        }
        _ => container.restarts() > 0,
    };
    let lasts = again && start::is_lasting(complaint);
    let grade = if lasts { Severity::Failed } else { Severity::Waiting };
    Some(
        Finding::new(pod, grade, Some(Cause::CannotRun), start::sentence(container, complaint))
            .about(pointer(context, container, "")),
    )
}

/// It died: too often, or not yet too often.
fn dies<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    container: &Container<'a>,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    if container.is_done() {
        return None;
    }
    let previous = container.status.terminated.is_none();
    let restarts = container.is_kept_alive || (container.role == Role::Init && !is_mortal(pod));
    if !restarts {
        return died_for_good(context, pod, container, events)
            .map(|finding| finding.of_container(container.name, previous));
    }
    let allowed = annotations::failures_allowed(context.object);
    let Some(crash_finding) = crashes::crash_finding(context, pod, container, events) else {
        return loops(context, pod, container, allowed)
            .map(|finding| finding.of_container(container.name, previous));
    };
    let grade = if crash_finding.strikes > allowed { Severity::OutOfStrikes } else { Severity::Waiting };
    let mut finding = Finding::new(pod, grade, Some(crash_finding.cause), crash_finding.sentence(container))
        .of_container(container.name, previous)
        .about(pointer(context, container, crash_finding.field()));
    finding.strikes = crash_finding.strikes;
    Some(finding)
}

/// Whether the pod is not there to stay: its containers are not started again whenever they end.
fn is_mortal(pod: &Pod) -> bool {
    !matches!(&*pod.template.restart_policy, "Always" | "")
}

/// A container that is not started again, or only as long as its Job allows it.
fn died_for_good<'a>(
    context: &EvalContext,
    pod: &'a Pod,
    container: &Container<'a>,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let death = container.known_deaths().find(|death| death.exit_code != 0 || death.wanted_memory())?;
    let (cause, how) = crashes::ended_by(container, &death, events);
    let often = match container.restarts() {
        0 => String::new(),
        _ => format!(" {}", crashes::times(container.ended())),
    };
    let message = format!("{how}{often}");
    Some(Finding::new(pod, Severity::Waiting, Some(cause), message).about(pointer(context, container, "")))
}

/// It ends with exit code 0 and is started again and again; or nobody says how it ended.
fn loops<'a>(
    context: &EvalContext,
    pod: &'a Pod,
    container: &Container<'a>,
    allowed: i64,
) -> Option<Finding<'a>> {
    // Between its end and the wait the kubelet may take some seconds.
    let ended_well = container.status.terminated.as_ref().is_some_and(|ended| ended.exit_code == Some(0));
    let is_between = container.restarts() > 0 && ended_well;
    if container.waits() != "CrashLoopBackOff" && !is_between {
        return None;
    }
    let title = container.title();
    let (grade, message) = match container.known_deaths().next() {
        Some(_) => {
            let times = crashes::times(container.ended());
            (Severity::Waiting, format!("{title} is meant to stay, but exited 0 {times}"))
        }
        None if container.restarts() > allowed => {
            (Severity::OutOfStrikes, format!("{title} died {}", crashes::times(container.restarts())))
        }
        None => (Severity::Waiting, format!("{title} dies and is started again")),
    };
    Some(Finding::new(pod, grade, Some(Cause::CrashLoop), message).about(pointer(context, container, "")))
}

/// A container that counts as ready for want of a readiness probe, while its liveness probe is about to end it.
pub(crate) fn ailing<'a>(context: &mut EvalContext<'a>, pod: &'a Pod) -> Option<Finding<'a>> {
    /// The kubelet asks a little late, and its events come later still.
    const LATE: i64 = 3;
    let events = context.events_of(pod);
    Container::all(pod).into_iter().find_map(|container| {
        let probe = Probe::Liveness;
        let watched = probe.is_set(&container) && !Probe::Readiness.is_set(&container);
        let failure = probe.failure(&container, &events).filter(|_| watched && container.runs())?;
        let is_over =
            failure.last.is_none_or(|last| context.is_past(last, probe.interval(&container) + LATE));
        if is_over && !probe.is_killing(&container, &events) {
            return None;
        }
        let message = probe.sentence(&container, Some(&failure));
        let finding = Finding::new(pod, Severity::Waiting, Some(probe.cause()), message);
        Some(finding.of_container(container.name, false).about(pointer(context, &container, probe.field())))
    })
}

/// It runs, and a probe does not like it. `liveness-probe` goes before `readiness-probe`.
fn probes<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    container: &Container<'a>,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    if !container.runs() || (container.is_ready() && container.role != Role::Init) {
        return None;
    }
    let starts = container.status.started == Some(false);
    let probes: &[Probe] = if starts { &[Probe::Startup] } else { &[Probe::Liveness, Probe::Readiness] };
    for probe in probes {
        let failure = probe.failure(container, events);
        let is_overdue = *probe != Probe::Liveness && probe.is_set(container) && {
            let state = container.key().state(ContainerState::Probe(probe.cause()));
            let patience = probe.patience(container);
            context.has_lasted(state, container.running_since(), patience)
        };
        if failure.is_none() && !is_overdue {
            continue;
        }
        let message = probe.sentence(container, failure.as_ref());
        return Some(
            Finding::new(pod, Severity::Waiting, Some(probe.cause()), message)
                .of_container(container.name, false)
                .about(pointer(context, container, probe.field())),
        );
    }
    None
}
