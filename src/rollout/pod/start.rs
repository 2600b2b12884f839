//! Containers that the runtime cannot start: a command that does not exist, a file that cannot be mounted, a sandbox
//! without enough memory.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::{Cause, object};
use crate::rollout::context::EvalContext;
use crate::rollout::pod::container::{Container, pointer};
use crate::rollout::pod::finding::{Finding, Severity};
use crate::rollout::snapshot::event::Event;
use crate::rollout::snapshot::pod::Pod;

/// The runtime's message if it could not start the container; `None` if it did not try, or could.
pub(crate) fn complaint<'a>(container: &Container<'a>) -> Option<&'a str> {
    if matches!(container.waits(), "RunContainerError" | "CreateContainerError") {
        let said = container.waiting_message();
        let before = container.died_before().map_or("", |death| death.message);
        return Some(if said.is_empty() { before } else { said });
    }
    container
        .dead_now()
        .filter(|death| death.never_ran() && !death.wanted_memory())
        .map(|death| death.message)
}

/// Whether the next try will fail in the same way: the manifest or the image is wrong.
pub(crate) fn is_lasting(complaint: &str) -> bool {
    static SIGNS: LazyLock<Regex> = LazyLock::new(|| {
        let words = "\\bexec\\b|executable|not found|no such file|permission denied|not permitted|exec format|\
            invalid argument|working directory|chdir|\\bcwd\\b|not a directory|is a directory|no command specified|\
            unable to find user|no matching entries|subpath";
        Regex::new(&format!("(?i){words}")).expect("the pattern is a constant")
    });
    SIGNS.is_match(complaint)
}

/// The path and the reason if the container's log holds nothing but the runtime's message that it could not execute the
/// program.
pub(crate) fn refused_exec(log: &str) -> Option<(&str, Refused)> {
    static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
        let words = "exec format error|no such file or directory|permission denied|argument list too long";
        Regex::new(&format!("^exec (\\S.*): ({words})$")).expect("the pattern is a constant")
    });
    let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let (first, None) = (lines.next()?, lines.next()) else { return None };
    let found = REFUSED.captures(first)?;
    let path = found.get(1)?.as_str();
    let why = match found.get(2)?.as_str() {
        "exec format error" => Refused::Format,
        "no such file or directory" => Refused::Missing,
        "permission denied" => Refused::Denied,
        _ => Refused::TooLong,
    };
    Some((path, why))
}

/// Why the kernel did not execute a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Neither a program for this processor nor a script with an interpreter in its first line.
    Format,
    /// The file exists, or else the runtime would have failed earlier: its interpreter or loader is missing.
    Missing,
    /// It may not be executed.
    Denied,
    /// Its arguments and environment are too big.
    TooLong,
}

impl Refused {
    /// `exec format error: …`.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Format => {
                "exec format error: it is built for another architecture than the node's, or is a script without a \
                 `#!` line"
            }
            Self::Missing => {
                "no such file or directory: its interpreter or loader is not in the image, or the first line of the \
                 script ends as on Windows (CRLF)"
            }
            Self::Denied => {
                "permission denied: the file, or its interpreter, may not be executed by this user"
            }
            Self::TooLong => {
                "argument list too long: its arguments and environment are too big; each Service of the namespace adds \
                 variables unless enableServiceLinks is false"
            }
        }
    }
}

/// `container web cannot start: exec: "serve": executable file not found in $PATH`.
pub(crate) fn sentence(container: &Container, complaint: &str) -> String {
    match core(complaint) {
        "" => format!("{} cannot start", container.title()),
        core => format!("{} cannot start: {core}", container.title()),
    }
}

/// The runtime's message without the description of what it was doing.
fn core(complaint: &str) -> &str {
    let marks = [
        "starting container process caused: ",
        "unable to start container process: ",
        "error during container init: ",
        "OCI runtime create failed: ",
    ];
    let core = marks.iter().find_map(|mark| complaint.split_once(mark)).map_or(complaint, |(_, rest)| rest);
    let core = marks.iter().fold(core, |core, mark| core.strip_prefix(mark).unwrap_or(core));
    core.trim().trim_end_matches(": unknown").trim_end_matches(": unknown.")
}

/// This many equal failures are not temporary.
const FAILS: i64 = 3;

/// The finding about a pod whose sandbox cannot be created for a permanent reason.
pub(crate) fn sandbox<'a>(
    context: &EvalContext<'a>,
    pod: &'a Pod,
    events: &[Event<'a>],
) -> Option<Finding<'a>> {
    static LASTING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)(oom-killed|memory limit|cannot allocate memory|memory\.(max|limit))|sysctl|\bdevices?\b",
        )
        .expect("the pattern is a constant")
    });
    let last = events.last().filter(|event| event.reason == SANDBOX)?;
    let kind = |event: &Event| Some(LASTING.captures(event.message)?.get(1).is_some());
    let is_memory = kind(last)?;
    let alike = events.iter().filter(|event| event.reason == SANDBOX && kind(event) == Some(is_memory));
    let grade = if alike.map(|event| event.count).sum::<i64>() >= FAILS {
        Severity::Failed
    } else {
        Severity::Waiting
    };
    let said = core(last.message);
    Some(if is_memory {
        out_of_memory(context, pod, grade, &format!("it cannot be started: {said}"))
    } else {
        Finding::new(pod, grade, Some(Cause::CannotRun), format!("the pod cannot be started: {said}"))
    })
}

/// The reason of the event about a sandbox that could not be created.
const SANDBOX: &str = "FailedCreatePodSandBox";

/// The field that limits a container's memory.
const LIMIT: &str = "/resources/limits/memory";

/// The finding about a pod whose memory limit is too small for what is needed before its programs run.
pub(crate) fn out_of_memory<'a>(
    context: &EvalContext<'a>,
    pod: &'a Pod,
    grade: Severity,
    why: &str,
) -> Finding<'a> {
    let limit = |one: &Container<'a>| object::text(one.spec, LIMIT);
    let limited: Vec<Container> =
        Container::all(pod).into_iter().filter(|one| !limit(one).is_empty()).collect();
    let limits: Vec<String> =
        limited.iter().map(|one| format!("{} of {}", limit(one), one.title())).collect();
    let limits = if limits.is_empty() { String::new() } else { format!(" ({})", limits.join(", ")) };
    let message = format!("the memory limit of the pod{limits} is too small: {why}");
    let place = limited.first().and_then(|one| pointer(context, one, LIMIT));
    Finding::new(pod, grade, Some(Cause::OutOfMemory), message).about(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_may_be_free_the_next_time() {
        assert!(is_lasting(r#"exec: "nope": executable file not found in $PATH: unknown"#));
        assert!(is_lasting("exec format error"));
        assert!(is_lasting("chdir to cwd (\"/nope\") set in config.json failed: no such file or directory"));
        assert!(is_lasting("failed to generate spec: no command specified"));
        assert!(!is_lasting(
            "failed to reserve container name \"web_web-1\": name \"web_web-1\" is reserved for \"ab\""
        ));
        assert!(!is_lasting("context deadline exceeded"));
    }

    #[test]
    fn what_the_runtime_wrote_is_told_from_what_a_program_wrote() {
        assert_eq!(refused_exec("exec /app: exec format error\n"), Some(("/app", Refused::Format)));
        assert_eq!(
            refused_exec("exec /my entry.sh: no such file or directory"),
            Some(("/my entry.sh", Refused::Missing))
        );
        assert_eq!(refused_exec("exec /app: argument list too long"), Some(("/app", Refused::TooLong)));
        assert_eq!(refused_exec("starting\nexec /app: exec format error"), None, "a program wrote, too");
        assert_eq!(refused_exec("cannot exec /app: permission denied"), None);
        assert_eq!(refused_exec(""), None);
    }
}
