//! Probes: what the manifest checks, what the container last answered, and whether a probe explains its death.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::Value;

use crate::model::{Cause, object};
use crate::rollout::pod::container::{Container, Termination};
use crate::rollout::snapshot::event::Event;

/// One of the three probes of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Startup,
    Liveness,
    Readiness,
}

impl Probe {
    /// `readiness`.
    fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    /// `readiness probe`.
    pub(crate) fn title(self) -> String {
        format!("{} probe", self.word())
    }

    /// After how many seconds it runs for the first time; `None` if the container has no such probe.
    pub(crate) fn delay(self, container: &Container) -> Option<i64> {
        self.is_set(container).then(|| self.seconds(container, "initialDelaySeconds", 0))
    }

    /// The container's field.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Startup => "/startupProbe",
            Self::Liveness => "/livenessProbe",
            Self::Readiness => "/readinessProbe",
        }
    }

    pub(crate) fn cause(self) -> Cause {
        match self {
            Self::Startup => Cause::StartupProbe,
            Self::Liveness => Cause::LivenessProbe,
            Self::Readiness => Cause::ReadinessProbe,
        }
    }

    /// Whether the container has this probe.
    pub(crate) fn is_set(self, container: &Container) -> bool {
        object::has(container.spec, self.field())
    }

    /// After how many seconds it runs for the second time: by then a result is known.
    pub(crate) fn patience(self, container: &Container) -> i64 {
        self.seconds(container, "initialDelaySeconds", 0).saturating_add(self.interval(container)).max(1)
    }

    /// The time from one run to the next, in seconds.
    pub(crate) fn interval(self, container: &Container) -> i64 {
        self.seconds(container, "periodSeconds", 10)
    }

    fn seconds(self, container: &Container, field: &str, default: i64) -> i64 {
        object::number(container.spec, &format!("{}/{field}", self.field())).unwrap_or(default)
    }

    /// The port that it checks, if that is a number.
    pub(crate) fn port(self, container: &Container) -> Option<i64> {
        let probe = container.spec.pointer(self.field())?;
        let ports = ["/httpGet/port", "/tcpSocket/port", "/grpc/port"];
        ports.iter().find_map(|port| object::number(probe, port))
    }

    /// Whether the kubelet has begun to kill the running instance because of this probe.
    pub(crate) fn is_killing(self, container: &Container, events: &[Event]) -> bool {
        let (words, began) = (format!("failed {} probe", self.word()), container.running_since());
        events.iter().any(|event| {
            event.reason == "Killing"
                && event.is_about(container.name)
                && event.message.contains(&words)
                && event.last.is_some()
                && event.last >= began
        })
    }

    /// The latest event about a failure of this probe since the container's instance started.
    pub(crate) fn failure<'a>(self, container: &Container, events: &[Event<'a>]) -> Option<Event<'a>> {
        let began = container.running_since();
        let is_its = |event: &&Event| {
            event.reason == "Unhealthy"
                && event.is_about(container.name)
                && self.is_told_by(event.message)
                && !asked_the_dead(event.message)
        };
        let newer = |event: &&Event| began.is_none() || event.last.is_none() || event.last >= began;
        events.iter().rev().filter(is_its).find(newer).copied()
    }

    fn is_told_by(self, message: &str) -> bool {
        let message = message.as_bytes();
        let word = self.word().as_bytes();
        message.len() > word.len() && message[..word.len()].eq_ignore_ascii_case(word)
    }

    /// As [`Probe::sentence`], for a probe that keeps running: the kubelet records only some failures, so one older
    /// than three periods is shown with its time.
    pub(crate) fn sentence_now(
        self,
        container: &Container,
        failure: Option<&Event>,
        now: Timestamp,
    ) -> String {
        let sentence = self.sentence(container, failure);
        let oldest = SignedDuration::from_secs(self.interval(container).saturating_mul(3).clamp(0, 86_400));
        match failure.and_then(|event| event.last).filter(|last| now.duration_since(*last) > oldest) {
            Some(last) => format!("{sentence} (last recorded at {last})"),
            None => sentence,
        }
    }

    /// `readiness probe of container web: GET :8080/health answered 503`.
    pub(crate) fn sentence(self, container: &Container, failure: Option<&Event>) -> String {
        let target = target(container.spec.pointer(self.field()).unwrap_or(&Value::Null));
        let answer = failure.map_or_else(|| "has not succeeded".to_owned(), |event| answer(event.message));
        let target = if target.is_empty() { String::new() } else { format!("{target} ") };
        format!("{} probe of {}: {target}{answer}", self.word(), container.title())
    }
}

/// Whether the probe only failed because the container had just ended, which is reported elsewhere.
pub(crate) fn asked_the_dead(message: &str) -> bool {
    ["CONTAINER_EXITED state", "no running task found", "cannot exec in a stopped"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// Why a probe fails whatever the container answers: its command is not in the image, or no port has that name.
pub(crate) fn misfit(message: &str) -> Option<String> {
    static PROGRAM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"exec: \\?"([^"\\]+)\\?": .*(executable file not found|no such file or directory)"#)
            .expect("the pattern is a constant")
    });
    static PORT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bport (\S+) not found").expect("the pattern is a constant"));
    if let Some(found) = PROGRAM.captures(message) {
        return Some(format!("its program `{}` is not in the image", &found[1]));
    }
    let found = PORT.captures(message)?;
    Some(format!("the container has no port named `{}`", &found[1]))
}

/// The probe because of which the kubelet killed this instance, according to an `Unhealthy` and a `Killing` event.
pub(crate) fn killer<'a>(
    container: &Container,
    death: &Termination,
    events: &[Event<'a>],
) -> Option<(Probe, Option<Event<'a>>)> {
    // After a kill, the exit code is that of a signal, or that of a program that shuts down properly on SIGTERM.
    let in_time = |event: &Event| match (death.started, event.last) {
        (Some(began), Some(killed)) => killed >= began,
        _ => true,
    };
    let about = |event: &&Event| event.is_about(container.name) && in_time(event);
    let killing = |probe: Probe| {
        let words = format!("failed {} probe", probe.word());
        let named = format!("{} {}", "Container", container.name);
        events.iter().rev().filter(about).any(|event| {
            event.reason == "Killing"
                && event.message.contains(&words)
                && (event.message.starts_with(&named) || !event.message.starts_with("Container "))
        })
    };
    let unhealthy = |probe: Probe| {
        let of_probe = |event: &&Event| event.reason == "Unhealthy" && probe.is_told_by(event.message);
        events.iter().rev().filter(about).find(of_probe).copied()
    };
    let both = [Probe::Startup, Probe::Liveness];
    if let Some(probe) = both.into_iter().find(|probe| killing(*probe)) {
        return Some((probe, unhealthy(probe)));
    }
    // The `Killing` event may have expired; a signal soon after a failed probe points to the probe.
    let is_near = |event: &Event| match (event.last, death.finished) {
        (Some(failed), Some(ended)) => ended.as_second().saturating_sub(failed.as_second()) <= LONGEST_KILL,
        _ => true,
    };
    let signalled = matches!(death.exit_code, 137 | 143);
    both.into_iter().filter(|probe| signalled && probe.is_set(container)).find_map(|probe| {
        let unhealthy = unhealthy(probe).filter(is_near)?;
        Some((probe, Some(unhealthy)))
    })
}

/// The longest time, in seconds, from the last failure of a probe to the end of the killed container: 30 s of grace
/// period, and some delay.
const LONGEST_KILL: i64 = 45;

/// What a probe checks: `GET :8080/health`, `TCP :5432`, `gRPC :9000`, `command pg_isready`.
pub(super) fn target(probe: &Value) -> String {
    let port = |handler: &str| match probe.pointer(&format!("{handler}/port")) {
        Some(Value::Number(number)) => format!(":{number}"),
        Some(Value::String(name)) => format!(":{name}"),
        _ => String::new(),
    };
    if object::has(probe, "/httpGet") {
        let path = object::text(probe, "/httpGet/path");
        let path = if path.is_empty() { "/" } else { path };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let secure = if object::text(probe, "/httpGet/scheme") == "HTTPS" { "https " } else { "" };
        return format!("GET {secure}{}{slash}{path}", port("/httpGet"));
    }
    if object::has(probe, "/tcpSocket") {
        return format!("TCP {}", port("/tcpSocket"));
    }
    if object::has(probe, "/grpc") {
        return format!("gRPC {}", port("/grpc"));
    }
    let words: Vec<&str> = object::list(probe, "/exec/command").iter().filter_map(Value::as_str).collect();
    if words.is_empty() { String::new() } else { format!("command `{}`", words.join(" ")) }
}

/// What the container answered, from the kubelet's message: `answered 503`, `connection refused`.
fn answer(message: &str) -> String {
    let said = message.split_once(':').map_or(message, |(_, rest)| rest).trim();
    if let Some((_, code)) = said.split_once("statuscode: ") {
        return format!("answered {}", code.trim());
    }
    let known = [
        ("connection refused", "refused the connection"),
        ("connection reset", "reset the connection"),
        ("no route to host", "cannot be reached: no route to host"),
        ("Client.Timeout exceeded", "did not answer in time"),
        ("context deadline exceeded", "did not answer in time"),
        ("i/o timeout", "did not answer in time"),
        ("timed out", "did not answer in time"),
        ("timeout:", "did not answer in time"),
    ];
    if let Some((_, words)) = known.iter().find(|(sign, _)| said.contains(sign)) {
        return (*words).to_owned();
    }
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    if first.is_empty() { "failed without a message".to_owned() } else { format!("failed: {first}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_target_is_said_as_the_manifest_has_it() {
        assert_eq!(
            target(&json!({"httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"}})),
            "GET :8080/health"
        );
        assert_eq!(target(&json!({"httpGet": {"port": "web", "scheme": "HTTPS"}})), "GET https :web/");
        assert_eq!(target(&json!({"tcpSocket": {"port": 5432}})), "TCP :5432");
        assert_eq!(target(&json!({"exec": {"command": ["pg_isready", "-q"]}})), "command `pg_isready -q`");
        assert_eq!(target(&json!({"exec": {}})), "");
    }

    #[test]
    fn what_no_answer_can_mend() {
        let program = r#"Readiness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in container: failed to start exec "9a0b": OCI runtime exec failed: exec failed: unable to start container process: exec: "pg_isready": executable file not found in $PATH: unknown"#;
        assert_eq!(misfit(program).as_deref(), Some("its program `pg_isready` is not in the image"));
        let path = r#"exec failed: unable to start container process: exec: "/ready": stat /ready: no such file or directory: unknown"#;
        assert_eq!(misfit(path).as_deref(), Some("its program `/ready` is not in the image"));
        let port = "Startup probe errored and resulted in unknown state: port http not found";
        assert_eq!(misfit(port).as_deref(), Some("the container has no port named `http`"));
        assert_eq!(misfit("Readiness probe failed: cat: can't open '/up': No such file or directory"), None);
        assert_eq!(misfit("Readiness probe failed: HTTP probe failed with statuscode: 404 not found"), None);
    }

    #[test]
    fn a_container_that_has_ended_gives_no_answer() {
        let task = "Readiness probe errored and resulted in unknown state: rpc error: code = NotFound desc = failed to exec in container: failed to load task: no running task found: task 7d3a not found: not found";
        assert!(asked_the_dead(task) && misfit(task).is_none());
        assert!(!asked_the_dead("Readiness probe failed: no response"));
    }

    #[test]
    fn the_answer_is_what_the_kubelet_saw() {
        let refused = "Readiness probe failed: Get \"http://10.1.0.7:8080/health\": dial tcp 10.1.0.7:8080: connect: connection refused";
        assert_eq!(answer(refused), "refused the connection");
        assert_eq!(answer("Liveness probe failed: HTTP probe failed with statuscode: 503"), "answered 503");
        assert_eq!(answer("Readiness probe failed: no response\nmore"), "failed: no response");
        assert_eq!(answer("Readiness probe failed: "), "failed without a message");
    }
}
