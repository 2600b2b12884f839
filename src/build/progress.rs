//! The output of a builder, structured: its steps, what they print, which one failed.

use std::collections::{BTreeSet, HashMap};

use crate::model::Stream;
use crate::text::lines::{Lines, Tail};

/// So many of a step's last lines are shown when it fails.
const TAIL: usize = 20;

/// What BuildKit calls a step that has to do with the layer cache.
const CACHE: &str = "importing cache manifest";

/// The state of a build, fed with what the builder reports.
#[derive(Debug, Default)]
pub(crate) struct BuildProgress {
    steps: HashMap<String, Step>,
    /// The step that failed first, with the builder's words.
    failed: Option<Failed>,
    /// What was found, each once.
    checks: BTreeSet<Check>,
    /// The classic builder's step that runs: its lines name none.
    current: String,
}

#[derive(Debug)]
struct Step {
    name: String,
    lines: [Lines; 2],
    tail: Tail,
    started: bool,
    cached: bool,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// As the builder calls it: `[build 4/6] RUN make`.
    pub(super) step: String,
    /// What the builder says.
    pub(super) message: String,
    /// The last lines it printed.
    pub(super) lines: Vec<String>,
}

/// Something to be shown at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A step began, or came from the cache.
    Step(String),
    /// A step printed a line.
    Line(Stream, String),
    /// Something that makes the build slower, but not wrong.
    Trouble(String),
    /// What the builder has against the Dockerfile.
    Check(Check),
}

/// A finding of BuildKit's checks of a Dockerfile: `SecretsUsedInArgOrEnv: Do not use ARG or ENV …`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Check {
    /// The rule and what it says.
    pub(super) message: String,
    /// Where it was found.
    pub(super) line: Option<u32>,
    /// Where the rule is explained.
    pub(super) url: String,
}

/// News of a step, in BuildKit's words a vertex.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct News<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) started: bool,
    pub(super) cached: bool,
    pub(super) error: &'a str,
}

impl BuildProgress {
    /// BuildKit has news of a step.
    pub(super) fn news(&mut self, news: News<'_>) -> Option<Said> {
        let step = self.step(news.id);
        if !news.name.is_empty() {
            news.name.clone_into(&mut step.name);
        }
        let first = news.started && !step.started;
        step.started |= news.started;
        let cached = news.cached && !step.cached;
        step.cached |= news.cached;
        let shown = step.is_shown();
        let name = step.name.clone();
        if !news.error.is_empty() && name.starts_with(CACHE) {
            return Some(Said::Trouble(format!("{name} failed: {}", news.error)));
        }
        if first && name.starts_with(CACHE) {
            return Some(Said::Step(name));
        }
        if !news.error.is_empty() && !is_aftermath(news.error) && self.failed.is_none() {
            self.fail(news.id, news.error);
        }
        match (shown, cached, first) {
            (true, true, _) => Some(Said::Step(format!("{name} (from the cache)"))),
            (true, false, true) => Some(Said::Step(name)),
            _ => None,
        }
    }

    /// BuildKit's checks found something.
    pub(super) fn found(&mut self, check: Check) -> Option<Said> {
        self.checks.insert(check.clone()).then_some(Said::Check(check))
    }

    /// A step printed something; `stream` is 1 or 2, as everywhere.
    pub(super) fn printed(&mut self, id: &str, stream: i64, bytes: &[u8]) -> Vec<Said> {
        let (index, stream) = if stream == 2 { (1, Stream::Stderr) } else { (0, Stream::Stdout) };
        let step = self.step(id);
        let lines = step.lines[index].push(bytes);
        for line in &lines {
            step.tail.push(line);
        }
        lines.into_iter().map(|line| Said::Line(stream, line)).collect()
    }

    /// The classic builder knows steps only by the lines that announce them.
    pub(super) fn classic(&mut self, text: &str) -> Vec<Said> {
        let mut said = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(step) = announced(line) {
                step.clone_into(&mut self.current);
                said.extend(self.news(News { id: &step, name: &step, started: true, ..News::default() }));
            } else {
                let current = self.current.clone();
                self.step(&current).tail.push(line);
                said.push(Said::Line(Stream::Stdout, line.to_owned()));
            }
        }
        said
    }

    /// The build ended with this error: which step was it?
    pub(super) fn failure(mut self, message: &str) -> Failed {
        if self.failed.is_none() && !self.current.is_empty() {
            self.fail(&self.current.clone(), message);
        }
        self.failed.unwrap_or_else(|| Failed {
            step: String::new(),
            message: message.to_owned(),
            lines: Vec::new(),
        })
    }

    /// `6 steps, 4 from the cache`.
    pub(super) fn summary(&self) -> String {
        let steps: Vec<&Step> = self.steps.values().filter(|step| step.is_shown() && step.started).collect();
        let cached = steps.iter().filter(|step| step.cached).count();
        let noun = if steps.len() == 1 { "step" } else { "steps" };
        match cached {
            0 => format!("{} {noun}", steps.len()),
            _ => format!("{} {noun}, {cached} from the cache", steps.len()),
        }
    }

    fn fail(&mut self, id: &str, message: &str) {
        let step = self.step(id);
        let rest: Vec<String> = step.lines.iter_mut().filter_map(Lines::end).collect();
        for line in &rest {
            step.tail.push(line);
        }
        self.failed =
            Some(Failed { step: step.name.clone(), message: message.to_owned(), lines: step.tail.lines() });
    }

    fn step(&mut self, id: &str) -> &mut Step {
        self.steps.entry(id.to_owned()).or_insert_with(|| Step {
            name: String::new(),
            lines: Default::default(),
            tail: Tail::of(TAIL),
            started: false,
            cached: false,
        })
    }
}

/// The step that a line announces, as Docker's classic builder writes it: `Step 2/5 : RUN make`. Podman writes
/// `[1/2] STEP 2/5: RUN make`.
fn announced(line: &str) -> Option<String> {
    if line.starts_with("Step ") && line.contains(" : ") {
        return Some(line.to_owned());
    }
    let (before, rest) = line.split_once("STEP ")?;
    let (number, instruction) = rest.split_once(": ")?;
    let counts = |text: &str| text.chars().all(|one| one.is_ascii_digit() || "/[] ".contains(one));
    (counts(before) && counts(number)).then(|| format!("{before}Step {number} : {instruction}"))
}

impl Step {
    /// What the builder does for itself is of no interest.
    fn is_shown(&self) -> bool {
        self.name.starts_with("Step ") || (self.name.starts_with('[') && !self.name.starts_with("[internal]"))
    }
}

/// When one step fails, the builder cancels the others: that is not why the build failed.
fn is_aftermath(error: &str) -> bool {
    error.contains("context canceled") || error.contains("context cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news<'a>(id: &'a str, name: &'a str) -> News<'a> {
        News { id, name, started: true, ..News::default() }
    }

    #[test]
    fn the_step_that_failed_is_not_one_that_was_cancelled() {
        let mut progress = BuildProgress::default();
        assert_eq!(progress.news(news("i", "[internal] load build definition")), None);
        assert_eq!(
            progress.news(news("a", "[a 2/2] RUN sleep 9")),
            Some(Said::Step("[a 2/2] RUN sleep 9".into()))
        );
        progress.news(news("b", "[b 2/2] RUN make"));
        assert_eq!(progress.news(news("b", "[b 2/2] RUN make")), None, "said once");
        let said = progress.printed("b", 2, b"cc: not found\nmake: Error");
        assert_eq!(said, [Said::Line(Stream::Stderr, "cc: not found".into())]);
        progress.news(News { error: "context canceled: context canceled", ..news("a", "") });
        progress.news(News { error: "executor failed running [make]: exit code: 2", ..news("b", "") });
        let failed = progress.failure("failed to solve: executor failed running [make]: exit code: 2");
        assert_eq!(failed.step, "[b 2/2] RUN make");
        assert_eq!(failed.lines, ["cc: not found", "make: Error"]);
    }

    #[test]
    fn a_cache_that_cannot_be_read_is_not_why_a_build_fails() {
        let mut progress = BuildProgress::default();
        let import = news("c", "importing cache manifest from r.test/web:main");
        let said = progress.news(News { error: "r.test/web:main: not found", ..import });
        assert!(matches!(said, Some(Said::Trouble(text)) if text.contains("r.test/web:main")));
        progress.news(News { error: "exit code: 2", ..news("b", "[2/2] RUN make") });
        assert_eq!(progress.failure("exit code: 2").step, "[2/2] RUN make");
    }

    #[test]
    fn what_came_from_the_cache_is_counted() {
        let mut progress = BuildProgress::default();
        progress.news(news("i", "[internal] load metadata for x"));
        progress.news(News { cached: true, ..news("a", "[1/2] FROM x") });
        progress.news(news("b", "[2/2] RUN make"));
        assert_eq!(progress.summary(), "2 steps, 1 from the cache");
    }

    #[test]
    fn steps_are_announced_in_podman_s_words_too() {
        assert_eq!(announced("STEP 2/5: RUN make").as_deref(), Some("Step 2/5 : RUN make"));
        assert_eq!(announced("[1/2] STEP 2/5: RUN a").as_deref(), Some("[1/2] Step 2/5 : RUN a"));
        assert_eq!(announced("a STEP forward: yes"), None);
        assert_eq!(announced("--> 2e576eb53ed"), None);
    }

    #[test]
    fn the_classic_builder_is_understood_too() {
        let mut progress = BuildProgress::default();
        progress.classic("Step 1/2 : FROM x\n");
        progress.classic(" ---> 0123\n");
        progress.classic("Step 2/2 : RUN false\n");
        progress.classic("oh\n");
        let failed = progress.failure("The command '/bin/sh -c false' returned a non-zero code: 1");
        assert_eq!((failed.step.as_str(), failed.lines), ("Step 2/2 : RUN false", vec!["oh".to_owned()]));
    }

    #[test]
    fn a_build_that_never_began_has_only_a_message() {
        let failed = BuildProgress::default().failure("dockerfile parse error line 3");
        assert_eq!((failed.step.as_str(), failed.message.as_str()), ("", "dockerfile parse error line 3"));
    }
}
