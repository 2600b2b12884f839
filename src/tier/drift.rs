//! Drift: what was changed or added by hand since the release. Applies the recorded objects as a dry run, like a plan,
//! and changes nothing.

use std::collections::BTreeSet;

use crate::error::{Kind, Result};
use crate::model::{ObjectId, ObjectRef};
use crate::record::Outcome;
use crate::record::prior::PriorReleases;
use crate::release::context::TierContext;
use crate::release::from_record;
use crate::release::plan::dry_run::May;
use crate::release::plan::planner::build_plan;
use crate::release::plan::redaction;
use crate::release::plan::{Action, PlanStep, claims};
use crate::report::view::drift::{AddedField, ChangedObject, Drift, ExtendedObject};

/// Compares the live objects with what the newest release applied.
///
/// # Errors
/// What the cluster refuses, except for missing permissions.
pub(crate) async fn drift(context: TierContext<'_>, prior: &PriorReleases) -> Result<Drift> {
    match &prior.last {
        None => return Ok(Drift::Known { changed: Vec::new(), others: Vec::new() }),
        Some(last) if last.summary.outcome != Outcome::Good => {
            return Ok(Drift::Unknown("the newest release did not succeed".to_owned()));
        }
        Some(_) => {}
    }
    match compared(context, prior).await {
        Err(error) if matches!(error.kind(), Kind::Denied | Kind::Refused) => {
            Ok(Drift::Unknown(error.message().to_owned()))
        }
        compared => compared.map(|(changed, others)| Drift::Known { changed, others }),
    }
}

async fn compared(
    context: TierContext<'_>,
    prior: &PriorReleases,
) -> Result<(Vec<ChangedObject>, Vec<ExtendedObject>)> {
    let Some(last) = &prior.last else { return Ok((Vec::new(), Vec::new())) };
    let (wanted, untouched) = from_record::recorded(last);
    let key = context.store().key(false).await?;
    let looked = build_plan(context, prior, wanted, &untouched, &key, May::Change).await?;
    let mut all: Vec<ChangedObject> = looked.plan.steps.iter().filter_map(changed).collect();
    let claims = untouched.iter().filter(|one| claims::is_claim(&one.object)).cloned();
    for one in claims.chain(redaction::redacted_in(&last.objects)) {
        let id = ObjectId::of(&one.object);
        let live = looked.live.get(&id);
        let fields = live.map(|live| redaction::differences(&one.object, live, &key)).unwrap_or_default();
        if live.is_none() || !fields.is_empty() {
            let (object, added, by) = (ObjectRef::of(&one.object), Vec::new(), BTreeSet::new());
            all.push(ChangedObject { object, fields, added, gone: live.is_none(), by });
        }
    }
    Ok((all, looked.plan.steps.iter().filter_map(others).collect()))
}

fn others(step: &PlanStep) -> Option<ExtendedObject> {
    let added: Vec<AddedField> = step.others().map(AddedField::from).collect();
    (!added.is_empty()).then(|| ExtendedObject { object: ObjectRef::of(&step.wanted.object), added })
}

fn changed(step: &PlanStep) -> Option<ChangedObject> {
    let added: Vec<AddedField> = step.drift().map(AddedField::from).collect();
    let gone = match step.action {
        Action::Create => true,
        Action::Change | Action::Recreate => false,
        Action::Keep if !added.is_empty() => false,
        _ => return None,
    };
    let taken = step.taken.iter().map(|taken| &taken.manager);
    let by = taken.chain(added.iter().map(|one| &one.manager)).cloned().collect();
    Some(ChangedObject {
        object: ObjectRef::of(&step.wanted.object),
        fields: if gone { Vec::new() } else { step.changes.clone() },
        gone,
        by,
        added,
    })
}

/// The deleted objects; `None` if that was not checked.
pub(crate) fn gone(drift: &Drift) -> Option<Vec<ObjectRef>> {
    match drift {
        Drift::Known { changed, .. } => {
            Some(changed.iter().filter(|one| one.gone).map(|one| one.object.clone()).collect())
        }
        Drift::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Phase;
    use crate::model::FieldChange;
    use crate::release::plan::drift::fields::tests::added_by_two;
    use crate::release::plan::{Taken, Wanted};
    use crate::report::view::drift::tests::{by_hand, by_mesh};

    fn step(action: Action) -> PlanStep {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        PlanStep::new(
            Wanted { object: object.into(), phase: Phase::Workloads, origin: None, values: None },
            action,
            None,
        )
    }

    #[test]
    fn what_a_plan_would_undo_was_changed() {
        let change =
            FieldChange { field: "spec.replicas".into(), before: Some("5".into()), after: Some("2".into()) };
        let mut edited = step(Action::Change);
        edited.changes = vec![change.clone()];
        edited.taken = vec![Taken { manager: "kubectl-edit".into(), field: "spec.replicas".into() }];
        edited.added = added_by_two();
        let web = ObjectRef::new("apps/v1", "Deployment", "web").in_namespace("shop");
        let by = ["kubectl-edit".to_owned(), "kubectl-set".to_owned()].into();
        let expected = ChangedObject {
            object: web.clone(),
            fields: vec![change],
            added: vec![by_hand()],
            gone: false,
            by,
        };
        assert_eq!(changed(&edited), Some(expected));
        assert_eq!(others(&edited), Some(ExtendedObject { object: web.clone(), added: vec![by_mesh()] }));
        assert_eq!((changed(&step(Action::Keep)), others(&step(Action::Keep))), (None, None));
        let missing = changed(&step(Action::Create));
        let drift = Drift::Known { changed: missing.into_iter().collect(), others: Vec::new() };
        assert_eq!(gone(&drift), Some(vec![web]));
    }
}
