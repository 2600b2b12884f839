//! A log that only grows: a line when something changes, a heartbeat when nothing did for a while, no cursor
//! movement. For pipes, files, dumb terminals, and, with sections or groups, for GitLab and GitHub.

use std::time::Duration;

use serde_json::Value;

use crate::model::Outcome;
use crate::report::event::{Event, Finished, Warning};
use crate::report::live::github::{self, Workspace};
use crate::report::live::progress::{LiveProgress, Tracked};
use crate::report::live::sections::{Markers, Sections};
use crate::report::live::{format, summary};
use crate::report::sink::Sink;
use crate::report::{Moment, Renderer, Verbosity};
use crate::text::workflow;

/// After so much silence it is said what is waited for.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// The same where that has not changed: each time twice as long, up to this.
const LONG_SILENCE: Duration = Duration::from_secs(60);
/// A step that runs so long is announced; a shorter one only says how it ended.
const SHORT: Duration = Duration::from_secs(2);

/// Writes a log that only grows.
pub(crate) struct Plain {
    pub(crate) people: Sink,
    pub(crate) answers: Sink,
    pub(crate) verbosity: Verbosity,
    /// Whether the command is only there for its answer: then a good end needs no words.
    pub(crate) answering: bool,
    pub(crate) sections: Option<Sections>,
    /// In a job of GitHub: where the files lie that messages name.
    github: Option<Workspace>,
    pub(crate) progress: LiveProgress,
    state: State,
}

#[derive(Default)]
struct State {
    /// When the last line was written.
    spoke: Duration,
    began: bool,
    ended: bool,
    /// Who reads an answer (`logs --follow`) sees that something goes on, or that nothing does.
    answered: bool,
    /// What was waited for when that was last said.
    waiting: Option<Waiting>,
    /// How a stage ended badly: said only when something follows that is not the end of the command, which
    /// says it better.
    bad_end: Option<String>,
}

/// What is waited for, and for how long.
struct Waiting {
    activity: String,
    since: Duration,
    /// When that was said: whatever is printed later is news.
    said: Duration,
    /// How long to keep silent about it.
    silence: Duration,
}

impl Plain {
    /// A log for people on one stream, answers on the other.
    pub(crate) fn new(people: Sink, answers: Sink, verbosity: Verbosity) -> Self {
        Self {
            people,
            answers,
            verbosity,
            answering: false,
            sections: None,
            github: None,
            progress: LiveProgress::default(),
            state: State::default(),
        }
    }

    /// The same with GitLab's collapsible sections.
    pub(crate) fn with_sections(mut self) -> Self {
        self.sections = Some(Sections::new(Markers::Gitlab));
        self
    }

    /// The same with GitHub's groups, and what it shows at the lines of files.
    pub(crate) fn for_github(mut self, workspace: Workspace) -> Self {
        self.sections = Some(Sections::new(Markers::Github));
        self.github = Some(workspace);
        self
    }

    /// The same for a command that is only there for its answer.
    pub(crate) fn answering(mut self, answering: bool) -> Self {
        self.answering = answering;
        self
    }

    fn say(&mut self, at: Moment, line: &str) {
        self.state.spoke = at.age;
        if let Some(sections) = &mut self.sections {
            sections.leave_step(&mut self.people, at);
        }
        self.people.line(line);
    }

    fn say_all(&mut self, at: Moment, lines: &[String]) {
        for line in lines {
            self.say(at, line);
        }
    }

    /// Commands to GitHub's runner.
    fn instruct(&mut self, at: Moment, commands: &[String]) {
        self.state.spoke = at.age;
        if let Some(sections) = &mut self.sections {
            sections.leave_step(&mut self.people, at);
        }
        self.people.commands(commands);
    }

    fn warn(&mut self, at: Moment, warning: &Warning) {
        let lines = format::warning(warning);
        let Some(workspace) = &self.github else { return self.say_all(at, &lines) };
        // The runner shows the message itself.
        let command = github::warning(workspace, warning);
        self.instruct(at, &[command]);
        let snippet = warning.snippet.iter().flat_map(|snippet| snippet.lines());
        self.say_all(at, &snippet.map(|line| format!("  {line}")).collect::<Vec<_>>());
    }

    fn paragraph(&mut self, at: Moment) {
        if std::mem::replace(&mut self.state.began, true) {
            self.say(at, "");
        }
    }

    fn tell(&mut self, at: Moment, event: &Event, object_changed: bool) {
        match event {
            Event::StageStarted { stage, title } => {
                self.paragraph(at);
                let line = format::stage_started(*stage, title);
                match &mut self.sections {
                    Some(sections) => sections.open_stage(&mut self.people, at, *stage, &line),
                    None => self.say(at, &line),
                }
            }
            Event::StepProgress { stage, step, message } if self.verbosity == Verbosity::Verbose => {
                let line = format::step_running(step, message);
                if let Some(step) = self.progress.step(*stage, step) {
                    step.announced = true;
                }
                self.say(at, &line);
            }
            Event::Log { source, line, .. } => self.log(at, source, line),
            Event::StepFinished { step, outcome, summary, seconds, .. } => {
                if let Some(sections) = &mut self.sections {
                    sections.end_step(&mut self.people, at, step);
                }
                self.say(at, &format::step_finished(step, *outcome, summary, *seconds));
                if let Some(sections) = &mut self.sections {
                    sections.next_speaker(&mut self.people, at);
                }
            }
            Event::Object(state) if object_changed => {
                let age = self.progress.age_of(at, state);
                self.say(at, &format::object(state, age));
            }
            Event::StepStarted { step, .. } => {
                if let Some(sections) = &mut self.sections {
                    sections.begin_step(at, step);
                }
            }
            Event::StepProgress { .. } | Event::Object(_) => {}
            Event::StageFinished { stage, outcome, summary, seconds } => {
                self.close_all(at);
                let line = format::stage_finished(*stage, *outcome, summary, *seconds);
                match outcome {
                    Outcome::Ok | Outcome::Skipped => self.say(at, &line),
                    _ => self.state.bad_end = Some(line),
                }
            }
            Event::Warning(warning) => self.warn(at, warning),
            Event::Finished(finished) => self.end(at, finished),
        }
    }

    fn log(&mut self, at: Moment, source: &str, line: &str) {
        if let Some(step) = self.progress.steps.iter_mut().find(|step| step.is_source(source)) {
            step.announced = true;
            if let Some(sections) = &mut self.sections {
                let (name, title) = (step.name.clone(), step.title.clone());
                let shown = sections.log(&mut self.people, at, (&name, &title), &format::log(source, line));
                if shown {
                    self.state.spoke = at.age;
                }
                return;
            }
        }
        self.say(at, &format::log(source, line));
    }

    fn close_all(&mut self, at: Moment) {
        if let Some(sections) = &mut self.sections {
            sections.close_all(&mut self.people, at);
        }
    }

    fn end(&mut self, at: Moment, finished: &Finished) {
        self.close_all(at);
        self.state.ended = true;
        if self.answering && summary::is_an_answer(finished)
            || self.verbosity == Verbosity::Quiet && finished.exit_code == 0
        {
            return;
        }
        if let Some(workspace) = &self.github {
            let errors = github::errors(workspace, finished);
            self.instruct(at, &errors);
        }
        self.paragraph(at);
        let lines = summary::summary(&self.progress.with_tails(finished));
        self.say_all(at, &lines);
    }

    /// Says which steps have been running for a while. Where objects are waited for they say it better.
    fn announce(&mut self, at: Moment) {
        if self.progress.objects.iter().any(Tracked::is_waited_for) {
            return;
        }
        let late = |since: Duration| at.age.saturating_sub(since) >= SHORT;
        let mut lines = Vec::new();
        for step in self.progress.steps.iter_mut().filter(|step| !step.announced && late(step.since)) {
            step.announced = true;
            lines.push(format::step_running(&step.name, &step.title));
        }
        self.say_all(at, &lines);
    }

    /// Says what is waited for, and less and less often where that stays the same.
    fn heartbeat(&mut self, at: Moment, silence: Duration) {
        let activity = self.progress.activity();
        let spoke = self.state.spoke;
        let known = self.state.waiting.take();
        let known = known.filter(|known| known.activity == activity && known.said == spoke);
        let (line, waiting) = match known {
            Some(known) if silence < known.silence => {
                self.state.waiting = Some(known);
                return;
            }
            Some(known) => {
                let line = format::unchanged(at.age, at.age.saturating_sub(known.since), &activity);
                (line, Waiting { said: at.age, silence: (known.silence * 2).min(LONG_SILENCE), ..known })
            }
            None => {
                let line = format::heartbeat(at.age, &activity);
                (line, Waiting { activity, since: spoke, said: at.age, silence: SILENCE * 2 })
            }
        };
        self.state.waiting = Some(waiting);
        self.say(at, &line);
    }

    /// Whether a quiet log would leave it out.
    fn is_unimportant(&self, event: &Event) -> bool {
        self.verbosity == Verbosity::Quiet && !matches!(event, Event::Warning(_) | Event::Finished(_))
    }
}

impl Renderer for Plain {
    fn event(&mut self, at: Moment, event: &Event) {
        let object_changed = self.progress.note(at, event);
        if self.is_unimportant(event) {
            return;
        }
        if let Some(line) = self.state.bad_end.take()
            && !matches!(event, Event::Finished(_))
        {
            self.say(at, &line);
        }
        if !matches!(event, Event::StageStarted { .. } | Event::Finished(_) | Event::StepProgress { .. }) {
            self.state.began = true;
        }
        self.tell(at, event, object_changed);
    }

    fn answer(&mut self, _json: Option<&Value>, text: &str) {
        self.state.answered = true;
        self.answers.text(text);
    }

    fn show(&mut self, json: Option<&Value>, text: &str) {
        let Some(workspace) = &self.github else { return self.answer(json, text) };
        let findings = json.map(|json| github::findings(workspace, json)).unwrap_or_default();
        self.people.commands(&findings);
        let inert: Vec<_> = text.split('\n').map(workflow::inert).collect();
        self.answer(json, &inert.join("\n"));
    }

    fn is_read(&self) -> bool {
        self.answers.is_open()
    }

    fn fault(&self) -> Option<String> {
        self.answers.fault()
    }

    fn tick(&mut self, at: Moment) {
        if self.state.ended || self.verbosity == Verbosity::Quiet {
            return;
        }
        self.announce(at);
        let silence = at.age.saturating_sub(self.state.spoke);
        if silence >= SILENCE && !self.state.answered {
            self.heartbeat(at, silence);
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // A command that ended without its last event must not leave GitLab's log inside a closed section.
        if let Some(sections) = &mut self.sections {
            sections.close_all_now(&mut self.people);
        }
    }
}
