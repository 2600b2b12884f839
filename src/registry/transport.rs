//! One HTTP request to a registry: the right scheme and CAs, credentials when asked for, retries by class.
//!
//! Why not a ready client: `oci-client` asks `GET /v2/` before each first request, hides `Retry-After` and the
//! `OCI-Subject` header, and knows no identity tokens. A look-up here is one request (a token exchange apart),
//! which is what makes a build of unchanged content cheap.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::challenge::{self, Bearer, Challenge};
use super::credentials::{Credentials, Keychain};
use crate::error::{Error, Kind, Result};

/// Tries of one request, the first one included.
const TRIES: u32 = 5;
/// Longest wait between two tries that a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// How the registry is reached.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    /// The host that is asked by plain HTTP although it is not this machine.
    pub insecure: Option<String>,
    /// A file of further certificate authorities in PEM.
    pub ca: Option<PathBuf>,
}

/// What is asked of a registry.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub(super) host: &'a str,
    pub(super) repository: &'a str,
    pub(super) method: Method,
    /// Below `/v2/<repository>/`, or from the host's root, or a whole address that the registry gave.
    pub(super) path: String,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) body: Bytes,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The connections to every registry of a run.
pub(super) struct Transport {
    settings: RegistrySettings,
    keychain: Keychain,
    hosts: Mutex<HashMap<String, Host>>,
}

/// What is known of one registry.
#[derive(Clone)]
struct Host {
    client: reqwest::Client,
    scheme: &'static str,
    /// By repository and right (`pull`, `pull,push`).
    passes: HashMap<(String, &'static str), Pass>,
}

#[derive(Clone)]
enum Pass {
    Basic(Credentials),
    Token(SecretString),
}

/// Why a try ended without a usable answer.
enum Trouble {
    /// Not worth another try.
    Final(Error),
    /// Worth another try, at the earliest after this time.
    Passing(Error, Option<Duration>),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Transport {
    pub(super) fn new(settings: RegistrySettings, keychain: Keychain) -> Self {
        // Two TLS providers in one program make rustls panic; ring is the house's, whoever comes first sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { settings, keychain, hosts: Mutex::default() }
    }

    pub(super) fn keychain(&self) -> &Keychain {
        &self.keychain
    }

    /// Asks, with retries for what passes by itself (408, 429, 5xx, broken connections).
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(error, _)) if tries >= TRIES => return Err(error),
                Err(Trouble::Passing(error, wait)) => {
                    tracing::debug!(%error, tries, "trying again");
                    tokio::time::sleep(wait.unwrap_or_else(|| backoff(tries)).min(LONGEST_WAIT)).await;
                }
            }
        }
    }

    /// One try: at most three requests (as we are, after a challenge, with credentials read anew).
    async fn once(&self, ask: &Ask<'_>) -> Result<Answer, Trouble> {
        let right = if matches!(ask.method, Method::GET | Method::HEAD) { "pull" } else { "pull,push" };
        let slot = (ask.repository.to_owned(), right);
        let mut host = self.host(ask.host).await?;
        let mut answer = self.exchange(&mut host, ask, &slot).await?;
        for _ in 0..2 {
            if answer.status != StatusCode::UNAUTHORIZED {
                break;
            }
            let offered = answer.headers.get_all(header::WWW_AUTHENTICATE);
            let Some(challenge) = challenge::parse(offered.iter().filter_map(|value| value.to_str().ok()))
            else {
                break;
            };
            let before = host.passes.remove(&slot);
            let credentials = self.keychain.find(ask.host).await?;
            let pass = match challenge {
                Challenge::Basic => match (credentials, before) {
                    (Some(new), Some(Pass::Basic(old))) if same(&new, &old) => break,
                    (Some(credentials), _) => Pass::Basic(credentials),
                    (None, _) => break,
                },
                Challenge::Bearer(bearer) => {
                    Pass::Token(self.token(&host, ask, &bearer, right, credentials.as_ref()).await?)
                }
            };
            host.passes.insert(slot.clone(), pass);
            answer = self.exchange(&mut host, ask, &slot).await?;
        }
        self.hosts.lock().await.insert(ask.host.to_owned(), host);
        self.judge(ask, answer).await
    }

    fn is_insecure(&self, host: &str) -> bool {
        self.settings.insecure.as_deref() == Some(host)
    }

    async fn host(&self, name: &str) -> Result<Host> {
        if let Some(host) = self.hosts.lock().await.get(name) {
            return Ok(host.clone());
        }
        let certificates = self.certificates(name)?;
        let plain = self.is_insecure(name) || (is_loopback(name) && certificates.is_empty());
        let scheme = if plain { "http" } else { "https" };
        let host = Host { client: client(certificates)?, scheme, passes: HashMap::new() };
        self.hosts.lock().await.insert(name.to_owned(), host.clone());
        Ok(host)
    }

    /// The further authorities for this host: `ca:` of the configuration, and Docker's `certs.d`.
    fn certificates(&self, host: &str) -> Result<Vec<reqwest::Certificate>> {
        let mut files: Vec<PathBuf> = self.settings.ca.clone().into_iter().collect();
        let mut directories = vec![PathBuf::from("/etc/docker/certs.d")];
        directories.extend(std::env::home_dir().map(|home| home.join(".config/docker/certs.d")));
        for directory in directories {
            let Ok(entries) = std::fs::read_dir(directory.join(host)) else { continue };
            let found = entries.filter_map(|entry| Some(entry.ok()?.path()));
            files.extend(found.filter(|path| path.extension().is_some_and(|extension| extension == "crt")));
        }
        let mut certificates = Vec::new();
        for file in files {
            let unreadable = |why: String| {
                Error::new(
                    Kind::Invalid,
                    format!("the certificate authorities in {} cannot be used: {why}", file.display()),
                )
                .hint("the file must hold certificates in PEM")
            };
            let pem = std::fs::read(&file).map_err(|error| unreadable(error.to_string()))?;
            let bundle =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?;
            certificates.extend(bundle);
        }
        Ok(certificates)
    }

    /// Sends the request once, and once more over TLS where this machine's own port turns out to speak TLS.
    async fn exchange(
        &self,
        host: &mut Host,
        ask: &Ask<'_>,
        slot: &(String, &'static str),
    ) -> Result<Answer, Trouble> {
        let pass = host.passes.get(slot);
        let answer = request(host, ask, pass).await;
        let tls = host.scheme == "http" && !self.is_insecure(ask.host);
        match answer {
            Ok(answer)
                if tls
                    && answer.status == StatusCode::BAD_REQUEST
                    && !answer.headers.contains_key("docker-distribution-api-version") =>
            {
                host.scheme = "https";
                request(host, ask, pass).await
            }
            other => other,
        }
    }

    /// Exchanges credentials (or none) for a token.
    async fn token(
        &self,
        host: &Host,
        ask: &Ask<'_>,
        bearer: &Bearer,
        right: &str,
        credentials: Option<&Credentials>,
    ) -> Result<SecretString, Trouble> {
        let own = (!ask.repository.is_empty()).then(|| format!("repository:{}:{right}", ask.repository));
        let scope = bearer.scope.clone().or(own);
        let mut query: Vec<(&str, &str)> =
            scope.as_deref().map(|scope| ("scope", scope)).into_iter().collect();
        query.extend(bearer.service.as_deref().map(|service| ("service", service)));
        let refresh = credentials.and_then(|credentials| credentials.identity_token.as_ref());
        let request = if let Some(refresh) = refresh {
            query.extend([
                ("grant_type", "refresh_token"),
                ("client_id", "windlass"),
                ("refresh_token", refresh.expose_secret()),
            ]);
            let form = encode(&query);
            host.client
                .post(&bearer.realm)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form)
        } else {
            let mark = if bearer.realm.contains('?') { '&' } else { '?' };
            let request = host.client.get(format!("{}{mark}{}", bearer.realm, encode(&query)));
            match credentials {
                Some(known) => request.basic_auth(&known.username, Some(known.password.expose_secret())),
                None => request,
            }
        };
        let answer = collect(request, ask.host).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)
        {
            return Err(denied(ask.host, "the token server", credentials).into());
        }
        if !answer.status.is_success() {
            return Err(passing(ask.host, &answer));
        }
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = body["token"].as_str().or(body["access_token"].as_str());
        token.map(|token| SecretString::from(token.to_owned())).ok_or_else(|| {
            Trouble::Final(Error::new(
                Kind::Unreachable,
                format!("the token server of {} sent no token", ask.host),
            ))
        })
    }

    /// Sorts the answer: usable (2xx, 404 and what callers look at themselves), refused, or worth another try.
    async fn judge(&self, ask: &Ask<'_>, answer: Answer) -> Result<Answer, Trouble> {
        let host = ask.host;
        match answer.status.as_u16() {
            401 | 403 => {
                let credentials = self.keychain.find(host).await?;
                let what = if ask.method == Method::HEAD || ask.method == Method::GET {
                    "reading"
                } else {
                    "writing"
                };
                Err(denied(host, &format!("{what} `{}`", ask.repository), credentials.as_ref()).into())
            }
            408 | 429 | 500..=599 => Err(passing(host, &answer)),
            _ => Ok(answer),
        }
    }
}

fn same(one: &Credentials, other: &Credentials) -> bool {
    one.username == other.username && one.password.expose_secret() == other.password.expose_secret()
}

fn client(certificates: Vec<reqwest::Certificate>) -> Result<reqwest::Client> {
    let builder = || {
        reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
    };
    // A machine without any system CA (an image made from scratch) can still use the authorities it was given.
    builder()
        .tls_certs_merge(certificates.clone())
        .build()
        .or_else(|_| builder().tls_certs_only(certificates).build())
        .map_err(|error| Error::new(Kind::Unreachable, format!("TLS cannot be set up: {error}")))
}

async fn request(host: &Host, ask: &Ask<'_>, pass: Option<&Pass>) -> Result<Answer, Trouble> {
    let address = if ask.path.starts_with("http://") || ask.path.starts_with("https://") {
        ask.path.clone()
    } else if ask.path.starts_with('/') {
        format!("{}://{}{}", host.scheme, endpoint(ask.host), ask.path)
    } else {
        format!("{}://{}/v2/{}/{}", host.scheme, endpoint(ask.host), ask.repository, ask.path)
    };
    let mut request = host.client.request(ask.method.clone(), address);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    request = match pass {
        Some(Pass::Basic(known)) => request.basic_auth(&known.username, Some(known.password.expose_secret())),
        Some(Pass::Token(token)) => request.bearer_auth(token.expose_secret()),
        None => request,
    };
    collect(request.body(ask.body.clone()), ask.host).await
}

async fn collect(request: reqwest::RequestBuilder, host: &str) -> Result<Answer, Trouble> {
    let response = request.send().await.map_err(|error| broken(host, &error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.map_err(|error| broken(host, &error))?;
    Ok(Answer { status, headers, body })
}

/// The innermost reason: reqwest's own sentence hides it.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn broken(host: &str, error: &reqwest::Error) -> Trouble {
    let why = if error.is_timeout() { "no answer in time".to_owned() } else { reason(error) };
    let refused = Error::new(Kind::Unreachable, format!("the registry {host} cannot be reached: {why}"));
    if why.contains("certificate") {
        return Trouble::Final(refused.hint(format!(
            "name its certificate authority with `ca:` in windlass.yaml, or put it into /etc/docker/certs.d/{host}/ca.crt"
        )));
    }
    if error.is_builder() {
        return Trouble::Final(refused);
    }
    let hint = if why.contains("InvalidContentType") || why.contains("corrupt message") {
        "it speaks plain HTTP: set `insecure: true` in windlass.yaml if that is meant"
    } else {
        "check the name in `registry:`, the network and the proxy variables"
    };
    let wait = error.is_connect().then_some(Duration::from_millis(300));
    Trouble::Passing(refused.hint(hint), wait)
}

fn passing(host: &str, answer: &Answer) -> Trouble {
    let after =
        answer.header("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    let said = message(&answer.body).map(|said| format!(": {said}")).unwrap_or_default();
    let error =
        Error::new(Kind::Unreachable, format!("the registry {host} answered {}{said}", answer.status));
    Trouble::Passing(error, after)
}

/// The first sentence of an error document of the distribution specification.
pub(super) fn message(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = body["errors"].get(0)?;
    let text = first["message"].as_str().filter(|text| !text.is_empty()).or(first["code"].as_str())?;
    Some(text.to_owned())
}

fn denied(host: &str, what: &str, credentials: Option<&Credentials>) -> Error {
    let (who, hint) = match credentials {
        Some(known) => (
            format!("user `{}` from {}", known.username, known.source),
            format!("check that password, or run `docker login {host}`"),
        ),
        None => (
            "without credentials: none were found".to_owned(),
            format!("run `docker login {host}`, or set DOCKER_AUTH_CONFIG"),
        ),
    };
    Error::new(Kind::Denied, format!("the registry {host} refused {what} ({who})")).hint(hint)
}

fn backoff(tries: u32) -> Duration {
    // Half fixed, half by the clock's last digits: two jobs that failed together do not come back together.
    let base = Duration::from_millis(500 << tries.min(5));
    let jitter = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos() % 1000);
    base / 2 + base.mul_f64(f64::from(jitter) / 2000.0)
}

fn encode(query: &[(&str, &str)]) -> String {
    let part = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            use std::fmt::Write as _;
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(byte));
                }
                other => write!(out, "%{other:02X}").expect("writing to a string cannot fail"),
            }
            out
        })
    };
    query.iter().map(|(name, value)| format!("{name}={}", part(value))).collect::<Vec<_>>().join("&")
}

/// Docker Hub's API does not live under the name that its images have.
fn endpoint(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

/// Is this host this machine, for which plain HTTP is the rule (contract, section 8)?
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        assert!(is_loopback("127.0.0.1:5000") && is_loopback("127.8.8.8") && is_loopback("localhost:1"));
        assert!(!is_loopback("128.0.0.1:5000") && !is_loopback("localhost.example.com"));
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(
            encode(&[("scope", "repository:a/b:pull,push")]),
            "scope=repository%3Aa%2Fb%3Apull%2Cpush"
        );
    }

    #[test]
    fn the_registry_s_own_words_are_found() {
        assert_eq!(message(br#"{"errors":[{"code":"DENIED","message":""}]}"#).unwrap(), "DENIED");
        assert_eq!(message(b"<html>"), None);
    }
}
