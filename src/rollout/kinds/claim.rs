//! `PersistentVolumeClaims`: bound, or waiting for the pod that will use them.

use crate::model::Cause;
use crate::model::object::text;
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::pod::volume;

/// Judges a `PersistentVolumeClaim`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let claim = context.object;
    let Some(unbound) = volume::unbound(context, claim) else {
        let judgement = Health::ready();
        return match text(claim, "/status/phase") {
            "Bound" => judgement,
            _ => judgement.saying("the claim is bound as soon as a pod uses it (WaitForFirstConsumer)"),
        };
    };
    let judgement = if unbound.has_failed {
        Health::failed(Cause::VolumeUnbound, unbound.message)
    } else {
        Health::progressing(unbound.message).with_cause(Cause::VolumeUnbound)
    };
    let judgement = Health { pointer: unbound.field.map(ToOwned::to_owned), ..judgement };
    evidence::with_events(context, &[claim.into()], judgement)
}
