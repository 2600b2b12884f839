//! Verdicts and causes: the state of an object, and its one cause (contract, section 6).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as the manifest asks for.
    Ready,
    /// It is not ready yet.
    Progressing,
    /// It will not become ready without help.
    Failed,
    /// It is paused and not waited for.
    Paused,
    /// It is being deleted.
    Terminating,
    /// Its status does not tell.
    Unknown,
}

/// Why a verdict is `failed` or still `progressing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the contract's list of causes, each of which says what it means")]
pub enum Cause {
    ImageNotFound,
    ImagePullDenied,
    ImagePullFailed,
    InvalidImageName,
    CrashLoop,
    ExitCode,
    OutOfMemory,
    CannotRun,
    ConfigMissing,
    InitFailed,
    StartupProbe,
    ReadinessProbe,
    LivenessProbe,
    Unschedulable,
    QuotaExceeded,
    AdmissionDenied,
    Forbidden,
    VolumeUnbound,
    VolumeMount,
    Evicted,
    NodeLost,
    DeadlineExceeded,
    JobFailed,
    NoEndpoints,
    LoadBalancerPending,
    ImmutableField,
    Conflict,
    InvalidManifest,
    BeingDeleted,
    VerifyFailed,
    TimedOut,
    ControllerFailed,
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&word(self))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&word(self))
    }
}

/// The word in machine output and for people.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a unit variant serializes to a string, got {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_contract() {
        assert_eq!(Verdict::Progressing.to_string(), "progressing");
        assert_eq!(Cause::ImageNotFound.to_string(), "image-not-found");
        assert_eq!(format!("{:>8}|", Verdict::Ready), "   ready|");
    }
}
