//! The evidence for a verdict: how containers ended, and events in their order.

use jiff::Timestamp;

use crate::model::object;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::pod::container::Container;
use crate::rollout::pod::finding::Finding;
use crate::rollout::pod::{configuration, crashes, probe};
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::Pod;
use crate::rollout::snapshot::subject::Subject;
use crate::text::display;

/// How many lines of a container's termination message are shown.
const TERMINATION_LINES: usize = 10;
/// The length at which the message of an event is cut, in characters.
const LONGEST: usize = 500;
/// How many of the latest events are shown.
const EVENTS: usize = 8;

/// Adds the evidence of a workload: the containers of its worst pod, and warning events.
pub(super) fn of_workload<'a>(
    context: &EvalContext<'a>,
    finding: Option<&Finding<'a>>,
    judgement: Health,
) -> Health {
    let mut about = vec![Subject::Object(context.object)];
    let subject = finding.map(|finding| finding.subject);
    about.extend(subject.filter(|subject| !subject.is(context.object)));
    // A pod that cannot be scheduled may wait for its claims: show why they are not bound.
    about.extend(subject.and_then(Subject::pod).into_iter().flat_map(|pod| unbound_claims(context, pod)));
    let judgement = match subject.and_then(Subject::pod) {
        Some(pod) => of_pod(pod, judgement),
        None => judgement,
    };
    with_events(context, &about, judgement)
}

/// The claims of a pod that are not bound.
fn unbound_claims<'a>(context: &EvalContext<'a>, pod: &'a Pod) -> impl Iterator<Item = Subject<'a>> {
    let snapshot = context.snapshot;
    let claims = pod.claims.iter();
    let claims =
        claims.filter_map(move |name| snapshot.get("", "PersistentVolumeClaim", &pod.namespace, name));
    claims.filter(|claim| object::text(claim, "/status/phase") == "Pending").map(Subject::Object)
}

/// Adds the state of a pod's containers if one of them is not ready.
pub(super) fn of_pod(pod: &Pod, judgement: Health) -> Health {
    let lines: Vec<String> = Container::all(pod).iter().flat_map(container_lines).collect();
    judgement.showing(format!("pod {}", pod.name), lines)
}

/// Adds the unusual events of these objects, equal ones combined.
pub(super) fn with_events<'a>(context: &EvalContext<'a>, about: &[Subject<'a>], judgement: Health) -> Health {
    let mut seen: Vec<Happened> = Vec::new();
    for object in about {
        for event in context.events_of(object).into_iter().filter(|event| !is_noise(event)) {
            let line = format!("{} {}", event.reason, object.title());
            let message = words(&event);
            let is_same = |one: &Happened| display::lasting(&one.message) == display::lasting(&message);
            match seen.iter_mut().find(|one| one.line == line && is_same(one)) {
                Some(known) => {
                    known.count += event.count;
                    known.last = known.last.max(event.last);
                }
                None => seen.push(Happened { last: event.last, count: event.count, line, message }),
            }
        }
    }
    seen.sort_by_key(|one| one.last);
    let from = seen.len().saturating_sub(EVENTS);
    judgement.showing("events", seen[from..].iter().map(Happened::line).collect())
}

/// An event of an object, with its count.
struct Happened {
    last: Option<Timestamp>,
    count: i64,
    /// `FailedMount Pod/web-1`.
    line: String,
    message: String,
}

impl Happened {
    /// `FailedMount Pod/web-1, 4 times: configmap "shop" not found`.
    fn line(&self) -> String {
        let times = if self.count > 1 { format!(", {} times", self.count) } else { String::new() };
        format!("{}{times}: {}", self.line, display::clip(&self.message, LONGEST))
    }
}

/// Ordinary events, and those that only report the kubelet's back-off after another event.
fn is_noise(event: &Event) -> bool {
    let is_word = |text: &str| !text.contains(' ');
    !event.is_warning()
        || event.reason == "BackOff"
        || (event.reason == "Failed" && event.message.strip_prefix("Error: ").is_some_and(is_word))
        || configuration::is_cache_trouble(event.message)
        || probe::asked_the_dead(event.message)
}

/// The message in one line, without the names of pods that were never created.
fn words(event: &Event) -> String {
    let message = match event.reason {
        "FailedCreate" => event.without_pod_names(),
        _ => event.message,
    };
    object::one_line(message)
}

fn container_lines(container: &Container) -> Vec<String> {
    let title = container.title();
    let mut lines = Vec::new();
    if !container.waits().is_empty() && !matches!(container.waits(), "ContainerCreating" | "PodInitializing")
    {
        let said = container.waiting_message();
        let said = if said.is_empty() { String::new() } else { format!(": {}", object::one_line(said)) };
        lines.push(format!("{title} waits, {}{said}", container.waits()));
    }
    for death in container.known_deaths().filter(|death| death.exit_code != 0 || death.wanted_memory()) {
        // `Error` says nothing that the code does not.
        let reason = Some(death.reason).filter(|reason| !matches!(*reason, "" | "Error"));
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let when = death.finished.map(|at| format!(" at {at}")).unwrap_or_default();
        let ended = format!("{title} ended with exit code {}{reason}{when}", death.exit_code);
        let said: Vec<&str> = death.message.lines().filter(|line| !line.trim().is_empty()).collect();
        match said.as_slice() {
            [] => lines.push(ended),
            [line] => lines.push(format!("{ended}: {line}")),
            // The cause is at the end of the message.
            all => {
                lines.push(format!("{ended}:"));
                lines.extend(
                    all[all.len().saturating_sub(TERMINATION_LINES)..].iter().map(|line| format!("  {line}")),
                );
            }
        }
    }
    if container.restarts() > 0 {
        lines.push(format!("{title} was restarted {}", crashes::times(container.restarts())));
    }
    lines
}
