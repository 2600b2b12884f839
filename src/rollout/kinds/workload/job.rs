//! Jobs: ready when they have completed. A pod's death is shown, but `backoffLimit` decides.

use serde_json::Value;

use crate::model::object::{count, is_true};
use crate::model::{Cause, Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload::{bare_pod, creation, revision};
use crate::rollout::pod::container::{Container, ContainerView, Role, pointer};
use crate::rollout::pod::crashes;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::pod::Pod;
use crate::rollout::{annotations, evidence, pod};

/// Judges a Job.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let object = context.object;
    if condition::is_true(object, "Complete") || condition::is_true(object, "SuccessCriteriaMet") {
        return Health::ready();
    }
    let pods = revision::of_job(context);
    let failed = ["Failed", "FailureTarget"].into_iter().filter_map(|kind| condition::find(object, kind));
    if let Some(failed) = failed.into_iter().find(condition::Condition::is_true) {
        return has_failed(context, &pods, failed.reason, failed.message);
    }
    if is_true(object, "/spec/suspend") {
        return Health::paused("the Job is suspended (spec.suspend is true): it is not waited for");
    }
    if annotations::waits_for(object, "started") && has_started(object, &pods) {
        return Health::ready();
    }
    runs(context, &pods)
}

fn has_started(job: &Value, pods: &[&Pod]) -> bool {
    count(job, "/status/ready") > 0
        || count(job, "/status/succeeded") > 0
        || pods.iter().any(|pod| matches!(&*pod.phase, "Running" | "Succeeded"))
}

/// The health of a failed Job. The cause of its pod is evidence: the Job's own cause is `job-failed`.
fn has_failed<'a>(context: &mut EvalContext<'a>, pods: &[&'a Pod], reason: &str, said: &str) -> Health {
    let finding = worst(context, pods);
    let why = finding.as_ref().map_or(said, |finding| finding.message.as_str());
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let message = format!("{why}{reason}");
    let judgement = finding.as_ref().map_or_else(
        || Health::new(Verdict::Failed),
        |finding| finding.explain(Health::new(Verdict::Failed)),
    );
    let words = finding.as_ref().and_then(|finding| finding.cause).map(|cause| format!("its pod: {cause}"));
    let judgement = judgement.with_cause(Cause::JobFailed).saying(message);
    let judgement = judgement.showing("the Job", words.into_iter().chain(Some(said.to_owned())).collect());
    evidence::of_workload(context, finding.as_ref(), judgement)
}

fn runs<'a>(context: &mut EvalContext<'a>, pods: &[&'a Pod]) -> Health {
    let alive: Vec<&Pod> = pods.iter().copied().filter(|pod| !pod.is_being_deleted).collect();
    let refused = cannot_begin(context, pods);
    if let Some(failed) = refused.as_ref().filter(|refused| refused.grade == Severity::Failed) {
        let judgement = failed.explain(Health::new(Verdict::Failed));
        return evidence::of_workload(context, Some(failed), judgement);
    }
    if let Some(said) = out_of_attempts(context, &alive) {
        return has_failed(context, pods, "", &said);
    }
    let finding = worst(context, &alive);
    let asks = refused.and_then(|refused| refused.asks);
    let finding = finding.map(|found| Finding { asks: found.asks.clone().or(asks), ..found });
    let refused = if pods.is_empty() { creation::by_events(context, context.object) } else { None };
    let finding = finding
        .into_iter()
        .chain(refused)
        .reduce(|worst, one| if one.weight() > worst.weight() { one } else { worst });
    let judgement = match &finding {
        Some(finding) if finding.grade == Severity::Failed => finding.explain(Health::new(Verdict::Failed)),
        Some(finding) => {
            let judgement = finding.explain(Health::new(Verdict::Progressing));
            judgement.saying(format!("{}{}", finding.message, attempts(context.object)))
        }
        None => still_runs(&alive),
    };
    evidence::of_workload(context, finding.as_ref(), judgement)
}

/// The finding about a program that the kernel could not execute twice, and will not the next time. Before its log was
/// read, it carries the request for that log.
fn cannot_begin<'a>(context: &mut EvalContext<'a>, pods: &[&'a Pod]) -> Option<Finding<'a>> {
    let mut deaths = 0;
    let mut last: Option<(&'a Pod, Container<'a>)> = None;
    for pod in pods.iter().copied().filter(|pod| !context.is_older_than_release(pod.created)) {
        let all = Container::all(pod).into_iter().filter(|one| one.role != Role::Sidecar && !one.is_done());
        for one in all.filter(|one| one.known_deaths().any(|death| death.exit_code != 0)) {
            deaths += one.ended();
            if last.as_ref().is_none_or(|(known, _)| known.created <= pod.created) {
                last = Some((pod, one));
            }
        }
    }
    let (pod, container) = last.filter(|_| deaths > 1)?;
    let death = container.known_deaths().find(|death| death.exit_code != 0)?;
    let events = context.events_of(pod);
    let (cause, _) = crashes::cause(&container, &death, &events);
    if !matches!(cause, Cause::ExitCode | Cause::InitFailed) || death.never_ran() {
        return None;
    }
    // The log that was read is remembered as long as the container's deaths are, so keep these.
    context.deaths(container.key());
    let view = ContainerView { context: &mut *context, pod, container: &container, events: &events };
    let (grade, message, asks) = match view.refused(&death)? {
        Ok(refused) => (Severity::Failed, refused, None),
        Err(question) => (Severity::Waiting, String::new(), Some(question)),
    };
    let previous = container.status.terminated.is_none();
    let finding = Finding::new(pod, grade, Some(Cause::CannotRun), message);
    let finding = finding.of_container(container.name, previous).about(pointer(context, &container, ""));
    Some(Finding { asks, ..finding })
}

/// The health of a running Job, with the container that still runs: if others have completed, it may be a sidecar that
/// never will.
fn still_runs(pods: &[&Pod]) -> Health {
    let found = pods.iter().find_map(|pod| {
        let all = Container::all(pod).into_iter().filter(|one| one.role == Role::Regular);
        let (running, ended): (Vec<Container>, Vec<Container>) =
            all.filter(|one| one.runs() || one.is_done()).partition(Container::runs);
        Some((running.into_iter().next()?, ended.into_iter().next(), *pod))
    });
    let Some((running, ended, pod)) = found else { return Health::progressing("the Job runs") };
    let message = match ended {
        Some(ended) => format!(
            "{} has ended, and {} still runs: the Job is complete only when all have ended",
            ended.title(),
            running.title()
        ),
        None => format!("the Job runs ({})", running.title()),
    };
    let finding = Finding::new(pod, Severity::Waiting, None, message);
    finding.of_container(running.name, false).explain(Health::new(Verdict::Progressing))
}

/// If the manifest sets no `backoffLimit`, nobody asked for the server's default of 6: the Job then fails after as many
/// deaths as any other pod.
fn out_of_attempts(context: &EvalContext, alive: &[&Pod]) -> Option<String> {
    let is_wish = context.release().is_none_or(|release| !release.limits.lacks_backoff_limit);
    if is_wish || context.is_older_than_release(object::created(context.object)) {
        return None;
    }
    let deaths = |pod: &Pod| -> i64 {
        let all = Container::all(pod).into_iter().filter(|one| one.role != Role::Sidecar && !one.is_done());
        all.map(|one| one.ended()).sum()
    };
    let failed = count(context.object, "/status/failed") + alive.iter().map(|pod| deaths(pod)).sum::<i64>();
    let allowed = annotations::failures_allowed(context.object);
    (failed > allowed).then(|| {
        format!(
            "{failed} attempts failed; the manifest sets no backoffLimit, so {allowed} are allowed \
             (windlass.dev/failures-allowed)"
        )
    })
}

/// How many of the attempts that `backoffLimit` allows have failed.
fn attempts(job: &Value) -> String {
    let allowed = object::number(job, "/spec/backoffLimit").unwrap_or(6).saturating_add(1);
    match count(job, "/status/failed") {
        0 => String::new(),
        failed => format!("; {failed} of at most {allowed} attempts failed (backoffLimit)"),
    }
}

/// The worst finding about the Job's pods.
fn worst<'a>(context: &mut EvalContext<'a>, pods: &[&'a Pod]) -> Option<Finding<'a>> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut unable = 0;
    for one in pods {
        match &*one.phase {
            "Succeeded" => {}
            "Failed" => {
                let ending = Finding {
                    grade: Severity::Waiting,
                    ..bare_pod::finding_of_ended(one, &context.events_of(*one))
                };
                unable += i32::from(ending.cause == Some(Cause::CannotRun));
                findings.push(ending);
            }
            _ => {
                let found = pod::examine(context, one);
                // `backoffLimit` decides how often they may crash.
                findings.extend(found.map(|found| Finding { grade: without_crashes(found.grade), ..found }));
            }
        }
    }
    let mut worst =
        findings.into_iter().reduce(|worst, one| if one.weight() > worst.weight() { one } else { worst })?;
    if worst.cause == Some(Cause::CannotRun) && unable > 1 && is_lasting(&worst) {
        worst.grade = Severity::Failed;
    }
    Some(worst)
}

fn is_lasting(finding: &Finding) -> bool {
    // The container's own name may contain any word.
    let said = finding.message.split_once(": ").map_or(finding.message.as_str(), |(_, said)| said);
    crate::rollout::pod::start::is_lasting(said)
}

fn without_crashes(grade: Severity) -> Severity {
    if grade == Severity::CrashedTooOften { Severity::Waiting } else { grade }
}
