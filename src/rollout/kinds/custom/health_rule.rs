//! Rules in CEL: those of `windlass.yaml` (`health:`), which take precedence over all others, and those of the
//! catalogue.

use jiff::Timestamp;
use serde_json::Value;

use crate::expression::Expression;
use crate::model::object::text;
use crate::model::{Cause, Verdict, object};
use crate::project::HealthRule;
use crate::rollout::catalogue::CatalogueRule;
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::memory::StateKey;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

use super::{observed, owned};

/// A controller may retry: only an error that lasts this many seconds is a failure.
const ERROR_PATIENCE: i64 = 30;

/// Judges an object by the configuration's rule for its kind.
pub(crate) fn by_configuration(context: &mut EvalContext, rule: &HealthRule) -> Health {
    let object = context.object;
    let judgement =
        if is_unobserved(object) { context.unobserved() } else { by_rule(object, rule, Errors::AreSaid) };
    let judgement = judgement.judged_by("windlass.yaml");
    if judgement.is_done() { judgement } else { evidence::with_events(context, &[object.into()], judgement) }
}

/// Judges an object by the catalogue's rule for its kind.
pub(crate) fn by_catalogue(context: &mut EvalContext, known: CatalogueRule) -> Health {
    let current = observed::without_outdated_conditions(context.object);
    let object = &*current;
    let mut judgement = by_rule(object, known.rule, Errors::AreFalse);
    if judgement.is_under_way() && judgement.message.is_none() {
        judgement = context.unobserved();
    }
    // Errors that the controller retries.
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
    let judgement = observed::settled(context, judgement);
    let judgement = owned::weighed(context, judgement);
    let judgement =
        judgement.judged_by(format!("catalogue: {} {}", known.project, object::kind(context.object)));
    if judgement.is_done() { judgement } else { evidence::with_events(context, &[object.into()], judgement) }
}

/// A status for another generation says nothing about this one.
fn is_unobserved(object: &Value) -> bool {
    let observed = object::number(object, "/status/observedGeneration");
    let generation = object::number(object, "/metadata/generation");
    matches!((observed, generation), (Some(observed), Some(generation)) if observed != generation)
}

/// What an expression without a value means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// The object is progressing, and the error is the message, because the user wrote the rule.
    AreSaid,
    /// The expression is false: rules of the catalogue refer to fields that appear later.
    AreFalse,
}

fn by_rule(object: &Value, rule: &HealthRule, errors: Errors) -> Health {
    let said = || said(object, rule, errors);
    let holds = |key: &str, expression: &Expression| match expression.holds(object) {
        Err(_) if errors == Errors::AreFalse => Ok(false),
        held => held.map_err(|error| format!("`{key}` has no value: {error}")),
    };
    // An expression without a value does not mean paused.
    if rule.paused.as_ref().is_some_and(|paused| paused.holds(object) == Ok(true)) {
        let why = said().map(|said| format!(": {said}")).unwrap_or_default();
        return Health::paused(format!("it is paused and not waited for{why}"));
    }
    let judged = || {
        if let Some(expression) = &rule.in_progress
            && holds("inProgress", expression)?
        {
            return Ok(progressing(said(), errors, || is_true(expression)));
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
            progressing(said(), errors, || format!("`{}` is not true yet", rule.current.source()))
        })
    };
    judged().unwrap_or_else(|error: String| {
        // Before its controller has handled the object, there is nothing else to report.
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

/// Without a message, a rule of the catalogue means that the controller has not reported anything yet.
fn progressing(said: Option<String>, errors: Errors, why: impl Fn() -> String) -> Health {
    let why = said.or_else(|| (errors == Errors::AreSaid).then(why));
    Health { message: why, ..Health::new(Verdict::Progressing) }
}

fn is_true(expression: &Expression) -> String {
    format!("`{}` is true", expression.source())
}

/// The reason: the rule's message, else the message of the failing condition, else the status itself.
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

/// The condition that says most about the problem.
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

/// Since when it is in this state: when the failing condition last changed.
fn since(object: &Value) -> Option<Timestamp> {
    unwell(object)?.since
}
