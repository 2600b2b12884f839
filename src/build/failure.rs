//! Why a build failed: the line of the Dockerfile, the step, and its last output.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::content;
use super::dockerfile::{Dockerfile, UnsupportedSyntax};
use super::progress::{Check, Failed};
use crate::engine::fault::{self, Class};
use crate::error::{Error, Kind, Place};
use crate::model::{Evidence, Failure, Subject};
use crate::project::ImageConfig;
use crate::report::Reporter;
use crate::text::display;

/// More lines of an instruction than this are not shown.
const LINES: usize = 8;

static EXIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:exit code: |non-zero code: |exit status )(\d+)").expect("the pattern is a constant")
});
/// The way that an error took through the builder, which helps nobody.
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:failed to solve(?: with frontend [\w.]+)?|failed to build LLB|failed to create LLB definition|rpc error: code = \w+ desc =|failed to compute cache key|failed to calculate checksum of ref \S+|dockerfile\.v0):? *",
    )
    .expect("the pattern is a constant")
});

/// The Dockerfile that an error points into.
#[derive(Debug, Clone, Copy)]
pub(super) struct DockerfileSource<'a> {
    /// The name of the image that is built from it.
    pub(super) image: &'a str,
    /// What `windlass.yaml` says of it.
    pub(super) config: &'a ImageConfig,
    /// The Dockerfile as the user knows it.
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

/// The error of a build that failed in this step.
pub(super) fn error(
    source: DockerfileSource<'_>,
    reporter: &Reporter,
    file: &Dockerfile,
    failed: &Failed,
) -> Error {
    // What is cut could no longer be recognised as a secret.
    let failed = &Failed { step: reporter.masked(&failed.step), ..failed.clone() };
    explained(source, file, failed)
}

fn explained(source: DockerfileSource<'_>, file: &Dockerfile, failed: &Failed) -> Error {
    let DockerfileSource { image, config, path, text } = source;
    let lines = match text.lines().position(|line| is_frontend(failed) && line.contains("syntax=")) {
        Some(index) => u32::try_from(index + 1).ok().map(|line| (line, line)),
        None => file
            .lines_of(&failed.step, &failed.message)
            .or_else(|| file.lines_that_want(wanted_entitlement(failed)?)),
    };
    let place = lines.map(|(line, _)| Place { file: path.to_path_buf(), line: Some(line), column: None });
    let mut evidence = Vec::new();
    if let (Some((first, last)), Some(place)) = (lines, &place) {
        evidence.push(Evidence { title: place.to_string(), lines: excerpt(text, first, last) });
    }
    if !failed.lines.is_empty() {
        evidence
            .push(Evidence { title: "the last lines of this step".to_owned(), lines: failed.lines.clone() });
    }
    let failure = Failure {
        subject: Subject::Image(image.to_owned()),
        cause: "build-failed".to_owned(),
        message: sentence(failed),
        hint: no_such_stage(file, failed)
            .or_else(|| unknown_secret(source, file, failed))
            .or_else(|| not_allowed(config, failed))
            .or_else(|| hint(failed).map(str::to_owned)),
        evidence,
    };
    let error =
        Error::new(kind(failed), format!("the image `{image}` could not be built")).with_failures([failure]);
    match place {
        Some(place) => error.at(place),
        None => error,
    }
}

/// The error of a Dockerfile that the Engine's own builder cannot read.
pub(super) fn too_new(source: DockerfileSource<'_>, engine: &str, novelty: UnsupportedSyntax) -> Error {
    let line = novelty.line;
    let place = Place { file: source.path.to_path_buf(), line: Some(line), column: None };
    let message = format!("the builder of Engine {engine} does not support {}", novelty.what);
    let hint = format!(
        "upgrade to Engine {}.0, or name another builder with `builder:` in windlass.yaml, or write \
         `# syntax=docker/dockerfile:1` on the first line",
        novelty.engine
    );
    let failure = Failure {
        subject: Subject::Image(source.image.to_owned()),
        cause: "build-failed".to_owned(),
        message,
        hint: Some(hint),
        evidence: vec![Evidence { title: place.to_string(), lines: excerpt(source.text, line, line) }],
    };
    let message = format!("the image `{}` could not be built", source.image);
    Error::new(Kind::Build, message).with_failures([failure]).at(place)
}

/// A warning of the builder's checks, with its line.
pub(super) fn finding(source: DockerfileSource<'_>, check: &Check) -> Error {
    let place = Place { file: source.path.to_path_buf(), line: check.line, column: None };
    let mut finding = Error::new(Kind::Build, check.message.clone()).at(place);
    if let Some(line) = check.line {
        finding = finding.with_snippet(excerpt(source.text, line, line).join("\n"));
    }
    if check.url.is_empty() { finding } else { finding.with_hint(format!("see {}", check.url)) }
}

/// A step that wants a secret which the configuration does not have may fail in any way.
fn unknown_secret(source: DockerfileSource<'_>, file: &Dockerfile, failed: &Failed) -> Option<String> {
    let wanted = file.secrets_of(&failed.step);
    let id = wanted.iter().find(|id| !source.config.secrets.contains_key(*id))?;
    let image = source.image;
    let sentence =
        format!("the step mounts the secret `{id}`, which `images.{image}.secrets` does not define");
    Some(match content::meant(id, source.config) {
        Some(near) => format!("{sentence}: did you mean `{near}`?"),
        None => sentence,
    })
}

/// What a build asks for that its builder must be allowed, and is not.
fn wanted_entitlement(failed: &Failed) -> Option<&str> {
    let (entitlement, _) = failed.message.split_once(" is not allowed")?;
    let entitlement = entitlement.split_whitespace().next_back()?;
    ["network.host", "security.insecure"].contains(&entitlement).then_some(entitlement)
}

/// A build that asks for more than the daemon allows.
fn not_allowed(config: &ImageConfig, failed: &Failed) -> Option<String> {
    let entitlement = wanted_entitlement(failed)?;
    let asked = config.entitlements.iter().any(|one| one == entitlement)
        || (entitlement == "network.host" && config.network.as_deref() == Some("host"));
    Some(if asked {
        format!("the daemon must be started with --allow-insecure-entitlement {entitlement}")
    } else {
        format!(
            "add `entitlements: [{entitlement}]` to the image; only a BuildKit daemon (`builder:`) allows it"
        )
    })
}

/// Is it worth another try? Only what the Dockerfile's own commands did not cause.
pub(super) fn passes(failed: &Failed) -> bool {
    if failed.message.contains("no active session") {
        return true;
    }
    (fetches(failed) || is_push(failed)) && fault::classify(&failed.message) == Class::Passing
}

/// The builder's message without the way it took.
pub(super) fn plain(message: &str) -> String {
    let mut text = message.trim();
    while let Some(found) = PATH.find(text) {
        text = &text[found.end()..];
    }
    text.to_owned()
}

fn kind(failed: &Failed) -> Kind {
    // Docker Hub says the same of a name that does not exist and of one that we may not see.
    let unclear = failed.message.contains("repository does not exist");
    match fault::classify(&failed.message) {
        // The builder lost what it builds with.
        _ if failed.message.contains("code = Unavailable") => Kind::Unreachable,
        Class::Denied if fetches(failed) && !unclear => Kind::Denied,
        Class::Passing if fetches(failed) => Kind::Unreachable,
        Class::Denied if is_push(failed) => Kind::Denied,
        _ if is_push(failed) => Kind::Push,
        _ => Kind::Build,
    }
}

/// A daemon pushes by itself.
fn is_push(failed: &Failed) -> bool {
    failed.message.contains("failed to push")
}

/// Does this step fetch a base image?
fn fetches(failed: &Failed) -> bool {
    failed.step.starts_with("[internal] load metadata")
        || failed.step.starts_with("[internal] settings cache key")
        || failed.step.contains("] FROM ")
        || failed.step.contains(" : FROM ")
        || is_frontend(failed)
}

/// Before the first step only the image that `# syntax=` names is fetched; newer builders have a step for it.
fn is_frontend(failed: &Failed) -> bool {
    let steps = ["resolve image config for", "docker-image://"];
    if steps.iter().any(|step| failed.step.starts_with(step)) {
        return true;
    }
    let fetch = ["failed to do request", "failed to resolve", "failed to fetch", "pull access denied"];
    failed.step.is_empty() && fetch.iter().any(|words| failed.message.contains(words))
}

fn sentence(failed: &Failed) -> String {
    let message = plain(&failed.message);
    let Some(step) = title(&failed.step) else { return message };
    match EXIT.captures(&failed.message) {
        Some(code) => format!("`{step}` ended with exit code {}", &code[1]),
        None => format!("`{step}` failed: {message}"),
    }
}

/// `RUN make` of `[build 4/6] RUN make`, on one line.
fn title(step: &str) -> Option<String> {
    let rest = match step.strip_prefix("[internal] load metadata for ") {
        Some(image) => format!("FROM {image}"),
        None => step.split_once("] ").or_else(|| step.split_once(" : ")).map(|(_, rest)| rest.to_owned())?,
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(display::clip(&words.join(" "), 100))
}

fn excerpt(text: &str, first: u32, last: u32) -> Vec<String> {
    let numbered = (1_u32..).zip(text.lines()).filter(|(number, _)| (first..=last).contains(number));
    numbered.take(LINES).map(|(number, line)| format!("{number} │ {line}")).collect()
}

/// What is no stage is taken for an image of Docker Hub.
fn no_such_stage(file: &Dockerfile, failed: &Failed) -> Option<String> {
    let (_, name) = file.missing_stage(&failed.step, &failed.message)?;
    let stages = match file.stages().as_slice() {
        [] => "no stage has a name".to_owned(),
        stages => format!("the stages are: {}", stages.join(", ")),
    };
    Some(format!("there is no stage `{name}`, so it is pulled as an image; {stages}"))
}

fn hint(failed: &Failed) -> Option<&'static str> {
    let text = failed.message.to_lowercase();
    let copies = failed.step.contains("] COPY ") || failed.step.contains("] ADD ");
    if let Some(hint) = fault::full_disk(&text).or_else(|| fault::quota(&text)) {
        return Some(hint);
    }
    if text.contains("no such container") {
        return Some("the container of this step was removed while it ran: build again");
    }
    if text.contains("unknown flag") {
        return Some(
            "the builder does not support it: write `# syntax=docker/dockerfile:1` on the first line, \
             or name a newer builder with `builder:` in windlass.yaml",
        );
    }
    if copies && text.contains("not found") {
        return Some(
            "a path in COPY is relative to the build context; check that .dockerignore does not exclude it",
        );
    }
    if is_frontend(failed) {
        return Some(
            "`# syntax=` makes the Engine pull its builder from that image: remove the line, or name a mirror",
        );
    }
    if fetches(failed) {
        return Some(match fault::classify(&failed.message) {
            Class::Denied => "check the name of the base image, and log in to its registry",
            Class::NotFound => "check the name and tag of the base image",
            _ => return None,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(step: &str, message: &str) -> Failed {
        Failed { step: step.to_owned(), message: message.to_owned(), lines: vec!["last".to_owned()] }
    }

    fn source(text: &str) -> DockerfileSource<'_> {
        static CONFIG: LazyLock<ImageConfig> = LazyLock::new(ImageConfig::default);
        DockerfileSource { image: "web", config: &CONFIG, path: Path::new("Dockerfile"), text }
    }

    fn told(step: &str, message: &str) -> Error {
        let text = "FROM base.test/a:1 AS build\nCOPY gone /\nRUN make \\\n  all\n";
        explained(source(text), &Dockerfile::parse(text), &failed(step, message))
    }

    #[test]
    fn what_is_copied_from_no_stage_is_named() {
        let text = "FROM base.test/a:1 AS build\nRUN make\nFROM base.test/a:1\nCOPY --from=biuld /a /b\n";
        let message = "failed to do request: Head \"https://registry-1.docker.io/v2/library/biuld/manifests/latest\": no such host";
        let failed = failed("[internal] load metadata for docker.io/library/biuld:latest", message);
        let error = explained(source(text), &Dockerfile::parse(text), &failed);
        assert_eq!(error.to_string(), "Dockerfile:4: the image `web` could not be built");
        assert_eq!(
            error.failures()[0].hint.as_deref(),
            Some("there is no stage `biuld`, so it is pulled as an image; the stages are: build")
        );
    }

    #[test]
    fn a_command_that_failed_is_shown_with_its_lines() {
        let error = told(
            "[build 3/3] RUN make   all",
            "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed running [/bin/sh -c make]: exit code: 2",
        );
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Build, "Dockerfile:3: the image `web` could not be built")
        );
        let failure = &error.failures()[0];
        assert_eq!(failure.message, "`RUN make all` ended with exit code 2");
        assert_eq!(failure.evidence[0].lines, ["3 │ RUN make \\", "4 │   all"]);
        assert_eq!(failure.evidence[1].lines, ["last"]);
    }

    #[test]
    fn what_a_builder_is_not_allowed_is_told_with_the_line_that_asks_for_it() {
        let text = "FROM base.test/a:1\nRUN --mount=type=cache,target=/c --network=host make\n";
        let failed = failed("", "failed to solve: granting entitlement network.host is not allowed");
        let error = explained(source(text), &Dockerfile::parse(text), &failed);
        assert_eq!(error.to_string(), "Dockerfile:2: the image `web` could not be built");
        let hint = error.failures()[0].hint.as_deref().unwrap_or_default();
        assert!(hint.contains("`entitlements: [network.host]`"), "{hint}");
    }

    #[test]
    fn the_way_an_error_took_is_left_out() {
        let message = "failed to solve with frontend dockerfile.v0: failed to build LLB: failed to compute cache key: \"/gone\" not found: not found";
        let error = told("[build 2/3] COPY gone /", message);
        assert_eq!(error.failures()[0].message, "`COPY gone /` failed: \"/gone\" not found: not found");
        assert!(error.failures()[0].hint.as_deref().is_some_and(|hint| hint.contains(".dockerignore")));
    }

    #[test]
    fn a_base_image_that_cannot_be_fetched_is_not_the_build_s_fault() {
        let step = "[internal] load metadata for base.test/a:1";
        for (message, kind, again) in [
            (
                "failed to do request: Head \"https://base.test/v2/\": dial tcp: connection refused",
                Kind::Unreachable,
                true,
            ),
            ("unexpected status: 401 Unauthorized", Kind::Denied, false),
            ("base.test/a:1: not found", Kind::Build, false),
            (
                "pull access denied, repository does not exist or may require authorization",
                Kind::Build,
                false,
            ),
        ] {
            assert_eq!(told(step, message).kind(), kind, "{message}");
            assert_eq!(passes(&failed(step, message)), again, "{message}");
        }
        let syntax =
            "failed to do request: Head \"https://registry-1.docker.io/v2/\": dial tcp: no such host";
        assert!(passes(&failed("", syntax)));
        let step = "resolve image config for docker-image://docker.io/docker/dockerfile:1";
        assert!(passes(&failed(step, syntax)));
        assert_eq!(told(step, syntax).kind(), Kind::Unreachable);
        assert_eq!(told(step, "unexpected status: 401 Unauthorized").kind(), Kind::Denied);
        assert!(!passes(&failed("[build 3/3] RUN curl", "exit code: 7: connection refused")));
    }
}
