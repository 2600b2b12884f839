//! The words that controllers use for health: condition types, and values of phases and states.

use crate::model::Verdict;

/// What a true condition says about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polarity {
    /// It is done.
    Done,
    /// It is in progress.
    Underway,
    /// Something is wrong.
    Broken,
}

/// Endings of condition types in most projects: `ClusterAvailable`, `DashboardSynchronized`, `AllReplicasReady`. Types
/// that become true early (`Initialized`, `Created`), or are false in a healthy object (`Active`, for what scales to
/// zero), are left out.
const BROKEN: &[&str] = &[
    "NotReady",
    "Failed",
    "Failure",
    "Error",
    "Errored",
    "ErrorOccurred",
    "Degraded",
    "Stalled",
    "Unavailable",
    "Unhealthy",
    "InvalidSpec",
    "Misconfigured",
    "Conflict",
    "Conflicted",
];
const UNDERWAY: &[&str] = &[
    "Reconciling",
    "Progressing",
    "InProgress",
    "Updating",
    "Upgrading",
    "Creating",
    "Provisioning",
    "Scaling",
    "Issuing",
    "Deploying",
    "Installing",
    "Restarting",
    "Pending",
];
const DONE: &[&str] = &[
    "Ready",
    "Available",
    "Succeeded",
    "Success",
    "Successful",
    "Complete",
    "Completed",
    "Established",
    "Synced",
    "Synchronized",
    "Healthy",
    "Programmed",
    "Accepted",
    "ResolvedRefs",
    "Deployed",
    "Installed",
    "Provisioned",
    "Running",
    "Online",
    "Reconciled",
    "Valid",
    "Bound",
    "Applied",
    "UpToDate",
    "Operational",
    "Attached",
    "Connected",
];

/// The meaning of a condition type; `None` if it says nothing about the whole object.
pub(super) fn polarity(kind: &str) -> Option<Polarity> {
    let ends = |words: &[&str]| words.iter().any(|word| kind.ends_with(word));
    if ends(BROKEN) {
        Some(Polarity::Broken)
    } else if ends(UNDERWAY) {
        Some(Polarity::Underway)
    } else {
        ends(DONE).then_some(Polarity::Done)
    }
}

/// The meaning of a phase or state, and whether it is retried, like `CreateFailed`.
pub(super) fn meaning(word: &str) -> Option<(Verdict, bool)> {
    let word: String =
        word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let verdict = match word.as_str() {
        "ready" | "running" | "active" | "bound" | "available" | "healthy" | "succeeded" | "success"
        | "successful" | "complete" | "completed" | "done" | "finished" | "ok" | "up" | "online"
        | "synced" | "insync" | "synchronized" | "uptodate" | "deployed" | "installed" | "provisioned"
        | "operational" | "green" | "established" | "enabled" | "connected" | "attached" | "valid"
        | "accepted" | "approved" | "applied" | "serving" | "stable" | "normal" | "configured"
        | "reconciled" | "published" | "live" | "started" | "alive" => Verdict::Ready,
        "failed" | "error" | "degraded" | "rejected" => return Some((Verdict::Failed, false)),
        "failure" | "errored" | "unhealthy" | "broken" | "faulted" | "faulty" | "invalid" | "aborted"
        | "crashed" | "red" | "denied" | "unrecoverable" | "dead" | "lost" => Verdict::Failed,
        "pending" | "inprogress" | "new" | "queued" | "scheduled" | "init" | "notready" | "unavailable"
        | "outofsync" | "requested" | "submitted" | "accepting" | "partial" | "yellow" => {
            Verdict::Progressing
        }
        _ if word.ends_with("failed") || word.ends_with("failure") || word.ends_with("error") => {
            Verdict::Failed
        }
        _ if word.ends_with("ing") || word.starts_with("waitingfor") => Verdict::Progressing,
        _ => return None,
    };
    Some((verdict, true))
}
