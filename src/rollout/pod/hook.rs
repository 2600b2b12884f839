//! `postStart` hooks: a container whose hook fails is killed, and its status does not say why.

use serde_json::Value;

use crate::model::object;
use crate::rollout::pod::container::{Container, Termination};
use crate::rollout::pod::probe;
use crate::rollout::snapshot::event::Event;

/// The field of a container.
pub(crate) const FIELD: &str = "/lifecycle/postStart";
/// The waiting reason of a container whose hook failed.
const WAITS: &str = "PostStartHookError";
/// Longer output of a hook does not fit into a sentence.
const LONGEST: usize = 200;

/// Whether the kubelet killed this instance because its hook failed.
pub(crate) fn killed(container: &Container, death: &Termination, events: &[Event]) -> bool {
    let in_time = |event: &Event| match (death.started, event.last) {
        (Some(began), Some(failed)) => failed >= began,
        _ => true,
    };
    let tells = |event: &Event| {
        event.reason == "FailedPostStartHook" && event.is_about(container.name) && in_time(event)
    };
    container.waits() == WAITS || events.iter().any(tells)
}

/// `the postStart hook of container web (command `warm-up`) failed: exited with 1`.
pub(crate) fn sentence(container: &Container) -> String {
    let said = if container.waits() == WAITS { said(container.waiting_message()) } else { String::new() };
    format!("the postStart hook of {}{} failed{said}", container.title(), target(container))
}

/// The hook of a container that has started, but that the kubelet does not report as running yet.
pub(crate) fn unfinished(container: &Container, events: &[Event]) -> Option<String> {
    let last = events.iter().rev().find(|event| event.is_about(container.name))?;
    let waits = !container.runs() && container.dead_now().is_none() && last.reason == "Started";
    let is_set = object::has(container.spec, FIELD);
    (waits && is_set).then(|| {
        format!("{} has started, and its postStart hook{} still runs", container.title(), target(container))
    })
}

/// ` (command `warm-up`)`.
fn target(container: &Container) -> String {
    let target = probe::target(container.spec.pointer(FIELD).unwrap_or(&Value::Null));
    if target.is_empty() { target } else { format!(" ({target})") }
}

/// The error message without the names of the pod and the container.
fn said(message: &str) -> String {
    let error = message.split_once("error: ").map_or(message, |(_, error)| error);
    // The kubelet repeats the hook's output, and the command is known.
    let error = error.split_once(", message: \"").map_or(error, |(error, _)| error);
    let error = error
        .split_once("' exited with ")
        .map_or(error.to_owned(), |(_, code)| format!("exited with {code}"));
    let error = object::one_line(error.trim().trim_end_matches([':', ',']));
    match error.chars().count() {
        0 => String::new(),
        1..=LONGEST => format!(": {error}"),
        _ => format!(": {}…", error.chars().take(LONGEST).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kubelet_tells_of_a_hook_is_said_without_names() {
        let exec = r#"Exec lifecycle hook ([sh -c exit 1]) for Container "app" in Pod "app-1_shop(9)" failed - error: command 'sh -c exit 1' exited with 1: , message: """#;
        assert_eq!(said(exec), ": exited with 1");
        let wrote = r#"Exec lifecycle hook ([cat /a]) for Container "app" in Pod "app-1_shop(9)" failed - error: command 'cat /a' exited with 1: cat: can't open '/a': No such file or directory
, message: "cat: can't open '/a': No such file or directory\n""#;
        assert_eq!(said(wrote), ": exited with 1: cat: can't open '/a': No such file or directory");
        assert_eq!(said(""), "");
        assert!(said(&"x".repeat(500)).ends_with("x…"));
    }
}
