//! The objects that a custom resource owns: pods, and workloads with rules of their own. While its pods have failed for
//! good, it is not ready, whatever its controller reports, and their cause is the closest one.

use serde_json::Value;

use crate::model::{Cause, Verdict, object};
use crate::rollout::catalogue;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::snapshot::pod::{Pod, PodCondition};

/// Kinds whose pods count for the owner's owner. Jobs do not: some Jobs of an operator may fail.
const WORKLOADS: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "ReplicationController"),
];

/// The health of a custom resource, together with that of the objects it owns.
pub(crate) fn weighed(context: &mut EvalContext, own: Health) -> Health {
    if matches!(own.verdict, Verdict::Failed | Verdict::Paused | Verdict::Terminating) {
        return own;
    }
    let Some((worst, is_new)) = worst(context) else { return with_words_of_newest_part(context, own) };
    match (own.verdict, worst.verdict) {
        // Its controller may recover: it is not ready, but has not failed.
        (Verdict::Ready, Verdict::Failed) => Health { verdict: Verdict::Progressing, ..worst },
        // Its controller has not seen the crash yet, or counts containers that only run at the moment.
        (Verdict::Ready, Verdict::Progressing) if is_new && worst.cause.is_none_or(is_death) => worst,
        (Verdict::Ready, _) => own,
        (_, Verdict::Failed) => worst,
        (_, _) if own.cause.is_none() && worst.cause.is_some() => worst,
        _ => own,
    }
}

/// Takes the message of a custom resource that is progressing from the newest object it owns with a rule in the
/// catalogue, such as a `CertificateRequest`.
fn with_words_of_newest_part(context: &mut EvalContext, own: Health) -> Health {
    if own.verdict != Verdict::Progressing || own.cause.is_some() {
        return own;
    }
    let parts = context.snapshot.children(context.object).filter(|part| catalogue::find(part).is_some());
    let Some(newest) = parts.max_by_key(|part| object::created(part)) else { return own };
    let part = context.judge_owned(newest);
    let Some(said) = part.message.as_ref().filter(|_| !part.is_done()) else { return own };
    let said = format!("{}: {said}", object::title(newest));
    Health { message: Some(said), ..own }
}

/// The first object that it owns, at any depth, that is not ready yet; `None` if all are.
pub(crate) fn waiting(context: &mut EvalContext) -> Option<String> {
    let mut open = vec![context.object];
    let mut seen: Vec<&Value> = Vec::new();
    while let Some(owner) = open.pop() {
        if seen.iter().any(|one| std::ptr::eq(*one, owner)) {
            continue;
        }
        seen.push(owner);
        let is_unready = |pod: &&Pod| {
            !pod.is_being_deleted && &*pod.phase != "Succeeded" && pod.ready != PodCondition::True
        };
        if let Some(pod) = context.snapshot.pods_of(owner).find(is_unready) {
            return Some(format!("Pod/{}", pod.name));
        }
        let children: Vec<&Value> =
            context.snapshot.children(owner).filter(|child| !object::is_being_deleted(child)).collect();
        for child in children {
            let kind = (object::group(object::api_version(child)), object::kind(child));
            // A workload is judged together with its pods and ReplicaSets; some Jobs of an operator may fail.
            if WORKLOADS.contains(&kind) {
                if !context.judge_owned(child).is_done() {
                    return Some(object::title(child));
                }
            } else if kind == ("batch", "Job") {
                if context.judge_owned(child).is_under_way() {
                    return Some(object::title(child));
                }
            } else {
                open.push(child);
            }
        }
    }
    None
}

/// Whether a container died: its next instance has to stay up.
const fn is_death(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::CrashLoop
            | Cause::ExitCode
            | Cause::OutOfMemory
            | Cause::CannotRun
            | Cause::LivenessProbe
            | Cause::StartupProbe
    )
}

/// The worst problem of what it owns, and whether this release created it; `None` if there is none.
fn worst(context: &mut EvalContext) -> Option<(Health, bool)> {
    let children: Vec<&Value> =
        context.snapshot.children(context.object).filter(|child| !object::is_being_deleted(child)).collect();
    let is_there = |pod: &&Pod| !pod.is_being_deleted && !matches!(&*pod.phase, "Succeeded" | "Failed");
    let pods = context.snapshot.pods_of(context.object).filter(is_there);
    // Older pods show why there is no progress, but its operator may be about to replace them.
    let (old, new): (Vec<&Pod>, Vec<&Pod>) = pods.partition(|pod| context.is_older_than_release(pod.created));
    let mut found = Vec::new();
    for (current, is_new) in [(new, true), (old, false)] {
        let worst = workload::worst(context, &Pods { current, ..Pods::default() });
        found.extend(worst.map(|finding| (finding, is_new)));
    }
    let of_pods = found.into_iter().map(|(finding, is_new)| {
        let fails = is_new && finding.fails(context);
        let verdict = if fails { Verdict::Failed } else { Verdict::Progressing };
        let judgement = finding.explain(Health::new(verdict));
        (crate::rollout::evidence::of_workload(context, Some(&finding), judgement), is_new)
    });
    let is_workload = |child: &&Value| {
        WORKLOADS.contains(&(object::group(object::api_version(child)), object::kind(child)))
    };
    let mut all: Vec<(Health, bool)> = of_pods.collect();
    for child in children.into_iter().filter(is_workload) {
        let mut judgement = context.judge_owned(child);
        let is_new = !context.is_older_than_release(object::created(child));
        if judgement.verdict == Verdict::Failed && !is_new {
            judgement.verdict = Verdict::Progressing;
        }
        let said = judgement.message.take().unwrap_or_default();
        judgement.message = Some(format!("{}: {said}", object::title(child)));
        all.push((judgement, is_new));
    }
    // All pods ready, but not for long enough, is the one problem without a cause.
    let is_young = |one: &Health| {
        let counts = one.ready.as_deref().and_then(|counts| counts.split_once('/'));
        counts.is_some_and(|(ready, wanted)| ready == wanted && wanted != "0")
    };
    all.retain(|(one, is_new)| match one.verdict {
        Verdict::Failed => one.cause.is_some(),
        Verdict::Progressing => one.cause.is_some() || *is_new && is_young(one),
        _ => false,
    });
    let order = |(one, _): &(Health, bool)| (one.verdict != Verdict::Failed, one.cause.is_none());
    let (worst, is_new) = all.into_iter().min_by_key(order)?;
    // The pointer would be into a manifest that is not the user's.
    Some((Health { pointer: None, ..worst }, is_new))
}
