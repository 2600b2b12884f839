//! Deleting: only ever the very object that was seen, never another that has its name by now.

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::objects::METADATA;
use crate::cluster::transport::Call;
use crate::cluster::transport::request_error::RequestError;
use crate::error::{Error, Kind, Result};
use crate::model::ObjectRef;

/// An object that the cluster was seen to have: its name, and the uid that no other object has. A deletion takes nothing
/// else, so that it cannot hit what somebody else made under the same name meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenObject {
    object: ObjectRef,
    uid: String,
    resource_version: String,
}

impl SeenObject {
    /// The object as a server answered with it.
    ///
    /// # Errors
    /// [`Kind::Defect`] for an object that no server answered with: it has no uid.
    pub fn of(live: &Value) -> Result<Self> {
        let text = |key: &str| live["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (object, uid) = (ObjectRef::of(live), text("uid"));
        if uid.is_empty() {
            let message =
                format!("{} was to be deleted without having been seen in the cluster", object.id());
            return Err(Error::new(Kind::Defect, message));
        }
        Ok(Self { object, uid, resource_version: text("resourceVersion") })
    }

    /// Whether this is the object that was seen.
    pub fn is(&self, live: &Value) -> bool {
        live["metadata"]["uid"] == self.uid.as_str()
    }

    /// Which object it is, by name.
    pub fn object(&self) -> &ObjectRef {
        &self.object
    }
}

/// What happens to the objects that a deleted object owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted first.
    Foreground,
}

/// How to delete.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeleteOptions {
    /// What happens to the objects that it owns.
    pub propagation: Propagation,
    /// Delete it only if nobody has written to it since it was seen.
    pub unchanged: bool,
    /// Seconds that a pod gets to end; `None` means what it says itself.
    pub grace_seconds: Option<u32>,
}

/// What came of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Deleted {
    /// The cluster is deleting it, or has deleted it.
    Begun,
    /// It was deleted already.
    Gone,
    /// Another object has its name by now, or, where it had to be unchanged, somebody wrote to it: it was not touched.
    Replaced,
}

impl DeleteOptions {
    fn body(self, seen: &SeenObject) -> Value {
        let mut body = json!({
            "propagationPolicy": self.propagation,
            "preconditions": {"uid": seen.uid},
        });
        if self.unchanged {
            body["preconditions"]["resourceVersion"] = json!(seen.resource_version);
        }
        if let Some(seconds) = self.grace_seconds {
            body["gracePeriodSeconds"] = json!(seconds);
        }
        body
    }
}

impl Cluster {
    /// Looks at an object before it is deleted; `None` if there is none.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub async fn see(&self, object: &ObjectRef) -> Result<Option<SeenObject>> {
        let located = self.locate(&object.api_version, &object.kind, object.namespace.as_deref()).await?;
        let wanted = located.wanted("get");
        let call = Call { accept: METADATA, ..Call::get(located.path(&object.name)?, wanted.clone()) };
        match self.transport.json(&call).await {
            // The metadata alone does not say of which kind it is.
            Ok(mut live) => {
                live["apiVersion"] = object.api_version.as_str().into();
                live["kind"] = object.kind.as_str().into();
                SeenObject::of(&live).map(Some)
            }
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(fault) => Err(fault.into_error(&wanted)),
        }
    }

    /// Deletes the object that was seen, and no other.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub async fn delete(&self, seen: &SeenObject, options: DeleteOptions) -> Result<Deleted> {
        let object = &seen.object;
        let located = self.locate(&object.api_version, &object.kind, object.namespace.as_deref()).await?;
        let wanted = located.wanted("delete");
        let body = options.body(seen);
        let call = Call::send(Method::DELETE, located.path(&object.name)?, &body, wanted.clone());
        match self.transport.json(&Call { about: object.id(), ..call }).await {
            Ok(_) => Ok(Deleted::Begun),
            Err(fault) if fault.is_not_found() => Ok(Deleted::Gone),
            Err(RequestError::Status(status)) if status.code == 409 => {
                // Not every conflict is about the uid, and servers word it in their own ways: what is there tells.
                self.after_conflict(seen, options)
                    .await?
                    .ok_or_else(|| RequestError::Status(status).into_error(&wanted))
            }
            Err(fault) => Err(fault.into_error(&wanted)),
        }
    }

    /// What a conflict means; `None` where the server does not want to delete the object that was seen.
    async fn after_conflict(&self, seen: &SeenObject, options: DeleteOptions) -> Result<Option<Deleted>> {
        let Some(live) = self.get(&seen.object).await? else { return Ok(Some(Deleted::Gone)) };
        let is_changed = || live["metadata"]["resourceVersion"] != seen.resource_version.as_str();
        if !seen.is(&live) || (options.unchanged && is_changed()) {
            return Ok(Some(Deleted::Replaced));
        }
        Ok(live["metadata"]["deletionTimestamp"].is_string().then_some(Deleted::Begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::report::Reporter;
    use crate::session::Session;

    const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

    fn map(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}})
    }

    async fn cluster(server: &FakeServer) -> Cluster {
        server.cluster(&Session::new(Reporter::silent())).await
    }

    #[test]
    fn what_no_server_answered_with_cannot_be_deleted() {
        let error = SeenObject::of(&map("a")).unwrap_err();
        assert_eq!(error.kind(), Kind::Defect);
        assert!(error.message().contains("ConfigMap/a"), "{error}");
    }

    #[tokio::test]
    async fn only_the_object_that_was_seen_is_deleted() {
        let server = FakeServer::start().await;
        let cluster = cluster(&server).await;
        let seen = SeenObject::of(&server.put(MAPS, map("a"))).unwrap();
        server.delete(MAPS, "a");
        let new = server.put(MAPS, map("a"));
        assert_eq!(cluster.delete(&seen, DeleteOptions::default()).await.unwrap(), Deleted::Replaced);
        assert_eq!(server.get(MAPS, "a"), Some(new.clone()), "another has its name");
        let seen = cluster.see(&ObjectRef::of(&new)).await.unwrap().unwrap();
        assert_eq!(cluster.delete(&seen, DeleteOptions::default()).await.unwrap(), Deleted::Begun);
        assert_eq!(server.get(MAPS, "a"), None);
        assert_eq!(cluster.delete(&seen, DeleteOptions::default()).await.unwrap(), Deleted::Gone);
        assert_eq!(cluster.see(&ObjectRef::of(&new)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_somebody_wrote_to_is_not_unchanged() {
        let server = FakeServer::start().await;
        let cluster = cluster(&server).await;
        let unchanged = DeleteOptions { unchanged: true, ..DeleteOptions::default() };
        let live = server.put(MAPS, map("a"));
        let seen = SeenObject::of(&live).unwrap();
        server.put(MAPS, live);
        assert_eq!(cluster.delete(&seen, unchanged).await.unwrap(), Deleted::Replaced);
        let seen = cluster.see(&ObjectRef::of(&map("a"))).await.unwrap().unwrap();
        assert_eq!(cluster.delete(&seen, unchanged).await.unwrap(), Deleted::Begun);
    }

    #[tokio::test]
    async fn another_conflict_is_an_error() {
        let server = FakeServer::start().await;
        let cluster = cluster(&server).await;
        let seen = SeenObject::of(&server.put(MAPS, map("a"))).unwrap();
        server.faults(|method, _| {
            (method == "DELETE").then_some(crate::cluster::fake::InjectedFault::Code(409, 0))
        });
        let error = cluster.delete(&seen, DeleteOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
    }
}
