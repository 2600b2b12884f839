//! The collapsible parts of a job's log: GitLab's sections, one a stage, and one, closed at first, for the log of each step; or GitHub's
//! groups, which cannot stand inside each other, so that only the logs have one.
//!
//! Steps of one stage run at the same time, but sections cannot be interleaved: the step that logged first has
//! the floor and streams; what others log is kept until it has finished. Only log lines stand inside a step's
//! section, since it is closed at first: whatever else is said leaves it. GitLab's markers are those
//! of its documentation (`doc/ci/jobs/job_logs.md`); a name must be unique in the whole job, which may run
//! windlass more than once, so it carries the time.

use std::collections::{HashMap, VecDeque};

use crate::model::Stage;
use crate::report::Moment;
use crate::report::live::format;
use crate::report::sink::Sink;
use crate::text::workflow;

/// So many lines of a step that does not have the floor are kept; older ones are dropped, and that is said.
const KEPT: usize = 2000;

/// Whose markers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Markers {
    /// Sections.
    #[default]
    Gitlab,
    /// Groups.
    Github,
}

/// The sections that are open, and the steps that wait for the floor.
#[derive(Default)]
pub(crate) struct Sections {
    markers: Markers,
    stage: Option<Section>,
    /// The step that has the floor, and its section while that is open.
    floor: Option<(String, Option<Section>)>,
    waiting: Vec<Waiting>,
    /// When each step that runs began, in seconds since 1970: GitLab shows how long a section took.
    begun: HashMap<String, i64>,
    opened: u32,
    last_seen: i64,
}

struct Section {
    /// Its name for GitLab; none for GitHub, which knows which group is open.
    name: Option<String>,
}

/// A step that logged while another had the floor.
struct Waiting {
    step: String,
    title: String,
    lines: VecDeque<String>,
    dropped: usize,
}

impl Sections {
    pub(crate) fn new(markers: Markers) -> Self {
        Self { markers, ..Self::default() }
    }

    /// Opens the section of a stage, closing whatever is open.
    pub(crate) fn open_stage(&mut self, sink: &mut Sink, at: Moment, stage: Stage, header: &str) {
        self.close_all(sink, at);
        self.last_seen = at.time.as_second();
        match self.markers {
            Markers::Github => sink.line(header),
            Markers::Gitlab => {
                let section = self.section(sink, self.last_seen, format::stage_name(stage), header, false);
                self.stage = Some(section);
            }
        }
    }

    /// A step begins.
    pub(crate) fn begin_step(&mut self, at: Moment, step: &str) {
        self.begun.insert(step.to_owned(), at.time.as_second());
    }

    /// A line of a step's log. Returns whether it was shown now.
    pub(crate) fn log(&mut self, sink: &mut Sink, at: Moment, step: (&str, &str), line: &str) -> bool {
        let (name, title) = step;
        let mut floor = self.floor.take().unwrap_or_else(|| (name.to_owned(), None));
        let speaks = floor.0 == name;
        if speaks {
            floor.1 = floor.1.or_else(|| Some(self.open_step(sink, at, name, title)));
            sink.line(line);
        } else {
            self.keep(name, title, line);
        }
        self.floor = Some(floor);
        speaks
    }

    /// Something else is about to be said: leaves the section of the step that has the floor.
    pub(crate) fn leave_step(&mut self, sink: &mut Sink, at: Moment) {
        if let Some((_, section)) = &mut self.floor
            && let Some(section) = section.take()
        {
            close(sink, at.time.as_second(), &section);
        }
    }

    /// A step ended: what it logged and could not say yet is said now; it gives up the floor.
    pub(crate) fn end_step(&mut self, sink: &mut Sink, at: Moment, step: &str) {
        self.leave_step(sink, at);
        self.floor.take_if(|(speaker, _)| speaker == step);
        if let Some(index) = self.waiting.iter().position(|waiting| waiting.step == step) {
            let waiting = self.waiting.remove(index);
            self.whole(sink, at, &waiting);
        }
        self.begun.remove(step);
    }

    /// Gives the floor, where nobody has it, to the step that has waited longest.
    pub(crate) fn next_speaker(&mut self, sink: &mut Sink, at: Moment) {
        if self.floor.is_some() || self.waiting.is_empty() {
            return;
        }
        let waiting = self.waiting.remove(0);
        let section = self.open_step(sink, at, &waiting.step, &waiting.title);
        waiting.show(sink);
        self.floor = Some((waiting.step, Some(section)));
    }

    /// Shows what is kept and closes everything: the stage ended.
    pub(crate) fn close_all(&mut self, sink: &mut Sink, at: Moment) {
        self.last_seen = at.time.as_second();
        self.leave_step(sink, at);
        for waiting in std::mem::take(&mut self.waiting) {
            self.whole(sink, at, &waiting);
        }
        self.close_all_now(sink);
    }

    /// Closes what is open, without a clock: nobody will say anything any more.
    pub(crate) fn close_all_now(&mut self, sink: &mut Sink) {
        let step = self.floor.take().and_then(|(_, section)| section);
        for section in [step, self.stage.take()].into_iter().flatten() {
            close(sink, self.last_seen, &section);
        }
    }

    /// The whole log of a step that has ended, in its section.
    fn whole(&mut self, sink: &mut Sink, at: Moment, waiting: &Waiting) {
        let section = self.open_step(sink, at, &waiting.step, &waiting.title);
        waiting.show(sink);
        close(sink, at.time.as_second(), &section);
    }

    fn keep(&mut self, step: &str, title: &str, line: &str) {
        let index = self.waiting.iter().position(|waiting| waiting.step == step).unwrap_or_else(|| {
            let (step, title) = (step.to_owned(), title.to_owned());
            self.waiting.push(Waiting { step, title, lines: VecDeque::new(), dropped: 0 });
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
        let now = at.time.as_second();
        let began = self.begun.get(step).copied().unwrap_or(now);
        // Of a step that speaks again the first section has told how long it took.
        self.begun.insert(step.to_owned(), now);
        self.last_seen = now;
        if self.markers == Markers::Github {
            sink.commands(&[workflow::command("group", &[], &format!("{step}: {title}"))]);
            return Section { name: None };
        }
        self.section(sink, began, step, &format::step_running(step, title), true)
    }

    fn section(&mut self, sink: &mut Sink, time: i64, label: &str, header: &str, collapsed: bool) -> Section {
        self.opened += 1;
        let slug: String = label
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .collect();
        let name = format!("{slug}.{time}.{}", self.opened);
        let collapsed = if collapsed { "[collapsed=true]" } else { "" };
        sink.raw(&format!("\x1b[0Ksection_start:{time}:{name}{collapsed}\r\x1b[0K"));
        sink.line(header);
        Section { name: Some(name) }
    }
}

impl Waiting {
    fn show(&self, sink: &mut Sink) {
        if self.dropped > 0 {
            sink.line(&format!(
                "    … the first {} are left out",
                crate::text::display::count(self.dropped, "line")
            ));
        }
        sink.lines(&self.lines);
    }
}

fn close(sink: &mut Sink, time: i64, section: &Section) {
    match &section.name {
        Some(name) => sink.raw(&format!("\x1b[0Ksection_end:{time}:{name}\r\x1b[0K\n")),
        None => sink.commands(&[workflow::command("endgroup", &[], "")]),
    }
}
