//! A container that died: too often, not yet too often, or in a way that shows that it will never run.

use std::path::Path;

use crate::model::{Cause, object};
use crate::rollout::annotations;
use crate::rollout::health::{LogQuestion, LogSource};
use crate::rollout::pod::container::{Container, ContainerView, Role, Termination};
use crate::rollout::pod::crashes::CrashHistory;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::start::Refused;
use crate::rollout::pod::{crashes, start};
use crate::rollout::snapshot::pod::Pod;

/// A container that is not ready still makes progress for this many seconds after its start.
const SIBLING_PROGRESS: i64 = 30;

impl<'a> ContainerView<'_, 'a> {
    /// The finding about a container that died, too often or not yet too often.
    pub(super) fn dies(&mut self) -> Option<Finding<'a>> {
        if self.container.is_done() {
            return None;
        }
        let previous = self.container.status.terminated.is_none();
        let restarts =
            self.container.is_kept_alive || (self.container.role == Role::Init && !is_mortal(self.pod));
        if !restarts {
            return self.died_for_good().map(|finding| finding.of_container(self.container.name, previous));
        }
        let allowed = annotations::failures_allowed(self.context.object);
        let Some(crashes) = crashes::crash_finding(self) else {
            return self.loops(allowed).map(|finding| finding.of_container(self.container.name, previous));
        };
        let grade =
            if crashes.counted_crashes > allowed { Severity::CrashedTooOften } else { Severity::Waiting };
        let mut finding =
            Finding::new(self.pod, grade, Some(crashes.cause), crashes.sentence(self.container))
                .of_container(self.container.name, previous)
                .about(self.pointer(crashes.field()));
        finding.counted_crashes = crashes.counted_crashes;
        finding.waits_for_sibling = self.waits_for_sibling(crashes.counted_crashes);
        match self.last_words(&crashes) {
            Some(Ok(refused)) => {
                finding.grade = Severity::Failed;
                finding.cause = Some(Cause::CannotRun);
                finding.message = refused;
            }
            Some(Err(question)) => finding.asks = Some(question),
            None => finding.asks = self.first_words(&crashes),
        }
        finding.first_log = self.context.first_log(self.container.name).cloned();
        Some(finding)
    }

    /// Whether another container of the pod makes progress, or did since the last death: this one may have crashed
    /// because the other was not ready.
    fn waits_for_sibling(&mut self, counted_crashes: i64) -> bool {
        let own = self.container;
        let others = Container::all(self.pod);
        // Init containers run before the regular ones, so they cannot wait for them.
        let may_serve = |other: &&Container| own.role == Role::Regular || other.role != Role::Regular;
        let mut others = others.iter().filter(|other| other.name != own.name).filter(may_serve);
        let makes_progress = others.any(|other| self.makes_progress(other));
        let deaths = self.context.deaths(self.container.key());
        if makes_progress {
            deaths.forgiven = Some(counted_crashes);
        }
        deaths.forgiven.is_some_and(|forgiven| counted_crashes <= forgiven)
    }

    /// Whether a container that has never died makes progress: it does not exist yet, or started a moment ago and is
    /// not ready.
    fn makes_progress(&mut self, other: &Container) -> bool {
        if other.restarts() > 0 || other.dead_now().is_some() {
            return false;
        }
        match other.running_since() {
            Some(since) => !other.is_ready() && !self.context.is_past(since, SIBLING_PROGRESS),
            None => other.waits() == "ContainerCreating",
        }
    }

    /// For an instance that died at its start for the second time: the runtime's error in its log, or a request for
    /// that log. The next start will fail in the same way, unless another container creates the file.
    fn last_words(&self, crashes: &CrashHistory) -> Option<Result<String, LogQuestion>> {
        let death = &crashes.death;
        let is_told = matches!(crashes.cause, Cause::ExitCode | Cause::InitFailed) && death.exit_code != 0;
        if crashes.counted_crashes < 2 || !is_told {
            return None;
        }
        self.refused(death)
    }

    /// The runtime's error in the log of an instance whose program was never executed; or a request for that log.
    pub(crate) fn refused(&self, death: &Termination) -> Option<Result<String, LogQuestion>> {
        if death.lived() > 1 {
            return None;
        }
        let log = self.context.log(&self.container.key(), self.container.ended());
        let Some(log) = log.or_else(|| Some(death.message).filter(|message| !message.is_empty())) else {
            return Some(Err(self.question(false)));
        };
        let (path, why) = start::refused_exec(log)?;
        let may_come = why == Refused::Missing && self.is_mounted(path);
        (!may_come).then(|| Ok(format!("{} cannot start: {path}: {}", self.container.title(), why.words())))
    }

    /// The request for the log of the first death: it often differs from later ones, and is soon deleted.
    fn first_words(&self, crashes: &CrashHistory) -> Option<LogQuestion> {
        let is_known = self.context.first_log(self.container.name).is_some();
        (crashes.counted_crashes == 1 && !is_known).then(|| self.question(true))
    }

    /// The request for the log of the instance that died last.
    fn question(&self, is_first: bool) -> LogQuestion {
        let source = LogSource {
            namespace: self.pod.namespace.to_string(),
            pod: self.pod.name.to_string(),
            container: self.container.name.to_owned(),
            previous: self.container.status.terminated.is_none(),
        };
        LogQuestion { key: self.container.key(), instance: self.container.ended(), source, is_first }
    }

    /// Whether a path in the container is on one of its volumes.
    fn is_mounted(&self, path: &str) -> bool {
        let (spec, _) = self.context.written_pod();
        let mounts = self.container.pointer(spec, "/volumeMounts");
        let mounts = mounts.map(|pointer| object::list(spec, &pointer)).unwrap_or_default();
        let mut mounts = mounts.iter().map(|mount| object::text(mount, "/mountPath"));
        mounts.any(|mount| !mount.is_empty() && Path::new(path).starts_with(mount))
    }

    /// The finding about a container that is not restarted, or only as often as its Job allows.
    fn died_for_good(&self) -> Option<Finding<'a>> {
        let death =
            self.container.known_deaths().find(|death| death.exit_code != 0 || death.wanted_memory())?;
        let (cause, how) = crashes::ended_by(self.container, &death, self.events);
        let often = match self.container.restarts() {
            0 => String::new(),
            _ => format!(" {}", crashes::times(self.container.ended())),
        };
        let message = format!("{how}{often}");
        Some(Finding::new(self.pod, Severity::Waiting, Some(cause), message).about(self.pointer("")))
    }

    /// The finding about a container that keeps restarting although no death counts: how it ended is unknown, or it was
    /// before the release.
    fn loops(&self, allowed: i64) -> Option<Finding<'a>> {
        // Between the end of an instance and `CrashLoopBackOff`, some seconds may pass.
        let ended_well =
            self.container.status.terminated.as_ref().is_some_and(|ended| ended.exit_code == Some(0));
        let is_between = self.container.restarts() > 0 && ended_well;
        if self.container.waits() != "CrashLoopBackOff" && !is_between {
            return None;
        }
        let (title, restarts) = (self.container.title(), self.container.restarts());
        let (grade, message) = match self.container.known_deaths().next() {
            None if restarts > allowed => {
                (Severity::CrashedTooOften, format!("{title} died {}", crashes::times(restarts)))
            }
            _ => (Severity::Waiting, format!("{title} keeps crashing and restarting")),
        };
        let mut finding = Finding::new(self.pod, grade, Some(Cause::CrashLoop), message);
        finding.counted_crashes = restarts;
        Some(finding.about(self.pointer("")))
    }
}

/// Whether the pod should complete: its containers are not always restarted when they exit.
fn is_mortal(pod: &Pod) -> bool {
    !matches!(&*pod.template.restart_policy, "Always" | "")
}
