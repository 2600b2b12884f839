//! What a release leaves in the cluster: enough to roll back without Git, CI or the work tree, and to say
//! later what ran, who released it and whether it was tested.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity::ObjectId;

/// The version of the record's own format; a newer one than this program's is refused, never guessed at.
pub const FORMAT: u32 = 1;

/// One release: one attempt to bring a tier to a commit's manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
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
}

impl Record {
    /// A record of which nothing but the summary is known yet.
    pub fn new(summary: Summary) -> Self {
        Self { summary, objects: Vec::new(), jobs: Vec::new(), pruned: Vec::new(), owned: BTreeSet::new() }
    }
}

/// An object that a release applied, and where its kind is served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owned {
    /// `apps/v1`.
    pub api_version: String,
    /// Which object.
    pub id: ObjectId,
}

impl Owned {
    /// How this object is owned.
    pub fn of(object: &Value) -> Self {
        let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        Self { api_version: api_version.to_owned(), id: ObjectId::of(object) }
    }
}

/// The one-line summary of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// 1, 2, 3 … per project and tier.
    pub revision: u64,
    /// What kind of release it is.
    pub kind: Kind,
    /// The project's name.
    pub project: String,
    /// The tier's full name.
    pub tier: String,
    /// The commit, 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The images by name, as `repository:tag@sha256:…`.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
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
    pub progress: Option<Progress>,
    /// The Jobs that it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Task>,
    /// What an interrupted release sent back on its way out (`on_cancel: rollback`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_back: Option<SentBack>,
    /// Whether its full set is still kept.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub kept: bool,
    /// What failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<RecordedCause>,
    /// The rules that were overridden, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

impl Summary {
    /// The commit for people: `1f3c9a0b`, `1f3c9a0b-dirty`; `None` where there is none.
    pub fn short_commit(&self) -> Option<String> {
        let commit = self.commit.as_deref()?;
        let short = &commit[..commit.len().min(8)];
        Some(if self.dirty { format!("{short}-dirty") } else { short.to_owned() })
    }
}

/// How far a release came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How many objects it wrote; `None` while nobody has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<usize>,
    /// How many it was to write.
    pub of: usize,
}

/// A Job that a release ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Which Job.
    pub job: ObjectId,
    /// Whether it completed.
    pub completed: bool,
    /// Whether it says `windlass.dev/rollback: refuse`: what it did is not undone by going back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_rollback: bool,
}

/// The old set, sent by a release that was cancelled, and not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentBack {
    /// The revision whose set it is.
    pub to: u64,
    /// How many objects were sent.
    pub sent: usize,
    /// How many were to be sent.
    pub of: usize,
}

/// What kind of release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A commit's manifests.
    Release,
    /// What others made was taken over as it was.
    Adoption,
    /// Back from one revision to another's recorded set.
    Rollback {
        /// The revision that was rolled back from.
        from: u64,
        /// The revision whose set was brought back.
        to: u64,
        /// Whether `rollback: auto` did it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        automatic: bool,
    },
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It runs, or was killed before it could say how it ended.
    Running,
    /// Every object became ready.
    Good,
    /// The cluster refused something, or an object failed.
    Failed,
    /// The rollout did not finish in time.
    TimedOut,
    /// A signal, or the loss of the lock, ended it.
    Interrupted,
}

impl Outcome {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Good => "good",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Who released, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The cluster's own answer to "who am I".
    pub identity: String,
    /// GitLab's user, or the local one with the host: what a colleague would recognise.
    pub person: String,
    /// The GitLab job's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// One failed object in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCause {
    /// `Deployment/web`.
    pub object: String,
    /// One word of the contract's list.
    pub cause: String,
    /// One sentence.
    pub message: String,
}

/// A rule that was overridden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// `tested`, `after` …
    pub rule: String,
    /// Why; `None` only where the rule needs no reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An object of the applied set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// What was sent.
    pub object: Value,
    /// A hash of the fields that the cluster's managed fields said were ours after the apply; `None` when the
    /// object was not reached. While it is still what the cluster says, nobody changed a field of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

/// The last run of a Job's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRun {
    /// Which Job.
    pub job: ObjectId,
    /// The hash of its content, image digests included.
    pub content: String,
    /// Whether it completed.
    pub completed: bool,
}
