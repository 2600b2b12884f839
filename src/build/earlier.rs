//! The result of an earlier run of the same commit, as one record beside its first image: where nothing has changed, each
//! image takes one request instead of two or three.
//!
//! The record says which content each image was made of, and that the commit's tag, and the default branch's where the
//! run was on it, were brought up to date. It says nothing of what is there now: that is asked of every image.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::Result;
use crate::model::{Digest, Reference};
use crate::registry::Registry;
use crate::text::hex;

/// For fewer images than this a record saves nothing.
const FEW: usize = 4;

/// By the image's name: its content tag, and its digest.
pub(super) type Made = BTreeMap<String, (String, Digest)>;

/// The images of a commit.
pub(super) struct Earlier {
    /// The commit's tag of the first image.
    first: Reference,
    kind: String,
    made: Made,
}

impl Earlier {
    /// What is on record of these images of the commit; `branch` is the default branch's tag, where it is to follow. `None`
    /// for so few images that it does not matter.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn find(
        registry: &Registry,
        images: &BTreeMap<String, Reference>,
        branch: Option<&str>,
    ) -> Result<Option<Self>> {
        let Some(first) = images.values().next().filter(|_| images.len() >= FEW) else { return Ok(None) };
        let names: Vec<&String> = images.keys().collect();
        let key = json!([first.tag, branch, names]).to_string();
        let mut earlier = Self {
            first: first.clone(),
            kind: format!("commit-{}", &hex::sha256(key.as_bytes())[..16]),
            made: Made::new(),
        };
        if let Some(digest) = registry.digest_before_push(first).await? {
            let record = registry.record_if_readable(&first.with_digest(digest), &earlier.kind).await?;
            earlier.made = record.as_ref().map(read).unwrap_or_default();
        }
        Ok(Some(earlier))
    }

    /// The digest of the image if it was made of this content.
    pub(super) fn digest(&self, name: &str, content: &str) -> Option<&Digest> {
        let (made_of, digest) = self.made.get(name)?;
        (made_of == content).then_some(digest)
    }

    /// Leaves what this run came to, where that is not on record.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn write(&self, registry: &Registry, made: &Made) -> Result<()> {
        let Some((_, digest)) = made.values().next().filter(|_| *made != self.made) else { return Ok(()) };
        let images: BTreeMap<&String, Value> = made
            .iter()
            .map(|(name, (content, digest))| (name, json!({"content": content, "digest": digest})))
            .collect();
        let first = self.first.with_digest(digest.clone());
        registry.write_record(&first, &self.kind, &json!({"images": images})).await.map(drop)
    }
}

fn read(record: &Value) -> Made {
    let images = record["images"].as_object().into_iter().flatten();
    let made = |(name, image): (&String, &Value)| {
        let digest = image["digest"].as_str()?.parse().ok()?;
        Some((name.clone(), (image["content"].as_str()?.to_owned(), digest)))
    };
    images.filter_map(made).collect()
}

#[cfg(test)]
mod tests {
    use crate::registry::in_memory;

    use super::*;

    #[tokio::test]
    async fn an_earlier_run_of_the_commit_on_the_branch_is_known_and_of_no_other() {
        let (_server, tags, registry, image) = in_memory(None).await;
        let digest = image.digest.clone().unwrap();
        let bytes = tags.manifests.lock().unwrap()[digest.as_str()].clone();
        tags.manifests.lock().unwrap().insert("c0ffee".to_owned(), bytes);
        let named = |count: u32| {
            let named = |number| (format!("i{number}"), image.with_tag("c0ffee"));
            (0..count).map(named).collect::<BTreeMap<_, _>>()
        };
        let made: Made = named(4)
            .into_keys()
            .map(|name| (name.clone(), (format!("content-{name}"), digest.clone())))
            .collect();
        let first = Earlier::find(&registry, &named(4), Some("main")).await.unwrap().unwrap();
        assert_eq!(first.digest("i1", "content-i1"), None);
        first.write(&registry, &made).await.unwrap();
        let again = Earlier::find(&registry, &named(4), Some("main")).await.unwrap().unwrap();
        assert_eq!(again.digest("i1", "content-i1"), Some(&digest));
        assert_eq!(again.digest("i1", "content-i2"), None, "made of something else");
        let elsewhere = Earlier::find(&registry, &named(4), None).await.unwrap().unwrap();
        assert_eq!(elsewhere.digest("i1", "content-i1"), None, "the branch's tag was not brought up to date");
        let more = Earlier::find(&registry, &named(5), Some("main")).await.unwrap().unwrap();
        assert_eq!(more.digest("i1", "content-i1"), None);
        assert!(Earlier::find(&registry, &named(3), Some("main")).await.unwrap().is_none());
    }
}
