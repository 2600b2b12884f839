//! A terminal: one moving line for each step that runs and each object that is waited for, with what it waits
//! for and for how long; what has ended scrolls away above.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::model::Outcome;
use crate::report::event::Event;
use crate::report::live::progress::{LiveProgress, RunningStep, Tracked};
use crate::report::live::screen::Screen;
use crate::report::live::{format, summary};
use crate::report::sink::Sink;
use crate::report::{Moment, Renderer, Verbosity, style};

/// A command or stage that is over sooner needs no line that says that it runs.
const SHORT: Duration = Duration::from_secs(1);

/// Draws on a terminal.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, none of them a state machine")]
pub(crate) struct Terminal<S> {
    screen: S,
    people: Sink,
    answers: Sink,
    color: bool,
    verbosity: Verbosity,
    answering: bool,
    progress: LiveProgress,
    /// What was last printed of each object.
    printed: BTreeMap<String, String>,
    began: bool,
    ended: bool,
    answered: bool,
    bad_end: Option<String>,
}

impl<S: Screen> Terminal<S> {
    /// Draws for people, with or without colour; answers go to the other stream.
    pub(crate) fn new(screen: S, people: Sink, answers: Sink, color: bool, verbosity: Verbosity) -> Self {
        Self {
            screen,
            people,
            answers,
            color,
            verbosity,
            answering: false,
            progress: LiveProgress::default(),
            printed: BTreeMap::new(),
            began: false,
            ended: false,
            answered: false,
            bad_end: None,
        }
    }

    /// The same for a command that is only there for its answer.
    pub(crate) fn answering(mut self, answering: bool) -> Self {
        self.answering = answering;
        self
    }

    fn print(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.began = true;
        let people = &mut self.people;
        self.screen.print(&mut || people.lines(lines));
    }

    /// What this event leaves on the screen for good.
    fn permanent(&mut self, at: Moment, event: &Event) -> Vec<String> {
        let verbose = self.verbosity == Verbosity::Verbose;
        match event {
            Event::StageStarted { stage, title } => {
                self.printed.clear();
                self.paragraph(vec![format::stage_started(*stage, title)])
            }
            Event::StepProgress { step, message, .. } if verbose => vec![format::step_running(step, message)],
            Event::Log { source, line, .. } if verbose || source == crate::report::PLAN => {
                vec![format::log(source, line)]
            }
            Event::StepFinished { step, outcome, summary, seconds, .. } => {
                vec![format::step_finished(step, *outcome, summary, *seconds)]
            }
            Event::StageFinished { stage, outcome, summary, seconds } => {
                let line = format::stage_finished(*stage, *outcome, summary, *seconds);
                if matches!(outcome, Outcome::Ok | Outcome::Skipped) {
                    return vec![line];
                }
                self.bad_end = Some(line);
                Vec::new()
            }
            Event::Object(_) => self.objects_that_ended(at),
            Event::Warning(warning) => format::warning(warning),
            Event::Finished(finished) if self.answering && summary::is_an_answer(finished) => Vec::new(),
            Event::Finished(finished) => {
                let lines = summary::summary(&self.progress.with_tails(finished));
                self.paragraph(lines)
            }
            Event::StepStarted { .. } | Event::StepProgress { .. } | Event::Log { .. } => Vec::new(),
        }
    }

    /// The lines of objects that nobody waits for any more and that look different from when they were printed.
    fn objects_that_ended(&mut self, at: Moment) -> Vec<String> {
        let mut lines = Vec::new();
        for tracked in self.progress.objects.iter().filter(|tracked| !tracked.is_waited_for()) {
            let key = format!("{} {}", tracked.state.namespace, format::name(&tracked.state));
            let text = format::state_text(&tracked.state);
            if self.printed.get(&key) != Some(&text) {
                lines.push(format::object(&tracked.state, at.age.saturating_sub(tracked.since)));
                self.printed.insert(key, text);
            }
        }
        lines
    }

    fn paragraph(&self, mut lines: Vec<String>) -> Vec<String> {
        if self.began {
            lines.insert(0, String::new());
        }
        lines
    }

    /// What moves where neither a step nor an object does.
    fn silence(&self, at: Moment) -> Option<String> {
        let (stage, age) = match self.progress.stage {
            Some((stage, began)) => (Some(stage), since(at, began)),
            None => (None, at.age),
        };
        let quiet = age < SHORT || self.answered;
        (!quiet).then(|| format::live(stage.map_or("windlass", format::stage_name), age, "still running"))
    }

    fn draw(&mut self, at: Moment) {
        let steps = self.progress.steps.iter().map(|step| live_step(at, step));
        let objects = self.progress.waiting().map(|tracked| live_object(at, tracked));
        let mut lines: Vec<String> = steps.chain(objects).collect();
        if lines.is_empty() {
            lines.extend(self.silence(at));
        }
        let room = self.screen.room();
        if lines.len() > room {
            let more = lines.len() - (room - 1);
            lines.truncate(room - 1);
            lines.push(style::faint(&format!("and {more} more")));
        }
        if !self.color {
            lines = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        }
        self.screen.show(&lines);
    }
}

fn live_step(at: Moment, step: &RunningStep) -> String {
    let text = step.latest.as_ref().unwrap_or(&step.title);
    format::live(&step.name, since(at, step.since), &style::faint(text))
}

fn live_object(at: Moment, tracked: &Tracked) -> String {
    let state = format::state_text(&tracked.state);
    let latest = tracked.latest.as_deref().map(style::faint).unwrap_or_default();
    let text = [state, latest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
    format::live(&format::name(&tracked.state), since(at, tracked.since), &text)
}

fn since(at: Moment, then: Duration) -> Duration {
    at.age.saturating_sub(then)
}

impl<S: Screen> Renderer for Terminal<S> {
    fn event(&mut self, at: Moment, event: &Event) {
        self.progress.note(at, event);
        self.ended |= matches!(event, Event::Finished(_));
        let mut lines = Vec::new();
        if let Some(line) = self.bad_end.take()
            && !self.ended
        {
            lines.push(line);
        }
        lines.extend(self.permanent(at, event));
        if self.ended {
            self.screen.show(&[]);
        }
        self.print(&lines);
        if !self.ended {
            self.draw(at);
        }
    }

    fn answer(&mut self, _json: Option<&Value>, text: &str) {
        self.answered = true;
        let answers = &mut self.answers;
        self.screen.print(&mut || answers.text(text));
    }

    fn is_read(&self) -> bool {
        self.answers.is_open()
    }

    fn fault(&self) -> Option<String> {
        self.answers.fault()
    }

    fn tick(&mut self, at: Moment) {
        if !self.ended {
            self.draw(at);
        }
    }
}
