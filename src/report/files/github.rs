//! What a step of GitHub Actions leaves for the run's page (`GITHUB_STEP_SUMMARY`, Markdown) and for later steps (`GITHUB_OUTPUT`): both
//! are files that GitHub names, and that others write to as well.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::{Failure, Outcome};
use crate::report::event::{Event, Finished, Warning};
use crate::report::files::dotenv;
use crate::report::files::run_log::{RunLog, StageEntry};
use crate::report::live::{format, summary};
use crate::report::sink::Sink;
use crate::report::{Moment, Renderer};
use crate::text::{display, random};

/// GitHub takes 1 MiB for a step: so much is written of what failed.
const LONGEST: usize = 256 << 10;

/// The files of a step.
pub(crate) struct StepFiles {
    summary: Option<PathBuf>,
    output: Option<PathBuf>,
    log: RunLog,
    /// Where it is said that something could not be written.
    people: Sink,
    /// Whether the command is there for its answer.
    answering: bool,
}

impl StepFiles {
    /// The files that GitHub names, where it names one.
    pub(crate) fn new(
        summary: Option<PathBuf>,
        output: Option<PathBuf>,
        answering: bool,
        people: Sink,
    ) -> Option<Self> {
        let named = summary.is_some() || output.is_some();
        named.then(|| Self { summary, output, log: RunLog::default(), people, answering })
    }

    fn end(&mut self) {
        let Some(end) = &self.log.end else { return };
        let (values, left_out) = dotenv::values(end);
        let outputs: String = values.iter().map(|(name, value)| output(name, value)).collect();
        let page = markdown(&self.log, end);
        // An answer is read where it was asked for; what it was asked for may fail.
        let asked = self.answering || self.log.stages.is_empty();
        let summary = self.summary.as_ref().filter(|_| !(asked && summary::is_an_answer(end)));
        let files = [(self.output.as_ref(), outputs), (summary, page)];
        let mut trouble: Vec<String> = left_out;
        for (file, text) in files {
            let Some(file) = file.filter(|_| !text.is_empty()) else { continue };
            trouble.extend(
                append(file, &text)
                    .err()
                    .map(|error| format!("{} of this step cannot be written: {error}", file.display())),
            );
        }
        for message in trouble {
            self.people.lines(format::warning(&Warning { message, ..Warning::default() }));
        }
    }
}

impl Renderer for StepFiles {
    fn event(&mut self, at: Moment, event: &Event) {
        self.log.note(at, event);
        if matches!(event, Event::Finished(_)) {
            self.end();
        }
    }

    fn answer(&mut self, _json: Option<&Value>, _text: &str) {}
}

fn append(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes())
}

/// An output of the step: a value of several lines between lines that nobody can have foreseen.
fn output(name: &str, value: &str) -> String {
    if value.contains(char::is_control) {
        let end = format!("windlass-{:016x}", random::number());
        return format!("{name}<<{end}\n{value}\n{end}\n");
    }
    format!("{name}={value}\n")
}

/// The run in a few lines.
fn markdown(log: &RunLog, end: &Finished) -> String {
    let failed = !matches!(end.outcome, Outcome::Ok | Outcome::Skipped);
    let time = display::seconds(end.seconds);
    let mark = format::Symbol::of(end.outcome).mark();
    let mut text = format!("### {mark} windlass {} {}", end.command, summary::word(end.outcome));
    let said = if failed { summary::message(end).map(str::to_owned) } else { summary::result(end) };
    text.extend(said.map(|said| format!(": {}", escaped(&display::shorten(&said)))));
    let exit = if failed { format!("exit code {}, ", end.exit_code) } else { String::new() };
    text += &format!(" ({exit}{time})\n\n");
    text.extend(end.snippet.as_ref().map(|snippet| block(snippet.lines())));
    text.extend(summary::hint(end).map(|hint| format!("{}\n\n", escaped(hint))));
    text.extend(log.stages.iter().filter_map(stage));
    text.extend(
        end.images.iter().map(|(name, image)| format!("- image {}: {}\n", escaped(name), code(image))),
    );
    text.extend(end.url.as_ref().map(|url| format!("- {}\n", escaped(url))));
    text += "\n";
    for (index, failure) in end.causes.iter().enumerate() {
        if text.len() > LONGEST {
            text += &format!("and {} more\n\n", end.causes.len() - index);
            break;
        }
        text += &cause(failure, end.message.as_deref());
    }
    text.extend(summary::deed(end).map(|deed| format!("{}\n\n", escaped(&deed))));
    text.extend(end.next.iter().map(|command| format!("- next: {}\n", code(command))));
    text + "\n"
}

/// `- ✓ build: 1 built (0.4 s)`
fn stage(entry: &StageEntry) -> Option<String> {
    let end = entry.end.as_ref()?;
    let mark = format::Symbol::of(end.outcome).mark();
    let (name, time) = (format::stage_name(entry.stage), display::seconds(end.seconds));
    Some(format!("- {mark} {name}: {} ({time})\n", escaped(&display::shorten(&end.summary))))
}

fn cause(failure: &Failure, already_said: Option<&str>) -> String {
    let mut text = format!("**{}** {}\n\n", escaped(&summary::subject(failure)), code(&failure.cause));
    if already_said != Some(failure.message.as_str()) {
        text += &format!("{}\n\n", escaped(&display::shorten(&failure.message)));
    }
    for evidence in &failure.evidence {
        text += &format!("{}\n\n", escaped(&evidence.title));
        text += &block(evidence.lines.iter().map(String::as_str));
    }
    text.extend(failure.hint.as_ref().map(|hint| format!("hint: {}\n\n", escaped(hint))));
    text
}

/// Words that Markdown and HTML mean nothing by.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '\n' => escaped.push_str("  \n"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '$' | '!' => {
                escaped.extend(['\\', one]);
            }
            one => escaped.push(one),
        }
    }
    escaped
}

/// A word as it is: between more backticks than it has.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    let text = text.replace('\n', " ");
    if fence.len() == 1 { format!("`{text}`") } else { format!("{fence} {text} {fence}") }
}

/// Lines as they are.
fn block<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("{fence}text\n{text}\n{fence}\n\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|one| one != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_several_lines_are_between_lines_that_nobody_knows() {
        assert_eq!(output("WINDLASS_URL", "https://shop.test"), "WINDLASS_URL=https://shop.test\n");
        let text = output("A", "1\nEOF\nEVIL=2");
        let (first, rest) = text.split_once('\n').unwrap();
        let end = first.strip_prefix("A<<").unwrap();
        assert_eq!(rest, format!("1\nEOF\nEVIL=2\n{end}\n"));
        assert_ne!(text, output("A", "1\nEOF\nEVIL=2"), "another each time");
    }

    #[test]
    fn what_others_wrote_is_neither_markdown_nor_html() {
        assert_eq!(escaped("<img src=x> [a](b) `c`"), r"\<img src=x\> \[a\](b) \`c\`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(block(["```", "<b>"].into_iter()), "````text\n```\n<b>\n````\n\n");
    }
}
