//! The run as it was: every stage, step, object, log line and warning, kept for the reports that tell the whole
//! of it at its end. What it keeps is bounded.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Outcome, Stage};
use crate::report::Moment;
use crate::report::event::{Event, Finished, ObjectState, Warning};
use crate::report::live::progress::LiveProgress;
use crate::report::live::{format, progress};
use crate::text::display;

/// So many of a source's last lines are kept.
const LINES: usize = 2000;
/// So many characters of a line are kept: programs write whole files as one line.
const WIDTH: usize = 4000;

/// The run as it was.
#[derive(Default)]
pub(crate) struct RunLog {
    /// When the first thing happened, and the latest.
    pub(crate) span: Option<(Timestamp, Moment)>,
    /// The stages, in the order in which they began.
    pub(crate) stages: Vec<StageEntry>,
    /// The objects, in the order in which they were first heard of.
    pub(crate) objects: Vec<ObjectEntry>,
    /// The logs, by source, in the order in which they began.
    pub(crate) logs: Vec<LogEntry>,
    /// The warnings.
    pub(crate) warnings: Vec<Warning>,
    /// What a command that was asked for data answered.
    pub(crate) answer: Option<String>,
    /// The end, with the last lines of what failed where nobody gave any evidence.
    pub(crate) end: Option<Finished>,
    progress: LiveProgress,
}

/// A stage that ran or runs.
pub(crate) struct StageEntry {
    pub(crate) stage: Stage,
    pub(crate) title: String,
    pub(crate) steps: Vec<StepEntry>,
    pub(crate) end: Option<End>,
}

/// A step that ran or runs.
pub(crate) struct StepEntry {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) end: Option<End>,
}

/// How a stage or a step ended.
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) summary: String,
    pub(crate) seconds: f64,
}

/// An object that was heard of.
pub(crate) struct ObjectEntry {
    /// How it was last seen.
    pub(crate) state: ObjectState,
    since: Duration,
    changed: Duration,
}

/// What a source wrote.
pub(crate) struct LogEntry {
    stage: Stage,
    pub(crate) source: String,
    pub(crate) lines: VecDeque<String>,
    /// So many lines came before those that are kept.
    pub(crate) dropped: usize,
}

impl RunLog {
    /// Takes in what happened.
    pub(crate) fn note(&mut self, at: Moment, event: &Event) {
        self.progress.note(at, event);
        self.span = Some((self.span.map_or(at.time, |(first, _)| first), at));
        match event {
            Event::StageStarted { stage, title } => self.open(*stage, title),
            Event::StageFinished { stage, outcome, summary, seconds } => {
                self.stage(*stage).end = Some(End::new(*outcome, summary, *seconds));
            }
            Event::StepStarted { stage, step, title } => {
                let step = StepEntry { name: step.clone(), title: title.clone(), end: None };
                self.stage(*stage).steps.push(step);
            }
            Event::StepFinished { stage, step, outcome, summary, seconds } => {
                self.stage(*stage).step(step).end = Some(End::new(*outcome, summary, *seconds));
            }
            Event::Log { stage, source, line, .. } => self.log(*stage, source).push(line),
            Event::Object(state) => self.object(at, state),
            Event::Warning(warning) => self.warnings.push(warning.clone()),
            Event::Finished(finished) => self.end = Some(self.progress.with_tails(finished)),
            Event::StepProgress { .. } => {}
        }
    }

    /// How long an object took until it looked as it does, or has been waited for.
    pub(crate) fn took(&self, entry: &ObjectEntry) -> Duration {
        let now = self.span.map_or(entry.changed, |(_, last)| last.age);
        let until = if progress::is_waited_for(&entry.state) { now } else { entry.changed };
        until.saturating_sub(entry.since)
    }

    /// What an object is called: with its namespace where another one is called the same.
    pub(crate) fn name(&self, entry: &ObjectEntry) -> String {
        let name = format::name(&entry.state);
        let is_namesake = |other: &&ObjectEntry| {
            other.state.stage == entry.state.stage && format::name(&other.state) == name
        };
        if self.objects.iter().filter(is_namesake).count() > 1 {
            return format!("{}/{name}", entry.state.namespace);
        }
        name
    }

    fn open(&mut self, stage: Stage, title: &str) {
        self.stages.push(StageEntry { stage, title: title.to_owned(), steps: Vec::new(), end: None });
    }

    /// The stage as it ran last. A step may be told without its stage.
    fn stage(&mut self, stage: Stage) -> &mut StageEntry {
        let index = self.stages.iter().rposition(|entry| entry.stage == stage).unwrap_or_else(|| {
            self.open(stage, "");
            self.stages.len() - 1
        });
        &mut self.stages[index]
    }

    fn log(&mut self, stage: Stage, source: &str) -> &mut LogEntry {
        let same = |entry: &LogEntry| entry.stage == stage && entry.source == source;
        let index = self.logs.iter().position(same).unwrap_or_else(|| {
            self.logs.push(LogEntry { stage, source: source.to_owned(), lines: VecDeque::new(), dropped: 0 });
            self.logs.len() - 1
        });
        &mut self.logs[index]
    }

    fn object(&mut self, at: Moment, state: &ObjectState) {
        match self.objects.iter_mut().find(|entry| entry.is_of(state)) {
            Some(entry) if entry.state == *state => {}
            Some(entry) => {
                entry.state = state.clone();
                entry.changed = at.age;
            }
            None => {
                self.objects.push(ObjectEntry { state: state.clone(), since: at.age, changed: at.age });
            }
        }
    }
}

impl StageEntry {
    fn step(&mut self, name: &str) -> &mut StepEntry {
        let index = self.steps.iter().rposition(|step| step.name == name).unwrap_or_else(|| {
            self.steps.push(StepEntry { name: name.to_owned(), title: String::new(), end: None });
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }
}

impl End {
    fn new(outcome: Outcome, summary: &str, seconds: f64) -> Self {
        Self { outcome, summary: summary.to_owned(), seconds }
    }
}

impl ObjectEntry {
    /// In an automatic rollback the objects of the release appear again, as another attempt.
    fn is_of(&self, state: &ObjectState) -> bool {
        self.state.stage == state.stage
            && self.state.api_version == state.api_version
            && self.state.kind == state.kind
            && self.state.namespace == state.namespace
            && self.state.name == state.name
    }
}

impl LogEntry {
    fn push(&mut self, line: &str) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(display::clip(line, WIDTH));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stream;

    #[test]
    fn the_last_lines_of_a_source_are_kept() {
        let mut run_log = RunLog::default();
        for number in 0..LINES + 3 {
            let line = format!("{number} {}", "x".repeat(WIDTH));
            let event =
                Event::Log { stage: Stage::Test, source: "unit".into(), stream: Stream::Stdout, line };
            run_log.note(Moment { time: Timestamp::UNIX_EPOCH, age: Duration::ZERO }, &event);
        }
        let log = &run_log.logs[0];
        assert_eq!((log.lines.len(), log.dropped), (LINES, 3));
        assert!(log.lines[0].starts_with("3 x"));
        assert_eq!(log.lines[0].chars().count(), WIDTH);
    }
}
