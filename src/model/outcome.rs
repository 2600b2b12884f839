//! The stages of the pipeline, how they end, and where the lines come from that are written in them.

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
