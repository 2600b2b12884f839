//! What a release stores in the cluster: enough to roll back without Git, CI or the work tree, and to tell later what
//! ran, who released it and whether it was tested.

mod actor;
pub(crate) mod content;
pub(crate) mod fuzzing;
mod image;
pub(crate) mod kept_rules;
pub(crate) mod needed;
pub(crate) mod prior;
pub(crate) mod store;
pub(crate) mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub(crate) use crate::model::release::{
    Actor, Outcome, Override, RecordedCause, ReleaseKind, ReleaseProgress, SentBack, Task,
};
use crate::model::{ObjectId, Unserved, is_commit, revision};
use crate::project::TierRules;
pub(crate) use image::RecordedImage;

/// The version of the record format. A version newer than this program's is refused, never guessed at. It increases
/// with every field whose loss would matter, because an older program drops unknown fields when it rewrites the
/// history. 2: the pipeline of an [`Actor`], and rollbacks that leave the newer release as it is.
pub(crate) const FORMAT: u32 = 2;

/// One release: one attempt to bring a tier to a commit's manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What `history` shows; the tier's ConfigMap has it as well, without the rest of the record.
    pub summary: Summary,
    /// All applied objects, in apply order.
    pub objects: Vec<Applied>,
    /// The Jobs of the release, with the result of the last run of their content.
    #[serde(default)]
    pub jobs: Vec<JobRun>,
    /// The objects that the release deleted because they were removed from its manifests.
    #[serde(default)]
    pub pruned: Vec<ObjectId>,
    /// Everything that this and earlier releases applied and that may still exist: the objects of this release, and
    /// while it runs or after it failed also those that it has not pruned yet.
    #[serde(default)]
    pub owned: BTreeSet<Owned>,
    /// Services and Ingresses of a good release without endpoints, which caused only a warning; `None` in a record of a
    /// version that did not check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unserved: Option<Vec<Unserved>>,
}

impl Record {
    /// A record with only a summary so far.
    pub(crate) fn new(summary: Summary) -> Self {
        Self {
            summary,
            objects: Vec::new(),
            jobs: Vec::new(),
            pruned: Vec::new(),
            owned: BTreeSet::new(),
            unserved: None,
        }
    }
}

/// An object that a release applied, with the API version of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Owned {
    /// `apps/v1`.
    pub api_version: String,
    /// The object.
    pub id: ObjectId,
}

impl Owned {
    /// The API version and identity of this object.
    pub(crate) fn of(object: &Value) -> Self {
        let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        Self { api_version: api_version.to_owned(), id: ObjectId::of(object) }
    }
}

/// The one-line summary of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// 1, 2, 3 … per project and tier.
    #[serde(deserialize_with = "revision")]
    pub revision: u64,
    /// What kind of release it is.
    pub kind: ReleaseKind,
    /// The project's name.
    pub project: String,
    /// The tier's full name.
    pub tier: String,
    /// The commit, 40 or 64 hexadecimal digits.
    #[serde(default, deserialize_with = "commit", skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The images by name, as `repository:tag@sha256:…`.
    #[serde(default)]
    pub images: BTreeMap<String, RecordedImage>,
    /// Whether every test of the commit had a passed record; `None` if it has no tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<bool>,
    /// A hash of the checks that it passed after the rollout (`verify`); `None` if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// Whether the work tree differed from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// Who released it, and from where.
    pub by: Actor,
    /// When it began, by the API server's clock.
    pub started: Timestamp,
    /// When it ended; `None` while it runs, or when it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub outcome: Outcome,
    /// A hash of the content of all objects: two releases with the same one run the same content.
    pub set: String,
    /// The number of objects.
    pub objects: usize,
    /// How far it got, if it did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ReleaseProgress>,
    /// The Jobs that it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Task>,
    /// What an interrupted release restored before it exited (`on_cancel: rollback`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_back: Option<SentBack>,
    /// The objects that counted as ready because their status has no known condition or phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged: Vec<ObjectId>,
    /// Whether its full record is still stored.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub kept: bool,
    /// What failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<RecordedCause>,
    /// The rules that were overridden, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// The tier's rules as in its configuration, for commands that read no configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<TierRules>,
}

/// More releases than any tier has; 0 is the state before the first release.
const MOST_REVISIONS: u64 = 1_000_000_000;

/// Everyone who may write ConfigMaps may write records: refuse revisions that would make a number overflow.
fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let revision = u64::deserialize(deserializer)?;
    let is_one = revision <= MOST_REVISIONS;
    is_one.then_some(revision).ok_or_else(|| D::Error::custom("`revision` is not a revision"))
}

/// As for [`revision`]: must have the shape of an object, because it is changed and applied again.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Value>, D::Error> {
    let object = Value::deserialize(deserializer)?;
    let is_text =
        |pointer: &str| object.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let is_map =
        |pointer: &str| object.pointer(pointer).is_none_or(|value| value.is_object() || value.is_null());
    let texts = ["/apiVersion", "/kind", "/metadata/name"].into_iter().all(is_text);
    let maps = ["/metadata/labels", "/metadata/annotations"].into_iter().all(is_map);
    (texts && maps)
        .then(|| Arc::new(object))
        .ok_or_else(|| D::Error::custom("an `object` is not an object of Kubernetes"))
}

/// As for [`revision`]: must be a commit, because it is passed to Git.
fn commit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let commit = Option::<String>::deserialize(deserializer)?;
    if commit.as_deref().is_none_or(is_commit) {
        return Ok(commit);
    }
    Err(D::Error::custom("`commit` is not 40 or 64 hexadecimal digits"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

impl Summary {
    /// A release of this project and tier at its start: no objects, and nothing done.
    pub(crate) fn begin(
        revision: u64,
        kind: ReleaseKind,
        (project, tier): (&str, &str),
        by: Actor,
        started: Timestamp,
    ) -> Self {
        Self {
            format: FORMAT,
            revision,
            kind,
            project: project.to_owned(),
            tier: tier.to_owned(),
            commit: None,
            branch: None,
            images: BTreeMap::new(),
            tested: None,
            verified: None,
            dirty: false,
            by,
            started,
            finished: None,
            outcome: Outcome::Running,
            set: String::new(),
            objects: 0,
            progress: None,
            jobs: Vec::new(),
            sent_back: None,
            unjudged: Vec::new(),
            kept: true,
            causes: Vec::new(),
            overrides: Vec::new(),
            rules: None,
        }
    }

    /// The short commit: `1f3c9a0b`, `1f3c9a0b-dirty`; `None` if there is none.
    pub(crate) fn short_commit(&self) -> Option<String> {
        Some(revision::short_with_state(self.commit.as_deref()?, self.dirty))
    }
}

/// An attempt to release that ended before its first change. It has no revision and is not a release: a rollback
/// ignores it, `history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedAttempt {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// The newest recorded revision when it ended; 0 if nothing was released yet.
    pub after: u64,
    /// When it ended, by the API server's clock.
    pub at: Timestamp,
    /// The commit, 40 or 64 hexadecimal digits.
    #[serde(default, deserialize_with = "commit", skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether the work tree differed from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// Who tried, and from where.
    pub by: Actor,
    /// The exit code (see the contract).
    pub exit_code: u8,
    /// Why it ended, in one sentence.
    pub message: String,
}

/// An applied object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The object that was sent.
    #[serde(deserialize_with = "object")]
    pub object: Arc<Value>,
    /// A hash of the managed fields that were ours after the apply; `None` if the object was not reached. As long as
    /// the cluster has the same hash, nobody changed a field of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

/// The last run of a Job's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRun {
    /// The Job.
    pub job: ObjectId,
    /// The hash of its content, image digests included.
    pub content: String,
    /// Whether it completed.
    pub completed: bool,
}
