//! Volumes that cannot be mounted: because a ConfigMap or Secret is missing, or for any other reason.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use crate::model::Cause;
use crate::rollout::context::EvalContext;
use crate::rollout::memory::StateKey;
use crate::rollout::pod::configuration;
use crate::rollout::pod::container::Container;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::Pod;

/// What keeps the volumes of a pod from being mounted, while its containers wait for them.
pub(crate) fn unmounted<'a>(
    context: &mut EvalContext<'a>,
    pod: &'a Pod,
    containers: &[Container<'a>],
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    let waits = |one: &Container| {
        !one.runs()
            && one.dead_now().is_none()
            && matches!(one.waits(), "ContainerCreating" | "PodInitializing" | "")
    };
    if !containers.iter().all(waits) {
        return None;
    }
    let failures = current_failures(events);
    let latest = failures.last()?;
    let named = failures.iter().rev().find_map(|event| {
        let missing = configuration::missing(event.message, pod)?;
        Some((*event, missing))
    });
    let Some((event, missing)) = named else {
        let cause = Some(Cause::VolumeMount);
        return Some(Finding::new(pod, Severity::Waiting, cause, sentence(latest.message)));
    };
    let state = StateKey::Volume(Arc::clone(pod.key()), missing.name.as_str().into());
    let lasts = context.has_lasted(state, event.first, configuration::CONFIG_PATIENCE);
    let may_come = context.is_made_elsewhere(missing.kind, &missing.name) || context.has_come(&missing);
    let grade = if lasts && !may_come { Severity::Failed } else { Severity::Waiting };
    let volume = volume(event.message).map(|name| format!(" (volume {name})")).unwrap_or_default();
    let (spec, prefix) = context.written_pod();
    let place = missing.pointer_in_volumes(spec).map(|place| format!("{prefix}{place}"));
    let message = format!("{}{volume}", missing.sentence());
    Some(Finding::new(pod, grade, Some(Cause::ConfigMissing), message).about(place).lacking(missing))
}

/// Failures to mount after which the kubelet did not get any further.
fn current_failures<'a, 'b>(events: &'b [Event<'a>]) -> Vec<&'b Event<'a>> {
    let further = |event: &Event| matches!(event.reason, "Pulling" | "Pulled" | "Created" | "Started");
    let last_step = events.iter().filter(|event| further(event)).filter_map(|event| event.last).max();
    events
        .iter()
        .filter(|event| matches!(event.reason, "FailedMount" | "FailedAttachVolume" | "FailedMapVolume"))
        .filter(|event| !configuration::is_cache_trouble(event.message))
        .filter(|event| last_step.is_none() || event.last.is_none() || event.last >= last_step)
        .collect()
}

fn volume(message: &str) -> Option<&str> {
    static VOLUME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"for volume "([^"]+)""#).expect("the pattern is a constant"));
    VOLUME.captures(message)?.get(1).map(|name| name.as_str())
}

fn sentence(message: &str) -> String {
    let said = message.split_once(" : ").map_or(message, |(_, rest)| rest);
    let said = said.lines().next().unwrap_or(said).trim();
    match volume(message) {
        Some(name) => format!("volume {name} cannot be mounted: {said}"),
        None => said.to_owned(),
    }
}
