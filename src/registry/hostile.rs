//! Registries that are none, that lead elsewhere, that want credentials for others, and that never come to an end.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use wiremock::matchers::{any, method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::http::fountain;

const HTML: &str = "<html>hotel</html>";

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls")).join(name)
}

/// A registry with a password for this host, and with a refresh token for it where one is given.
fn known_at(host: &str, refresh: &str, ca: Option<PathBuf>) -> Registry {
    let auth = base64::engine::general_purpose::STANDARD.encode("me:s3cret");
    let config = json!({"auths": {host: {"auth": auth, "identitytoken": refresh}}}).to_string();
    let variable = move |name: &str| (name == "DOCKER_AUTH_CONFIG").then(|| config.clone());
    Registry::with_keychain(RegistrySettings { insecure: None, ca }, Keychain::new(variable))
}

fn known(server: &MockServer) -> Registry {
    known_at(&server.address().to_string(), "", None)
}

fn image(server: &MockServer) -> Reference {
    format!("{}/shop/web:t", server.address()).parse().unwrap()
}

fn manifest() -> String {
    json!({"schemaVersion": 2}).to_string()
}

async fn answers(server: &MockServer, verb: &str, template: ResponseTemplate) {
    Mock::given(method(verb)).respond_with(template).mount(server).await;
}

/// Whether any request to this server said who we are.
async fn was_told(server: &MockServer) -> bool {
    let requests = server.received_requests().await.unwrap();
    requests.iter().any(|one| {
        one.headers.contains_key("authorization") || String::from_utf8_lossy(&one.body).contains("refresh")
    })
}

/// A server with TLS, one request for each connection; it remembers what it was asked.
struct Tls {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tls {
    /// Answers with status line and headers.
    fn start(answer: impl Fn(&str, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("localhost:{}", listener.local_addr().unwrap().port());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(fixture("cert.pem")).unwrap().collect();
        let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain.unwrap(), key).unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heard, own) = (asked.clone(), host.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let _ = Self::serve(rustls::StreamOwned::new(connection, stream), &heard, |head| {
                    answer(&own, head)
                });
            }
        });
        Self { host, asked }
    }

    fn serve(
        stream: rustls::StreamOwned<rustls::ServerConnection, TcpStream>,
        asked: &Mutex<Vec<String>>,
        answer: impl Fn(&str) -> String,
    ) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
        asked.lock().unwrap().push(head.clone());
        let text = format!("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", answer(&head));
        let stream = reader.get_mut();
        stream.write_all(text.as_bytes())?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn registry(&self) -> (Registry, Reference) {
        let image = format!("{}/shop/web:t", self.host).parse().unwrap();
        (known_at(&self.host, "", Some(fixture("ca.pem"))), image)
    }

    fn heard(&self, words: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|head| head.contains(words))
    }
}

#[tokio::test]
async fn a_web_page_is_no_registry_and_no_image() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_raw(HTML, "text/html; charset=utf-8");
    Mock::given(any()).respond_with(page).mount(&server).await;
    let (registry, image) = (known(&server), image(&server));
    let pinned = image.with_digest(Digest::of(b"x"));
    let errors = [
        registry.ping(&image.registry).await.unwrap_err(),
        registry.digest(&image).await.unwrap_err(),
        registry.digest_before_push(&image).await.unwrap_err(),
        registry.tag(&pinned, "t").await.unwrap_err(),
        registry.tags(&image).await.unwrap_err(),
        registry.read_record(&pinned, "test-unit").await.unwrap_err(),
        registry.write_record(&pinned, "test-unit", &json!({})).await.unwrap_err(),
        registry.delete(&pinned).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        assert!(error.message().contains("is not a registry: it sent a web page"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_no_image_whatever_it_is_called() {
    for (body, kind) in [(HTML, "text/plain"), ("{\"ok\": true}", "application/json"), ("", "text/plain")] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_raw(body, kind))
            .mount(&server)
            .await;
        let error = known(&server).digest(&image(&server)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        assert!(error.message().contains("is not a manifest") && error.message().contains(kind), "{error}");
    }
}

/// Quay calls some of its answers pages.
#[tokio::test]
async fn a_registry_that_calls_its_answers_pages_is_one() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_raw("true", "text/html; charset=utf-8");
    let page = page.insert_header("docker-distribution-api-version", "registry/2.0");
    Mock::given(any()).respond_with(page).mount(&server).await;
    known(&server).ping(&image(&server).registry).await.unwrap();
}

#[tokio::test]
async fn a_login_page_behind_a_redirect_is_named() {
    let (server, login) = (MockServer::start().await, MockServer::start().await);
    answers(&server, "HEAD", ResponseTemplate::new(302).insert_header("location", login.uri())).await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_raw(HTML, "text/html"))
        .mount(&login)
        .await;
    let error = known(&server).digest(&image(&server)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.message().ends_with(&format!("by way of {}", login.uri())), "{error}");
    let circle = MockServer::start().await;
    answers(&circle, "HEAD", ResponseTemplate::new(302).insert_header("location", "/login")).await;
    let error = known(&circle).digest(&image(&circle)).await.unwrap_err();
    assert!(error.message().contains("redirects more than 10 times"), "{error}");
}

#[tokio::test]
async fn other_bytes_than_those_of_the_digest_are_not_taken() {
    let server = MockServer::start().await;
    let other = ResponseTemplate::new(200).set_body_string(manifest());
    answers(&server, "GET", other.clone()).await;
    answers(&server, "HEAD", other.insert_header("docker-content-digest", Digest::of(b"y").as_str())).await;
    let (registry, pinned) = (known(&server), image(&server).with_digest(Digest::of(b"x")));
    for error in [registry.digest(&pinned).await.unwrap_err(), registry.tag(&pinned, "t").await.unwrap_err()]
    {
        assert!(error.kind() == Kind::Unreachable && error.message().contains("was asked for"), "{error}");
    }
}

#[tokio::test]
async fn a_registry_that_hides_what_is_not_there_lets_the_push_decide() {
    let server = MockServer::start().await;
    let challenge =
        format!(r#"Bearer realm="{}/token",service="s",error="insufficient_scope""#, server.uri());
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"token": "t"})))
        .mount(&server)
        .await;
    answers(&server, "HEAD", ResponseTemplate::new(401).insert_header("www-authenticate", &*challenge)).await;
    let (registry, tag) = (known(&server), image(&server));
    assert_eq!(registry.digest_before_push(&tag).await.unwrap(), None);
    assert_eq!(registry.digest(&tag).await.unwrap_err().kind(), Kind::Denied);
    let forbidding = MockServer::start().await;
    answers(&forbidding, "HEAD", ResponseTemplate::new(403)).await;
    assert_eq!(known(&forbidding).digest_before_push(&image(&forbidding)).await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_password_is_known_before_anything_is_built() {
    let basic = MockServer::start().await;
    answers(&basic, "HEAD", ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=x"))
        .await;
    let error = known(&basic).digest_before_push(&image(&basic)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    let bearer = MockServer::start().await;
    let challenge = format!(r#"Bearer realm="{}/token""#, bearer.uri());
    answers(&bearer, "HEAD", ResponseTemplate::new(401).insert_header("www-authenticate", &*challenge)).await;
    Mock::given(path("/token")).respond_with(ResponseTemplate::new(401)).mount(&bearer).await;
    let error = known(&bearer).digest_before_push(&image(&bearer)).await.unwrap_err();
    assert!(error.kind() == Kind::Denied && error.message().contains("the token server"), "{error}");
}

#[tokio::test]
async fn a_blob_comes_from_where_it_lies_and_nobody_there_hears_who_we_are() {
    let (server, cdn) = (MockServer::start().await, MockServer::start().await);
    let config = json!({"config": {"Labels": {"org.opencontainers.image.ref.name": "main"}}}).to_string();
    let digest = Digest::of(config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": {"digest": digest}});
    let wants_password = |one: &Request| !one.headers.contains_key("authorization");
    Mock::given(wants_password)
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=x"))
        .mount(&server)
        .await;
    Mock::given(path_regex("/manifests/"))
        .respond_with(ResponseTemplate::new(200).set_body_json(manifest))
        .mount(&server)
        .await;
    Mock::given(path_regex("/blobs/"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", format!("{}/there", cdn.uri())))
        .mount(&server)
        .await;
    Mock::given(path("/there"))
        .respond_with(ResponseTemplate::new(200).set_body_string(config))
        .expect(1)
        .mount(&cdn)
        .await;
    let origin = known(&server).origin_by_labels(&image(&server)).await.unwrap();
    assert_eq!(origin.branches().collect::<Vec<_>>(), ["main"]);
    assert!(was_told(&server).await && !was_told(&cdn).await);
}

#[tokio::test]
async fn nobody_else_than_the_registry_may_ask_for_its_password() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    answers(&server, "HEAD", ResponseTemplate::new(307).insert_header("location", other.uri())).await;
    let challenge = format!(r#"Bearer realm="{}/token""#, other.uri());
    answers(&other, "HEAD", ResponseTemplate::new(401).insert_header("www-authenticate", &*challenge)).await;
    let error = known(&server).digest(&image(&server)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert_eq!(other.received_requests().await.unwrap().len(), 1, "no token is asked for there");
    assert!(!was_told(&other).await);
}

#[tokio::test]
async fn an_upload_goes_where_the_registry_says_without_who_we_are() {
    let (server, storage) = (MockServer::start().await, MockServer::start().await);
    let wants_password = |one: &Request| !one.headers.contains_key("authorization");
    Mock::given(wants_password)
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=x"))
        .mount(&server)
        .await;
    answers(&server, "HEAD", ResponseTemplate::new(404)).await;
    let place = format!("{}/upload?id=1", storage.uri());
    answers(&server, "POST", ResponseTemplate::new(202).insert_header("location", place)).await;
    Mock::given(method("PUT"))
        .and(path("/upload"))
        .respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&storage)
        .await;
    known(&server).put_blob(&image(&server), Bytes::from_static(record::EMPTY)).await.unwrap();
    assert!(was_told(&server).await && !was_told(&storage).await);
}

#[tokio::test]
async fn a_refresh_token_is_not_sent_on() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    let challenge = format!(r#"Bearer realm="{}/token""#, server.uri());
    answers(&server, "HEAD", ResponseTemplate::new(401).insert_header("www-authenticate", &*challenge)).await;
    for verb in ["POST", "GET"] {
        let away = ResponseTemplate::new(307).insert_header("location", format!("{}/login", other.uri()));
        Mock::given(method(verb)).and(path("/token")).respond_with(away).mount(&server).await;
    }
    let host = server.address().to_string();
    for registry in [known_at(&host, "r3fresh", None), known(&server)] {
        let error = registry.digest(&image(&server)).await.unwrap_err();
        assert!(error.kind() == Kind::Unreachable && error.message().contains("redirects to"), "{error}");
    }
    assert!(!was_told(&other).await);
}

#[tokio::test]
async fn a_page_is_no_token() {
    let server = MockServer::start().await;
    let challenge = format!(r#"Bearer realm="{}/token""#, server.uri());
    answers(&server, "HEAD", ResponseTemplate::new(401).insert_header("www-authenticate", &*challenge)).await;
    answers(&server, "GET", ResponseTemplate::new(200).set_body_raw(HTML, "text/html")).await;
    let error = known(&server).digest(&image(&server)).await.unwrap_err();
    assert!(error.kind() == Kind::Unreachable && error.message().contains("sent a web page"), "{error}");
}

#[tokio::test]
async fn from_https_nothing_leads_to_plain_http() {
    let plain = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"token": "t"})))
        .mount(&plain)
        .await;
    let to = plain.uri();
    let realm = to.clone();
    let by_realm =
        Tls::start(move |_, _| format!("401 X\r\nWWW-Authenticate: Bearer realm=\"{realm}/token\""));
    let (registry, image) = by_realm.registry();
    let error = registry.digest(&image).await.unwrap_err();
    assert!(
        error.kind() == Kind::Denied && error.message().contains("a token server without TLS"),
        "{error}"
    );
    let redirect = to.clone();
    let by_redirect = Tls::start(move |_, _| format!("307 X\r\nLocation: {redirect}/there"));
    let (registry, image) = by_redirect.registry();
    let error = registry.digest(&image).await.unwrap_err();
    assert!(error.message().contains("redirects from HTTPS to"), "{error}");
    let by_location = Tls::start(move |_, head| {
        if head.starts_with("POST") { format!("202 X\r\nLocation: {to}/upload") } else { "404 X".to_owned() }
    });
    let (registry, image) = by_location.registry();
    let error = registry.put_blob(&image, Bytes::from_static(record::EMPTY)).await.unwrap_err();
    assert!(error.message().contains("redirects from HTTPS to"), "{error}");
    assert_eq!(plain.received_requests().await.unwrap().len(), 0);
}

/// Also where host and port are the same, and only the scheme is another.
#[tokio::test]
async fn the_same_port_without_tls_is_another_place() {
    let tls = Tls::start(|own, _| format!("307 X\r\nLocation: http://{own}/v2/"));
    let (registry, image) = tls.registry();
    let error = registry.digest(&image).await.unwrap_err();
    assert!(error.message().contains("redirects from HTTPS to"), "{error}");
}

#[tokio::test]
async fn a_token_server_that_https_names_is_told_who_we_are() {
    let digest = Digest::of(b"x");
    let tls = Tls::start(move |own, head| match head {
        _ if head.contains("/token") => "200 X\r\nContent-Type: application/json".to_owned(),
        _ if head.contains("Bearer ") => format!("200 X\r\nDocker-Content-Digest: {digest}"),
        _ => format!("401 X\r\nWWW-Authenticate: Bearer realm=\"https://{own}/token?a=b\",service=\"s\""),
    });
    let (registry, image) = tls.registry();
    // Its answer is empty here: what counts is that it was asked.
    let error = registry.digest(&image).await.unwrap_err();
    assert!(error.message().contains("sent no token"), "{error}");
    assert!(tls.heard("GET /token?a=b&scope=repository%3Ashop%2Fweb%3Apull&service=s "));
    assert!(tls.heard("authorization: Basic "));
}

#[tokio::test]
async fn a_list_of_tags_comes_to_an_end() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    let page = ResponseTemplate::new(200).set_body_json(json!({"tags": ["a", "../b", "c d"]}));
    let again = page.clone().insert_header("link", "</v2/shop/web/tags/list?last=a>; rel=\"next\"");
    Mock::given(any()).respond_with(again).expect(2).mount(&server).await;
    let error = known(&server).tags(&image(&server)).await.unwrap_err();
    assert!(error.message().ends_with("its pages repeat"), "{error}");

    // The next page comes from the registry, whatever host its link names; and what is no tag is none.
    server.reset().await;
    let away = format!("<{}/v2/shop/web/tags/list?last=z>; rel=\"next\"", other.uri());
    Mock::given(wiremock::matchers::query_param("last", "z")).respond_with(page.clone()).mount(&server).await;
    Mock::given(any()).respond_with(page.insert_header("link", away)).mount(&server).await;
    assert_eq!(known(&server).tags(&image(&server)).await.unwrap(), ["a", "a"]);
    assert_eq!(other.received_requests().await.unwrap().len(), 0);

    server.reset().await;
    let endless = |one: &Request| {
        let number =
            one.url.query().and_then(|query| query.rsplit('=').next()?.parse::<u32>().ok()).unwrap_or(0);
        let link = format!("</v2/shop/web/tags/list?last={}>; rel=\"next\"", number + 1);
        ResponseTemplate::new(200).set_body_json(json!({"tags": []})).insert_header("link", link)
    };
    Mock::given(any()).respond_with(endless).mount(&server).await;
    let error = known(&server).tags(&image(&server)).await.unwrap_err();
    assert!(error.kind() == Kind::Unreachable && error.message().contains("more than 2000 pages"), "{error}");
}

/// Waits for its end in a thread of its own: the connection is closed in this one.
async fn ended(pouring: std::thread::JoinHandle<usize>) -> usize {
    tokio::task::spawn_blocking(move || pouring.join().unwrap()).await.unwrap()
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let began = Instant::now();
    let mib = |bytes: usize| bytes >> 20;
    let (host, pouring) = fountain("200 OK\r\nContent-Type: application/json");
    let tagged: Reference = format!("{host}/shop/web:t").parse().unwrap();
    let error = known_at(&host, "", None).manifest(&tagged).await.err().unwrap();
    assert!(error.message().contains("more than 4 MiB, the limit for it"), "{error}");
    assert_eq!(error.kind(), Kind::Unreachable);
    let poured = ended(pouring).await;
    assert!(mib(poured) < 32, "{poured}");

    let (host, pouring) = fountain("200 OK\r\nContent-Type: application/json");
    let tagged: Reference = format!("{host}/shop/web:t").parse().unwrap();
    let error = known_at(&host, "", None).tags(&tagged).await.unwrap_err();
    assert!(error.message().contains("more than 16 MiB"), "{error}");
    assert!(mib(ended(pouring).await) < 48);

    // Of a refusal only the beginning is read.
    let (host, pouring) = fountain("400 No\r\nDocker-Distribution-Api-Version: registry/2.0");
    let tagged: Reference = format!("{host}/shop/web:t").parse().unwrap();
    let error = known_at(&host, "", None).tags(&tagged).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(mib(ended(pouring).await) < 16);
    assert!(began.elapsed() < Duration::from_secs(30));
}
