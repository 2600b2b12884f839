//! One object, or all of a kind: read, apply, create, replace. Deleting is in [`crate::cluster::objects::deletion`].

pub(crate) mod contents;
pub(crate) mod deletion;
pub(crate) mod list;
pub(crate) mod projection;
pub(crate) mod refusal;
mod server_message;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::cluster::address::{collection, escape, query};
use crate::cluster::error_class::ErrorClass;
use crate::cluster::kinds::Resource;
use crate::cluster::objects::list::Item;
use crate::cluster::objects::projection::Projection;
use crate::cluster::objects::refusal::{ApplyError, Refusal};
use crate::cluster::transport::request_error::{RequestError, RequestInfo};
use crate::cluster::transport::{Call, Repeat};
use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::error::{Error, Kind, Result};
use crate::model::ObjectRef;
pub use server_message::FieldError;

/// Only the `metadata` of an object, in the words of content negotiation.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// How to apply.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions {
    /// Only ask what would come of it.
    pub dry_run: bool,
    /// Take fields over from other field managers instead of failing with a conflict.
    pub force: bool,
    /// Have only the `metadata` returned: less to make, to send and to read.
    pub metadata: bool,
}

/// An object's place on the server.
pub(crate) struct Located {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
}

impl Located {
    pub(crate) fn wanted(&self, verb: &'static str) -> RequestInfo {
        RequestInfo { verb, resource: self.resource.full_name(), namespace: self.namespace.clone() }
    }

    pub(crate) fn collection(&self) -> String {
        collection(&self.resource.api_version, &self.resource.plural, self.namespace.as_deref())
    }

    /// The path of one object.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that no object has: an empty one would mean the whole collection, and dots what lies
    /// above it.
    pub(crate) fn path(&self, name: &str) -> Result<String> {
        check_segment(name)?;
        Ok(format!("{}/{}", self.collection(), escape(name)))
    }
}

/// Asks for a list of objects with nothing but their `metadata`.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

impl Cluster {
    pub(crate) async fn locate(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Located> {
        let resource = self.resource(api_version, kind).await?;
        let namespace = resource.namespaced.then(|| namespace.unwrap_or(self.namespace()).to_owned());
        if let Some(namespace) = &namespace {
            check_segment(namespace)?;
        }
        Ok(Located { resource, namespace })
    }

    /// An object as it is now; `None` if there is none.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>> {
        let located = self.locate(&object.api_version, &object.kind, object.namespace.as_deref()).await?;
        let wanted = located.wanted("get");
        match self.transport.json(&Call::get(located.path(&object.name)?, wanted.clone())).await {
            Ok(object) => Ok(Some(object)),
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(fault) => Err(fault.into_error(&wanted)),
        }
    }

    /// All objects of a kind in a namespace (`None` means the tier's; the whole cluster for a
    /// cluster-scoped kind) that a label selector, if any, selects.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Result<Vec<Value>> {
        let selectors = [("labelSelector", selector)];
        self.list_as(api_version, kind, namespace, &selectors, "application/json", Projection::All).await
    }

    /// As [`Cluster::list`], in all namespaces.
    pub async fn list_everywhere(&self, api_version: &str, kind: &str, selector: &str) -> Result<Vec<Value>> {
        let located = Located { namespace: None, ..self.locate(api_version, kind, None).await? };
        let selectors = [("labelSelector", Some(selector))];
        let listed = self.list_located(&located, &selectors, "application/json").await;
        listed.map_err(|fault| fault.into_error(&located.wanted("list")))
    }

    /// As [`Cluster::list`], but only the `metadata` of each object (labels, annotations, managed fields):
    /// less to send, and nothing of a Secret's content.
    pub async fn list_metadata(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Result<Vec<Value>> {
        let selectors = [("labelSelector", selector)];
        self.list_as(api_version, kind, namespace, &selectors, METADATA_LIST, Projection::All).await
    }

    /// As [`Cluster::list_metadata`] of all objects, but only what tells which object owns which.
    pub async fn list_owners(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>> {
        const OWNERS: Projection = Projection::Only(&[(
            "metadata",
            Projection::Only(&[("uid", Projection::All), ("ownerReferences", Projection::All)]),
        )]);
        self.list_as(api_version, kind, namespace, &[], METADATA_LIST, OWNERS).await
    }

    async fn list_as(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        selectors: &[(&str, Option<&str>)],
        accept: &'static str,
        projection: Projection,
    ) -> Result<Vec<Value>> {
        let located = self.locate(api_version, kind, namespace).await?;
        let read = |item: Item<'_>| item.read(projection);
        let listed = self.pages(&located, selectors, accept, read).await;
        listed.map(|(items, _)| items).map_err(|fault| {
            unserved(&fault, &located).unwrap_or_else(|| fault.into_error(&located.wanted("list")))
        })
    }

    pub(crate) async fn list_located(
        &self,
        located: &Located,
        selectors: &[(&str, Option<&str>)],
        accept: &'static str,
    ) -> Result<Vec<Value>, RequestError> {
        let whole = |item: Item<'_>| item.read(Projection::All);
        let (items, _) = self.pages(located, selectors, accept, whole).await?;
        Ok(items)
    }

    /// Server-side apply with the field manager [`FIELD_MANAGER`] and strict field validation. Returns the
    /// object as it is then (with `dry_run`: as it would be).
    pub async fn apply(&self, object: &Value, options: ApplyOptions) -> Result<Value, ApplyError> {
        let force = options.force.then_some("true");
        let dry_run = options.dry_run.then_some("All");
        let parameters = [
            ("fieldManager", Some(FIELD_MANAGER)),
            ("fieldValidation", Some("Strict")),
            ("force", force),
            ("dryRun", dry_run),
        ];
        let body = ("application/apply-patch+yaml", Bytes::from(object.to_string()));
        self.write(object, "patch", &parameters, |call| Call {
            method: Method::PATCH,
            body: Some(body),
            repeat: Repeat::Freely,
            accept: if options.metadata { METADATA } else { call.accept },
            ..call
        })
        .await
    }

    /// Creates an object; [`Refusal::AlreadyExists`] if there is one of that name.
    pub async fn create(&self, object: &Value) -> Result<Value, ApplyError> {
        let parameters = [("fieldManager", Some(FIELD_MANAGER)), ("fieldValidation", Some("Strict"))];
        self.write(object, "create", &parameters, |call| {
            Call::send(Method::POST, call.path, object, call.wanted)
        })
        .await
    }

    /// Replaces an object as a whole; [`Refusal::Stale`] if it is no longer the one whose `resourceVersion`
    /// it carries.
    pub async fn replace(&self, object: &Value) -> Result<Value, ApplyError> {
        let parameters = [("fieldManager", Some(FIELD_MANAGER)), ("fieldValidation", Some("Strict"))];
        self.write(object, "update", &parameters, |call| {
            Call::send(Method::PUT, call.path, object, call.wanted)
        })
        .await
    }

    /// Changes some fields of an object as a JSON merge patch does; `patch` carries the object's
    /// `apiVersion`, `kind`, `metadata.name` and, where it is not the tier's, `metadata.namespace`. With a
    /// `resourceVersion`, [`Refusal::Stale`] if it is no longer the one.
    pub async fn merge_patch(&self, patch: &Value) -> Result<Value, ApplyError> {
        // That version will not come back.
        let repeat = match patch.pointer("/metadata/resourceVersion") {
            Some(_) => Repeat::WhenUntouched,
            None => Repeat::Freely,
        };
        let body = ("application/merge-patch+json", Bytes::from(patch.to_string()));
        self.write(patch, "patch", &[("fieldManager", Some(FIELD_MANAGER))], |call| Call {
            method: Method::PATCH,
            body: Some(body),
            repeat,
            ..call
        })
        .await
    }

    /// What would become of an object by a JSON patch; nothing is changed.
    pub async fn try_json_patch(&self, object: &Value, operations: &Value) -> Result<Value, ApplyError> {
        let parameters = [("fieldManager", Some(FIELD_MANAGER)), ("dryRun", Some("All"))];
        let body = ("application/json-patch+json", Bytes::from(operations.to_string()));
        self.write(object, "patch", &parameters, |call| Call {
            method: Method::PATCH,
            body: Some(body),
            repeat: Repeat::Freely,
            ..call
        })
        .await
    }

    async fn write(
        &self,
        object: &Value,
        verb: &'static str,
        parameters: &[(&str, Option<&str>)],
        complete: impl FnOnce(Call) -> Call,
    ) -> Result<Value, ApplyError> {
        let reference = ObjectRef::of(object);
        let located = self
            .locate(&reference.api_version, &reference.kind, reference.namespace.as_deref())
            .await
            .map_err(|error| ApplyError::before_sending(&reference, &error))?;
        let path = if verb == "create" { Ok(located.collection()) } else { located.path(&reference.name) };
        let path = path.map_err(|error| ApplyError::before_sending(&reference, &error))?;
        let call = complete(Call::get(path + &query(parameters), located.wanted(verb)));
        let call = Call { about: reference.id(), ..call };
        let answer = self.transport.json(&call).await;
        answer.map_err(|fault| ApplyError::from_request(fault, object, &call.wanted))
    }
}

impl Refusal {
    /// Whether someone else wrote first.
    pub fn is_lost_race(&self) -> bool {
        matches!(self, Self::AlreadyExists | Self::Stale)
    }
}

/// Whether this is one part of a path: a record may say anything.
fn check_segment(name: &str) -> Result<()> {
    let is_name = !matches!(name, "" | "." | "..") && !name.contains(['/', '%']);
    is_name
        .then_some(())
        .ok_or_else(|| Error::new(Kind::Invalid, format!("`{name}` is not a valid object name")))
}

/// Objects in a list do not carry their `apiVersion` and `kind`.
pub(crate) fn name_kind(item: &mut Value, resource: &Resource) {
    if let Some(map) = item.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::from(resource.api_version.clone()));
        map.insert("kind".to_owned(), Value::from(resource.kind.clone()));
    }
}

/// The server knows neither the group nor the version: a built-in kind that this cluster is too old for.
pub(crate) fn unserved(fault: &RequestError, located: &Located) -> Option<Error> {
    let Resource { api_version, kind, .. } = &located.resource;
    fault.is_not_found().then(|| {
        Error::new(Kind::Refused, format!("the cluster does not serve the kind {kind} of {api_version}"))
            .with_source(ErrorClass::KindUnknown)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_does_not_lead_elsewhere() {
        let resource = crate::cluster::kinds::built_in("v1", "Secret").expect("it is built in");
        let located = Located { resource, namespace: Some("shop".to_owned()) };
        assert_eq!(located.path("db").expect("a name"), "/api/v1/namespaces/shop/secrets/db");
        for name in ["", ".", "..", "../pods/web", "a/b", "%2e%2e"] {
            assert_eq!(located.path(name).expect_err(name).kind(), Kind::Invalid);
        }
    }

    #[test]
    fn an_object_says_which_it_is() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        let reference = ObjectRef::of(&object);
        assert_eq!(reference, ObjectRef::new("apps/v1", "Deployment", "web").in_namespace("shop"));
        assert_eq!(reference.id(), "Deployment/web");
    }
}
