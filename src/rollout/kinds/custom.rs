//! The rule for every kind that has none of its own: custom resources, by the conventions that most of them keep.

use serde_json::Value;

use crate::model::object::{is_true, text};
use crate::model::{Cause, Verdict, labels, object};
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::kinds::owned;
use crate::rollout::kinds::vocabulary::{Polarity, meaning, polarity};
use crate::rollout::memory::StateKey;
use crate::rollout::snapshot::condition;
use crate::rollout::snapshot::condition::Condition;
use crate::rollout::{annotations, evidence};
use crate::text::pointer;

/// Conditions that say it is done, the most telling first.
const DONE: &[&str] =
    &["Ready", "Available", "Succeeded", "Complete", "Completed", "Established", "Synced", "Healthy"];
/// Conditions that say it will not be done.
const BROKEN: &[&str] = &["Stalled", "Failed", "Degraded"];
/// Conditions that say it is on its way.
const UNDERWAY: &[&str] = &["Reconciling", "Progressing"];
/// Conditions that say it was told to stand still.
const HELD: &[&str] = &["Suspended", "Paused"];
/// Where those without conditions keep a word about themselves, the most telling first.
const WORDS: &[&str] =
    &["/status/phase", "/status/state", "/status/health", "/status/health/status", "/status/health/state"];
/// How other fields with such a word end: `currentState`, `updateStatus`.
const WORD_ENDS: &[&str] = &["phase", "state", "status", "health"];
/// What is wanted and what there is of it, as most projects name it.
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
/// A controller may try again: only an error that lasts so many seconds is a failure.
const ERROR_PATIENCE: i64 = 30;
/// One whose status says nothing is ready when nobody has written to it for so many seconds.
const QUIET: i64 = 15;
/// The same where others are waiting for it: what is in `phase: before`, or has Jobs after it.
const QUIET_BEFORE_OTHERS: i64 = 60;

/// Judges an object of any other kind.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    let judgement = by_failure(context)
        .or_else(|| held(context))
        .or_else(|| unobserved(context.object))
        .or_else(|| by_conditions(context))
        .or_else(|| by_similar_conditions(context))
        .or_else(|| by_word(context))
        .or_else(|| by_flag(context))
        .or_else(|| by_counts(context))
        .unwrap_or_else(|| unreadable(context));
    let rule = judgement.rule.clone();
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

/// A part of its status that was written for an older generation: below a field of it, or as a text.
fn unobserved(object: &Value) -> Option<Health> {
    let generation = object::number(object, "/metadata/generation")?;
    let status = object.get("status")?.as_object()?;
    let within = |fields: &serde_json::Map<String, Value>| {
        let named =
            ["observedGeneration", "lastObservedGeneration"].iter().filter_map(|name| fields.get(*name));
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        named.filter_map(number).any(|observed| (0..generation).contains(&observed))
    };
    // A number there is judged before any kind's rule.
    let is_text = |name: &str| status.get(name).is_some_and(Value::is_string);
    let above = (is_text("observedGeneration") || is_text("lastObservedGeneration")) && within(status);
    let below = || status.values().filter_map(Value::as_object).any(within);
    (above || below()).then(|| {
        generic(Health::progressing("its controller has not seen this generation yet"), "observedGeneration")
    })
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
        return Some(generic(Health::progressing(underway.sentence()), underway.kind));
    }
    if let Some(not_ready) = find(object, "NotReady").filter(Condition::is_true) {
        return Some(generic(not_done(context, &not_ready), not_ready.kind));
    }
    let kind = DONE.iter().find(|kind| condition::find(object, kind).is_some())?;
    let judgement = match find(object, kind) {
        Some(condition) => by_condition(context, kind, &condition),
        None => Health::progressing("its controller has not seen this generation yet"),
    };
    Some(generic(judgement, kind))
}

/// By conditions whose names only end as the usual ones do, and by those in lists below the status (`status.parents[]`,
/// `status.ancestors[]`): all of them count.
fn by_similar_conditions(context: &mut EvalContext) -> Option<Health> {
    let object = context.object;
    let mut lists = Vec::new();
    condition_lists(object.get("status")?, CONDITION_DEPTH, &mut lists);
    let conditions = lists.into_iter().flat_map(condition::of_list);
    let known = conditions.filter_map(|one| Some((polarity(one.kind)?, one)));
    let known: Vec<(Polarity, Condition)> = known.collect();
    let newest: Vec<(Polarity, Condition)> =
        known.iter().filter(|(_, one)| !one.is_older_than(object)).copied().collect();
    if newest.is_empty() {
        let (_, first) = known.first()?;
        let waits = Health::progressing("its controller has not seen this generation yet");
        return Some(generic(waits, first.kind));
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

/// So deep below the status lists of conditions are looked for.
const CONDITION_DEPTH: usize = 3;

/// What has a list of conditions, the value itself included.
fn condition_lists<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
    if value.get("conditions").is_some_and(Value::is_array) {
        found.push(value);
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(fields) => {
            let below = fields.iter().filter(|(name, _)| *name != "conditions");
            below.for_each(|(_, value)| condition_lists(value, depth, found));
        }
        Value::Array(items) => items.iter().for_each(|item| condition_lists(item, depth, found)),
        _ => {}
    }
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
    lasting(context, condition)
}

/// What is wrong is a failure when it lasts.
fn lasting(context: &mut EvalContext, condition: &Condition) -> Health {
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

/// Without any condition that is known: a word about itself.
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

/// Its words about itself, the most telling first.
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

/// By how many there are of how many.
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

/// Its status says nothing that is understood, or there is none: it is ready when all that it owns is, and nobody has written
/// to it for a while. Whether it is, nobody can say of a dump.
fn unreadable(context: &mut EvalContext) -> Health {
    let object = context.object;
    let word = words(object).into_iter().next();
    let said = match (word, object::has(object, "/status")) {
        (Some((pointer, word)), _) => format!("{} is {word}, which windlass does not know", field(&pointer)),
        (None, true) => "nothing in its status says how it is".to_owned(),
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
        Health::progressing(format!("{said}, and windlass.dev/wait: health asks for a rule in `health:`"))
    } else if let Some(waiting) = owned::waiting(context) {
        Health::progressing(format!("{said}: waiting for {waiting}"))
    } else if is_quiet {
        let kind = object::kind(object);
        Health::ready().warning(format!(
            "{said}: it counts as ready because all that it owns is; a rule for {kind} in `health:` of windlass.yaml would tell"
        ))
    } else {
        Health::progressing(format!("{said}: ready when nobody writes to it for {patience} s"))
    };
    generic(judgement, "nothing to judge by")
}
