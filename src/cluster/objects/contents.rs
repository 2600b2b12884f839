//! All that a namespace holds, of every kind that the cluster serves: what a deletion of the namespace would take along.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::cluster::address::collection;
use crate::cluster::error_class::{ErrorClass, is_denied};
use crate::cluster::kinds::Resource;
use crate::cluster::objects::{Located, name_kind};
use crate::cluster::transport::request_error::RequestError;
use crate::cluster::transport::{Call, LIST};
use crate::cluster::{Cluster, kinds};
use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;

/// Metadata is enough; an aggregated API that cannot give it alone gives the whole.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// How long one kind may take: an aggregated API may be down for good.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a namespace holds.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The objects, each with `apiVersion`, `kind` and at least its metadata; one that is served under several groups
    /// (an Event) is there once.
    pub objects: Vec<Value>,
    /// What may hold more, and why that cannot be known: `ingresses.networking.k8s.io, secrets may not be listed`.
    pub unknown: Vec<String>,
}

/// What a list of a kind came to.
enum Listed {
    Objects(Vec<Value>),
    /// Which kind, and why nothing is known of it.
    Unknown(String, String),
}

impl Cluster {
    /// All that a namespace holds.
    ///
    /// # Errors
    /// [`Kind::Unreachable`], and [`Kind::Denied`] where the cluster does not know us; kinds that may not, or cannot, be
    /// listed are no error but told in the answer.
    pub async fn contents(&self, namespace: &str) -> Result<Contents> {
        let mut contents = Contents::default();
        // Definitions may have come since it was asked last.
        match self.discover().await {
            Err(error) if is_denied(&error) => {
                contents
                    .unknown
                    .push(format!("the kinds of the cluster cannot be listed ({})", error.message()));
                return Ok(contents);
            }
            discovered => discovered?,
        }
        contents
            .unknown
            .extend(self.silent_groups().into_iter().map(|group| format!("{group} does not respond")));
        let lists: Vec<Listed> = stream::iter(held(self.resources().await?))
            .map(|resource| self.list_all(resource, namespace))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut by_uid = BTreeMap::new();
        let mut unlisted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for listed in lists {
            match listed {
                Listed::Objects(objects) => {
                    by_uid.extend(objects.into_iter().map(|object| (uid_of(&object).to_owned(), object)));
                }
                Listed::Unknown(name, why) => unlisted.entry(why).or_default().push(name),
            }
        }
        for (why, mut names) in unlisted {
            names.sort();
            contents.unknown.push(format!("{} {why}", names.join(", ")));
        }
        contents.objects = by_uid.into_values().collect();
        contents.unknown.sort();
        Ok(contents)
    }

    async fn list_all(&self, resource: Resource, namespace: &str) -> Result<Listed> {
        let name = resource.full_name();
        if !resource.verbs.iter().any(|verb| verb == "list") {
            return Ok(Listed::Unknown(name, "cannot be listed".to_owned()));
        }
        let path = collection(&resource.api_version, &resource.plural, Some(namespace));
        let located = Located { resource, namespace: Some(namespace.to_owned()) };
        let call = Call {
            accept: METADATA,
            patience: PATIENCE,
            // That a kind is deprecated concerns nobody who only looks whether there is something.
            about: String::new(),
            most: LIST,
            ..Call::get(path, located.wanted("list"))
        };
        let mut answer = match self.transport.json(&call).await {
            Ok(answer) => answer,
            Err(RequestError::Status(status)) => match status.code {
                401 => return Err(RequestError::Status(status).into_error(&call.wanted)),
                403 => return Ok(Listed::Unknown(name, "may not be listed".to_owned())),
                // Its definition was deleted meanwhile, and its objects with it.
                404 => return Ok(Listed::Objects(Vec::new())),
                _ => return Ok(Listed::Unknown(name, format!("could not be listed: {}", status.message))),
            },
            Err(fault) => return Err(fault.into_error(&call.wanted)),
        };
        let mut items = match answer["items"].take() {
            Value::Array(items) => items,
            // How a list of metadata writes that there is nothing.
            Value::Null => Vec::new(),
            _ => {
                let message = format!("the cluster did not answer with a list of {name}");
                return Err(Error::new(Kind::Unreachable, message).with_source(ErrorClass::Unreachable));
            }
        };
        for item in &mut items {
            name_kind(item, &located.resource);
        }
        Ok(Listed::Objects(items))
    }
}

fn uid_of(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The kinds of which a namespace may hold objects, each in one version. What can be neither created nor deleted, as
/// metrics, is computed when it is asked for; what can only be created, as a review, is not kept.
fn held(resources: Vec<Resource>) -> Vec<Resource> {
    let mut held: BTreeMap<(String, String), Resource> = BTreeMap::new();
    for resource in resources.into_iter().filter(|resource| resource.namespaced) {
        let may = |verb: &str| resource.verbs.iter().any(|one| one == verb);
        let is_kept = may("delete") || (may("create") && may("list"));
        if !is_kept {
            continue;
        }
        let key = (resource.group().to_owned(), resource.plural.clone());
        let is_stable = kinds::built_in(&resource.api_version, &resource.kind).is_some();
        if is_stable || !held.contains_key(&key) {
            held.insert(key, resource);
        }
    }
    held.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::report::Reporter;
    use crate::session::Session;

    fn resource(api_version: &str, kind: &str, plural: &str, verbs: &[&str]) -> Resource {
        Resource {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced: true,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        }
    }

    #[test]
    fn kinds_that_hold_nothing_are_not_asked_for_and_versions_only_once() {
        let all = ["create", "delete", "get", "list"];
        let held = held(vec![
            resource("autoscaling/v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &all),
            resource("autoscaling/v2beta2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &all),
            resource("metrics.k8s.io/v1beta1", "PodMetrics", "pods", &["get", "list"]),
            resource(
                "authorization.k8s.io/v1",
                "LocalSubjectAccessReview",
                "localsubjectaccessreviews",
                &["create"],
            ),
            resource("example.com/v1", "Widget", "widgets", &["delete", "get"]),
            Resource { namespaced: false, ..resource("v1", "Node", "nodes", &all) },
        ]);
        let names: Vec<_> = held.iter().map(|one| format!("{} {}", one.api_version, one.plural)).collect();
        assert_eq!(names, ["autoscaling/v1 horizontalpodautoscalers", "example.com/v1 widgets"]);
    }

    fn serve(server: &FakeServer, kinds: &[(&str, &str, &str)]) {
        let resources: Vec<Value> = kinds
            .iter()
            .map(|(plural, kind, verbs)| {
                json!({"name": plural, "kind": kind, "namespaced": true, "verbs": verbs.split(' ').collect::<Vec<_>>()})
            })
            .collect();
        server.answer_with("/api", json!({"versions": ["v1"]}));
        server.answer_with(
            "/apis",
            json!({"groups": [{"versions": [{"groupVersion": "gone.example.com/v1"}]}]}),
        );
        server.answer_with("/api/v1", json!({"groupVersion": "v1", "resources": resources}));
    }

    #[tokio::test]
    async fn what_may_not_be_listed_and_groups_that_do_not_answer_are_told() {
        let server = FakeServer::start().await;
        let all = "create delete list";
        serve(
            &server,
            &[("configmaps", "ConfigMap", all), ("secrets", "Secret", all), ("widgets", "Widget", "delete")],
        );
        server.put(
            "/api/v1/namespaces/shop/configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}),
        );
        server.faults(|_, path| {
            let forbidden = path.ends_with("/secrets");
            forbidden.then_some(crate::cluster::fake::InjectedFault::Code(403, 0))
        });
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let contents = cluster.contents("shop").await.unwrap();
        assert_eq!(contents.objects.len(), 1);
        assert_eq!(contents.objects[0]["kind"], "ConfigMap");
        assert_eq!(
            contents.unknown,
            ["gone.example.com/v1 does not respond", "secrets may not be listed", "widgets cannot be listed"]
        );
    }
}
