//! Services: a load balancer must have its address. Whether the selector matches any pod is checked last, by
//! `endpoints`.

use crate::model::Cause;
use crate::model::object::{has, text};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::{annotations, evidence};

/// Judges a Service.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let object = context.object;
    let kind = text(object, "/spec/type");
    if kind == "ExternalName" {
        return Health::ready();
    }
    let is_waited_for = !annotations::waits_for(object, "none");
    if kind == "LoadBalancer" && is_waited_for && !has(object, "/status/loadBalancer/ingress") {
        let judgement = Health::progressing("the load balancer has no address yet");
        let judgement = judgement.with_cause(Cause::LoadBalancerPending).about("/spec/type");
        return evidence::with_events(context, &[object.into()], judgement);
    }
    if has(object, "/spec/selector") && !has(object, "/spec/clusterIP") {
        return Health::progressing("the Service has no cluster address yet");
    }
    Health::ready()
}
