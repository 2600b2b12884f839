//! Whether the status of a custom resource is about the object as it is now, or as it was before the change.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::{Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// Lists of conditions are searched down to this depth below the status (`status.parents[].conditions`).
const CONDITION_DEPTH: usize = 3;
/// A controller reacts to a change within this many seconds, usually at once; its timestamps have no fractions.
const REACTION: i64 = 3;
/// Fields of a status that name the generation it is about.
const GENERATIONS: [&str; 3] = ["observedGeneration", "lastObservedGeneration", "syncedResourceVersion"];

/// Every part of the status with a list of conditions, including the status itself.
pub(super) fn condition_lists(status: &Value) -> Vec<&Value> {
    fn collect<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
        if value.get("conditions").is_some_and(Value::is_array) {
            found.push(value);
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Object(fields) => {
                let below = fields.iter().filter(|(name, _)| *name != "conditions");
                below.for_each(|(_, value)| collect(value, depth, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, depth, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(status, CONDITION_DEPTH, &mut found);
    found
}

/// The object without the conditions of an older generation; borrowed if it has none.
pub(super) fn without_outdated_conditions(object: &Value) -> Cow<'_, Value> {
    let lists = object.get("status").map(condition_lists).unwrap_or_default();
    let is_outdated = |list: &&Value| condition::of_list(list).any(|one| one.is_older_than(object));
    if !lists.iter().any(is_outdated) {
        return Cow::Borrowed(object);
    }
    let mut current = object.clone();
    if let Some(status) = current.get_mut("status") {
        remove_outdated(status, object, CONDITION_DEPTH);
    }
    Cow::Owned(current)
}

fn remove_outdated(value: &mut Value, object: &Value, depth: usize) {
    if let Some(conditions) = value.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|one| !Condition::read(one).is_older_than(object));
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(fields) => {
            let below = fields.iter_mut().filter(|(name, _)| *name != "conditions");
            below.for_each(|(_, value)| remove_outdated(value, object, depth));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove_outdated(item, object, depth)),
        _ => {}
    }
}

/// Delays a ready verdict about an object that this release changed while the status may still be the previous one: it
/// counts once the controller has had the time to report something else.
pub(super) fn settled(context: &mut EvalContext, judgement: Health) -> Health {
    if judgement.verdict == Verdict::Ready && !judgement.is_unjudged && may_be_of_before(context) {
        return Health::progressing("waiting for the controller to see the change");
    }
    judgement
}

fn may_be_of_before(context: &mut EvalContext) -> bool {
    let object = context.object;
    let Some(applied) = context.release().and_then(|release| release.applied_at) else { return false };
    let Some(status) = object.get("status") else { return false };
    if !context.is_older_than_release(object::created(object)) || names_generation(status) {
        return false;
    }
    let written =
        condition_lists(status).into_iter().flat_map(condition::of_list).filter_map(|one| one.written);
    written.max().is_none_or(|written| context.is_older_than_release(Some(written)))
        && !context.is_past(applied, REACTION)
}

fn names_generation(status: &Value) -> bool {
    let names = |value: &Value| GENERATIONS.iter().any(|name| value.get(*name).is_some());
    let below = || status.as_object().into_iter().flat_map(|fields| fields.values()).any(names);
    let conditions = || {
        condition_lists(status)
            .into_iter()
            .flat_map(|list| object::list(list, "/conditions").iter())
            .any(names)
    };
    names(status) || below() || conditions()
}
