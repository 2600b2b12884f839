//! Ingresses: ready when accepted, since many controllers never publish an address; waited for where asked.

use serde_json::Value;

use super::annotations;
use super::evidence;
use super::judge::Judgement;
use super::object::{self, has, list, text};
use super::scene::Scene;
use super::verdict::Cause;

/// Judges an Ingress.
pub(super) fn judge(scene: &mut Scene) -> Judgement {
    let object = scene.object;
    if annotations::waits_for(object, "address") && !has(object, "/status/loadBalancer/ingress") {
        let judgement = Judgement::progressing("no Ingress controller has published an address yet");
        return evidence::with_events(scene, &[object], judgement.because(Cause::LoadBalancerPending));
    }
    let default = object.pointer("/spec/defaultBackend").into_iter();
    let rules = list(object, "/spec/rules").iter().flat_map(|rule| list(rule, "/http/paths"));
    let backends = default.chain(rules.filter_map(|path| path.get("backend")));
    let mut warnings: Vec<String> = backends.filter_map(|backend| missing(scene, backend)).collect();
    warnings.dedup();
    warnings.into_iter().fold(Judgement::ready(), Judgement::warning)
}

/// What a backend names and what does not exist.
fn missing(scene: &Scene, backend: &Value) -> Option<String> {
    let name = text(backend, "/service/name");
    if name.is_empty() {
        return None;
    }
    if scene.is_missing("", "Service", name) {
        return Some(format!("backend Service {name} was not found"));
    }
    let service = scene.world.beside(scene.object, "", "Service").find(|one| object::name(one) == name)?;
    let ports = list(service, "/spec/ports");
    let number = object::number(backend, "/service/port/number");
    let named = text(backend, "/service/port/name");
    let is_it = |port: &Value| match number {
        Some(number) => object::number(port, "/port") == Some(number),
        None => named.is_empty() || text(port, "/name") == named,
    };
    if ports.is_empty() || ports.iter().any(is_it) {
        return None;
    }
    let port = number.map_or_else(|| named.to_owned(), |number| number.to_string());
    Some(format!("backend Service {name} has no port {port}"))
}
