//! The registry: names, digests, tags, credentials, and records about an image.
//!
//! The only room that speaks to a registry itself; layers are pushed and pulled by the Engine.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::{Error, Kind, Result};
use crate::project::Project;

mod challenge;
pub mod credentials;
mod index;
mod record;
pub mod reference;
mod transport;

pub use credentials::{Credentials, Keychain};
pub use reference::{Digest, Reference};
pub use transport::RegistrySettings;
use transport::{Answer, Ask, Transport};

/// Every kind of manifest: a registry converts what the reader does not name.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// The way to every registry of a run. Remembers connections, tokens and manifests, so make one and share it.
pub struct Registry {
    transport: Transport,
    manifests: Mutex<HashMap<Digest, Manifest>>,
}

#[derive(Clone)]
struct Manifest {
    bytes: Bytes,
    media_type: String,
}

impl Registry {
    /// A client with the credentials of this process's environment. Nothing is asked yet.
    ///
    /// # Errors
    /// None today; a wrong `ca` is found when the first registry is asked.
    pub fn new(settings: RegistrySettings) -> Result<Self> {
        Ok(Self::with_keychain(settings, Keychain::from_environment()))
    }

    /// A client for this project's registry, with the settings of `windlass.yaml`.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn of(project: &Project) -> Result<Self> {
        let config = &project.config;
        let ca = config.ca.as_ref().map(|file| project.root.join(file));
        // `insecure` is about the project's own registry: to no other host are credentials sent in the clear.
        let host = project.registry.as_deref().and_then(|registry| registry.split('/').next());
        let insecure = host.filter(|_| config.insecure).map(str::to_owned);
        Self::new(RegistrySettings { insecure, ca })
    }

    /// As [`Registry::new`], with credentials from elsewhere.
    pub fn with_keychain(settings: RegistrySettings, keychain: Keychain) -> Self {
        Self { transport: Transport::new(settings, keychain), manifests: Mutex::default() }
    }

    /// Who we are to this host: for the Engine, which pushes and pulls in our name.
    pub async fn credentials(&self, host: &str) -> Result<Option<Credentials>> {
        self.transport.keychain().find(host).await
    }

    /// Asks whether a registry answers at `host/path` and knows us.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Unreachable`] for a server that is no registry.
    pub async fn ping(&self, registry: &str) -> Result<()> {
        let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
        let ask = Ask {
            host,
            repository: path,
            method: Method::GET,
            path: "/v2/".to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let answer = self.transport.send(&ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unreachable,
            format!("{host} answers with {}, as no registry does", answer.status),
        )
        .hint("check `registry:` in windlass.yaml: it is like registry.example.com/group/shop"))
    }

    /// The digest that the reference leads to now, in one request; `None` where there is nothing.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] after retries, [`Kind::Denied`] where the registry refuses us.
    pub async fn digest(&self, reference: &Reference) -> Result<Option<Digest>> {
        let answer = self.ask(reference, Method::HEAD, format!("manifests/{}", reference.selector())).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect(reference, &answer, "answered a look-up")?;
        match answer.header("docker-content-digest").map(str::parse) {
            Some(digest) => digest.map(Some),
            // The header is a SHOULD of the specification; the bytes tell as well.
            None => Ok(self.manifest(reference).await?.map(|manifest| Digest::of(&manifest.bytes))),
        }
    }

    /// Puts a tag beside those that the image has already; no layer is moved.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Rule`] where the image is not there.
    pub async fn tag(&self, image: &Reference, tag: &str) -> Result<()> {
        let manifest = self.manifest(image).await?.ok_or_else(|| gone(image))?;
        self.put(&image.with_tag(tag), &manifest).await.map(drop)
    }

    /// Puts an index of these images (platform, and reference with its digest) under the tag; gives its digest.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub async fn put_index(&self, tag: &Reference, images: &[(String, Reference)]) -> Result<Digest> {
        let mut parts = Vec::new();
        for (platform, image) in images {
            let manifest = self.manifest(image).await?.ok_or_else(|| gone(image))?;
            parts.push(index::Part {
                platform: platform.clone(),
                digest: digest_of(image)?.clone(),
                size: manifest.bytes.len(),
                media_type: manifest.media_type,
            });
        }
        let (media_type, bytes) = index::index(&parts);
        let manifest = Manifest { bytes: bytes.into(), media_type: media_type.to_owned() };
        self.put(tag, &manifest).await?;
        Ok(Digest::of(&manifest.bytes))
    }

    /// Leaves a record about the image (which must have a digest) under `sha256-<hex>.<kind>`, as a referrer of the
    /// image, too, where the registry has that API. A former record of this kind is replaced.
    /// Returns whether the registry lists it as a referrer.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub async fn write_record(&self, image: &Reference, kind: &str, json: &Value) -> Result<bool> {
        let digest = digest_of(image)?;
        let subject = self.manifest(image).await?.ok_or_else(|| gone(image))?;
        self.empty_blob(image).await?;
        let bytes = record::manifest(digest, &subject.media_type, subject.bytes.len(), kind, json);
        let manifest = Manifest { bytes: bytes.into(), media_type: record::MANIFEST.to_owned() };
        self.put(&image.with_tag(record::tag(digest, kind)), &manifest).await
    }

    /// The record of this kind about the image, in one request.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Invalid`] where something else stands under its tag.
    pub async fn read_record(&self, image: &Reference, kind: &str) -> Result<Option<Value>> {
        let digest = digest_of(image)?;
        let tag = record::tag(digest, kind);
        let answer = self.ask(image, Method::GET, format!("manifests/{tag}")).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect(image, &answer, "answered a look-up")?;
        record::read(digest, &tag, &answer.body).map(Some)
    }

    /// When the commit of an image was made that windlass built, by its label; `None` where nothing says so.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub async fn made(&self, image: &Reference) -> Result<Option<Timestamp>> {
        let Some(manifest) = self.manifest(image).await? else { return Ok(None) };
        let mut manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
        if let Some(first) = index::first(&manifest)
            && let Some(part) = self.manifest(&image.with_digest(first)).await?
        {
            manifest = serde_json::from_slice(&part.bytes).unwrap_or_default();
        }
        let Some(config) = manifest.pointer("/config/digest").and_then(Value::as_str) else {
            return Ok(None);
        };
        let answer = self.ask(image, Method::GET, format!("blobs/{config}")).await?;
        let config: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let label = config["config"]["Labels"]["org.opencontainers.image.created"].as_str();
        Ok(label.and_then(|time| time.parse().ok()))
    }

    /// Every tag of the repository, in the registry's order.
    ///
    /// # Errors
    /// As [`Registry::digest`]; a repository that does not exist has no tags.
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let mut path = Some("tags/list?n=1000".to_owned());
        while let Some(page) = path {
            let answer = self.ask(repository, Method::GET, page).await?;
            if answer.status == StatusCode::NOT_FOUND {
                break;
            }
            expect(repository, &answer, "answered a list of tags")?;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let names = body["tags"].as_array().into_iter().flatten();
            tags.extend(names.filter_map(|tag| tag.as_str().map(str::to_owned)));
            path = answer.header("link").and_then(next_page);
        }
        Ok(tags)
    }

    /// Deletes a manifest (the reference must have a digest) and with it every tag that leads to it.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Denied`] where the registry has deletion switched off.
    pub async fn delete(&self, image: &Reference) -> Result<()> {
        let answer = self.ask(image, Method::DELETE, format!("manifests/{}", digest_of(image)?)).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => {
                Err(Error::new(Kind::Denied, format!("the registry {} does not delete", image.registry))
                    .hint("switch deletion on in its configuration (`storage.delete.enabled`)"))
            }
            _ => expect(image, &answer, "answered a deletion"),
        }
    }

    /// Media type and bytes of a manifest, remembered by digest.
    async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>> {
        if let Some(digest) = &reference.digest
            && let Some(known) = self.manifests.lock().await.get(digest)
        {
            return Ok(Some(known.clone()));
        }
        let answer = self.ask(reference, Method::GET, format!("manifests/{}", reference.selector())).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect(reference, &answer, "answered a look-up")?;
        let media_type = answer.header("content-type").unwrap_or(record::MANIFEST).to_owned();
        let manifest = Manifest { bytes: answer.body, media_type };
        self.manifests.lock().await.insert(Digest::of(&manifest.bytes), manifest.clone());
        Ok(Some(manifest))
    }

    /// Puts a manifest under the reference's tag; says whether the registry listed it as a referrer.
    async fn put(&self, reference: &Reference, manifest: &Manifest) -> Result<bool> {
        let ask = Ask {
            host: &reference.registry,
            repository: &reference.repository,
            method: Method::PUT,
            path: format!("manifests/{}", reference.selector()),
            headers: vec![(header::CONTENT_TYPE, manifest.media_type.clone())],
            body: manifest.bytes.clone(),
        };
        let answer = self.transport.send(&ask).await?;
        expect(reference, &answer, "did not take a manifest")?;
        Ok(answer.headers.contains_key("oci-subject"))
    }

    /// Makes sure that the blob every record names is there.
    async fn empty_blob(&self, image: &Reference) -> Result<()> {
        let digest = Digest::of(record::EMPTY);
        let found = self.ask(image, Method::HEAD, format!("blobs/{digest}")).await?;
        if found.status.is_success() {
            return Ok(());
        }
        let begun = self.ask(image, Method::POST, "blobs/uploads/".to_owned()).await?;
        expect(image, &begun, "did not begin an upload")?;
        let place = begun.header("location").unwrap_or_default();
        let mark = if place.contains('?') { '&' } else { '?' };
        let place = place.strip_prefix(&format!("/v2/{}/", image.repository)).unwrap_or(place);
        let ask = Ask {
            host: &image.registry,
            repository: &image.repository,
            method: Method::PUT,
            path: format!("{place}{mark}digest={digest}"),
            headers: vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())],
            body: Bytes::from_static(record::EMPTY),
        };
        let answer = self.transport.send(&ask).await?;
        expect(image, &answer, "did not take a blob")
    }

    async fn ask(&self, reference: &Reference, method: Method, path: String) -> Result<Answer> {
        let ask = Ask {
            host: &reference.registry,
            repository: &reference.repository,
            method,
            path,
            headers: vec![(header::ACCEPT, MANIFESTS.to_owned())],
            body: Bytes::new(),
        };
        self.transport.send(&ask).await
    }
}

fn digest_of(image: &Reference) -> Result<&Digest> {
    let missing = || Error::new(Kind::Defect, format!("the image `{image}` was used before it had a digest"));
    image.digest.as_ref().ok_or_else(missing)
}

fn gone(image: &Reference) -> Error {
    Error::new(Kind::Rule, format!("the image {image} is not in the registry")).hint("run `windlass build`")
}

fn expect(reference: &Reference, answer: &Answer, what: &str) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let said = transport::message(&answer.body).map(|said| format!(": {said}")).unwrap_or_default();
    Err(Error::new(
        Kind::Unreachable,
        format!(
            "the registry {} {what} of `{}` with {}{said}",
            reference.registry, reference.repository, answer.status
        ),
    ))
}

/// The path below the repository of `Link: </v2/a/tags/list?last=x&n=1000>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let address = link.split_once('<')?.1.split_once('>')?.0;
    let (_, query) = address.split_once("/tags/list")?;
    link.contains("rel=\"next\"").then(|| format!("tags/list{query}"))
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{basic_auth, header, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn registry(variables: &'static [(&'static str, &'static str)]) -> Registry {
        let keychain = Keychain::new(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        Registry::with_keychain(RegistrySettings { insecure: None, ca: None }, keychain)
    }

    fn image(server: &MockServer, rest: &str) -> Reference {
        format!("{}/{rest}", server.address()).parse().unwrap()
    }

    fn found() -> ResponseTemplate {
        ResponseTemplate::new(200).insert_header("docker-content-digest", Digest::of(b"x").as_str())
    }

    #[tokio::test]
    async fn a_look_up_is_one_request() {
        let server = MockServer::start().await;
        Mock::given(method("HEAD"))
            .and(path("/v2/a/b/manifests/t"))
            .respond_with(found())
            .expect(1)
            .mount(&server)
            .await;
        let digest = registry(&[]).digest(&image(&server, "a/b:t")).await.unwrap();
        assert_eq!(digest, Some(Digest::of(b"x")));
        assert_eq!(registry(&[]).digest(&image(&server, "a/b:none")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_ping_tells_a_registry_from_another_server() {
        let server = MockServer::start().await;
        Mock::given(path("/v2/")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        let name = format!("{}/group/shop", server.address());
        registry(&[]).ping(&name).await.unwrap();
        let other = MockServer::start().await;
        let error = registry(&[]).ping(&other.address().to_string()).await.unwrap_err();
        assert!(error.message().contains("404"), "{error}");
    }

    #[tokio::test]
    async fn a_challenge_is_answered_with_a_token() {
        let server = MockServer::start().await;
        let challenge = format!(r#"Bearer realm="{}/jwt/auth",service="reg""#, server.uri());
        Mock::given(path("/jwt/auth"))
            .and(query_param("scope", "repository:a:pull"))
            .and(query_param("service", "reg"))
            .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({"token": "t0k"})))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(path("/v2/a/manifests/t"))
            .and(header("authorization", "Bearer t0k"))
            .respond_with(found())
            .mount(&server)
            .await;
        Mock::given(path("/v2/a/manifests/t"))
            .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str()))
            .mount(&server)
            .await;
        let registry = registry(&[]);
        for _ in 0..2 {
            assert!(
                registry.digest(&image(&server, "a:t")).await.unwrap().is_some(),
                "the token is remembered"
            );
        }
    }

    #[tokio::test]
    async fn a_refused_password_names_its_source_and_never_itself() {
        let server = MockServer::start().await;
        let host: &'static str = Box::leak(server.address().to_string().into_boxed_str());
        let variables = Box::leak(Box::new([
            ("CI_REGISTRY", host),
            ("CI_REGISTRY_USER", "me"),
            ("CI_REGISTRY_PASSWORD", "s3cret"),
        ]));
        Mock::given(basic_auth("me", "s3cret"))
            .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=x"))
            .mount(&server)
            .await;
        Mock::given(method("HEAD"))
            .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=x"))
            .mount(&server)
            .await;
        let error = registry(variables).digest(&image(&server, "a:t")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(
            error.message().contains("user `me` from CI_REGISTRY_PASSWORD")
                && !error.to_string().contains("s3cret"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn too_many_requests_is_waited_for() {
        let server = MockServer::start().await;
        Mock::given(method("HEAD"))
            .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "0"))
            .up_to_n_times(2)
            .mount(&server)
            .await;
        Mock::given(method("HEAD")).respond_with(found()).mount(&server).await;
        assert!(registry(&[]).digest(&image(&server, "a:t")).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn nobody_at_home_is_unreachable() {
        let error = registry(&[]).digest(&"127.0.0.1:9/a:t".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.message().starts_with("the registry 127.0.0.1:9 cannot be reached"), "{error}");
    }

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(
            next_page(r#"</v2/a/b/tags/list?last=x&n=2>; rel="next""#).as_deref(),
            Some("tags/list?last=x&n=2")
        );
        assert_eq!(next_page("nonsense"), None);
    }
}
