//! The rules of what guards, extends and divides a cluster.

mod admission;
mod devices;
mod flow;
mod limits;

use serde_json::Value;

use super::Checked;

use crate::model::group;
use crate::model::object::{api_version, kind, list, namespace, text};
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::decode;
use crate::schema::table::Shape;
pub(super) use admission::versions;

/// Checks an object by its type.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let (group, _) = one.type_name.split_once('.').unwrap_or_default();
    match group {
        "admissionregistration" => admission::check(one, found),
        "flowcontrol" => flow::check(one, found),
        "resource" => devices::check(one, found),
        "core" => limits::check(one, found),
        "node" if one.type_name == "node.v1.Scheduling" => tolerations(one, found),
        "node" if one.type_name == "node.v1.Overhead" => limits::overhead(one, "podFixed", found),
        _ => {}
    }
}

/// Checks a whole object by its kind.
pub(super) fn object(object: &Value, found: &mut Vec<Finding>) {
    match (group(api_version(object)), kind(object)) {
        ("", "Node") => taints(object, found),
        ("", "Namespace") => {
            namespace_finalizers(object, found);
            pod_security(object, found);
        }
        ("scheduling.k8s.io", "PriorityClass") => found.extend(priority(object)),
        ("", "Event") => found.extend(event_namespace(object, "/involvedObject")),
        ("events.k8s.io", "Event") => event(object, found),
        ("apiregistration.k8s.io", "APIService") => api_service(object, found),
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            usages(object, found);
            found.extend(request(object));
        }
        _ => {}
    }
}

/// Source: `validateScheduling` of `pkg/apis/node/validation`.
fn tolerations(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let all = one.list("tolerations");
    for (index, toleration) in all.iter().enumerate() {
        if all.iter().take(index).any(|other| other == toleration) {
            found.push(Finding::error(
                step(&one.at("tolerations"), index),
                "this toleration is already listed",
            ));
        }
    }
}

/// Source: `validateNodeTaints`.
fn taints(object: &Value, found: &mut Vec<Finding>) {
    let mut seen = Vec::new();
    for (index, taint) in list(object, "/spec/taints").iter().enumerate() {
        let own = (text(taint, "/key"), text(taint, "/effect"));
        if seen.contains(&own) {
            let message = "another taint has this key and effect";
            found.push(Finding::error(step("/spec/taints", index), message));
        }
        seen.push(own);
    }
}

/// Source: `ValidateNamespace`.
fn namespace_finalizers(object: &Value, found: &mut Vec<Finding>) {
    use crate::schema::format::Format;
    for (index, name) in list(object, "/spec/finalizers").iter().enumerate() {
        let Some(name) = written(name) else { continue };
        let is_known = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name);
        if !is_known && (!name.contains('/') || Format::Qualified.check(name).is_err()) {
            let finding =
                Finding::error(step("/spec/finalizers", index), format!("`{name}` is not a finalizer"));
            found.push(finding.with_hint("write `kubernetes` or `example.com/name`"));
        }
    }
}

/// Source: `ValidatePriorityClass`.
fn priority(object: &Value) -> Option<Finding> {
    let name = crate::model::object::name(object);
    if let Some(rest) = name.strip_prefix("system-") {
        let is_known = ["cluster-critical", "node-critical"].contains(&rest);
        return (!is_known)
            .then(|| Finding::error("/metadata/name", "names with `system-` are Kubernetes' own"));
    }
    let value = super::int(&Shape::Int32, object.get("value")?)?;
    super::forms::range(value, i64::MIN, 1_000_000_000, "/value")
}

/// What an event is about is where the event is, if the manifest says where that is: a cluster's own events are in `default`.
/// Source: `legacyValidateEvent`.
fn event_namespace(object: &Value, about: &str) -> Option<Finding> {
    let (own, other) = (namespace(object), text(object, &step(about, "namespace")));
    let is_right = own.is_empty() || own == other || (other.is_empty() && own == "default");
    let is_text =
        object.pointer(&step(about, "namespace")).is_none_or(|other| other.is_string() || other.is_null());
    (!is_right && is_text).then(|| {
        let finding =
            Finding::error(step(about, "namespace"), format!("the event is in the namespace `{own}`"));
        finding.with_hint(format!("write `namespace: {own}`"))
    })
}

/// The levels that pods of a namespace must keep to. Source: `PolicyToEvaluate` of `k8s.io/pod-security-admission/api`.
fn pod_security(object: &Value, found: &mut Vec<Finding>) {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        let (Some(mode), Some(level)) = (key.strip_prefix("pod-security.kubernetes.io/"), written(value))
        else {
            continue;
        };
        let pointer = step("/metadata/labels", key);
        if ["enforce", "audit", "warn"].contains(&mode) {
            let known = ["baseline", "privileged", "restricted"];
            if !known.contains(&level) {
                found.push(not_one_of(&pointer, level, &known));
            }
        } else if ["enforce-version", "audit-version", "warn-version"].contains(&mode)
            && !is_policy_version(level)
        {
            let finding = Finding::error(pointer, format!("`{level}` is not a version of a policy"));
            found.push(finding.with_hint("write `latest`, or a version such as `v1.30`"));
        }
    }
}

/// A text; null is an empty one.
fn written(value: &Value) -> Option<&str> {
    if value.is_null() { Some("") } else { value.as_str() }
}

fn is_policy_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.").unwrap_or_default();
    let is_number = !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit());
    text == "latest" || (is_number && (minor == "0" || !minor.starts_with('0')))
}

/// Source: `ValidateEventCreate`, `legacyValidateEvent`.
fn event(object: &Value, found: &mut Vec<Finding>) {
    for name in ["reportingController", "reportingInstance", "action", "reason", "type"] {
        if text(object, &step("", name)).is_empty() && !object[name].is_number() {
            found.push(Finding::error("", format!("`{name}` is missing")).at_key());
        }
    }
}

/// Source: `ValidateAPIService`.
fn api_service(object: &Value, found: &mut Vec<Finding>) {
    let (group, version) = (text(object, "/spec/group"), text(object, "/spec/version"));
    let wanted = format!("{version}.{group}");
    let name = crate::model::object::name(object);
    if !name.is_empty() && !version.is_empty() && name != wanted {
        let finding = Finding::error("/metadata/name", format!("the name must be `{wanted}`"));
        found.push(finding.with_hint("it is the version, a dot and the group"));
    }
    if group.is_empty() && version != "v1" {
        found.push(Finding::error("/spec", "`group` is missing").at_key());
    }
    if version.is_empty()
        && object.pointer("/spec/version").is_none_or(|version| version.is_string() || version.is_null())
    {
        found.push(Finding::error("/spec", "`version` is missing").at_key());
    }
    let has = |pointer: &str| {
        object.pointer(pointer).is_some_and(|value| !super::is_empty(value) && *value != false)
    };
    for name in ["caBundle", "insecureSkipTLSVerify"] {
        if has(&format!("/spec/{name}")) && !has("/spec/service") {
            let message = format!("`{name}` needs `service`");
            found.push(Finding::error(format!("/spec/{name}"), message).at_key());
        }
    }
    if has("/spec/caBundle") && has("/spec/insecureSkipTLSVerify") {
        let message = "with a `caBundle` the certificate is verified";
        found.push(Finding::error("/spec/insecureSkipTLSVerify", message).at_key());
    }
    if !group.is_empty()
        && let Err(malformed) = crate::schema::format::Format::Subdomain.check(group)
    {
        found.push(Finding::error("/spec/group", malformed.message));
    }
}

/// Source: `validateCertificateSigningRequest`.
fn usages(object: &Value, found: &mut Vec<Finding>) {
    let usages = list(object, "/spec/usages");
    for (index, usage) in usages.iter().enumerate() {
        if usages.iter().take(index).any(|other| other == usage) {
            found.push(Finding::error(step("/spec/usages", index), "this usage is already listed"));
        }
    }
}

/// Source: `ParseCSR` of `pkg/apis/certificates`.
fn request(object: &Value) -> Option<Finding> {
    let content = decode(object.pointer("/spec/request")?.as_str()?)?;
    let is_request = String::from_utf8_lossy(&content).contains("-----BEGIN CERTIFICATE REQUEST-----");
    (!is_request).then(|| {
        let finding = Finding::error("/spec/request", "it holds no `CERTIFICATE REQUEST` of PEM");
        finding.with_hint("write `base64 -w0 request.csr`")
    })
}
