//! A registry that was in use for years: images with the tags that windlass gives them, and records beside them. Put there by
//! HTTP, since to build twenty thousand images would take a day.

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use windlass::model::Digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &[u8] = b"{}";
/// Requests under way at once.
const AT_ONCE: usize = 16;
/// Of ten images one is young and one has a tag that windlass did not make: these stay.
const OF_TEN: usize = 10;
/// Its content, its commit, what came out of its build, and the records of the build and of a test.
pub(crate) const TAGS_OF_IMAGE: usize = 5;

/// So many images in each of so many repositories, `<name>/i000` and so on.
pub(crate) struct Tags<'a> {
    pub(crate) registry: &'a str,
    pub(crate) name: &'a str,
    pub(crate) repositories: usize,
    pub(crate) images: usize,
}

impl Tags<'_> {
    /// How many of the images nothing needs.
    pub(crate) fn unneeded(&self) -> usize {
        self.repositories * (0..self.images).filter(|image| (2..OF_TEN).contains(&(image % OF_TEN))).count()
    }

    pub(crate) fn repository(&self, repository: usize) -> String {
        format!("{}/i{repository:03}", self.name)
    }

    pub(crate) async fn put(&self) {
        let client = client();
        let client = &client;
        let blobs = stream::iter(0..self.repositories).map(|repository| async move {
            self.blob(client, &self.repository(repository), EMPTY.to_vec()).await;
        });
        blobs.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
        let all = (0..self.images).flat_map(|image| (0..self.repositories).map(move |one| (one, image)));
        let images = stream::iter(all).map(|(repository, image)| async move {
            self.image(client, &self.repository(repository), image).await;
        });
        images.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }

    async fn image(&self, client: &Client, repository: &str, number: usize) {
        let made = if number.is_multiple_of(OF_TEN) {
            jiff::Timestamp::now().to_string()
        } else {
            "2025-01-01T00:00:00Z".to_owned()
        };
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"User": format!("{repository} {number}")}});
        let config = config.to_string().into_bytes();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": described("application/vnd.oci.image.config.v1+json", &config)});
        let manifest = manifest.to_string().into_bytes();
        self.blob(client, repository, config).await;
        let subject = Digest::of(&manifest);
        let commit = Digest::of(subject.hex().as_bytes()).hex()[..40].to_owned();
        let mut tags = vec![
            format!("content-{}", &subject.hex()[..16]),
            commit.clone(),
            format!("windlass.layers-{}", &subject.hex()[..32]),
        ];
        if number % OF_TEN == 1 {
            tags.push(format!("v{number}"));
        }
        for tag in tags {
            self.manifest(client, repository, &tag, manifest.clone()).await;
        }
        let build = json!({"commits": [{"commit": commit, "time": made, "branch": "main"}]});
        let test =
            json!({"test": "unit", "definition": "0123456789abcdef", "passed": true, "summary": "6 passed"});
        for (kind, family, record) in [("build", "build", build), ("test-unit", "test", test)] {
            let empty = described("application/vnd.oci.empty.v1+json", EMPTY);
            let record = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [empty],
                "artifactType": format!("application/vnd.windlass.{family}.v1+json"), "subject": described(MANIFEST, &manifest),
                "annotations": {"dev.windlass.record": record.to_string(), "dev.windlass.kind": kind}});
            let tag = format!("sha256-{}.{kind}", subject.hex());
            self.manifest(client, repository, &tag, record.to_string().into_bytes()).await;
        }
    }

    async fn blob(&self, client: &Client, repository: &str, bytes: Vec<u8>) {
        let upload = client.post(format!("http://{}/v2/{repository}/blobs/uploads/", self.registry));
        let answer = upload.send().await.unwrap();
        let place = answer.headers()["location"].to_str().unwrap().to_owned();
        let place = if place.starts_with('/') { format!("http://{}{place}", self.registry) } else { place };
        let mark = if place.contains('?') { '&' } else { '?' };
        let put = client.put(format!("{place}{mark}digest={}", Digest::of(&bytes))).body(bytes);
        assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    }

    async fn manifest(&self, client: &Client, repository: &str, tag: &str, bytes: Vec<u8>) {
        let put = client.put(format!("http://{}/v2/{repository}/manifests/{tag}", self.registry));
        let put = put.header("content-type", MANIFEST).body(bytes);
        assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    }

    /// The tags that are there, and the digests that they lead to.
    pub(crate) async fn left(&self) -> Vec<(String, Vec<String>)> {
        let client = client();
        let mut left = Vec::new();
        for repository in (0..self.repositories).map(|one| self.repository(one)) {
            let list = client
                .get(format!("http://{}/v2/{repository}/tags/list", self.registry))
                .send()
                .await
                .unwrap();
            let list: Value = serde_json::from_slice(&list.bytes().await.unwrap()).unwrap_or_default();
            let tags = list["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
            left.push((repository, tags.map(str::to_owned).collect()));
        }
        left
    }

    /// Deletes what is left.
    pub(crate) async fn clear(&self) {
        let client = client();
        for (repository, tags) in self.left().await {
            let path =
                |reference: &str| format!("http://{}/v2/{repository}/manifests/{reference}", self.registry);
            let (client, path) = (&client, &path);
            let deletions = stream::iter(tags).map(|tag| async move {
                let head = client.request(Method::HEAD, path(&tag)).header("accept", MANIFEST).send().await?;
                if let Some(digest) = head.headers().get("docker-content-digest") {
                    client.delete(path(digest.to_str().unwrap())).send().await?;
                }
                Ok::<_, reqwest::Error>(())
            });
            deletions.buffer_unordered(AT_ONCE).try_collect::<()>().await.unwrap();
        }
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()})
}
