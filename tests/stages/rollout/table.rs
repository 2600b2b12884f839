//! What came of the scenarios: what was wrong, and the table in the documentation.

use std::any::Any;

use serde_json::Value;

use super::case::Case;
use super::observe::Observer;
use super::stage::Ending;
use crate::bench::Run;

/// How one scenario ended.
pub(super) struct Line {
    pub(super) name: &'static str,
    title: &'static str,
    code: i32,
    cause: String,
    seconds: f64,
    delay: Option<f64>,
    sentence: String,
    pub(super) wrong: Option<String>,
}

impl Line {
    pub(super) fn new(case: &Case, ending: &Ending, observer: &Observer) -> Self {
        let found = case.cause.and_then(|named| ending.cause(named));
        let delay = ending.delay(case, observer);
        let text =
            |key: &str| found.as_ref().and_then(|found| found[key].as_str()).unwrap_or_default().to_owned();
        Self {
            name: case.name,
            title: case.title,
            code: ending.run.code,
            cause: text("cause"),
            seconds: ending.run.took.as_secs_f64(),
            delay,
            sentence: text("message"),
            wrong: wrong(case, ending, found.is_some())
                .or_else(|| late(case, ending, delay))
                .map(|what| format!("{what}\n{}", course(&ending.run))),
        }
    }

    pub(super) fn of_panic(case: &Case, panic: &Box<dyn Any + Send>) -> Self {
        let wrong = Some(words(panic));
        Self {
            name: case.name,
            title: case.title,
            code: -1,
            cause: String::new(),
            seconds: 0.0,
            delay: None,
            sentence: String::new(),
            wrong,
        }
    }
}

/// What a panic said.
pub(super) fn words(panic: &Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// Longer than this after the decisive status, and somebody waits for nothing: a second, and a second for a
/// machine on which other scenarios play.
const LATE: f64 = 2.0;

fn wrong(case: &Case, ending: &Ending, has_cause: bool) -> Option<String> {
    let run = &ending.run;
    if run.code != case.code {
        return Some(format!("exit code {} instead of {}", run.code, case.code));
    }
    if let Some(cause) = case.cause.filter(|_| !has_cause) {
        return Some(format!("the causes have no {cause}"));
    }
    let unsaid = |words: &&&str| !run.stdout.contains(**words) && !run.stderr.contains(**words);
    if let Some(words) = case.says.iter().find(unsaid) {
        return Some(format!("nobody says {words:?}"));
    }
    None
}

/// What is wrong about the time that it took.
fn late(case: &Case, ending: &Ending, delay: Option<f64>) -> Option<String> {
    let run = &ending.run;
    if run.took.as_secs() > case.within {
        return Some(format!("it took {:.1} s instead of {} s", run.took.as_secs_f64(), case.within));
    }
    match delay {
        None if case.decisive.is_some() => Some("the decisive status was not seen".to_owned()),
        Some(late) if late > LATE => Some(format!("it ended {late:.1} s after the decisive status")),
        _ => None,
    }
}

/// For whoever ran the test.
pub(super) fn text(lines: &[Line]) -> String {
    let row = |line: &Line| {
        let mark = if line.wrong.is_some() { "WRONG" } else { "ok" };
        let delay = line.delay.map_or("-".to_owned(), |delay| format!("{delay:.2}"));
        format!(
            "{mark:5} {:16} {:3} {:22} {:6.1} {delay:>6}  {}",
            line.name, line.code, line.cause, line.seconds, line.sentence
        )
    };
    lines.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// What was wrong, in full.
pub(super) fn mistakes(lines: &[&Line]) -> String {
    let one = |line: &&Line| {
        format!("── {} ({}): {}", line.name, line.title, line.wrong.as_deref().unwrap_or_default())
    };
    lines.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// How the run went: when it said what of which object, in a line each, for logs that are cut.
fn course(run: &Run) -> String {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let line = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let time = text(&event, "time");
        let about =
            ["event", "kind", "name", "verdict", "cause", "outcome", "message"].map(|key| text(&event, key));
        let about: Vec<String> = about.into_iter().filter(|word| !word.is_empty()).collect();
        Some(format!("  {} {}", time.get(11..23).unwrap_or_default(), about.join(" ")))
    };
    let lines: Vec<String> = run.stdout.lines().filter_map(line).collect();
    let causes = run.events().pop().map(|finished| finished["causes"].to_string()).unwrap_or_default();
    format!("{}\n  {causes}\n{}", lines.join("\n"), run.stderr)
}

/// The table of the documentation.
pub(super) fn write(lines: &[Line]) {
    let verdict = |code: i32| match code {
        0 => "good",
        30 => "refused",
        31 => "failed",
        _ => "not in time",
    };
    let row = |line: &Line| {
        let delay = line.delay.map_or("–".to_owned(), |delay| format!("{delay:.1}"));
        let cause = if line.cause.is_empty() { "–".to_owned() } else { format!("`{}`", line.cause) };
        format!(
            "| {} | {} ({}) | {cause} | {:.0} | {delay} | {} |\n",
            line.title,
            verdict(line.code),
            line.code,
            line.seconds,
            anonymous(&line.sentence).replace('|', "\\|")
        )
    };
    let table: String = lines.iter().map(row).collect();
    let head = "# How rollouts end\n\n\
        Written by a run of `WINDLASS_WRITE_SCENARIOS=1 cargo test --test stages rollout` on the lab's Kubernetes with a real\n\
        kubelet; not by hand. *Seconds* is the whole command; *after* is the time from the status that decides (and the\n\
        grace that the rule itself asks for) to the exit of the program; it is negative where the kubelet said it again before\n\
        that grace was over.\n\n\
        | what is released | it is | cause | seconds | after | windlass says |\n| --- | --- | --- | --- | --- | --- |\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rollouts.md");
    std::fs::write(file, format!("{head}{table}")).unwrap();
}

/// Without what is of this machine and this run.
fn anonymous(sentence: &str) -> String {
    let registry = crate::bench::lab("LAB_REGISTRY");
    let private = crate::bench::lab("LAB_REGISTRY_TLS");
    let own = format!("-{}", std::process::id());
    let words = sentence.replace(&own, "");
    let words = words.replace("t-r-", "").replace("t-rollouts", "shop");
    words.replace(&registry, "registry.example.com").replace(&private, "private.example.com")
}
