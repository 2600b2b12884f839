//! Pods that the API server does not let a controller create: because of a quota, an admission rule, or missing
//! permissions.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

use crate::model::Cause;
use crate::rollout::context::EvalContext;
use crate::rollout::memory::StateKey;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;
use crate::rollout::snapshot::event::without_pod_names;
use crate::rollout::snapshot::history::replica_set::ReplicaFailure;
use crate::rollout::snapshot::identity::Identified as _;
use crate::rollout::snapshot::subject::Subject;

/// A refusal may be temporary: only one that lasts this many seconds is a failure.
const PATIENCE: i64 = 30;
/// A cluster policy does not change on its own, so this many seconds are enough.
const RULE_PATIENCE: i64 = 10;
/// A pod that ends frees its share of a quota, but the controller retries only after up to this many seconds.
const QUOTA_FREED: i64 = 60;

/// The finding from the `ReplicaFailure` condition of a ReplicaSet, or of a Deployment whose ReplicaSet cannot be seen.
pub(crate) fn by_condition<'a>(
    context: &mut EvalContext<'a>,
    owner: impl Into<Subject<'a>>,
) -> Option<Finding<'a>> {
    // The ReplicaSet itself may have been refused.
    let refused = condition::find(context.object, "Progressing").filter(Condition::is_false);
    let refused = refused.filter(|condition| condition.reason == "ReplicaSetCreateError");
    if let Some(refused) = refused.filter(|condition| context.is_of_this_release(condition.written)) {
        let state = (StateKey::SetCreation, refused.since);
        return Some(finding(context, context.object.into(), refused.message, state));
    }
    let owner = owner.into();
    let failure = match owner {
        Subject::ReplicaSet(set) => set.failure.as_deref().cloned(),
        owner => owner.whole().and_then(ReplicaFailure::of),
    };
    let ReplicaFailure { message, since } = failure?;
    let state = (StateKey::ReplicaCreation(owner.uid().into()), since);
    Some(finding(context, owner, &message, state))
}

/// The finding from the `FailedCreate` events of a controller without such a condition, if it has not got any further.
pub(crate) fn by_events<'a>(context: &mut EvalContext<'a>, owner: &'a Value) -> Option<Finding<'a>> {
    let events = context.events_of(owner);
    let created =
        events.iter().filter(|event| event.reason == "SuccessfulCreate").filter_map(|event| event.last);
    let created = created.max();
    let failure = events.iter().rev().find(|event| event.reason == "FailedCreate")?;
    // Each message is a separate event: the refusal has lasted since the first of them.
    let since =
        events.iter().filter(|event| event.reason == "FailedCreate").filter_map(|event| event.first).min();
    let since = since.max(created);
    if created.is_some() && failure.last.is_some() && failure.last < created {
        return None;
    }
    Some(finding(context, owner.into(), failure.message, (StateKey::OwnCreation, since)))
}

/// The finding about a refusal that has lasted since then.
fn finding<'a>(
    context: &mut EvalContext<'a>,
    owner: Subject<'a>,
    message: &str,
    (state, since): (StateKey, Option<Timestamp>),
) -> Finding<'a> {
    let (cause, patience) = meaning(message);
    let lasts = patience.is_some_and(|patience| context.has_lasted(state, since, patience));
    let mut words = format!("its pods cannot be created: {}", without_pod_names(message));
    let mut grade = if lasts { Severity::Failed } else { Severity::Waiting };
    if cause == Cause::QuotaExceeded {
        let ending = context.snapshot.pods_beside(context.object).find(|pod| pod.is_being_deleted);
        if let Some(pod) = ending {
            words.push_str(&format!("; pod {} is terminating and frees its share", pod.name));
        }
        if context.ends_or_ended(ending.is_some(), QUOTA_FREED) {
            grade = Severity::Waiting;
        }
    }
    Finding::new(owner, grade, Some(cause), words)
}

/// The cause, and after how many seconds a retry will fail in the same way; `None` if it may succeed.
fn meaning(message: &str) -> (Cause, Option<i64>) {
    if message.contains("exceeded quota") {
        (Cause::QuotaExceeded, Some(PATIENCE))
    } else if message.contains("failed calling webhook") {
        (Cause::AdmissionDenied, None)
    } else if is_denied_by_rule(message) {
        (Cause::AdmissionDenied, Some(RULE_PATIENCE))
    } else if message.contains("forbidden") || is_account_missing(message) {
        (Cause::Forbidden, Some(PATIENCE))
    } else if message.contains(" is invalid: ") {
        (Cause::InvalidManifest, None)
    } else {
        (Cause::Unknown, None)
    }
}

/// Whether an admission rule refused it: a webhook or policy, Pod Security, a `LimitRange`, a quota that requires
/// limits, a class that does not exist.
fn is_denied_by_rule(message: &str) -> bool {
    static SIGNS: LazyLock<Regex> = LazyLock::new(|| {
        let words = "denied the request|denied request|violates PodSecurity|must specify |\
            (maximum|minimum) \\S+ (usage )?per (Container|Pod)|limit to request ratio per (Container|Pod)|\
            no PriorityClass with name|RuntimeClass \\S+ not found";
        Regex::new(words).expect("the pattern is a constant")
    });
    SIGNS.is_match(message)
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
        assert_eq!(meaning(quota), (Cause::QuotaExceeded, Some(PATIENCE)));
        assert_eq!(
            without_pod_names(quota),
            "exceeded quota: compute, requested: pods=1, used: pods=2, limited: pods=2"
        );
        assert_eq!(
            meaning(r#"admission webhook "deny.example.com" denied the request: no"#),
            (Cause::AdmissionDenied, Some(RULE_PATIENCE))
        );
        assert_eq!(
            meaning(
                r#"Internal error occurred: failed calling webhook "deny.example.com": failed to call webhook: Post "https://deny.hooks.svc:443/": dial tcp: connect: connection refused"#
            ),
            (Cause::AdmissionDenied, None)
        );
        assert_eq!(
            meaning(
                r#"pods "web-7c-" is forbidden: error looking up service account shop/robot: serviceaccount "robot" not found"#
            ),
            (Cause::Forbidden, Some(PATIENCE))
        );
        assert_eq!(meaning("etcdserver: request timed out"), (Cause::Unknown, None));
    }

    #[test]
    fn a_rule_of_the_cluster_is_not_a_lack_of_rights() {
        let rules = [
            r#"pods "web-7c-" is forbidden: violates PodSecurity "restricted:latest": privileged (container "web" must not …)"#,
            r#"pods "web-7c-" is forbidden: maximum memory usage per Container is 64Mi, but limit is 128Mi"#,
            r#"pods "web-7c-" is forbidden: minimum cpu usage per Pod is 100m, but request is 10m"#,
            r#"pods "web-7c-" is forbidden: memory max limit to request ratio per Container is 2, but provided ratio is 4.000000"#,
            r#"pods "web-7c-" is forbidden: failed quota: compute: must specify limits.cpu for: web; requests.cpu for: web"#,
            r#"pods "web-7c-" is forbidden: no PriorityClass with name critical was found"#,
            r#"pods "web-7c-" is forbidden: pod rejected: RuntimeClass "gvisor" not found"#,
            "pods \"web-7c-\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no",
        ];
        for rule in rules {
            assert_eq!(meaning(rule), (Cause::AdmissionDenied, Some(RULE_PATIENCE)), "{rule}");
        }
    }
}
