//! The stages of the pipeline, their outcomes, the sources of log lines, and the tests that have not passed.

use serde::Serialize;

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Build and push.
    Build,
    /// Tests inside the built images.
    Test,
    /// Apply and rollout.
    Release,
    /// Back to a recorded release.
    Rollback,
}

/// How a stage or a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Done.
    Ok,
    /// There was nothing to do: it was done before.
    Skipped,
    /// It failed.
    Failed,
    /// A rule of the tier, a lock or a wrong call refused it before anything was changed.
    Refused,
    /// A signal ended it.
    Interrupted,
}

/// Where a log line comes from inside its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A test of which no record says that it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPass {
    /// Its name.
    pub test: String,
    /// Why it does not count: `it was never run in this image`.
    pub reason: String,
}
