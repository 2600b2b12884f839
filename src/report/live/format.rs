//! One line for one thing: how it went, its name, how long it took, what there is to say.
//!
//! ```text
//!   ✓ build web                    12.4 s  pushed as web:1f3c9a0b
//!   ✗ Deployment/web              1m 02s  image-not-found: …
//! ```

use std::time::Duration;

use crate::model::{Outcome, Stage, Verdict};
use crate::report::event::{ObjectState, Warning};
use crate::report::style;
use crate::text::display;

/// Names are padded to this, so that what follows stands in a column.
const NAME: usize = 28;

/// How something is, as one character.
#[derive(Clone, Copy)]
pub(crate) enum Symbol {
    Good,
    /// Nothing had to be done.
    Skipped,
    Bad,
    Doubtful,
    Running,
}

impl Symbol {
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Skipped => "=",
            Self::Bad => "✗",
            Self::Doubtful => "!",
            Self::Running => "…",
        }
    }

    fn painted(self) -> String {
        match self {
            Self::Good => style::good(self.mark()),
            Self::Skipped | Self::Running => style::faint(self.mark()),
            Self::Bad => style::bad(self.mark()),
            Self::Doubtful => style::doubtful(self.mark()),
        }
    }

    /// What a person should look at first has the smallest number.
    pub(crate) fn urgency(self) -> u8 {
        match self {
            Self::Bad => 0,
            Self::Doubtful => 1,
            Self::Running => 2,
            Self::Skipped | Self::Good => 3,
        }
    }

    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Good,
            Outcome::Skipped => Self::Skipped,
            Outcome::Failed | Outcome::Refused => Self::Bad,
            Outcome::Interrupted => Self::Doubtful,
        }
    }

    pub(crate) fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ready => Self::Good,
            Verdict::Failed => Self::Bad,
            Verdict::Paused => Self::Doubtful,
            Verdict::Progressing | Verdict::Terminating | Verdict::Unknown => Self::Running,
        }
    }
}

/// `▸ build  2 images, commit 1f3c9a0b`.
pub(crate) fn stage_started(stage: Stage, title: &str) -> String {
    format!("▸ {}  {}", style::strong(stage_name(stage)), display::shorten(title))
}

/// `✓ build  12.4 s  web built`.
pub(crate) fn stage_finished(stage: Stage, outcome: Outcome, summary: &str, seconds: f64) -> String {
    let time = style::faint(&display::seconds(seconds));
    let sign = Symbol::of(outcome).painted();
    format!("{sign} {}  {}  {time}", style::strong(stage_name(stage)), display::shorten(summary))
}

/// A step that ended.
pub(crate) fn step_finished(step: &str, outcome: Outcome, summary: &str, seconds: f64) -> String {
    let sign = Symbol::of(outcome);
    format!("  {} {}", sign.painted(), columns(step, &display::seconds(seconds), &display::shorten(summary)))
}

/// A step that runs.
pub(crate) fn step_running(step: &str, text: &str) -> String {
    format!("  {} {}", Symbol::Running.painted(), columns(step, "", &style::faint(text)))
}

/// The state of an object.
pub(crate) fn object(state: &ObjectState, age: Duration) -> String {
    let time = if age.is_zero() { String::new() } else { display::duration(age) };
    let sign = Symbol::of_verdict(state.verdict);
    format!("  {} {}", sign.painted(), columns(&name(state), &time, &state_text(state)))
}

/// Without the sign: what a live line says of something that runs. The spinner stands where the sign would.
pub(crate) fn live(name: &str, age: Duration, text: &str) -> String {
    columns(name, &display::whole(age), &display::shorten(text))
}

/// A line that something wrote: `    web │ Step 1/7`.
pub(crate) fn log(source: &str, line: &str) -> String {
    format!("    {} {line}", style::faint(&format!("{source} │")))
}

/// A warning, with what would help.
pub(crate) fn warning(warning: &Warning) -> Vec<String> {
    let mut lines = vec![format!("{} {}", Symbol::Doubtful.painted(), display::shorten(&warning.message))];
    lines.extend(warning.snippet.iter().flat_map(|snippet| snippet.lines()).map(|line| format!("  {line}")));
    lines.extend(warning.hint.iter().map(|text| format!("  {}", hint(text))));
    lines
}

/// `hint: what would help`.
pub(crate) fn hint(text: &str) -> String {
    format!("{} {text}", style::command("hint:"))
}

/// Nothing was printed for a while.
pub(crate) fn heartbeat(running: Duration, activity: &str) -> String {
    let time = display::whole(running);
    format!("  {} {}", Symbol::Running.painted(), style::faint(&format!("{time}: {activity}")))
}

/// Nothing has changed since something was printed.
pub(crate) fn unchanged(running: Duration, lasting: Duration, activity: &str) -> String {
    heartbeat(running, &format!("{activity}, unchanged for {}", display::whole(lasting)))
}

/// What is going on where nobody says more than which stage runs.
pub(crate) fn still_running(stage: Option<Stage>) -> String {
    stage.map_or_else(String::new, |stage| format!("{} is ", stage_name(stage))) + "still running"
}

/// `Deployment/web`.
pub(crate) fn name(state: &ObjectState) -> String {
    format!("{}/{}", state.kind, state.name)
}

/// `2/3 ready · readiness-probe: GET /health on port 8080 answered 503`.
pub(crate) fn state_text(state: &ObjectState) -> String {
    let verdict = state.verdict.to_string();
    let cause = state.cause.map(|cause| cause.to_string());
    let word = match (state.verdict, cause) {
        (Verdict::Ready, _) if state.ready.is_some() => None,
        (Verdict::Progressing | Verdict::Failed, Some(cause)) => Some(cause),
        (Verdict::Progressing, None) if state.ready.is_some() || state.message.is_some() => None,
        (_, Some(cause)) => Some(format!("{verdict}, {cause}")),
        (_, None) => Some(verdict),
    };
    let ready = state.ready.as_ref().map(|count| format!("{count} ready"));
    let message = state.message.as_deref().map(display::shorten);
    let why = match (word, message) {
        (Some(word), Some(message)) => Some(format!("{word}: {message}")),
        (word, message) => word.or_else(|| message.map(Into::into)),
    };
    [ready, why].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The word of a stage.
pub(crate) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Build => "build",
        Stage::Test => "test",
        Stage::Release => "release",
        Stage::Rollback => "rollback",
    }
}

/// The name, the time right-aligned, and the text, in columns.
fn columns(name: &str, time: &str, text: &str) -> String {
    let gap = NAME.saturating_sub(name.chars().count());
    let line = format!("{}{:gap$} {}  {text}", style::strong(name), "", style::faint(&format!("{time:>7}")));
    line.trim_end().to_owned()
}
