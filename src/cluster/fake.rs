//! An API server for tests: objects in memory, lists, watches, compare-and-swap, and faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Cluster;
use crate::session::Session;

/// What a fault does to a request.
#[derive(Debug, Clone)]
pub(crate) enum InjectedFault {
    /// Answers with this code, and `Retry-After` if it is not zero.
    Code(u16, u64),
    /// Closes the connection without an answer.
    Cut,
    /// Never answers.
    Hang,
}

type Faults = Box<dyn FnMut(&str, &str) -> Option<InjectedFault> + Send>;

#[derive(Clone)]
pub(crate) struct FakeServer {
    address: String,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// `(version, collection, type, object)`
    history: Vec<(u64, String, &'static str, Value)>,
    version: u64,
    /// Watches from before this version are too old.
    oldest: u64,
    faults: Option<Faults>,
    requests: Vec<String>,
    /// Raised to close all watches.
    cuts: u64,
    logs: BTreeMap<String, String>,
    /// What a GET of a path answers that is neither an object nor a collection.
    answers: BTreeMap<String, Value>,
}

impl FakeServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Self { address, state: Arc::default(), changed: Arc::new(watch::Sender::new(0)) };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.serve(connection).await });
            }
        });
        server
    }

    pub(crate) async fn cluster(&self, session: &Session) -> Cluster {
        Cluster::at(&self.address, "shop", session).await
    }

    /// Every request is shown to this first: `(method, path and query)`.
    pub(crate) fn faults(&self, faults: impl FnMut(&str, &str) -> Option<InjectedFault> + Send + 'static) {
        self.state().faults = Some(Box::new(faults));
    }

    pub(crate) fn no_faults(&self) {
        self.state().faults = None;
    }

    /// Closes all watches.
    pub(crate) fn cut_watches(&self) {
        self.state().cuts += 1;
        self.changed.send_modify(|_| ());
    }

    /// Forgets the history: older watches get a 410.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.oldest = state.version + 1;
        state.version += 1;
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// What a container wrote: `shop/pod/container`, with `?previous` for the instance before.
    pub(crate) fn log(&self, container: &str, text: &str) {
        self.state().logs.insert(container.to_owned(), text.to_owned());
    }

    /// From now on a GET of this path is answered like this: what the server serves, say.
    pub(crate) fn answer_with(&self, path: &str, answer: Value) {
        self.state().answers.insert(path.to_owned(), answer);
    }

    /// Creates or changes an object behind everybody's back; `path` is that of its collection.
    pub(crate) fn put(&self, collection: &str, object: Value) -> Value {
        let mut state = self.state();
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let key = format!("{collection}/{name}");
        let kind = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        let object = state.write(&key, collection, kind, object);
        drop(state);
        self.changed.send_modify(|_| ());
        object
    }

    pub(crate) fn delete(&self, collection: &str, name: &str) {
        let mut state = self.state();
        let key = format!("{collection}/{name}");
        if let Some(object) = state.objects.get(&key).cloned() {
            state.write(&key, collection, "DELETED", object);
        }
        drop(state);
        self.changed.send_modify(|_| ());
    }

    pub(crate) fn get(&self, collection: &str, name: &str) -> Option<Value> {
        self.state().objects.get(&format!("{collection}/{name}")).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    async fn serve(&self, connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        while let Some((method, path, body)) = read_request(&mut connection).await {
            let fault = {
                let mut state = self.state();
                state.requests.push(format!("{method} {path}"));
                state.faults.as_mut().and_then(|faults| faults(&method, &path))
            };
            match fault {
                Some(InjectedFault::Cut) => return,
                Some(InjectedFault::Hang) => std::future::pending().await,
                Some(InjectedFault::Code(code, after)) => {
                    respond(&mut connection, code, after, &status(code)).await;
                }
                None if path.contains("watch=true") => return self.serve_watch(&mut connection, &path).await,
                None if path.contains("/log?") => {
                    let text = self.read_log(&path);
                    respond_text(&mut connection, text).await;
                }
                None => {
                    let (code, answer) = self.answer(&method, &path, body);
                    respond(&mut connection, code, 0, &answer).await;
                }
            }
        }
    }

    fn read_log(&self, path: &str) -> Option<String> {
        let (path, query) = path.split_once('?').expect("a query");
        let words: Vec<&str> = path.split('/').collect();
        let container = query.split('&').find_map(|one| one.strip_prefix("container=")).unwrap_or_default();
        let previous = if query.contains("previous=true") { "?previous" } else { "" };
        self.state().logs.get(&format!("{}/{}/{container}{previous}", words[4], words[6])).cloned()
    }

    fn answer(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = path.split('?').next().unwrap_or_default();
        let mut state = self.state();
        let collection =
            |path: &str| path.rsplit_once('/').map_or_else(String::new, |(head, _)| head.to_owned());
        let found = state.objects.get(path).cloned();
        let known = state.answers.get(path).filter(|_| method == "GET").cloned();
        let answer = match (method, found.or(known)) {
            ("GET", Some(object)) => (200, object),
            ("GET", None) if is_collection(path) => (200, state.list(path)),
            ("POST", None) => {
                let key = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
                if state.objects.contains_key(&key) {
                    (
                        409,
                        json!({"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "already exists"}),
                    )
                } else {
                    (201, state.write(&key, path, "ADDED", body))
                }
            }
            ("PUT", Some(object))
                if object["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
            {
                (
                    409,
                    json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "the object has been modified"}),
                )
            }
            // An apply by the only manager there is.
            ("PATCH", found) => {
                let kind = if found.is_some() { "MODIFIED" } else { "ADDED" };
                (200, state.write(path, &collection(path), kind, body))
            }
            ("DELETE", Some(object)) if !holds(&body["preconditions"], &object) => (
                409,
                json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "Precondition failed"}),
            ),
            ("DELETE", Some(object)) => (200, state.write(path, &collection(path), "DELETED", object)),
            ("PUT", Some(_)) => (200, state.write(path, &collection(path), "MODIFIED", body)),
            _ => (404, status(404)),
        };
        drop(state);
        self.changed.send_modify(|_| ());
        answer
    }

    async fn serve_watch(&self, connection: &mut BufReader<TcpStream>, path: &str) {
        let collection = path.split('?').next().unwrap_or_default().to_owned();
        let from = path.split('&').find_map(|one| one.strip_prefix("resourceVersion="));
        let mut position: u64 = from.and_then(|text| text.parse().ok()).unwrap_or_default();
        let (oldest, cuts) = {
            let state = self.state();
            (state.oldest, state.cuts)
        };
        let mut changed = self.changed.subscribe();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        if connection.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        if position < oldest {
            let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}});
            write_chunk(connection, &format!("{gone}\n")).await;
            write_chunk(connection, "").await;
            return;
        }
        loop {
            let (news, cut) = {
                let state = self.state();
                let news: Vec<_> = state
                    .history
                    .iter()
                    .filter(|one| one.0 > position && one.1 == collection)
                    .cloned()
                    .collect();
                (news, state.cuts != cuts)
            };
            for (version, _, kind, object) in news {
                position = version;
                if !write_chunk(connection, &format!("{}\n", json!({"type": kind, "object": object}))).await {
                    return;
                }
            }
            if cut || changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl State {
    fn write(&mut self, key: &str, collection: &str, kind: &'static str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if !object["metadata"]["uid"].is_string() {
            let uid = self.objects.get(key).map(|known| known["metadata"]["uid"].clone());
            object["metadata"]["uid"] = uid.unwrap_or_else(|| json!(format!("uid-{}", self.version)));
        }
        if kind == "DELETED" {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.to_owned(), object.clone());
        }
        self.history.push((self.version, collection.to_owned(), kind, object.clone()));
        object
    }

    fn list(&self, collection: &str) -> Value {
        let prefix = format!("{collection}/");
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(key, _)| key.strip_prefix(&prefix).is_some_and(|name| !name.contains('/')))
            .map(|(_, object)| object)
            .collect();
        json!({"metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }
}

/// Whether an object is the one that a deletion is about.
fn holds(preconditions: &Value, object: &Value) -> bool {
    let agrees = |key: &str| preconditions[key].is_null() || preconditions[key] == object["metadata"][key];
    agrees("uid") && agrees("resourceVersion")
}

/// `/api/v1/namespaces/shop/pods` is a collection, `…/pods/web` is not.
fn is_collection(path: &str) -> bool {
    let words = path.trim_matches('/').split('/').count();
    let root = if path.starts_with("/api/") { 2 } else { 3 };
    if path.contains("/namespaces/") { words == root + 3 } else { words == root + 1 }
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "code": code, "reason": "Test", "message": format!("test says {code}")})
}

async fn read_request(connection: &mut BufReader<TcpStream>) -> Option<(String, String, Value)> {
    let mut line = String::new();
    connection.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        connection.read_line(&mut header).await.ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(text) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    Some((method, path, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

async fn respond(connection: &mut BufReader<TcpStream>, code: u16, after: u64, answer: &Value) {
    let body = answer.to_string();
    let after = if after > 0 { format!("Retry-After: {after}\r\n") } else { String::new() };
    let head = format!(
        "HTTP/1.1 {code} Test\r\nContent-Type: application/json\r\n{after}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = connection.write_all((head + &body).as_bytes()).await;
}

async fn respond_text(connection: &mut BufReader<TcpStream>, text: Option<String>) {
    match text {
        None => respond(connection, 400, 0, &status(400)).await,
        Some(text) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                text.len()
            );
            let _ = connection.write_all((head + &text).as_bytes()).await;
        }
    }
}

/// `false` when nobody listens any more; an empty chunk is the end.
async fn write_chunk(connection: &mut BufReader<TcpStream>, text: &str) -> bool {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    connection.write_all(chunk.as_bytes()).await.is_ok() && connection.flush().await.is_ok()
}
