//! The last thing on the screen: how it ended, and where it did not end well, what failed, why, what was seen,
//! what windlass did about it, and what to type next.

use std::collections::BTreeSet;

use crate::model::{Failure, Outcome, Stage, Subject};
use crate::report::event::Finished;
use crate::report::live::format;
use crate::report::style;
use crate::text::display;

/// The lines of the end, for people.
pub(crate) fn summary(finished: &Finished) -> Vec<String> {
    if finished.outcome == Outcome::Ok || finished.outcome == Outcome::Skipped {
        return vec![success(finished)];
    }
    let mut lines = vec![headline(finished)];
    lines.extend(
        finished.snippet.iter().flat_map(|snippet| snippet.lines()).map(|line| format!("    {line}")),
    );
    lines.extend(hint(finished).map(|hint| format!("  {}", format::hint(hint))));
    for failure in &finished.causes {
        lines.push(String::new());
        lines.extend(failed(failure, finished.message.as_deref()));
    }
    let deed = deed(finished).map(|text| format!("  {text}"));
    let closing: Vec<String> = deed.into_iter().chain(next(finished)).chain(pages(finished)).collect();
    if !closing.is_empty() {
        lines.push(String::new());
        lines.extend(closing);
    }
    lines
}

/// Whether a command that is there for its answer needs no words at its end: it gave one, be it that there
/// are changes (`plan --exit-code`), or that it was followed until somebody had seen enough (`logs --follow`).
pub(crate) fn is_an_answer(finished: &Finished) -> bool {
    matches!(finished.exit_code, 0 | 4)
        || (finished.outcome == Outcome::Interrupted && finished.command == "logs")
}

/// How a command ended, in a word.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok | Outcome::Skipped => "done",
        Outcome::Failed => "failed",
        Outcome::Refused => "refused",
        Outcome::Interrupted => "interrupted",
    }
}

/// What a command that ended well came to: `revision 7`.
pub(crate) fn result(finished: &Finished) -> Option<String> {
    if let (Some(false), Some(runs)) = (finished.changed, finished.still_runs) {
        return Some(format!("nothing was rolled back: release {runs} is good and runs"));
    }
    match (finished.rolled_back_to, finished.revision) {
        (Some(target), Some(revision)) if finished.changed == Some(false) => {
            Some(format!("nothing was changed: release {revision} is the rollback to {target}"))
        }
        (Some(target), Some(revision)) => {
            let back_to = finished.back_to.clone().unwrap_or_else(|| format!("release {target}"));
            Some(format!("revision {revision}, back to {back_to}"))
        }
        (Some(target), None) => Some(format!("back to revision {target}")),
        (None, Some(revision)) => Some(format!("revision {revision}")),
        (None, None) => None,
    }
}

/// Why a command did not end well. "interrupted: interrupted" would say nothing twice.
pub(crate) fn message(finished: &Finished) -> Option<&str> {
    finished.message.as_deref().filter(|message| *message != word(finished.outcome))
}

/// What would help, unless a cause says it too.
pub(crate) fn hint(finished: &Finished) -> Option<&str> {
    let said_below = |hint: &&str| finished.causes.iter().any(|cause| cause.hint.as_deref() == Some(*hint));
    finished.hint.as_deref().filter(|hint| !said_below(hint))
}

/// What failed: `Deployment/web`, `image web`, `test unit`.
pub(crate) fn subject(failure: &Failure) -> String {
    match &failure.subject {
        Subject::Object(object) => object.clone(),
        Subject::Image(image) => format!("image {image}"),
        Subject::Test(test) => format!("test {test}"),
    }
}

/// `✓ release done in 12.4 s: revision 7, https://shop.example.com`.
fn success(finished: &Finished) -> String {
    let sign = style::good("✓");
    let what: Vec<String> = result(finished).into_iter().chain(finished.url.clone()).collect();
    let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) };
    let time = display::seconds(finished.seconds);
    format!("{sign} {} done in {time}{what}", style::strong(&finished.command))
}

/// `✗ release failed: 1 of 7 objects did not become ready  (exit code 31, 1m 02s)`.
fn headline(finished: &Finished) -> String {
    let sentence =
        message(finished).map(|message| format!(": {}", display::shorten(message))).unwrap_or_default();
    let numbers = format!("(exit code {}, {})", finished.exit_code, display::seconds(finished.seconds));
    let command = format!("✗ {} {}", finished.command, word(finished.outcome));
    format!("{}{sentence}  {}", style::bad(&command), style::faint(&numbers))
}

/// What failed, why, what was seen, what would help.
fn failed(failure: &Failure, already_said: Option<&str>) -> Vec<String> {
    let mut lines = vec![format!("  {}  {}", style::strong(&subject(failure)), style::bad(&failure.cause))];
    if already_said != Some(failure.message.as_str()) {
        lines.extend(failure.message.lines().map(|line| format!("    {}", display::shorten(line))));
    }
    for evidence in &failure.evidence {
        lines.push(format!("    {}", style::faint(&evidence.title)));
        let bar = style::faint("│");
        lines.extend(evidence.lines.iter().map(|line| format!("      {bar} {line}")));
    }
    lines.extend(failure.hint.as_deref().map(|hint| format!("    {}", format::hint(hint))));
    lines
}

/// What windlass did about it, and what still runs.
pub(crate) fn deed(finished: &Finished) -> Option<String> {
    if finished.changed == Some(false) {
        return Some(match finished.still_runs {
            Some(runs) => format!("nothing was changed: release {runs} still runs"),
            None => "nothing was changed".to_owned(),
        });
    }
    match (finished.stage, finished.exit_code, finished.rolled_back_to) {
        // A rollback knows where it leads to before it is there.
        (Some(Stage::Rollback), 40 | 130 | 143, Some(revision)) => {
            Some(format!("the rollback to revision {revision} is not complete: the tier was left as it is"))
        }
        (_, 40, _) => Some("the rollback is not complete: the tier was left as it is".to_owned()),
        (_, 35, Some(revision)) | (Some(Stage::Release), 130 | 143, Some(revision)) => {
            Some(format!("rolled back: revision {revision} serves again"))
        }
        (Some(Stage::Release), 130 | 143, None) if finished.sent_back_to.is_some() => {
            finished.sent_back_to.map(|to| format!("revision {to} was restored, but not watched"))
        }
        (Some(Stage::Release), 31 | 32 | 130 | 143, None) => Some(left(finished)),
        // Refused before the first change there is no revision.
        (Some(Stage::Release), 5 | 6 | 30, None) if finished.revision.is_some() => Some(left(finished)),
        _ => None,
    }
}

/// What a failed release left: `nothing was rolled back; web and worker untouched, still release 11`.
fn left(finished: &Finished) -> String {
    let untouched: Vec<&str> = finished
        .untouched
        .iter()
        .map(|id| id.split_once('/').map_or(id.as_str(), |(_, name)| name))
        .collect();
    let release = finished.still_runs.map(|runs| format!(", still release {runs}")).unwrap_or_default();
    match untouched.as_slice() {
        [] => "nothing was rolled back: the tier was left as it is".to_owned(),
        [one] => format!("nothing was rolled back; {one} untouched{release}"),
        [some @ .., last] if some.len() < UNTOUCHED => {
            format!("nothing was rolled back; {} and {last} untouched{release}", some.join(", "))
        }
        all => {
            let more = all.len() - UNTOUCHED;
            let some = all[..UNTOUCHED].join(", ");
            format!("nothing was rolled back; {some} and {more} more untouched{release}")
        }
    }
}

/// So many workloads are named.
const UNTOUCHED: usize = 4;

/// The complete commands to type next, the most useful first.
fn next(finished: &Finished) -> impl Iterator<Item = String> {
    labelled("next:", finished.next.iter().cloned())
}

/// So many causes are offered to be looked up.
const LOOKED_UP: usize = 3;

/// The commands that explain the causes, in the order in which these are told.
fn pages(finished: &Finished) -> impl Iterator<Item = String> {
    let mut causes: Vec<&str> = finished.causes.iter().map(|failure| failure.cause.as_str()).collect();
    let mut seen = BTreeSet::new();
    causes.retain(|cause| seen.insert(*cause));
    let commands: Vec<String> =
        causes.into_iter().take(LOOKED_UP).map(|cause| format!("windlass help {cause}")).collect();
    labelled("help:", commands.into_iter())
}

/// Commands below each other, with a label before the first.
fn labelled(label: &str, commands: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    commands.enumerate().map(move |(index, line)| {
        let label = if index == 0 { label } else { "" };
        format!("  {label:<5} {}", style::command(&line))
    })
}
