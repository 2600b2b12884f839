//! The rules of Services, Ingresses, network policies and endpoints.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::{Checked, int};
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::{Format, address, is_plain_url_path, network};
use crate::schema::table::Shape;

/// `--service-node-port-range`, if nothing is said.
const NODE_PORTS: RangeInclusive<i64> = 30_000..=32_767;

/// Checks an object if it is of the network.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "core.v1.ServiceSpec" => {
            service(one, found);
            ports(one, found);
            addresses(one, found);
            traffic(one, found);
        }
        // ValidateIngressSpec
        "networking.v1.IngressSpec"
            if one.list("rules").is_empty() && one.get("defaultBackend").is_none() =>
        {
            found.push(one.missing("an Ingress needs `rules` or a `defaultBackend`"));
        }
        "networking.v1.IngressRule" => found.extend(address_as_host(one)),
        "networking.v1.HTTPIngressPath" => found.extend(path(one)),
        "networking.v1.IngressBackend" => backend(one, found),
        "networking.v1.IngressClassParametersReference" => found.extend(scope(one)),
        "networking.v1.NetworkPolicyPeer" => found.extend(peer(one)),
        "networking.v1.NetworkPolicyPort" => found.extend(end_port(one)),
        // ValidateNetworkPolicySpec
        "networking.v1.NetworkPolicySpec" if one.list("policyTypes").len() > 2 => {
            found.push(Finding::error(one.at("policyTypes"), "there are only two policyTypes"));
        }
        "networking.v1.IPBlock" => excepted(one, found),
        "networking.v1.ServiceCIDRSpec" => found.extend(families(one)),
        "core.v1.EndpointSubset" if one.list("ports").len() > 1 => needs_names(one, "ports", found),
        "discovery.v1.EndpointSlice" => slice(one, found),
        _ => {}
    }
}

/// Source: `validateService`; `SetDefaults_Service` drops what needs another `sessionAffinity`.
fn service(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let is_external = one.text("type") == "ExternalName";
    if one.list("ports").is_empty() && !is_external && !is_headless(one) {
        found.push(
            one.missing("a Service needs `ports`").with_hint("only one with `clusterIP: None` has none"),
        );
    }
    if is_external && one.text("externalName").is_empty() {
        found.push(one.missing("a Service of the type `ExternalName` needs `externalName`"));
    } else if is_external && let Err(malformed) = Format::ExternalName.check(one.text("externalName")) {
        found.push(Finding::error(one.at("externalName"), malformed.message));
    }
    let affinity = one.text("sessionAffinity");
    if affinity != "ClientIP" && one.get("sessionAffinityConfig").is_some() {
        let message = "`sessionAffinityConfig` needs `sessionAffinity: ClientIP`";
        found.push(Finding::warning(one.at("sessionAffinityConfig"), message).at_key());
    }
}

fn is_headless(one: &Checked<'_>) -> bool {
    one.text("clusterIP") == "None"
}

/// Source: `validateService`, `validateServicePort`.
fn ports(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let ports = one.list("ports");
    if ports.len() > 1 {
        needs_names(one, "ports", found);
    }
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let name = text(port, "/name");
        if !name.is_empty() && !names.insert(name) {
            let pointer = step(&step(&one.at("ports"), index), "name");
            found.push(Finding::error(pointer, format!("two ports of the Service are named `{name}`")));
        }
    }
    // The server drops those of the type `ExternalName`.
    if one.text("type") != "ExternalName" {
        node_ports(one, found);
    }
}

/// Source: `ValidateService`, `portallocator.Allocate`.
fn node_ports(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let is_inner = ["", "ClusterIP"].contains(&one.text("type"));
    let mut nodes = HashSet::new();
    for (index, port) in one.list("ports").iter().enumerate() {
        let pointer = step(&step(&one.at("ports"), index), "nodePort");
        let node = int(&Shape::Int32, &port["nodePort"]).unwrap_or_default();
        let protocol = Some(text(port, "/protocol")).filter(|known| !known.is_empty()).unwrap_or("TCP");
        if node == 0 {
            continue;
        }
        if is_inner {
            let message = "`nodePort` needs the type `NodePort` or `LoadBalancer`";
            found.push(Finding::error(pointer, message).at_key());
        } else if !(1..=65535).contains(&node) {
            found
                .push(Finding::error(pointer, format!("`nodePort` must be between 0 and 65535, not {node}")));
        } else if !nodes.insert((protocol, node)) {
            found.push(Finding::error(pointer, format!("the nodePort {node} is used twice")));
        } else if !NODE_PORTS.contains(&node) {
            let message =
                format!("the nodePort {node} is not between 30000 and 32767, as most clusters have them");
            found.push(Finding::warning(pointer, message));
        }
    }
}

/// Where there are several ports, each has a name.
fn needs_names(one: &Checked<'_>, ports: &str, found: &mut Vec<Finding>) {
    for (index, port) in one.list(ports).iter().enumerate() {
        if text(port, "/name").is_empty() && !port["name"].is_number() {
            let finding = Finding::error(step(&one.at(ports), index), "`name` is missing").at_key();
            found.push(finding.with_hint("where there are several ports, each needs a name"));
        }
    }
}

/// Source: `ValidateServiceClusterIPsRelatedFields`; the allocator takes only addresses, too.
fn addresses(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let own = one.text("clusterIP");
    let kind = one.text("type");
    if !own.is_empty() && own != "None" && Format::Ip.since(one.schemas.minor()).check(own).is_err() {
        let message = format!("`clusterIP` is an IP address or `None`, not `{own}`");
        found.push(Finding::error(one.at("clusterIP"), message));
    }
    if own == "None" && ["NodePort", "LoadBalancer"].contains(&kind) {
        let message = format!("a Service of the type `{kind}` cannot have `clusterIP: None`");
        found.push(Finding::error(one.at("clusterIP"), message));
    }
    if kind == "ExternalName" {
        // The server drops them, but for these.
        return;
    }
    let families = one.list("ipFamilies");
    if families.len() == 2 && families[0] == families[1] {
        found.push(Finding::error(step(&one.at("ipFamilies"), 1), "this family is already listed"));
    }
    let all = one.list("clusterIPs");
    if own.is_empty() && !all.is_empty() {
        found.push(
            Finding::error(one.at("clusterIPs"), "`clusterIPs` need `clusterIP`, the first of them").at_key(),
        );
    } else if let Some(first) = all.first().and_then(Value::as_str)
        && first != own
    {
        found.push(Finding::error(one.at("clusterIPs"), format!("the first must be the clusterIP `{own}`")));
    }
}

/// Source: `validateService`, `validateServiceExternalTrafficPolicy`, `validateServiceTrafficDistribution`,
/// `validateLoadBalancerClassField`.
fn traffic(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let kind = Some(one.text("type")).filter(|kind| !kind.is_empty()).unwrap_or("ClusterIP");
    let is_balanced = kind == "LoadBalancer";
    for name in
        one.filled(&["loadBalancerSourceRanges", "loadBalancerClass", "allocateLoadBalancerNodePorts"])
    {
        if !is_balanced {
            let message = format!("`{name}` needs the type `LoadBalancer`");
            found.push(Finding::error(one.at(name), message).at_key());
        }
    }
    let policy = one.text("externalTrafficPolicy");
    let is_reached = is_balanced || kind == "NodePort" || !one.list("externalIPs").is_empty();
    if !policy.is_empty() && !is_reached {
        let message = "`externalTrafficPolicy` needs the type `NodePort` or `LoadBalancer`";
        found.push(Finding::error(one.at("externalTrafficPolicy"), message).at_key());
    }
    if one.int("healthCheckNodePort").unwrap_or_default() != 0 && !(is_balanced && policy == "Local") {
        let message =
            "`healthCheckNodePort` needs the type `LoadBalancer` and `externalTrafficPolicy: Local`";
        found.push(Finding::error(one.at("healthCheckNodePort"), message).at_key());
    }
    let minor = one.schemas.minor();
    let known: &[&str] =
        if minor < 33 { &["PreferClose"] } else { &["PreferClose", "PreferSameNode", "PreferSameZone"] };
    if let Some(written) = one.get("trafficDistribution").and_then(Value::as_str)
        && minor >= 31
        && !known.contains(&written)
    {
        found.push(not_one_of(&one.at("trafficDistribution"), written, known));
    }
}

/// Source: `ValidateIngressSpec`: a host is no IP address.
fn address_as_host(one: &Checked<'_>) -> Option<Finding> {
    let host = one.text("host");
    address(host)?;
    Some(Finding::error(one.at("host"), format!("`host` is a name, not the IP address `{host}`")))
}

/// Source: `validateHTTPIngressPath`.
fn path(one: &Checked<'_>) -> Option<Finding> {
    let path = one.text("path");
    match one.text("pathType") {
        kind @ ("Exact" | "Prefix") if path.is_empty() => {
            Some(one.missing(format!("the pathType `{kind}` needs `path`")))
        }
        "Exact" | "Prefix" if !is_plain_url_path(path) => {
            let message = format!("`{path}` is not a valid absolute path");
            Some(
                Finding::error(one.at("path"), message).with_hint("write `/a/b`, without `//`, `.` and `..`"),
            )
        }
        "ImplementationSpecific" if !path.is_empty() => {
            let malformed = Format::AbsolutePath.check(path).err()?;
            Some(Finding::error(one.at("path"), malformed.message).with_hint("a path begins with `/`"))
        }
        _ => None,
    }
}

/// Source: `validateIngressBackend`, `validateIngressTypedLocalObjectReference`.
fn backend(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if let Some(service) = one.object("service") {
        let port = service.get("port").and_then(Value::as_object);
        let number = port.and_then(|port| int(&Shape::Int32, port.get("number")?)).unwrap_or_default();
        let name = port.and_then(|port| port.get("name")?.as_str()).unwrap_or_default();
        // Where there are fields, their own rules say what is wrong.
        let is_told = port.is_some_and(|port| port.keys().next().is_none());
        if number == 0 && name.is_empty() && !is_told {
            let message = "a backend needs `port` with `name` or `number`";
            found.push(Finding::error(one.at("service"), message).at_key());
        }
    }
    let Some(resource) = one.object("resource") else { return };
    let forms =
        [("apiGroup", Format::Subdomain), ("kind", Format::PathSegment), ("name", Format::PathSegment)];
    for (name, format) in forms {
        let Some(written) = resource.get(name).and_then(Value::as_str) else { continue };
        if let Err(malformed) = format.check(written)
            && (!written.is_empty() || name == "apiGroup")
        {
            found.push(Finding::error(step(&one.at("resource"), name), malformed.message));
        }
    }
}

/// Source: `validateIngressClassParametersReference`; `SetDefaults_IngressClass`: Cluster.
fn scope(one: &Checked<'_>) -> Option<Finding> {
    let is_of_namespace = one.text("scope") == "Namespace";
    match one.get("namespace") {
        None if is_of_namespace => Some(one.missing("the scope `Namespace` needs `namespace`")),
        Some(_) if !is_of_namespace => {
            let message = "`namespace` needs the scope `Namespace`";
            Some(Finding::error(one.at("namespace"), message).at_key())
        }
        _ => None,
    }
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

/// Source: `ValidateNetworkPolicyPort`.
fn end_port(one: &Checked<'_>) -> Option<Finding> {
    let end = one.int("endPort")?;
    let message = match one.get("port") {
        None => "`endPort` needs `port`".to_owned(),
        Some(Value::String(_)) => "`endPort` needs a `port` by number".to_owned(),
        Some(port) => match int(&Shape::Int32, port) {
            Some(port) if end < port => format!("`endPort` ({end}) is less than `port` ({port})"),
            _ => return None,
        },
    };
    Some(Finding::error(one.at("endPort"), message))
}

/// What is excepted is a part of the block. Source: `ValidateIPBlock`.
fn excepted(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some((whole, length)) = network(one.text("cidr")) else { return };
    for (index, part) in one.list("except").iter().enumerate() {
        let Some((ip, longer)) = part.as_str().and_then(network) else { continue };
        if longer <= length || !is_within(ip, whole, length) {
            let message = format!("it is not a part of `{}`", one.text("cidr"));
            found.push(Finding::error(step(&one.at("except"), index), message));
        }
    }
}

fn is_within(ip: IpAddr, whole: IpAddr, length: u8) -> bool {
    let bits = |one: u128, width: u32| one.checked_shr(width - u32::from(length)).unwrap_or_default();
    match (ip, whole) {
        (IpAddr::V4(ip), IpAddr::V4(whole)) => {
            bits(u128::from(u32::from(ip)), 32) == bits(u128::from(u32::from(whole)), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(whole)) => bits(u128::from(ip), 128) == bits(u128::from(whole), 128),
        _ => false,
    }
}

/// Source: `validateServiceCIDRSpec`.
fn families(one: &Checked<'_>) -> Option<Finding> {
    let read = |item: &Value| item.as_str().and_then(network).map(|(ip, _)| ip.is_ipv4());
    let families: Vec<bool> = one.list("cidrs").iter().filter_map(read).collect();
    match families[..] {
        [first, second] if first == second => {
            Some(Finding::error(one.at("cidrs"), "the two must be of IPv4 and of IPv6"))
        }
        [_, _, _, ..] => Some(Finding::error(one.at("cidrs"), "at most two are allowed")),
        _ => None,
    }
}

/// Source: `validateEndpoints`, `validatePorts`.
fn slice(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let (kind, minor) = (one.text("addressType"), one.schemas.minor());
    let mut names = HashSet::new();
    for (index, port) in one.list("ports").iter().enumerate() {
        let name = text(port, "/name");
        if !names.insert(name) {
            let pointer = step(&step(&one.at("ports"), index), "name");
            found.push(Finding::error(pointer, format!("another port is named `{name}`")));
        }
    }
    for (index, endpoint) in one.list("endpoints").iter().enumerate() {
        let pointer = step(&one.at("endpoints"), index);
        for (at, address) in list(endpoint, "/addresses").iter().enumerate() {
            let address = if address.is_null() { Some("") } else { address.as_str() };
            found.extend(
                address.and_then(|address| {
                    of_type(address, (kind, minor), &format!("{pointer}/addresses/{at}"))
                }),
            );
        }
        let zones = list(endpoint, "/hints/forZones").iter().enumerate();
        let mut seen = HashSet::new();
        for (at, zone) in zones.filter(|(_, zone)| zone["name"].is_string()) {
            if !seen.insert(text(zone, "/name")) {
                let pointer = format!("{pointer}/hints/forZones/{at}/name");
                found.push(Finding::error(pointer, "this zone is already listed"));
            }
        }
    }
}

fn of_type(written: &str, (kind, minor): (&str, u32), pointer: &str) -> Option<Finding> {
    let read = address(written).filter(|_| Format::Endpoint.since(minor).check(written).is_ok());
    let is_right = match kind {
        "IPv4" => read.is_some_and(|ip| ip.is_ipv4()),
        "IPv6" => read.is_some_and(|ip| ip.is_ipv6() && (minor < 34 || ip.to_string() == written)),
        "FQDN" => Format::DomainName.check(written).is_ok(),
        _ => true,
    };
    (!is_right)
        .then(|| Finding::error(pointer, format!("`{written}` is not an address of the type `{kind}`")))
}
