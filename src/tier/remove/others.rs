//! Which objects of a namespace are the tier's, and which others keep the namespace from being deleted.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::{ObjectId, group, labels};
use crate::project::Ignored;
use crate::record::store::base_name;

/// The tier of the namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenant<'a> {
    pub(crate) project: &'a str,
    pub(crate) slug: &'a str,
    pub(crate) ignore: &'a [Ignored],
}

/// The objects of a namespace, by owner.
#[derive(Debug, Default)]
pub(crate) struct Parted {
    /// The uids of the tier's objects.
    pub(crate) ours: BTreeSet<String>,
    /// Objects that others created and that are not already being deleted.
    pub(crate) others: Vec<Value>,
}

/// Splits the objects of a namespace. `known` are the uids of objects that certainly are the tier's; objects that only
/// these own, directly or indirectly, are the tier's as well.
pub(crate) fn part(objects: &[Value], known: &BTreeSet<String>, tenant: Tenant<'_>) -> Parted {
    let mut ours = known.clone();
    ours.extend(objects.iter().filter(|object| tenant.recorded(object)).map(uid));
    loop {
        let services: BTreeSet<&str> = objects
            .iter()
            .filter(|object| is(object, "", "Service") && ours.contains(&uid(object)))
            .map(name)
            .collect();
        // Endpoints have no owner reference, only the name of their Service.
        let is_ours = |object: &&Value| {
            owned_by(object, &ours) || (is(object, "", "Endpoints") && services.contains(name(object)))
        };
        let new: Vec<String> =
            objects.iter().filter(is_ours).map(uid).filter(|uid| !ours.contains(uid)).collect();
        if new.is_empty() {
            break;
        }
        ours.extend(new);
    }
    let is_other = |object: &&Value| {
        let is_going = object["metadata"]["deletionTimestamp"].is_string();
        !(ours.contains(&uid(object)) || is_going || is_of_any_namespace(object) || tenant.ignores(object))
    };
    let mut others: Vec<Value> = objects.iter().filter(is_other).cloned().collect();
    others.sort_by_key(ObjectId::of);
    Parted { ours, others }
}

impl Tenant<'_> {
    /// Whether it is one of the tier's records.
    fn recorded(&self, object: &Value) -> bool {
        let own = base_name(self.project, self.slug);
        let has =
            |key: &str, value: &str| object["metadata"]["labels"].get(key).is_some_and(|one| one == value);
        let is_named =
            name(object).strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        is_named && has(labels::RECORD_OF_PROJECT, self.project) && has(labels::RECORD_OF_TIER, self.slug)
    }

    fn ignores(&self, object: &Value) -> bool {
        let id = ObjectId::of(object);
        self.ignore.iter().any(|one| one.is(&id.group, &id.kind, &id.name))
    }
}

/// Whether every namespace has it, or it is only about other objects.
fn is_of_any_namespace(object: &Value) -> bool {
    let is_named = |kind: &str, own: &str| is(object, "", kind) && name(object) == own;
    is_named("ConfigMap", "kube-root-ca.crt")
        || is_named("ServiceAccount", "default")
        || is(object, "", "Event")
        || is(object, "events.k8s.io", "Event")
        || is(object, "coordination.k8s.io", "Lease")
}

/// Whether it has owners, and all of them are the tier's.
fn owned_by(object: &Value, ours: &BTreeSet<String>) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
    let is_ours = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| ours.contains(uid));
    !owners.is_empty() && owners.iter().all(is_ours)
}

fn is(object: &Value, of_group: &str, kind: &str) -> bool {
    object["kind"] == kind && group(object["apiVersion"].as_str().unwrap_or_default()) == of_group
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The uid of an object.
pub(crate) fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TENANT: Tenant<'_> = Tenant { project: "shop", slug: "staging", ignore: &[] };

    fn object(api_version: &str, kind: &str, name: &str, owners: &[&str]) -> Value {
        let owners: Vec<Value> = owners.iter().map(|uid| json!({"uid": uid})).collect();
        json!({"apiVersion": api_version, "kind": kind, "metadata": {
            "name": name, "namespace": "shop", "uid": format!("{kind}-{name}"), "ownerReferences": owners}})
    }

    fn others(objects: &[Value], known: &[&str]) -> Vec<String> {
        let known = known.iter().map(|uid| (*uid).to_owned()).collect();
        part(objects, &known, TENANT).others.iter().map(|one| ObjectId::of(one).to_string()).collect()
    }

    #[test]
    fn what_ours_own_at_any_remove_is_ours() {
        let objects = [
            object("v1", "Pod", "web-1-a", &["ReplicaSet-web-1"]),
            object("apps/v1", "ReplicaSet", "web-1", &["Deployment-web"]),
            object("apps/v1", "Deployment", "web", &[]),
            object("v1", "Pod", "other", &["ReplicaSet-of-others"]),
            object("v1", "Secret", "both", &["Deployment-web", "Certificate-of-others"]),
        ];
        assert_eq!(others(&objects, &["Deployment-web"]), ["Pod/other", "Secret/both"]);
        // Our Deployment was deleted before the second check, and what it owned is still ours.
        let ours = part(&objects, &["Deployment-web".to_owned()].into(), TENANT).ours;
        assert!(part(&objects[..2], &ours, TENANT).others.is_empty());
    }

    #[test]
    fn whatever_its_kind_it_keeps_the_namespace() {
        let objects = [
            object("networking.k8s.io/v1", "Ingress", "other", &[]),
            object("example.com/v1", "Database", "orders", &[]),
            object("rbac.authorization.k8s.io/v1", "Role", "reader", &[]),
            object("v1", "PersistentVolumeClaim", "data", &[]),
        ];
        let expected = ["PersistentVolumeClaim/data", "Database/orders", "Ingress/other", "Role/reader"];
        assert_eq!(others(&objects, &[]), expected);
    }

    #[test]
    fn what_every_namespace_has_keeps_none() {
        let objects = [
            object("v1", "ConfigMap", "kube-root-ca.crt", &[]),
            object("v1", "ServiceAccount", "default", &[]),
            object("v1", "ServiceAccount", "builder", &[]),
            object("v1", "Event", "web.1", &[]),
            object("events.k8s.io/v1", "Event", "web.2", &[]),
            object("coordination.k8s.io/v1", "Lease", "leader", &[]),
            object("v1", "Service", "web", &[]),
            object("v1", "Endpoints", "web", &[]),
            object("discovery.k8s.io/v1", "EndpointSlice", "web-1", &["Endpoints-web"]),
            object("v1", "Endpoints", "external-db", &[]),
        ];
        assert_eq!(others(&objects, &["Service-web"]), ["Endpoints/external-db", "ServiceAccount/builder"]);
    }

    #[test]
    fn records_are_ours_by_name_and_label() {
        let record = |name: &str, tier: &str| {
            let mut record = object("v1", "Secret", name, &[]);
            record["metadata"]["labels"] =
                json!({"windlass.dev/record-of-project": "shop", "windlass.dev/record-of-tier": tier});
            record
        };
        let objects = [
            record("windlass.shop.staging", "staging"),
            record("windlass.shop.staging.1", "staging"),
            record("windlass.shop.staging-2.1", "staging-2"),
            object("v1", "Secret", "windlass.shop.staging.notes", &[]),
        ];
        let expected = ["Secret/windlass.shop.staging-2.1", "Secret/windlass.shop.staging.notes"];
        assert_eq!(others(&objects, &[]), expected);
    }

    #[test]
    fn what_is_going_already_keeps_nothing() {
        let mut pod = object("v1", "Pod", "web-1-a", &["ReplicaSet-gone"]);
        assert_eq!(others(std::slice::from_ref(&pod), &[]), ["Pod/web-1-a"]);
        pod["metadata"]["deletionTimestamp"] = "2026-11-23T09:05:00Z".into();
        assert!(others(&[pod], &[]).is_empty());
    }
}
