//! What a Job records: which content it ran, and how that ended.

use crate::model::labels;
use serde_json::Value;

use super::{annotation, group, list};

/// Which content a live Job runs.
pub(crate) fn content(live: &Value) -> Option<&str> {
    live.get("metadata")?.get("annotations")?.get(labels::CONTENT)?.as_str()
}

/// Whether a Job has completed.
pub(crate) fn completed(live: &Value) -> bool {
    has(live, "Complete") || has(live, "SuccessCriteriaMet")
}

/// Whether a Job has failed for good.
pub(crate) fn failed(live: &Value) -> bool {
    has(live, "Failed") || has(live, "FailureTarget")
}

fn has(live: &Value, condition: &str) -> bool {
    list(live, "/status/conditions").iter().any(|one| one["type"] == condition && one["status"] == "True")
}

/// Whether it is a Job, which runs once per content.
pub(crate) fn is_job(object: &Value) -> bool {
    object["kind"] == "Job" && object["apiVersion"].as_str().is_some_and(|version| group(version) == "batch")
}

/// Which Jobs of a phase run first: Helm's weight of a hook.
pub(crate) fn weight(object: &Value) -> i64 {
    annotation(object, "helm.sh/hook-weight").and_then(|weight| weight.trim().parse().ok()).unwrap_or(0)
}
