//! `external:` of the configuration: checks, before anything is changed, that objects created elsewhere exist and have
//! the keys that pods use.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::{self, Cluster};
use crate::error::{Error, Kind, Place, Result};
use crate::model::{Cause, Failure, ObjectRef, Subject, group};
use crate::project::{External, ExternalObject};
use crate::release::context::TierContext;
use crate::release::plan::Wanted;
use crate::rollout::watch;

/// Kind and name of objects created elsewhere: a pod that lacks one does not fail at once.
pub(crate) fn names(context: TierContext<'_>) -> Vec<(String, String)> {
    let read = |external: &External| context.tier.external(external).ok();
    context.tier.externals.iter().filter_map(read).map(|named| (named.kind, named.name)).collect()
}

/// Checks that all external objects exist.
///
/// # Errors
/// [`Kind::Refused`] naming what is missing, [`Kind::Invalid`] for a kind that the cluster does not have.
pub(crate) async fn check(context: TierContext<'_>, wanted: &[Wanted]) -> Result<()> {
    let named = context.tier.externals.iter().map(|one| context.tier.external(one));
    let named = named.collect::<Result<Vec<_>>>()?;
    let made = watch::made_by(wanted.iter().map(|one| &*one.object));
    let asked = named.iter().map(|one| missing(context, one, wanted));
    let failures: Vec<(Place, Failure)> = try_join_all(asked)
        .await?
        .into_iter()
        .zip(&named)
        // An object that this release creates indirectly cannot exist yet.
        .filter(|(_, one)| !made.contains(&(one.kind.clone(), one.name.clone())))
        .filter_map(|(failure, one)| Some((one.place.clone(), failure?)))
        .collect();
    let Some((place, first)) = failures.first() else { return Ok(()) };
    let message = match failures.len() {
        1 => format!("{} {}", first.subject.name(), first.message),
        count => format!("{count} external objects are not as the pods need them"),
    };
    let error = Error::new(Kind::Refused, message).at(place.clone());
    Err(error
        .with_hint(
            "nothing was changed: have it created or corrected (`external` in windlass.yaml), then \
             release again",
        )
        .with_failures(failures.into_iter().map(|(_, failure)| failure)))
}

async fn missing(
    context: TierContext<'_>,
    named: &ExternalObject,
    wanted: &[Wanted],
) -> Result<Option<Failure>> {
    let reference = ObjectRef::new(api_version(context.cluster, named).await?, &named.kind, &named.name);
    let live = match context.cluster.get(&reference).await {
        Ok(live) => live,
        Err(error) if cluster::is_denied(&error) => {
            context.session.reporter.warn(format!("{} cannot be checked: {error}", named.title()));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    Ok(lacks(named, live.as_ref(), wanted, context.cluster.namespace()).map(|message| Failure {
        subject: Subject::Object(named.title()),
        cause: Cause::ConfigMissing.to_string(),
        message,
        hint: None,
        evidence: Vec::new(),
    }))
}

/// What is wrong with it, in one sentence.
fn lacks(named: &ExternalObject, live: Option<&Value>, wanted: &[Wanted], namespace: &str) -> Option<String> {
    let Some(live) = live else {
        return Some(format!("does not exist in the namespace `{namespace}`, but is declared as `external`"));
    };
    let keys = wanted.iter().filter(|one| one.object["metadata"]["namespace"] == namespace);
    let keys: BTreeSet<String> = keys.flat_map(|one| asked_keys(&one.object, named)).collect();
    let has = |key: &&String| {
        ["data", "binaryData"].iter().any(|section| live[section].get(key.as_str()).is_some())
    };
    let missing: Vec<String> = keys.iter().filter(|key| !has(key)).map(|key| format!("`{key}`")).collect();
    let plural = if missing.len() == 1 { "the key" } else { "the keys" };
    (!missing.is_empty())
        .then(|| format!("lacks {plural} {}, which the manifests use", missing.join(" and ")))
}

/// The keys of this object that a manifest asks for.
fn asked_keys(object: &Value, named: &ExternalObject) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    gather(object, named, &mut keys);
    if object["kind"] == "Ingress" && named.kind == "Secret" {
        let hosts = object.pointer("/spec/tls").and_then(Value::as_array);
        if hosts.is_some_and(|hosts| hosts.iter().any(|host| host["secretName"] == named.name.as_str())) {
            keys.extend(["tls.crt", "tls.key"].map(str::to_owned));
        }
    }
    keys
}

/// Collects keys from `secretKeyRef: {name, key}`, and from `secret: {secretName, items: [{key}]}` of volumes, wherever
/// a pod template may be.
fn gather(value: &Value, named: &ExternalObject, keys: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, named, keys)),
        Value::Object(fields) => {
            for (field, value) in fields {
                let kind = match field.as_str() {
                    "secretKeyRef" | "secret" => "Secret",
                    "configMapKeyRef" | "configMap" => "ConfigMap",
                    _ => "",
                };
                let is_meant =
                    value["name"] == named.name.as_str() || value["secretName"] == named.name.as_str();
                if kind == named.kind && is_meant && value["optional"] != true {
                    keys.extend(value["key"].as_str().map(str::to_owned));
                    let items = value["items"].as_array().into_iter().flatten();
                    keys.extend(items.filter_map(|item| item["key"].as_str()).map(str::to_owned));
                }
                gather(value, named, keys);
            }
        }
        _ => {}
    }
}

/// The version in which the cluster serves the kind.
async fn api_version(cluster: &Cluster, named: &ExternalObject) -> Result<String> {
    const CORE: [&str; 6] =
        ["Secret", "ConfigMap", "Service", "ServiceAccount", "PersistentVolumeClaim", "Namespace"];
    if named.group.is_empty() && CORE.contains(&named.kind.as_str()) {
        return Ok("v1".to_owned());
    }
    let all = cluster.resources().await?;
    let fits = |version: &str, kind: &str| {
        kind == named.kind && (named.group.is_empty() || group(version) == named.group)
    };
    let found = all.iter().filter(|resource| fits(&resource.api_version, &resource.kind));
    found.map(|resource| resource.api_version.clone()).max().ok_or_else(|| {
        let whole = if named.group.is_empty() { String::new() } else { format!(".{}", named.group) };
        Error::new(Kind::Refused, format!("the cluster does not serve the kind {}{whole}", named.kind))
            .at(named.place.clone())
            .with_hint("`external` has `Kind/name`, or `Kind.group/name` where several groups have the kind")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Phase;

    fn named(kind: &str, name: &str) -> ExternalObject {
        let place = Place::at("windlass.yaml", 1, 1);
        ExternalObject { kind: kind.to_owned(), group: String::new(), name: name.to_owned(), place }
    }

    fn wanted(spec: &Value) -> Wanted {
        let pod = json!({"template": {"spec": spec}});
        let object =
            json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": pod});
        Wanted { object: object.into(), phase: Phase::Workloads, origin: None, values: None }
    }

    #[test]
    fn the_keys_that_pods_ask_for_must_be_there() {
        let spec = json!({
            "containers": [{"env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "password"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "maybe", "optional": true}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "shop", "key": "other"}}},
            ]}],
            "volumes": [{"name": "v", "secret": {"secretName": "shop", "items": [{"key": "ca.crt", "path": "ca"}]}}],
        });
        let set = [wanted(&spec)];
        let secret = named("Secret", "shop");
        let lacks = |live: Option<Value>| lacks(&secret, live.as_ref(), &set, "shop");
        assert_eq!(lacks(Some(json!({"data": {"password": "", "ca.crt": ""}}))), None);
        assert_eq!(
            lacks(Some(json!({"data": {}}))).as_deref(),
            Some("lacks the keys `ca.crt` and `password`, which the manifests use")
        );
        assert!(lacks(None).expect("it is missing").contains("does not exist in the namespace `shop`"));
    }

    #[test]
    fn an_ingress_asks_for_a_certificate() {
        let ingress = json!({"kind": "Ingress", "spec": {"tls": [{"secretName": "shop-tls"}]}});
        assert_eq!(asked_keys(&ingress, &named("Secret", "shop-tls")).len(), 2);
        assert!(asked_keys(&ingress, &named("Secret", "other")).is_empty());
    }
}
