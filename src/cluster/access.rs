//! The user, the identity of the cluster, permissions, and the tier's namespace.

use http::Method;
use serde_json::{Value, json};

use super::transport::{Call, Repeat};
use super::{Cluster, Refusal};
use crate::cluster::error_class::{ErrorClass, is_denied};
use crate::cluster::transport::request_error::{RequestError, RequestInfo, user_of};
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectRef, labels};

impl Cluster {
    /// The first request: who are we? It needs no right, so any refusal is about the credentials.
    pub(super) async fn authenticate(&self) -> Result<()> {
        self.inner.user.get_or_try_init(|| self.ask_identity()).await.map(|_| ())
    }

    /// The user as the cluster sees it.
    pub async fn identity(&self) -> Result<String> {
        self.inner.user.get_or_try_init(|| self.ask_identity()).await.cloned()
    }

    async fn ask_identity(&self) -> Result<String> {
        let wanted = RequestInfo { verb: "ask", resource: "who the user is".to_owned(), namespace: None };
        let mut fault = RequestError::Interrupted;
        // `v1` since Kubernetes 1.28.
        for version in ["v1", "v1beta1"] {
            let review = json!({"apiVersion": format!("authentication.k8s.io/{version}"), "kind": "SelfSubjectReview"});
            match self.review("authentication.k8s.io", version, "selfsubjectreviews", &review, &wanted).await
            {
                Ok(answer) => {
                    let user = &answer["status"]["userInfo"]["username"];
                    return Ok(user.as_str().unwrap_or("unknown").to_owned());
                }
                Err(answer) => fault = answer,
            }
            if !fault.is_not_found() {
                break;
            }
        }
        match fault.status() {
            // A cluster that lets nobody ask still says in its refusal whom it refused.
            Some(status) if status.code == 403 && !status.message.contains("system:anonymous") => {
                let user = user_of(&status.message);
                Ok(user.trim_start_matches("user ").trim_matches('`').to_owned())
            }
            Some(status) if status.code == 404 => {
                self.check_kind_of_server().await.map(|()| "unknown".to_owned())
            }
            Some(status) if matches!(status.code, 401 | 403) => Err(self.not_accepted()),
            _ => Err(fault.into_error(&wanted)),
        }
    }

    /// The version of the API server: `v1.34.4`; `None` where it does not tell. Asked once.
    pub async fn version(&self) -> Option<String> {
        self.inner.version.get_or_init(|| self.ask_version()).await.clone()
    }

    /// The minor version of the API server, of Kubernetes 1; `None` where it is not told.
    pub async fn minor_version(&self) -> Option<u32> {
        let version = self.version().await?;
        let rest = version.strip_prefix("v1.")?;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    }

    async fn ask_version(&self) -> Option<String> {
        let wanted = RequestInfo { verb: "get", resource: "the version".to_owned(), namespace: None };
        let answer = self.transport.json(&Call::get("/version".to_owned(), wanted)).await.ok()?;
        answer["gitVersion"].as_str().map(str::to_owned)
    }

    /// Any web server answers 404: what is a Kubernetes API server tells its version.
    async fn check_kind_of_server(&self) -> Result<()> {
        if self.version().await.is_some() {
            return Ok(());
        }
        let context = self.context();
        let sentence = format!("the server of context `{context}` is not a Kubernetes API server");
        Err(Error::new(Kind::Unreachable, sentence)
            .with_source(ErrorClass::Unreachable)
            .with_hint("check the server's address and port in the kubeconfig"))
    }

    fn not_accepted(&self) -> Error {
        let context = self.context();
        Error::new(
            Kind::Denied,
            format!("the cluster of context `{context}` does not accept the kubeconfig's credentials"),
        )
        .with_source(ErrorClass::Denied)
        .with_hint("log in again, or renew the token or certificate that the kubeconfig holds")
    }

    async fn review(
        &self,
        group: &str,
        version: &str,
        plural: &str,
        body: &Value,
        wanted: &RequestInfo,
    ) -> Result<Value, RequestError> {
        let call =
            Call::send(Method::POST, format!("/apis/{group}/{version}/{plural}"), body, wanted.clone());
        // A review changes nothing.
        self.transport.json(&Call { repeat: Repeat::Freely, ..call }).await
    }

    /// Whether the user may do this; `resource` is `deployments.apps` or `pods/log`, a namespace of `None`
    /// means cluster-wide.
    pub async fn allowed(&self, verb: &str, resource: &str, namespace: Option<&str>) -> Result<bool> {
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                "namespace": namespace.unwrap_or_default(),
            }},
        });
        let wanted = RequestInfo { verb: "ask", resource: "what the user may".to_owned(), namespace: None };
        let answer = self
            .review("authorization.k8s.io", "v1", "selfsubjectaccessreviews", &review, &wanted)
            .await
            .map_err(|fault| fault.into_error(&wanted))?;
        Ok(answer["status"]["allowed"] == true)
    }

    /// The uid that tells this cluster from all others: that of `kube-system`, where it may not be read that
    /// of the tier's namespace.
    pub async fn uid(&self) -> Result<String> {
        for namespace in ["kube-system", self.namespace()] {
            match self.get(&ObjectRef::new("v1", "Namespace", namespace)).await {
                Ok(Some(found)) => {
                    return Ok(found["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
                }
                Ok(None) => {}
                Err(error) if is_denied(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let namespace = self.namespace();
        Err(Error::new(
            Kind::Denied,
            format!("neither the namespace `kube-system` nor `{namespace}` may be read, so the cluster cannot be identified"),
        )
        .with_source(ErrorClass::Denied)
        .with_hint(format!("ask an administrator of the cluster for the right to `get` the namespace `{namespace}`")))
    }

    pub(super) async fn check_pin(&self, pin: &str) -> Result<()> {
        let uid = self.uid().await?;
        if uid == pin {
            return Ok(());
        }
        let context = self.context();
        Err(Error::new(
            Kind::Rule,
            format!("the context `{context}` points to the cluster {uid}, but the tier is pinned to {pin}"),
        )
        .with_source(ErrorClass::OtherCluster)
        .with_hint("check the kubeconfig; if the tier really moved, change `cluster` in windlass.yaml (to allow one release or rollback: --override cluster --reason \"…\")"))
    }

    /// Creates the tier's namespace if it does not exist; `true` if it was created now. `needed` is a verb and a resource
    /// that whoever works in it may: without that, and without the right to see it, it may not exist.
    ///
    /// # Errors
    /// [`Kind::Denied`] with what to ask for, where it does not exist and the user may not create it.
    pub async fn ensure_namespace(&self, made_for: &str, needed: (&str, &str)) -> Result<bool> {
        let namespace = self.namespace();
        match self.get(&ObjectRef::new("v1", "Namespace", namespace)).await {
            Ok(Some(found)) if found["metadata"]["deletionTimestamp"].is_string() => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("the namespace `{namespace}` is being deleted"),
                )
                .with_source(ErrorClass::Refused)
                .with_hint("wait until it is deleted, then release again"));
            }
            Ok(Some(_)) => return Ok(false),
            Ok(None) => {}
            // Users of one namespace often may not read the namespace itself.
            Err(error) if is_denied(&error) => {
                return self.check_right_in_namespace(needed).await.map(|()| false);
            }
            Err(error) => return Err(error),
        }
        self.create_namespace(made_for).await
    }

    /// Whether the user has a right in a namespace that may not be read.
    async fn check_right_in_namespace(&self, (verb, resource): (&str, &str)) -> Result<()> {
        let namespace = self.namespace();
        if self.allowed(verb, resource, Some(namespace)).await.unwrap_or(true) {
            return Ok(());
        }
        let user = self.identity().await.unwrap_or_else(|_| "the user".to_owned());
        let message = format!(
            "`{user}` may not {verb} {resource} in the namespace `{namespace}`, nor see whether it exists"
        );
        Err(Error::new(Kind::Denied, message).with_source(ErrorClass::Denied).with_hint(format!(
            "ask an administrator of the cluster for the namespace `{namespace}`, and for the Role of docs/permissions.md in it"
        )))
    }

    async fn create_namespace(&self, made_for: &str) -> Result<bool> {
        let namespace = self.namespace();
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace,
            "annotations": {labels::MADE_FOR: made_for},
        }});
        match self.create(&object).await {
            Ok(_) => Ok(true),
            Err(error) if error.refusal == Refusal::AlreadyExists => Ok(false),
            Err(error) if error.refusal == Refusal::Forbidden => {
                let user = self.identity().await.unwrap_or_else(|_| "the user".to_owned());
                let message =
                    format!("the namespace `{namespace}` does not exist, and `{user}` may not create it");
                Err(Error::new(Kind::Denied, message).with_source(error).with_hint(format!(
                    "ask an administrator of the cluster: kubectl create namespace {namespace}"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }
}
