//! `history`: the releases of a tier, and the attempts between them that changed nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::View;
use crate::model::release::{
    Actor, Outcome, Override, RecordedCause, ReleaseKind, ReleaseProgress, SentBack, Task,
};
use crate::model::revision;
use crate::report::style;

/// One release or attempt, for one line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// A release.
    Release {
        release: Box<Release>,
        /// What it was to the tier at the time that was asked for: `ran`.
        then: Option<&'static str>,
    },
    /// An attempt that ended before its first change.
    Attempt(Box<Attempt>),
}

/// What is on record of a release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Release {
    pub(crate) revision: u64,
    pub(crate) kind: ReleaseKind,
    pub(crate) outcome: Outcome,
    pub(crate) started: Timestamp,
    pub(crate) finished: Option<Timestamp>,
    pub(crate) commit: Option<String>,
    /// Whether what was released is not what the commit has.
    pub(crate) dirty: bool,
    pub(crate) branch: Option<String>,
    /// By name, as `repository:tag@sha256:…`.
    pub(crate) images: BTreeMap<String, String>,
    /// Whether its tests had passed; `None` where it has none.
    pub(crate) tested: Option<bool>,
    pub(crate) by: Actor,
    /// How many objects its set has.
    pub(crate) objects: usize,
    pub(crate) progress: Option<ReleaseProgress>,
    pub(crate) jobs: Vec<Task>,
    pub(crate) sent_back: Option<SentBack>,
    pub(crate) overrides: Vec<Override>,
    pub(crate) causes: Vec<RecordedCause>,
    /// What counted as ready because its status has no known condition or phase: `App/app`.
    pub(crate) unjudged: Vec<String>,
}

/// What is on record of an attempt. It has no revision: it is no release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    /// The newest revision when it ended.
    pub(crate) after: u64,
    /// When it ended.
    pub(crate) at: Timestamp,
    pub(crate) commit: Option<String>,
    pub(crate) dirty: bool,
    pub(crate) branch: Option<String>,
    pub(crate) by: Actor,
    pub(crate) exit_code: u8,
    pub(crate) message: String,
}

impl View for Entry {
    fn to_json(&self) -> Value {
        match self {
            Self::Release { release, then } => {
                let mut line = release.to_json();
                if let Some(then) = then {
                    line["then"] = json!(then);
                }
                line
            }
            Self::Attempt(attempt) => attempt.to_json(),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Release { release, then } => {
                let then = then.map(|then| format!("        it {then}\n")).unwrap_or_default();
                release.line() + &then + &release.further_lines()
            }
            Self::Attempt(attempt) => attempt.to_text(),
        }
    }
}

impl Release {
    /// `1f3c9a0b`, `1f3c9a0b-dirty`; `None` where there is none.
    pub(super) fn short_commit(&self) -> Option<String> {
        Some(revision::short_with_state(self.commit.as_deref()?, self.dirty))
    }

    /// Whether every object became ready.
    pub(crate) fn is_good(&self) -> bool {
        self.outcome == Outcome::Good
    }

    /// When it was, and of which commit: `2026-11-30 21:40, 1f3c9a0b`.
    pub(crate) fn in_brief(&self) -> String {
        let time = self.started.to_zoned(TimeZone::system()).strftime("%F %H:%M").to_string();
        [Some(time), self.short_commit()].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn to_json(&self) -> Value {
        let mut line = json!({
            "revision": self.revision,
            "kind": self.kind.describe(),
            "outcome": self.outcome,
            "started": self.started,
            "finished": self.finished,
            "commit": self.commit,
            "dirty": self.dirty,
            "branch": self.branch,
            "images": self.images,
            "tested": self.tested,
            "by": self.by.person,
            "identity": self.by.identity,
            "job": self.by.job,
            "objects": self.objects,
            "progress": self.progress,
            "jobs": self.jobs,
            "sent_back": self.sent_back,
            "overrides": self.overrides,
            "causes": self.causes,
        });
        if !self.unjudged.is_empty() {
            line["unjudged"] = json!(self.unjudged);
        }
        if let ReleaseKind::Rollback { from, to, .. } = self.kind {
            line["rolled_back_from"] = json!(from);
            line["rolled_back_to"] = json!(to);
        }
        line
    }

    fn line(&self) -> String {
        let tested = match self.tested {
            Some(true) => "tested",
            Some(false) => "untested",
            None => "no tests",
        };
        columns(&Columns {
            revision: &self.revision.to_string(),
            when: self.started,
            outcome: &painted(self.outcome, &in_column(self.outcome.word())),
            commit: self.short_commit(),
            branch: self.branch.as_deref(),
            tested,
            kind: &self.kind.describe(),
            by: &self.by.person,
        })
    }

    /// What was overridden, and what failed.
    fn further_lines(&self) -> String {
        let mut lines = String::new();
        for rule in &self.overrides {
            let reason = rule.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines += &format!("        {} was overridden{reason}\n", rule.rule);
        }
        for cause in &self.causes {
            lines += &format!("        {}: {}: {}\n", cause.object, cause.cause, cause.message);
        }
        if !self.unjudged.is_empty() {
            let unjudged = self.unjudged.join(", ");
            lines +=
                &format!("        unjudged: {unjudged} (no rule reads the status; `health:` may have one)\n");
        }
        lines
    }
}

impl Attempt {
    fn to_json(&self) -> Value {
        json!({
            "revision": null,
            "kind": "attempt",
            "outcome": "refused",
            "after": self.after,
            "started": self.at,
            "finished": self.at,
            "commit": self.commit,
            "dirty": self.dirty,
            "branch": self.branch,
            "by": self.by.person,
            "identity": self.by.identity,
            "job": self.by.job,
            "exit_code": self.exit_code,
            "message": self.message,
        })
    }

    fn to_text(&self) -> String {
        let line = columns(&Columns {
            revision: "-",
            when: self.at,
            outcome: &style::faint(&in_column("refused")),
            commit: self.commit.as_deref().map(|commit| revision::short_with_state(commit, self.dirty)),
            branch: self.branch.as_deref(),
            tested: "-",
            kind: &format!("attempt, exit code {}", self.exit_code),
            by: &self.by.person,
        });
        format!("{line}        nothing was changed: {}\n", self.message)
    }
}

/// What every line has.
struct Columns<'a> {
    revision: &'a str,
    when: Timestamp,
    /// As wide as its column, since its colour has no width.
    outcome: &'a str,
    commit: Option<String>,
    branch: Option<&'a str>,
    tested: &'a str,
    kind: &'a str,
    by: &'a str,
}

fn columns(line: &Columns<'_>) -> String {
    let Columns { revision, when, outcome, commit, branch, tested, kind, by } = line;
    let when = when.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
    let (commit, branch) = (commit.as_deref().unwrap_or("-"), branch.unwrap_or("-"));
    format!("{revision:>4}  {when}  {outcome}  {commit:<8}  {branch:<16}  {tested:<8}  {kind:<24}  {by}\n")
}

fn in_column(outcome: &str) -> String {
    format!("{outcome:<11}")
}

/// The word of an outcome, in its colour.
pub(super) fn painted(outcome: Outcome, word: &str) -> String {
    match outcome {
        Outcome::Good => style::good(word),
        Outcome::Running => style::doubtful(word),
        Outcome::Failed | Outcome::TimedOut | Outcome::Interrupted => style::bad(word),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::ObjectId;
    use crate::report::view::tests::shown;

    fn time(minute: u8) -> Timestamp {
        format!("2026-10-03T14:{minute:02}:00Z").parse().unwrap()
    }

    fn image() -> String {
        format!("registry.test/shop/web:1f3c@sha256:{}", "9be1".repeat(16))
    }

    /// A good release of nothing in particular; it began at this minute, and ended a minute later.
    pub(crate) fn release(revision: u64, minute: u8) -> Release {
        Release {
            revision,
            kind: ReleaseKind::Release,
            outcome: Outcome::Good,
            started: time(minute),
            finished: Some(time(minute + 1)),
            commit: None,
            dirty: false,
            branch: None,
            images: BTreeMap::new(),
            tested: None,
            by: Actor {
                identity: "admin".to_owned(),
                person: "ann@host".to_owned(),
                job: None,
                pipeline: None,
            },
            objects: 1,
            progress: None,
            jobs: Vec::new(),
            sent_back: None,
            unjudged: Vec::new(),
            overrides: Vec::new(),
            causes: Vec::new(),
        }
    }

    fn running() -> Release {
        Release { outcome: Outcome::Running, finished: None, ..release(5, 50) }
    }

    /// One with all that can be on record.
    pub(crate) fn rolled_back() -> Release {
        let job = ObjectId {
            group: "batch".into(),
            kind: "Job".into(),
            namespace: "shop".into(),
            name: "migrate".into(),
        };
        Release {
            kind: ReleaseKind::Rollback { from: 3, to: 1, automatic: true, redeployed: false },
            outcome: Outcome::TimedOut,
            progress: Some(ReleaseProgress { written: Some(2), of: 5 }),
            jobs: vec![Task { job, completed: true, refuses_rollback: true }],
            sent_back: Some(SentBack { to: 1, sent: 2, of: 3 }),
            overrides: vec![
                Override { rule: "tested".to_owned(), reason: Some("INC-1".to_owned()) },
                Override { rule: "after".to_owned(), reason: None },
            ],
            causes: vec![RecordedCause {
                object: "Deployment/web".to_owned(),
                cause: "crash-loop".to_owned(),
                message: "container web exits with code 1".to_owned(),
            }],
            ..release(4, 40)
        }
    }

    /// One of a tested commit.
    pub(crate) fn tested() -> Release {
        let by = release(2, 20).by;
        Release {
            commit: Some("1f3c9a0b".repeat(5)),
            branch: Some("main".to_owned()),
            images: [("web".to_owned(), image())].into(),
            tested: Some(true),
            by: Actor { job: Some("https://gitlab.test/jobs/42".to_owned()), ..by },
            unjudged: vec!["App/app".to_owned()],
            ..release(2, 20)
        }
    }

    fn untested() -> Release {
        Release { tested: Some(false), ..release(1, 10) }
    }

    /// An attempt of a commit with changes.
    pub(crate) fn attempt() -> Attempt {
        Attempt {
            after: 2,
            at: time(35),
            commit: Some("1f3c".repeat(10)),
            dirty: true,
            branch: Some("main".to_owned()),
            by: release(1, 10).by,
            exit_code: 30,
            message: "the cluster refused Service/web".to_owned(),
        }
    }

    #[test]
    fn a_history_is_read_by_people_and_machines() {
        let one = |release: Release| Entry::Release { release: Box::new(release), then: None };
        let at = |release: Release, then| Entry::Release { release: Box::new(release), then: Some(then) };
        let attempted = |attempt: Attempt| Entry::Attempt(Box::new(attempt));
        let left = "had not succeeded, and its changes were live";
        let all = [
            one(running()),
            one(rolled_back()),
            attempted(attempt()),
            attempted(Attempt { commit: None, branch: None, ..attempt() }),
            one(tested()),
            one(untested()),
            at(tested(), "ran"),
            at(rolled_back(), left),
            at(tested(), "ran before"),
        ];
        let texts: Vec<String> = all.iter().map(shown).collect();
        insta::assert_snapshot!("history", texts.join("\n\n"));
    }
}
