//! What all workloads have in common: the worst finding about their pods is reported, and running containers must stay
//! up for a while.

pub(crate) mod bare_pod;
pub(crate) mod creation;
pub(crate) mod daemonset;
pub(crate) mod deployment;
pub(crate) mod eviction;
pub(crate) mod job;
pub(crate) mod replicaset;
pub(crate) mod revision;
pub(crate) mod statefulset;

use std::sync::Arc;

use serde_json::Value;

use crate::model::{Cause, Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::memory::{ContainerState, StateKey};
use crate::rollout::pod::container::{Container, ContainerView, Role};
use crate::rollout::pod::crashes;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::placement;
use crate::rollout::pod::probe::Probe;
use crate::rollout::snapshot::pod::Pod;
use crate::rollout::{annotations, evidence, pod};

/// The progress of a workload, by its own status.
#[derive(Debug)]
pub(crate) struct WorkloadProgress {
    /// Whether its counts are the wanted ones.
    pub(crate) is_complete: bool,
    /// Whether it reaches a lower threshold than all of its replicas.
    pub(crate) reaches_bar: bool,
    pub(crate) ready: i64,
    pub(crate) wanted: i64,
    /// What is still waited for, in one sentence.
    pub(crate) waits_for: String,
    /// The controller's own message that it takes too long.
    pub(crate) overdue: Option<String>,
}

/// The worst finding about the pods of the new revision, and how many more of them have it.
pub(crate) fn worst<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>) -> Option<Finding<'a>> {
    let mut findings: Vec<Finding> = Vec::new();
    for one in pods.current.iter().filter(|one| !one.is_healthy()) {
        findings.extend(pod::examine(context, one));
    }
    findings.extend(eviction::repeated(context, pods));
    let count = findings.len();
    let worst = (0..count).rev().max_by_key(|index| findings[*index].weight());
    let Some(mut worst) = worst.map(|index| findings.swap_remove(index)) else {
        return put_off(context, pods);
    };
    let same = findings.iter().filter(|one| one.cause.is_some() && one.cause == worst.cause).count();
    match same {
        0 => {}
        1 => worst.message.push_str("; same for 1 more pod"),
        more => worst.message.push_str(&format!("; same for {more} more pods")),
    }
    Some(worst)
}

/// Evicted and rejected pods matter only if no other pod has replaced them.
fn put_off<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>) -> Option<Finding<'a>> {
    if pods.current.iter().any(|one| one.ready.is_true()) {
        return None;
    }
    let last = pods.put_off.iter().max_by_key(|one| one.created)?;
    placement::lost(context, last, &[])
}

/// The health of a workload, from its progress, its pods, and what its controller could not create.
pub(crate) fn conclude<'a>(
    context: &mut EvalContext<'a>,
    pods: &Pods<'a>,
    refused: Option<Finding<'a>>,
    progress: &WorkloadProgress,
) -> Health {
    for one in &pods.current {
        note_runs(context, one);
    }
    let of_pods = worst(context, pods);
    let finding = of_pods
        .into_iter()
        .chain(refused)
        .reduce(|worst, one| if one.weight() > worst.weight() { one } else { worst });
    let judgement = weigh(context, pods, finding.as_ref(), progress);
    let judgement = judgement.counting(progress.ready, progress.wanted);
    match judgement.verdict {
        Verdict::Failed | Verdict::Progressing => evidence::of_workload(context, finding.as_ref(), judgement),
        _ => judgement,
    }
}

fn weigh<'a>(
    context: &mut EvalContext<'a>,
    pods: &Pods<'a>,
    finding: Option<&Finding<'a>>,
    progress: &WorkloadProgress,
) -> Health {
    if progress.reaches_bar {
        let judgement = Health::ready();
        return match finding {
            Some(finding) => judgement.warning(finding.message.clone()),
            None => judgement,
        };
    }
    let fails = finding.is_some_and(|finding| finding.fails(context));
    match (finding, &progress.overdue) {
        (Some(finding), _) if fails => finding.explain(Health::new(Verdict::Failed)),
        (Some(finding), None) if finding.grade == Severity::CrashedTooOften => {
            finding.explain(Health::new(Verdict::Progressing))
        }
        (Some(finding), Some(_)) if finding.grade == Severity::CrashedTooOften => {
            finding.explain(Health::new(Verdict::Failed))
        }
        _ if progress.is_complete => settle(context, pods, progress),
        (Some(finding), Some(overdue)) => {
            let judgement = finding.explain(Health::new(Verdict::Failed));
            let cause =
                judgement.cause.filter(|cause| *cause != Cause::Unknown).unwrap_or(Cause::DeadlineExceeded);
            judgement.with_cause(cause).showing("its controller", vec![overdue.clone()])
        }
        (None, Some(overdue)) => Health::failed(Cause::DeadlineExceeded, overdue.clone()),
        (Some(finding), None) => finding.explain(Health::new(Verdict::Progressing)),
        (None, None) => Health::progressing(format!("{}{}", progress.waits_for, slow_termination(context))),
    }
}

/// Ready by its counts: it is ready once containers without a probe, and those that have crashed, have run for a while.
fn settle<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>, progress: &WorkloadProgress) -> Health {
    if let Some(put_off) = eviction::recent(context, pods) {
        return put_off.explain(Health::new(Verdict::Progressing));
    }
    let patience = annotations::stable_for(context.object).as_secs();
    let patience = i64::try_from(patience).unwrap_or(i64::MAX);
    let is_counted_elsewhere = patience == 0 || object::count(context.object, "/spec/minReadySeconds") > 0;
    let seconds = Some(patience).filter(|_| !is_counted_elsewhere);
    let unseen = pods.current.is_empty() && progress.wanted > 0 && context.release().is_some();
    if unseen && seconds.is_some_and(|seconds| !context.has_lasted(StateKey::Stable, None, seconds)) {
        return Health::progressing(format!("it must run for {patience} s without a restart"));
    }
    if seconds.is_some()
        && let Some(ailing) = pods.current.iter().find_map(|one| pod::ailing(context, one))
    {
        return ailing.explain(Health::new(Verdict::Progressing));
    }
    let mut unstable = pods.current.clone();
    unstable.retain(|one| !is_stable(context, one, seconds));
    if unstable.is_empty() {
        return Health::ready();
    }
    // A recent crash is the reason.
    let died = unstable
        .iter()
        .filter_map(|one| pod::examine(context, one))
        .find(|finding| finding.counted_crashes > 0);
    if let Some(died) = died {
        return died.explain(Health::new(Verdict::Progressing));
    }
    let who = if unstable.len() == 1 { "a pod".to_owned() } else { format!("{} pods", unstable.len()) };
    Health::progressing(if unstable.iter().any(|one| Container::all(one).iter().any(must_prove_itself)) {
        format!("{who} without a readiness probe must run for {patience} s")
    } else {
        format!("{who} started a moment ago")
    })
}

/// Whether the containers of a pod stay up. Without a readiness probe, each must run for this many seconds (`None` if
/// no wait is required), and recover from its crashes. A probe may have succeeded just before the program ends: a
/// container that crashed before must run as long, too, and any other for as long as the kubelet needs to report its
/// death.
pub(crate) fn is_stable<'a>(context: &mut EvalContext<'a>, pod: &'a Pod, seconds: Option<i64>) -> bool {
    let mut containers = Container::all(pod);
    containers.retain(|container| container.role != Role::Init);
    let events = context.events_of(pod);
    containers.iter().all(|container| {
        let mut view = ContainerView { context: &mut *context, pod, container, events: &events };
        let has_died = crashes::crash_finding(&mut view).is_some();
        match (container.running_since(), Probe::Readiness.is_set(container)) {
            (Some(_), false) if has_died => false,
            (Some(since), true) if !has_died => {
                seconds.is_none() || context.has_run(instance(container), since, 0)
            }
            (Some(since), _) => {
                seconds.is_none_or(|seconds| context.has_run(instance(container), since, seconds))
            }
            (None, _) => container.waits().is_empty() && container.dead_now().is_none(),
        }
    })
}

/// Remembers since when the instances of a pod's containers have been seen running.
pub(crate) fn note_runs(context: &mut EvalContext, pod: &Pod) {
    if context.release().is_some() {
        for one in Container::all(pod).iter().filter(|one| one.role != Role::Init && one.runs()) {
            context.remember(instance(one));
        }
    }
}

/// Whether only time shows that a container stays up: it has no readiness probe, or it has crashed before.
fn must_prove_itself(container: &Container) -> bool {
    let has_died = container.restarts() > 0 || container.dead_now().is_some();
    container.role != Role::Init && (has_died || !Probe::Readiness.is_set(container))
}

fn instance(container: &Container) -> StateKey {
    container.key().state(ContainerState::Run(container.restarts()))
}

/// `2 of 3 replicas are available`; if they are ready, what they still wait for.
pub(crate) fn available(object: &Value, available: i64, ready: i64, wanted: i64) -> String {
    let seconds = object::count(object, "/spec/minReadySeconds");
    if ready >= wanted && seconds > 0 {
        let sentence = of_wanted(ready, wanted, "ready");
        return format!("{sentence}, and counts as available after {seconds} s (minReadySeconds)");
    }
    of_wanted(available, wanted, "available")
}

/// The part of a message about a pod that takes long to terminate: its replacement may have to wait.
fn slow_termination(context: &mut EvalContext) -> String {
    /// Most pods terminate sooner, in seconds.
    const LONG: i64 = 10;
    let snapshot = context.snapshot;
    let mut ending = snapshot.pods_below(context.object).filter(|pod| pod.is_being_deleted);
    let long = ending.find(|pod| context.has_lasted(StateKey::Ending(Arc::clone(pod.key())), None, LONG));
    let Some(pod) = long else { return String::new() };
    let (spec, _) = context.written_pod();
    let grace = object::number(spec, "/terminationGracePeriodSeconds").unwrap_or(30);
    format!("; pod {} has not ended yet (terminationGracePeriodSeconds: {grace})", pod.name)
}

/// `2 of 3 replicas are ready`.
pub(crate) fn of_wanted(number: i64, wanted: i64, what: &str) -> String {
    let noun = if wanted == 1 { "replica is" } else { "replicas are" };
    format!("{number} of {wanted} {noun} {what}")
}

/// The message about pods that keep running an earlier revision because no controller replaces them.
pub(crate) fn stale_pods(pods: &Pods) -> String {
    let names: Vec<&str> = pods.stale.iter().map(|pod| &*pod.name).collect();
    let count = names.len();
    let noun = if count == 1 { "pod keeps" } else { "pods keep" };
    format!("{count} {noun} running an earlier revision until deleted: {}", names.join(", "))
}
