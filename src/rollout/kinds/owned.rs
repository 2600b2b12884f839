//! What a custom resource owns: pods, and workloads that others know how to judge. While pods of it have failed for good,
//! it is not ready, whatever its controller says; and why they have is the nearest cause that there is.

use serde_json::Value;

use crate::model::{Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::pod::finding::Severity;
use crate::rollout::snapshot::pod::{Pod, PodCondition};

/// Kinds whose pods tell of their owner's owner. Jobs are left out: of those that an operator ran, some may fail.
const WORKLOADS: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "ReplicationController"),
];

/// The judgement of a custom resource in the light of what it owns.
pub(crate) fn weighed(context: &mut EvalContext, own: Health) -> Health {
    if matches!(own.verdict, Verdict::Failed | Verdict::Paused | Verdict::Terminating) {
        return own;
    }
    let Some(worst) = worst(context) else { return own };
    match (own.verdict, worst.verdict) {
        // Its controller may know better: it is not ready, but nothing is over.
        (Verdict::Ready, Verdict::Failed) => Health { verdict: Verdict::Progressing, ..worst },
        (Verdict::Ready, _) => own,
        (_, Verdict::Failed) => worst,
        (_, _) if own.cause.is_none() && worst.cause.is_some() => worst,
        _ => own,
    }
}

/// What of all that it owns, at any depth, is not ready yet; `None` where everything is.
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
            // A workload is judged with its own pods and sets; of the Jobs of an operator some may fail.
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

/// What is worst of what it owns; `None` where nothing of it is wrong.
fn worst(context: &mut EvalContext) -> Option<Health> {
    let children: Vec<&Value> =
        context.snapshot.children(context.object).filter(|child| !object::is_being_deleted(child)).collect();
    let is_there = |pod: &&Pod| !pod.is_being_deleted && !matches!(&*pod.phase, "Succeeded" | "Failed");
    let pods = context.snapshot.pods_of(context.object).filter(is_there);
    // What was there before tells why it does not get on, but its operator may be about to replace it.
    let (old, new): (Vec<&Pod>, Vec<&Pod>) = pods.partition(|pod| context.is_older_than_release(pod.created));
    let mut found = Vec::new();
    for (current, is_new) in [(new, true), (old, false)] {
        let worst = workload::worst(context, &Pods { current, ..Pods::default() });
        found.extend(worst.map(|finding| (finding, is_new)));
    }
    let of_pods = found.into_iter().map(|(finding, is_new)| {
        let fails = match finding.grade {
            Severity::Failed => is_new,
            Severity::OutOfStrikes => is_new && !context.others_are_on_their_way(),
            Severity::Waiting => false,
        };
        let verdict = if fails { Verdict::Failed } else { Verdict::Progressing };
        let judgement = finding.explain(Health::new(verdict));
        crate::rollout::evidence::of_workload(context, Some(&finding), judgement)
    });
    let is_workload = |child: &&Value| {
        WORKLOADS.contains(&(object::group(object::api_version(child)), object::kind(child)))
    };
    let mut all: Vec<Health> = of_pods.collect();
    for child in children.into_iter().filter(is_workload) {
        let mut judgement = context.judge_owned(child);
        if judgement.verdict == Verdict::Failed && context.is_older_than_release(object::created(child)) {
            judgement.verdict = Verdict::Progressing;
        }
        let said = judgement.message.take().unwrap_or_default();
        judgement.message = Some(format!("{}: {said}", object::title(child)));
        all.push(judgement);
    }
    all.retain(|one| matches!(one.verdict, Verdict::Failed | Verdict::Progressing) && one.cause.is_some());
    let at = all.iter().position(|one| one.verdict == Verdict::Failed).unwrap_or(0);
    // What it points into is a manifest that is not the user's.
    (!all.is_empty()).then(|| Health { pointer: None, ..all.swap_remove(at) })
}
