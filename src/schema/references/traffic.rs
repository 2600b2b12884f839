//! What a request passes: from the Ingress to the Service, from there to the pods, and their ports.

use serde_json::{Map, Value};

use super::Referrer;
use super::pods::{Pod, containers, spec_pointer};
use crate::model::object::{kind, list, text};
use crate::schema::finding::{Finding, one_of, step};
use crate::text::nearest;
use crate::text::nearest::distance;

/// Checks where the requests of an object go.
pub(super) fn check(one: &Referrer<'_>, found: &mut Vec<Finding>) {
    match kind(one.object) {
        "Service" => service(one, found),
        "Ingress" => ingress(one, found),
        "StatefulSet" => {
            let name = text(one.object, "/spec/serviceName");
            if one.lacks("Service", name) && !one.may_be_created() {
                found.push(no_service(one, name, "/spec/serviceName"));
            }
        }
        _ => {}
    }
    if let Some(pointer) = spec_pointer(one.object)
        && let Some(spec) = one.object.pointer(pointer)
    {
        for (at, container) in containers(spec) {
            probes(container, &format!("{pointer}{at}"), found);
        }
    }
}

fn service(one: &Referrer<'_>, found: &mut Vec<Finding>) {
    let Some(selector) = one.object.pointer("/spec/selector").and_then(Value::as_object) else { return };
    if selector.is_empty() || text(one.object, "/spec/type") == "ExternalName" {
        return;
    }
    let pods: Vec<&Pod<'_>> = one.pods().filter(|pod| pod.has(selector)).collect();
    if pods.is_empty() {
        if !one.may_be_created() {
            let message = "the selector matches no pod of the manifests".to_owned();
            found.push(
                Finding::warning("/spec/selector", message).at_key().with_hint_if(near_labels(one, selector)),
            );
        }
        return;
    }
    for (index, port) in list(one.object, "/spec/ports").iter().enumerate() {
        found.extend(target(port, &pods, &format!("/spec/ports/{index}")));
    }
}

/// The pod of which only one label differs, and that the least.
fn near_labels(one: &Referrer<'_>, selector: &Map<String, Value>) -> Option<String> {
    let differs = |pod: &Pod<'_>| {
        let label = |key: &str| pod.labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let mut wrong = selector.iter().filter(|(key, value)| label(key) != value.as_str());
        let ((key, value), None) = (wrong.next()?, wrong.next()) else { return None };
        let (value, label) = (value.as_str()?, label(key)?);
        nearest(value, std::iter::once(label))?;
        Some((distance(value, label), format!("did you mean `{key}: {label}`?")))
    };
    let all = one.pods().filter_map(differs);
    all.min_by_key(|(distance, _)| *distance).map(|(_, hint)| hint)
}

/// A target port that no container of the pods declares. One by number may be open without being declared: that is said only
/// where the pods declare others.
fn target(port: &Value, pods: &[&Pod<'_>], pointer: &str) -> Option<Finding> {
    let target = match &port["targetPort"] {
        Value::Null => &port["port"],
        written => written,
    };
    let declared: Vec<(i64, &str)> = pods.iter().flat_map(|pod| pod.ports()).collect();
    let pointer = step(pointer, if port["targetPort"].is_null() { "port" } else { "targetPort" });
    match target {
        Value::String(name) if !declared.iter().any(|(_, known)| known == name) => {
            let names: Vec<&str> =
                declared.iter().map(|(_, name)| *name).filter(|name| !name.is_empty()).collect();
            let near = nearest(name, names.into_iter()).map(|near| format!("did you mean `{near}`?"));
            Some(
                Finding::warning(pointer, format!("no container of the pods has a port named `{name}`"))
                    .with_hint_if(near),
            )
        }
        Value::Number(number) => {
            let number = number.as_i64()?;
            let is_declared = declared.is_empty() || declared.iter().any(|(known, _)| *known == number);
            (!is_declared).then(|| undeclared(pointer, number, &declared))
        }
        _ => None,
    }
}

fn undeclared(pointer: String, number: i64, declared: &[(i64, &str)]) -> Finding {
    let mut known: Vec<String> = declared.iter().map(|(port, _)| port.to_string()).collect();
    known.sort();
    known.dedup();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let message = format!("no container declares the port {number}");
    Finding::warning(pointer, message)
        .with_hint(format!("declared: {}", one_of(&known).replace(" or ", ", ")))
}

fn ingress(one: &Referrer<'_>, found: &mut Vec<Finding>) {
    backend(one, "/spec/defaultBackend", found);
    for (rule, paths) in list(one.object, "/spec/rules").iter().enumerate() {
        for path in 0..list(paths, "/http/paths").len() {
            backend(one, &format!("/spec/rules/{rule}/http/paths/{path}/backend"), found);
        }
    }
}

fn backend(one: &Referrer<'_>, pointer: &str, found: &mut Vec<Finding>) {
    let pointer = step(pointer, "service");
    let Some(backend) = one.object.pointer(&pointer) else { return };
    let name = text(backend, "/name");
    if one.lacks("Service", name) {
        if !one.may_be_created() {
            found.push(no_service(one, name, &step(&pointer, "name")));
        }
        return;
    }
    let Some(service) = one.find("Service", name) else { return };
    let ports = list(service, "/spec/ports");
    let (number, port) =
        (backend.pointer("/port/number").and_then(Value::as_i64), text(backend, "/port/name"));
    if let Some(number) =
        number.filter(|number| !ports.iter().any(|port| port["port"].as_i64() == Some(*number)))
    {
        let known: Vec<String> = ports.iter().map(|port| port["port"].to_string()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let finding = Finding::warning(
            format!("{pointer}/port/number"),
            format!("Service `{name}` has no port {number}"),
        );
        found.push(finding.with_hint(format!("it has {}", one_of(&known))));
    }
    // Some controllers take this name for an annotation.
    if !port.is_empty() && port != "use-annotation" && !ports.iter().any(|known| text(known, "/name") == port)
    {
        let names = ports.iter().map(|known| text(known, "/name")).filter(|name| !name.is_empty());
        let near = nearest(port, names).map(|near| format!("did you mean `{near}`?"));
        let message = format!("Service `{name}` has no port named `{port}`");
        found.push(Finding::warning(format!("{pointer}/port/name"), message).with_hint_if(near));
    }
}

fn no_service(one: &Referrer<'_>, name: &str, pointer: &str) -> Finding {
    let message = format!("{} no Service `{name}`", one.index.set.have);
    Finding::warning(pointer, message).with_hint_if(one.near("Service", name))
}

/// Probes and hooks of a port that their container does not declare. One by name can never be asked.
fn probes(container: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let ports = list(container, "/ports");
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        for action in ["httpGet", "tcpSocket", "grpc"] {
            let at = format!("/{probe}/{action}/port");
            let Some(port) = container.pointer(&at) else { continue };
            let declared = ports
                .iter()
                .map(|port| (port["containerPort"].as_i64().unwrap_or_default(), text(port, "/name")));
            let declared: Vec<(i64, &str)> = declared.collect();
            match port {
                Value::String(name) if !declared.iter().any(|(_, known)| known == name) => {
                    let names = declared.iter().map(|(_, name)| *name).filter(|name| !name.is_empty());
                    let near = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
                    let message = format!("the container has no port named `{name}`");
                    found.push(Finding::warning(format!("{pointer}{at}"), message).with_hint_if(near));
                }
                Value::Number(number) => {
                    let number = number.as_i64().unwrap_or_default();
                    if !declared.is_empty() && !declared.iter().any(|(known, _)| *known == number) {
                        found.push(undeclared(format!("{pointer}{at}"), number, &declared));
                    }
                }
                _ => {}
            }
        }
    }
}
