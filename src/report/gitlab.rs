//! GitLab's collapsible sections: one a stage, and one, closed at first, for the log of each step.
//!
//! Steps of one stage run at the same time, but a section cannot be left and entered again: the step that
//! logged first has the floor and streams; what others log is kept until it has finished. The markers are those
//! of GitLab's documentation (`doc/ci/jobs/job_logs.md`); a name must be unique in the whole job, which may run
//! windlass more than once, so it carries the time.

use super::event::Stage;
use super::sink::Sink;
use super::{Moment, row};

/// So many lines of a step that does not have the floor are kept; older ones are dropped, and that is said.
const KEPT: usize = 2000;

/// The sections that are open, and the steps that wait for the floor.
#[derive(Default)]
pub(super) struct Sections {
    stage: Option<Section>,
    /// The step that has the floor.
    floor: Option<(String, Section)>,
    waiting: Vec<Waiting>,
    opened: u32,
    last_seen: i64,
}

struct Section {
    name: String,
}

/// A step that logged while another had the floor.
struct Waiting {
    step: String,
    title: String,
    lines: std::collections::VecDeque<String>,
    dropped: usize,
}

impl Sections {
    /// Opens the section of a stage, closing whatever is open.
    pub(super) fn open_stage(&mut self, sink: &mut Sink, at: Moment, stage: Stage, header: &str) {
        self.close_all(sink, at);
        self.stage = Some(self.open(sink, at, row::stage_name(stage), header, false));
    }

    /// A line of a step's log. Returns whether it was shown now.
    pub(super) fn log(&mut self, sink: &mut Sink, at: Moment, step: (&str, &str), line: &str) -> bool {
        let (name, title) = step;
        if self.floor.is_none() {
            let section = self.open_step(sink, at, name, title);
            self.floor = Some((name.to_owned(), section));
        }
        if self.floor.as_ref().is_some_and(|(speaker, _)| speaker == name) {
            sink.line(line);
            return true;
        }
        self.keep(name, title, line);
        false
    }

    /// A step ended: closes its section, and gives the floor to the next.
    pub(super) fn close_step(&mut self, sink: &mut Sink, at: Moment, step: &str) {
        if let Some((_, section)) = self.floor.take_if(|(speaker, _)| speaker == step) {
            close(sink, at.time.as_second(), &section);
            self.next_speaker(sink, at);
        } else if let Some(index) = self.waiting.iter().position(|waiting| waiting.step == step) {
            // It ended before it had the floor. The speaker's section is left and a new one opened for the rest.
            let waiting = self.waiting.remove(index);
            let speaker = self.floor.take();
            if let Some((_, section)) = &speaker {
                close(sink, at.time.as_second(), section);
            }
            self.whole(sink, at, waiting);
            if let Some((name, _)) = speaker {
                let section = self.open_step(sink, at, &name, "continued");
                self.floor = Some((name, section));
            }
        }
    }

    /// Shows what is kept and closes everything: the stage ended.
    pub(super) fn close_all(&mut self, sink: &mut Sink, at: Moment) {
        self.last_seen = at.time.as_second();
        if let Some((_, section)) = self.floor.take() {
            close(sink, at.time.as_second(), &section);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.whole(sink, at, waiting);
        }
        self.close_all_now(sink);
    }

    /// Closes what is open, without a clock: nobody will say anything any more.
    pub(super) fn close_all_now(&mut self, sink: &mut Sink) {
        let step = self.floor.take().map(|(_, section)| section);
        for section in [step, self.stage.take()].into_iter().flatten() {
            close(sink, self.last_seen, &section);
        }
    }

    fn next_speaker(&mut self, sink: &mut Sink, at: Moment) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = self.waiting.remove(0);
        let section = self.open_step(sink, at, &waiting.step, &waiting.title);
        waiting.show(sink);
        self.floor = Some((waiting.step, section));
    }

    /// The whole log of a step that has ended, in its section.
    fn whole(&mut self, sink: &mut Sink, at: Moment, waiting: Waiting) {
        let section = self.open_step(sink, at, &waiting.step, &waiting.title);
        waiting.show(sink);
        close(sink, at.time.as_second(), &section);
    }

    fn keep(&mut self, step: &str, title: &str, line: &str) {
        let index = self.waiting.iter().position(|waiting| waiting.step == step).unwrap_or_else(|| {
            let (step, title) = (step.to_owned(), title.to_owned());
            self.waiting.push(Waiting { step, title, lines: std::collections::VecDeque::new(), dropped: 0 });
            self.waiting.len() - 1
        });
        let waiting = &mut self.waiting[index];
        if waiting.lines.len() == KEPT {
            waiting.lines.pop_front();
            waiting.dropped += 1;
        }
        waiting.lines.push_back(line.to_owned());
    }

    fn open_step(&mut self, sink: &mut Sink, at: Moment, step: &str, title: &str) -> Section {
        self.open(sink, at, step, &row::step_running(step, title), true)
    }

    fn open(&mut self, sink: &mut Sink, at: Moment, label: &str, header: &str, collapsed: bool) -> Section {
        self.opened += 1;
        self.last_seen = at.time.as_second();
        let slug: String = label
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .collect();
        let time = at.time.as_second();
        let name = format!("{slug}.{time}.{}", self.opened);
        let collapsed = if collapsed { "[collapsed=true]" } else { "" };
        sink.raw(&format!("\x1b[0Ksection_start:{time}:{name}{collapsed}\r\x1b[0K"));
        sink.line(header);
        Section { name }
    }
}

impl Waiting {
    fn show(&self, sink: &mut Sink) {
        if self.dropped > 0 {
            sink.line(&format!("    … the first {} are left out", super::human::count(self.dropped, "line")));
        }
        sink.lines(&self.lines);
    }
}

fn close(sink: &mut Sink, time: i64, section: &Section) {
    sink.raw(&format!("\x1b[0Ksection_end:{time}:{}\r\x1b[0K\n", section.name));
}
