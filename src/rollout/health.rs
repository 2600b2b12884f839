//! What is said of an object: its verdict, why, and what else is to be known of it.

use jiff::Timestamp;

use crate::model::{Cause, Evidence, Verdict};

/// What a pod refers to and what does not exist.
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

/// What is said of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// How it is.
    pub verdict: Verdict,
    /// Why it is not ready; on a ready object, what a warning is about.
    pub cause: Option<Cause>,
    /// One sentence in the words of the user's manifest.
    pub message: Option<String>,
    /// Replicas that are ready, of those wanted: `2/3`.
    pub ready: Option<String>,
    /// The rule that judged a custom resource: `catalogue: cert-manager Certificate`, `generic: Ready`.
    pub rule: Option<String>,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// What a person should know although it changes no verdict.
    pub warnings: Vec<String>,
    /// When to judge again even if nothing changes until then.
    pub again_at: Option<Timestamp>,
    /// Whose log lines are evidence.
    pub log_source: Option<LogSource>,
    /// What the cause is about, as a JSON pointer into the object's manifest.
    pub pointer: Option<String>,
    /// The ConfigMap, Secret or key for the lack of which its pods do not start.
    pub lacks: Option<Missing>,
    /// Its pods have died too often: it fails as soon as no other workload is on its way.
    pub out_of_strikes: bool,
}

impl Health {
    /// A verdict without a cause.
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            cause: None,
            message: None,
            ready: None,
            rule: None,
            evidence: Vec::new(),
            warnings: Vec::new(),
            again_at: None,
            log_source: None,
            pointer: None,
            lacks: None,
            out_of_strikes: false,
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

    /// Notes which rule judged; a rule that judged a part of it does not count.
    #[must_use]
    pub(crate) fn judged_by(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Whether nothing is waited for any more, and nothing is wrong.
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
