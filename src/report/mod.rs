//! What people and machines read: one type of event, one renderer per reader; the only room that prints.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

pub mod event;

use event::{Event, Outcome, Stage, Stream};

/// Turns events into what one kind of reader needs.
pub trait Renderer: Send {
    /// Something happened at this time (the local clock: it is only shown, never computed with).
    fn event(&mut self, at: Timestamp, event: &Event);

    /// The answer of a command that was asked for data (`plan`, `status`, `render` …), for standard output.
    /// `json` is the answer for machines, where there is one; `text` that for people, which may carry colour.
    fn answer(&mut self, json: Option<&serde_json::Value>, text: &str);

    /// Called about once a second while the command runs: spinners, heartbeats.
    fn tick(&mut self) {}
}

/// Where every room reports. Cloned freely; all clones lead to the same renderers.
#[derive(Clone)]
pub struct Reporter {
    renderers: Arc<Mutex<Vec<Box<dyn Renderer>>>>,
}

impl Reporter {
    /// Reports to these renderers, in this order.
    pub fn new(renderers: Vec<Box<dyn Renderer>>) -> Self {
        Self { renderers: Arc::new(Mutex::new(renderers)) }
    }

    /// Reports to nobody: for tests of other rooms.
    pub fn silent() -> Self {
        Self::new(Vec::new())
    }

    /// Tells every renderer.
    pub fn emit(&self, event: &Event) {
        let now = Timestamp::now();
        for renderer in self.lock().iter_mut() {
            renderer.event(now, event);
        }
    }

    /// Gives the answer of a command that was asked for data; see [`Renderer::answer`].
    pub fn answer(&self, json: Option<&serde_json::Value>, text: &str) {
        for renderer in self.lock().iter_mut() {
            renderer.answer(json, text);
        }
    }

    /// Lets renderers move their spinners and heartbeats.
    pub fn tick(&self) {
        for renderer in self.lock().iter_mut() {
            renderer.tick();
        }
    }

    /// Something a person should know that does not end the command.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(&Event::Warning { message: message.into(), hint: None });
    }

    /// As [`Reporter::warn`], with what would help.
    pub fn warn_with_hint(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.emit(&Event::Warning { message: message.into(), hint: Some(hint.into()) });
    }

    /// A line that something wrote; see [`Event::Log`].
    pub fn log(&self, stage: Stage, source: &str, stream: Stream, line: impl Into<String>) {
        self.emit(&Event::Log { stage, source: source.to_owned(), stream, line: line.into() });
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

    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn Renderer>>> {
        // A renderer that panicked has already ended the run; the others may still speak.
        self.renderers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stage that runs.
pub struct StageReport {
    reporter: Reporter,
    stage: Stage,
    began: Instant,
}

impl StageReport {
    /// The stage ended like this; the summary is one line.
    pub fn finish(self, outcome: Outcome, summary: impl Into<String>) {
        self.reporter.emit(&Event::StageFinished {
            stage: self.stage,
            outcome,
            summary: summary.into(),
            seconds: self.began.elapsed().as_secs_f64(),
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
            seconds: self.began.elapsed().as_secs_f64(),
        });
    }
}
