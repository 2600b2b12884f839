//! Whether the user may do what a release needs, and the Role that gives what is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::manifest::Manifests;
use crate::model::ObjectRef;

/// What a release does with each kind of object it applies, and with one that its manifests no longer hold.
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// What windlass itself needs in the tier's namespace, whatever the manifests hold.
const OWN_NEEDS: [(&str, &[&str]); 6] = [
    ("secrets", &["get", "create", "patch", "delete"]),
    ("configmaps", &["get", "create", "patch"]),
    ("leases.coordination.k8s.io", &["get", "create", "update"]),
    ("pods", &["list", "watch"]),
    ("pods/log", &["get"]),
    ("events", &["list", "watch"]),
];

/// What is found of the rights of a tier.
pub(super) struct RightsReport {
    pub(super) result: Result<String>,
    /// What an administrator may apply to give what is missing.
    pub(super) remedy: Vec<Value>,
}

/// Asks for every right that a release of this tier's manifests needs.
pub(super) async fn examine(cluster: &Cluster, described: Result<Manifests>) -> RightsReport {
    match ask(cluster, described).await {
        Ok(rights) => rights.found(cluster).await,
        Err(error) => RightsReport { result: Err(error), remedy: Vec::new() },
    }
}

async fn ask(cluster: &Cluster, described: Result<Manifests>) -> Result<Rights> {
    let mut rights = Rights::default();
    for (resource, verbs) in OWN_NEEDS {
        for verb in verbs {
            rights.ask(cluster, verb, resource, true).await?;
        }
    }
    // Who may not read it is not told whether it exists.
    if let Ok(None) = cluster.get(&ObjectRef::new("v1", "Namespace", cluster.namespace())).await {
        rights.lacks_namespace = !cluster.allowed("create", "namespaces", None).await?;
    }
    for (api_version, kind) in described?.kinds() {
        let resource = cluster.resource(&api_version, &kind).await?;
        for verb in VERBS {
            rights.ask(cluster, verb, &resource.full_name(), resource.namespaced).await?;
        }
    }
    Ok(rights)
}

/// The verbs that are needed on each resource, as `deployments.apps` or `pods/log`.
type Verbs = BTreeMap<String, BTreeSet<String>>;

/// What was asked for, and what of it there is no right to.
#[derive(Debug, Default)]
struct Rights {
    in_namespace: Needs,
    in_cluster: Needs,
    /// Whether the namespace does not exist, and may not be created.
    lacks_namespace: bool,
}

#[derive(Debug, Default)]
struct Needs {
    all: Verbs,
    missing: BTreeSet<String>,
}

impl Rights {
    async fn ask(&mut self, cluster: &Cluster, verb: &str, resource: &str, namespaced: bool) -> Result<()> {
        let needs = if namespaced { &mut self.in_namespace } else { &mut self.in_cluster };
        if needs.all.entry(resource.to_owned()).or_default().insert(verb.to_owned())
            && !cluster.allowed(verb, resource, namespaced.then(|| cluster.namespace())).await?
        {
            needs.missing.insert(format!("{verb} {resource}"));
        }
        Ok(())
    }

    async fn found(self, cluster: &Cluster) -> RightsReport {
        let namespace = cluster.namespace();
        let result = self.told(namespace);
        let remedy = match &result {
            Ok(_) => Vec::new(),
            Err(_) => self.remedy(namespace, &cluster.identity().await.unwrap_or_default()),
        };
        RightsReport { result, remedy }
    }

    fn told(&self, namespace: &str) -> Result<String> {
        let sorts = [
            (format!("missing in namespace {namespace}"), &self.in_namespace.missing),
            ("missing cluster-wide".to_owned(), &self.in_cluster.missing),
        ];
        let mut words = Vec::new();
        if self.lacks_namespace {
            words.push(format!("the namespace `{namespace}` does not exist, and you may not create it"));
        }
        for (place, rights) in sorts.into_iter().filter(|(_, rights)| !rights.is_empty()) {
            words.push(format!(
                "{place}: {}",
                rights.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            ));
        }
        if words.is_empty() {
            let asked = self.in_namespace.all.values().chain(self.in_cluster.all.values()).map(BTreeSet::len);
            return Ok(format!("all {} allowed", asked.sum::<usize>()));
        }
        Err(Error::new(Kind::Denied, words.join("; "))
            .with_hint("ask an administrator of the cluster to apply the manifest printed below"))
    }

    /// The objects that give the user what is missing: of roles whole ones, so that one of them is enough.
    fn remedy(&self, namespace: &str, user: &str) -> Vec<Value> {
        let mut objects = Vec::new();
        if self.lacks_namespace {
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        }
        let metadata = json!({"name": "windlass", "namespace": namespace});
        if self.lacks_namespace || !self.in_namespace.missing.is_empty() {
            objects.extend(role("Role", &metadata, &self.in_namespace.all, user));
        }
        if !self.in_cluster.missing.is_empty() {
            let metadata = json!({"name": format!("windlass-{namespace}")});
            objects.extend(role("ClusterRole", &metadata, &self.in_cluster.all, user));
        }
        objects
    }
}

/// A role with these rights, and what gives it to the user.
fn role(kind: &str, metadata: &Value, needs: &Verbs, user: &str) -> [Value; 2] {
    const VERSION: &str = "rbac.authorization.k8s.io/v1";
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut rules: BTreeMap<(String, &BTreeSet<String>), Vec<String>> = BTreeMap::new();
    for (resource, verbs) in needs {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        rules.entry((group.to_owned(), verbs)).or_default().push(plural.to_owned());
    }
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|((group, verbs), resources)| json!({"apiGroups": [group], "resources": resources, "verbs": verbs}))
        .collect();
    let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    let subject = match account {
        Some((namespace, name)) => json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}),
        None => json!({"kind": "User", "name": user, "apiGroup": GROUP}),
    };
    [
        json!({"apiVersion": VERSION, "kind": kind, "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": VERSION,
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": metadata["name"]},
            "subjects": [subject],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(all: &[(&str, &[&str])], missing: &[&str]) -> Needs {
        let verbs = |verbs: &[&str]| verbs.iter().map(|&verb| verb.to_owned()).collect();
        let all = all.iter().map(|(resource, of)| ((*resource).to_owned(), verbs(of))).collect();
        Needs { all, missing: verbs(missing) }
    }

    #[test]
    fn what_is_missing_is_a_role_that_can_be_applied() {
        let rights = Rights {
            in_namespace: needs(
                &[
                    ("secrets", &["get", "create"]),
                    ("configmaps", &["create", "get"]),
                    ("pods/log", &["get"]),
                    ("deployments.apps", &["patch"]),
                ],
                &["patch deployments.apps"],
            ),
            in_cluster: needs(&[("namespaces", &["get"])], &["get namespaces"]),
            lacks_namespace: true,
        };
        let error = rights.told("shop").unwrap_err();
        let said = "the namespace `shop` does not exist, and you may not create it; missing in namespace shop: \
                    patch deployments.apps; missing cluster-wide: get namespaces";
        assert_eq!(error.message(), said);
        insta::assert_snapshot!(
            "role",
            crate::manifest::to_yaml(&rights.remedy("shop", "system:serviceaccount:ci:deployer"))
        );
        let user = &rights.remedy("shop", "nora")[2]["subjects"][0];
        assert_eq!(*user, json!({"kind": "User", "name": "nora", "apiGroup": "rbac.authorization.k8s.io"}));
    }

    #[test]
    fn nothing_is_to_be_applied_where_nothing_is_missing() {
        let rights =
            Rights { in_namespace: needs(&[("pods", &["list", "watch"])], &[]), ..Rights::default() };
        assert_eq!(rights.told("shop").unwrap(), "all 2 allowed");
        assert!(rights.remedy("shop", "nora").is_empty());
    }
}
