//! Claims for volumes: bound, or waiting for the pod that will use them.

use serde_json::Value;

use crate::model::object::text;
use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;

const WAITS: &str = "WaitForFirstConsumer";

/// Judges a `PersistentVolumeClaim`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    match text(context.object, "/status/phase") {
        "Bound" => Health::ready(),
        "Lost" => {
            let volume = text(context.object, "/spec/volumeName");
            let message = format!("the volume {volume} that the claim was bound to is gone");
            evidence::with_events(
                context,
                &[context.object.into()],
                Health::failed(Cause::VolumeUnbound, message),
            )
        }
        _ if waits_for_pod(context) => {
            Health::ready().saying("the claim is bound as soon as a pod uses it (WaitForFirstConsumer)")
        }
        _ => pending(context),
    }
}

fn pending(context: &EvalContext) -> Health {
    let class = class(context.object);
    if let Some(class) =
        class.filter(|class| is_class_missing(context, class) && !some_volume_fits(context, class))
    {
        let message = format!("StorageClass {class} does not exist");
        let judgement = Health::failed(Cause::VolumeUnbound, message).about("/spec/storageClassName");
        return evidence::with_events(context, &[context.object.into()], judgement);
    }
    let events = context.events_of(context.object);
    let said = events.iter().rev().find(|event| event.reason != WAITS).map(|event| event.message);
    let message = said.map_or_else(|| "the claim is not bound to a volume yet".to_owned(), str::to_owned);
    let judgement = Health::progressing(message).with_cause(Cause::VolumeUnbound);
    evidence::with_events(context, &[context.object.into()], judgement)
}

/// The class that it names; none where it asks for a volume without a class.
fn class(claim: &Value) -> Option<&str> {
    let legacy = object::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    let class = claim.pointer("/spec/storageClassName").and_then(Value::as_str).or(legacy);
    class.filter(|class| !class.is_empty())
}

/// Its class, or its latest event, says that it waits for a pod, and no pod has been placed yet.
fn waits_for_pod(context: &EvalContext) -> bool {
    let is_placed = object::annotation(context.object, "volume.kubernetes.io/selected-node").is_some();
    if is_placed {
        return false;
    }
    let events = context.events_of(context.object);
    match events.last().map(|last| last.reason) {
        Some(WAITS | "WaitForPodScheduled") => return true,
        Some(reason) if reason.contains("Failed") => return false,
        _ => {}
    }
    class(context.object)
        .and_then(|class| context.snapshot.get("storage.k8s.io", "StorageClass", "", class))
        .is_some_and(|class| text(class, "/volumeBindingMode") == WAITS)
}

/// Seen among the classes, or told by an event.
fn is_class_missing(context: &EvalContext, class: &str) -> bool {
    let told = |message: &str| message.contains("storageclass") && message.contains("not found");
    let by_event = context.events_of(context.object).iter().any(|event| told(event.message));
    let mut classes = context.snapshot.of_kind("storage.k8s.io", "StorageClass").peekable();
    let are_known = classes.peek().is_some() || context.snapshot.is_complete("StorageClass");
    let exists = classes.any(|one| object::name(one) == class);
    !exists && (by_event || are_known)
}

/// Volumes made by hand need no class to exist.
fn some_volume_fits(context: &EvalContext, class: &str) -> bool {
    context.snapshot.of_kind("", "PersistentVolume").any(|volume| {
        text(volume, "/spec/storageClassName") == class
            && text(volume, "/status/phase") == "Available"
            && fits(context.object, volume)
    })
}

/// Whether a volume is large enough, may be used so, and is kept for no other claim.
fn fits(claim: &Value, volume: &Value) -> bool {
    let kept = text(volume, "/spec/claimRef/name");
    let modes = |object: &Value| -> Vec<String> {
        let modes = object::list(object, "/spec/accessModes").iter();
        modes.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    let offered = modes(volume);
    let asked = bytes(claim, "/spec/resources/requests/storage");
    let has = bytes(volume, "/spec/capacity/storage");
    object::same_if_known(kept, object::name(claim))
        && (offered.is_empty() || modes(claim).iter().all(|mode| offered.contains(mode)))
        && asked.zip(has).is_none_or(|(asked, has)| has >= asked)
}

/// An amount of storage as Kubernetes writes it: `10Gi`, `500M`.
fn bytes(object: &Value, pointer: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 10] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let amount = object.pointer(pointer)?;
    if let Some(number) = amount.as_f64() {
        return Some(number);
    }
    let amount = amount.as_str()?;
    let unit = UNITS.iter().find(|(letters, _)| amount.ends_with(letters));
    let (number, factor) =
        unit.map_or((amount, 1.0), |(letters, factor)| (amount.trim_end_matches(letters), *factor));
    number.parse::<f64>().ok().map(|number| number * factor)
}
