//! The rule that `windlass.yaml` has for a kind (`health:`): it goes before every other one.

use serde_json::Value;

use crate::expression::Expression;
use crate::model::object::text;
use crate::model::{Cause, object};
use crate::project::HealthRule;
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// Judges an object by the configuration's rule for its kind.
pub(crate) fn of_configuration(context: &EvalContext, rule: &HealthRule) -> Health {
    let object = context.object;
    let judgement = if is_unobserved(object) {
        Health::progressing("waiting for the controller")
    } else {
        by_rule(object, rule)
    };
    let judgement = judgement.judged_by("windlass.yaml");
    if judgement.is_done() { judgement } else { evidence::with_events(context, &[object.into()], judgement) }
}

/// A status of another generation says nothing about this one.
fn is_unobserved(object: &Value) -> bool {
    let observed = object::number(object, "/status/observedGeneration");
    let generation = object::number(object, "/metadata/generation");
    matches!((observed, generation), (Some(observed), Some(generation)) if observed != generation)
}

fn by_rule(object: &Value, rule: &HealthRule) -> Health {
    let said = || said(object, rule);
    let holds = |key: &str, expression: &Expression| {
        expression.holds(object).map_err(|error| format!("`{key}` has no value: {error}"))
    };
    // Nothing says that it is paused where that has no value.
    if rule.paused.as_ref().is_some_and(|paused| paused.holds(object) == Ok(true)) {
        let why = said().map(|said| format!(": {said}")).unwrap_or_default();
        return Health::paused(format!("it is paused and not waited for{why}"));
    }
    let judged = || {
        if let Some(expression) = &rule.in_progress
            && holds("inProgress", expression)?
        {
            return Ok(Health::progressing(said().unwrap_or_else(|| is_true(expression))));
        }
        if let Some(expression) = &rule.failed
            && holds("failed", expression)?
        {
            let said = said().unwrap_or_else(|| is_true(expression));
            return Ok(Health::failed(Cause::ControllerFailed, said));
        }
        Ok(if holds("current", &rule.current)? {
            Health::ready()
        } else {
            let waits = || format!("`{}` is not true yet", rule.current.source());
            Health::progressing(said().unwrap_or_else(waits))
        })
    };
    judged().unwrap_or_else(|error: String| {
        // Before its controller has come to it, that is all that there is to say.
        let is_new = object
            .get("status")
            .is_none_or(|status| status.as_object().is_some_and(serde_json::Map::is_empty));
        Health::progressing(if is_new {
            format!("its controller has written no status yet ({error})")
        } else {
            error
        })
    })
}

fn is_true(expression: &Expression) -> String {
    format!("`{}` is true", expression.source())
}

/// Why it is so: in the words of the rule's message, else of the condition that is not well, else of the status itself.
fn said(object: &Value, rule: &HealthRule) -> Option<String> {
    if let Some(message) = &rule.message {
        return message.words(object);
    }
    if let Some(condition) = unwell(object) {
        return Some(condition.sentence());
    }
    let words = ["phase", "state"].map(|field| (field, text(object, &format!("/status/{field}"))));
    let word = words.into_iter().find(|(_, word)| !word.is_empty());
    let more = ["message", "reason", "error"].map(|field| text(object, &format!("/status/{field}")));
    let more = more.into_iter().find(|more| !more.is_empty());
    match (word, more) {
        (Some((field, word)), Some(more)) => Some(format!("status.{field} is {word}: {more}")),
        (Some((field, word)), None) => Some(format!("status.{field} is {word}")),
        (None, more) => more.map(str::to_owned),
    }
}

/// The condition that tells most of what is not well.
fn unwell(object: &Value) -> Option<Condition<'_>> {
    let is_error = |one: &Condition| {
        one.is_true() && ["Failed", "Degraded", "Stalled", "Error", "NotReady"].contains(&one.kind)
    };
    let is_not_ready =
        |one: &Condition| !one.is_true() && matches!(one.kind, "Ready" | "Available" | "Succeeded");
    let with_words = || condition::all(object).filter(|one| !one.words().is_empty());
    with_words().find(is_error).or_else(|| with_words().find(is_not_ready)).or_else(|| {
        with_words()
            .find(|one| one.is_false() && !["Failed", "Degraded", "Stalled", "Error"].contains(&one.kind))
    })
}
