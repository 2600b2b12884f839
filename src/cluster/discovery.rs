//! Which kinds the cluster serves: built-in ones are known, others are discovered once with two requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::kinds::Resource;
use super::transport::Call;
use super::{Cluster, kinds};
use crate::cluster::error_class::ErrorClass;
use crate::cluster::transport::request_error::{RequestError, RequestInfo};
use crate::error::{Error, Kind, Result};

/// All of a group's kinds in one answer; older servers ignore it and give the old form.
const AGGREGATED: &str = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,\
                          application/json;v=v2beta1;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,\
                          application/json";

/// What a server says that it serves.
#[derive(Debug, Default)]
struct Served {
    resources: Vec<Resource>,
    silent: Vec<String>,
}

#[derive(Default)]
pub(super) struct Cache {
    known: Mutex<Option<HashMap<(String, String), Resource>>>,
    /// The versions of groups that are there, but did not say what they serve: `metrics.k8s.io/v1beta1`.
    silent: Mutex<Vec<String>>,
    asking: tokio::sync::Mutex<()>,
}

impl Cluster {
    /// Asks the cluster which kinds it serves, again if it was asked before: needed once new definitions
    /// were applied.
    pub async fn discover(&self) -> Result<()> {
        let _one_at_a_time = self.inner.discovery.asking.lock().await;
        self.ask().await
    }

    async fn ask(&self) -> Result<()> {
        let (core, groups) = tokio::try_join!(self.ask_root("/api"), self.ask_root("/apis"))?;
        let known = core.resources.into_iter().chain(groups.resources);
        let known = known.map(|r| ((r.api_version.clone(), r.kind.clone()), r)).collect();
        let silent = core.silent.into_iter().chain(groups.silent).collect();
        *self.inner.discovery.silent.lock().unwrap_or_else(PoisonError::into_inner) = silent;
        *self.inner.discovery.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(())
    }

    async fn ask_root(&self, root: &str) -> Result<Served> {
        let wanted =
            RequestInfo { verb: "get", resource: format!("the list of kinds at {root}"), namespace: None };
        let call = Call { accept: AGGREGATED, ..Call::get(root.to_owned(), wanted.clone()) };
        let answer = self.transport.json(&call).await.map_err(|fault| fault.into_error(&wanted))?;
        if answer["kind"] == "APIGroupDiscoveryList" {
            return Ok(read_aggregated(&answer));
        }
        let mut served = Served::default();
        for version in versions(&answer) {
            let path = if root == "/api" { format!("/api/{version}") } else { format!("/apis/{version}") };
            let call = Call::get(path, wanted.clone());
            match self.transport.json(&call).await {
                Ok(list) => served.resources.extend(read_list(&list)),
                // One aggregated API that is down must not hide the others.
                Err(RequestError::Status(_)) => served.silent.push(version),
                Err(fault) => return Err(fault.into_error(&wanted)),
            }
        }
        Ok(served)
    }

    /// The versions of groups that did not say what they serve when the cluster was asked last.
    pub(super) fn silent_groups(&self) -> Vec<String> {
        self.inner.discovery.silent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How a kind is served. Built-in kinds are known without a request; for any other the cluster is asked
    /// once, and asked again by [`Cluster::discover`].
    ///
    /// # Errors
    /// [`Kind::Refused`] when the cluster does not serve the kind, naming what it has instead.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource> {
        if let Some(resource) = kinds::built_in(api_version, kind).or_else(|| self.known(api_version, kind)) {
            return Ok(resource);
        }
        let _one_at_a_time = self.inner.discovery.asking.lock().await;
        if !self.has_asked() {
            self.ask().await?;
        }
        self.known(api_version, kind).ok_or_else(|| self.unknown_kind(api_version, kind))
    }

    /// Every kind that the cluster serves, as of the last time it was asked; asks if it never was.
    pub async fn resources(&self) -> Result<Vec<Resource>> {
        let _one_at_a_time = self.inner.discovery.asking.lock().await;
        if !self.has_asked() {
            self.ask().await?;
        }
        Ok(self.with_known(|known| known.values().cloned().collect()).unwrap_or_default())
    }

    fn has_asked(&self) -> bool {
        self.with_known(|_| ()).is_some()
    }

    fn known(&self, api_version: &str, kind: &str) -> Option<Resource> {
        self.with_known(|known| known.get(&(api_version.to_owned(), kind.to_owned())).cloned()).flatten()
    }

    fn with_known<T>(&self, look: impl FnOnce(&HashMap<(String, String), Resource>) -> T) -> Option<T> {
        self.inner.discovery.known.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    fn unknown_kind(&self, api_version: &str, kind: &str) -> Error {
        let mut others: Vec<String> = self
            .with_known(|known| {
                known
                    .keys()
                    .filter(|(_, other)| other.eq_ignore_ascii_case(kind))
                    .map(|(v, k)| format!("{k} of {v}"))
                    .collect()
            })
            .unwrap_or_default();
        others.sort();
        let hint = if others.is_empty() {
            "is its definition (CustomResourceDefinition) installed in this cluster?".to_owned()
        } else {
            format!("it serves {}", others.join(", "))
        };
        Error::new(Kind::Refused, format!("the cluster does not serve the kind {kind} of {api_version}"))
            .with_source(ErrorClass::KindUnknown)
            .with_hint(hint)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn read_aggregated(list: &Value) -> Served {
    let mut served = Served::default();
    for group in items(&list["items"]) {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in items(&group["versions"]) {
            let version_name = text(&version["version"]);
            let api_version = if name.is_empty() { version_name } else { format!("{name}/{version_name}") };
            // An aggregated API that is down. What it served before may be told all the same: then asking for it tells more.
            if version["freshness"] == "Stale" && items(&version["resources"]).next().is_none() {
                served.silent.push(api_version.clone());
            }
            served.resources.extend(items(&version["resources"]).map(|resource| Resource {
                api_version: api_version.clone(),
                kind: text(&resource["responseKind"]["kind"]),
                plural: text(&resource["resource"]),
                namespaced: resource["scope"] == "Namespaced",
                verbs: items(&resource["verbs"]).map(text).collect(),
            }));
        }
    }
    served
}

/// The versions in the old form of `/api` (`["v1"]`) or `/apis` (groups with their versions).
fn versions(answer: &Value) -> Vec<String> {
    let core = items(&answer["versions"]).map(text);
    let groups = items(&answer["groups"])
        .flat_map(|group| items(&group["versions"]))
        .map(|v| text(&v["groupVersion"]));
    core.chain(groups).collect()
}

/// The kinds in an `APIResourceList`, sub-resources left out.
fn read_list(list: &Value) -> Vec<Resource> {
    let api_version = text(&list["groupVersion"]);
    items(&list["resources"])
        .filter(|resource| !text(&resource["name"]).contains('/'))
        .map(|resource| Resource {
            api_version: api_version.clone(),
            kind: text(&resource["kind"]),
            plural: text(&resource["name"]),
            namespaced: resource["namespaced"] == true,
            verbs: items(&resource["verbs"]).map(text).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_discovery_are_read() {
        let aggregated = json!({"kind": "APIGroupDiscoveryList", "items": [{
            "metadata": {"name": "example.com"},
            "versions": [{"version": "v1", "resources": [{
                "resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": ["get"],
            }]}],
        }]});
        let old = json!({"groupVersion": "example.com/v1", "resources": [
            {"name": "widgets", "kind": "Widget", "namespaced": true, "verbs": ["get"]},
            {"name": "widgets/status", "kind": "Widget", "namespaced": true, "verbs": ["get"]},
        ]});
        assert_eq!(read_aggregated(&aggregated).resources, read_list(&old));
        assert_eq!(read_list(&old)[0].full_name(), "widgets.example.com");
        let mut down = aggregated;
        down["items"][0]["versions"][0] = json!({"version": "v1", "freshness": "Stale", "resources": []});
        assert_eq!(read_aggregated(&down).silent, ["example.com/v1"]);
        let apis = json!({"groups": [{"versions": [{"groupVersion": "a/v1"}, {"groupVersion": "a/v2"}]}]});
        assert_eq!(versions(&apis), ["a/v1", "a/v2"]);
    }
}
