//! Ingresses: ready when accepted, since many controllers never publish an address; waited for where asked. Whether the
//! backends exist is judged last, by `endpoints`.

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
