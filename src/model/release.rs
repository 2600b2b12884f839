//! The facts of a release: its kind, its outcome, who made it, what it ran and what failed. Records store these as they are, so
//! the field names are their format.

use serde::{Deserialize, Serialize};

use super::ObjectId;

/// What kind of release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum ReleaseKind {
    /// A commit's manifests.
    Release,
    /// Objects that others created were taken over unchanged.
    Adoption,
    /// A rollback from one revision to the recorded set of another.
    Rollback {
        /// The revision that was rolled back from.
        from: u64,
        /// The revision whose set was restored.
        to: u64,
        /// Whether `rollback: auto` did it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        automatic: bool,
        /// Whether a GitLab job of an older commit was run again. The newer release does not count as rolled back:
        /// it may be released again without an override.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        redeployed: bool,
    },
}

impl ReleaseKind {
    /// `release`, or `rollback of 8 to 6`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Release => "release".to_owned(),
            Self::Adoption => "adoption".to_owned(),
            Self::Rollback { from, to, automatic: true, .. } => {
                format!("automatic rollback of {from} to {to}")
            }
            Self::Rollback { from, to, .. } => format!("rollback of {from} to {to}"),
        }
    }
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It runs, or was killed before it could record its outcome.
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
    pub(crate) fn word(self) -> &'static str {
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
pub(crate) struct Actor {
    /// The cluster's own answer to "who am I".
    pub identity: String,
    /// GitLab's user, or the local one with the host: what a colleague would recognise.
    pub person: String,
    /// The GitLab job's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// GitLab's `CI_PIPELINE_ID`: a job of the same pipeline that runs again may bring this release back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// How far a release got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseProgress {
    /// How many objects it wrote; `None` before they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<usize>,
    /// How many it was to write.
    pub of: usize,
}

/// A Job that a release ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Which Job.
    pub job: ObjectId,
    /// Whether it completed.
    pub completed: bool,
    /// Whether it has `windlass.dev/rollback: refuse`: a rollback does not undo what it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_rollback: bool,
}

/// The previous set, restored by a cancelled release, and not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentBack {
    /// The revision whose set it is.
    pub to: u64,
    /// How many objects were sent.
    pub sent: usize,
    /// How many should have been sent.
    pub of: usize,
}

impl SentBack {
    /// Whether all that was written is as it was before.
    pub(crate) fn is_complete(&self) -> bool {
        self.sent == self.of
    }
}

/// One failed object in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedCause {
    /// `Deployment/web`.
    pub object: String,
    /// One word of the contract's list.
    pub cause: String,
    /// One sentence.
    pub message: String,
}

/// A rule that was overridden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Override {
    /// `tested`, `after` …
    pub rule: String,
    /// Why; `None` only where the rule needs no reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
