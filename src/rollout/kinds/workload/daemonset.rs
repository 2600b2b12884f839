//! `DaemonSets`: a pod on each matching node that works.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::object::{count, text};
use crate::model::{Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::workload;
use crate::rollout::kinds::workload::revision::Pods;
use crate::rollout::kinds::workload::{WorkloadProgress, creation, revision};
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::pod::Pod;

/// Judges a `DaemonSet`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let desired = count(context.object, "/status/desiredNumberScheduled");
    if desired == 0 {
        return Health::ready().counting(0, 0).warning("no node matches: no pod of the DaemonSet runs");
    }
    let mut pods = revision::of_daemon_set(context);
    let on_delete = text(context.object, "/spec/updateStrategy/type") == "OnDelete";
    let lost = Lost::of(context, desired);
    for pods in [&mut pods.current, &mut pods.stale] {
        pods.retain(|pod| !lost.gone.contains(node(pod)));
    }
    let progress = progress(context, &pods, &lost.silent, on_delete);
    pods.current.retain(|pod| !lost.silent.contains(node(pod)));
    let refused = creation::by_events(context, context.object).filter(|_| !progress.is_complete);
    let judgement = workload::conclude(context, &pods, refused, &progress);
    if on_delete && !pods.stale.is_empty() && judgement.verdict == Verdict::Ready {
        return judgement.warning(workload::stale_pods(&pods));
    }
    judgement
}

fn progress(context: &EvalContext, pods: &Pods, lost: &BTreeSet<&str>, on_delete: bool) -> WorkloadProgress {
    let status = |field: &str| count(context.object, &format!("/status/{field}"));
    let (desired, updated) = (status("desiredNumberScheduled"), status("updatedNumberScheduled"));
    let (ready, available) = (status("numberReady"), status("numberAvailable"));
    // Do not wait for nodes that do not respond, whether they still have a pod of an earlier revision or none.
    let on = |name: &str, pods: &[&Pod]| pods.iter().any(|pod| node(pod) == name);
    let well: Vec<&Pod> =
        pods.current.iter().chain(&pods.stale).copied().filter(|pod| pod.ready.is_true()).collect();
    let stale = lost.iter().filter(|name| !on(name, &pods.current)).count();
    let down = lost.iter().filter(|name| !on(name, &well)).count();
    let (stale, down) = (i64::try_from(stale).unwrap_or(0), i64::try_from(down).unwrap_or(0));
    let is_updated = on_delete || updated + stale >= desired;
    let waits_for = if is_updated {
        match count(context.object, "/spec/minReadySeconds") {
            seconds if seconds > 0 && ready >= desired => {
                format!(
                    "{ready} of {desired} pods are ready, and available after {seconds} s (minReadySeconds)"
                )
            }
            _ => format!("{available} of {desired} pods are available"),
        }
    } else {
        format!("{updated} of {desired} pods are of the new revision")
    };
    WorkloadProgress {
        is_complete: is_updated && available + down >= desired,
        reaches_bar: false,
        ready,
        wanted: desired,
        waits_for,
        overdue: None,
    }
}

/// Nodes that are not waited for, as far as nodes may be read.
#[derive(Default)]
struct Lost<'a> {
    /// Nodes that are not ready or not schedulable, although the controller wants pods on them.
    silent: BTreeSet<&'a str>,
    /// Nodes that were deleted: the controller no longer counts them, but their pods still exist.
    gone: BTreeSet<&'a str>,
}

impl<'a> Lost<'a> {
    fn of(context: &EvalContext<'a>, desired: i64) -> Self {
        let nodes: Vec<&Value> = context.snapshot.of_kind("", "Node").collect();
        // A dump may not have all nodes, certainly not if it has fewer nodes than desired pods.
        let all_known = i64::try_from(nodes.len()).is_ok_and(|known| known >= desired);
        let is_well =
            |node: &Value| condition::is_true(node, "Ready") && !object::is_true(node, "/spec/unschedulable");
        let mut lost = Self::default();
        // Terminating pods count as well: on a node that does not respond they remain forever.
        for name in context.snapshot.pods_of(context.object).map(node) {
            match nodes.iter().find(|node| object::name(node) == name) {
                _ if name.is_empty() => {}
                Some(node) if is_well(node) => {}
                Some(_) => drop(lost.silent.insert(name)),
                None if all_known => drop(lost.gone.insert(name)),
                None => {}
            }
        }
        lost
    }
}

/// The node that a pod runs on, or that its controller chose for it.
fn node(pod: &Pod) -> &str {
    if pod.node.is_empty() { &pod.meant_for } else { &pod.node }
}
