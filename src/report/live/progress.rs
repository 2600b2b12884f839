//! What runs at the moment: fed by events, asked by renderers for what is waited for and what was last said.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::{Evidence, Failure, Stage, Verdict};
use crate::report::Moment;
use crate::report::event::{Event, Finished, ObjectState};
use crate::report::live::format;
use crate::text::display;

/// So many lines of a source are kept, to be shown when it fails.
const TAIL: usize = 20;
/// So many things are named when it is said what is waited for.
const NAMED: usize = 3;

/// What runs at the moment.
#[derive(Default)]
pub(crate) struct LiveProgress {
    /// The stage that runs, and since when.
    pub(crate) stage: Option<(Stage, Duration)>,
    /// The steps that run, in the order in which they began.
    pub(crate) steps: Vec<RunningStep>,
    /// The objects that were heard of in the stage that runs, in that order.
    pub(crate) objects: Vec<Tracked>,
    /// The last lines of each source.
    tails: BTreeMap<String, VecDeque<String>>,
}

/// A step that runs.
pub(crate) struct RunningStep {
    pub(crate) stage: Stage,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) since: Duration,
    /// How far it got, or the last line that it logged.
    pub(crate) latest: Option<String>,
    /// Whether a growing log has said that it runs.
    pub(crate) announced: bool,
}

/// An object that was heard of.
pub(crate) struct Tracked {
    pub(crate) state: ObjectState,
    pub(crate) since: Duration,
    /// The last line a Job's or a pod's own log had.
    pub(crate) latest: Option<String>,
}

impl Tracked {
    /// Whether somebody still waits for it.
    pub(crate) fn is_waited_for(&self) -> bool {
        is_waited_for(&self.state)
    }
}

/// Whether somebody still waits for an object that is like this.
pub(crate) fn is_waited_for(state: &ObjectState) -> bool {
    matches!(state.verdict, Verdict::Progressing | Verdict::Terminating | Verdict::Unknown)
}

impl LiveProgress {
    /// Takes in what happened. Returns whether an object looks different from before.
    pub(crate) fn note(&mut self, at: Moment, event: &Event) -> bool {
        match event {
            Event::StageStarted { stage, .. } => {
                self.stage = Some((*stage, at.age));
                self.objects.clear();
            }
            Event::StepStarted { stage, step, title } => self.steps.push(RunningStep {
                stage: *stage,
                name: step.clone(),
                title: title.clone(),
                since: at.age,
                latest: None,
                announced: false,
            }),
            Event::StepProgress { stage, step, message } => {
                if let Some(step) = self.step(*stage, step) {
                    step.latest = Some(message.clone());
                }
            }
            Event::StepFinished { stage, step, .. } => {
                self.steps.retain(|running| running.stage != *stage || running.name != *step);
            }
            Event::StageFinished { stage, .. } => {
                self.stage.take_if(|(running, _)| running == stage);
                self.steps.retain(|running| running.stage != *stage);
            }
            Event::Log { stage, source, line, .. } => self.logged(*stage, source, line),
            Event::Object(state) => return self.saw(at, state),
            Event::Warning(_) | Event::Finished(_) => {}
        }
        false
    }

    /// A step that runs, by its name.
    pub(crate) fn step(&mut self, stage: Stage, name: &str) -> Option<&mut RunningStep> {
        self.steps.iter_mut().find(|step| step.stage == stage && step.name == name)
    }

    /// How long ago an object was first heard of.
    pub(crate) fn age_of(&self, at: Moment, state: &ObjectState) -> Duration {
        let known = self.objects.iter().find(|tracked| same(&tracked.state, state));
        known.map_or(Duration::ZERO, |tracked| at.age.saturating_sub(tracked.since))
    }

    /// The objects that are waited for, those that something is known to be wrong with first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Tracked> {
        let of = |wrong: bool| {
            let fits = move |one: &&Tracked| one.is_waited_for() && one.state.cause.is_some() == wrong;
            self.objects.iter().filter(fits)
        };
        of(true).chain(of(false))
    }

    /// Who is waited for, `waiting for Deployment/web (1/3 ready), build web and 2 more`, or what else goes on.
    pub(crate) fn activity(&self) -> String {
        let stage = self.stage.map(|(stage, _)| stage);
        self.waited_for().map_or_else(|| format::still_running(stage), |list| format!("waiting for {list}"))
    }

    fn waited_for(&self) -> Option<String> {
        let objects = self.waiting().map(|tracked| {
            let text = format::state_text(&tracked.state);
            if text.is_empty() {
                format::name(&tracked.state)
            } else {
                format!("{} ({text})", format::name(&tracked.state))
            }
        });
        let mut names: Vec<String> = objects.collect();
        // A step that waits for objects says nothing that they do not say better.
        if names.is_empty() {
            names.extend(self.steps.iter().map(|step| match &step.latest {
                Some(latest) => format!("{} ({})", step.name, display::clip(latest, 60)),
                None => step.name.clone(),
            }));
        }
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let list = names.join(", ");
        match (list.is_empty(), more) {
            (true, _) => None,
            (_, 0) => Some(list),
            (_, more) => Some(format!("{list} and {more} more")),
        }
    }

    /// The end, with the last lines of what failed where nobody gave any evidence.
    pub(crate) fn with_tails(&self, finished: &Finished) -> Finished {
        let mut finished = finished.clone();
        for Failure { subject, evidence, .. } in &mut finished.causes {
            if evidence.is_empty()
                && let Some(tail) = self.tails.get(subject.name())
            {
                let title = format!("last {}", display::count(tail.len(), "line"));
                evidence.push(Evidence { title, lines: tail.iter().cloned().collect() });
            }
        }
        finished
    }

    fn logged(&mut self, stage: Stage, source: &str, line: &str) {
        let tail = self.tails.entry(source.to_owned()).or_default();
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
        if line.trim().is_empty() {
            return;
        }
        if let Some(object) = self.objects.iter_mut().find(|tracked| format::name(&tracked.state) == source) {
            object.latest = Some(line.to_owned());
        } else if let Some(step) =
            self.steps.iter_mut().find(|step| step.stage == stage && step.is_source(source))
        {
            step.latest = Some(line.to_owned());
        }
    }

    fn saw(&mut self, at: Moment, state: &ObjectState) -> bool {
        let Some(known) = self.objects.iter_mut().find(|tracked| same(&tracked.state, state)) else {
            self.objects.push(Tracked { state: state.clone(), since: at.age, latest: None });
            return true;
        };
        let changed = known.state != *state;
        known.state = state.clone();
        changed
    }
}

impl RunningStep {
    /// Whether log lines of this source come out of this step: those of `unit` and of its service `unit/db`
    /// belong to the step `test unit`, those of `Job/migrate` to `run Job/migrate`.
    pub(crate) fn is_source(&self, source: &str) -> bool {
        let ends_with = |word: &str| {
            self.name.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with(' '))
        };
        ends_with(source) || source.split_once('/').is_some_and(|(test, _)| ends_with(test))
    }
}

fn same(a: &ObjectState, b: &ObjectState) -> bool {
    a.kind == b.kind && a.name == b.name && a.namespace == b.namespace && a.api_version == b.api_version
}
