//! Where an image comes from: which commits it is the image of, by the record of its builds beside it. No label says it: an image
//! that nothing has changed stays the same for every commit. What an older windlass built says it by its labels.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CONFIG, Registry, index};
use crate::error::Result;
use crate::model::{Digest, Reference};

/// The kind of the record.
pub(crate) const BUILD: &str = "build";
/// Commits that a record names, the newest.
const COMMITS: usize = 20;
/// Images of one index.
const PARTS: usize = 64;

/// A commit that an image was built or found for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    /// Its tag: the commit, or `<commit>-dirty-<hash>`.
    #[serde(default)]
    pub commit: String,
    /// When the commit was made; `None` where nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The branch that it was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// Where an image that windlass built comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The newest commit first.
    pub builds: Vec<Build>,
}

impl Origin {
    fn of_record(record: &Value) -> Self {
        let builds = record["commits"].as_array().into_iter().flatten();
        let read = |build: &Value| serde_json::from_value(build.clone()).ok();
        Self { builds: builds.filter_map(read).take(COMMITS).collect() }
    }

    fn of_labels(config: &Value) -> Self {
        let label = |name: &str| {
            config["config"]["Labels"][format!("org.opencontainers.image.{name}")].as_str().map(str::to_owned)
        };
        let build = Build {
            commit: label("revision").unwrap_or_default(),
            time: label("created").and_then(|time| time.parse().ok()),
            branch: label("ref.name"),
        };
        let says_nothing = build.time.is_none() && build.branch.is_none();
        Self { builds: if says_nothing { Vec::new() } else { vec![build] } }
    }

    /// When the newest of its commits was made; `None` where nothing says so.
    pub(crate) fn made(&self) -> Option<Timestamp> {
        self.builds.iter().filter_map(|build| build.time).max()
    }

    /// As [`Origin::made`], of the commits of this branch, where one is.
    pub(crate) fn made_on(&self, branch: &str) -> Option<Timestamp> {
        let of_branch = self.builds.iter().filter(|build| build.branch.as_deref() == Some(branch));
        of_branch.filter_map(|build| build.time).max().or_else(|| self.made())
    }

    /// The branches that it was built for.
    pub(crate) fn branches(&self) -> impl Iterator<Item = &str> {
        self.builds.iter().filter_map(|build| build.branch.as_deref())
    }

    /// Adds a commit; whether that changed anything.
    fn add(&mut self, build: Build) -> bool {
        if self.builds.contains(&build) {
            return false;
        }
        self.builds.retain(|one| one.commit != build.commit);
        self.builds.push(build);
        self.builds.sort_by_key(|one| std::cmp::Reverse(one.time));
        self.builds.truncate(COMMITS);
        true
    }
}

impl Registry {
    /// Where an image comes from; an index speaks by its first image where it has no record.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn origin(&self, image: &Reference) -> Result<Origin> {
        match self.record_if_readable(image, BUILD).await? {
            Some(record) => Ok(Origin::of_record(&record)),
            None => self.origin_by_labels(image).await,
        }
    }

    /// As [`Registry::origin`], of which the caller knows under which tag the newest record stands.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn origin_under(&self, image: &Reference, tag: &str) -> Result<Origin> {
        let record = self.read_record_under(image, tag).await.ok().flatten();
        match record {
            Some(record) => Ok(Origin::of_record(&record)),
            None => self.origin_by_labels(image).await,
        }
    }

    /// What the labels of an image say, which only those of older versions of windlass have.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn origin_by_labels(&self, image: &Reference) -> Result<Origin> {
        let configs = self.configs(image, 1).await?;
        Ok(configs.first().map(Origin::of_labels).unwrap_or_default())
    }

    /// Notes that the image, which must have a digest, is the one of a commit, too.
    ///
    /// # Errors
    /// As [`Registry::tag`].
    pub(crate) async fn note_build(&self, image: &Reference, build: Build) -> Result<()> {
        let mut origin = self.origin(image).await?;
        if origin.add(build) {
            self.write_record(image, BUILD, &json!({"commits": origin.builds})).await?;
        }
        Ok(())
    }

    /// The configuration of an image, or of each image of an index; attestations are none. Nothing of this is remembered: of
    /// thousands of images it would be too much.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub(crate) async fn configurations(&self, image: &Reference) -> Result<Vec<Value>> {
        self.configs(image, PARTS).await
    }

    async fn configs(&self, image: &Reference, most: usize) -> Result<Vec<Value>> {
        let Some(manifest) = self.fetch(image).await? else { return Ok(Vec::new()) };
        let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
        let parts = index::images(&manifest);
        if parts.is_empty() {
            return Ok(self.config_of(image, &manifest).await?.into_iter().collect());
        }
        let mut configs = Vec::new();
        for part in parts.into_iter().take(most) {
            let Some(part) = self.fetch(&image.with_digest(part)).await? else { continue };
            let part: Value = serde_json::from_slice(&part.bytes).unwrap_or_default();
            configs.extend(self.config_of(image, &part).await?);
        }
        Ok(configs)
    }

    /// The configuration that a manifest names; `None` for what is none.
    async fn config_of(&self, image: &Reference, manifest: &Value) -> Result<Option<Value>> {
        let digest = manifest.pointer("/config/digest").and_then(Value::as_str);
        let Some(digest) = digest.and_then(|digest| digest.parse::<Digest>().ok()) else { return Ok(None) };
        let answer = self.ask(image, http::Method::GET, format!("blobs/{digest}"), CONFIG).await?;
        if Digest::of(&answer.body) != digest {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&answer.body).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::in_memory;

    fn build(commit: &str, second: i64, branch: &str) -> Build {
        let time = Timestamp::from_second(second).ok();
        Build { commit: commit.to_owned(), time, branch: Some(branch.to_owned()) }
    }

    #[tokio::test]
    async fn an_image_is_of_every_commit_that_it_was_found_for() {
        let (_server, tags, registry, image) = in_memory(None).await;
        assert_eq!(registry.origin(&image).await.unwrap(), Origin::default(), "nothing says it");
        registry.note_build(&image, build("b", 20, "main")).await.unwrap();
        registry.note_build(&image, build("c", 30, "feature")).await.unwrap();
        registry.note_build(&image, build("a", 10, "main")).await.unwrap();
        let origin = registry.origin(&image).await.unwrap();
        let commits: Vec<&str> = origin.builds.iter().map(|build| build.commit.as_str()).collect();
        assert_eq!(commits, ["c", "b", "a"], "the newest first");
        assert_eq!(origin.made(), Timestamp::from_second(30).ok());
        assert_eq!(origin.made_on("main"), Timestamp::from_second(20).ok());
        assert_eq!(origin.made_on("other"), origin.made(), "nothing is known of that branch");
        assert_eq!(tags.manifests.lock().unwrap().len(), 2, "one record");
    }

    #[test]
    fn a_record_does_not_grow_without_end() {
        let mut origin = Origin::default();
        for number in 0..100 {
            assert!(origin.add(build(&number.to_string(), number, "main")));
        }
        assert_eq!((origin.builds.len(), origin.builds[0].commit.as_str()), (COMMITS, "99"));
        assert!(!origin.add(build("99", 99, "main")), "known already");
    }
}
