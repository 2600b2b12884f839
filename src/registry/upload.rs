//! Blobs and manifests that windlass itself puts into a registry.

use bytes::Bytes;
use http::{Method, header};
use serde_json::Value;

use super::transport::Ask;
use super::{CONFIG, Manifest, PAGE, Registry, expect_push, gone};
use crate::error::Result;
use crate::model::{Digest, Reference};

impl Registry {
    /// Puts an image (which must have a digest) under a tag with another configuration of the same layers.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub(crate) async fn put_with_configuration(
        &self,
        image: &Reference,
        configuration: &Value,
        tag: &str,
    ) -> Result<()> {
        let manifest = self.manifest(image).await?.ok_or_else(|| gone(image))?;
        let mut changed: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
        let Some(config) = changed.get_mut("config").and_then(Value::as_object_mut) else {
            return Err(gone(image));
        };
        let bytes = Bytes::from(configuration.to_string());
        config.insert("digest".to_owned(), Value::from(Digest::of(&bytes).as_str()));
        config.insert("size".to_owned(), Value::from(bytes.len()));
        self.put_blob(image, bytes).await?;
        let manifest = Manifest { bytes: changed.to_string().into(), media_type: manifest.media_type };
        self.put(&image.with_tag(tag), &manifest).await.map(drop)
    }

    /// Makes sure that a small blob is in the image's repository.
    pub(super) async fn put_blob(&self, image: &Reference, bytes: Bytes) -> Result<()> {
        let digest = Digest::of(&bytes);
        let found = self.ask(image, Method::HEAD, format!("blobs/{digest}"), CONFIG).await?;
        if found.status.is_success() {
            return Ok(());
        }
        let begun = self.ask(image, Method::POST, "blobs/uploads/".to_owned(), PAGE).await?;
        expect_push(image, &begun, "did not begin an upload")?;
        let place = begun.header("location").unwrap_or_default();
        let mark = if place.contains('?') { '&' } else { '?' };
        let place = place.strip_prefix(&format!("/v2/{}/", image.repository)).unwrap_or(place);
        let ask = Ask {
            host: &image.registry,
            repository: &image.repository,
            method: Method::PUT,
            path: format!("{place}{mark}digest={digest}"),
            headers: vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())],
            body: bytes,
            most: PAGE,
        };
        let answer = self.transport.send(&ask).await?;
        expect_push(image, &answer, "did not take a blob")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::in_memory;

    #[tokio::test]
    async fn an_image_gets_another_configuration_and_keeps_its_layers() {
        let (_server, tags, registry, image) = in_memory(None).await;
        let before = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"mediaType": "c", "digest": "d", "size": 1}, "layers": [{"digest": "l"}]});
        let written = Bytes::from(before.to_string());
        tags.manifests.lock().unwrap().insert(Digest::of(&written).to_string(), written.to_vec());
        let image = image.with_digest(Digest::of(&written));
        let configuration = json!({"rootfs": {}});
        registry.put_with_configuration(&image, &configuration, "windlass.cache-main").await.unwrap();
        let after: Value =
            serde_json::from_slice(&tags.manifests.lock().unwrap()["windlass.cache-main"]).unwrap();
        let bytes = configuration.to_string();
        assert_eq!(
            after["config"],
            json!({"mediaType": "c", "digest": Digest::of(bytes.as_bytes()), "size": bytes.len()})
        );
        assert_eq!(after["layers"], before["layers"]);
    }
}
