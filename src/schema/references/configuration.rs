//! ConfigMaps, Secrets and their keys, service accounts and claims that pods refer to.

use serde_json::Value;

use super::Referrer;
use super::pods::{containers, spec_pointer};
use crate::model::group;
use crate::model::kinds::is_of_kubernetes;
use crate::model::object::{api_version, kind, list, name, text};
use crate::schema::finding::{Finding, step};

/// Made by the server in every namespace.
const OF_THE_SERVER: [(&str, &str); 2] = [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];

/// Checks what the pods of an object refer to.
pub(super) fn check(one: &Referrer<'_>, found: &mut Vec<Finding>) {
    if !is_of_kubernetes(group(api_version(one.object))) {
        return;
    }
    if let Some(pointer) = spec_pointer(one.object)
        && let Some(spec) = one.object.pointer(pointer)
    {
        for (at, container) in containers(spec) {
            environment(one, container, &format!("{pointer}{at}"), found);
        }
        volumes(one, spec, &step(pointer, "volumes"), found);
        let account = text(spec, "/serviceAccountName");
        found.extend(missing(one, "ServiceAccount", account, &step(pointer, "serviceAccountName")));
        for (index, secret) in list(spec, "/imagePullSecrets").iter().enumerate() {
            let at = step(&step(&step(pointer, "imagePullSecrets"), index), "name");
            found.extend(missing(one, "Secret", text(secret, "/name"), &at));
        }
    }
    if kind(one.object) == "Ingress" {
        certificates(one, found);
    }
    if matches!(kind(one.object), "RoleBinding") && text(one.object, "/roleRef/kind") == "Role" {
        found.extend(missing(one, "Role", text(one.object, "/roleRef/name"), "/roleRef/name"));
    }
}

fn environment(one: &Referrer<'_>, container: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for (index, variable) in list(container, "/env").iter().enumerate() {
        for (kind, source) in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")] {
            let at = format!("{pointer}/env/{index}/valueFrom/{source}");
            if let Some(reference) = variable.pointer(&format!("/valueFrom/{source}")) {
                found.extend(missing_key(one, kind, reference, "/name", &at));
            }
        }
    }
    for (index, source) in list(container, "/envFrom").iter().enumerate() {
        for (kind, name) in [("ConfigMap", "configMapRef"), ("Secret", "secretRef")] {
            let reference = &source[name];
            if reference["optional"] != true {
                let at = format!("{pointer}/envFrom/{index}/{name}/name");
                found.extend(missing(one, kind, text(reference, "/name"), &at));
            }
        }
    }
}

fn volumes(one: &Referrer<'_>, spec: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        let at = step(pointer, index);
        mounted(one, "ConfigMap", &volume["configMap"], "name", &format!("{at}/configMap"), found);
        mounted(one, "Secret", &volume["secret"], "secretName", &format!("{at}/secret"), found);
        for (inner, source) in list(volume, "/projected/sources").iter().enumerate() {
            let at = format!("{at}/projected/sources/{inner}");
            mounted(one, "ConfigMap", &source["configMap"], "name", &format!("{at}/configMap"), found);
            mounted(one, "Secret", &source["secret"], "name", &format!("{at}/secret"), found);
        }
        let claim = text(volume, "/persistentVolumeClaim/claimName");
        if !is_of_stateful_set(one, claim) {
            let at = format!("{at}/persistentVolumeClaim/claimName");
            found.extend(missing(one, "PersistentVolumeClaim", claim, &at));
        }
    }
}

/// A ConfigMap or Secret as files: it and the keys that are named.
fn mounted(
    one: &Referrer<'_>,
    kind: &str,
    source: &Value,
    field: &str,
    pointer: &str,
    found: &mut Vec<Finding>,
) {
    if !source.is_object() || source["optional"] == true {
        return;
    }
    let name = source[field].as_str().unwrap_or_default();
    if let Some(finding) = missing(one, kind, name, &step(pointer, field)) {
        return found.push(finding);
    }
    for (index, item) in list(source, "/items").iter().enumerate() {
        let at = format!("{pointer}/items/{index}/key");
        found.extend(no_such_key(one, kind, name, text(item, "/key"), &at));
    }
}

fn missing_key(
    one: &Referrer<'_>,
    kind: &str,
    reference: &Value,
    field: &str,
    pointer: &str,
) -> Option<Finding> {
    if reference["optional"] == true {
        return None;
    }
    let name = text(reference, field);
    missing(one, kind, name, &format!("{pointer}{field}"))
        .or_else(|| no_such_key(one, kind, name, text(reference, "/key"), &step(pointer, "key")))
}

fn missing(one: &Referrer<'_>, kind: &str, name: &str, pointer: &str) -> Option<Finding> {
    if OF_THE_SERVER.contains(&(kind, name)) || !one.lacks(kind, name) {
        return None;
    }
    let finding = Finding::warning(pointer, format!("{} no {kind} `{name}`", one.index.set.have));
    let elsewhere = "if it is created elsewhere, name it under `external:`".to_owned();
    Some(finding.with_hint(one.near(kind, name).unwrap_or(elsewhere)))
}

/// A key that a ConfigMap or Secret of the set does not have.
fn no_such_key(one: &Referrer<'_>, kind: &str, name: &str, key: &str, pointer: &str) -> Option<Finding> {
    let object =
        one.find(kind, name).filter(|_| !key.is_empty() && !(one.index.set.is_elsewhere)(kind, name))?;
    let sections =
        ["data", "stringData", "binaryData"].into_iter().filter_map(|name| object[name].as_object());
    let keys: Vec<&str> = sections.flat_map(|map| map.keys().map(String::as_str)).collect();
    if keys.contains(&key) {
        return None;
    }
    let near = crate::text::nearest(key, keys.into_iter()).map(|near| format!("did you mean `{near}`?"));
    Some(Finding::warning(pointer, format!("{kind} `{name}` has no key `{key}`")).with_hint_if(near))
}

/// The beginnings of the names of the claims that a StatefulSet makes: `data-db-` of `db` with the claim template `data`.
pub(super) fn claims(set: &Value) -> impl Iterator<Item = String> {
    let templates = list(set, "/spec/volumeClaimTemplates").iter();
    templates.map(|template| format!("{}-{}-", text(template, "/metadata/name"), name(set)))
}

/// `data-db-0` of the StatefulSet `db` with the claim template `data`.
fn is_of_stateful_set(one: &Referrer<'_>, claim: &str) -> bool {
    let mut known = one.index.claims.get(one.namespace).into_iter().flatten();
    known.any(|begin| claim.strip_prefix(&**begin).is_some_and(|ordinal| ordinal.parse::<u32>().is_ok()))
}

/// The Secrets of an Ingress's hosts; cert-manager makes those of one with its annotation.
fn certificates(one: &Referrer<'_>, found: &mut Vec<Finding>) {
    let annotations = one.object.pointer("/metadata/annotations").and_then(Value::as_object);
    let is_managed = |key: &String| key.starts_with("cert-manager.io/") || key == "kubernetes.io/tls-acme";
    if annotations.is_some_and(|annotations| annotations.keys().any(is_managed)) {
        return;
    }
    for (index, tls) in list(one.object, "/spec/tls").iter().enumerate() {
        let at = format!("/spec/tls/{index}/secretName");
        found.extend(missing(one, "Secret", text(tls, "/secretName"), &at));
    }
}
