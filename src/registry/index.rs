//! One name for the images of several platforms.

use serde_json::{Value, json};

use crate::model::Digest;

const OCI: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The image of one platform.
pub(super) struct Part {
    /// `linux/arm/v7`.
    pub(super) platform: String,
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) size: usize,
}

/// Media type and bytes of the index; of Docker's kind where its parts are.
pub(super) fn index(parts: &[Part]) -> (&'static str, Vec<u8>) {
    let docker = parts.iter().all(|part| part.media_type.starts_with("application/vnd.docker."));
    let media_type = if docker { DOCKER } else { OCI };
    let manifests: Vec<Value> = parts
        .iter()
        .map(|part| {
            let mut words = part.platform.split('/');
            let mut platform = json!({"architecture": "", "os": words.next()});
            platform["architecture"] = json!(words.next());
            if let Some(variant) = words.next() {
                platform["variant"] = variant.into();
            }
            json!({"mediaType": part.media_type, "size": part.size, "digest": part.digest, "platform": platform})
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    (media_type, index.to_string().into_bytes())
}

/// The images of an index, in its order; what BuildKit says of them is none. Nothing for what is no index.
pub(super) fn images(manifest: &Value) -> Vec<Digest> {
    let members = manifest["manifests"].as_array().into_iter().flatten();
    let images = members.filter(|one| one.pointer("/platform/os").and_then(Value::as_str) != Some("unknown"));
    images.filter_map(|one| one["digest"].as_str()?.parse().ok()).collect()
}

/// All that an index leads to; nothing for what is none.
pub(super) fn members(manifest: &Value) -> Vec<Digest> {
    let members = manifest["manifests"].as_array().into_iter().flatten();
    members.filter_map(|one| one["digest"].as_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(platform: &str, media_type: &str) -> Part {
        let (platform, media_type) = (platform.to_owned(), media_type.to_owned());
        Part { digest: Digest::of(platform.as_bytes()), platform, media_type, size: 7 }
    }

    #[test]
    fn an_index_names_its_platforms_and_is_of_the_kind_of_its_parts() {
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let parts = [part("linux/amd64", docker), part("linux/arm/v7", docker)];
        let (media_type, bytes) = index(&parts);
        let index: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((media_type, &index["mediaType"]), (DOCKER, &json!(DOCKER)));
        let platform = json!({"architecture": "arm", "os": "linux", "variant": "v7"});
        assert_eq!(index["manifests"][1]["platform"], platform);
        assert_eq!(images(&index), members(&index));
        let mut attested = index.clone();
        attested["manifests"][1]["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        assert_eq!(images(&attested), [parts[0].digest.clone()]);
        assert_eq!(members(&index), parts.iter().map(|part| part.digest.clone()).collect::<Vec<_>>());
        assert!(members(&json!({"layers": []})).is_empty());
        let oci =
            [part("linux/amd64", "application/vnd.oci.image.manifest.v1+json"), part("linux/arm64", docker)];
        assert_eq!(super::index(&oci).0, OCI);
    }
}
