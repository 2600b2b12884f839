//! A real API server, and what it says of an object.

use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::{Value, json};
use windlass::schema::Schemas;

/// A namespace that is there; the manifests that must name it do.
const NAMESPACE: &str = "windlass-agreement";

/// As windlass applies.
const APPLY: &str = "fieldManager=windlass&fieldValidation=Strict&force=true";

/// What is refused because of what else there is in the cluster, not because of the object.
const OF_OTHERS: [&str; 6] = [
    "error looking up service account",
    "no PriorityClass with name",
    "pod rejected: RuntimeClass",
    "does not match event.namespace",
    "already exists",
    "already allocated",
];

/// What the server says of an object.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Accepted,
    Refused(String),
    /// It is refused for what else there is, or is not, in the cluster.
    OfOthers(String),
}

pub(crate) struct Server {
    client: Client,
    /// `v1.37.2`.
    pub(crate) version: String,
}

impl Server {
    pub(crate) async fn connect(context: &str) -> Self {
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_kubeconfig(&options).await.expect("KUBECONFIG is that of the lab");
        let mut server = Self { client: Client::try_from(config).unwrap(), version: String::new() };
        let (_, version) = server.request(Method::GET, "/version", String::new()).await;
        version["gitVersion"].as_str().unwrap_or_default().clone_into(&mut server.version);
        server.make_namespace().await;
        server
    }

    /// Pods are refused until the namespace has its ServiceAccount.
    async fn make_namespace(&self) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        let path = format!("/api/v1/namespaces/{NAMESPACE}");
        let account = format!("{path}/serviceaccounts/default");
        for _ in 0..300 {
            let apply = format!("{path}?fieldManager=agreement");
            let (_, made) = self.request(Method::PATCH, &apply, namespace.to_string()).await;
            // That of a run before may be on its way out still.
            let stays = made["metadata"]["deletionTimestamp"].is_null();
            if stays && self.request(Method::GET, &account, String::new()).await.0 == 200 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the namespace {NAMESPACE} gets no ServiceAccount");
    }

    pub(crate) async fn leave(&self) {
        self.request(Method::DELETE, &format!("/api/v1/namespaces/{NAMESPACE}"), String::new()).await;
    }

    /// Applies an object, which was made from this one, without anything being kept.
    pub(crate) async fn ask(&self, schemas: &Schemas, original: &Value, object: &Value) -> Answer {
        self.send(schemas, original, object, "&dryRun=All").await
    }

    /// Applies an object, and deletes it: in a dry run nobody is asked for a port.
    pub(crate) async fn apply(&self, schemas: &Schemas, original: &Value, object: &Value) -> Answer {
        let answer = self.send(schemas, original, object, "").await;
        if matches!(answer, Answer::Accepted)
            && let Some(path) = path(schemas, object, text(object, "/metadata/name"))
        {
            self.request(Method::DELETE, &path, String::new()).await;
        }
        answer
    }

    async fn send(&self, schemas: &Schemas, original: &Value, object: &Value, how: &str) -> Answer {
        let name = text(object, "/metadata/name");
        if name.is_empty() {
            return Answer::Refused("without a name it has no address".to_owned());
        }
        // What is of no known kind any more is sent to where it was of one: the server says that it does not belong there.
        let Some(path) = path(schemas, object, name).or_else(|| path(schemas, original, name)) else {
            return Answer::Refused("it has no such kind".to_owned());
        };
        let (code, status) =
            self.request(Method::PATCH, &format!("{path}?{APPLY}{how}"), object.to_string()).await;
        let message = status["message"].as_str().unwrap_or_default().to_owned();
        match code {
            200 | 201 => Answer::Accepted,
            0 => Answer::OfOthers(message),
            _ if OF_OTHERS.iter().any(|words| message.contains(words)) => Answer::OfOthers(message),
            // A kind of another group is one that a definition may have brought.
            _ if is_custom(object) && !is_custom(original) => Answer::OfOthers(message),
            400 | 403 | 404 | 405 | 422 | 500 => Answer::Refused(message),
            _ => panic!("the server answers {code}: {status}"),
        }
    }

    async fn request(&self, method: Method, path: &str, body: String) -> (u16, Value) {
        let content =
            if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let send = async || {
            let request = Request::builder().method(&method).uri(path).header("Content-Type", content);
            self.client.send(request.body(Body::from(body.clone().into_bytes())).unwrap()).await
        };
        // A server ends connections that have carried many requests. Twice, it is the request: 1.37 panics over some definitions.
        let response = match send().await {
            Ok(response) => response,
            Err(_) => match send().await {
                Ok(response) => response,
                Err(error) => return (0, json!({"message": error.to_string()})),
            },
        };
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            code,
            serde_json::from_slice(&body)
                .unwrap_or_else(|_| json!({"message": String::from_utf8_lossy(&body)})),
        )
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Where the server has the objects of a kind.
fn path(schemas: &Schemas, object: &Value, name: &str) -> Option<String> {
    let api_version = text(object, "/apiVersion");
    let kind = schemas.kind(api_version, text(object, "/kind"))?;
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let namespace = if kind.namespaced { format!("/namespaces/{NAMESPACE}") } else { String::new() };
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    Some(format!("/{root}/{api_version}{namespace}/{}/{name}", kind.plural))
}

/// Whether it is of a group that is not one of Kubernetes itself.
fn is_custom(object: &Value) -> bool {
    let api_version = text(object, "/apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    group.contains('.') && !group.ends_with(".k8s.io")
}
