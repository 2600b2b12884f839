//! The registry: names, digests, tags, credentials, and records about an image.
//!
//! The only module that speaks to a registry itself; layers are pushed and pulled by the Engine.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::{Error, Kind, Result};
use crate::model::{Credentials, Digest, Reference};
use crate::project::Project;

mod challenge;
pub(crate) mod credentials;
pub(crate) mod fuzzing;
#[cfg(test)]
mod hostile;
mod index;
mod origin;
mod record;
mod series;
mod transport;
mod upload;

pub(crate) use credentials::Keychain;
pub(crate) use origin::{BUILD, Build};
pub(crate) use record::{
    TESTS, branch_of_cache, cache_tag, is_layers_tag, is_mark, layers_tag, stage_cache_tag,
};
#[cfg(test)]
pub(crate) use series::tests::with_image as in_memory;
use transport::{Ask, Response, Transport};
pub(crate) use transport::{Refused, RegistrySettings};

/// Every kind of manifest: a registry converts what the reader does not name.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Bytes of a manifest: the most that registries take.
const MANIFEST: usize = 4 << 20;
/// Bytes of an image's configuration.
const CONFIG: usize = 16 << 20;
/// Bytes of a page of tags: some registries give all of them at once.
const PAGE: usize = 16 << 20;
/// Pages and tags of one list.
const PAGES: usize = 2_000;
const TAGS: usize = 1_000_000;

/// How many numbers of a record are tried that others took in the meantime.
const RECORD_TRIES: u32 = 10;

/// The way to every registry of a run. Remembers connections, tokens and manifests, so make one and share it.
pub(crate) struct Registry {
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
    pub(crate) fn new(settings: RegistrySettings) -> Self {
        Self::with_keychain(settings, Keychain::from_environment())
    }

    /// A client for this project's registry, with the settings of `windlass.yaml`; a wrong `ca` is found when it is asked.
    pub(crate) fn of(project: &Project) -> Self {
        Self::new(RegistrySettings::of(project))
    }

    /// As [`Registry::of`], for what anybody may see: it has no credentials.
    pub(crate) fn without_credentials(project: &Project) -> Self {
        Self::with_keychain(RegistrySettings::of(project), Keychain::new(|_| None))
    }

    /// As [`Registry::new`], with credentials from elsewhere.
    pub(crate) fn with_keychain(settings: RegistrySettings, keychain: Keychain) -> Self {
        Self { transport: Transport::new(settings, keychain), manifests: Mutex::default() }
    }

    /// Who we are to this host: for the Engine, which pushes and pulls in our name.
    pub(crate) async fn credentials(&self, host: &str) -> Result<Option<Credentials>> {
        self.transport.keychain().find(host).await
    }

    /// Asks whether a registry answers at `host/path` and knows us.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Unreachable`] for a server that is no registry.
    pub(crate) async fn ping(&self, registry: &str) -> Result<()> {
        let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
        let ask = Ask {
            host,
            repository: path,
            method: Method::GET,
            path: "/v2/".to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            most: PAGE,
        };
        let answer = self.transport.send(&ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unreachable,
            format!("{host} responded with {}, as no registry does", answer.status),
        )
        .with_hint("check `registry:` in windlass.yaml: it should look like registry.example.com/group/shop"))
    }

    /// Whether this repository takes what is pushed: begins an upload, and gives it up.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Push`] where the registry does not take it.
    pub(crate) async fn check_push(&self, repository: &Reference) -> Result<()> {
        let begun = self.ask(repository, Method::POST, "blobs/uploads/".to_owned(), PAGE).await?;
        expect_push(repository, &begun, "did not begin an upload")?;
        let place = begun.header("location").unwrap_or_default();
        let place =
            place.strip_prefix(&format!("/v2/{}/", repository.repository)).unwrap_or(place).to_owned();
        // One that stays is cleaned up by the registry.
        let _ = self.ask(repository, Method::DELETE, place, PAGE).await;
        Ok(())
    }

    /// The digest that the reference leads to now, in one request; `None` where there is nothing.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] after retries, [`Kind::Denied`] where the registry refuses us or the request.
    pub(crate) async fn digest(&self, reference: &Reference) -> Result<Option<Digest>> {
        let answer = self.transport.send(&look_up(reference)).await?;
        self.digest_in(reference, answer).await
    }

    /// As [`Registry::digest`], in one try: for whoever would rather go on without an answer.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn digest_at_once(&self, reference: &Reference) -> Result<Option<Digest>> {
        let answer = self.transport.send_once(&look_up(reference)).await?;
        self.digest_in(reference, answer).await
    }

    /// As [`Registry::digest`], and whether it may be an index: what the registry names so, or names nothing.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn digest_and_kind(&self, reference: &Reference) -> Result<Option<(Digest, bool)>> {
        let answer = self.transport.send(&look_up(reference)).await?;
        let may_be_index = answer.header("content-type").is_none_or(|kind| !kind.contains(".manifest.v"));
        Ok(self.digest_in(reference, answer).await?.map(|digest| (digest, may_be_index)))
    }

    /// As [`Registry::digest`], before a first push: there are registries that refuse to say whether a repository exists.
    /// Then nothing is known to be there, and whether we may push is what the push says.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Denied`] only where the registry, or its token server, does not know us.
    pub(crate) async fn digest_before_push(&self, reference: &Reference) -> Result<Option<Digest>> {
        let ask = look_up(reference);
        let answer = self.transport.send_refusable(&ask).await?;
        if !answer.is_refusal() {
            return self.digest_in(reference, answer).await;
        }
        if answer.may_hide_nothing() { Ok(None) } else { Err(self.transport.refusal(&ask).await?) }
    }

    /// Whether the registry refuses to say what the reference leads to; that nothing is there is no refusal.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] without another try.
    pub(crate) async fn refuses(&self, reference: &Reference) -> Result<bool> {
        match self.digest_at_once(reference).await {
            Ok(_) => Ok(false),
            Err(error) if error.find::<Refused>().is_some() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The digest in the answer to a look-up.
    async fn digest_in(&self, reference: &Reference, answer: Response) -> Result<Option<Digest>> {
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // HEAD may be missing; then GET tells the same.
        let has_head = !matches!(answer.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
        if has_head {
            expect(reference, &answer, "answered the lookup")?;
        }
        match answer.header("docker-content-digest").filter(|_| has_head).map(str::parse) {
            Some(digest) => same_digest(reference, digest?).map(Some),
            // The header is a SHOULD of the specification; the bytes tell as well.
            None => Ok(self.manifest(reference).await?.map(|manifest| Digest::of(&manifest.bytes))),
        }
    }

    /// Puts a tag beside those that the image has already; no layer is moved.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Push`] where the registry does not take the tag, [`Kind::Rule`] where the image is not
    /// there.
    pub(crate) async fn tag(&self, image: &Reference, tag: &str) -> Result<()> {
        let manifest = self.manifest(image).await?.ok_or_else(|| gone(image))?;
        self.put(&image.with_tag(tag), &manifest).await.map(drop)
    }

    /// Puts an index of these images (platform, and reference with its digest) under the tag; gives its digest.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub(crate) async fn put_index(&self, tag: &Reference, images: &[(String, Reference)]) -> Result<Digest> {
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
    /// image, too, where the registry has that API. A former record of this kind is replaced; where the registry keeps tags
    /// as they are, the record gets the next number (`sha256-<hex>.2.<kind>`).
    /// Returns whether the registry lists it as a referrer.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub(crate) async fn write_record(&self, image: &Reference, kind: &str, json: &Value) -> Result<bool> {
        let digest = digest_of(image)?;
        let subject = self.manifest(image).await?.ok_or_else(|| gone(image))?;
        self.put_blob(image, Bytes::from_static(record::EMPTY)).await?;
        let bytes = record::manifest(digest, &subject.media_type, subject.bytes.len(), kind, json);
        let manifest = Manifest { bytes: bytes.into(), media_type: record::MANIFEST.to_owned() };
        self.write_numbered(image, &manifest, |number| record::tag(digest, kind, number)).await
    }

    /// Puts a manifest under the newest of these tags, which have numbers; where that cannot be overwritten, under the next.
    async fn write_numbered(
        &self,
        image: &Reference,
        manifest: &Manifest,
        tag: impl Fn(u32) -> String,
    ) -> Result<bool> {
        let mut number = self.newest(image, &tag).await?;
        let last = number + RECORD_TRIES;
        loop {
            let reference = image.with_tag(tag(number));
            let refused = match self.put(&reference, manifest).await {
                Err(error) if is_refusal(&error) && number < last => error,
                written => return written,
            };
            // What is refused although nothing is there is not refused for being there.
            if !matches!(self.digest(&reference).await, Ok(Some(_))) {
                return Err(refused);
            }
            number += 1;
        }
    }

    /// What the mark of this name in a repository is now; it changes whenever somebody calls [`Registry::move_mark`], and is
    /// empty before. One request where nobody has.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn mark(&self, repository: &Reference, name: &str) -> Result<String> {
        let tag = |number| record::mark_tag(name, number);
        let Some(first) = self.digest(&repository.with_tag(tag(1))).await? else { return Ok(String::new()) };
        let newest = match self.newest(repository, &tag).await? {
            1 => Some(first),
            number => self.digest(&repository.with_tag(tag(number))).await?,
        };
        Ok(newest.map(|digest| digest.to_string()).unwrap_or_default())
    }

    /// Makes the mark of this name another one.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub(crate) async fn move_mark(&self, repository: &Reference, name: &str) -> Result<()> {
        self.put_blob(repository, Bytes::from_static(record::EMPTY)).await?;
        let bytes = record::mark(name, &Timestamp::now().to_string());
        let manifest = Manifest { bytes: bytes.into(), media_type: record::MANIFEST.to_owned() };
        self.write_numbered(repository, &manifest, |number| record::mark_tag(name, number)).await.map(drop)
    }

    /// The newest record of this kind about the image: one request where there is none, two for a first one.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Invalid`] where something else stands under its tag.
    pub(crate) async fn read_record(&self, image: &Reference, kind: &str) -> Result<Option<Value>> {
        let digest = digest_of(image)?;
        let Some(mut answer) = self.record(image, &record::tag(digest, kind, 1)).await? else {
            return Ok(None);
        };
        let tag =
            record::tag(digest, kind, self.newest(image, |number| record::tag(digest, kind, number)).await?);
        if tag != record::tag(digest, kind, 1)
            && let Some(newest) = self.record(image, &tag).await?
        {
            answer = newest;
        }
        record::read(digest, &tag, &answer.body).map(Some)
    }

    /// As [`Registry::read_record`], for a record that only saves work: one that cannot be read says nothing.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn record_if_readable(&self, image: &Reference, kind: &str) -> Result<Option<Value>> {
        match self.read_record(image, kind).await {
            Err(error) if error.kind() == Kind::Invalid => Ok(None),
            record => record,
        }
    }

    /// The record under this tag of the image's repository, of which the caller knows that it is the newest of its kind.
    ///
    /// # Errors
    /// As [`Registry::read_record`].
    pub(crate) async fn read_record_under(&self, image: &Reference, tag: &str) -> Result<Option<Value>> {
        let Some(answer) = self.record(image, tag).await? else { return Ok(None) };
        record::read(digest_of(image)?, tag, &answer.body).map(Some)
    }

    /// What stands under a record's tag.
    async fn record(&self, image: &Reference, tag: &str) -> Result<Option<Response>> {
        let answer = self.ask(image, Method::GET, format!("manifests/{tag}"), MANIFEST).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect(image, &answer, "answered the lookup")?;
        expect_manifest(image, &answer)?;
        Ok(Some(answer))
    }

    /// The number of the newest of these tags; 1 where there is none.
    async fn newest(&self, repository: &Reference, tag: impl Fn(u32) -> String) -> Result<u32> {
        let exists = |number| {
            let tagged = repository.with_tag(tag(number));
            async move { Ok(self.digest(&tagged).await?.is_some()) }
        };
        series::newest(exists).await
    }

    /// The images that an index leads to; none where the manifest is no index.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn members(&self, index: &Reference) -> Result<Vec<Digest>> {
        let manifest = self.fetch(index).await?;
        let manifest: Option<Value> = manifest.and_then(|found| serde_json::from_slice(&found.bytes).ok());
        Ok(manifest.map(|manifest| index::members(&manifest)).unwrap_or_default())
    }

    /// Every tag of the repository, in the registry's order.
    ///
    /// # Errors
    /// As [`Registry::digest`]; a repository that does not exist has no tags.
    pub(crate) async fn tags(&self, repository: &Reference) -> Result<Vec<String>> {
        let (mut tags, mut pages) = (Vec::new(), BTreeSet::new());
        let mut path = Some("tags/list?n=1000".to_owned());
        while let Some(page) = path {
            if !pages.insert(page.clone()) {
                return Err(endless(repository, "its pages repeat"));
            }
            if pages.len() > PAGES || tags.len() > TAGS {
                return Err(endless(repository, &format!("more than {PAGES} pages, or {TAGS} tags")));
            }
            let answer = self.ask(repository, Method::GET, page, PAGE).await?;
            // A later page is missing only where something is wrong, and half a list is none.
            if answer.status == StatusCode::NOT_FOUND && tags.is_empty() {
                break;
            }
            expect(repository, &answer, "answered the list of tags")?;
            let body: Value =
                serde_json::from_slice(&answer.body).map_err(|error| no_list(repository, &error))?;
            let names = body["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
            // A tag becomes a part of an address.
            tags.extend(names.filter(|tag| crate::model::image::is_tag(tag)).map(str::to_owned));
            let links = answer.headers.get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
            path = links.into_iter().find_map(next_page);
        }
        Ok(tags)
    }

    /// Deletes a manifest (the reference must have a digest) and with it every tag that leads to it.
    ///
    /// # Errors
    /// As [`Registry::digest`]; [`Kind::Denied`] where the registry has deletion switched off.
    pub(crate) async fn delete(&self, image: &Reference) -> Result<()> {
        let path = format!("manifests/{}", digest_of(image)?);
        let answer = self.ask(image, Method::DELETE, path, MANIFEST).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => Err(Error::new(
                Kind::Denied,
                format!("the registry {} does not allow deletion", image.registry),
            )
            .with_hint("enable deletion in its configuration (`storage.delete.enabled`)")),
            _ => expect(image, &answer, "answered the deletion"),
        }
    }

    /// Media type and bytes of a manifest, remembered by digest.
    async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>> {
        if let Some(digest) = &reference.digest
            && let Some(known) = self.manifests.lock().await.get(digest)
        {
            return Ok(Some(known.clone()));
        }
        let manifest = self.fetch(reference).await?;
        if let Some(manifest) = &manifest {
            self.manifests.lock().await.insert(Digest::of(&manifest.bytes), manifest.clone());
        }
        Ok(manifest)
    }

    /// Media type and bytes of a manifest as they are now.
    async fn fetch(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let path = format!("manifests/{}", reference.selector());
        let answer = self.ask(reference, Method::GET, path, MANIFEST).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect(reference, &answer, "answered the lookup")?;
        expect_manifest(reference, &answer)?;
        same_digest(reference, Digest::of(&answer.body))?;
        let media_type = answer.header("content-type").unwrap_or(record::MANIFEST).to_owned();
        Ok(Some(Manifest { bytes: answer.body, media_type }))
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
            most: MANIFEST,
        };
        let answer = self.transport.send(&ask).await?;
        expect_push(reference, &answer, "did not take a manifest")?;
        Ok(answer.headers.contains_key("oci-subject"))
    }

    async fn ask(
        &self,
        reference: &Reference,
        method: Method,
        path: String,
        most: usize,
    ) -> Result<Response> {
        self.transport.send(&Ask { method, path, most, ..look_up(reference) }).await
    }
}

/// The question for the manifest of an image, without the manifest.
fn look_up(reference: &Reference) -> Ask<'_> {
    Ask {
        host: &reference.registry,
        repository: &reference.repository,
        method: Method::HEAD,
        path: format!("manifests/{}", reference.selector()),
        headers: vec![(header::ACCEPT, MANIFESTS.to_owned())],
        body: Bytes::new(),
        most: MANIFEST,
    }
}

/// What a registry says is a manifest must be one: any web server answers 200.
fn expect_manifest(reference: &Reference, answer: &Response) -> Result<()> {
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if manifest["schemaVersion"].is_u64() {
        return Ok(());
    }
    let kind = answer.header("content-type").unwrap_or("no content type");
    let message = format!(
        "{} is not a registry: its response for {reference} is not a manifest ({kind})",
        reference.registry
    );
    Err(Error::new(Kind::Unreachable, message).with_hint(transport::BETWEEN))
}

/// A digest that was asked for is the one that must come.
fn same_digest(reference: &Reference, digest: Digest) -> Result<Digest> {
    match &reference.digest {
        Some(wanted) if *wanted != digest => {
            let message =
                format!("the registry {} has {digest} where {reference} was asked for", reference.registry);
            Err(Error::new(Kind::Unreachable, message).with_hint(transport::BETWEEN))
        }
        _ => Ok(digest),
    }
}

fn endless(repository: &Reference, why: &str) -> Error {
    let message = format!(
        "the registry {} lists the tags of `{}` without end: {why}",
        repository.registry, repository.repository
    );
    Error::new(Kind::Unreachable, message)
        .with_hint("check with another client whether `/v2/…/tags/list` ends")
}

fn no_list(repository: &Reference, error: &serde_json::Error) -> Error {
    let message = format!(
        "the registry {} did not return JSON for the tags of `{}`: {error}",
        repository.registry, repository.repository
    );
    Error::new(Kind::Unreachable, message).with_hint("is there a proxy in between?")
}

fn digest_of(image: &Reference) -> Result<&Digest> {
    let missing = || Error::new(Kind::Defect, format!("the image `{image}` was used before it had a digest"));
    image.digest.as_ref().ok_or_else(missing)
}

fn gone(image: &Reference) -> Error {
    Error::new(Kind::Rule, format!("the image {image} is not in the registry"))
        .with_hint("run `windlass build`")
}

/// Whether an error of a push says that the registry does not want it, so that no other try helps.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Push | Kind::Denied)
}

/// A registry that answers and says no is not worth another try.
fn expect(reference: &Reference, answer: &Response, what: &str) -> Result<()> {
    expected(reference, answer, what, Kind::Denied, "the registry's log says more")
}

fn expect_push(reference: &Reference, answer: &Response, what: &str) -> Result<()> {
    let hint = "check the settings of this repository in the registry: immutable tags, quotas, allowed names";
    expected(reference, answer, what, Kind::Push, hint)
}

fn expected(reference: &Reference, answer: &Response, what: &str, kind: Kind, hint: &str) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let said = transport::message(&answer.body).map(|said| format!(": {said}")).unwrap_or_default();
    let message = format!(
        "the registry {} {what} of `{}` with {}{said}",
        reference.registry, reference.repository, answer.status
    );
    Err(if answer.status.is_client_error() {
        Error::new(kind, message).with_source(Refused).with_hint(hint)
    } else {
        Error::new(Kind::Unreachable, message)
    })
}

/// The path below the repository of `Link: </v2/a/tags/list?last=x&n=1000>; rel="next"`. Of the address only the query
/// counts: the next page comes from where the first one came.
fn next_page(mut link: &str) -> Option<String> {
    loop {
        let (address, rest) = link.split_once('<')?.1.split_once('>')?;
        let (own, others) = rest.split_once(',').unwrap_or((rest, ""));
        let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
        if own.split(';').any(is_next) {
            let (_, query) = address.split_once("/tags/list")?;
            return Some(format!("tags/list{query}"));
        }
        link = others;
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{basic_auth, header, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use serde_json::json;

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
    async fn the_tokens_of_repositories_that_are_asked_at_once_are_all_remembered() {
        let server = MockServer::start().await;
        let challenge = format!(r#"Bearer realm="{}/jwt/auth",service="reg""#, server.uri());
        Mock::given(path("/jwt/auth"))
            .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({"token": "t0k"})))
            .expect(8)
            .mount(&server)
            .await;
        Mock::given(header("authorization", "Bearer t0k")).respond_with(found()).mount(&server).await;
        Mock::given(method("HEAD"))
            .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str()))
            .mount(&server)
            .await;
        let registry = registry(&[]);
        for _ in 0..2 {
            let looks =
                (0..8).map(async |number| registry.digest(&image(&server, &format!("a{number}:t"))).await);
            for found in futures::future::join_all(looks).await {
                assert!(found.unwrap().is_some());
            }
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
    async fn who_has_no_credentials_is_refused_or_told_that_nothing_is_there() {
        let server = MockServer::start().await;
        let challenge = format!(r#"Bearer realm="{}/token",service="reg""#, server.uri());
        Mock::given(path("/token")).respond_with(ResponseTemplate::new(403)).mount(&server).await;
        for (name, status) in [("private", 401), ("denied", 403), ("missing", 404)] {
            let answer = ResponseTemplate::new(status).insert_header("docker-distribution-api-version", "2");
            let answer = if name == "private" {
                answer.insert_header("www-authenticate", challenge.as_str())
            } else {
                answer
            };
            let at = format!("/v2/{name}/manifests/t");
            Mock::given(path(at)).respond_with(answer).mount(&server).await;
        }
        let ask = async |name| registry(&[]).refuses(&image(&server, &format!("{name}:t"))).await;
        assert!(ask("private").await.unwrap() && ask("denied").await.unwrap());
        assert!(!ask("missing").await.unwrap());
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
    async fn what_a_registry_refuses_is_not_worth_another_try() {
        let server = MockServer::start().await;
        for (verb, status) in [("HEAD", 400), ("GET", 422), ("PUT", 409), ("DELETE", 412)] {
            let refusal = ResponseTemplate::new(status).insert_header("docker-distribution-api-version", "2");
            Mock::given(method(verb)).respond_with(refusal).expect(1).mount(&server).await;
        }
        let (registry, image) = (registry(&[]), image(&server, "a:t"));
        let pinned = image.with_digest(Digest::of(b"x"));
        let manifest = Manifest { bytes: Bytes::new(), media_type: String::new() };
        let kinds = [
            registry.digest(&image).await.unwrap_err().kind(),
            registry.tags(&image).await.unwrap_err().kind(),
            registry.put(&image, &manifest).await.unwrap_err().kind(),
            registry.delete(&pinned).await.unwrap_err().kind(),
        ];
        assert_eq!(kinds, [Kind::Denied, Kind::Denied, Kind::Push, Kind::Denied]);
    }

    #[tokio::test]
    async fn a_registry_without_head_is_asked_with_get() {
        let server = MockServer::start().await;
        Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(405)).mount(&server).await;
        Mock::given(method("GET"))
            .and(path("/v2/a/manifests/t"))
            .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"schemaVersion":2}"#))
            .mount(&server)
            .await;
        let registry = registry(&[]);
        let digest = Digest::of(br#"{"schemaVersion":2}"#);
        assert_eq!(registry.digest(&image(&server, "a:t")).await.unwrap(), Some(digest));
        assert_eq!(registry.digest(&image(&server, "a:none")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_token_server_that_refuses_is_not_asked_again() {
        let server = MockServer::start().await;
        let challenge = format!(r#"Bearer realm="{}/gone",service="reg""#, server.uri());
        Mock::given(path("/gone")).respond_with(ResponseTemplate::new(404)).expect(1).mount(&server).await;
        Mock::given(method("HEAD"))
            .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str()))
            .mount(&server)
            .await;
        let error = registry(&[]).digest(&image(&server, "a:t")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{error}");
    }

    /// A registry on this machine need not say which API it speaks: its refusal is no sign of TLS.
    #[tokio::test]
    async fn a_refusal_without_a_header_is_no_sign_of_tls() {
        let server = MockServer::start().await;
        let refusal = json!({"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]});
        Mock::given(method("PUT"))
            .respond_with(ResponseTemplate::new(400).set_body_json(refusal))
            .mount(&server)
            .await;
        Mock::given(method("HEAD")).respond_with(found()).mount(&server).await;
        let (registry, image) = (registry(&[]), image(&server, "a:t"));
        let manifest = Manifest { bytes: Bytes::new(), media_type: String::new() };
        let error = registry.put(&image, &manifest).await.unwrap_err();
        assert!(error.kind() == Kind::Push && error.message().contains("immutable"), "{error}");
        assert!(registry.digest(&image).await.unwrap().is_some(), "still by plain HTTP");
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
        let several = r#"</v2/a/tags/list?n=1>; rel="first", </v2/a/tags/list?n=3>; title="a" ; rel=next"#;
        assert_eq!(next_page(several).as_deref(), Some("tags/list?n=3"));
        for nothing in ["nonsense", r#"</v2/a/tags/list?n=1>; rel="prev""#, &"<>,".repeat(100_000)] {
            assert_eq!(next_page(nothing), None);
        }
    }
}
