//! Warns about objects that the changed manifests refer to and that exist neither there nor in the cluster: the check
//! takes milliseconds, and may save minutes of a failing rollout. Others may still create them, so nothing is refused.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::http::CONCURRENCY;
use crate::model::object::{kind, name, namespace, text};
use crate::model::{ObjectRef, object};
use crate::release::context::TierContext;
use crate::release::plan::checks::external;
use crate::release::plan::{Plan, PlanStep};
use crate::schema::{self, Finding, Set};
use crate::text::nearest;

/// The objects (other than Ingress classes), and their keys, that are missing both in the manifests and in the
/// namespace.
pub(super) async fn missing(context: TierContext<'_>, plan: &Plan, end: Instant) -> Vec<Error> {
    let cluster = context.cluster;
    let steps: Vec<&PlanStep> =
        plan.steps.iter().filter(|step| is_beside(&step.wanted.object, cluster)).collect();
    let set: Vec<&Value> = steps.iter().map(|step| &*step.wanted.object).collect();
    let mut asked = asked(&set, cluster.namespace());
    // External objects were checked already, and a missing one is worse than a warning.
    let external: BTreeSet<(String, String)> = external::names(context).into_iter().collect();
    asked.retain(|one| !external.contains(one));
    let live = live(cluster, asked, end).await;
    let found = lacks(&set, &live, cluster.namespace());
    let at_line = |(index, finding): (usize, Finding)| {
        let step = steps.get(index).filter(|step| step.is_changed())?;
        step.mistake(&finding)
    };
    found.into_iter().filter_map(at_line).collect()
}

/// Whether it is in the tier's namespace, or cluster-scoped.
fn is_beside(object: &Value, cluster: &Cluster) -> bool {
    ["", cluster.namespace()].contains(&namespace(object))
}

/// Kind and name of the objects that the manifests refer to and do not contain.
fn asked(set: &[&Value], namespace: &str) -> BTreeSet<(String, String)> {
    let asked = RefCell::new(BTreeSet::new());
    schema::references(&Set {
        objects: set,
        namespace,
        have: "",
        is_elsewhere: &|kind, name| {
            asked.borrow_mut().insert((kind.to_owned(), name.to_owned()));
            true
        },
        may_create: &schema::may_create,
    });
    let has =
        |wanted: &(String, String)| set.iter().any(|one| (kind(one), name(one)) == (&*wanted.0, &*wanted.1));
    let mut asked = asked.into_inner();
    asked.retain(|wanted| !has(wanted));
    asked
}

/// The live objects in the tier's namespace: `None` for one that does not exist. One that could not be read, in time or
/// for lack of permission, is left out.
async fn live(
    cluster: &Cluster,
    asked: BTreeSet<(String, String)>,
    end: Instant,
) -> BTreeMap<(String, String), Option<Value>> {
    let answers = stream::iter(asked).map(|(kind, name)| async move {
        let reference = ObjectRef::new(api_version(&kind)?, &kind, &name).in_namespace(cluster.namespace());
        let answer = tokio::time::timeout_at(end, cluster.get(&reference)).await.ok()?.ok()?;
        Some(((kind, name), answer))
    });
    let answers: Vec<_> = answers.buffer_unordered(CONCURRENCY).collect().await;
    answers.into_iter().flatten().collect()
}

/// The API version of the kinds that manifests refer to by name.
fn api_version(kind: &str) -> Option<&'static str> {
    match kind {
        "ConfigMap" | "Secret" | "ServiceAccount" | "PersistentVolumeClaim" | "Service" => Some("v1"),
        "Role" => Some("rbac.authorization.k8s.io/v1"),
        "Deployment" | "StatefulSet" | "ReplicaSet" => Some("apps/v1"),
        _ => None,
    }
}

/// What the manifests lack, given the live objects beside them.
fn lacks(
    set: &[&Value],
    live: &BTreeMap<(String, String), Option<Value>>,
    namespace: &str,
) -> Vec<(usize, Finding)> {
    let there = live.values().flatten();
    let objects: Vec<&Value> = set.iter().copied().chain(there).collect();
    let is_missing = |kind: &str, name: &str| live.get(&(kind.to_owned(), name.to_owned())) == Some(&None);
    let is_there = |kind: &str, name: &str| {
        objects.iter().any(|one| (object::kind(one), object::name(one)) == (kind, name))
    };
    let found = schema::references(&Set {
        objects: &objects,
        namespace,
        have: &format!("the manifests and the namespace `{namespace}` have"),
        is_elsewhere: &|kind, name| !is_missing(kind, name) && !is_there(kind, name),
        may_create: &schema::may_create,
    });
    let is_its =
        |(index, finding): &(usize, Finding)| set.get(*index).is_some_and(|one| is_worth_it(one, finding));
    let mut found: Vec<(usize, Finding)> = found.into_iter().filter(is_its).collect();
    // Do not suggest `external:`: that would refuse the release for what is only a warning.
    for (_, finding) in &mut found {
        finding.hint = finding.hint.take().filter(|hint| hint.starts_with("did you mean"));
    }
    found
}

/// Whether a finding keeps pods from becoming ready or from being found. Where Services and Ingresses route to is
/// checked at the end (`no-endpoints`), and a port may be open although no container declares it.
fn is_worth_it(object: &Value, finding: &Finding) -> bool {
    let is_number = object.pointer(&finding.pointer).is_some_and(Value::is_number);
    let leads = finding.pointer.ends_with("/selector")
        || (kind(object) == "Ingress" && !finding.pointer.contains("/tls/"));
    !is_number && !leads
}

/// The classes that Ingresses name and the cluster does not have. Without permission to list classes there is no
/// warning.
pub(super) async fn classes(cluster: &Cluster, plan: &Plan, end: Instant) -> Vec<Error> {
    let ingresses =
        plan.steps.iter().filter(|step| step.is_changed() && kind(&step.wanted.object) == "Ingress");
    let named: Vec<(&PlanStep, &str)> = ingresses
        .map(|step| (step, text(&step.wanted.object, CLASS)))
        .filter(|(_, class)| !class.is_empty())
        .collect();
    if named.is_empty() {
        return Vec::new();
    }
    let listed = cluster.list_metadata("networking.k8s.io/v1", "IngressClass", None, None);
    let Ok(Ok(live)) = tokio::time::timeout_at(end, listed).await else { return Vec::new() };
    let of_set = plan.steps.iter().map(|step| &*step.wanted.object).filter(|one| kind(one) == "IngressClass");
    let known: BTreeSet<&str> = live.iter().chain(of_set).map(name).collect();
    let missing = named.into_iter().filter(|(_, class)| !known.contains(class));
    missing.filter_map(|(step, class)| step.mistake(&no_class(class, &known))).collect()
}

/// The field in which an Ingress names its class.
const CLASS: &str = "/spec/ingressClassName";

fn no_class(class: &str, known: &BTreeSet<&str>) -> Finding {
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let hint = match nearest(class, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => {
            "it has none: no controller there serves Ingresses with a class".to_owned()
        }
        None => format!("it has {}", names.join(", ")),
    };
    Finding::warning(
        CLASS,
        format!("the cluster has no IngressClass `{class}`: no controller takes this Ingress"),
    )
    .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "imagePullSecrets": [{"name": "registry"}],
                "containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}], "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "password"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "own", "key": "b"}}},
                ]}],
            },
        }}})
    }

    /// `1/spec/x: message`
    fn said(set: &[&Value], live: &[(&str, &str, Option<Value>)]) -> Vec<String> {
        let live =
            live.iter().map(|(kind, name, one)| (((*kind).to_owned(), (*name).to_owned()), one.clone()));
        let found = lacks(set, &live.collect(), "shop");
        found.iter().map(|(index, one)| format!("{index}{}: {}", one.pointer, one.message)).collect()
    }

    #[test]
    fn only_what_the_set_does_not_have_is_asked_for() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own", "namespace": "shop"}, "data": {"b": "1"}});
        let asked = asked(&[&deployment(), &map], "shop");
        let names: Vec<String> = asked.into_iter().map(|(kind, name)| format!("{kind}/{name}")).collect();
        assert_eq!(names, ["Secret/registry", "Secret/shop"]);
    }

    #[test]
    fn what_neither_the_manifests_nor_the_namespace_have_is_told() {
        let web = deployment();
        let secret = |key: &str| {
            Some(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop", "namespace": "shop"}, "data": {key: ""}}),
            )
        };
        let spec = "0/spec/template/spec";
        assert_eq!(
            said(&[&web], &[("Secret", "registry", None), ("Secret", "shop", secret("passwort"))]),
            [
                format!(
                    "{spec}/containers/0/env/0/valueFrom/secretKeyRef/key: Secret `shop` has no key `password`"
                ),
                format!(
                    "{spec}/imagePullSecrets/0/name: the manifests and the namespace `shop` have no Secret `registry`"
                ),
            ]
        );
        assert_eq!(
            said(&[&web], &[("Secret", "shop", secret("password"))]),
            [""; 0],
            "of the others nothing is known"
        );
    }

    #[test]
    fn ports_by_name_and_headless_services_are_told_and_what_is_judged_later_is_not() {
        let service = |target: Value| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": target}]}})
        };
        let web = deployment();
        let port = "1/spec/ports/0/targetPort: no container of the pods has a port named `htpp`";
        assert_eq!(said(&[&web, &service(json!("htpp"))], &[]), [port]);
        assert_eq!(said(&[&web, &service(json!(9090))], &[]), [""; 0], "it may be open all the same");
        let mut lost = service(json!("http"));
        lost["spec"]["selector"] = json!({"app": "wbe"});
        assert_eq!(said(&[&web, &lost], &[]), [""; 0]);
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"serviceName": "db"}});
        let no_service = "0/spec/serviceName: the manifests and the namespace `shop` have no Service `db`";
        assert_eq!(said(&[&set], &[("Service", "db", None)]), [no_service]);
    }

    #[test]
    fn a_class_that_is_missing_is_told_with_those_that_are_there() {
        let hint =
            |known: &[&str]| no_class("nginx", &known.iter().copied().collect()).hint.unwrap_or_default();
        assert_eq!(hint(&["nginxx"]), "did you mean `nginxx`?");
        assert_eq!(hint(&["haproxy", "traefik"]), "it has `haproxy`, `traefik`");
        assert!(hint(&[]).starts_with("it has none"));
    }
}
