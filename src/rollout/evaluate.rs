//! Evaluates verdict and cause of one object, as a pure function of the object, its surroundings, the clock and a
//! small memory. Watches only feed it; a dump is judged by the same code.

use serde_json::Value;

use crate::model::{Verdict, object};
use crate::rollout::context::{Context, EvalContext};
use crate::rollout::health::Health;
use crate::rollout::memory::Memory;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::decode::is_pod;
use crate::rollout::snapshot::pod::Pod;
use crate::rollout::{annotations, kinds, preconditions};

/// Judges an object: whether it is ready or has failed, and why.
pub(crate) fn judge(
    object: &Value,
    snapshot: &ClusterSnapshot,
    context: &Context,
    memory: &mut Memory,
) -> Health {
    memory.begin();
    let pod =
        is_pod(object::group(object::api_version(object)), object::kind(object)).then(|| Pod::of(object));
    let mut context = EvalContext::new(object, pod.as_ref(), snapshot, context, memory, by_kind);
    let judgement = by_kind(&mut context);
    let mut judgement = context.close(judgement);
    judgement.warnings.extend(annotations::unreadable(object));
    // Everything that is not ready has a message, even if the cluster gives none.
    if judgement.message.is_none() && judgement.verdict != Verdict::Ready {
        judgement.message = Some(format!("{} is {}", object::title(object), judgement.verdict));
    }
    // Messages of programs and webhooks may have line breaks; a sentence has none.
    judgement.message = judgement.message.map(|message| object::one_line(&message));
    memory.end();
    judgement
}

/// The rules for every kind, then the rule of the object's own kind.
fn by_kind(context: &mut EvalContext) -> Health {
    preconditions::any_kind(context).unwrap_or_else(|| kinds::judge(context))
}

/// Judges an object of the release that was deleted, by how it was last seen: a finished Job with
/// `ttlSecondsAfterFinished` is deleted by the cluster itself.
pub(crate) fn judge_gone(last_seen: &Value) -> Health {
    preconditions::gone(last_seen)
}
