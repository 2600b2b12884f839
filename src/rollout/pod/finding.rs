//! What is wrong with a pod, and how bad it is.

use std::sync::Arc;

use crate::model::Cause;
use crate::rollout::context::EvalContext;
use crate::rollout::health::{Health, LogQuestion, LogSource, Missing};
use crate::rollout::memory::FirstLog;
use crate::rollout::snapshot::identity::Identified;
use crate::rollout::snapshot::subject::Subject;

/// After this many deaths of a container (about 90 s), it fails even if others make progress: a workload that is not
/// ready because this one crashes must not excuse the crashes.
const TOLERATED_CRASHES: i64 = 5;

/// How bad a finding is; worse is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It may still succeed; it fails only at the deadline.
    Waiting,
    /// A container crashed too often; while others make progress it may still succeed.
    CrashedTooOften,
    /// It will not recover by itself.
    Failed,
}

/// What is wrong with a pod.
#[derive(Debug, Clone)]
pub(crate) struct Finding<'a> {
    pub(crate) grade: Severity,
    pub(crate) cause: Option<Cause>,
    /// One sentence in the words of the manifest.
    pub(crate) message: String,
    /// The pod, or the object whose pods cannot be created.
    pub(crate) subject: Subject<'a>,
    /// The container it is about, and whether it is about the previous instance.
    pub(crate) container: Option<(&'a str, bool)>,
    /// The field it is about, as a JSON pointer into the manifest.
    pub(crate) pointer: Option<String>,
    pub(crate) counted_crashes: i64,
    /// The missing object or key.
    pub(crate) missing: Option<Missing>,
    /// Another container of its pod makes progress, and this one may crash because that one is not ready.
    pub(crate) waits_for_sibling: bool,
    /// The log that would tell why it died.
    pub(crate) asks: Option<LogQuestion>,
    /// What the container wrote before it died for the first time.
    pub(crate) first_log: Option<Arc<FirstLog>>,
}

impl<'a> Finding<'a> {
    pub(crate) fn new(
        subject: impl Into<Subject<'a>>,
        grade: Severity,
        cause: Option<Cause>,
        message: impl Into<String>,
    ) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Self {
            grade,
            cause,
            message,
            subject,
            container: None,
            pointer: None,
            counted_crashes: 0,
            missing: None,
            waits_for_sibling: false,
            asks: None,
            first_log: None,
        }
    }

    #[must_use]
    pub(crate) fn of_container(mut self, name: &'a str, previous: bool) -> Self {
        self.container = Some((name, previous));
        self
    }

    #[must_use]
    pub(crate) fn about(mut self, pointer: Option<String>) -> Self {
        self.pointer = pointer;
        self
    }

    #[must_use]
    pub(crate) fn lacking(mut self, missing: Missing) -> Self {
        self.missing = Some(missing);
        self
    }

    /// Orders findings: by severity, by how close the cause is to the user's mistake, by crashes that count.
    pub(crate) fn weight(&self) -> (Severity, u8, i64) {
        (self.grade, self.cause.map_or(0, precedence), self.counted_crashes)
    }

    /// Whether it fails its workload now. A container that crashed too often is excused while something that it may
    /// depend on makes progress, but not for long.
    pub(crate) fn fails(&self, context: &EvalContext) -> bool {
        let may_wait = self.waits_for_sibling || context.others_are_on_their_way();
        match self.grade {
            Severity::Failed => true,
            Severity::CrashedTooOften => self.counted_crashes >= TOLERATED_CRASHES || !may_wait,
            Severity::Waiting => false,
        }
    }

    /// Whose log lines are evidence.
    pub(crate) fn log_source(&self) -> Option<LogSource> {
        let (container, previous) = self.container?;
        Some(LogSource {
            namespace: self.subject.namespace().to_owned(),
            pod: self.subject.name().to_owned(),
            container: container.to_owned(),
            previous,
        })
    }

    /// Adds the finding to a health.
    pub(crate) fn explain(&self, judgement: Health) -> Health {
        let mut judgement = judgement.saying(self.message.clone());
        judgement.cause = self.cause;
        judgement.log_source = self.log_source();
        judgement.pointer.clone_from(&self.pointer);
        judgement.lacks.clone_from(&self.missing);
        judgement.asks.clone_from(&self.asks);
        judgement.first_log.clone_from(&self.first_log);
        judgement.crashed_too_often = self.grade == Severity::CrashedTooOften;
        judgement
    }
}

/// How close a cause is to the user's mistake (contract, section 6): if two apply, the higher one wins.
pub(crate) fn precedence(cause: Cause) -> u8 {
    match cause {
        Cause::InvalidImageName | Cause::ImageNotFound | Cause::ImagePullDenied => 100,
        Cause::ConfigMissing => 95,
        Cause::CannotRun => 93,
        Cause::OutOfMemory => 90,
        Cause::StartupProbe => 86,
        Cause::LivenessProbe => 85,
        Cause::InitFailed => 82,
        Cause::ExitCode => 80,
        Cause::CrashLoop => 70,
        Cause::ImagePullFailed => 65,
        Cause::VolumeMount => 60,
        // For a pod that exceeded its own limit: that its replacement is not ready yet says less.
        Cause::Evicted => 58,
        Cause::ReadinessProbe => 55,
        Cause::VolumeUnbound => 52,
        Cause::Unschedulable => 50,
        Cause::NodeLost => 40,
        _ => 1,
    }
}
