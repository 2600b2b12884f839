//! The rules of containers: names, ports, probes, policies.

use std::collections::HashSet;

use serde_json::Value;

use super::{CONTAINERS, containers, duplicates};
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::rules::{Checked, int};
use crate::schema::table::Shape;

/// Checks a container by itself.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    probes(one, found);
    port_names(one, found);
    devices(one, found);
    policy(one, found);
    resize(one, found);
}

/// Source: `validateLivenessProbe`, `validateStartupProbe`, `validateReadinessProbe`. 0 is the default.
fn probes(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for probe in ["livenessProbe", "startupProbe"] {
        let pointer = step(&one.at(probe), "successThreshold");
        let threshold =
            one.object(probe).and_then(|probe| int(&Shape::Int32, probe.get("successThreshold")?));
        if threshold.is_some_and(|threshold| threshold > 1) {
            found.push(Finding::error(pointer, format!("`successThreshold` of a `{probe}` must be 1")));
        }
    }
    let grace = "terminationGracePeriodSeconds";
    if one
        .object("readinessProbe")
        .is_some_and(|probe| probe.get(grace).is_some_and(|grace| !grace.is_null()))
    {
        let message =
            "a `readinessProbe` does not kill the container: it cannot have `terminationGracePeriodSeconds`";
        found.push(Finding::error(step(&one.at("readinessProbe"), grace), message).at_key());
    }
}

/// Source: `validateContainerPorts`.
fn port_names(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let ports = one.list("ports").iter().enumerate();
    let names = ports.filter_map(|(index, port)| {
        let name = port["name"].as_str().filter(|name| !name.is_empty())?;
        Some((step(&step(&one.at("ports"), index), "name"), name))
    });
    duplicates(names, |name| format!("two ports of the container are named `{name}`"), found);
}

/// Source: `ValidateVolumeDevices`.
fn devices(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let devices = one.list("volumeDevices").iter().enumerate();
    let names = devices
        .map(|(index, device)| (step(&step(&one.at("volumeDevices"), index), "name"), text(device, "/name")));
    let names: Vec<(String, &str)> = names.filter(|(_, name)| !name.is_empty()).collect();
    for (index, mount) in one.list("volumeMounts").iter().enumerate() {
        let name = text(mount, "/name");
        if names.iter().any(|(_, device)| *device == name) {
            let message = format!("the volume `{name}` is also used as a device");
            found.push(Finding::error(step(&step(&one.at("volumeMounts"), index), "name"), message));
        }
    }
    duplicates(names, |name| format!("the volume `{name}` is already used as a device"), found);
}

/// Source: `validateContainerRestartPolicy`, `validateInitContainerRestartPolicy`. Before 1.34 an init container has `Always` or
/// none, another one has none.
fn policy(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let rules = one.list("restartPolicyRules");
    // ContainerRestartRules: 1.34 drops all that only later versions take; those before refuse it.
    let is_init = one.pointer.contains("/initContainers/");
    if one.schemas.minor() == 34 {
        return;
    }
    // Before 1.28 there is no such field, which was said.
    let is_known = one.schemas.field_of(one.type_name, "restartPolicy").is_some();
    let (written, policy) = (one.get("restartPolicy").filter(|_| is_known), one.text("restartPolicy"));
    if !rules.is_empty() && written.is_none() {
        found.push(one.missing("`restartPolicyRules` need `restartPolicy`"));
    }
    let known: &[&str] =
        if one.schemas.minor() < 35 { &["Always"] } else { &["Always", "Never", "OnFailure"] };
    if written.is_some() && !is_init && one.schemas.minor() < 34 {
        let message = "only an init container has a `restartPolicy` of its own";
        found.push(Finding::error(one.at("restartPolicy"), message).at_key());
    } else if written.is_some() && !known.contains(&policy) {
        found.push(not_one_of(&one.at("restartPolicy"), policy, known));
    }
    let known = ["Restart", "RestartAllContainers"];
    for (index, rule) in rules.iter().enumerate() {
        let action = text(rule, "/action");
        if !action.is_empty() && !known.contains(&action) {
            let pointer = step(&step(&one.at("restartPolicyRules"), index), "action");
            found.push(not_one_of(&pointer, action, &known));
        }
    }
}

/// Source: `validateResizePolicy`.
fn resize(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let policies = one.list("resizePolicy").iter().enumerate();
    let names =
        policies.map(|(index, policy)| (step(&one.at("resizePolicy"), index), text(policy, "/resourceName")));
    duplicates(names, |name| format!("a second policy for `{name}`"), found);
}

/// The names of all containers of a pod differ. Source: `validateContainers`, `validateInitContainers`.
pub(super) fn names(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (pointer, container) in containers(one, &["containers", "initContainers", "ephemeralContainers"]) {
        let name = text(container, "/name");
        // Within one list the schema says so.
        if !name.is_empty() && !seen.insert(name) && !pointer.contains("/containers/") {
            let message = format!("`{name}` is also the name of a container");
            found.push(Finding::error(step(&pointer, "name"), message));
        }
    }
    port_names_of_pod(one, found);
}

/// A Service that names such a port takes the first. The server does not mind.
fn port_names_of_pod(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (pointer, container) in containers(one, &["containers"]) {
        let own = text(container, "/name");
        for (index, port) in list(container, "/ports").iter().enumerate() {
            let name = text(port, "/name");
            match seen.iter().find(|(known, _)| !name.is_empty() && *known == name) {
                Some((_, other)) if *other != own => {
                    let message = format!("the container `{other}` also has a port named `{name}`");
                    let at = format!("{pointer}/ports/{index}/name");
                    let hint = "a Service that names it reaches only one of them";
                    found.push(Finding::warning(at, message).with_hint(hint));
                }
                _ => seen.push((name, own)),
            }
        }
    }
}

/// Source: `checkHostPortConflicts`, `validatePodHostNetworkDeps`. With `hostNetwork`, what is left out is the same.
pub(super) fn host_ports(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let is_host = one.is("hostNetwork");
    let mut used = HashSet::new();
    for (pointer, container) in containers(one, &["containers"]) {
        for (index, port) in list(container, "/ports").iter().enumerate() {
            let number = |name: &str| int(&Shape::Int32, &port[name]).unwrap_or_default();
            let (host, own) = (number("hostPort"), number("containerPort"));
            let at = format!("{pointer}/ports/{index}/hostPort");
            if is_host && host != 0 && host != own {
                let message = "`hostPort` must be the `containerPort` where `hostNetwork` is true";
                found.push(Finding::error(at.as_str(), message));
            }
            let host = if is_host && host == 0 { own } else { host };
            let protocol =
                Some(text(port, "/protocol")).filter(|protocol| !protocol.is_empty()).unwrap_or("TCP");
            if host != 0 && !used.insert((protocol, text(port, "/hostIP"), host)) {
                found.push(Finding::error(at, format!("the port {host} of the host is used twice")));
            }
        }
    }
}

/// Source: `validateSleepAction`; 30 s is the default. Before 1.32, 0 is refused.
pub(super) fn grace(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let grace = one.int("terminationGracePeriodSeconds").unwrap_or(30);
    let least = i64::from(one.schemas.minor() < 32);
    for (pointer, container) in containers(one, &["containers", "initContainers"]) {
        for hook in ["postStart", "preStop"] {
            let at = format!("/lifecycle/{hook}/sleep");
            let Some(sleep) = container.pointer(&at).and_then(Value::as_object) else { continue };
            let written = sleep.get("seconds").unwrap_or(&Value::Null);
            let seconds = if written.is_null() { Some(0) } else { int(&Shape::Int64, written) };
            if seconds.is_some_and(|seconds| seconds < least || seconds > grace) {
                let message =
                    format!("`seconds` must be between {least} and terminationGracePeriodSeconds ({grace})");
                found.push(Finding::error(format!("{pointer}{at}/seconds"), message));
            }
        }
    }
}

/// The claims of a container are claims of its pod. Source: `validateResourceClaimNames`.
pub(super) fn claims(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let known: Vec<&str> = one.list("resourceClaims").iter().map(|claim| text(claim, "/name")).collect();
    for (pointer, container) in containers(one, &CONTAINERS) {
        for (index, claim) in list(container, "/resources/claims").iter().enumerate() {
            let name = text(claim, "/name");
            if !name.is_empty() && !known.contains(&name) {
                let near = crate::text::nearest(name, known.iter().copied());
                let finding = Finding::error(
                    format!("{pointer}/resources/claims/{index}/name"),
                    format!("the pod has no resource claim `{name}`"),
                );
                found.push(finding.with_hint_if(near.map(|near| format!("did you mean `{near}`?"))));
            }
        }
    }
}
