//! Requests: counted, bounded in time, repeated where repeating cannot do harm.

pub(crate) mod clock;
pub(crate) mod contact;
pub(crate) mod lines;
pub(crate) mod request_error;
pub(crate) mod status;
pub(crate) mod write_gate;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER, USER_AGENT, WARNING};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cluster::kubeconfig::authorization::Authorization;
use crate::cluster::transport::clock::ServerClock;
use crate::cluster::transport::contact::Contact;
use crate::cluster::transport::request_error::{RequestError, RequestInfo};
use crate::cluster::transport::status::Status;
use crate::cluster::transport::write_gate::WriteGate;
use crate::http::retry;
use crate::report::Reporter;
use crate::session::Session;

/// How long one attempt may take: longer than an admission webhook may (30 s).
const ATTEMPT: Duration = Duration::from_secs(35);
/// How long all attempts together may take: an API server that restarts is away for half of it.
const OVERALL: Duration = Duration::from_secs(60);
/// The first pause between attempts, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often an internal error (which may be a webhook whose pod is being replaced) is asked about again.
const INTERNAL_ERRORS: u32 = 2;
/// Bytes of one object: ten times what an API server keeps.
const OBJECT: usize = 16 << 20;
/// Bytes of a list.
pub(crate) const LIST: usize = 256 << 20;
/// Bytes of a refusal.
const REFUSAL: usize = 1 << 20;

const JSON: &str = "application/json";

/// Whether a request that may have been carried out may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is doing it once.
    Freely,
    /// Only when the server certainly did not begin it.
    WhenUntouched,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Option<(&'static str, Bytes)>,
    pub(crate) accept: &'static str,
    pub(crate) repeat: Repeat,
    /// What it is about, for the warnings that the server may send with the answer; empty where they concern nobody.
    pub(crate) about: String,
    pub(crate) wanted: RequestInfo,
    /// How long all attempts together may take.
    pub(crate) patience: Duration,
    /// Bytes that its answer may have.
    pub(crate) most: usize,
}

impl Call {
    pub(crate) fn get(path: String, wanted: RequestInfo) -> Self {
        let about = wanted.resource.clone();
        Self {
            method: Method::GET,
            path,
            body: None,
            accept: JSON,
            repeat: Repeat::Freely,
            about,
            wanted,
            patience: OVERALL,
            most: OBJECT,
        }
    }

    /// A request with a JSON body.
    pub(crate) fn send(method: Method, path: String, json: &Value, wanted: RequestInfo) -> Self {
        let repeat = if method == Method::POST || method == Method::PUT {
            Repeat::WhenUntouched
        } else {
            Repeat::Freely
        };
        let body = Bytes::from(json.to_string());
        Self { method, body: Some((JSON, body)), repeat, ..Self::get(path, wanted) }
    }
}

/// The way to the API server. Clones share it.
#[derive(Clone)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
    /// When this ends, requests end at once.
    cancel: CancellationToken,
    /// Whether writes wait until the run's lease is known to be held.
    fenced: bool,
}

struct Shared {
    client: Client,
    authorization: Authorization,
    host: String,
    reporter: Reporter,
    clock: ServerClock,
    contact: Contact,
    requests: AtomicU64,
    warned: Mutex<HashSet<String>>,
    /// Why the last attempt found no way to the server.
    last_fault: Mutex<Option<String>>,
    fence: WriteGate,
}

impl Transport {
    pub(crate) fn new(client: Client, authorization: Authorization, host: String, session: Session) -> Self {
        let shared = Shared {
            client,
            authorization,
            host,
            reporter: session.reporter,
            clock: ServerClock::default(),
            contact: Contact::default(),
            requests: AtomicU64::new(0),
            warned: Mutex::default(),
            last_fault: Mutex::default(),
            fence: WriteGate::default(),
        };
        Self { shared: Arc::new(shared), cancel: session.cancel, fenced: true }
    }

    /// The same way, for what must still be done after a cancellation.
    pub(crate) fn uncancelled(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), cancel: CancellationToken::new(), fenced: self.fenced }
    }

    /// The same way for the lease itself, which opens the fence and so must not wait for it.
    pub(crate) fn unfenced(&self) -> Self {
        Self { fenced: false, ..self.uncancelled() }
    }

    pub(crate) fn fence(&self) -> &WriteGate {
        &self.shared.fence
    }

    pub(crate) fn contact(&self) -> &Contact {
        &self.shared.contact
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Why the last attempt that was made again found no way to the server.
    pub(crate) fn last_fault(&self) -> Option<String> {
        self.shared.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Ends when requests of this way are no longer sent.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// The answer as JSON.
    pub(crate) async fn json(&self, call: &Call) -> Result<Value, RequestError> {
        let bytes = self.bytes(call).await?;
        self.read(&bytes)
    }

    /// The answer as it is, asked for once: the caller repeats. A refusal carries the pause that the server asks
    /// for.
    pub(crate) async fn once(&self, call: &Call) -> Result<Bytes, RequestError> {
        self.attempt(call, Instant::now() + ATTEMPT).await.map_err(|(fault, pause)| match (fault, pause) {
            (RequestError::Status(mut status), Some(pause)) => {
                status.details.retry_after_seconds = pause.as_secs();
                RequestError::Status(status)
            }
            (fault, _) => fault,
        })
    }

    fn read(&self, bytes: &[u8]) -> Result<Value, RequestError> {
        let answer: Value = serde_json::from_slice(bytes).map_err(|error| self.unreadable(&error))?;
        if answer.is_object() {
            return Ok(answer);
        }
        let host = &self.shared.host;
        Err(RequestError::Broken(format!("the API server {host} did not return an object")))
    }

    /// An answer that is no JSON.
    pub(crate) fn unreadable(&self, error: &serde_json::Error) -> RequestError {
        RequestError::Broken(format!("the API server {} did not return JSON: {error}", self.shared.host))
    }

    /// The answer as it is: asked for again where that can do no harm.
    pub(crate) async fn bytes(&self, call: &Call) -> Result<Bytes, RequestError> {
        let deadline = self.shared.contact.deadline(Instant::now(), call.patience);
        let mut attempt = 0;
        loop {
            self.pass_fence(call, deadline).await?;
            let (fault, pause) = match self.attempt(call, deadline).await {
                Ok(bytes) => return Ok(bytes),
                Err(failed) => failed,
            };
            let pause = if again(&fault, call.repeat, attempt) {
                pause.unwrap_or_else(|| backoff(attempt))
            } else {
                return Err(fault);
            };
            if Instant::now() + pause >= deadline {
                return Err(fault);
            }
            attempt += 1;
            if let RequestError::Unreachable(why) | RequestError::Broken(why) = &fault {
                let mut last = self.shared.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(why.clone());
            }
            tracing::debug!(path = %call.path, attempt, ?pause, ?fault, "retrying the request to the API server");
            self.pause(pause).await?;
        }
    }

    /// Whether this may be done only while the run's lease is known to be held.
    fn waits_for_lease(&self, call: &Call) -> bool {
        const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];
        self.fenced && WRITES.contains(&call.wanted.verb)
    }

    async fn pass_fence(&self, call: &Call, deadline: Instant) -> Result<(), RequestError> {
        if !self.waits_for_lease(call) {
            return Ok(());
        }
        let limit = deadline.saturating_duration_since(Instant::now());
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(RequestError::Interrupted),
            passed = self.shared.fence.pass(limit) => if passed { Ok(()) } else {
                let host = &self.shared.host;
                Err(RequestError::Unreachable(format!("the lock could not be renewed: the API server {host} does not respond")))
            },
        }
    }

    /// One attempt; with a failure comes the pause that the server asks for.
    async fn attempt(
        &self,
        call: &Call,
        deadline: Instant,
    ) -> Result<Bytes, (RequestError, Option<Duration>)> {
        let limit = ATTEMPT.min(deadline.saturating_duration_since(Instant::now()));
        // Whoever takes the lock after us must not find our writes arriving among its own.
        let shut = async {
            if self.waits_for_lease(call) {
                self.shared.fence.shut().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let work = async {
            let response = self.exchange(call).await.map_err(|fault| (fault, None))?;
            let (parts, body) = response.into_parts();
            let most = if parts.status.is_success() { call.most } else { REFUSAL };
            let bytes = self.collect(body, most).await.map_err(|fault| (fault, None))?;
            if parts.status.is_success() {
                return Ok(bytes);
            }
            let status = Status::read(parts.status.as_u16(), &bytes);
            let pause = retry_after(&parts.headers, &status);
            Err((RequestError::Status(Box::new(status)), pause))
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err((RequestError::Interrupted, None)),
            result = tokio::time::timeout(limit, work) => result.unwrap_or_else(|_| Err((self.silent(limit), None))),
            () = shut => Err((RequestError::Broken(format!("the lock expired before the API server {} responded", self.shared.host)), None)),
        }
    }

    /// Sends a request whose answer is read bit by bit. It is sent once; a refusal is a fault.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Body, RequestError> {
        let work = async {
            let (parts, body) = self.exchange(call).await?.into_parts();
            if parts.status.is_success() {
                return Ok(body);
            }
            let bytes = self.collect(body, REFUSAL).await?;
            let mut status = Status::read(parts.status.as_u16(), &bytes);
            if let Some(pause) = retry_after(&parts.headers, &status) {
                status.details.retry_after_seconds = pause.as_secs();
            }
            Err(RequestError::Status(Box::new(status)))
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(RequestError::Interrupted),
            result = tokio::time::timeout(ATTEMPT, work) => result.unwrap_or_else(|_| Err(self.silent(ATTEMPT))),
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Response<Body>, RequestError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(ACCEPT, call.accept)
            .header(USER_AGENT, concat!("windlass/", env!("CARGO_PKG_VERSION")));
        let mut body = Body::empty();
        if let Some((content_type, bytes)) = &call.body {
            request = request.header(CONTENT_TYPE, *content_type);
            body = Body::from(bytes.clone());
        }
        let authorization = self.shared.authorization.header(&self.shared.reporter).await;
        let authorization =
            authorization.map_err(|error| RequestError::Credentials(error.message().to_owned()))?;
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|error| {
            RequestError::Broken(format!("the request {} cannot be made: {error}", call.path))
        })?;
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        self.shared.contact.asked(Instant::now());
        tracing::debug!(method = %call.method, path = %call.path, "asked");
        let response = self
            .shared
            .client
            .send(request)
            .await
            .map_err(|error| RequestError::from_transport(error, &self.shared.host))?;
        if let Some(fault) = self.stranger(&response) {
            return Err(fault);
        }
        // What stands between answers so for a server that is away.
        if !response.status().is_server_error() {
            self.shared.contact.heard(Instant::now());
        }
        self.note(call, response.headers());
        Ok(response)
    }

    /// An API server sends no pages, and leads nowhere else: what says who we are must not go there.
    fn stranger(&self, response: &Response<Body>) -> Option<RequestError> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let is_page = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
        let what = if response.status().is_redirection() {
            let to = header(LOCATION).and_then(|to| to.split('?').next()).unwrap_or("nowhere");
            format!("redirects to {to}, which is not followed")
        } else if is_page && response.status().is_success() {
            "sends web pages (text/html)".to_owned()
        } else {
            return None;
        };
        let host = &self.shared.host;
        Some(RequestError::Broken(format!(
            "{host} is not an API server: it {what}; is there a proxy or a login page in between?"
        )))
    }

    /// The whole answer, as far as it may go.
    async fn collect(&self, body: Body, most: usize) -> Result<Bytes, RequestError> {
        match Limited::new(body, most).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(RequestError::TooLong(format!(
                "the response of the API server {} is longer than {} MiB, the limit for it",
                self.shared.host,
                most >> 20
            ))),
            Err(error) => Err(match error.downcast_ref::<kube::Error>() {
                Some(error) => self.broken(error),
                None => RequestError::Broken(error.to_string()),
            }),
        }
    }

    /// What an answer says beside its body: the time, and warnings.
    fn note(&self, call: &Call, headers: &HeaderMap) {
        if let Some(date) = headers.get(DATE).and_then(|date| date.to_str().ok()) {
            self.shared.clock.observe(date, Instant::now());
        }
        // What is about nothing, as a look at every kind that there is, nobody asked for.
        let warnings = headers.get_all(WARNING).iter().filter(|_| !call.about.is_empty());
        for warning in warnings.filter_map(|value| value.to_str().ok()) {
            let sentence = format!("{}: {}", call.about, warning_text(warning));
            let new =
                self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(sentence.clone());
            if new {
                self.shared.reporter.warn(sentence);
            }
        }
    }

    /// Waits, but not past a cancellation.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), RequestError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(RequestError::Interrupted),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    pub(crate) fn broken(&self, error: &kube::Error) -> RequestError {
        match RequestError::from_chain(error, &self.shared.host) {
            RequestError::Unreachable(words) => RequestError::Broken(words),
            other => other,
        }
    }

    pub(crate) fn silent(&self, limit: Duration) -> RequestError {
        RequestError::Broken(format!(
            "the API server {} did not respond within {} s",
            self.shared.host,
            limit.as_secs()
        ))
    }
}

/// Whether to ask again after this.
fn again(fault: &RequestError, repeat: Repeat, attempt: u32) -> bool {
    match fault {
        // The connection was never made: nothing was begun.
        RequestError::Unreachable(_) => true,
        RequestError::Broken(_) => repeat == Repeat::Freely,
        RequestError::Credentials(_) | RequestError::TooLong(_) | RequestError::Interrupted => false,
        RequestError::Status(status) => match status.code {
            // Refused before it was begun.
            429 => true,
            502..=504 => repeat == Repeat::Freely,
            500 => repeat == Repeat::Freely && attempt < INTERNAL_ERRORS,
            // Not a conflict of managers: the object changed between the server's own read and write.
            409 => {
                repeat == Repeat::Freely
                    && status.details.causes.is_empty()
                    && status.message.contains("the object has been modified")
            }
            _ => false,
        },
    }
}

/// The pause before the next attempt.
pub(crate) fn backoff(attempt: u32) -> Duration {
    retry::with_jitter(retry::backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE), 0.25)
}

/// The pause that the server asks for, as far as it is sensible.
fn retry_after(headers: &HeaderMap, status: &Status) -> Option<Duration> {
    const MOST: u64 = 30;
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let seconds = header.or(Some(status.details.retry_after_seconds).filter(|seconds| *seconds > 0))?;
    Some(Duration::from_secs(seconds.min(MOST)))
}

/// The text of `299 - "text"`, in which quotes are escaped.
fn warning_text(header: &str) -> String {
    let quoted = header.split_once('"').map_or(header, |(_, rest)| rest.strip_suffix('"').unwrap_or(rest));
    quoted.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> RequestError {
        RequestError::Status(Box::new(Status { code, message: message.into(), ..Status::default() }))
    }

    #[test]
    fn only_what_cannot_do_harm_is_repeated() {
        let broken = RequestError::Broken("reset".into());
        assert!(again(&broken, Repeat::Freely, 0));
        assert!(!again(&broken, Repeat::WhenUntouched, 0));
        assert!(again(&refused(429, ""), Repeat::WhenUntouched, 0));
        assert!(!again(&refused(503, ""), Repeat::WhenUntouched, 0));
        assert!(again(&refused(500, "failed calling webhook"), Repeat::Freely, 1));
        assert!(!again(&refused(500, "failed calling webhook"), Repeat::Freely, 2));
        assert!(!again(&refused(409, "conflict with \"kubectl\""), Repeat::Freely, 0));
        assert!(!again(&refused(422, ""), Repeat::Freely, 0));
    }

    /// What comes of one request to a server that answers this.
    async fn fault_of(answer: wiremock::ResponseTemplate) -> String {
        let server = wiremock::MockServer::start().await;
        wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
        let session = Session::new(Reporter::silent());
        let cluster = crate::cluster::Cluster::at(&server.uri(), "shop", &session).await;
        let call = Call { most: 2 << 20, ..Call::get("/api/v1/pods".to_owned(), RequestInfo::default()) };
        format!("{:?}", cluster.transport.once(&call).await.expect_err("a fault"))
    }

    #[tokio::test]
    async fn an_api_server_sends_no_pages_leads_nowhere_and_comes_to_an_end() {
        let page = wiremock::ResponseTemplate::new(200).set_body_raw("<html>hotel</html>", "text/html");
        let fault = fault_of(page).await;
        assert!(fault.starts_with("Broken") && fault.contains("sends web pages"), "{fault}");
        let login = wiremock::MockServer::start().await;
        let away = format!("{}/login?token=s3cret", login.uri());
        let fault = fault_of(wiremock::ResponseTemplate::new(302).insert_header("location", &*away)).await;
        assert!(fault.contains("/login, which is not followed") && !fault.contains("s3cret"), "{fault}");
        assert_eq!(login.received_requests().await.expect("requests").len(), 0);
        let long = wiremock::ResponseTemplate::new(200).set_body_bytes(vec![b' '; (2 << 20) + 1]);
        let fault = fault_of(long).await;
        assert!(fault.starts_with("TooLong") && fault.contains("longer than 2 MiB"), "{fault}");
        assert!(!again(&RequestError::TooLong(String::new()), Repeat::Freely, 0));
        let refused = wiremock::ResponseTemplate::new(403).set_body_bytes(vec![b' '; REFUSAL + 1]);
        assert!(fault_of(refused).await.starts_with("TooLong"));
    }

    #[test]
    fn warnings_are_read() {
        assert_eq!(warning_text(r#"299 - "unknown field \"spec.x\"""#), "unknown field \"spec.x\"");
    }
}
