//! Namespaces.

use super::condition::{self, Condition};
use super::judge::Judgement;
use super::scene::Scene;
use crate::model::Cause;
use crate::model::object::text;

/// Judges a Namespace.
pub(super) fn judge(scene: &mut Scene) -> Judgement {
    match text(scene.object, "/status/phase") {
        "Active" => Judgement::ready(),
        "Terminating" => {
            let left = condition::all(scene.object).filter(Condition::is_true);
            let left: Vec<String> = left.map(|condition| condition.message.to_owned()).collect();
            let judgement = Judgement::failed(Cause::BeingDeleted, "the namespace is being deleted");
            judgement.showing("what keeps it", left)
        }
        _ => Judgement::progressing("the namespace is not active yet"),
    }
}
