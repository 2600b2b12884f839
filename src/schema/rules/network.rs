//! The rules of Services, Ingresses and network policies.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use super::Checked;
use super::pod::exactly_one;
use crate::schema::finding::{Finding, step};
use crate::schema::format::Format;

/// Checks an object if it is of the network.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "core.v1.ServiceSpec" => service(one, found),
        // ValidateIngressSpec
        "networking.v1.IngressSpec"
            if one.list("rules").is_empty() && one.get("defaultBackend").is_none() =>
        {
            found.push(one.missing("an Ingress needs `rules` or a `defaultBackend`"));
        }
        "networking.v1.IngressRule" => found.extend(address_as_host(one)),
        "networking.v1.IngressBackend" => {
            found.extend(exactly_one(one, &["service", "resource"], "a backend"));
            let has_port = one.get("service").is_none_or(|service| service["port"].is_object());
            if !has_port {
                let message = "a backend needs `port` with `name` or `number`";
                found.push(Finding::error(one.at("service"), message).at_key());
            }
        }
        "networking.v1.ServiceBackendPort" => {
            found.extend(exactly_one(one, &["name", "number"], "the port of a backend"));
        }
        "networking.v1.NetworkPolicyPeer" => found.extend(peer(one)),
        _ => {}
    }
}

/// Source: `validateService`.
fn service(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let ports = one.list("ports");
    let is_external = one.text("type") == "ExternalName";
    if ports.is_empty() && !is_external && one.text("clusterIP") != "None" {
        found.push(
            one.missing("a Service needs `ports`").with_hint("only one with `clusterIP: None` has none"),
        );
    }
    if is_external && one.text("externalName").is_empty() {
        found.push(one.missing("a Service of the type `ExternalName` needs `externalName`"));
    }
    let address = one.text("clusterIP");
    if !address.is_empty() && address != "None" && Format::Ip.check(address).is_err() {
        let message = format!("`clusterIP` is an IP address or `None`, not `{address}`");
        found.push(Finding::error(one.at("clusterIP"), message));
    }
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let pointer = step(&one.at("ports"), index);
        match port["name"].as_str().filter(|name| !name.is_empty()) {
            None if ports.len() > 1 => {
                let finding = Finding::error(pointer, "`name` is missing").at_key();
                found.push(finding.with_hint("where a Service has several ports, each needs a name"));
            }
            Some(name) if !names.insert(name) => {
                let message = format!("two ports of the Service are named `{name}`");
                found.push(Finding::error(step(&pointer, "name"), message));
            }
            _ => {}
        }
    }
}

/// Source: `ValidateIngressSpec`: a host is no IP address.
fn address_as_host(one: &Checked<'_>) -> Option<Finding> {
    let host = one.text("host");
    host.parse::<IpAddr>().ok()?;
    Some(Finding::error(one.at("host"), format!("`host` is a name, not the IP address `{host}`")))
}

/// Source: `ValidateNetworkPolicyPeer`.
fn peer(one: &Checked<'_>) -> Option<Finding> {
    let selectors = one.present(&["podSelector", "namespaceSelector"]);
    match (one.get("ipBlock").and_then(Value::as_object), selectors.first()) {
        (None, None) => Some(one.missing("a peer needs `podSelector`, `namespaceSelector` or `ipBlock`")),
        (Some(_), Some(selector)) => {
            let message = format!("a peer with `ipBlock` cannot have `{selector}`");
            Some(Finding::error(one.at(selector), message).at_key())
        }
        _ => None,
    }
}
