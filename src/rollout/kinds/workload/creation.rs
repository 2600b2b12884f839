//! Pods that the API server does not let a controller create: a quota, an admission rule, missing rights.

use serde_json::Value;

use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::memory::StateKey;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;
use crate::rollout::snapshot::event::without_pod_names;

/// A refusal may be over the next time: only one that lasts so many seconds is a failure.
const PATIENCE: i64 = 30;

/// What the `ReplicaFailure` of a ReplicaSet tells, or of a Deployment whose ReplicaSet cannot be seen.
pub(crate) fn by_condition<'a>(context: &mut EvalContext<'a>, owner: &'a Value) -> Option<Finding<'a>> {
    // The ReplicaSet itself may be what is refused.
    let refused = condition::find(context.object, "Progressing").filter(Condition::is_false);
    let refused = refused.filter(|condition| condition.reason == "ReplicaSetCreateError");
    if let Some(refused) = refused.filter(|condition| context.is_of_this_release(condition.written)) {
        let lasts = context.has_lasted(StateKey::SetCreation, refused.since, PATIENCE);
        return Some(finding(context.object, refused.message, lasts));
    }
    let failure = condition::find(owner, "ReplicaFailure").filter(Condition::is_true)?;
    let lasts =
        context.has_lasted(StateKey::ReplicaCreation(object::uid(owner).into()), failure.since, PATIENCE);
    Some(finding(owner, failure.message, lasts))
}

/// What the `FailedCreate` events of a controller without such a condition tell, where it did not get further.
pub(crate) fn by_events<'a>(context: &mut EvalContext<'a>, owner: &'a Value) -> Option<Finding<'a>> {
    let events = context.events_of(owner);
    let created =
        events.iter().filter(|event| event.reason == "SuccessfulCreate").filter_map(|event| event.last);
    let created = created.max();
    let failure = events.iter().rev().find(|event| event.reason == "FailedCreate")?;
    // Each message is an event of its own: the refusal lasts since the first of them.
    let since =
        events.iter().filter(|event| event.reason == "FailedCreate").filter_map(|event| event.first).min();
    let since = since.max(created);
    if created.is_some() && failure.last.is_some() && failure.last < created {
        return None;
    }
    let lasts = context.has_lasted(StateKey::OwnCreation, since, PATIENCE);
    Some(finding(owner, failure.message, lasts))
}

fn finding<'a>(owner: &'a Value, message: &str, lasts: bool) -> Finding<'a> {
    let (cause, is_final) = meaning(message);
    let grade = if lasts && is_final { Severity::Failed } else { Severity::Waiting };
    Finding::new(
        owner,
        grade,
        Some(cause),
        format!("its pods cannot be created: {}", without_pod_names(message)),
    )
}

/// The cause, and whether the API server will say the same the next time.
fn meaning(message: &str) -> (Cause, bool) {
    if message.contains("exceeded quota") {
        (Cause::QuotaExceeded, true)
    } else if message.contains("failed calling webhook") {
        (Cause::AdmissionDenied, false)
    } else if message.contains("denied the request") || message.contains("denied request") {
        (Cause::AdmissionDenied, true)
    } else if message.contains("forbidden") || is_account_missing(message) {
        (Cause::Forbidden, true)
    } else if message.contains(" is invalid: ") {
        (Cause::InvalidManifest, false)
    } else {
        (Cause::Unknown, false)
    }
}

fn is_account_missing(message: &str) -> bool {
    message.contains("serviceaccount") && message.contains("not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_does_not_answer_may_answer_later() {
        let quota = r#"pods "web-7c-" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=2, limited: pods=2"#;
        assert_eq!(meaning(quota), (Cause::QuotaExceeded, true));
        assert_eq!(
            without_pod_names(quota),
            "exceeded quota: compute, requested: pods=1, used: pods=2, limited: pods=2"
        );
        assert_eq!(
            meaning(r#"admission webhook "deny.example.com" denied the request: no"#),
            (Cause::AdmissionDenied, true)
        );
        assert_eq!(
            meaning(
                r#"Internal error occurred: failed calling webhook "deny.example.com": failed to call webhook: Post "https://deny.hooks.svc:443/": dial tcp: connect: connection refused"#
            ),
            (Cause::AdmissionDenied, false)
        );
        assert_eq!(
            meaning(
                r#"pods "web-7c-" is forbidden: error looking up service account shop/robot: serviceaccount "robot" not found"#
            ),
            (Cause::Forbidden, true)
        );
        assert_eq!(meaning("etcdserver: request timed out"), (Cause::Unknown, false));
    }
}
