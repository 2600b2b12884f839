//! Fields that no manifest mentions but that exist: a person added them with kubectl, and a release does not remove
//! them. They are shown, and removed with `--override drift`.

pub(crate) mod fields;

use std::sync::Arc;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::cluster::{ApplyError, Cluster, Refusal};
use crate::http::CONCURRENCY;
use crate::model::{FieldChange, ObjectRef};
use crate::release::context::TierContext;
use crate::release::plan;
use crate::release::plan::difference::Mask;
pub(crate) use crate::release::plan::drift::fields::Added;
use crate::release::plan::{Action, Plan, PlanStep, difference};
use crate::report::view::drift::AddedField;

/// How many times to try to take fields over while others write to the object.
const TRIES: usize = 5;
/// How many fields are named in a sentence.
const NAMED: usize = 3;

/// Finds what others added to the objects of a plan. With `--override drift`, removing what a person added becomes a
/// change of the plan.
pub(crate) async fn find(context: TierContext<'_>, plan: &mut Plan, mask: &Mask) {
    let scaled = plan::scaled_targets(plan.steps.iter().map(|step| &step.wanted));
    let scaled = |step: &PlanStep| plan::is_scaled(&scaled, &step.wanted.id());
    // Created beforehand: a closure inside the stream would have to hold for steps of every lifetime.
    let asked: Vec<_> =
        plan.steps.iter().map(|step| of_step(context.cluster, step, scaled(step), mask)).collect();
    let found: Vec<Vec<Added>> = stream::iter(asked).buffered(CONCURRENCY).collect().await;
    for (step, added) in plan.steps.iter_mut().zip(found) {
        step.added = added;
    }
    if plan.steps.iter().any(|step| step.drift().next().is_some()) && context.rules.overrides("drift") {
        plan.steps.iter_mut().for_each(remove);
    }
}

async fn of_step(cluster: &Cluster, step: &PlanStep, scaled: bool, mask: &Mask) -> Vec<Added> {
    let (Action::Keep | Action::Change, Some(live)) = (step.action, &step.live) else { return Vec::new() };
    // A field that the changed manifest mentions now is not drift.
    let found = fields::added(step.tried.as_ref().unwrap_or(live), scaled);
    let mut found = without_defaults(cluster, live, found).await;
    for one in &mut found {
        one.shown = if looks_secret(&one.field) || holds_secret(&one.value) {
            mask.of(&one.value)
        } else {
            difference::value_shown(live, &one.field, &one.value, mask)
        };
    }
    found
}

/// Whether the name of a field that was added by hand looks like a secret: no manifest declares it as sensitive.
fn looks_secret(field: &str) -> bool {
    const WORDS: [&str; 6] = ["PASSW", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY", "_KEY"];
    let name = field.rsplit(['.', '[']).next().unwrap_or_default().to_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Whether an added structure, such as a container, has a variable with such a name.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            let is_one = map.contains_key("value")
                && map.get("name").and_then(Value::as_str).is_some_and(looks_secret);
            is_one || map.values().any(holds_secret)
        }
        Value::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// Leaves out defaults: a manager that created or edited an object as a whole owns its defaults as well, and the server
/// would set them again.
async fn without_defaults(cluster: &Cluster, live: &Value, mut found: Vec<Added>) -> Vec<Added> {
    if found.iter().all(Added::is_restart) {
        return found;
    }
    let rest = fields::without(live, &found);
    let operations = json!([{"op": "replace", "path": "/spec", "value": rest["spec"]}]);
    match cluster.try_json_patch(live, &operations).await {
        Ok(result) => found.retain(|one| one.value_in(&result) != Some(&one.value)),
        Err(error) => tracing::debug!(%error, "the server's defaults are not known"),
    }
    found
}

/// Makes the removal of fields added by hand a change of the step.
fn remove(step: &mut PlanStep) {
    let changes: Vec<FieldChange> = step
        .drift()
        .map(|one| FieldChange { field: one.field.clone(), before: Some(one.shown.clone()), after: None })
        .collect();
    if changes.is_empty() {
        return;
    }
    step.changes.extend(changes);
    step.action = Action::Change;
    // The dry run still had the fields that are removed now.
    step.tried = None;
    step.removes_drift = true;
}

/// Warns about fields that a person added, and whether they are removed.
pub(crate) fn warn(context: TierContext<'_>, plan: &Plan) {
    for step in plan.steps.iter().filter(|step| step.drift().next().is_some()) {
        let drift: Vec<&Added> = step.drift().collect();
        let mut named: Vec<String> = drift
            .iter()
            .take(NAMED)
            .map(|one| format!("{} (by {})", one.field, AddedField::from(*one).by()))
            .collect();
        if drift.len() > NAMED {
            named.push(format!("{} more", drift.len() - NAMED));
        }
        let sentence = format!(
            "{} was changed by hand: the manifests do not mention {}",
            step.wanted.id(),
            named.join(", ")
        );
        if step.removes_drift {
            context.session.reporter.warn(format!("{sentence}; removing it (overridden)"));
        } else {
            let hint = "it was not changed; write it into the manifest, or remove it with --override drift --reason \"…\"";
            context.session.reporter.warn_with_hint(sentence, hint);
        }
    }
}

/// Makes the fields that a person added ours, so that the next apply removes them, and the pods restart only once.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn take_over(cluster: &Cluster, step: &PlanStep) -> Result<(), ApplyError> {
    let drift: Vec<Added> = step.drift().cloned().collect();
    let Some(mut live) = step.live.clone() else { return Ok(()) };
    for attempt in 1.. {
        let Some(entries) = fields::taken_over(&live, &drift) else {
            return Ok(());
        };
        let metadata = &live["metadata"];
        let patch = json!({
            "apiVersion": live["apiVersion"],
            "kind": live["kind"],
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "resourceVersion": metadata["resourceVersion"],
                "managedFields": entries,
            },
        });
        match cluster.merge_patch(&patch).await {
            // Its controller may write to its status at any time.
            Err(error) if error.refusal == Refusal::Stale && attempt < TRIES => {}
            patched => return patched.map(drop),
        }
        match cluster.get(&ObjectRef::of(&live)).await {
            Ok(Some(there)) => live = Arc::new(there),
            // A deleted object has no fields left to remove.
            Ok(None) => return Ok(()),
            Err(error) => return Err(ApplyError::before_sending(&ObjectRef::of(&live), &error)),
        }
    }
    Ok(())
}

/// The first field that a person added to an object of ours.
pub(crate) fn first(live: &Value) -> Option<Added> {
    fields::added(live, false).into_iter().find(|one| one.by_hand)
}

/// A refusal that may be caused by a field added by hand: `value` beside its `valueFrom`.
pub(crate) fn in_the_way(error: ApplyError, added: &Added) -> ApplyError {
    let hint = format!(
        "{} added {} by hand: to remove it, use --override drift --reason \"…\"",
        added.manager, added.field
    );
    ApplyError { hint: error.hint.or(Some(hint)), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_like_a_secret_is_not_shown() {
        let of_web = |name: &str| format!("spec.template.spec.containers[web].env[{name}]");
        for name in ["DB_PASSWORD", "dbPasswd", "GITLAB_TOKEN", "CLIENT_SECRET", "AWS_ACCESS_KEY_ID"] {
            assert!(looks_secret(&of_web(name)), "{name}");
        }
        for name in ["DEBUG", "MONKEY", "KEYBOARD"] {
            assert!(!looks_secret(&of_web(name)), "{name}");
        }
        assert!(!looks_secret("spec.template.spec.volumes[token].emptyDir"));
        let shell = |name: &str| json!({"name": "shell", "env": [{"name": name, "value": "hunter2"}]});
        assert!(holds_secret(&shell("DB_PASSWORD")) && !holds_secret(&shell("DEBUG")));
        assert!(!holds_secret(&json!({"value": "a"})));
    }
}
