//! Volumes: claims that are not bound, and volumes that cannot be mounted, because a ConfigMap or Secret is missing or
//! for another reason.

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

use crate::model::object::text;
use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::memory::StateKey;
use crate::rollout::pod::container::Container;
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::pod::{configuration, start};
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::Pod;
use crate::schema::Quantity;

/// The event reason of a claim whose class binds only once the node is known.
const WAITS: &str = "WaitForFirstConsumer";

/// A missing class or access mode does not appear by itself: after this many seconds it is a failure.
pub(crate) const CLAIM_PATIENCE: i64 = 20;

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
        if latest.message.contains(FULL) && has_memory_limit(pod) {
            let tries = failures.iter().filter(|event| event.message.contains(FULL));
            let fails = tries.map(|event| event.count).sum::<i64>() >= MOUNTS_FAIL;
            let grade = if fails { Severity::Failed } else { Severity::Waiting };
            return Some(start::out_of_memory(context, pod, grade, &sentence(latest.message)));
        }
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

/// The error when a memory-backed volume is full, which counts against the memory limit of the pod.
const FULL: &str = "no space left on device";
/// This many equal failures are not temporary.
const MOUNTS_FAIL: i64 = 3;

fn has_memory_limit(pod: &Pod) -> bool {
    pod.template.containers.iter().any(|one| object::has(&one.spec, "/resources/limits/memory"))
}

/// The failures to mount since the kubelet last got any further.
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

/// Whether the pods of a workload use claims: if they do not start, the reason may be that of the claim.
pub(crate) fn wants_claims(workload: &Value) -> bool {
    let volumes = object::list(workload, "/spec/template/spec/volumes");
    !object::list(workload, "/spec/volumeClaimTemplates").is_empty()
        || volumes.iter().any(|volume| object::has(volume, "/persistentVolumeClaim"))
}

/// Why a claim has no volume.
pub(crate) struct Unbound {
    pub(crate) message: String,
    /// Whether it will not recover by itself.
    pub(crate) has_failed: bool,
    /// The field of the claim that it is about.
    pub(crate) field: Option<&'static str>,
}

/// Why a claim has no volume; `None` if it has one, or gets one only with its first pod.
pub(crate) fn unbound(context: &mut EvalContext, claim: &Value) -> Option<Unbound> {
    match text(claim, "/status/phase") {
        "Bound" => return None,
        "Lost" => {
            let volume = text(claim, "/spec/volumeName");
            let message = format!("the volume {volume} that the claim was bound to is gone");
            return Some(Unbound { message, has_failed: true, field: None });
        }
        _ if waits_for_pod(context, claim) => return None,
        _ => {}
    }
    let missing = class(claim).filter(|class| is_class_missing(context, claim, class));
    let missing = missing.filter(|class| !some_volume_fits(context, claim, class));
    let events = context.events_of(claim);
    // A normal event after it only says that the next try has begun.
    let is_telling = |event: &&Event| event.reason != WAITS;
    let warning = events.iter().rev().find(|event| event.is_warning());
    let said = warning.or_else(|| events.iter().rev().find(is_telling)).map(|event| event.message);
    let is_of_mode = missing.is_none() && said.is_some_and(wants_other_mode);
    let mut lasts = || {
        let state = StateKey::Claim(object::name(claim).into());
        context.has_lasted(state, object::created(claim), CLAIM_PATIENCE)
    };
    let has_failed = (missing.is_some() || is_of_mode) && lasts();
    let (message, field) = match (missing, said) {
        (Some(class), _) => (format!("StorageClass {class} does not exist"), Some("/spec/storageClassName")),
        (None, Some(said)) => (said.to_owned(), is_of_mode.then_some("/spec/accessModes")),
        (None, None) => ("the claim is not bound to a volume yet".to_owned(), None),
    };
    Some(Unbound { message, has_failed, field })
}

/// Whether a provisioner cannot create volumes with the claim's access mode.
fn wants_other_mode(said: &str) -> bool {
    static SIGNS: LazyLock<Regex> = LazyLock::new(|| {
        let words = "only supports? .*(access ?mode|ReadWrite|ReadOnly)|(unsupported|invalid) access ?modes?|\
            access ?modes? .*not supported|does not support .*access ?mode";
        Regex::new(&format!("(?i){words}")).expect("the pattern is a constant")
    });
    SIGNS.is_match(said)
}

/// The class that it names; `None` if it asks for a volume without a class.
fn class(claim: &Value) -> Option<&str> {
    let legacy = object::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    let class = claim.pointer("/spec/storageClassName").and_then(Value::as_str).or(legacy);
    class.filter(|class| !class.is_empty())
}

/// Whether its class, or its latest event, says that it waits for a pod, and no pod has been scheduled yet.
fn waits_for_pod(context: &EvalContext, claim: &Value) -> bool {
    let is_placed = object::annotation(claim, "volume.kubernetes.io/selected-node").is_some();
    if is_placed {
        return false;
    }
    let events = context.events_of(claim);
    match events.last().map(|last| last.reason) {
        Some(WAITS | "WaitForPodScheduled") => return true,
        Some(reason) if reason.contains("Failed") => return false,
        _ => {}
    }
    class(claim)
        .and_then(|class| context.snapshot.get("storage.k8s.io", "StorageClass", "", class))
        .is_some_and(|class| text(class, "/volumeBindingMode") == WAITS)
}

/// Whether the class does not exist, according to the known classes or to an event.
fn is_class_missing(context: &EvalContext, claim: &Value, class: &str) -> bool {
    let told = |message: &str| message.contains("storageclass") && message.contains("not found");
    let by_event = context.events_of(claim).iter().any(|event| told(event.message));
    let mut classes = context.snapshot.of_kind("storage.k8s.io", "StorageClass").peekable();
    let are_known = classes.peek().is_some() || context.snapshot.is_complete("StorageClass");
    let exists = classes.any(|one| object::name(one) == class);
    !exists && (by_event || are_known)
}

/// Whether some volume fits: for volumes created by hand, the class need not exist. One that is not available yet, or
/// is reserved for this claim, counts.
fn some_volume_fits(context: &EvalContext, claim: &Value, class: &str) -> bool {
    context.snapshot.of_kind("", "PersistentVolume").any(|volume| {
        let is_kept = object::has(volume, "/spec/claimRef");
        let may_be_bound = is_kept || matches!(text(volume, "/status/phase"), "Available" | "Pending" | "");
        text(volume, "/spec/storageClassName") == class && may_be_bound && fits(claim, volume)
    })
}

/// Whether a volume is large enough, has the access modes, and is not reserved for another claim.
fn fits(claim: &Value, volume: &Value) -> bool {
    let (kept, of) = (text(volume, "/spec/claimRef/name"), text(volume, "/spec/claimRef/namespace"));
    let modes = |object: &Value| -> Vec<String> {
        let modes = object::list(object, "/spec/accessModes").iter();
        modes.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    let offered = modes(volume);
    let amount = |object: &Value, pointer: &str| {
        object.pointer(pointer).filter(|amount| !amount.is_null()).and_then(Quantity::of)
    };
    let asked = amount(claim, "/spec/resources/requests/storage");
    let has = amount(volume, "/spec/capacity/storage");
    object::same_if_known(kept, object::name(claim))
        && object::same_if_known(of, object::namespace(claim))
        && (offered.is_empty() || modes(claim).iter().all(|mode| offered.contains(mode)))
        && asked.zip(has).is_none_or(|(asked, has)| !asked.is_greater(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provisioner_tells_that_it_has_no_such_mode() {
        assert!(wants_other_mode(
            "failed to provision volume with StorageClass \"local-path\": Only support ReadWriteOnce access mode"
        ));
        assert!(wants_other_mode(
            "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"
        ));
        assert!(wants_other_mode("rpc error: code = InvalidArgument desc = unsupported access mode"));
        assert!(!wants_other_mode("failed to provision volume: context deadline exceeded"));
    }
}
