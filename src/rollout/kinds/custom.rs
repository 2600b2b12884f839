//! The rule for every kind that has none of its own: custom resources, by the conventions that most of them keep.

use serde_json::Value;

use crate::model::object::{is_true, text};
use crate::model::{Cause, Verdict, object};
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;
use crate::rollout::kinds::owned;
use crate::rollout::memory::StateKey;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;

/// Conditions that say it is done, the most telling first.
const DONE: &[&str] = &["Ready", "Available", "Succeeded", "Complete", "Established", "Synced", "Healthy"];
/// The API group of Gateways and routes, and the conditions that are all that those have.
const GATEWAYS: &str = "gateway.networking.k8s.io";
const TAKEN: &[&str] = &["Programmed", "Accepted"];
/// Conditions that say it will not be done.
const BROKEN: &[&str] = &["Stalled", "Failed", "Degraded"];
/// Conditions that say it is on its way.
const UNDERWAY: &[&str] = &["Reconciling", "Progressing"];
/// Conditions that say it was told to stand still.
const HELD: &[&str] = &["Suspended", "Paused"];
/// Where those without conditions keep a word about themselves.
const WORDS: &[&str] =
    &["/status/phase", "/status/state", "/status/health", "/status/health/status", "/status/health/state"];
/// A controller that writes a status does so within so many seconds.
const SILENCE: i64 = 15;
/// A controller may try again: only an error that lasts so many seconds is a failure.
const ERROR_PATIENCE: i64 = 30;

/// Judges an object of any other kind.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let judgement = by_failure(context)
        .or_else(|| held(context))
        .or_else(|| by_conditions(context))
        .or_else(|| by_parents(context))
        .or_else(|| by_word(context))
        .unwrap_or_else(|| silent(context));
    let judgement = owned::weighed(context, judgement);
    match judgement.verdict {
        Verdict::Ready | Verdict::Paused => judgement,
        _ => evidence::with_events(context, &[context.object.into()], judgement),
    }
}

fn find<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    // What was written for an older generation says nothing about this one.
    condition::find(object, kind).filter(|condition| !condition.is_older_than(object))
}

fn by_failure(context: &EvalContext) -> Option<Health> {
    let object = context.object;
    let broken = BROKEN.iter().filter_map(|kind| find(object, kind)).find(Condition::is_true);
    let ended = || find(object, "Succeeded").filter(Condition::is_false);
    // One that was aborted before is no failure of what was applied since.
    let is_new = |one: &Condition| one.is_current_for(object) || context.is_of_this_release(one.written);
    let aborted = || {
        find(object, "Progressing").filter(|one| one.is_false() && speaks_of_end(one.reason) && is_new(one))
    };
    broken
        .or_else(ended)
        .or_else(aborted)
        .map(|condition| Health::failed(Cause::ControllerFailed, condition.sentence()))
}

fn held(context: &EvalContext) -> Option<Health> {
    let object = context.object;
    let field = ["suspend", "paused"].into_iter().find(|field| is_true(object, &format!("/spec/{field}")));
    if let Some(field) = field {
        return Some(Health::paused(format!("spec.{field} is true: it is not waited for")));
    }
    let condition = HELD.iter().filter_map(|kind| find(object, kind)).find(Condition::is_true)?;
    Some(Health::paused(format!("{}: it is not waited for", condition.sentence())))
}

fn by_conditions(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let ready = find(object, "Ready");
    let is_ready = ready.is_some_and(|condition| condition.is_true());
    // Where a controller tries again after an error, the error is what there is to say.
    let has_failed = ready.is_some_and(|ready| ready.is_false() && speaks_of_error(ready.reason));
    let is_underway = |one: &Condition| {
        one.is_true() && !one.reason.ends_with("Available") && !(has_failed && one.reason.contains("Retry"))
    };
    let underway = UNDERWAY.iter().filter_map(|kind| find(object, kind)).find(is_underway);
    if let Some(underway) = underway.filter(|_| !is_ready) {
        return Some(Health::progressing(underway.sentence()));
    }
    if let Some(not_ready) = find(object, "NotReady").filter(Condition::is_true) {
        return Some(not_done(context, &not_ready));
    }
    let is_of_gateways = object::group(object::api_version(object)) == GATEWAYS;
    let taken = TAKEN.iter().filter(|_| is_of_gateways);
    let Some(kind) = DONE.iter().chain(taken).find(|kind| condition::find(object, kind).is_some()) else {
        let known = |condition: Condition| UNDERWAY.contains(&condition.kind);
        return condition::all(object).any(known).then(|| by_word(context)).flatten();
    };
    let Some(condition) = find(object, kind) else {
        return Some(Health::progressing("its controller has not seen this generation yet"));
    };
    Some(by_condition(context, kind, &condition))
}

/// By the condition that says whether it is done. Beside it another may tell of the error that keeps it.
fn by_condition(context: &mut EvalContext, kind: &str, condition: &Condition) -> Health {
    let object = context.object;
    let error = condition::all(object).find(|one| {
        one.kind != kind && one.is_false() && speaks_of_error(one.reason) && !one.is_older_than(object)
    });
    match error {
        Some(error) if condition.is_true() => Health::ready().warning(error.sentence()),
        None if condition.is_true() => Health::ready(),
        _ if kind == "Ready" && condition.is_false() && speaks_of_error(condition.reason) => {
            not_done(context, condition)
        }
        Some(error) => Health::progressing(error.sentence()).with_cause(Cause::ControllerFailed),
        None => Health::progressing(condition.sentence()),
    }
}

/// An error that lasts is a failure; anything else may still come right.
fn not_done(context: &mut EvalContext, condition: &Condition) -> Health {
    if !speaks_of_error(condition.reason) {
        return Health::progressing(condition.sentence());
    }
    let lasts = context.has_lasted(StateKey::ControllerError, condition.since, ERROR_PATIENCE);
    let verdict = if lasts { Verdict::Failed } else { Verdict::Progressing };
    Health::new(verdict).with_cause(Cause::ControllerFailed).saying(condition.sentence())
}

/// Words of a reason: `BuildFailed`, `ReconcileError`, `ErrInitIssuer`, `TimeoutException`.
fn speaks_of_error(reason: &str) -> bool {
    let is_short = |(at, _): (usize, &str)| reason[at + 3..].chars().next().is_none_or(char::is_uppercase);
    let lower = reason.to_ascii_lowercase();
    ["failed", "error", "invalid", "exception"].iter().any(|word| lower.contains(word))
        || reason.match_indices("Err").any(is_short)
}

/// Reasons for which nobody tries on: `RolloutAborted`, `ProgressDeadlineExceeded`.
fn speaks_of_end(reason: &str) -> bool {
    let lower = reason.to_ascii_lowercase();
    speaks_of_error(reason) || ["abort", "deadline"].iter().any(|word| lower.contains(word))
}

/// A route of the Gateway API has conditions for each of its parents.
fn by_parents(context: &EvalContext) -> Option<Health> {
    let parents = object::list(context.object, "/status/parents");
    let conditions = parents.iter().flat_map(condition::of_list);
    let mut conditions = conditions.filter(|one| !one.is_older_than(context.object));
    let wanted = |one: &Condition| matches!(one.kind, "Accepted" | "ResolvedRefs");
    let conditions: Vec<Condition> = conditions.by_ref().filter(wanted).collect();
    if conditions.iter().all(|one| one.kind != "Accepted") {
        return None;
    }
    Some(match conditions.iter().find(|one| !one.is_true()) {
        Some(condition) => Health::progressing(condition.sentence()),
        None => Health::ready(),
    })
}

/// Without any condition that is known: a word about itself.
fn by_word(context: &EvalContext) -> Option<Health> {
    if !object::has(context.object, "/status") {
        return None;
    }
    let words = WORDS.iter().map(|pointer| (pointer, text(context.object, pointer)));
    let words: Vec<(&&str, &str)> = words.filter(|(_, word)| !word.is_empty()).collect();
    let told = words.iter().find_map(|(pointer, word)| Some((pointer, word, meaning(word)?)));
    let Some((pointer, word, verdict)) = told else {
        let said = match words.first() {
            Some((pointer, word)) => format!("{} is {word}, which says nothing to windlass", field(pointer)),
            None => "nothing in its status says how it is".to_owned(),
        };
        return Some(Health::new(Verdict::Unknown).saying(said));
    };
    let said = format!("{} is {word}", field(pointer));
    let more = text(context.object, "/status/message");
    let said = if more.is_empty() { said } else { format!("{said}: {more}") };
    Some(match verdict {
        Verdict::Ready => Health::ready(),
        Verdict::Failed => Health::failed(Cause::ControllerFailed, said),
        other => Health::new(other).saying(said),
    })
}

fn meaning(word: &str) -> Option<Verdict> {
    match word.to_ascii_lowercase().as_str() {
        "ready" | "running" | "active" | "bound" | "available" | "healthy" | "succeeded" | "completed" => {
            Some(Verdict::Ready)
        }
        "failed" | "error" | "degraded" | "rejected" => Some(Verdict::Failed),
        "pending" | "creating" | "updating" | "progressing" | "deleting" | "provisioning"
        | "initializing" | "installing" | "upgrading" | "starting" | "scaling" | "reconciling"
        | "terminating" | "waiting" | "inprogress" | "in progress" | "processing" | "deploying" => {
            Some(Verdict::Progressing)
        }
        _ => None,
    }
}

/// `status.phase` of `/status/phase`.
fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// No status at all: perhaps nobody writes one, perhaps nobody has come to it yet.
fn silent(context: &mut EvalContext) -> Health {
    let applied = context.release().and_then(|release| release.applied_at);
    let since = applied.or_else(|| object::created(context.object));
    if context.has_lasted(StateKey::Silence, since, SILENCE) {
        return Health::ready().saying("it has no status: no controller says how it is");
    }
    Health::progressing("no controller has written a status yet")
}
