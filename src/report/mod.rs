//! What people and machines read: one type of event, one renderer per reader; the only module that prints.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`event`] | what happened: facts without layout |
//! | [`output`] | which renderer the reader needs, and starting it |
//! | `masker` | what must never be shown, and taking it out |
//! | `live` | what is written while a command runs |
//! | `json` | one object a line |
//! | `files` | `--report DIR`: `junit.xml`, `report.html`, `windlass.env`, `annotations.json` and the run as they tell it |
//! | `prompt` | questions to whoever sits at the terminal |
//! | `style` | colours |
//! | `view` | the answers of commands that were asked for data: plain values, drawn for people and for machines |

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use jiff::Timestamp;
use serde_json::Value;
use walkdir::WalkDir;

pub mod event;
pub(crate) mod files;
mod json;
pub(crate) mod live;
mod masker;
pub mod output;
pub(crate) mod prompt;
mod sink;
pub(crate) mod style;
#[cfg(test)]
mod tests;
pub(crate) mod view;

use crate::error::{Error, Result};
use crate::model::{Outcome, Stage, Stream};
pub use crate::report::files::{FILES, is_ours, make};
use crate::report::masker::events::Secrets;
use crate::report::view::View;
use event::{Event, Warning};
pub use output::{Color, Format, OutputOptions, Verbosity, files, start, streams};

/// The source of the lines that say what is about to be changed.
const PLAN: &str = "plan";

/// When something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The local clock: it is only shown, never computed with.
    pub time: Timestamp,
    /// Since the reporter began, by the monotonic clock: for ages and heartbeats.
    pub age: Duration,
}

/// Turns events into what one kind of reader needs.
pub trait Renderer: Send {
    /// Something happened.
    fn event(&mut self, at: Moment, event: &Event);

    /// The answer of a command that was asked for data (`plan`, `status`, `render` …), for standard output.
    /// `json` is the answer for machines, where there is one (an array is written one element a line); `text`
    /// that for people, which may carry colour.
    fn answer(&mut self, json: Option<&Value>, text: &str);

    /// As [`Renderer::answer`], of what was drawn for people, with words of others in it.
    fn show(&mut self, json: Option<&Value>, text: &str) {
        self.answer(json, text);
    }

    /// Whether its answers can still be written.
    fn is_read(&self) -> bool {
        true
    }

    /// Why its answers could not be written.
    fn fault(&self) -> Option<String> {
        None
    }

    /// Called about once a second while the command runs: spinners, heartbeats.
    fn tick(&mut self, _at: Moment) {}
}

/// Where every module reports. Cloned freely; all clones lead to the same renderers.
#[derive(Clone)]
pub struct Reporter {
    began: Instant,
    secrets: Secrets,
    /// The tier of the command, once that is known.
    tier: Arc<OnceLock<String>>,
    desk: Arc<Mutex<Shared>>,
}

/// What all clones share.
struct Shared {
    renderers: Vec<Box<dyn Renderer>>,
    /// Whether a person is being asked something.
    asking: bool,
}

impl Reporter {
    /// Reports to these renderers, in this order.
    pub fn new(renderers: Vec<Box<dyn Renderer>>) -> Self {
        let desk = Shared { renderers, asking: false };
        let (secrets, tier) = (Secrets::default(), Arc::default());
        Self { began: Instant::now(), secrets, tier, desk: Arc::new(Mutex::new(desk)) }
    }

    /// Reports to nobody: for tests of other modules.
    pub fn silent() -> Self {
        Self::new(Vec::new())
    }

    /// Reports to nobody, and knows the same secrets: what is recorded is masked all the same.
    #[must_use]
    pub fn silenced(&self) -> Self {
        Self { secrets: self.secrets.clone(), ..Self::silent() }
    }

    /// Hints are about this tier from now on.
    pub fn name_tier(&self, tier: &str) {
        // A command has one: the first.
        let _ = self.tier.set(tier.to_owned());
    }

    /// Never shows this value from now on, in any output and however it is encoded: `[MASKED]` stands in its place.
    /// Values of fewer than eight bytes are shown: masking them would destroy ordinary words.
    pub fn hide(&self, secret: impl AsRef<[u8]>) {
        self.secrets.hide(secret.as_ref());
    }

    /// Shows these words although a secret may have the same value: those that people gave to things as their names.
    pub fn publish<'a>(&self, words: impl IntoIterator<Item = &'a str>) {
        self.secrets.publish(words);
    }

    /// The text as it may be shown: for what does not pass through events (tracing, a record), and for what is to be
    /// cut before it does.
    pub fn masked(&self, text: &str) -> String {
        self.secrets.mask(text)
    }

    /// Masks the files below a directory, which others wrote: the reports of a test. Bytes that are not UTF-8 stay.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn mask_files(&self, directory: &Path) -> io::Result<()> {
        for entry in WalkDir::new(directory) {
            let entry = entry.map_err(io::Error::from)?;
            if !entry.file_type().is_file() {
                continue;
            }
            let bytes = fs::read(entry.path())?;
            let mut masked = Vec::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                let lines = chunk.valid().split_inclusive('\n');
                lines.for_each(|line| masked.extend(self.secrets.mask(line).as_bytes()));
                masked.extend(chunk.invalid());
            }
            if masked != bytes {
                fs::write(entry.path(), masked)?;
            }
        }
        Ok(())
    }

    /// Tells every renderer.
    pub fn emit(&self, event: &Event) {
        let at = self.now();
        let mut event = self.secrets.clean(event);
        if let Some(tier) = self.tier.get() {
            event.name_tier(tier);
        }
        for renderer in &mut self.lock().renderers {
            renderer.event(at, &event);
        }
    }

    /// Gives the answer of a command that was asked for data; see [`Renderer::answer`].
    pub fn answer(&self, json: Option<&Value>, text: &str) {
        let json = json.map(|value| self.secrets.clean_json(value));
        let text = self.secrets.clean_text(text);
        for renderer in &mut self.lock().renderers {
            renderer.answer(json.as_ref(), &text);
        }
    }

    /// Gives a view as the answer.
    pub(crate) fn show(&self, view: &impl View) {
        let (json, text) =
            (self.secrets.clean_json(&view.to_json()), self.secrets.clean_text(&view.to_text()));
        for renderer in &mut self.lock().renderers {
            renderer.show(Some(&json), &text);
        }
    }

    /// Gives any number of views as the answer, one by one.
    pub(crate) fn show_each<V: View>(&self, views: impl IntoIterator<Item = V>) {
        // An empty answer is an answer, too.
        self.answer(Some(&Value::Array(Vec::new())), "");
        views.into_iter().for_each(|view| self.show(&view));
    }

    /// As [`Reporter::answer`], for who asked to see the secrets in it.
    pub fn answer_with_secrets(&self, json: Option<&Value>, text: &str) {
        for renderer in &mut self.lock().renderers {
            renderer.answer(json, text);
        }
    }

    /// Gives a line of a log that was asked for (`logs`), as an answer: `web-5d9/app │ listening on :8080`.
    pub fn answer_log(&self, source: &str, time: Option<Timestamp>, line: &str) {
        let line = self.secrets.clean_line(line);
        let json = json::log_line(time.unwrap_or_else(Timestamp::now), source, &line);
        let text = format!("{} {line}", style::source(source));
        for renderer in &mut self.lock().renderers {
            renderer.show(Some(&json), &text);
        }
    }

    /// Whether anybody reads the answers still: `| head` does not.
    pub fn is_read(&self) -> bool {
        self.lock().renderers.iter().all(|renderer| renderer.is_read())
    }

    /// Why an answer could not be written whole: a full disk. A reader who had enough is no fault.
    pub fn fault(&self) -> Option<String> {
        self.lock().renderers.iter().find_map(|renderer| renderer.fault())
    }

    /// Lets renderers move their spinners and heartbeats.
    pub fn tick(&self) {
        let at = self.now();
        let mut desk = self.lock();
        if desk.asking {
            return;
        }
        for renderer in &mut desk.renderers {
            renderer.tick(at);
        }
    }

    /// Something a person should know that does not end the command.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(&Event::Warning(Warning { message: message.into(), ..Warning::default() }));
    }

    /// As [`Reporter::warn`], with what would help.
    pub fn warn_with_hint(&self, message: impl Into<String>, hint: impl Into<String>) {
        let warning = Warning { message: message.into(), snippet: None, hint: Some(hint.into()) };
        self.emit(&Event::Warning(warning));
    }

    /// What would end the command if it were worse, as a warning: with its place, its lines and its hint.
    pub fn warn_of(&self, error: &Error) {
        self.emit(&Event::Warning(Warning {
            message: error.to_string(),
            snippet: error.snippet().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }));
    }

    /// Something that only who asks for everything wants to know.
    pub fn detail(&self, stage: Stage, subject: &str, message: impl Into<String>) {
        self.emit(&Event::StepProgress { stage, step: subject.to_owned(), message: message.into() });
    }

    /// A line that something wrote; see [`Event::Log`].
    pub fn log(&self, stage: Stage, source: &str, stream: Stream, line: impl Into<String>) {
        self.emit(&Event::Log { stage, source: source.to_owned(), stream, line: line.into() });
    }

    /// What is about to be changed, line by line below a title, shown to every reader before it is.
    pub(crate) fn plan(&self, stage: Stage, title: &str, plan: &view::plan::Plan) {
        for line in std::iter::once(title).chain(plan.to_text().lines()) {
            self.log(stage, PLAN, Stream::Stdout, line);
        }
    }

    /// A stage begins; end it with [`StageReport::finish`].
    pub fn stage(&self, stage: Stage, title: impl Into<String>) -> StageReport {
        self.emit(&Event::StageStarted { stage, title: title.into() });
        StageReport { reporter: self.clone(), stage, began: Instant::now() }
    }

    /// A step of a stage begins; end it with one of [`StepReport`]'s methods.
    pub fn step(&self, stage: Stage, step: impl Into<String>, title: impl Into<String>) -> StepReport {
        let step = step.into();
        self.emit(&Event::StepStarted { stage, step: step.clone(), title: title.into() });
        StepReport { reporter: self.clone(), stage, step, began: Instant::now() }
    }

    /// Lets spinners and heartbeats rest while a person is asked something.
    fn pause(&self, asking: bool) {
        self.lock().asking = asking;
    }

    fn now(&self) -> Moment {
        Moment { time: Timestamp::now(), age: self.began.elapsed() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A renderer that panicked has already ended the run; the others may still speak.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stage that runs.
pub struct StageReport {
    reporter: Reporter,
    stage: Stage,
    began: Instant,
}

impl StageReport {
    /// The stage ended with this result; `done` says what it came to where it went well.
    ///
    /// # Errors
    /// That of the result, which names this stage from now on.
    pub fn close<T>(self, result: Result<T>, done: impl FnOnce(&T) -> (Outcome, String)) -> Result<T> {
        match result {
            Ok(value) => {
                let (outcome, summary) = done(&value);
                self.finish(outcome, summary);
                Ok(value)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The stage ended with this error, which names the stage from now on.
    #[must_use]
    pub fn fail(self, error: Error) -> Error {
        let stage = self.stage;
        self.finish(error.outcome(), error.message());
        error.in_stage(stage)
    }

    /// The stage ended like this; the summary is one line.
    pub fn finish(self, outcome: Outcome, summary: impl Into<String>) {
        self.reporter.emit(&Event::StageFinished {
            stage: self.stage,
            outcome,
            summary: summary.into(),
            seconds: seconds_since(self.began),
        });
    }
}

/// A step that runs.
pub struct StepReport {
    reporter: Reporter,
    stage: Stage,
    step: String,
    began: Instant,
}

impl StepReport {
    /// It got further: one line, shown where the renderer can.
    pub fn progress(&self, message: impl Into<String>) {
        self.reporter.emit(&Event::StepProgress {
            stage: self.stage,
            step: self.step.clone(),
            message: message.into(),
        });
    }

    /// It ended like this; the summary is one line.
    pub fn finish(self, outcome: Outcome, summary: impl Into<String>) {
        self.reporter.emit(&Event::StepFinished {
            stage: self.stage,
            step: self.step,
            outcome,
            summary: summary.into(),
            seconds: seconds_since(self.began),
        });
    }
}

/// Rounded to milliseconds: nobody reads more.
fn seconds_since(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}
