//! Crashes that count: container instances that died under `restartPolicy: Always`, and why.
//!
//! The kubelet restarts immediately the first time: a program that exits at start dies at 1 s, 2 s and 18 s. Two deaths
//! are tolerated, as in a service that waits for its database by crashing; the third is a failure.

use crate::model::Cause;
use crate::rollout::context::EvalContext;
use crate::rollout::pod::container::{Container, ContainerView, Role, Termination};
use crate::rollout::pod::probe::Probe;
use crate::rollout::pod::{hook, probe};
use crate::rollout::snapshot::event::Event;

/// The kubelet resets the restart back-off of a container once it has run for this long, and so does windlass.
const FORGETS: i64 = 600;
/// A container that stays up at least this long, and twice as long as the instance before it, has recovered.
const RECOVERS: i64 = 10;

/// Why a container has died, and how often.
#[derive(Debug, Clone)]
pub(crate) struct CrashHistory<'a> {
    /// Deaths that count.
    pub(crate) counted_crashes: i64,
    /// The latest of them.
    pub(crate) death: Termination<'a>,
    pub(crate) cause: Cause,
    /// Why the kubelet killed it, unless it ended on its own.
    killer: Option<Killer<'a>>,
}

/// Why the kubelet killed an instance.
#[derive(Debug, Clone)]
pub(crate) enum Killer<'a> {
    /// A probe failed; the event is its last recorded failure.
    Probe(Probe, Option<Event<'a>>),
    /// Its `postStart` hook failed.
    Hook,
}

/// The deaths of a container of a pod; `None` if none counts (any more).
pub(crate) fn crash_finding<'a>(view: &mut ContainerView<'_, 'a>) -> Option<CrashHistory<'a>> {
    let counted_crashes = count(view);
    let ContainerView { context, container, events, .. } = view;
    if counted_crashes <= 0 || has_recovered(context, container) {
        return None;
    }
    let known: Vec<Termination> = container.known_deaths().collect();
    let death = *known.iter().find(|death| !is_harmless(container, death, events))?;
    let (cause, killer) = cause(container, &death, events);
    Some(CrashHistory { counted_crashes, death, cause, killer })
}

/// How many deaths count: those of this release, without the instances that ended well.
fn count(view: &mut ContainerView<'_, '_>) -> i64 {
    let ContainerView { context, pod, container, events } = view;
    let known: Vec<Termination> = container.known_deaths().collect();
    let ended = container.ended();
    let older = context.is_older_than_release(pod.created);
    let watched = context.release().is_some();
    let deaths = context.deaths(container.key());
    let before = *deaths.before.get_or_insert(if older { ended } else { 0 });
    for (index, death) in known.iter().enumerate() {
        // Without an id, an instance is known by its number.
        let number = ended - i64::try_from(index).unwrap_or(0);
        if number <= before {
            continue;
        }
        let id = if death.id.is_empty() { number.to_string() } else { death.id.to_owned() };
        if is_harmless(container, death, events) {
            deaths.harmless.insert(id);
        } else {
            // The event that explains an earlier instance may only be found while a later one is evaluated.
            deaths.harmless.remove(&id);
            deaths.counted.insert(id);
        }
    }
    let harmless = i64::try_from(deaths.harmless.len()).unwrap_or(i64::MAX);
    match (deaths.counted.is_empty(), watched) {
        // Deaths between two evaluations count like those that were seen.
        (true, _) => 0,
        (false, true) => ended - before - harmless,
        (false, false) => (ended - harmless).max(1),
    }
}

/// Whether an instance ended well: with exit code 0, where it should end, and not killed.
fn is_harmless(container: &Container, death: &Termination, events: &[Event]) -> bool {
    let was_to_end = container.role == Role::Init || !container.is_kept_alive;
    was_to_end
        && death.exit_code == 0
        && !death.wanted_memory()
        && probe::killer(container, death, events).is_none()
}

/// Whether the running instance shows that the crashes are over.
fn has_recovered(context: &mut EvalContext, container: &Container) -> bool {
    if !container.runs() {
        return false;
    }
    let Some(since) = container.running_since() else { return container.is_ready() };
    let lived = container.died_before().map_or(0, |death| death.lived());
    if context.is_past(since, FORGETS) {
        return true;
    }
    let proof = lived.saturating_mul(2).clamp(RECOVERS, FORGETS);
    (container.is_ready() && lived >= FORGETS) || context.is_past(since, proof)
}

/// The cause closest to the user's mistake (contract, section 6).
pub(crate) fn cause<'a>(
    container: &Container<'a>,
    death: &Termination,
    events: &[Event<'a>],
) -> (Cause, Option<Killer<'a>>) {
    if container.role == Role::Init {
        return (Cause::InitFailed, None);
    }
    if death.wanted_memory() {
        return (Cause::OutOfMemory, None);
    }
    if hook::killed(container, death, events) {
        return (Cause::CannotRun, Some(Killer::Hook));
    }
    match probe::killer(container, death, events) {
        Some((probe, unhealthy)) => (probe.cause(), Some(Killer::Probe(probe, unhealthy))),
        None if death.exit_code == 0 => (Cause::CrashLoop, None),
        None => (Cause::ExitCode, None),
    }
}

/// Why an instance died that is not restarted, and a sentence about it.
pub(crate) fn ended_by<'a>(
    container: &Container<'a>,
    death: &Termination<'a>,
    events: &[Event<'a>],
) -> (Cause, String) {
    let (cause, killer) = cause(container, death, events);
    let title = container.title();
    let message = match killer {
        Some(killer) => format!("{}; {title} was killed by the kubelet", killer.sentence(container)),
        None => format!("{title} {}", how(container, death)),
    };
    (cause, message)
}

impl CrashHistory<'_> {
    /// `container web exited 1 three times`.
    pub(crate) fn sentence(&self, container: &Container) -> String {
        let title = container.title();
        let times = times(self.counted_crashes);
        match &self.killer {
            Some(killer) => {
                format!("{}; {title} was killed by the kubelet {times}", killer.sentence(container))
            }
            None => format!("{title} {} {times}", how(container, &self.death)),
        }
    }

    /// The field of the container that the cause is about.
    pub(crate) fn field(&self) -> &'static str {
        match (&self.killer, self.death.wanted_memory()) {
            (Some(Killer::Probe(probe, _)), _) => probe.field(),
            (Some(Killer::Hook), _) => hook::FIELD,
            (None, true) => "/resources/limits/memory",
            (None, false) => "",
        }
    }
}

impl Killer<'_> {
    /// The sentence about the container that was killed.
    fn sentence(&self, container: &Container) -> String {
        match self {
            Self::Probe(probe, unhealthy) => probe.sentence(container, unhealthy.as_ref()),
            Self::Hook => hook::sentence(container),
        }
    }
}

/// How an instance ended: `exited 1`, `ran out of memory (limit 64Mi)`.
pub(crate) fn how(container: &Container, death: &Termination) -> String {
    if death.wanted_memory() {
        let limit = match container.spec.pointer("/resources/limits/memory") {
            Some(serde_json::Value::String(limit)) => format!(" (limit {limit})"),
            Some(serde_json::Value::Number(limit)) => format!(" (limit {limit} bytes)"),
            _ => String::new(),
        };
        return format!("ran out of memory{limit}");
    }
    match death.exit_code {
        0 => "should keep running, but exited with code 0".to_owned(),
        127 => "exited 127 (command not found)".to_owned(),
        126 => "exited 126 (command cannot be executed)".to_owned(),
        134 => "exited 134 (aborted)".to_owned(),
        137 => "was killed (exit code 137)".to_owned(),
        139 => "exited 139 (segmentation fault)".to_owned(),
        code => format!("exited {code}"),
    }
}

/// `once`, `twice`, `three times`.
pub(crate) fn times(number: i64) -> String {
    let words = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    match number {
        ..=1 => "once".to_owned(),
        2 => "twice".to_owned(),
        3..=12 => format!("{} times", usize::try_from(number - 3).map_or("many", |index| words[index])),
        _ => format!("{number} times"),
    }
}
