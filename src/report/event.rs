//! The one type of event that every module reports with (contract, section 7).
//!
//! A renderer turns events into what its reader needs; nothing else prints. An event carries facts, never
//! layout: no colour, no padding, no line breaks inside a message.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Cause, Failure, Outcome, Stage, Stream, Verdict};
use crate::text::shell_word;

/// The state of an object of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectState {
    /// The stage that looks at it.
    pub stage: Stage,
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its namespace; empty for a cluster-scoped object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Replicas that are ready, of those wanted: `2/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
}

impl Event {
    /// Puts a tier's name into hints that say `windlass plan TIER`, for those who write them know none.
    pub(super) fn name_tier(&mut self, tier: &str) {
        let hints: Vec<&mut Option<String>> = match self {
            Self::Warning(warning) => vec![&mut warning.hint],
            Self::Finished(finished) => {
                let causes = finished.causes.iter_mut().map(|cause| &mut cause.hint);
                std::iter::once(&mut finished.hint).chain(causes).collect()
            }
            _ => Vec::new(),
        };
        for hint in hints.into_iter().flatten() {
            *hint = hint.replace(" TIER`", &format!(" {}`", shell_word(tier)));
        }
    }
}

/// Something a person should know that does not end the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// One sentence, with its place in front where it is about a file: `.kube/web.yaml:7:3: …`.
    pub message: String,
    /// The lines of the user's file that the message is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The end of a command: always the last event, whatever happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finished {
    /// `release`, `build` …
    pub command: String,
    /// How it ended: `ok`, `failed`, `refused` or `interrupted`.
    pub outcome: Outcome,
    /// The exit code of the contract.
    pub exit_code: u8,
    /// The stage in which it ended, where it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The images, by name, as `repository:tag@sha256:…`.
    pub images: BTreeMap<String, String>,
    /// The release's revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The revision that a rollback, asked for or automatic, led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
    /// The revision that an interrupted release sent back (`on_cancel: rollback`); nobody watched it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_back_to: Option<u64>,
    /// Whether anything was changed in the cluster; absent where the command is none that changes a tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// The good release that still runs, where a release or a rollback did not change everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still_runs: Option<u64>,
    /// The workloads that a failed release was to change and did not reach, as `Deployment/web`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untouched: Vec<String>,
    /// What a rollback leads to, in words: `89147efa, release 1`.
    #[serde(skip)]
    pub back_to: Option<String>,
    /// Where what was released answers, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What failed.
    pub causes: Vec<Failure>,
    /// The error's own sentence, with its place, where it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The lines of the user's file that the message is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Complete commands to type next, most useful first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// Seconds since the command began.
    pub seconds: f64,
}

/// What happens while a command runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: Stage,
        /// One line: what it is about to do, `2 images, commit 1f3c9a0`.
        title: String,
    },
    /// A stage ended.
    StageFinished {
        /// Which.
        stage: Stage,
        /// How.
        outcome: Outcome,
        /// One line: what it did, `web already built`.
        summary: String,
        /// How long it took.
        seconds: f64,
    },
    /// A piece of work inside a stage begins. Steps of one stage may run at the same time.
    StepStarted {
        /// The stage it belongs to.
        stage: Stage,
        /// Unique within the run of the stage: `build web`, `push web`, `test unit`, `apply workloads`.
        step: String,
        /// One line for people: `building web`.
        title: String,
    },
    /// A running step got further; shown where the renderer can, left out of machine output.
    #[serde(skip)]
    StepProgress {
        /// The stage it belongs to.
        stage: Stage,
        /// The step.
        step: String,
        /// One line: `layer 3/7, 12.5 MB`.
        message: String,
    },
    /// A piece of work inside a stage ended.
    StepFinished {
        /// The stage it belongs to.
        stage: Stage,
        /// The step.
        step: String,
        /// How.
        outcome: Outcome,
        /// One line: what it did.
        summary: String,
        /// How long it took.
        seconds: f64,
    },
    /// A line that a build, a test, a service or a Job wrote.
    Log {
        /// The stage it belongs to.
        stage: Stage,
        /// Whose: `web` (an image's build), `unit` (a test), `unit/db` (its service), `Job/migrate`.
        source: String,
        /// Which stream.
        stream: Stream,
        /// The line without its line break.
        line: String,
    },
    /// An object's state changed.
    Object(ObjectState),
    /// Something a person should know that does not end the command.
    Warning(Warning),
    /// The end.
    Finished(Finished),
}
