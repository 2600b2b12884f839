//! Definitions of new kinds: custom resources, and APIs that other servers serve.

use crate::model::Cause;
use crate::rollout::context::Scene;
use crate::rollout::evaluate::Judgement;
use crate::rollout::evidence;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// Judges a `CustomResourceDefinition`.
pub(crate) fn of_custom_resources(scene: &mut Scene) -> Judgement {
    let object = scene.object;
    if let Some(names) = condition::find(object, "NamesAccepted").filter(Condition::is_false) {
        let message = format!("its names are taken by another definition: {}", names.words());
        return Judgement::failed(Cause::Conflict, message).about("/spec/names");
    }
    if !condition::is_true(object, "Established") {
        return Judgement::progressing("the definition is not established yet");
    }
    if scene.release().is_some_and(|release| release.served == Some(false)) {
        return Judgement::progressing("the API server does not serve the new kind yet");
    }
    Judgement::ready()
}

/// Judges an `APIService`.
pub(crate) fn of_api(scene: &mut Scene) -> Judgement {
    let available = condition::find(scene.object, "Available");
    match available {
        Some(available) if available.is_true() => Judgement::ready(),
        Some(available) => {
            let judgement =
                Judgement::progressing(format!("the API is not available: {}", available.words()));
            evidence::with_events(scene, &[scene.object], judgement)
        }
        None => Judgement::progressing("nobody has looked at the API yet"),
    }
}
