//! Pods that were evicted from their node, or rejected by it, through their own fault: because of their limit, or what
//! they ask of the node. Their controller replaces them with others that end in the same way.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::pod::crashes;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::pod::{Pod, Said};

/// After this many equal failures, the next pod will fail in the same way.
const FAILS: i64 = 3;
/// A pod that has lived for at least this many seconds, and twice as long as the one before it, no longer exceeds the
/// limit.
const RECOVERS: i64 = 10;
/// The upper bound of that wait, in seconds.
const RECOVERS_AT_MOST: i64 = 600;

/// Why pods of the new revision were evicted or rejected through their own fault, and how often that was seen.
pub(crate) fn repeated<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>) -> Option<Finding<'a>> {
    let mut last: Option<(&'a Pod, PodRejection)> = None;
    for pod in &pods.put_off {
        if context.is_older_than_release(pod.created) {
            continue;
        }
        let Some(fault) = PodRejection::of(pod) else { continue };
        context.note_fault(pod.key(), &fault.said);
        if last.as_ref().is_none_or(|(known, _)| known.created <= pod.created) {
            last = Some((pod, fault));
        }
    }
    let (pod, fault) = last?;
    let count = context.faults(&fault.said);
    let grade = if count >= FAILS { Severity::Failed } else { Severity::Waiting };
    let times = crashes::times(count);
    let message = match fault.cause {
        Cause::Evicted => format!("its pods are evicted for their own limit: {} ({times})", fault.said),
        _ => format!("its pods are rejected by the node: {} ({times})", fault.said),
    };
    let pointer = fault.pointer(context);
    Some(Finding {
        counted_crashes: count,
        ..Finding::new(pod, grade, Some(fault.cause), message).about(pointer)
    })
}

/// The same finding, until the replacement pod has lived long enough.
pub(crate) fn recent<'a>(context: &mut EvalContext<'a>, pods: &Pods<'a>) -> Option<Finding<'a>> {
    let finding = repeated(context, pods)?;
    let before = finding.subject.pod()?.created?;
    let youngest = pods.current.iter().filter_map(|pod| pod.created).max()?;
    let lived = youngest.as_second().saturating_sub(before.as_second());
    let proof = lived.saturating_mul(2).clamp(RECOVERS, RECOVERS_AT_MOST);
    (!context.is_past(youngest, proof)).then_some(finding)
}

/// Why a pod was ended although none of its containers died.
struct PodRejection {
    cause: Cause,
    said: String,
}

impl PodRejection {
    fn of(pod: &Pod) -> Option<Self> {
        static OWN_LIMIT: LazyLock<Regex> = LazyLock::new(|| {
            let words = "EmptyDir volume .* exceeds the limit|local ephemeral storage limit|\
                ephemeral local storage usage exceeds the total limit";
            Regex::new(words).expect("the pattern is a constant")
        });
        let words = pod.said.as_deref().map_or("", Said::words);
        let said = object::one_line(words.trim().trim_end_matches('.'));
        let has_begun = pod.containers.iter().any(|one| one.has_begun() || one.last.is_some());
        match pod.reason() {
            "Evicted" if OWN_LIMIT.is_match(words) => Some(Self { cause: Cause::Evicted, said }),
            // A problem of the node, or a race in scheduling: it is over, or the pod moves to another node.
            "" | "Evicted" | "Preempting" | "NodeLost" | "Shutdown" | "NodeShutdown" | "Terminated"
            | "DeadlineExceeded" | "NodeAffinity" => None,
            reason if has_begun || reason.starts_with("OutOf") => None,
            _ => Some(Self { cause: Cause::AdmissionDenied, said }),
        }
    }

    /// The field of the exceeded limit in the manifest.
    fn pointer(&self, context: &EvalContext) -> Option<String> {
        let (spec, prefix) = context.written_pod();
        let names = |list: &str, marks: [&str; 2]| {
            let is_named = |one: &serde_json::Value| {
                self.said.contains(&format!("{}{}{}", marks[0], object::text(one, "/name"), marks[1]))
            };
            object::list(spec, list).iter().position(is_named)
        };
        if let Some(index) = names("/volumes", ["volume \"", "\" exceeds"]) {
            return Some(format!("{prefix}/volumes/{index}/emptyDir/sizeLimit"));
        }
        let index = names("/containers", ["Container ", " exceeded its local"])?;
        Some(format!("{prefix}/containers/{index}/resources/limits/ephemeral-storage"))
    }
}
