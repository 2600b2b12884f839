//! Quotas: in force as soon as their controller has copied the spec into the status.

use serde_json::{Map, Value};

use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;

/// Judges a `ResourceQuota`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let limits = |pointer: &str| -> Map<String, Value> {
        context.object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    if limits("/spec/hard") == limits("/status/hard") {
        return Health::ready();
    }
    Health::progressing("the quota is not in force yet")
}
