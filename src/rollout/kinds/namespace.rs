//! Namespaces.

use crate::model::Cause;
use crate::model::object::text;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// Judges a Namespace.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    match text(context.object, "/status/phase") {
        "Active" => Health::ready(),
        "Terminating" => {
            let left = condition::all(context.object).filter(Condition::is_true);
            let left: Vec<String> = left.map(|condition| condition.message.to_owned()).collect();
            let judgement = Health::failed(Cause::BeingDeleted, "the namespace is being deleted");
            judgement.showing("what keeps it", left)
        }
        _ => Health::progressing("the namespace is not active yet"),
    }
}
