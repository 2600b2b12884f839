//! One failure, with its cause and its evidence.

use serde::Serialize;

/// What a cause is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// An object of the cluster: `Deployment/web`.
    Object(String),
    /// An image by its name in the configuration.
    Image(String),
    /// A test by its name in the configuration.
    Test(String),
}

impl Subject {
    /// Its name, whatever it is.
    pub fn name(&self) -> &str {
        let (Self::Object(name) | Self::Image(name) | Self::Test(name)) = self;
        name
    }
}

/// One thing that failed: what the report says last, and an entry of `finished.causes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What failed.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why: one word of the contract's list, or of a stage (`build-failed`, `tests-failed` …).
    pub cause: String,
    /// One sentence in the words of the user's own files.
    pub message: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The evidence, in reading order: log lines, exit codes, events, the lines of the manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// A titled group of lines that supports a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What the lines are: `container app, previous instance, last 20 lines`, `events`, `.kube/web.yaml:12`.
    pub title: String,
    /// The lines, oldest first.
    pub lines: Vec<String>,
}
