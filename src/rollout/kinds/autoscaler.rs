//! Autoscalers: without metrics they scale nothing, which is a warning, and does not fail a release.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::object::{list, text};
use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::memory::StateKey;

/// The target may be created a moment after its autoscaler, in seconds.
const SCALE_PATIENCE: i64 = 45;

/// Judges a `HorizontalPodAutoscaler`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let object = context.object;
    let conditions = conditions(object);
    let all = conditions.as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return Health::progressing("waiting for the autoscaler's controller");
    }
    // Permanent failures take precedence over temporary ones.
    let mut untrue: Vec<&Value> =
        all.iter().filter(|condition| text(condition, "/status") == "False").collect();
    untrue.sort_by_key(|condition| text(condition, "/reason") != "InvalidSelector");
    for condition in untrue {
        let said = text(condition, "/message");
        let since = object::time(condition, "/lastTransitionTime");
        let fails = match text(condition, "/reason") {
            "InvalidSelector" => true,
            "FailedGetScale" => {
                if !context.has_lasted(StateKey::Scale, since, SCALE_PATIENCE) {
                    return Health::progressing(said).with_cause(Cause::ControllerFailed);
                }
                true
            }
            _ => false,
        };
        if fails {
            let judgement = Health::failed(Cause::ControllerFailed, said).about("/spec/scaleTargetRef");
            return evidence::with_events(context, &[object.into()], judgement);
        }
    }
    let blind = all.iter().filter(|condition| {
        let reason = text(condition, "/reason");
        text(condition, "/status") == "False" && reason.starts_with("FailedGet") && reason.contains("Metric")
    });
    blind.fold(Health::ready(), |judgement, condition| {
        judgement.warning(format!("it scales nothing: {}", text(condition, "/message")))
    })
}

/// The conditions in the status; in `autoscaling/v1` they are JSON text in an annotation.
fn conditions(object: &Value) -> Cow<'_, Value> {
    if !list(object, "/status/conditions").is_empty() {
        return Cow::Borrowed(&object["status"]["conditions"]);
    }
    let told = object::annotation(object, "autoscaling.alpha.kubernetes.io/conditions");
    Cow::Owned(told.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null))
}
