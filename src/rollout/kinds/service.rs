//! Services: a load balancer must have its address. Whether a selector matches anything is judged last, by `endpoints`.

use crate::model::Cause;
use crate::model::object::{has, text};
use crate::rollout::context::Scene;
use crate::rollout::evaluate::Judgement;
use crate::rollout::evidence;

/// Judges a Service.
pub(crate) fn judge(scene: &mut Scene) -> Judgement {
    let object = scene.object;
    let kind = text(object, "/spec/type");
    if kind == "ExternalName" {
        return Judgement::ready();
    }
    if kind == "LoadBalancer" && !has(object, "/status/loadBalancer/ingress") {
        let judgement = Judgement::progressing("the load balancer has no address yet");
        let judgement = judgement.because(Cause::LoadBalancerPending).about("/spec/type");
        return evidence::with_events(scene, &[object], judgement);
    }
    if has(object, "/spec/selector") && !has(object, "/spec/clusterIP") {
        return Judgement::progressing("the Service has no cluster address yet");
    }
    Judgement::ready()
}
