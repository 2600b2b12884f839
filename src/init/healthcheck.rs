//! A health check of Docker's as a probe of Kubernetes.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

/// What a Dockerfile or a compose file says about when a container is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Healthcheck {
    /// The command, word by word.
    pub(super) command: Vec<String>,
    /// Seconds, as are the next two.
    pub(super) interval: Option<u64>,
    pub(super) timeout: Option<u64>,
    pub(super) start_period: Option<u64>,
    pub(super) retries: Option<u64>,
}

/// What a command asks of its own container by HTTP.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    scheme: &'static str,
    port: u16,
    path: String,
}

/// An address of the container itself, with all that belongs to it.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"\b(https?)://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::(\d+))?(/[^\s"'|;&)<>\\]*)?"#,
    )
    .expect("the pattern is a constant")
});

/// How often a probe asks at most, in seconds: a rollout waits for the answer.
const PERIOD: u64 = 10;

impl Healthcheck {
    /// A command for the shell.
    pub(super) fn shell(line: &str) -> Self {
        Self::of(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()])
    }

    /// A command, word by word.
    pub(super) fn of(command: Vec<String>) -> Self {
        Self { command, interval: None, timeout: None, start_period: None, retries: None }
    }

    /// The port that its address has.
    pub(super) fn port(&self) -> Option<u16> {
        self.request().map(|request| request.port)
    }

    /// In a few words: `GET /health`.
    pub(super) fn describe(&self) -> String {
        match self.request() {
            Some(request) => format!("GET {}", request.path),
            None => "by a command".to_owned(),
        }
    }

    /// The readiness probe. `port` names the port of a number, where the container declares it.
    pub(super) fn readiness(&self, port: impl Fn(u16) -> Option<String>) -> Value {
        let mut probe = self.action(port);
        probe["periodSeconds"] = self.period().into();
        probe
    }

    /// The startup probe, where the check has a time for starting in which failures do not count.
    pub(super) fn startup(&self, port: impl Fn(u16) -> Option<String>) -> Option<Value> {
        let starting = self.start_period.filter(|seconds| *seconds > 0)?;
        let mut probe = self.action(port);
        probe["periodSeconds"] = self.period().into();
        probe["failureThreshold"] = (starting.div_ceil(self.period()) + self.retries.unwrap_or(3)).into();
        Some(probe)
    }

    fn action(&self, port: impl Fn(u16) -> Option<String>) -> Value {
        let mut probe = match self.request() {
            Some(Request { scheme, port: number, path }) => {
                let port = port(number).map_or_else(|| json!(number), |name| json!(name));
                match scheme {
                    "HTTPS" => json!({"httpGet": {"path": path, "port": port, "scheme": scheme}}),
                    _ => json!({"httpGet": {"path": path, "port": port}}),
                }
            }
            None => json!({"exec": {"command": self.command}}),
        };
        if let Some(seconds) = self.timeout.filter(|seconds| *seconds > 1) {
            probe["timeoutSeconds"] = seconds.into();
        }
        if let Some(retries) = self.retries.filter(|retries| *retries > 0) {
            probe["failureThreshold"] = retries.into();
        }
        probe
    }

    fn period(&self) -> u64 {
        self.interval.unwrap_or(PERIOD).clamp(1, PERIOD)
    }

    /// The kubelet asks itself what `curl` or `wget` would ask: the image need not have them.
    fn request(&self) -> Option<Request> {
        let text = self.command.join(" ");
        let found = ADDRESS.captures(&text)?;
        let scheme = if &found[1] == "https" { "HTTPS" } else { "HTTP" };
        let port = match found.get(2) {
            Some(number) => number.as_str().parse().ok().filter(|number| *number > 0)?,
            None if scheme == "HTTPS" => 443,
            None => 80,
        };
        let path = found.get(3).map_or("/", |path| path.as_str()).to_owned();
        // Of a port or path that only the container knows, the command knows more.
        let whole = found.get(0).map_or("", |whole| whole.as_str());
        let is_cut = text[text.find(whole)? + whole.len()..].starts_with([':', '$', '{']);
        (!is_cut && !path.contains('$')).then_some(Request { scheme, port, path })
    }
}

/// Seconds of a duration as Docker writes it: `30s`, `1m30s`, `500ms`, `1.5s`.
pub(super) fn seconds(text: &str) -> Option<u64> {
    static PART: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(\d+)(?:\.\d+)?(h|ms|us|ns|m|s)").expect("the pattern is a constant"));
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let part = PART.captures(rest)?;
        let unit = match &part[2] {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => 0,
        };
        sum = sum.checked_add(part[1].parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = &rest[part[0].len()..];
    }
    // Longer than a day is no health check's.
    (!text.is_empty() && sum <= 86_400).then_some(sum.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Option<(u16, String)> {
        Healthcheck::shell(line).request().map(|request| (request.port, request.path))
    }

    #[test]
    fn the_address_of_the_container_itself_is_asked_by_the_kubelet() {
        let health = |port| Some((port, "/health".to_owned()));
        assert_eq!(request("curl -fsS http://localhost:8080/health || exit 1"), health(8080));
        assert_eq!(request("wget -qO- \"http://127.0.0.1:3000/health\" >/dev/null"), health(3000));
        assert_eq!(request("curl --fail http://localhost"), Some((80, "/".to_owned())));
        assert_eq!(request("curl -k https://localhost/x?y=1&& true"), Some((443, "/x?y=1".to_owned())));
        for command in [
            "pg_isready",
            "curl http://db:5432/health",
            "curl http://localhost:$PORT/health",
            "curl http://localhost:8080/$PATH",
            "curl http://localhost:99999/",
            "curl http://localhost${X}/",
        ] {
            assert_eq!(request(command), None, "{command}");
        }
    }

    #[test]
    fn times_become_those_of_a_probe() {
        let check = Healthcheck {
            interval: seconds("1m30s"),
            timeout: seconds("3s"),
            start_period: seconds("45s"),
            retries: Some(5),
            ..Healthcheck::shell("curl http://localhost:8080/up")
        };
        let named = |number| (number == 8080).then(|| "http".to_owned());
        let get = json!({"path": "/up", "port": "http"});
        let ready = json!({"httpGet": get, "timeoutSeconds": 3, "failureThreshold": 5, "periodSeconds": 10});
        assert_eq!(check.readiness(named), ready);
        let start = json!({"httpGet": get, "timeoutSeconds": 3, "failureThreshold": 10, "periodSeconds": 10});
        assert_eq!(check.startup(named), Some(start));
        let other = Healthcheck::of(vec!["pg_isready".to_owned()]);
        assert_eq!(other.startup(named), None);
        let command = json!({"exec": {"command": ["pg_isready"]}, "periodSeconds": 10});
        assert_eq!(other.readiness(named), command);
    }

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!((seconds("30s"), seconds("1h1m1s"), seconds("1.5s")), (Some(30), Some(3661), Some(1)));
        assert_eq!(seconds("500ms"), Some(1), "a probe has whole seconds");
        for wrong in ["", "30", "s", "1x", "-1s", "99999h", "99999999999999999999s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
