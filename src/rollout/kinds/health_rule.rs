//! The rule that `windlass.yaml` has for a kind (`health:`): it goes before every other one.

use crate::model::{Cause, Verdict};
use crate::project::{Expectation, HealthRule, word_at};
use crate::rollout::context::EvalContext;
use crate::rollout::evidence;
use crate::rollout::health::Health;

/// Judges an object by the configuration's rule for its kind.
pub(crate) fn judge(context: &EvalContext, rule: &HealthRule) -> Health {
    let object = context.object;
    let said =
        rule.message.as_ref().and_then(|pointer| word_at(object, pointer)).filter(|one| !one.is_empty());
    let with_word = |sentence: String| match &said {
        Some(said) => format!("{sentence}: {said}"),
        None => sentence,
    };
    let judgement = if let Some(failed) = rule.failed.iter().find(|one| one.holds(object)) {
        let word = word_at(object, &failed.pointer).unwrap_or_default();
        Health::failed(Cause::ControllerFailed, with_word(format!("{} is {word}", field(&failed.pointer))))
    } else if let Some(missing) = rule.ready.iter().find(|one| !one.holds(object)) {
        Health::new(Verdict::Progressing).saying(with_word(waits_for(context, missing)))
    } else {
        return Health::ready();
    };
    evidence::with_events(context, &[object.into()], judgement)
}

/// `status.phase is Creating, not Ready`
fn waits_for(context: &EvalContext, missing: &Expectation) -> String {
    let wanted = missing.values.join(" or ");
    match word_at(context.object, &missing.pointer) {
        Some(word) => format!("{} is {word}, not {wanted}", field(&missing.pointer)),
        None => format!("{} is not there yet, and should be {wanted}", field(&missing.pointer)),
    }
}

/// `status.phase` of `/status/phase`.
fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
