//! The last thing on the screen: how it ended, and where it did not end well, what failed, why, what was seen,
//! what windlass did about it, and what to type next.

use super::event::{Failure, Finished, Outcome, Stage, Subject};
use super::{human, paint, row};

/// The lines of the end, for people.
pub(super) fn ending(finished: &Finished) -> Vec<String> {
    if finished.outcome == Outcome::Ok || finished.outcome == Outcome::Skipped {
        return vec![success(finished)];
    }
    let mut lines = vec![headline(finished)];
    lines.extend(
        finished.snippet.iter().flat_map(|snippet| snippet.lines()).map(|line| format!("    {line}")),
    );
    let said_below = |hint: &&str| finished.causes.iter().any(|cause| cause.hint.as_deref() == Some(*hint));
    let hint = finished.hint.as_deref().filter(|hint| !said_below(hint));
    lines.extend(hint.map(|hint| format!("  {}", row::hint(hint))));
    for failure in &finished.causes {
        lines.push(String::new());
        lines.extend(failed(failure, finished.message.as_deref()));
    }
    let closing: Vec<String> = deed(finished).into_iter().chain(next(finished)).collect();
    if !closing.is_empty() {
        lines.push(String::new());
        lines.extend(closing);
    }
    lines
}

/// Whether a command that is there for its answer needs no words at its end: it gave one, be it that there
/// are changes (`plan --exit-code`).
pub(super) fn is_an_answer(finished: &Finished) -> bool {
    matches!(finished.exit_code, 0 | 4)
}

/// `✓ release done in 12.4 s: revision 7`.
fn success(finished: &Finished) -> String {
    let sign = paint::good("✓");
    let what = match (finished.rolled_back_to, finished.revision) {
        (Some(target), Some(revision)) => format!(": revision {revision}, back to the content of {target}"),
        (Some(target), None) => format!(": back to revision {target}"),
        (None, Some(revision)) => format!(": revision {revision}"),
        (None, None) => String::new(),
    };
    let time = human::seconds(finished.seconds);
    format!("{sign} {} done in {time}{what}", paint::strong(&finished.command))
}

/// `✗ release failed: 1 of 7 objects did not become ready  (exit code 31, 1m 02s)`.
fn headline(finished: &Finished) -> String {
    let word = match finished.outcome {
        Outcome::Refused => "refused",
        Outcome::Interrupted => "interrupted",
        Outcome::Ok | Outcome::Skipped | Outcome::Failed => "failed",
    };
    // "interrupted: interrupted" says nothing twice.
    let message = finished.message.as_deref().filter(|message| *message != word);
    let sentence = message.map(|message| format!(": {}", human::shorten(message))).unwrap_or_default();
    let numbers = format!("(exit code {}, {})", finished.exit_code, human::seconds(finished.seconds));
    let command = format!("✗ {} {word}", finished.command);
    format!("{}{sentence}  {}", paint::bad(&command), paint::faint(&numbers))
}

/// What failed, why, what was seen, what would help.
fn failed(failure: &Failure, already_said: Option<&str>) -> Vec<String> {
    let subject = match &failure.subject {
        Subject::Object(object) => object.clone(),
        Subject::Image(image) => format!("image {image}"),
        Subject::Test(test) => format!("test {test}"),
    };
    let mut lines = vec![format!("  {}  {}", paint::strong(&subject), paint::bad(&failure.cause))];
    if already_said != Some(failure.message.as_str()) {
        lines.extend(failure.message.lines().map(|line| format!("    {}", human::shorten(line))));
    }
    for evidence in &failure.evidence {
        lines.push(format!("    {}", paint::faint(&evidence.title)));
        let bar = paint::faint("│");
        lines.extend(evidence.lines.iter().map(|line| format!("      {bar} {line}")));
    }
    lines.extend(failure.hint.as_deref().map(|hint| format!("    {}", row::hint(hint))));
    lines
}

/// What windlass did about it.
fn deed(finished: &Finished) -> Option<String> {
    let text = match (finished.rolled_back_to, finished.stage, finished.exit_code) {
        (Some(revision), ..) => format!("rolled back: revision {revision} serves again"),
        (None, Some(Stage::Release), 31 | 32) => {
            "nothing was rolled back: the tier is left as it is".to_owned()
        }
        _ => return None,
    };
    Some(format!("  {text}"))
}

/// The complete commands to type next, the most useful first.
fn next(finished: &Finished) -> impl Iterator<Item = String> {
    finished.next.iter().enumerate().map(|(index, line)| {
        let label = if index == 0 { "next:" } else { "" };
        format!("  {label:<5} {}", paint::command(line))
    })
}
