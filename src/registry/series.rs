//! Records about one fact in a registry whose tags cannot be overwritten: each one after the first has a number, and the
//! highest is the newest.

use crate::error::Result;

/// A registry that has everything it is asked for has no newest record.
const MOST: u32 = 1 << 16;

/// The number of the newest record of a series whose first one is there, or is to be written.
///
/// Doubles, then halves: the newest of a hundred is found in a dozen requests, and where there is but one it takes one.
///
/// # Errors
/// Those of `exists`.
pub(super) async fn newest<F>(exists: impl Fn(u32) -> F) -> Result<u32>
where
    F: Future<Output = Result<bool>>,
{
    let (mut there, mut missing) = (1, 2);
    while missing < MOST && exists(missing).await? {
        (there, missing) = (missing, missing * 2);
    }
    while missing - there > 1 {
        let middle = there + (missing - there) / 2;
        if exists(middle).await? {
            there = middle;
        } else {
            missing = middle;
        }
    }
    Ok(there)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

    use super::super::{Keychain, Registry, RegistrySettings};
    use super::*;
    use crate::error::Kind;
    use crate::model::{Digest, Reference};

    const IMAGE: &[u8] = br#"{"schemaVersion":2}"#;

    /// A registry by its manifests, that answers so to a tag that is there already; `None`: it is overwritten.
    #[derive(Clone)]
    pub(crate) struct Tags {
        pub(crate) manifests: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
        refuses: Option<u16>,
    }

    impl Respond for Tags {
        fn respond(&self, request: &Request) -> ResponseTemplate {
            let path = request.url.path();
            let Some((_, tag)) = path.split_once("/manifests/") else { return ResponseTemplate::new(200) };
            let mut manifests = self.manifests.lock().unwrap();
            if request.method.as_str() == "PUT" {
                if let Some(status) = self.refuses.filter(|_| manifests.contains_key(tag)) {
                    let errors =
                        json!({"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]});
                    return ResponseTemplate::new(status).set_body_json(errors);
                }
                manifests.insert(tag.to_owned(), request.body.clone());
                return ResponseTemplate::new(201);
            }
            match manifests.get(tag) {
                Some(bytes) => ResponseTemplate::new(200)
                    .insert_header("docker-content-digest", Digest::of(bytes).as_str())
                    .set_body_bytes(bytes.clone()),
                None => ResponseTemplate::new(404),
            }
        }
    }

    /// A registry with one image.
    pub(crate) async fn with_image(refuses: Option<u16>) -> (MockServer, Tags, Registry, Reference) {
        let server = MockServer::start().await;
        let digest = Digest::of(IMAGE);
        let manifests = [(digest.as_str().to_owned(), IMAGE.to_vec())].into();
        let tags = Tags { manifests: Arc::new(Mutex::new(manifests)), refuses };
        Mock::given(any()).respond_with(tags.clone()).mount(&server).await;
        let image: Reference = format!("{}/shop/web:c", server.address()).parse().unwrap();
        let keychain = Keychain::new(|_| None);
        let registry = Registry::with_keychain(RegistrySettings::default(), keychain);
        (server, tags, registry, image.with_digest(digest))
    }

    #[tokio::test]
    async fn the_newest_record_counts_also_where_no_tag_can_be_overwritten() {
        for refuses in [Some(400), Some(403), Some(412), None] {
            let (_server, tags, registry, image) = with_image(refuses).await;
            assert_eq!(registry.read_record(&image, "test-unit").await.unwrap(), None);
            for run in 1..=5 {
                registry.write_record(&image, "test-unit", &json!({"run": run})).await.unwrap();
                let read = registry.read_record(&image, "test-unit").await.unwrap();
                assert_eq!(read, Some(json!({"run": run})), "{refuses:?}");
            }
            let records = tags.manifests.lock().unwrap().len() - 1;
            assert_eq!(records, if refuses.is_some() { 5 } else { 1 });
            assert_eq!(registry.read_record(&image, "test-unit.2").await.unwrap(), None, "another kind");
        }
    }

    #[tokio::test]
    async fn a_record_that_is_not_taken_at_all_is_a_push_that_failed() {
        let (server, _, registry, image) = with_image(None).await;
        server.reset().await;
        let quota = json!({"errors": [{"code": "TOOBIG", "message": "the quota is used up"}]});
        Mock::given(wiremock::matchers::method("PUT"))
            .respond_with(ResponseTemplate::new(413).set_body_json(quota))
            .mount(&server)
            .await;
        Mock::given(wiremock::matchers::path_regex("/blobs/|sha256:"))
            .respond_with(ResponseTemplate::new(200).set_body_bytes(IMAGE.to_vec()))
            .mount(&server)
            .await;
        let error = registry.write_record(&image, "test-unit", &json!({})).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Push, "{error}");
        assert!(error.message().contains("413") && error.message().contains("quota is used up"), "{error}");
    }

    #[tokio::test]
    async fn the_highest_number_is_found_in_few_requests() {
        for last in 1..=130 {
            let asked = AtomicU32::new(0);
            let exists = |number: u32| {
                asked.fetch_add(1, Ordering::SeqCst);
                async move { Ok(number <= last) }
            };
            assert_eq!(newest(exists).await.unwrap(), last);
            assert!(asked.into_inner() <= 15, "{last}");
        }
        assert!(newest(|_| async { Ok(true) }).await.unwrap() >= MOST / 2, "it comes to an end");
    }
}
