//! What keeps one container of a pod from being ready.

use crate::model::{Cause, object};
use crate::rollout::memory::ContainerState;
use crate::rollout::pod::container::{ContainerView, Role};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::image::Refusal;
use crate::rollout::pod::probe::Probe;
use crate::rollout::pod::{configuration, container, image, probe, start};
use crate::rollout::snapshot::event::Event;

/// Once a pull has been failing for this many seconds, the kubelet has tried again or is in back-off.
const BACK_OFF: i64 = 15;
/// After this many seconds, the kubelet has tried again to create a container.
const CREATE_RETRY: i64 = 20;
/// A probe that cannot succeed fails the pod after this many seconds.
const MISFIT: i64 = 20;

impl<'a> ContainerView<'_, 'a> {
    /// The worst problem of the container.
    pub(crate) fn examine(&mut self) -> Option<Finding<'a>> {
        match self.container.waits() {
            "InvalidImageName" => Some(self.invalid_name()),
            reason if image::is_pull_reason(reason) => Some(self.pull()),
            "CreateContainerConfigError" => Some(self.configuration()),
            _ => None,
        }
        .or_else(|| self.cannot_run())
        .or_else(|| self.dies())
        .or_else(|| self.probes())
    }

    fn invalid_name(&self) -> Finding<'a> {
        let message = format!(
            "image {} of {} is not a valid image name",
            self.container.image(),
            self.container.title()
        );
        Finding::new(self.pod, Severity::Failed, Some(Cause::InvalidImageName), message)
            .about(self.pointer("/image"))
    }

    fn pull(&mut self) -> Finding<'a> {
        let explanation = image::explanation(self.container, self.events);
        let refusal = self.known_refusal(explanation);
        let lasts = refusal != Refusal::Other && self.was_tried_again();
        let grade = if lasts { Severity::Failed } else { Severity::Waiting };
        let message = image::sentence(refusal, self.container, explanation);
        Finding::new(self.pod, grade, Some(refusal.cause()), message).about(self.pointer("/image"))
    }

    /// What the registry's answer means; if the kubelet no longer reports it, what was seen before.
    fn known_refusal(&mut self, explanation: Option<&str>) -> Refusal {
        let key = self.container.key();
        let state = |refusal: Refusal| key.state(ContainerState::Image(refusal.cause()));
        if let Some(explanation) = explanation {
            let refusal = image::refusal(explanation, self.container.image());
            self.context.remember(state(refusal));
            return refusal;
        }
        let known = Refusal::ALL.into_iter().find(|refusal| self.context.recalls(&state(*refusal)));
        known.unwrap_or(Refusal::Other)
    }

    fn was_tried_again(&mut self) -> bool {
        let state = self.container.key().state(ContainerState::PullRetried);
        if image::was_tried_again(self.container, self.events) {
            self.context.remember(state);
            return true;
        }
        // In a dump, the pod's own age tells whether the kubelet has had time to retry.
        let failed = |event: &&Event| {
            event.is_about(self.container.name) && event.message.contains("Failed to pull image")
        };
        let told = self.events.iter().find(failed).and_then(|event| event.first);
        let since = if self.context.release().is_none() { told.or_else(|| self.pod.began()) } else { None };
        let first = self.container.key().state(ContainerState::Pull);
        self.context.recalls(&state) || self.context.has_lasted(first, since, BACK_OFF)
    }

    fn configuration(&mut self) -> Finding<'a> {
        let said = self.container.waiting_message();
        if configuration::is_cache_trouble(said) {
            return Finding::new(
                self.pod,
                Severity::Waiting,
                None,
                format!("{}: {said}", self.container.title()),
            );
        }
        // In a dump, the state has lasted at most since the pod was created.
        let since = if self.context.release().is_none() { self.pod.began() } else { None };
        let state = self.container.key().state(ContainerState::Configuration);
        let lasts = self.context.has_lasted(state, since, configuration::CONFIG_PATIENCE);
        let Some(missing) = configuration::missing(said, self.pod) else {
            let grade = if lasts { Severity::Failed } else { Severity::Waiting };
            let message = format!("{} cannot be configured: {said}", self.container.title());
            return Finding::new(self.pod, grade, Some(Cause::ConfigMissing), message)
                .about(self.pointer(""));
        };
        let may_come =
            self.context.is_made_elsewhere(missing.kind, &missing.name) || self.context.has_come(&missing);
        let grade = if lasts && !may_come { Severity::Failed } else { Severity::Waiting };
        let message = format!("{} ({})", missing.sentence(), self.container.title());
        let (spec, prefix) = self.context.written_pod();
        let place = missing.pointer_in(self.container, spec).map(|place| format!("{prefix}{place}"));
        Finding::new(self.pod, grade, Some(Cause::ConfigMissing), message)
            .about(place.or_else(|| self.pointer("")))
            .lacking(missing)
    }

    /// The finding about a container that the runtime could not start: a failure at the second try if the next one will
    /// fail in the same way.
    fn cannot_run(&mut self) -> Option<Finding<'a>> {
        let complaint = start::complaint(self.container)?;
        if complaint.contains("OOM-killed") {
            return None;
        }
        let again = match self.container.waits() {
            // No container was created, so no restart was counted.
            "CreateContainerError" => {
                let own = |event: &&Event| event.reason == "Failed" && event.is_about(self.container.name);
                let same = |event: &&Event| {
                    event.message.strip_prefix("Error: ").is_some_and(|said| complaint.contains(said))
                };
                let failed = self.events.iter().filter(own).rev().find(same);
                let state = self.container.key().state(ContainerState::Creation);
                let began = if self.context.release().is_none() { self.pod.began() } else { None };
                failed.is_some_and(|event| event.count > 1)
                    || self.context.has_lasted(
                        state,
                        failed.and_then(|event| event.first).or(began),
                        CREATE_RETRY,
                    )
            }
            _ => self.container.restarts() > 0,
        };
        let lasts = again && start::is_lasting(complaint);
        let grade = if lasts { Severity::Failed } else { Severity::Waiting };
        Some(
            Finding::new(self.pod, grade, Some(Cause::CannotRun), start::sentence(self.container, complaint))
                .about(self.pointer("")),
        )
    }

    /// The finding about a running container with a failing probe. `liveness-probe` takes precedence over
    /// `readiness-probe`.
    fn probes(&mut self) -> Option<Finding<'a>> {
        if !self.container.runs() || (self.container.is_ready() && self.container.role != Role::Init) {
            return None;
        }
        let starts = self.container.status.started == Some(false);
        let probes: &[Probe] = if starts { &[Probe::Startup] } else { &[Probe::Liveness, Probe::Readiness] };
        for probe in probes {
            let failure = probe.failure(self.container, self.events);
            let is_overdue = *probe != Probe::Liveness && probe.is_set(self.container) && {
                let state = self.container.key().state(ContainerState::Probe(probe.cause()));
                let patience = probe.patience(self.container);
                self.context.has_lasted(state, self.container.running_since(), patience)
            };
            if failure.is_none() && !is_overdue {
                continue;
            }
            let (grade, message) = self.probe_fails(*probe, failure.as_ref());
            return Some(
                Finding::new(self.pod, grade, Some(probe.cause()), message)
                    .of_container(self.container.name, false)
                    .about(self.pointer(probe.field())),
            );
        }
        None
    }

    /// The severity and the message of a failing probe: what the container answered, or why no answer can help.
    fn probe_fails(&mut self, probe: Probe, failure: Option<&Event<'a>>) -> (Severity, String) {
        let misfit = failure.and_then(|event| Some((probe::misfit(event.message)?, event.first)));
        if let Some((misfit, since)) = misfit {
            let state = self.container.key().state(ContainerState::Misfit(probe.cause()));
            let lasts = self.context.has_lasted(state, since, MISFIT);
            let grade = if lasts { Severity::Failed } else { Severity::Waiting };
            return (grade, format!("{} of {}: {misfit}", probe.title(), self.container.title()));
        }
        let sentence = probe.sentence_now(self.container, failure, self.context.now());
        (Severity::Waiting, format!("{sentence}{}", self.undeclared_port(probe).unwrap_or_default()))
    }

    /// `; no container declares port 8080`, if the containers declare other ports.
    fn undeclared_port(&self, probe: Probe) -> Option<String> {
        let asked = probe.port(self.container)?;
        let (spec, _) = self.context.written_pod();
        let ports = object::list(spec, "/containers").iter().flat_map(|one| object::list(one, "/ports"));
        let declared: Vec<i64> = ports.filter_map(|port| object::number(port, "/containerPort")).collect();
        let is_odd = !declared.is_empty() && !declared.contains(&asked);
        let known = declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        is_odd.then(|| format!("; no container declares port {asked} (declared: {known})"))
    }

    /// The JSON pointer to a field of the container in the manifest.
    pub(super) fn pointer(&self, field: &str) -> Option<String> {
        container::pointer(self.context, self.container, field)
    }
}
