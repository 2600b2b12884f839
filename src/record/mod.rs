//! What a release leaves in the cluster: enough to roll back without Git, CI or the work tree, and to say
//! later what ran, who released it and whether it was tested.

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

/// The version of the record's own format; a newer one than this program's is refused, never guessed at. It grows with
/// every field whose loss would matter, for an older program drops what it does not know when it rewrites the history.
/// 2: the pipeline of an [`Actor`], and rollbacks that leave the newer release as it is.
pub(crate) const FORMAT: u32 = 2;

/// One release: one attempt to bring a tier to a commit's manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What `history` shows; it also stands, alone, in the tier's ConfigMap.
    pub summary: Summary,
    /// The whole applied set, in apply order.
    pub objects: Vec<Applied>,
    /// The Jobs of the set, with how the last run of their content ended.
    #[serde(default)]
    pub jobs: Vec<JobRun>,
    /// What the release deleted because its manifests no longer have it.
    #[serde(default)]
    pub pruned: Vec<ObjectId>,
    /// Everything that this and earlier releases applied and that may still be there: the set itself, and
    /// while a release runs or after it failed also what it had not yet pruned.
    #[serde(default)]
    pub owned: BTreeSet<Owned>,
    /// Where Services and Ingresses of a good release lead nowhere, which was worth a warning only; `None` in a
    /// record of a version that did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unserved: Option<Vec<Unserved>>,
}

impl Record {
    /// A record of which nothing but the summary is known yet.
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

/// An object that a release applied, and where its kind is served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Owned {
    /// `apps/v1`.
    pub api_version: String,
    /// Which object.
    pub id: ObjectId,
}

impl Owned {
    /// How this object is owned.
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
    /// Whether every test that the commit declares had a passed record; `None` where it declares none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<bool>,
    /// A hash of the checks that it passed after the rollout (`verify`); `None` where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// Whether what was released is not what the commit has.
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
    /// A hash of the whole set's content: two releases with the same one run the same.
    pub set: String,
    /// How many objects the set has.
    pub objects: usize,
    /// How far it came, where it did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ReleaseProgress>,
    /// The Jobs that it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Task>,
    /// What an interrupted release sent back on its way out (`on_cancel: rollback`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_back: Option<SentBack>,
    /// What counted as ready because its status has no known condition or phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged: Vec<ObjectId>,
    /// Whether its full set is still kept.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub kept: bool,
    /// What failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<RecordedCause>,
    /// The rules that were overridden, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// The tier's rules as its configuration had them, for commands that read none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<TierRules>,
}

/// More releases than any tier has; 0 is what was there before the first.
const MOST_REVISIONS: u64 = 1_000_000_000;

/// Whoever may write ConfigMaps may write records: what would make a number overflow is none of ours.
fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let revision = u64::deserialize(deserializer)?;
    let is_one = revision <= MOST_REVISIONS;
    is_one.then_some(revision).ok_or_else(|| D::Error::custom("`revision` is not a revision"))
}

/// As for [`revision`]: what is changed before it is sent again has the shape of an object.
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

/// As for [`revision`]: what is given to Git as a commit is one.
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
    /// A release of this project and tier as it begins: with nothing in it yet, and nothing done.
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

    /// The commit for people: `1f3c9a0b`, `1f3c9a0b-dirty`; `None` where there is none.
    pub(crate) fn short_commit(&self) -> Option<String> {
        Some(revision::short_with_state(self.commit.as_deref()?, self.dirty))
    }
}

/// An attempt to release that ended before its first change. It takes no revision and is no release: a rollback never
/// counts it, `history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedAttempt {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// The newest revision on record when it ended; 0 where nothing was released yet.
    pub after: u64,
    /// When it ended, by the API server's clock.
    pub at: Timestamp,
    /// The commit, 40 or 64 hexadecimal digits.
    #[serde(default, deserialize_with = "commit", skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether the work tree was not what the commit has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// Who tried, and from where.
    pub by: Actor,
    /// The exit code of the contract.
    pub exit_code: u8,
    /// One sentence: why it ended.
    pub message: String,
}

/// An object of the applied set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// What was sent.
    #[serde(deserialize_with = "object")]
    pub object: Arc<Value>,
    /// A hash of the fields that the cluster's managed fields said were ours after the apply; `None` when the
    /// object was not reached. While it is still what the cluster says, nobody changed a field of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

/// The last run of a Job's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRun {
    /// Which Job.
    pub job: ObjectId,
    /// The hash of its content, image digests included.
    pub content: String,
    /// Whether it completed.
    pub completed: bool,
}
