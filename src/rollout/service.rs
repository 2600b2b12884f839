//! Services: a load balancer must have its address; a selector that matches nothing is worth a warning.

use serde_json::{Map, Value};

use super::evidence;
use super::judge::Judgement;
use super::object::{self, has, text};
use super::revision::has_labels;
use super::scene::Scene;
use super::verdict::Cause;

/// Kinds with a template of pods, and where it stands.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("apps", "Deployment", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("", "ReplicationController", "/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
];

/// Judges a Service.
pub(super) fn judge(scene: &mut Scene) -> Judgement {
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
    let selector = object.pointer("/spec/selector").and_then(Value::as_object);
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
        return Judgement::ready();
    };
    if !has(object, "/spec/clusterIP") {
        return Judgement::progressing("the Service has no cluster address yet");
    }
    if selects_nothing(scene, selector) {
        return without_endpoints(selector);
    }
    Judgement::ready()
}

fn without_endpoints(selector: &Map<String, Value>) -> Judgement {
    let labels: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let warning = format!("selector {} matches no pod and no template of pods", labels.join(","));
    Judgement::ready().because(Cause::NoEndpoints).about("/spec/selector").warning(warning)
}

/// Whether nothing has the labels, as far as that can be known: by a watch of all pods, or by a dump that holds
/// any pods or workloads.
fn selects_nothing(scene: &Scene, selector: &Map<String, Value>) -> bool {
    let is_dump = scene.release().is_none();
    let mut known = scene.world.is_complete("Pod");
    for (group, kind, template) in TEMPLATES {
        for workload in scene.world.beside(scene.object, group, kind) {
            known |= is_dump;
            if workload.pointer(template).is_some_and(|template| has_labels(template, selector)) {
                return false;
            }
        }
    }
    for pod in scene.world.beside(scene.object, "", "Pod") {
        known |= is_dump;
        if has_labels(pod, selector) {
            return false;
        }
    }
    known || (is_dump && has_no_endpoints(scene))
}

/// Whether the dump shows the Service's endpoints, and that there are none.
fn has_no_endpoints(scene: &Scene) -> bool {
    let name = object::name(scene.object);
    let service_label = "kubernetes.io/service-name";
    let mut slices = scene
        .world
        .beside(scene.object, "discovery.k8s.io", "EndpointSlice")
        .filter(|slice| object::label(slice, service_label) == Some(name))
        .peekable();
    let of_slices = slices.peek().is_some() && slices.all(|slice| !has(slice, "/endpoints"));
    let mut endpoints =
        scene.world.beside(scene.object, "", "Endpoints").filter(|one| object::name(one) == name);
    of_slices || endpoints.any(|one| !has(one, "/subsets"))
}
