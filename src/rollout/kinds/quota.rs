//! Quotas: in force as soon as their controller has taken over what they ask for.

use serde_json::{Map, Value};

use crate::rollout::context::Scene;
use crate::rollout::evaluate::Judgement;

/// Judges a `ResourceQuota`.
pub(crate) fn judge(scene: &mut Scene) -> Judgement {
    let limits = |pointer: &str| -> Map<String, Value> {
        scene.object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    if limits("/spec/hard") == limits("/status/hard") {
        return Judgement::ready();
    }
    Judgement::progressing("the quota is not in force yet")
}
