//! The rules of pods and of what is in them.

mod container;
mod environment;
mod operating_system;
mod resources;
mod scheduling;
mod security;
mod volumes;

use std::collections::HashSet;

use serde_json::Value;

use super::Checked;
use super::choice::exactly_one;
use crate::schema::finding::{Finding, step};

pub(super) use resources::{container_resource, integer};

/// The lists of containers of a pod.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Checks an object if it is a part of a pod.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "core.v1.PodSpec" => pod_spec(one, found),
        "core.v1.Container" | "core.v1.EphemeralContainer" => container::check(one, found),
        "core.v1.EnvVar" => found.extend(environment::value_twice(one)),
        // validateEnvVarValueFrom
        "core.v1.EnvVarSource" => {
            let sources: Vec<&str> = one.schemas.fields_of(one.type_name).map(|field| field.name).collect();
            found.extend(exactly_one(one, &sources, "`valueFrom`"));
            environment::source(one, found);
        }
        "core.v1.DownwardAPIVolumeFile" => environment::file(one, found),
        "core.v1.ResourceFieldSelector" => found.extend(environment::divisor(one)),
        "core.v1.ResourceRequirements" => resources::check(one, found),
        "core.v1.HTTPGetAction" => found.extend(container::protocol(one)),
        "core.v1.VolumeMount" => found.extend(volumes::mount(one)),
        "core.v1.Toleration" => found.extend(scheduling::toleration(one)),
        "core.v1.NodeSelectorRequirement" => found.extend(scheduling::node_selector(one)),
        "core.v1.NodeSelectorTerm" => scheduling::term(one, found),
        "core.v1.NodeSelector" => scheduling::required_terms(one, found),
        "core.v1.TopologySpreadConstraint" => scheduling::spread(one, found),
        "core.v1.PodAffinityTerm" => scheduling::affinity_term(one, found),
        "core.v1.SeccompProfile" | "core.v1.AppArmorProfile" => found.extend(security::profile(one)),
        "core.v1.PodSecurityContext" => security::sysctls(one, found),
        "core.v1.SecurityContext" => found.extend(security::privileges(one)),
        "core.v1.WindowsSecurityContextOptions" => found.extend(security::windows_user(one)),
        _ => volumes::check(one, found),
    }
}

fn pod_spec(one: &Checked<'_>, found: &mut Vec<Finding>) {
    init_containers(one, found);
    container::names(one, found);
    container::host_ports(one, found);
    container::grace(one, found);
    container::claims(one, found);
    environment::files_of_volumes(one, found);
    resources::of_pod(one, found);
    security::of_pod(one, found);
    operating_system::check(one, found);
    dns(one, found);
    found.extend(host_name(one));
    if one.text("serviceAccountName").is_empty() && one.get("serviceAccount").is_some() {
        return;
    }
    if let Some(old) = one.get("serviceAccount").and_then(Value::as_str)
        && old != one.text("serviceAccountName")
    {
        let message = "`serviceAccount` differs from `serviceAccountName`";
        found.push(Finding::warning(one.at("serviceAccount"), message).with_hint("remove `serviceAccount`"));
    }
}

/// The containers of a pod, each with its pointer.
fn containers<'a>(one: &Checked<'a>, lists: &[&str]) -> Vec<(String, &'a Value)> {
    let of = |list: &&str| {
        let pointer = one.at(list);
        let items = one.list(list).iter().enumerate();
        items.map(move |(index, container)| (step(&pointer, index), container)).collect::<Vec<_>>()
    };
    lists.iter().flat_map(of).collect()
}

/// An init container that ends has no probes. Source: `validateInitContainers`.
fn init_containers(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for (pointer, container) in containers(one, &["initContainers"]) {
        // With restartPolicyRules other policies may restart it, too.
        if container["restartPolicy"].is_null() {
            for probe in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
                if !container[probe].is_null() {
                    let message = format!("an init container cannot have a `{probe}`");
                    let finding = Finding::error(step(&pointer, probe), message).at_key();
                    found.push(finding.with_hint("only one with `restartPolicy: Always` runs on"));
                }
            }
        }
    }
}

/// Source: `validatePodDNSConfig`.
fn dns(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.text("dnsPolicy") != "None" {
        return;
    }
    match one.object("dnsConfig") {
        None => found.push(one.missing("the dnsPolicy `None` needs `dnsConfig`")),
        Some(config) if config.get("nameservers").is_none_or(super::is_empty) => {
            let message = "the dnsPolicy `None` needs `nameservers`";
            found.push(Finding::error(one.at("dnsConfig"), message).at_key());
        }
        _ => {}
    }
}

/// Source: `validatePodHostName`.
fn host_name(one: &Checked<'_>) -> Option<Finding> {
    one.get("hostnameOverride")?;
    let other = ["setHostnameAsFQDN", "hostNetwork"].into_iter().find(|name| one.is(name))?;
    let message = format!("`hostnameOverride` cannot be set where `{other}` is true");
    Some(Finding::error(one.at("hostnameOverride"), message).at_key())
}

/// The second of two values that must differ, with the pointer of each.
fn duplicates<T: std::hash::Hash + Eq>(
    values: impl IntoIterator<Item = (String, T)>,
    say: impl Fn(&T) -> String,
    found: &mut Vec<Finding>,
) {
    let mut seen = HashSet::new();
    for (pointer, value) in values {
        let message = say(&value);
        if !seen.insert(value) {
            found.push(Finding::error(pointer, message));
        }
    }
}
