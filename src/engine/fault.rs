//! What the Engine's errors mean: can it be reached, is it worth another try, whose fault is it.
//!
//! The Engine reports most of what went wrong as text; the patterns here were seen from Engine 20.10 and 29.

use std::fmt;
use std::sync::LazyLock;

use bollard::errors::Error as Bollard;
use regex::Regex;

use super::Engine;
use crate::error::{Error, Kind, innermost};

/// What kind of trouble a pull or a push met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The registry does not know us or does not let us: another try with the same password is useless.
    Denied,
    /// The name leads to nothing.
    NotFound,
    /// Passes by itself, perhaps.
    Passing,
    /// Anything else.
    Other,
}

/// Names and digests hold any letters and digits: a code is one only where something says so, or stands by itself.
static CODE: LazyLock<Regex> = LazyLock::new(|| {
    let word = r"(?:status(?: code)?:? |http |^|[ (\[])(?:408|429|5\d\d)(?:$|[ ,:)\]])|\beof\b|\bgoaway\b";
    Regex::new(word).expect("the pattern is a constant")
});

const DENIED: [&str; 8] = [
    "unauthorized",
    "access denied",
    "denied:",
    "no basic auth",
    "authentication required",
    "forbidden",
    "http 401",
    "http 403",
];

const NOT_FOUND: [&str; 4] = ["manifest unknown", "not found", "name unknown", "repository does not exist"];

const PASSING: [&str; 21] = [
    "toomanyrequests",
    "too many requests",
    "connection refused",
    "connection reset",
    "closed network connection",
    "broken pipe",
    "stream error",
    "timeout",
    "timed out",
    "deadline exceeded",
    "tls handshake",
    "blob unknown",
    "blob upload unknown",
    "no such host",
    "server misbehaving",
    "temporary failure",
    "network is unreachable",
    "no route to host",
    "please retry",
    "retry later",
    "retry after",
];

/// Sorts the text of an error of a pull or push.
pub(crate) fn classify(text: &str) -> Class {
    let text = text.to_lowercase();
    let has = |patterns: &[&str]| patterns.iter().any(|pattern| text.contains(pattern));
    // What the Engine makes of a refusal without words of its own.
    // Harbor says of a full project that the push is denied.
    if quota(&text).is_some() {
        Class::Other
    } else if text.trim() == "denied" || has(&DENIED) {
        Class::Denied
    } else if has(&NOT_FOUND) {
        Class::NotFound
    } else if CODE.is_match(&text) || has(&PASSING) {
        Class::Passing
    } else {
        Class::Other
    }
}

/// What helps where the Engine's disk is full; `None` where it is not that.
pub(crate) fn full_disk(text: &str) -> Option<&'static str> {
    text.to_lowercase().contains("no space left on device").then_some(
        "the Engine's disk is full: `docker system df` shows what uses it, `docker system prune` and \
         `docker builder prune` free space",
    )
}

/// What helps where a registry takes no more of a project; `None` where it is not that.
pub(crate) fn quota(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let is_quota =
        ["quota", "configured upper limit", "storage limit"].iter().any(|words| text.contains(words));
    is_quota.then_some(
        "the registry's quota is used up: `windlass cleanup` deletes what nothing needs, or ask for more",
    )
}

/// Why a container could not be started, in the words of its runtime.
#[derive(Debug, Clone)]
pub(crate) struct StartFailure(String);

impl StartFailure {
    /// In these words.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// Whether it is that the image does not have this program.
    pub(crate) fn lacks(&self, program: &str) -> bool {
        self.0.contains(program) && (self.0.contains("not found") || self.0.contains("no such file"))
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartFailure {}

/// The text a person should see: bollard's own sentence only where there is no better one.
pub(crate) fn text(error: &Bollard) -> String {
    match error {
        Bollard::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Bollard::DockerStreamError { error } => error.trim().to_owned(),
        other => innermost(other),
    }
}

/// Did the connection fail, rather than the request?
pub(crate) fn is_connection(error: &Bollard) -> bool {
    matches!(
        error,
        Bollard::HyperLegacyError { .. }
            | Bollard::HyperResponseError { .. }
            | Bollard::SocketNotFoundError(_)
            | Bollard::RequestTimeoutError
            | Bollard::IOError { .. }
    )
}

/// Is it the end of an answer, and no error? The library takes the carriage return that may be left of the last line, where a
/// line came in two pieces, for something that is missing.
pub(crate) fn is_the_end(error: &Bollard) -> bool {
    matches!(error, Bollard::IOError { err } if err.to_string() == "bytes remaining on stream")
}

/// The status code of the Engine's answer, where there was one.
pub(crate) fn status(error: &Bollard) -> Option<u16> {
    match error {
        Bollard::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

impl Engine {
    /// An error of the Engine in our words: `kind` unless the Engine itself went away.
    pub(crate) fn error(&self, kind: Kind, doing: &str, error: &Bollard) -> Error {
        if matches!(error, Bollard::RequestTimeoutError) {
            let message = format!("the Docker Engine at {} does not respond while {doing}", self.address());
            return Error::new(Kind::Unreachable, message)
                .with_hint("check that it is still running: `docker version`");
        }
        if is_connection(error) {
            return Error::new(
                Kind::Unreachable,
                format!(
                    "the Docker Engine at {} closed the connection while {doing}: {}",
                    self.address(),
                    innermost(error)
                ),
            )
            .with_hint("check that it is still running: `docker version`");
        }
        let text = text(error);
        let hint = full_disk(&text);
        let error = Error::new(kind, format!("{doing} failed: {text}"));
        if let Some(hint) = hint { error.with_hint(hint) } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_the_last_line_is_no_error() {
        let error = |text: &str| Bollard::IOError { err: std::io::Error::other(text.to_owned()) };
        assert!(is_the_end(&error("bytes remaining on stream")));
        assert!(!is_the_end(&error("connection reset by peer")));
    }

    #[test]
    fn a_quota_is_told_as_one() {
        let harbor = "denied: adding 29.0 MiB of storage resource, which when updated to current usage of 152.4 MiB will exceed \
            the configured upper limit of 180.0 MiB.";
        assert_eq!(classify(harbor), Class::Other);
        assert!(quota(harbor).is_some_and(|hint| hint.contains("windlass cleanup")));
        assert_eq!(classify("denied: requested access to the resource is denied"), Class::Denied);
        assert_eq!(quota("denied: requested access to the resource is denied"), None);
    }

    #[test]
    fn a_full_disk_is_told_as_one() {
        let text = "write /usr/lib/libc.so: no space left on device";
        assert!(full_disk(text).is_some_and(|hint| hint.contains("docker system df")));
        assert_eq!(full_disk("no such file or directory"), None);
    }

    #[test]
    fn a_program_that_the_image_does_not_have_is_told_from_other_failures() {
        let missing = StartFailure::new("exec: \"nope\": executable file not found in $PATH");
        assert!(missing.lacks("nope") && !missing.lacks("sh"));
        let missing = StartFailure::new("exec: \"/app/nope\": stat /app/nope: no such file or directory");
        assert!(missing.lacks("/app/nope"));
        assert!(!StartFailure::new("exec: \"nope\": permission denied").lacks("nope"));
    }

    #[test]
    fn texts_seen_from_engines_are_sorted() {
        for (text, class) in [
            ("unauthorized: authentication required", Class::Denied),
            ("denied: requested access to the resource is denied", Class::Denied),
            ("no basic auth credentials", Class::Denied),
            ("error parsing HTTP 403 response body: unexpected end of JSON input", Class::Denied),
            (
                "manifest for 127.0.0.1:5000/a:b not found: manifest unknown: manifest unknown",
                Class::NotFound,
            ),
            ("received unexpected HTTP status: 503 Service Unavailable", Class::Passing),
            ("error parsing HTTP 429 response body: unexpected end of JSON input", Class::Passing),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                Class::Passing,
            ),
            ("received unexpected HTTP status: 429 Too Many Requests", Class::Passing),
            ("stream error: stream ID 5; INTERNAL_ERROR; received from peer", Class::Passing),
            ("http2: server sent GOAWAY and closed the connection", Class::Passing),
            ("dial tcp: lookup r.test on 10.0.0.2:53: server misbehaving", Class::Passing),
            ("Get \"https://r.test/v2/\": EOF", Class::Passing),
            (
                "unexpected status from PUT request to https://r.test/v2/a/blobs: 502 Bad Gateway",
                Class::Passing,
            ),
            ("name invalid: invalid repository name", Class::Other),
            ("failed to copy sha256:50242915035040842900 of geofence/retryer: checksum", Class::Other),
        ] {
            assert_eq!(classify(text), class, "{text}");
        }
    }
}
