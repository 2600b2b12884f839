//! What a pod for one operating system cannot have.

use super::{CONTAINERS, containers};
use crate::schema::finding::{Finding, step};
use crate::schema::rules::{Checked, is_empty};

/// `validateWindows`: fields of the pod's securityContext, of its specification, and of a container's securityContext.
const NOT_OF_WINDOWS_PODS: [&str; 11] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];
const NOT_OF_WINDOWS_CONTAINERS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// Source: `validateLinux`, `validateWindows`, `validatePodResources`.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let system = one.object("os").and_then(|os| os.get("name")?.as_str()).unwrap_or_default();
    let (of_pods, of_containers): (&[&str], &[&str]) = match system {
        "linux" => (&["windowsOptions"], &["windowsOptions"]),
        "windows" => (&NOT_OF_WINDOWS_PODS, &NOT_OF_WINDOWS_CONTAINERS),
        _ => return,
    };
    let mut refuse = |pointer: String, name: &str| {
        found.push(Finding::error(pointer, format!("a pod for {system} cannot have `{name}`")).at_key());
    };
    let context = one.object("securityContext");
    for name in of_pods
        .iter()
        .filter(|name| context.and_then(|own| own.get(**name)).is_some_and(|value| !is_empty(value)))
    {
        refuse(step(&one.at("securityContext"), name), name);
    }
    if system == "windows" {
        for name in ["hostUsers", "shareProcessNamespace", "resources"]
            .into_iter()
            .filter(|name| one.get(name).is_some())
        {
            refuse(one.at(name), name);
        }
        for name in ["hostPID", "hostIPC"].into_iter().filter(|name| one.is(name)) {
            refuse(one.at(name), name);
        }
    }
    for (pointer, container) in containers(one, &CONTAINERS) {
        for name in of_containers.iter().filter(|name| !container["securityContext"][**name].is_null()) {
            refuse(format!("{pointer}/securityContext/{name}"), name);
        }
    }
}
