//! The rights of a pod and of its containers.

use serde_json::Value;

use super::{CONTAINERS, containers, duplicates};
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, step};
use crate::schema::format::Format;
use crate::schema::rules::Checked;

/// Source: `ValidateSecurityContext`.
pub(super) fn privileges(one: &Checked<'_>) -> Option<Finding> {
    if one.get("allowPrivilegeEscalation")? != false {
        return None;
    }
    if one.is("privileged") {
        let message = "`allowPrivilegeEscalation` cannot be false for a privileged container";
        return Some(Finding::error(one.at("allowPrivilegeEscalation"), message));
    }
    let added = one.object("capabilities")?.get("add")?.as_array()?;
    added.iter().any(|name| name == "CAP_SYS_ADMIN").then(|| {
        let message = "`allowPrivilegeEscalation` cannot be false with the capability `CAP_SYS_ADMIN`";
        Finding::error(one.at("allowPrivilegeEscalation"), message)
    })
}

/// Source: `validateSeccompProfileField`, `ValidateAppArmorProfileField`.
pub(super) fn profile(one: &Checked<'_>) -> Option<Finding> {
    let kind = one.text("type");
    let profile = one.get("localhostProfile").and_then(Value::as_str);
    let is_seccomp = one.type_name.ends_with("SeccompProfile");
    match (kind, profile) {
        ("Localhost", None) => Some(one.missing("the type `Localhost` needs `localhostProfile`")),
        ("Localhost", Some(profile)) if is_seccomp => {
            let malformed = Format::RelativePath.check(profile).err()?;
            Some(Finding::error(one.at("localhostProfile"), malformed.message))
        }
        ("Localhost", Some(profile)) if profile.trim().is_empty() || profile.trim() != profile => {
            let message = "`localhostProfile` must be a name without blanks around it";
            Some(Finding::error(one.at("localhostProfile"), message))
        }
        ("RuntimeDefault" | "Unconfined", Some(_)) => {
            let message = format!("the type `{kind}` has no `localhostProfile`");
            Some(Finding::error(one.at("localhostProfile"), message).at_key())
        }
        _ => None,
    }
}

/// Source: `validateSysctls`.
pub(super) fn sysctls(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let sysctls = one.list("sysctls").iter().enumerate();
    let names = sysctls.map(|(index, sysctl)| {
        let name = text(sysctl, "/name").replace('/', ".");
        (step(&step(&one.at("sysctls"), index), "name"), name)
    });
    duplicates(names, |name| format!("`{name}` is set twice"), found);
}

/// Source: `validateHostUsers`, `validateShareProcessNamespace`, `validateWindowsHostProcessPod`, `validateHostSysctl`.
pub(super) fn of_pod(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.is("shareProcessNamespace") && one.is("hostPID") {
        let message = "`shareProcessNamespace` and `hostPID` cannot both be true";
        found.push(Finding::error(one.at("shareProcessNamespace"), message));
    }
    // A gate before 1.33.
    let has_own_users = one.get("hostUsers") == Some(&Value::Bool(false)) && one.schemas.minor() >= 33;
    if has_own_users {
        let names: &[&str] = if one.schemas.minor() < 35 {
            &["hostNetwork", "hostPID", "hostIPC"]
        } else {
            &["hostPID", "hostIPC"]
        };
        for name in names.iter().filter(|name| one.is(name)) {
            let message = format!("`{name}` cannot be true where `hostUsers` is false");
            found.push(Finding::error(one.at(name), message));
        }
    }
    for (pointer, container) in containers(one, &CONTAINERS) {
        if text(container, "/securityContext/procMount") == "Unmasked" && !has_own_users {
            let message = "the procMount `Unmasked` needs `hostUsers: false`";
            found.push(Finding::error(format!("{pointer}/securityContext/procMount"), message));
        }
        if has_own_users && !list(container, "/volumeDevices").is_empty() {
            let message = "a pod with `hostUsers: false` cannot have `volumeDevices`";
            found.push(Finding::error(format!("{pointer}/volumeDevices"), message).at_key());
        }
        bidirectional(container, &pointer, found);
    }
}

/// Processes of a Windows host: all containers are such, on the network of the host. Source: `validateWindowsHostProcessPod`.
pub(super) fn host_processes(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let flag = |context: Option<&Value>| {
        context.and_then(|context| context.pointer("/windowsOptions/hostProcess")?.as_bool())
    };
    let of_pod = flag(one.get("securityContext"));
    let containers = containers(one, &CONTAINERS);
    let own: Vec<Option<bool>> =
        containers.iter().map(|(_, container)| flag(container.get("securityContext"))).collect();
    for ((pointer, _), own) in containers.iter().zip(&own) {
        if let (Some(own), Some(of_pod)) = (own, of_pod)
            && *own != of_pod
        {
            let pointer = format!("{pointer}/securityContext/windowsOptions/hostProcess");
            found.push(Finding::error(pointer, format!("the pod has `hostProcess: {of_pod}`")));
        }
    }
    let is_process = |own: &Option<bool>| own.or(of_pod).unwrap_or_default();
    if !own.iter().any(is_process) {
        return;
    }
    if !own.iter().all(is_process) {
        found.push(one.missing("where one container has `hostProcess: true`, all must have it"));
    }
    if !one.is("hostNetwork") {
        found.push(one.missing("`hostProcess` needs `hostNetwork: true`"));
    }
}

/// Source: `validateMountPropagation`.
fn bidirectional(container: &Value, pointer: &str, found: &mut Vec<Finding>) {
    if container.pointer("/securityContext/privileged").is_some_and(|privileged| privileged == true) {
        return;
    }
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        if text(mount, "/mountPropagation") == "Bidirectional" {
            let pointer = format!("{pointer}/volumeMounts/{index}/mountPropagation");
            let finding =
                Finding::error(pointer, "only a privileged container has mounts that are `Bidirectional`");
            found.push(finding.with_hint("set `securityContext.privileged: true`"));
        }
    }
}

/// Source: `validateWindowsSecurityContextOptions`.
pub(super) fn windows_user(one: &Checked<'_>) -> Option<Finding> {
    let name = one.get("runAsUserName")?.as_str()?;
    let (domain, user) = name.split_once('\\').unwrap_or(("", name));
    let is_netbios = |text: &str| {
        (1..=15).contains(&text.chars().count())
            && !text.starts_with('.')
            && !text.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|'])
    };
    let is_dns = |text: &str| {
        let is_end = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
        text.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && is_end(part.chars().next())
                && is_end(part.chars().last())
                && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
        })
    };
    let why = if name.chars().any(char::is_control) {
        "it holds control characters"
    } else if name.contains('\\') && (domain.len() >= 256 || !(is_netbios(domain) || is_dns(domain))) {
        "its domain is not valid"
    } else if user.is_empty() || user.len() > 104 {
        "the name of a user has 1 to 104 characters"
    } else if user.chars().all(|letter| letter == '.' || letter == ' ') {
        "the name of a user cannot be only dots and blanks"
    } else if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']'])
    {
        "it holds a character that is not allowed"
    } else {
        return None;
    };
    Some(Finding::error(one.at("runAsUserName"), format!("`{name}` is not a Windows user: {why}")))
}
