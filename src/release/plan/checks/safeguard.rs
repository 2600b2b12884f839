//! What a rollback does not do without confirmation: apply recorded objects that grant permissions or are outside the
//! tier's namespace, and delete objects that hold data.
//!
//! A record is a Secret in the tier's namespace: anyone who may write Secrets there could have written it, and must not
//! gain the permissions of the user who rolls back.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::Result;
use crate::model::{ObjectId, group};
use crate::record::Applied;
use crate::release::context::TierContext;
use crate::release::plan::prune::KeptObject;
use crate::release::plan::{Action, Plan, PlanStep, prune};

/// Why a rollback keeps an object that its release does not have.
const LEFT_BY_ROLLBACK: &str =
    "it grants rights or is outside the namespace; a rollback with --allow KIND/NAME deletes it";

/// Why an automatic rollback keeps an object that holds data.
const LEFT_BY_AUTOMATIC: &str = "an automatic rollback deletes nothing that holds data";

/// Removes from a rollback's plan the steps that change objects which grant permissions or are outside the namespace,
/// unless `--allow` names them, and keeps those that it would delete. They are not changed, but still belong to the
/// release.
pub(crate) async fn hold_back(context: TierContext<'_>, plan: &mut Plan) -> Vec<Applied> {
    let changed =
        plan.steps.iter().filter(|step| step.action != Action::Keep).map(|step| &*step.wanted.object);
    let mut guarded = BTreeSet::new();
    for object in changed.chain(&plan.prune) {
        let id = ObjectId::of(object);
        if !context.rules.allows(&id) && is_guarded(context.cluster, object).await {
            guarded.insert(id);
        }
    }
    let (left, prune) = std::mem::take(&mut plan.prune)
        .into_iter()
        .partition::<Vec<_>, _>(|object| guarded.contains(&ObjectId::of(object)));
    plan.prune = prune;
    plan.left.extend(left.into_iter().map(|object| KeptObject { object, why: LEFT_BY_ROLLBACK }));
    take_out(plan, |step| step.action != Action::Keep && guarded.contains(&step.wanted.id()))
}

/// One sentence for each object that was held back.
pub(crate) fn warn_of_held(context: TierContext<'_>, to: u64, held: &[Applied]) {
    for one in held {
        let id = ObjectId::of(&one.object);
        let name = format!("{}/{}", id.kind, id.name);
        let why = if grants_rights(&one.object) { "it grants rights" } else { "it is outside the namespace" };
        context.session.reporter.warn_with_hint(
            format!("{id} differs from release {to} and was not changed, because {why}"),
            format!("--dry-run --allow {name} shows the change; --allow {name} makes it"),
        );
    }
}

/// Keeps objects that hold data: an automatic rollback deletes neither StatefulSets nor claims.
pub(crate) fn spare_data(context: TierContext<'_>, plan: &mut Plan) -> Vec<Applied> {
    let (left, prune) = std::mem::take(&mut plan.prune).into_iter().partition::<Vec<_>, _>(holds_data);
    plan.prune = prune;
    let spared = take_out(plan, |step| step.action == Action::Recreate && holds_data(&step.wanted.object));
    for id in left.iter().map(ObjectId::of).chain(spared.iter().map(|one| ObjectId::of(&one.object))) {
        context.session.reporter.warn_with_hint(
            format!("{id} was not rolled back: that would delete it, and {LEFT_BY_AUTOMATIC}"),
            format!("`{}` asks before it does", context.tier.command("rollback")),
        );
    }
    plan.left.extend(left.into_iter().map(|object| KeptObject { object, why: LEFT_BY_AUTOMATIC }));
    spared
}

/// Asks for confirmation before a StatefulSet is deleted, or more objects than a release may delete without an
/// override.
///
/// # Errors
/// [`Kind::Rule`](crate::error::Kind::Rule) if nobody can be asked, or the answer is no.
pub(crate) async fn confirm_deletions(context: TierContext<'_>, plan: &Plan, to: u64) -> Result<()> {
    let recreated = plan.steps.iter().filter(|step| step.action == Action::Recreate);
    let deleted = recreated.map(|step| &*step.wanted.object).chain(&plan.prune);
    let sets: Vec<String> = deleted
        .filter(|object| is_stateful_set(object))
        .map(|object| ObjectId::of(object).to_string())
        .collect();
    let fact = match (sets.is_empty(), prune::mass_deletion(plan)) {
        (false, _) => format!("rolling back to release {to} deletes {}", sets.join(", ")),
        (true, Some(sentence)) => format!("rolling back to release {to}: {sentence}"),
        (true, None) => return Ok(()),
    };
    context.rules.confirm(context.session, &fact, "roll back anyway?").await
}

fn take_out(plan: &mut Plan, is_taken: impl Fn(&PlanStep) -> bool) -> Vec<Applied> {
    let (taken, steps) = std::mem::take(&mut plan.steps).into_iter().partition::<Vec<_>, _>(is_taken);
    plan.steps = steps;
    taken.into_iter().map(|step| Applied { object: step.wanted.object, fields: None }).collect()
}

/// Whether a recorded object grants permissions or is outside the tier's namespace. Whether a kind is namespaced is
/// asked of the cluster, because the record cannot be trusted: a cluster-scoped object is outside, whatever namespace
/// it names.
pub(crate) async fn is_guarded(cluster: &Cluster, object: &Value) -> bool {
    if seems_guarded(object, cluster.namespace()) {
        return true;
    }
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let resource = cluster.resource(text("apiVersion"), text("kind")).await;
    resource.map_or(true, |resource| !resource.namespaced)
}

fn seems_guarded(object: &Value, namespace: &str) -> bool {
    grants_rights(object) || ObjectId::of(object).namespace != namespace
}

fn grants_rights(object: &Value) -> bool {
    group(object["apiVersion"].as_str().unwrap_or_default()) == "rbac.authorization.k8s.io"
}

fn is_stateful_set(object: &Value) -> bool {
    object["kind"] == "StatefulSet" && group(object["apiVersion"].as_str().unwrap_or_default()) == "apps"
}

fn holds_data(object: &Value) -> bool {
    is_stateful_set(object) || object["kind"] == "PersistentVolumeClaim"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rights_and_what_lies_elsewhere_are_guarded() {
        let object = |version: &str, kind: &str, namespace: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": namespace}});
        let rbac = "rbac.authorization.k8s.io/v1";
        for (guarded, one) in [
            (false, object("apps/v1", "Deployment", "shop")),
            (false, object("v1", "ServiceAccount", "shop")),
            (true, object(rbac, "Role", "shop")),
            (true, object(rbac, "RoleBinding", "shop")),
            (true, object("v1", "ConfigMap", "kube-system")),
            (true, json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "x"}})),
            (true, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})),
        ] {
            assert_eq!(seems_guarded(&one, "shop"), guarded, "{one}");
        }
    }
}
