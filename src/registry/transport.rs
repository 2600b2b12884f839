//! One HTTP request to a registry: the right scheme and CAs, credentials when asked for, retries by class.
//!
//! Why not a ready client: `oci-client` asks `GET /v2/` before each first request, hides `Retry-After` and the
//! `OCI-Subject` header, and knows no identity tokens. A look-up here is one request (a token exchange apart),
//! which is what makes a build of unchanged content cheap.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::challenge::{self, Bearer, Challenge};
use super::credentials::Keychain;
use crate::error::{Error, Kind, Result, innermost};
use crate::http::retry;
use crate::model::Credentials;
use crate::project::Project;

/// Tries of one request, the first one included.
const TRIES: u32 = 5;
/// The first pause between two tries, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// Longest wait between two tries that a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of the answer of a token server.
const TOKEN: usize = 1 << 20;
/// Bytes of an answer that is no success: enough for a sentence that says why.
const WORDS: usize = 64 << 10;
/// All that a query value may not have: a token server may read a form.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Redirects that one request follows.
const REDIRECTS: u32 = 10;

/// How the registry is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegistrySettings {
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
    /// Bytes that a good answer may have.
    pub(super) most: usize,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The origin that answered, where a redirect led to another one.
    elsewhere: Option<String>,
}

impl RegistrySettings {
    /// Those of `windlass.yaml`.
    pub(crate) fn of(project: &Project) -> Self {
        let config = &project.config;
        let ca = config.ca.as_ref().map(|file| project.root.join(file));
        // `insecure` is about the project's own registry: to no other host are credentials sent in the clear.
        let host = project.registry.as_deref().and_then(|registry| registry.split('/').next());
        let insecure = host.filter(|_| config.insecure).map(str::to_owned);
        Self { insecure, ca }
    }
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the registry itself refused. A token server that refuses is an error before that.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    /// Whether a refusal may only mean that there is no such repository yet: so answer registries that tell nobody which
    /// repositories they have. One that wants a password does not know us at all.
    pub(super) fn may_hide_nothing(&self) -> bool {
        match self.status {
            StatusCode::FORBIDDEN => true,
            StatusCode::UNAUTHORIZED => matches!(self.challenge(), Some(Challenge::Bearer(_))),
            _ => false,
        }
    }

    fn challenge(&self) -> Option<Challenge> {
        let offered = self.headers.get_all(header::WWW_AUTHENTICATE);
        challenge::parse(offered.iter().filter_map(|value| value.to_str().ok()))
    }

    /// Whether it is a page for people. Quay sends some of its answers as `text/html`, beside headers of a registry.
    fn is_page(&self) -> bool {
        let is_html = self.header("content-type").is_some_and(|kind| {
            kind.trim_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case("text/html"))
        });
        let mut names = self.headers.keys().map(header::HeaderName::as_str);
        let knows_images = names.any(|name| name.starts_with("docker-") || name.starts_with("oci-"));
        self.status == StatusCode::OK && is_html && !knows_images
    }

    /// The address that it leads to instead.
    fn leads_to(&self, from: &Url) -> Option<Url> {
        let redirects = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        from.join(self.header("location").filter(|_| redirects)?).ok()
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
enum TransportError {
    /// Not worth another try.
    Final(Error),
    /// Worth another try, at the earliest after this time.
    Passing(Error, Option<Duration>),
}

/// A registry, or its token server, answered, and does not do what it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the registry refused")
    }
}

impl std::error::Error for Refused {}

impl From<Error> for TransportError {
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

    /// Asks, with retries for what passes by itself (408, 429, 5xx, broken connections). A refusal is an error.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response> {
        let answer = self.send_refusable(ask).await?;
        if answer.is_refusal() { Err(self.refusal(ask).await?) } else { Ok(answer) }
    }

    /// As [`Transport::send`], without another try.
    pub(super) async fn send_once(&self, ask: &Ask<'_>) -> Result<Response> {
        match self.once(ask).await {
            Ok(answer) if answer.is_refusal() => Err(self.refusal(ask).await?),
            Ok(answer) => Ok(answer),
            Err(TransportError::Final(error) | TransportError::Passing(error, _)) => Err(error),
        }
    }

    /// As [`Transport::send`], for callers that look at a refusal themselves.
    pub(super) async fn send_refusable(&self, ask: &Ask<'_>) -> Result<Response> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(TransportError::Final(error)) => return Err(error),
                Err(TransportError::Passing(error, _)) if tries >= TRIES => return Err(error),
                Err(TransportError::Passing(error, wait)) => {
                    tracing::debug!(%error, tries, "trying again");
                    tokio::time::sleep(wait.unwrap_or_else(|| backoff(tries)).min(LONGEST_WAIT)).await;
                }
            }
        }
    }

    /// The error of a registry that refused this.
    pub(super) async fn refusal(&self, ask: &Ask<'_>) -> Result<Error> {
        let credentials = self.keychain.find(ask.host).await?;
        let what = if is_read(&ask.method) { "reading" } else { "writing" };
        Ok(denied(ask.host, &format!("{what} `{}`", ask.repository), credentials.as_ref()))
    }

    /// One try: at most three requests (as we are, after a challenge, with credentials read anew).
    async fn once(&self, ask: &Ask<'_>) -> Result<Response, TransportError> {
        let right = if is_read(&ask.method) { "pull" } else { "pull,push" };
        let slot = (ask.repository.to_owned(), right);
        let mut host = self.host(ask.host).await?;
        let mut answer = self.exchange(&mut host, ask, &slot).await?;
        for _ in 0..2 {
            // Who asks for credentials after a redirect is not the registry that they are for.
            if answer.status != StatusCode::UNAUTHORIZED || answer.elsewhere.is_some() {
                break;
            }
            let Some(challenge) = answer.challenge() else { break };
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
        self.learn(ask.host, host, slot).await;
        judge(ask.host, answer)
    }

    /// Remembers what an exchange came to, and no more: others, of other repositories, are under way.
    async fn learn(&self, name: &str, mut host: Host, slot: (String, &'static str)) {
        let mut hosts = self.hosts.lock().await;
        let Some(known) = hosts.get_mut(name) else { return drop(hosts.insert(name.to_owned(), host)) };
        known.scheme = host.scheme;
        match host.passes.remove(&slot) {
            Some(pass) => drop(known.passes.insert(slot, pass)),
            None => drop(known.passes.remove(&slot)),
        }
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
                .with_hint("the file must hold certificates in PEM")
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
    ) -> Result<Response, TransportError> {
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
                match request(host, ask, pass).await {
                    // No port that speaks TLS: what it said is its answer. A certificate that is not trusted is final.
                    Err(TransportError::Passing(..)) => {
                        host.scheme = "http";
                        Ok(answer)
                    }
                    secure => secure,
                }
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
    ) -> Result<SecretString, TransportError> {
        let realm = realm(host, ask.host, &bearer.realm, self.is_insecure(ask.host))?;
        let own = (!ask.repository.is_empty()).then(|| format!("repository:{}:{right}", ask.repository));
        let scope = bearer.scope.clone().or(own);
        let scope = scope.as_deref().map(|scope| ("scope", scope));
        let service = bearer.service.as_deref().map(|service| ("service", service));
        let query: Vec<(&str, &str)> = scope.into_iter().chain(service).collect();
        let refresh = credentials.and_then(|credentials| credentials.identity_token.as_ref());
        let answer = match refresh {
            Some(refresh) => refreshed(&host.client, &realm, ask.host, query, refresh).await?,
            None => granted(&host.client, &realm, ask.host, &query, credentials).await?,
        };
        if answer.elsewhere.is_some() || answer.leads_to(&realm).is_some() || answer.is_page() {
            return Err(TransportError::Final(no_token_server(ask.host, &realm, &answer)));
        }
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)
        {
            return Err(denied(ask.host, "the token server", credentials).into());
        }
        if answer.status.is_client_error() && !passes(answer.status) {
            let said = message(&answer.body).map(|said| format!(": {said}")).unwrap_or_default();
            let words = format!("the token server of {} answered {}{said}", ask.host, answer.status);
            return Err(TransportError::Final(Error::new(Kind::Denied, words).with_source(Refused)));
        }
        if !answer.status.is_success() {
            return Err(passing(ask.host, &answer));
        }
        let none =
            || Error::new(Kind::Unreachable, format!("the token server of {} sent no token", ask.host));
        Ok(token_in(&answer.body).ok_or_else(none)?)
    }
}

/// A token server's answer to an identity token.
async fn refreshed(
    client: &reqwest::Client,
    realm: &Url,
    host: &str,
    mut query: Vec<(&str, &str)>,
    identity: &SecretString,
) -> Result<Response, TransportError> {
    query.extend([
        ("grant_type", "refresh_token"),
        ("client_id", "windlass"),
        ("refresh_token", identity.expose_secret()),
    ]);
    let form = client.post(realm.clone()).body(encode(&query));
    let form = form.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    collect(form, host, TOKEN).await
}

/// A token server's answer to a user and a password, or to nobody.
async fn granted(
    client: &reqwest::Client,
    realm: &Url,
    host: &str,
    query: &[(&str, &str)],
    credentials: Option<&Credentials>,
) -> Result<Response, TransportError> {
    let mut address = realm.clone();
    let before = address.query().map(|query| format!("{query}&")).unwrap_or_default();
    address.set_query(Some(&format!("{before}{}", encode(query))));
    let dress = |request: reqwest::RequestBuilder, is_home: bool| match credentials {
        Some(known) if is_home => request.basic_auth(&known.username, Some(known.password.expose_secret())),
        _ => request,
    };
    follow(client, &Method::GET, (address, realm), (host, TOKEN), dress).await
}

fn token_in(body: &[u8]) -> Option<SecretString> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let token = body["token"].as_str().or(body["access_token"].as_str())?;
    Some(SecretString::from(token.to_owned()))
}

/// Sorts the answer: usable (2xx, 404 and what callers look at themselves), no registry's, or worth another try.
fn judge(host: &str, answer: Response) -> Result<Response, TransportError> {
    if passes(answer.status) {
        return Err(passing(host, &answer));
    }
    if answer.is_page() { Err(TransportError::Final(no_registry(host, &answer))) } else { Ok(answer) }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether what a server answers may pass by itself: it is late, busy, or broken.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502..=599)
}

fn same(one: &Credentials, other: &Credentials) -> bool {
    one.username == other.username && one.password.expose_secret() == other.password.expose_secret()
}

fn client(certificates: Vec<reqwest::Certificate>) -> Result<reqwest::Client> {
    let builder = || {
        reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            // Which redirect is followed, and with what, depends on what is asked: see `follow`.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
    };
    // A machine without any system CA (an image made from scratch) can still use the authorities it was given.
    builder()
        .tls_certs_merge(certificates.clone())
        .build()
        .or_else(|_| builder().tls_certs_only(certificates).build())
        .map_err(|error| Error::new(Kind::Unreachable, format!("TLS cannot be set up: {error}")))
}

async fn request(host: &Host, ask: &Ask<'_>, pass: Option<&Pass>) -> Result<Response, TransportError> {
    let root = format!("{}://{}", host.scheme, endpoint(ask.host));
    let address = if ask.path.starts_with("http://") || ask.path.starts_with("https://") {
        ask.path.clone()
    } else if ask.path.starts_with('/') {
        format!("{root}{}", ask.path)
    } else {
        format!("{root}/v2/{}/{}", ask.repository, ask.path)
    };
    let dress = |mut request: reqwest::RequestBuilder, is_home: bool| {
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request.body(ask.body.clone());
        match pass.filter(|_| is_home) {
            Some(Pass::Basic(known)) => {
                request.basic_auth(&known.username, Some(known.password.expose_secret()))
            }
            Some(Pass::Token(token)) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    };
    let (address, home) = (parse(ask.host, &address)?, parse(ask.host, &root)?);
    follow(&host.client, &ask.method, (address, &home), (ask.host, ask.most), dress).await
}

fn parse(host: &str, address: &str) -> Result<Url, Error> {
    let wrong = |error| {
        Error::new(Kind::Unreachable, format!("the registry {host} returned an invalid address: {error}"))
    };
    address.parse().map_err(wrong)
}

/// Sends a request and follows its redirects: those of a look to wherever they lead (blobs lie with others), those of a
/// write within the origin. `dress` is told whether a request goes to the origin of `home`: what says who we are goes
/// nowhere else. From HTTPS nothing leads to plain HTTP.
async fn follow(
    client: &reqwest::Client,
    method: &Method,
    (mut address, home): (Url, &Url),
    (host, most): (&str, usize),
    dress: impl Fn(reqwest::RequestBuilder, bool) -> reqwest::RequestBuilder,
) -> Result<Response, TransportError> {
    for _ in 0..=REDIRECTS {
        if home.scheme() == "https" && address.scheme() != "https" {
            return Err(TransportError::Final(without_tls(host, &address)));
        }
        let is_home = address.origin() == home.origin();
        let request = dress(client.request(method.clone(), address.clone()), is_home);
        let mut answer = collect(request, host, most).await?;
        answer.elsewhere = (!is_home).then(|| address.origin().ascii_serialization());
        let may_follow = |next: &Url| {
            is_read(method) || (matches!(answer.status.as_u16(), 307 | 308) && next.origin() == home.origin())
        };
        match answer.leads_to(&address).filter(may_follow) {
            Some(next) => address = next,
            None => return Ok(answer),
        }
    }
    let message = format!("the registry {host} redirects more than {REDIRECTS} times");
    Err(TransportError::Final(Error::new(Kind::Unreachable, message).with_hint(BETWEEN)))
}

/// What to look for where somebody else answers than the server that is meant.
pub(super) const BETWEEN: &str =
    "check `registry:` in windlass.yaml, and that no proxy or login page is in between";

fn without_tls(host: &str, address: &Url) -> Error {
    let to = address.origin().ascii_serialization();
    let message =
        format!("the registry {host} redirects from HTTPS to {to} without TLS, which is not followed");
    Error::new(Kind::Denied, message).with_hint(
        "behind a proxy the registry must know that clients use HTTPS (`X-Forwarded-Proto`, `relativeurls`)",
    )
}

fn no_registry(host: &str, answer: &Response) -> Error {
    let by = answer.elsewhere.as_ref().map(|origin| format!(", by way of {origin}")).unwrap_or_default();
    let message = format!("{host} is not a registry: it sent a web page (text/html){by}");
    Error::new(Kind::Unreachable, message).with_hint(BETWEEN)
}

fn no_token_server(host: &str, realm: &Url, answer: &Response) -> Error {
    let realm_origin = realm.origin().ascii_serialization();
    let leads = answer.leads_to(realm).map(|next| next.origin().ascii_serialization());
    let what = match answer.elsewhere.as_ref().or(leads.as_ref()) {
        Some(origin) => format!("redirects to {origin}, and credentials are not sent there"),
        None => "sent a web page (text/html) instead of a token".to_owned(),
    };
    let message = format!("the token server {realm_origin} of the registry {host} {what}");
    Error::new(Kind::Unreachable, message).with_hint(BETWEEN)
}

/// The token server that a registry names: one with TLS. A registry on this machine may name one here without; to one that
/// is `insecure`, and so to its token server, credentials go in the clear because the configuration says so.
fn realm(host: &Host, name: &str, realm: &str, insecure: bool) -> Result<Url, Error> {
    let mut address = parse(name, realm)?;
    address.set_fragment(None);
    let is_here = is_loopback(name) && address.host_str().is_some_and(is_loopback);
    match address.scheme() {
        "https" => Ok(address),
        "http" if host.scheme == "http" && (insecure || is_here) => Ok(address),
        _ => {
            let to = address.origin().ascii_serialization();
            let message = format!(
                "the registry {name} names a token server without TLS, {to}: no credentials are sent there"
            );
            Err(Error::new(Kind::Denied, message)
                .with_hint("the registry must name its token server (`realm`) by an https:// address"))
        }
    }
}

/// Reads the answer, as far as it may go.
async fn collect(
    request: reqwest::RequestBuilder,
    host: &str,
    most: usize,
) -> Result<Response, TransportError> {
    let mut response = request.send().await.map_err(|error| broken(host, &error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let most = if status.is_success() { most } else { WORDS };
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| broken(host, &error))? {
        if body.len() + piece.len() > most {
            if status.is_success() {
                return Err(TransportError::Final(too_long(host, most)));
            }
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response { status, headers, body: body.freeze(), elsewhere: None })
}

fn too_long(host: &str, most: usize) -> Error {
    let message =
        format!("the registry {host} sent an answer of more than {} MiB, the limit for it", most >> 20);
    Error::new(Kind::Unreachable, message).with_hint(BETWEEN)
}

fn broken(host: &str, error: &reqwest::Error) -> TransportError {
    let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
    let refused = Error::new(Kind::Unreachable, format!("the registry {host} cannot be reached: {why}"));
    if why.contains("certificate") {
        return TransportError::Final(refused.with_hint(format!(
            "name its certificate authority with `ca:` in windlass.yaml, or put it into /etc/docker/certs.d/{host}/ca.crt"
        )));
    }
    if error.is_builder() {
        return TransportError::Final(refused);
    }
    let hint = if why.contains("InvalidContentType") || why.contains("corrupt message") {
        "it speaks plain HTTP: set `insecure: true` in windlass.yaml if that is meant"
    } else {
        "check the name in `registry:`, the network and the proxy variables"
    };
    let wait = error.is_connect().then_some(Duration::from_millis(300));
    TransportError::Passing(refused.with_hint(hint), wait)
}

fn passing(host: &str, answer: &Response) -> TransportError {
    let after =
        answer.header("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    let said = message(&answer.body).map(|said| format!(": {said}")).unwrap_or_default();
    let error =
        Error::new(Kind::Unreachable, format!("the registry {host} answered {}{said}", answer.status));
    TransportError::Passing(error, after)
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
    Error::new(Kind::Denied, format!("the registry {host} refused {what} ({who})"))
        .with_source(Refused)
        .with_hint(hint)
}

/// The pause after so many tries, at least one.
fn backoff(tries: u32) -> Duration {
    retry::with_jitter(retry::backoff(tries - 1, FIRST_PAUSE, LONGEST_PAUSE), 0.5)
}

/// A query, or a form, of these names and values.
fn encode(query: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, RESERVED));
    query.iter().map(part).collect::<Vec<_>>().join("&")
}

/// Docker Hub's API does not live under the name that its images have.
fn endpoint(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

/// Is this host this machine, for which plain HTTP is the rule (contract, section 8)?
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(name, _)| name);
    name == "localhost"
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        assert!(is_loopback("[::1]:5000") && is_loopback("[::1]") && !is_loopback("[::2]:1"));
        assert!(is_loopback("127.0.0.1:5000") && is_loopback("127.8.8.8") && is_loopback("localhost:1"));
        assert!(!is_loopback("128.0.0.1:5000") && !is_loopback("localhost.example.com"));
    }

    #[test]
    fn a_token_server_has_tls_but_where_plain_http_is_the_rule() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = client(Vec::new()).unwrap();
        let named = |scheme, name, address, insecure| {
            let host = Host { client: client.clone(), scheme, passes: HashMap::new() };
            realm(&host, name, address, insecure).is_ok()
        };
        assert!(named("https", "r.test", "https://auth.test/token", false));
        assert!(!named("https", "r.test", "http://r.test/token", false));
        assert!(!named("https", "r.test", "http://r.test/token", true), "it turned out to have TLS");
        assert!(named("http", "127.0.0.1:5000", "http://localhost:5001/token", false));
        assert!(named("http", "127.0.0.1:5000", "https://auth.test/token", false));
        assert!(!named("http", "127.0.0.1:5000", "http://auth.test/token", false));
        assert!(named("http", "r.test:5000", "http://auth.test/token", true));
        for none in ["", "token", "ftp://auth.test/token", "javascript:x", "http://"] {
            assert!(!named("http", "127.0.0.1:5000", none, false), "{none}");
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(
            encode(&[("scope", "repository:a/b:pull,push")]),
            "scope=repository%3Aa%2Fb%3Apull%2Cpush"
        );
        assert_eq!(encode(&[("a", "-_.~ +"), ("b", "\u{e9}&")]), "a=-_.~%20%2B&b=%C3%A9%26");
    }

    #[test]
    fn the_registry_s_own_words_are_found() {
        assert_eq!(message(br#"{"errors":[{"code":"DENIED","message":""}]}"#).unwrap(), "DENIED");
        assert_eq!(message(b"<html>"), None);
    }
}
