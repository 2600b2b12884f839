//! Pods: what keeps one from being ready, and whether it can recover by itself. Fail fast, but tolerate a temporary
//! error.

pub(crate) mod configuration;
pub(crate) mod container;
pub(crate) mod crashes;
pub(crate) mod death;
pub(crate) mod finding;
pub(crate) mod hook;
pub(crate) mod image;
pub(crate) mod placement;
pub(crate) mod probe;
pub(crate) mod start;
pub(crate) mod view;
pub(crate) mod volume;

use crate::rollout::context::EvalContext;
use crate::rollout::pod::container::{Container, ContainerView, pointer};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::probe::Probe;
use crate::rollout::snapshot::pod::Pod;

/// The worst problem of a pod; `None` if it has none.
pub(crate) fn examine<'a>(context: &mut EvalContext<'a>, pod: &'a Pod) -> Option<Finding<'a>> {
    let events = context.events_of(pod);
    let containers = Container::all(pod);
    let mut findings: Vec<Finding> = Vec::new();
    for container in &containers {
        let mut view = ContainerView { context: &mut *context, pod, container, events: &events };
        findings.extend(view.examine());
    }
    if findings.is_empty() {
        findings.extend(start::sandbox(context, pod, &events));
        findings.extend(placement::unplaced(context, pod, &events));
        findings.extend(volume::unmounted(context, pod, &containers, &events));
        findings.extend(placement::lost(context, pod, &events));
    }
    if findings.is_empty() {
        findings.extend(placement::underway(context, pod, &containers, &events));
    }
    findings.into_iter().reduce(|worst, one| if one.weight() > worst.weight() { one } else { worst })
}

/// A container that counts as ready because it has no readiness probe, while its liveness probe is about to kill it.
pub(crate) fn ailing<'a>(context: &mut EvalContext<'a>, pod: &'a Pod) -> Option<Finding<'a>> {
    /// The kubelet probes a little late, and its events arrive later still, in seconds.
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
