//! The health of an object: its verdict, the cause, and what else to know about it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Cause, Evidence, Verdict};
use crate::rollout::memory::{ContainerKey, FirstLog};

/// A missing object that a pod refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// `ConfigMap` or `Secret`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The key, where the object itself exists.
    pub key: Option<String>,
}

/// A container whose log lines are evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSource {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Whether the instance that died is the previous one.
    pub previous: bool,
}

/// A log to read once: because the status lacks what the runtime wrote there, or because it will soon be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogQuestion {
    /// The container.
    pub key: ContainerKey,
    /// The number of its instance.
    pub instance: i64,
    /// Where the log is.
    pub source: LogSource,
    /// Whether it is that of the first death of the release.
    pub is_first: bool,
}

/// The health of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why it is not ready; on a ready object, what a warning is about.
    pub cause: Option<Cause>,
    /// One sentence in the words of the user's manifest.
    pub message: Option<String>,
    /// Replicas that are ready, of those wanted: `2/3`.
    pub ready: Option<String>,
    /// Whether it counts as ready only because its status has no known condition or phase.
    pub is_unjudged: bool,
    /// The rule that judged a custom resource: `catalogue: cert-manager Certificate`, `generic: Ready`.
    pub rule: Option<String>,
    /// The evidence.
    pub evidence: Vec<Evidence>,
    /// Warnings, which do not change the verdict.
    pub warnings: Vec<String>,
    /// When to judge again even if nothing changes until then.
    pub again_at: Option<Timestamp>,
    /// Whose log lines are evidence.
    pub log_source: Option<LogSource>,
    /// What that container wrote before it died for the first time.
    pub first_log: Option<Arc<FirstLog>>,
    /// What the cause is about, as a JSON pointer into the object's manifest.
    pub pointer: Option<String>,
    /// The missing ConfigMap, Secret or key that keeps its pods from starting.
    pub lacks: Option<Missing>,
    /// Its containers have crashed too often: it fails as soon as no other workload makes progress.
    pub crashed_too_often: bool,
    /// The log that would say more.
    pub asks: Option<LogQuestion>,
}

impl Health {
    /// A verdict without a cause.
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            cause: None,
            message: None,
            ready: None,
            is_unjudged: false,
            rule: None,
            evidence: Vec::new(),
            warnings: Vec::new(),
            again_at: None,
            log_source: None,
            first_log: None,
            pointer: None,
            lacks: None,
            crashed_too_often: false,
            asks: None,
        }
    }

    pub(crate) fn ready() -> Self {
        Self::new(Verdict::Ready)
    }

    pub(crate) fn progressing(message: impl Into<String>) -> Self {
        Self::new(Verdict::Progressing).saying(message)
    }

    pub(crate) fn paused(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { warnings: vec![message.clone()], ..Self::new(Verdict::Paused).saying(message) }
    }

    pub(crate) fn failed(cause: Cause, message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed).with_cause(cause).saying(message)
    }

    #[must_use]
    pub(crate) fn with_cause(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    #[must_use]
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into()).filter(|message: &String| !message.is_empty());
        self
    }

    /// Records which rule judged; one that judged only a part does not count.
    #[must_use]
    pub(crate) fn judged_by(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Whether it is ready or paused.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.verdict, Verdict::Ready | Verdict::Paused)
    }

    /// Whether it is still waited for.
    pub(crate) fn is_under_way(&self) -> bool {
        self.verdict == Verdict::Progressing
    }

    #[must_use]
    pub(crate) fn about(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    #[must_use]
    pub(crate) fn showing(mut self, title: impl Into<String>, lines: Vec<String>) -> Self {
        if !lines.is_empty() {
            self.evidence.push(Evidence { title: title.into(), lines });
        }
        self
    }

    #[must_use]
    pub(crate) fn warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    #[must_use]
    pub(crate) fn counting(mut self, ready: i64, wanted: i64) -> Self {
        self.ready = Some(format!("{ready}/{wanted}"));
        self
    }
}
