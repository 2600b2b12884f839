//! Bare pods: no controller replaces them.

use crate::model::{Cause, Verdict};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::pod::container::{Container, Role};
use crate::rollout::pod::crashes;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::{Pod, Said};
use crate::rollout::{annotations, evidence, pod};

/// Judges a pod.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let Some(pod) = context.pod else { return Health::progressing("the pod is not ready yet") };
    let judgement = match &*pod.phase {
        "Succeeded" => return Health::ready(),
        "Failed" => failed(context, pod),
        _ => alive(context, pod),
    };
    match judgement.verdict {
        Verdict::Failed | Verdict::Progressing => {
            let judgement = evidence::of_pod(pod, judgement);
            evidence::with_events(context, &[context.object.into()], judgement)
        }
        _ => judgement,
    }
}

fn alive<'a>(context: &mut EvalContext<'a>, pod: &'a Pod) -> Health {
    workload::note_runs(context, pod);
    let finding = pod::examine(context, pod);
    let fails = finding.as_ref().is_some_and(|finding| finding.fails(context));
    let stays = matches!(&*pod.template.restart_policy, "Always" | "");
    let is_ready = stays && pod.ready.is_true();
    let is_spent = finding.as_ref().is_some_and(|finding| finding.grade == Severity::CrashedTooOften);
    match finding {
        Some(finding) if fails => finding.explain(Health::new(Verdict::Failed)),
        finding if is_ready && !is_spent => stable(context, pod, finding),
        Some(finding) => finding.explain(Health::new(Verdict::Progressing)),
        None if stays => Health::progressing("the pod is not ready yet"),
        None => Health::progressing("the pod runs and has not completed"),
    }
}

fn stable<'a>(context: &mut EvalContext<'a>, pod: &'a Pod, finding: Option<Finding<'a>>) -> Health {
    let patience = i64::try_from(annotations::stable_for(context.object).as_secs()).unwrap_or(i64::MAX);
    if workload::is_stable(context, pod, Some(patience).filter(|patience| *patience > 0)) {
        return Health::ready();
    }
    if let Some(died) = finding.filter(|finding| finding.counted_crashes > 0) {
        return died.explain(Health::new(Verdict::Progressing));
    }
    Health::progressing(format!("a pod without a readiness probe must run for {patience} s"))
}

fn failed(context: &EvalContext, pod: &Pod) -> Health {
    let events = context.events_of(pod);
    let finding = finding_of_ended(pod, &events);
    let is_managed = !pod.owners.is_empty();
    let put_off = matches!(finding.cause, Some(Cause::Evicted | Cause::NodeLost | Cause::Unschedulable));
    if is_managed && put_off {
        let judgement = finding.explain(Health::new(Verdict::Progressing));
        return judgement.saying(format!("{}; its controller replaces it", finding.message));
    }
    finding.explain(Health::new(Verdict::Failed))
}

/// How a pod ended that will not run again.
pub(crate) fn finding_of_ended<'a>(pod: &'a Pod, events: &[Event<'a>]) -> Finding<'a> {
    let reason = pod.reason();
    let words = pod.said.as_deref().map_or("", Said::words);
    let by_reason = match reason {
        "Evicted" | "Preempting" => Some(Cause::Evicted),
        "NodeLost" | "Shutdown" | "NodeShutdown" | "Terminated" => Some(Cause::NodeLost),
        "DeadlineExceeded" => Some(Cause::DeadlineExceeded),
        "UnexpectedAdmissionError" | "NodeAffinity" => Some(Cause::Unschedulable),
        _ if reason.starts_with("OutOf") => Some(Cause::Unschedulable),
        _ => None,
    };
    if let Some(cause) = by_reason {
        return Finding::new(pod, Severity::Failed, Some(cause), format!("the pod failed: {words}"));
    }
    let all = Container::all(pod);
    // A sidecar is stopped when the others have ended, so it is the reason only if nothing else died.
    let (sidecars, others): (Vec<&Container>, Vec<&Container>) =
        all.iter().partition(|one| one.role == Role::Sidecar);
    let found = [others, sidecars].into_iter().find_map(|some| {
        let findings = some.into_iter().filter_map(|one| death_of(pod, one, events));
        findings.reduce(|worst, one| if one.weight() > worst.weight() { one } else { worst })
    });
    found.unwrap_or_else(|| {
        Finding::new(pod, Severity::Failed, Some(Cause::Unknown), format!("the pod failed: {words}"))
    })
}

/// Why a container of a pod that will not run again died.
fn death_of<'a>(pod: &'a Pod, one: &Container<'a>, events: &[Event<'a>]) -> Option<Finding<'a>> {
    if one.is_done() {
        return None;
    }
    let death = one.known_deaths().find(|death| death.exit_code != 0 || death.wanted_memory())?;
    let (cause, message) = if death.never_ran() && !death.wanted_memory() {
        (Cause::CannotRun, crate::rollout::pod::start::sentence(one, death.message))
    } else {
        crashes::ended_by(one, &death, events)
    };
    let previous = one.status.terminated.as_ref().is_none_or(|ended| ended.said.reason.is_empty());
    Some(Finding::new(pod, Severity::Failed, Some(cause), message).of_container(one.name, previous))
}
