//! The rule for every kind without its own: custom resources, by the usual conventions.

mod health_rule;
mod observed;
mod owned;
mod vocabulary;

use serde_json::Value;

use crate::model::object::{is_true, text};
use crate::model::{Cause, Verdict, labels, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::memory::StateKey;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;
use crate::rollout::{annotations, evidence};
use crate::text::pointer;
use vocabulary::{Polarity, meaning, polarity};

pub(crate) use health_rule::{by_catalogue, by_configuration};

/// Conditions of success, the most significant first.
const DONE: &[&str] =
    &["Ready", "Available", "Succeeded", "Complete", "Completed", "Established", "Synced", "Healthy"];
/// Conditions of failure.
const BROKEN: &[&str] = &["Stalled", "Failed", "Degraded"];
/// Conditions of progress.
const UNDERWAY: &[&str] = &["Reconciling", "Progressing"];
/// Conditions of being paused.
const HELD: &[&str] = &["Suspended", "Paused"];
/// Where objects without conditions have a phase or state, the most significant first.
const WORDS: &[&str] =
    &["/status/phase", "/status/state", "/status/health", "/status/health/status", "/status/health/state"];
/// The endings of other fields with a phase or state: `currentState`, `updateStatus`.
const WORD_ENDS: &[&str] = &["phase", "state", "status", "health"];
/// The wanted and the actual count, as most projects name them.
const COUNTS: &[(&str, &str)] = &[
    ("/spec/replicas", "/status/readyReplicas"),
    ("/spec/replicas", "/status/availableReplicas"),
    ("/spec/instances", "/status/readyInstances"),
    ("/spec/size", "/status/readyReplicas"),
    ("/spec/size", "/status/ready"),
    ("/spec/nodes", "/status/readyNodes"),
    ("/status/desiredNumberScheduled", "/status/numberReady"),
    ("/status/replicas", "/status/readyReplicas"),
];
/// A controller may retry: only an error that lasts this many seconds is a failure.
const ERROR_PATIENCE: i64 = 30;
/// An object with an unknown status is ready when nobody has written to it for this many seconds.
const QUIET: i64 = 15;
/// The same if others wait for it: in `phase: before`, or with Jobs after it.
const QUIET_BEFORE_OTHERS: i64 = 60;

/// Judges an object of any other kind.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let judgement = by_failure(context)
        .or_else(|| held(context))
        .or_else(|| unobserved(context))
        .or_else(|| by_conditions(context))
        .or_else(|| by_similar_conditions(context))
        .or_else(|| by_word(context))
        .or_else(|| by_flag(context))
        .or_else(|| by_counts(context))
        .unwrap_or_else(|| unreadable(context));
    let rule = judgement.rule.clone();
    let judgement = observed::settled(context, judgement);
    let judgement = owned::weighed(context, judgement);
    let judgement = Health { rule, ..judgement };
    match judgement.verdict {
        Verdict::Ready | Verdict::Paused => judgement,
        _ => evidence::with_events(context, &[context.object.into()], judgement),
    }
}

/// `generic: Ready`
fn generic(judgement: Health, rule: &str) -> Health {
    judgement.judged_by(format!("generic: {rule}"))
}

fn find<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    // A status for an older generation says nothing about this one.
    condition::find(object, kind).filter(|condition| !condition.is_older_than(object))
}

fn by_failure(context: &EvalContext) -> Option<Health> {
    let object = context.object;
    let broken = BROKEN.iter().filter_map(|kind| find(object, kind)).find(Condition::is_true);
    let ended = || find(object, "Succeeded").filter(Condition::is_false);
    // An aborted rollout from before our apply does not fail the current one.
    let is_new = |one: &Condition| one.is_current_for(object) || context.is_of_this_release(one.written);
    let aborted = || {
        find(object, "Progressing").filter(|one| one.is_false() && speaks_of_end(one.reason) && is_new(one))
    };
    let condition = broken.or_else(ended).or_else(aborted)?;
    Some(generic(Health::failed(Cause::ControllerFailed, condition.sentence()), condition.kind))
}

fn held(context: &EvalContext) -> Option<Health> {
    let object = context.object;
    let field = ["suspend", "paused"].into_iter().find(|field| is_true(object, &format!("/spec/{field}")));
    if let Some(field) = field {
        let paused = Health::paused(format!("spec.{field} is true: it is not waited for"));
        return Some(generic(paused, &format!("spec.{field}")));
    }
    let condition = HELD.iter().filter_map(|kind| find(object, kind)).find(Condition::is_true)?;
    let paused = Health::paused(format!("{}: it is not waited for", condition.sentence()));
    Some(generic(paused, condition.kind))
}

/// A part of its status that was written for an older generation: in a field below the status, or as text.
fn unobserved(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let generation = object::number(object, "/metadata/generation")?;
    let status = object.get("status")?.as_object()?;
    let within = |fields: &serde_json::Map<String, Value>| {
        let named =
            ["observedGeneration", "lastObservedGeneration"].iter().filter_map(|name| fields.get(*name));
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        named.filter_map(number).any(|observed| (0..generation).contains(&observed))
    };
    // A numeric `observedGeneration` is handled by the rules for all kinds.
    let is_text = |name: &str| status.get(name).is_some_and(Value::is_string);
    let above = (is_text("observedGeneration") || is_text("lastObservedGeneration")) && within(status);
    let below = || status.values().filter_map(Value::as_object).any(within);
    (above || below()).then(|| generic(context.unobserved(), "observedGeneration"))
}

fn by_conditions(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let ready = find(object, "Ready");
    let is_ready = ready.is_some_and(|condition| condition.is_true());
    // If a controller retries after an error, report the error.
    let has_failed = ready.is_some_and(|ready| ready.is_false() && speaks_of_error(ready.reason));
    let is_underway = |one: &Condition| {
        one.is_true() && !one.reason.ends_with("Available") && !(has_failed && one.reason.contains("Retry"))
    };
    let underway = UNDERWAY.iter().filter_map(|kind| find(object, kind)).find(is_underway);
    if let Some(underway) = underway.filter(|_| !is_ready) {
        return Some(generic(Health::progressing(underway.sentence()), underway.kind));
    }
    if let Some(not_ready) = find(object, "NotReady").filter(Condition::is_true) {
        return Some(generic(not_done(context, &not_ready), not_ready.kind));
    }
    let kind = DONE.iter().find(|kind| condition::find(object, kind).is_some())?;
    let judgement = match find(object, kind) {
        Some(condition) => by_condition(context, kind, &condition),
        None => context.unobserved(),
    };
    Some(generic(judgement, kind))
}

/// By conditions whose names only end like the usual ones, and by those in lists below the status (`status.parents[]`,
/// `status.ancestors[]`): all of them count.
fn by_similar_conditions(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let conditions =
        observed::condition_lists(object.get("status")?).into_iter().flat_map(condition::of_list);
    let known = conditions.filter_map(|one| Some((polarity(one.kind)?, one)));
    let known: Vec<(Polarity, Condition)> = known.collect();
    let newest: Vec<(Polarity, Condition)> =
        known.iter().filter(|(_, one)| !one.is_older_than(object)).copied().collect();
    if newest.is_empty() {
        let (_, first) = known.first()?;
        return Some(generic(context.unobserved(), first.kind));
    }
    let find = |wanted: Polarity, is_such: fn(&Condition) -> bool| {
        newest.iter().find(|(polarity, one)| *polarity == wanted && is_such(one)).map(|(_, one)| *one)
    };
    let is_true = |one: &Condition| one.is_true();
    if let Some(broken) = find(Polarity::Broken, is_true) {
        return Some(generic(lasting(context, &broken), broken.kind));
    }
    if let Some(underway) =
        find(Polarity::Underway, |one| one.is_true() && !one.reason.ends_with("Available"))
    {
        return Some(generic(Health::progressing(underway.sentence()), underway.kind));
    }
    let done = newest.iter().find(|(polarity, _)| *polarity == Polarity::Done).map(|(_, one)| *one)?;
    Some(match find(Polarity::Done, |one| !one.is_true()) {
        Some(missing) => generic(not_done(context, &missing), missing.kind),
        None => generic(Health::ready(), done.kind),
    })
}

/// By the condition of success. Another condition may have the error that blocks it.
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

/// A lasting error is a failure; anything else may still succeed.
fn not_done(context: &mut EvalContext, condition: &Condition) -> Health {
    if !speaks_of_error(condition.reason) {
        return Health::progressing(condition.sentence());
    }
    lasting(context, condition)
}

/// An error is a failure when it lasts.
fn lasting(context: &mut EvalContext, condition: &Condition) -> Health {
    let lasts = context.has_lasted(StateKey::ControllerError, condition.since, ERROR_PATIENCE);
    let verdict = if lasts { Verdict::Failed } else { Verdict::Progressing };
    Health::new(verdict).with_cause(Cause::ControllerFailed).saying(condition.sentence())
}

/// Whether a reason names an error: `BuildFailed`, `ReconcileError`, `ErrInitIssuer`, `TimeoutException`.
fn speaks_of_error(reason: &str) -> bool {
    let is_short = |(at, _): (usize, &str)| reason[at + 3..].chars().next().is_none_or(char::is_uppercase);
    let lower = reason.to_ascii_lowercase();
    ["failed", "error", "invalid", "exception"].iter().any(|word| lower.contains(word))
        || reason.match_indices("Err").any(is_short)
}

/// Whether a reason means that the controller does not retry: `RolloutAborted`, `ProgressDeadlineExceeded`.
fn speaks_of_end(reason: &str) -> bool {
    let lower = reason.to_ascii_lowercase();
    speaks_of_error(reason) || ["abort", "deadline"].iter().any(|word| lower.contains(word))
}

/// Without any known condition: by a phase or state.
fn by_word(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let (pointer, word, (verdict, is_tried_again)) =
        words(object).into_iter().find_map(|(pointer, word)| Some((pointer, word, meaning(word)?)))?;
    let said = format!("{} is {word}", field(&pointer));
    let more = ["message", "reason", "error"].map(|name| text(object, &format!("/status/{name}")));
    let more = more.into_iter().find(|more| !more.is_empty() && *more != word);
    let said = more.map_or(said.clone(), |more| format!("{said}: {more}"));
    let judgement = match verdict {
        Verdict::Ready => Health::ready(),
        Verdict::Failed
            if is_tried_again && !context.has_lasted(StateKey::ControllerError, None, ERROR_PATIENCE) =>
        {
            Health::progressing(said).with_cause(Cause::ControllerFailed)
        }
        Verdict::Failed => Health::failed(Cause::ControllerFailed, said),
        other => Health::new(other).saying(said),
    };
    Some(generic(judgement, &field(&pointer)))
}

/// Its phases and states, the most significant first.
fn words(object: &Value) -> Vec<(String, &str)> {
    let told = WORDS.iter().map(|pointer| ((*pointer).to_owned(), text(object, pointer)));
    let mut words: Vec<(String, &str)> = told.filter(|(_, word)| !word.is_empty()).collect();
    let fields = object.get("status").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in fields {
        let lower = name.to_ascii_lowercase();
        let pointer = format!("/status/{}", pointer::escape(name));
        let is_new = words.iter().all(|(known, _)| *known != pointer);
        if let Some(word) = value.as_str()
            && is_new
            && !word.is_empty()
            && WORD_ENDS.iter().any(|end| lower.ends_with(end))
        {
            words.push((pointer, word));
        }
    }
    words
}

/// `ready: true`, `ready: 2/3`
fn by_flag(context: &EvalContext) -> Option<Health> {
    let judgement = match context.object.pointer("/status/ready")? {
        Value::Bool(true) => Health::ready(),
        Value::Bool(false) => Health::progressing("status.ready is false"),
        Value::String(share) => {
            let (ready, wanted) = share.split_once('/')?;
            count(ready.trim().parse().ok()?, wanted.trim().parse().ok()?)
        }
        _ => return None,
    };
    Some(generic(judgement, "status.ready"))
}

/// By its counts.
fn by_counts(context: &EvalContext) -> Option<Health> {
    let object = context.object;
    let (wanted, ready, pointer) = COUNTS.iter().find_map(|(wanted, ready)| {
        Some((object::number(object, wanted)?, object::number(object, ready)?, *ready))
    })?;
    let updated = object::number(object, "/status/updatedReplicas").filter(|_| pointer.ends_with("Replicas"));
    let judgement = match updated {
        Some(updated) if updated < wanted => {
            let waits = Health::progressing(format!("{updated} of {wanted} are updated"));
            waits.counting(ready, wanted)
        }
        _ => count(ready, wanted),
    };
    Some(generic(judgement, &field(pointer)))
}

fn count(ready: i64, wanted: i64) -> Health {
    let judgement = if ready >= wanted {
        Health::ready()
    } else {
        Health::progressing(format!("{ready} of {wanted} are ready"))
    };
    judgement.counting(ready, wanted)
}

/// `status.phase` of `/status/phase`.
fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// Its status is unknown or missing: it is ready when everything it owns is, and nobody has written to it for a while.
/// A dump cannot show the latter.
fn unreadable(context: &mut EvalContext) -> Health {
    let object = context.object;
    let word = words(object).into_iter().next();
    let said = match (word, object::has(object, "/status")) {
        (Some((pointer, word)), _) => format!("{} is {word}, which windlass does not know", field(&pointer)),
        (None, true) => "its status has no known condition or phase".to_owned(),
        (None, false) => "it has no status".to_owned(),
    };
    let Some(release) = context.release() else {
        return generic(Health::new(Verdict::Unknown).saying(said), "nothing to judge by");
    };
    let is_written = release.applied_at.is_some();
    let others_wait = release.jobs_follow
        || object::annotation(object, labels::PHASE).is_some_and(|phase| phase == "before");
    let patience = if others_wait { QUIET_BEFORE_OTHERS } else { QUIET };
    let version = StateKey::Written(text(object, "/metadata/resourceVersion").into());
    let is_quiet = !is_written || context.has_lasted(version, None, patience);
    let judgement = if annotations::waits_for(object, "health") {
        Health::progressing(format!("{said}, and windlass.dev/wait: health needs a rule in `health:`"))
    } else if let Some(waiting) = owned::waiting(context) {
        Health::progressing(format!("{said}: waiting for {waiting}"))
    } else if is_quiet {
        let kind = object::kind(object);
        let ready = Health::ready().warning(format!(
            "{said}: it counts as ready because everything it owns is; add a rule for {kind} to \
             `health:` of windlass.yaml"
        ));
        Health { is_unjudged: true, ..ready }
    } else {
        Health::progressing(format!("{said}: ready when nobody has written to it for {patience} s"))
    };
    generic(judgement, "nothing to judge by")
}
