//! Ingresses: ready when accepted, because many controllers never publish an address; an annotation waits for one.
//! `endpoints` checks last whether the backends exist.

use crate::model::Cause;
use crate::model::object::has;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::{annotations, evidence};

/// Judges an Ingress.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let object = context.object;
    if annotations::waits_for(object, "address") && !has(object, "/status/loadBalancer/ingress") {
        let judgement = Health::progressing("no Ingress controller has published an address yet");
        return evidence::with_events(
            context,
            &[object.into()],
            judgement.with_cause(Cause::LoadBalancerPending),
        );
    }
    Health::ready()
}
