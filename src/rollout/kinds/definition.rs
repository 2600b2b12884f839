//! Definitions of new kinds: custom resources, and APIs of other servers (API aggregation).

use crate::model::Cause;
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// Judges a `CustomResourceDefinition`.
pub(crate) fn of_custom_resources(context: &mut EvalContext) -> Health {
    let object = context.object;
    if let Some(names) = condition::find(object, "NamesAccepted").filter(Condition::is_false) {
        let message = format!("its names are taken by another definition: {}", names.words());
        return Health::failed(Cause::Conflict, message).about("/spec/names");
    }
    if !condition::is_true(object, "Established") {
        return Health::progressing("the definition is not established yet");
    }
    if context.release().is_some_and(|release| release.served == Some(false)) {
        return Health::progressing("the API server does not serve the new kind yet");
    }
    Health::ready()
}

/// Judges an `APIService`.
pub(crate) fn of_api(context: &mut EvalContext) -> Health {
    let available = condition::find(context.object, "Available");
    match available {
        Some(available) if available.is_true() => Health::ready(),
        Some(available) => {
            let judgement = Health::progressing(format!("the API is not available: {}", available.words()));
            evidence::with_events(context, &[context.object.into()], judgement)
        }
        None => Health::progressing("the API has not been checked yet"),
    }
}
