//! A rule in CEL: that of `windlass.yaml` for a kind (`health:`), which goes before every other one, and those of the
//! catalogue.

use jiff::Timestamp;
use serde_json::Value;

use crate::expression::Expression;
use crate::model::object::text;
use crate::model::{Cause, object};
use crate::project::HealthRule;
use crate::rollout::catalogue::CatalogueRule;
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::kinds::owned;
use crate::rollout::memory::StateKey;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// A controller may try again: only an error that lasts so many seconds is a failure.
const ERROR_PATIENCE: i64 = 30;

/// Judges an object by the configuration's rule for its kind.
pub(crate) fn of_configuration(context: &EvalContext, rule: &HealthRule) -> Health {
    let object = context.object;
    let judgement = if is_unobserved(object) {
        Health::progressing("waiting for the controller")
    } else {
        by_rule(object, rule, Errors::AreSaid)
    };
    let judgement = judgement.judged_by("windlass.yaml");
    if judgement.is_done() { judgement } else { evidence::with_events(context, &[object.into()], judgement) }
}

/// Judges an object by the catalogue's rule for its kind.
pub(crate) fn of_catalogue(context: &mut EvalContext, known: CatalogueRule) -> Health {
    let object = context.object;
    let mut judgement = by_rule(object, known.rule, Errors::AreFalse);
    // Errors of which the controller tries on.
    let is_failing = known.rule.failing.as_ref().is_some_and(|failing| failing.holds(object) == Ok(true));
    if is_failing && judgement.is_under_way() {
        let lasts = context.has_lasted(StateKey::ControllerError, since(object), ERROR_PATIENCE);
        let said = said(object, known.rule, Errors::AreFalse)
            .unwrap_or_else(|| "its controller reports an error".to_owned());
        judgement = if lasts {
            Health::failed(Cause::ControllerFailed, said)
        } else {
            Health::progressing(said).with_cause(Cause::ControllerFailed)
        };
    }
    let judgement = owned::weighed(context, judgement);
    let judgement =
        judgement.judged_by(format!("catalogue: {} {}", known.project, object::kind(context.object)));
    if judgement.is_done() { judgement } else { evidence::with_events(context, &[object.into()], judgement) }
}

/// A status of another generation says nothing about this one.
fn is_unobserved(object: &Value) -> bool {
    let observed = object::number(object, "/status/observedGeneration");
    let generation = object::number(object, "/metadata/generation");
    matches!((observed, generation), (Some(observed), Some(generation)) if observed != generation)
}

/// What it means that an expression has no value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// It is on its way, and the error is what there is to say: a person wrote the rule.
    AreSaid,
    /// It is not in this state: the catalogue asks for fields that come later.
    AreFalse,
}

fn by_rule(object: &Value, rule: &HealthRule, errors: Errors) -> Health {
    let said = || said(object, rule, errors);
    let holds = |key: &str, expression: &Expression| match expression.holds(object) {
        Err(_) if errors == Errors::AreFalse => Ok(false),
        held => held.map_err(|error| format!("`{key}` has no value: {error}")),
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
            let waits = || match errors {
                Errors::AreSaid => format!("`{}` is not true yet", rule.current.source()),
                Errors::AreFalse => "waiting for its controller".to_owned(),
            };
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
fn said(object: &Value, rule: &HealthRule, errors: Errors) -> Option<String> {
    if let Some(message) = &rule.message {
        let words = message.words(object);
        if words.is_some() || errors == Errors::AreSaid {
            return words;
        }
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

/// Since when it is as it is: when the condition that is not well last changed.
fn since(object: &Value) -> Option<Timestamp> {
    unwell(object)?.since
}
