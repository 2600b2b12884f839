//! The `windlass.dev/…` annotations of a manifest that control its rollout.
//!
//! An annotation with an invalid value counts as absent, with a warning; in `validate` it is an
//! error.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use crate::model::{labels, object};
use crate::text::duration::LONGEST;

/// How many deaths of a container are allowed by default.
const FAILURES_ALLOWED: i64 = 2;
/// How many seconds a pod without a readiness probe must run by default.
const STABLE_FOR: Duration = Duration::from_secs(5);

/// A Job's controller reports `activeDeadlineSeconds` itself; windlass reports it only if this much more time has
/// passed.
const CONTROLLER: Duration = Duration::from_secs(15);

/// The timeout of an object, if it has its own: the annotation's, else for a Job the time after which its controller
/// stops it.
pub(super) fn timeout(object: &Value) -> Option<Duration> {
    let given = object::annotation(object, labels::TIMEOUT).and_then(duration);
    let of_job = || {
        let seconds =
            object::number(object, "/spec/activeDeadlineSeconds").filter(|_| object["kind"] == "Job")?;
        Some(Duration::from_secs(u64::try_from(seconds).ok()?).min(LONGEST) + CONTROLLER)
    };
    given.or_else(of_job)
}

/// How long a pod without a readiness probe must have run.
pub(super) fn stable_for(object: &Value) -> Duration {
    let given = object::annotation(object, labels::STABLE_FOR);
    given.and_then(duration).unwrap_or(STABLE_FOR)
}

/// How often a container may die.
pub(super) fn failures_allowed(object: &Value) -> i64 {
    let given = object::annotation(object, labels::FAILURES_ALLOWED);
    given.and_then(|text| text.parse().ok()).filter(|number| *number >= 0).unwrap_or(FAILURES_ALLOWED)
}

/// How many of the wanted replicas must be ready: `50%`, `maxUnavailable`, `none`; `None` for all of them.
pub(super) fn required_rollout(object: &Value, wanted: i64) -> Option<i64> {
    match object::annotation(object, labels::REQUIRED_ROLLOUT)?.trim() {
        "none" => Some(0),
        "maxUnavailable" => {
            let most = object.pointer("/spec/strategy/rollingUpdate/maxUnavailable");
            Some(wanted.saturating_sub(unavailable(most.unwrap_or(&Value::Null), wanted)).max(0))
        }
        share => {
            let percent: i64 = share.strip_suffix('%')?.trim().parse().ok()?;
            (0..100).contains(&percent).then_some(wanted.saturating_mul(percent).saturating_add(99) / 100)
        }
    }
}

/// Whether the annotation selects this way to wait: `started` for a Job, `address` for an Ingress, `health` for a
/// custom resource, `none` for a Service.
pub(super) fn waits_for(object: &Value, what: &str) -> bool {
    object::annotation(object, labels::WAIT).is_some_and(|value| value.trim() == what)
}

/// Whether a Service or an Ingress may lack endpoints.
pub(super) fn endpoints_are_optional(object: &Value) -> bool {
    object::annotation(object, labels::ENDPOINTS).is_some_and(|value| value.trim() == "optional")
}

/// The annotations, with one sentence about each invalid value.
pub(super) fn unreadable(object: &Value) -> Vec<String> {
    let readable = |key: &str, value: &str| match key {
        labels::TIMEOUT | labels::STABLE_FOR => duration(value).is_some(),
        labels::FAILURES_ALLOWED => value.parse().is_ok_and(|number: i64| number >= 0),
        labels::REQUIRED_ROLLOUT => {
            let value = value.trim();
            matches!(value, "none" | "maxUnavailable" | "full")
                || value.strip_suffix('%').is_some_and(|share| {
                    share.trim().parse().is_ok_and(|percent: i64| (0..=100).contains(&percent))
                })
        }
        labels::ENDPOINTS => value.trim() == "optional",
        labels::WAIT => matches!(value.trim(), "started" | "address" | "health" | "none"),
        _ => true,
    };
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let texts = annotations.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)));
    texts
        .filter(|(key, value)| !readable(key, value))
        .map(|(key, value)| format!("annotation {key}: `{value}` is not valid and was ignored"))
        .collect()
}

/// The server rounds a percentage of `maxUnavailable` down, and uses 25% by default.
fn unavailable(most: &Value, wanted: i64) -> i64 {
    match most {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(share) => share
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<i64>().ok())
            .map_or(0, |percent| wanted.saturating_mul(percent) / 100),
        _ => wanted / 4,
    }
}

/// `90s`, `5m`, `1h30m`, `0s`.
fn duration(text: &str) -> Option<Duration> {
    let duration: Duration = text.trim().parse::<SignedDuration>().ok()?.try_into().ok()?;
    (duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(key: &str, value: &str) -> Value {
        let key = format!("windlass.dev/{key}");
        json!({"metadata": {"annotations": {key: value}},
            "spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "25%"}}}})
    }

    #[test]
    fn durations_are_read_as_in_the_configuration() {
        let seconds = |text: &str| stable_for(&with("stable-for", text)).as_secs();
        assert_eq!(seconds("1h30m"), 5400);
        assert_eq!(seconds("0s"), 0);
        assert_eq!(seconds("soon"), STABLE_FOR.as_secs());
        let of_template = json!({"spec": {"template": with("stable-for", "0s")}});
        assert_eq!(stable_for(&of_template), STABLE_FOR, "`validate` refuses it there");
        assert_eq!(seconds("2562047788015215h"), STABLE_FOR.as_secs(), "no clock goes as far");
        let job = json!({"kind": "Job", "spec": {"activeDeadlineSeconds": i64::MAX}});
        assert_eq!(timeout(&job), Some(LONGEST + CONTROLLER));
        let limit = |text: &str| required_rollout(&with("required-rollout", text), i64::MAX);
        assert!(limit("99%").is_some_and(|limit| limit > 0));
    }

    #[test]
    fn a_lower_bar_is_rounded_up() {
        let bar = |text: &str| required_rollout(&with("required-rollout", text), 3);
        assert_eq!(bar("50%"), Some(2));
        assert_eq!(bar("none"), Some(0));
        assert_eq!(bar("100%"), None);
        assert_eq!(bar("maxUnavailable"), Some(3));
        assert_eq!(required_rollout(&with("required-rollout", "maxUnavailable"), 8), Some(6));
    }
}
