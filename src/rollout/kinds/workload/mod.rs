//! What all workloads share: pods are examined, the worst one speaks, and what runs must have run for a while.

pub(crate) mod bare_pod;
pub(crate) mod creation;
pub(crate) mod daemonset;
pub(crate) mod deployment;
pub(crate) mod job;
pub(crate) mod replicaset;
pub(crate) mod revision;
pub(crate) mod statefulset;

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

/// How far a workload is, by its own status.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Whether its counts are those that were asked for.
    pub(crate) is_complete: bool,
    /// Whether a bar lower than all of its replicas is reached.
    pub(crate) reaches_bar: bool,
    pub(crate) ready: i64,
    pub(crate) wanted: i64,
    /// What is still waited for, in one sentence.
    pub(crate) waits_for: String,
    /// The controller's own word that it takes too long.
    pub(crate) overdue: Option<String>,
}

/// The worst that is wrong with the pods of the new revision, and with how many more of them.
pub(crate) fn worst<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>) -> Option<Finding<'a>> {
    let mut findings: Vec<Finding> = Vec::new();
    for one in pods.current.iter().filter(|one| !one.is_well()) {
        findings.extend(pod::examine(context, one));
    }
    let count = findings.len();
    let worst = (0..count).rev().max_by_key(|index| findings[*index].weight());
    let Some(mut worst) = worst.map(|index| findings.swap_remove(index)) else {
        return put_off(context, pods);
    };
    let same = findings.iter().filter(|one| one.cause.is_some() && one.cause == worst.cause).count();
    match same {
        0 => {}
        1 => worst.message.push_str("; 1 more pod alike"),
        more => worst.message.push_str(&format!("; {more} more pods alike")),
    }
    Some(worst)
}

/// Pods that were put off say something only where no other pod has taken their place.
fn put_off<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>) -> Option<Finding<'a>> {
    if pods.current.iter().any(|one| one.ready.is_true()) {
        return None;
    }
    let last = pods.put_off.iter().max_by_key(|one| one.created)?;
    placement::lost(context, last, &[])
}

/// The judgement of a workload, from its progress, its pods, and what its controller could not create.
pub(crate) fn conclude<'a>(
    context: &mut EvalContext<'a>,
    pods: &Pods<'a>,
    refused: Option<Finding<'a>>,
    progress: &Progress,
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
    progress: &Progress,
) -> Health {
    if progress.reaches_bar {
        let judgement = Health::ready();
        return match finding {
            Some(finding) => judgement.warning(finding.message.clone()),
            None => judgement,
        };
    }
    let fails = match finding.map(|finding| finding.grade) {
        Some(Severity::Failed) => true,
        Some(Severity::OutOfStrikes) => !context.others_are_on_their_way(),
        _ => false,
    };
    match (finding, &progress.overdue) {
        (Some(finding), _) if fails => finding.explain(Health::new(Verdict::Failed)),
        (Some(finding), None) if finding.grade == Severity::OutOfStrikes => {
            finding.explain(Health::new(Verdict::Progressing))
        }
        (Some(finding), Some(_)) if finding.grade == Severity::OutOfStrikes => {
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
        (None, None) => Health::progressing(progress.waits_for.clone()),
    }
}

/// Ready by its counts: ready indeed once what no probe watches, and what has died before, has run for a while.
fn settle<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>, progress: &Progress) -> Health {
    let patience = annotations::stable_for(context.object).as_secs();
    let patience = i64::try_from(patience).unwrap_or(i64::MAX);
    if patience == 0 || object::count(context.object, "/spec/minReadySeconds") > 0 {
        return Health::ready();
    }
    let unseen = pods.current.is_empty() && progress.wanted > 0 && context.release().is_some();
    if unseen && !context.has_lasted(StateKey::Stable, None, patience) {
        return Health::progressing(format!("whether it stays up shows within {patience} s"));
    }
    if let Some(ailing) = pods.current.iter().find_map(|one| pod::ailing(context, one)) {
        return ailing.explain(Health::new(Verdict::Progressing));
    }
    let mut unstable = pods.current.clone();
    unstable.retain(|one| !is_stable(context, one, patience));
    if unstable.is_empty() {
        return Health::ready();
    }
    // What died a moment ago is why.
    let died =
        unstable.iter().filter_map(|one| pod::examine(context, one)).find(|finding| finding.strikes > 0);
    if let Some(died) = died {
        return died.explain(Health::new(Verdict::Progressing));
    }
    let who = if unstable.len() == 1 { "a pod".to_owned() } else { format!("{} pods", unstable.len()) };
    Health::progressing(format!("{who} without a readiness probe must run for {patience} s"))
}

/// Whether the containers of a pod stay up: without a readiness probe each must run for so many seconds, and
/// recover from what it died of; a probe may have asked just before the program ends, so that one that died
/// before must run as long, too.
pub(crate) fn is_stable<'a>(context: &mut EvalContext<'a>, pod: &'a Pod, seconds: i64) -> bool {
    let mut containers = Container::all(pod);
    containers.retain(must_prove_itself);
    if containers.is_empty() {
        return true;
    }
    let events = context.events_of(pod);
    containers.iter().all(|container| {
        let mut view = ContainerView { context: &mut *context, pod, container, events: &events };
        let has_died = crashes::crash_finding(&mut view).is_some();
        match (container.running_since(), Probe::Readiness.is_set(container)) {
            (Some(since), false) => context.has_run(instance(container), since, seconds) && !has_died,
            (Some(since), true) => !has_died || context.has_run(instance(container), since, seconds),
            (None, _) => container.waits().is_empty() && container.dead_now().is_none(),
        }
    })
}

/// Remembers since when the instances that are to prove themselves are seen to run.
pub(crate) fn note_runs(context: &mut EvalContext, pod: &Pod) {
    if context.release().is_some() {
        for one in Container::all(pod).iter().filter(|one| must_prove_itself(one) && one.runs()) {
            context.remember(instance(one));
        }
    }
}

/// Whether only time shows that a container stays up: no readiness probe watches it, or it has died before.
fn must_prove_itself(container: &Container) -> bool {
    container.role != Role::Init && (container.restarts() > 0 || !Probe::Readiness.is_set(container))
}

fn instance(container: &Container) -> StateKey {
    container.key().state(ContainerState::Run(container.restarts()))
}

/// `2 of 3 replicas are ready`.
pub(crate) fn of_wanted(number: i64, wanted: i64, what: &str) -> String {
    let noun = if wanted == 1 { "replica is" } else { "replicas are" };
    format!("{number} of {wanted} {noun} {what}")
}

/// Says which pods still run an earlier revision, where nobody replaces them.
pub(crate) fn stale_pods(pods: &Pods) -> String {
    let names: Vec<&str> = pods.stale.iter().map(|pod| &*pod.name).collect();
    let count = names.len();
    let noun = if count == 1 { "pod keeps" } else { "pods keep" };
    format!("{count} {noun} running an earlier revision until somebody deletes them: {}", names.join(", "))
}
