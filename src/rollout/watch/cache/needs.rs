//! Which watches an object needs that is not ready yet: of its own kind, of what it owns, of what tells why.

use serde_json::Value;

use crate::cluster::WatchSubject;
use crate::model::kinds::is_of_others;
use crate::model::{group, labels, object};
use crate::rollout::pod::volume::wants_claims;

/// What a watch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Without it there is less to go by, and nobody need know.
    Extra,
    /// Without it a cause says less.
    Evidence,
    /// Without it there is no verdict.
    Own,
}

/// Which pods and ReplicaSets are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of the namespace: one watch for many workloads.
    Namespace,
    /// Those that the workload selects: of a few workloads among many only these are sent.
    Selected,
}

/// The watches of an object. Its own kind is watched by the labels of the release, where the object has them,
/// so that what others have in the namespace is not sent.
pub(crate) fn of(object: &Value, scope: Scope) -> Vec<(WatchSubject, Role)> {
    let namespace = Some(object::namespace(object)).filter(|name| !name.is_empty());
    let subject = |api_version: &str, kind: &str, namespace: Option<&str>, selector| WatchSubject {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(ToOwned::to_owned),
        selector,
    };
    let own = subject(object::api_version(object), object::kind(object), namespace, selector(object));
    let claims: Beside = if wants_claims(object) { &[CLAIMS, CLASSES, VOLUMES] } else { &[] };
    let beside = beside(object).iter().chain(claims).map(|(api_version, kind, role)| {
        let namespace = namespace.filter(|_| !CLUSTER_WIDE.contains(kind));
        let selected = SELECTED.contains(kind) && scope == Scope::Selected;
        let selector = if selected { pod_selector(object) } else { None };
        (subject(api_version, kind, namespace, selector), *role)
    });
    std::iter::once((own, Role::Own)).chain(beside).collect()
}

type Beside = &'static [(&'static str, &'static str, Role)];

const CLUSTER_WIDE: [&str; 3] = ["Node", "PersistentVolume", "StorageClass"];
/// Kinds whose objects have the labels that the workload selects.
const SELECTED: [&str; 2] = ["Pod", "ReplicaSet"];
const EVENTS: (&str, &str, Role) = ("v1", "Event", Role::Evidence);
const PODS: (&str, &str, Role) = ("v1", "Pod", Role::Evidence);
const SETS: (&str, &str, Role) = ("apps/v1", "ReplicaSet", Role::Evidence);
const OWNED_SETS: (&str, &str, Role) = ("apps/v1", "ReplicaSet", Role::Extra);
const DEPLOYMENTS: (&str, &str, Role) = ("apps/v1", "Deployment", Role::Extra);
const STATEFUL_SETS: (&str, &str, Role) = ("apps/v1", "StatefulSet", Role::Extra);
const CERTIFICATE_REQUESTS: (&str, &str, Role) = ("cert-manager.io/v1", "CertificateRequest", Role::Extra);
const REVISIONS: (&str, &str, Role) = ("apps/v1", "ControllerRevision", Role::Extra);
const NODES: (&str, &str, Role) = ("v1", "Node", Role::Extra);
const CLASSES: (&str, &str, Role) = ("storage.k8s.io/v1", "StorageClass", Role::Extra);

const VOLUMES: (&str, &str, Role) = ("v1", "PersistentVolume", Role::Extra);
const CLAIMS: (&str, &str, Role) = ("v1", "PersistentVolumeClaim", Role::Extra);

fn beside(object: &Value) -> Beside {
    match (group(object::api_version(object)), object::kind(object)) {
        ("apps", "Deployment") => &[SETS, PODS, EVENTS],
        ("apps", "StatefulSet") => &[PODS, EVENTS, REVISIONS],
        ("apps", "DaemonSet") => &[PODS, EVENTS, REVISIONS, NODES],
        ("apps", "ReplicaSet") | ("", "ReplicationController") | ("batch", "Job") => &[PODS, EVENTS],
        ("", "PersistentVolumeClaim") => &[EVENTS, CLASSES, VOLUMES],
        ("apiextensions.k8s.io" | "apiregistration.k8s.io", _) | ("", "Namespace") => &[],
        ("cert-manager.io", "Certificate") => &[CERTIFICATE_REQUESTS, EVENTS],
        // What an operator makes for a custom resource tells why it does not get on.
        (group, _) if is_of_others(group) => &[PODS, OWNED_SETS, DEPLOYMENTS, STATEFUL_SETS, EVENTS],
        _ => &[EVENTS],
    }
}

/// The labels that a workload selects its pods by; `None` where it has none, or asks for more than labels.
pub(crate) fn pod_selector(workload: &Value) -> Option<String> {
    if object::has(workload, "/spec/selector/matchExpressions") {
        return None;
    }
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object)?;
    let terms = labels.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let terms: Vec<String> = terms.collect::<Option<_>>()?;
    (!terms.is_empty()).then(|| terms.join(","))
}

/// The labels that every object of a release carries.
fn selector(object: &Value) -> Option<String> {
    let label = |key| object::label(object, key);
    Some(labels::tier_selector(label(labels::PROJECT)?, label(labels::TIER)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_custom_resource_is_watched_with_the_pods_and_workloads_of_its_namespace() {
        let kinds = |api_version: &str| {
            let object = json!({"apiVersion": api_version, "kind": "Cluster", "metadata": {"name": "a", "namespace": "shop"}});
            of(&object, Scope::Selected).into_iter().map(|(need, _)| need.kind).collect::<Vec<_>>()
        };
        let of_operators = ["Cluster", "Pod", "ReplicaSet", "Deployment", "StatefulSet", "Event"];
        assert_eq!(kinds("postgresql.cnpg.io/v1"), of_operators);
        assert_eq!(kinds("networking.k8s.io/v1"), ["Cluster", "Event"]);
    }

    #[test]
    fn a_deployment_is_watched_with_what_it_owns() {
        let labels = json!({"windlass.dev/project": "shop", "windlass.dev/tier": "staging"});
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": labels}});
        let needs = of(&web, Scope::Namespace);
        let words: Vec<String> = needs
            .iter()
            .map(|(need, _)| {
                let WatchSubject { kind, namespace, selector, .. } = need;
                format!(
                    "{kind} {} {}",
                    namespace.as_deref().unwrap_or("-"),
                    selector.as_deref().unwrap_or("-")
                )
            })
            .collect();
        let own = "Deployment shop windlass.dev/project=shop,windlass.dev/tier=staging";
        assert_eq!(words, [own, "ReplicaSet shop -", "Pod shop -", "Event shop -"]);
    }

    #[test]
    fn of_a_few_workloads_only_the_own_pods_are_watched() {
        let selectors = |selector: Value| -> Vec<String> {
            let web = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": selector}});
            let needs = of(&web, Scope::Selected).into_iter().skip(1);
            needs.map(|(need, _)| format!("{} {}", need.kind, need.selector.unwrap_or_default())).collect()
        };
        let own = selectors(json!({"matchLabels": {"app": "web", "part": "a"}}));
        assert_eq!(own, ["ReplicaSet app=web,part=a", "Pod app=web,part=a", "Event "]);
        let all = ["ReplicaSet ", "Pod ", "Event "];
        let odd =
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]});
        for selector in [odd, json!({}), json!({"matchLabels": {}}), json!({"matchLabels": {"a": 1}})] {
            assert_eq!(selectors(selector.clone()), all, "{selector}");
        }
    }

    #[test]
    fn what_wants_volumes_is_watched_with_its_claims() {
        let kinds = |spec: Value| -> Vec<String> {
            let db = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": "db", "namespace": "shop"}, "spec": spec});
            of(&db, Scope::Selected).into_iter().map(|(need, _)| need.kind).collect()
        };
        assert!(!kinds(json!({})).contains(&"PersistentVolumeClaim".to_owned()));
        let volumes = json!([{"persistentVolumeClaim": {"claimName": "data"}}]);
        for spec in [
            json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}),
            json!({"template": {"spec": {"volumes": volumes}}}),
        ] {
            let kinds = kinds(spec);
            assert_eq!(
                kinds[kinds.len() - 3..],
                ["PersistentVolumeClaim", "StorageClass", "PersistentVolume"]
            );
        }
    }

    #[test]
    fn classes_are_cluster_wide() {
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"}});
        let classes = of(&claim, Scope::Selected).into_iter().find(|(need, _)| need.kind == "StorageClass");
        assert_eq!(classes.expect("classes are watched").0.namespace, None);
    }
}
