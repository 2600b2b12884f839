//! `history`: the releases of a tier and the attempts that changed nothing, newest first, and what ran at a given time.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::project::Tier;
use crate::record::{Kind as ReleaseKind, Outcome, RefusedAttempt, Summary, prior, store};
use crate::release::context;
use crate::report::style;
use crate::session::Session;

/// The releases to show, and the attempts between them that changed nothing.
pub struct History {
    entries: Vec<Entry>,
}

/// One release or attempt, for one line.
pub enum Entry {
    /// A release.
    Release(Release),
    /// An attempt that ended before its first change.
    Attempt(Box<RefusedAttempt>),
}

/// One release.
pub struct Release {
    summary: Box<Summary>,
    then: Option<Then>,
}

/// What a release was to the tier at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It was what ran.
    Ran,
    /// It was being carried out.
    UnderWay,
    /// It had failed, or been broken off, and whatever it had changed was there.
    Left,
    /// It was what ran before that.
    RanBefore,
}

impl Then {
    fn words(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::UnderWay => "was under way",
            Self::Left => "had not come to a good end, and what it had changed was there",
            Self::RanBefore => "ran before",
        }
    }
}

impl History {
    /// All releases and attempts, newest first, or only what ran at a time.
    pub(crate) fn new(
        newest_first: Vec<Summary>,
        attempts: Vec<RefusedAttempt>,
        at: Option<Timestamp>,
    ) -> Self {
        let release = |(summary, then)| Entry::Release(Release { summary: Box::new(summary), then });
        if let Some(at) = at {
            return Self { entries: ran_at(newest_first, at).into_iter().map(release).collect() };
        }
        let mut attempts = attempts.into_iter().peekable();
        let mut entries = Vec::new();
        for summary in newest_first {
            while let Some(later) = attempts.next_if(|attempt| attempt.after >= summary.revision) {
                entries.push(Entry::Attempt(Box::new(later)));
            }
            entries.push(release((summary, None)));
        }
        Self { entries }
    }

    /// The releases and attempts, newest first.
    pub fn lines(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

impl Entry {
    /// The line for machines.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Release(release) => release.to_json(),
            Self::Attempt(attempt) => attempt_to_json(attempt),
        }
    }

    /// The line for people.
    pub fn to_text(&self) -> String {
        match self {
            Self::Release(release) => release.to_text(),
            Self::Attempt(attempt) => attempt_to_text(attempt),
        }
    }
}

/// An attempt has no revision: it is no release.
fn attempt_to_json(attempt: &RefusedAttempt) -> Value {
    json!({
        "revision": null,
        "kind": "attempt",
        "outcome": "refused",
        "after": attempt.after,
        "started": attempt.at,
        "finished": attempt.at,
        "commit": attempt.commit,
        "dirty": attempt.dirty,
        "branch": attempt.branch,
        "by": attempt.by.person,
        "identity": attempt.by.identity,
        "job": attempt.by.job,
        "exit_code": attempt.exit_code,
        "message": attempt.message,
    })
}

fn attempt_to_text(attempt: &RefusedAttempt) -> String {
    let when = attempt.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let commit = attempt.short_commit().unwrap_or_else(|| "-".to_owned());
    let branch = attempt.branch.as_deref().unwrap_or("-");
    let kind = format!("attempt, exit code {}", attempt.exit_code);
    format!(
        "   -  {when}  {}  {commit:<8}  {branch:<16}  {:<8}  {kind:<24}  {}\n        nothing was changed: {}\n",
        style::faint(&format!("{:<11}", "refused")),
        "-",
        attempt.by.person,
        attempt.message,
    )
}

/// The newest release that had begun by then, and, where that was not a good one yet, the good one before it.
fn ran_at(newest_first: Vec<Summary>, at: Timestamp) -> Vec<(Summary, Option<Then>)> {
    let mut begun = newest_first.into_iter().filter(|summary| summary.started <= at);
    let Some(newest) = begun.next() else { return Vec::new() };
    let then = match newest.finished {
        Some(finished) if finished <= at && newest.outcome == Outcome::Good => Then::Ran,
        Some(finished) if finished <= at => Then::Left,
        None if newest.outcome != Outcome::Running => Then::Left,
        _ => Then::UnderWay,
    };
    let before = begun.find(|summary| then != Then::Ran && summary.outcome == Outcome::Good);
    let before = before.map(|summary| (summary, Some(Then::RanBefore)));
    [(newest, Some(then))].into_iter().chain(before).collect()
}

/// Reads the time of `--at`: with an offset or zone, else in the local zone.
///
/// # Errors
/// [`Kind::Usage`].
pub(crate) fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let local = text.parse::<civil::DateTime>().ok().and_then(|time| time.to_zoned(TimeZone::system()).ok());
    local.map(|zoned| zoned.timestamp()).ok_or_else(|| {
        Error::new(Kind::Usage, format!("`{text}` is not a time"))
            .with_hint("like 2026-10-03T14:00 or 2026-10-03T14:00Z")
    })
}

impl Release {
    fn to_json(&self) -> Value {
        let summary = &self.summary;
        let mut line = json!({
            "revision": summary.revision,
            "kind": summary.kind.describe(),
            "outcome": summary.outcome,
            "started": summary.started,
            "finished": summary.finished,
            "commit": summary.commit,
            "dirty": summary.dirty,
            "branch": summary.branch,
            "images": summary.images,
            "tested": summary.tested,
            "by": summary.by.person,
            "identity": summary.by.identity,
            "job": summary.by.job,
            "objects": summary.objects,
            "progress": summary.progress,
            "jobs": summary.jobs,
            "sent_back": summary.sent_back,
            "overrides": summary.overrides,
            "causes": summary.causes,
        });
        if let ReleaseKind::Rollback { from, to, .. } = summary.kind {
            line["rolled_back_from"] = json!(from);
            line["rolled_back_to"] = json!(to);
        }
        if let Some(then) = self.then {
            line["then"] = json!(then.words());
        }
        line
    }

    /// One line, a second one for what failed.
    fn to_text(&self) -> String {
        let summary = &self.summary;
        let when = summary.started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
        let commit = summary.short_commit().unwrap_or_else(|| "-".to_owned());
        let outcome = format!("{:<11}", summary.outcome.word());
        let outcome = match summary.outcome {
            Outcome::Good => style::good(&outcome),
            Outcome::Running => style::doubtful(&outcome),
            _ => style::bad(&outcome),
        };
        let branch = summary.branch.as_deref().unwrap_or("-");
        let tested = match summary.tested {
            Some(true) => "tested",
            Some(false) => "untested",
            None => "no tests",
        };
        let mut line = format!(
            "{:>4}  {when}  {outcome}  {commit:<8}  {branch:<16}  {tested:<8}  {:<24}  {}\n",
            summary.revision,
            summary.kind.describe(),
            summary.by.person,
        );
        if let Some(then) = self.then {
            line += &format!("        it {}\n", then.words());
        }
        for rule in &summary.overrides {
            let reason = rule.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            line += &format!("        {} was overridden{reason}\n", rule.rule);
        }
        for cause in &summary.causes {
            line += &format!("        {}: {}: {}\n", cause.object, cause.cause, cause.message);
        }
        line
    }
}

/// The releases of the tier, newest first, or what ran at a time.
///
/// # Errors
/// What the cluster refuses.
pub async fn history(
    session: &Session,
    project: &str,
    tier: &Tier,
    at: Option<Timestamp>,
) -> Result<History> {
    let cluster = context::connect(session, tier).await?;
    let store = store::Store::new(&cluster, project, &tier.slug);
    let mut summaries = store.whole_history().await?;
    prior::as_it_is(&cluster, &store::base_name(project, &tier.slug), &mut summaries).await;
    Ok(History::new(summaries, store.attempts().await?, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectId;
    use crate::record::target::tests::summary;
    use crate::record::{Actor, Override, Progress, RecordedCause, SentBack, Task};
    use crate::report::view::tests::both;

    /// Began at this minute, ended a minute later.
    fn release(revision: u64, minute: u8, outcome: Outcome) -> Summary {
        let time = |minute: u8| format!("2026-10-03T14:{minute:02}:00Z").parse::<Timestamp>().unwrap();
        let finished = (outcome != Outcome::Running).then(|| time(minute + 1));
        Summary { started: time(minute), finished, outcome, ..summary(revision) }
    }

    #[test]
    fn what_ran_at_a_time_is_the_newest_good_release_and_what_was_on_its_way() {
        let past = vec![
            release(4, 40, Outcome::Running),
            release(3, 30, Outcome::Good),
            release(2, 20, Outcome::Failed),
            release(1, 10, Outcome::Good),
        ];
        let at = |time: &str| {
            let ran = ran_at(past.clone(), format!("2026-10-03T14:{time}Z").parse().unwrap());
            ran.into_iter().map(|(summary, then)| (summary.revision, then.unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(at("09:00"), []);
        assert_eq!(at("10:30"), [(1, Then::UnderWay)]);
        assert_eq!(at("19:00"), [(1, Then::Ran)]);
        assert_eq!(at("20:30"), [(2, Then::UnderWay), (1, Then::RanBefore)]);
        assert_eq!(at("25:00"), [(2, Then::Left), (1, Then::RanBefore)]);
        assert_eq!(at("35:00"), [(3, Then::Ran)]);
        assert_eq!(at("45:00"), [(4, Then::UnderWay), (3, Then::RanBefore)]);
    }

    #[test]
    fn attempts_stand_between_the_releases_and_have_no_revision() {
        let attempt = |after| RefusedAttempt {
            format: 2,
            after,
            at: "2026-10-03T14:35:00Z".parse().unwrap(),
            commit: Some("1f3c".repeat(10)),
            branch: Some("main".to_owned()),
            dirty: true,
            by: summary(1).by,
            exit_code: 30,
            message: "the cluster refused Service/web".to_owned(),
        };
        let releases = vec![release(2, 20, Outcome::Good), release(1, 10, Outcome::Good)];
        let history = History::new(releases, vec![attempt(2), attempt(2), attempt(1)], None);
        let shown: Vec<String> = history
            .lines()
            .map(|line| match line {
                Entry::Release(release) => release.summary.revision.to_string(),
                Entry::Attempt(attempt) => format!("attempt after {}", attempt.after),
            })
            .collect();
        assert_eq!(shown, ["attempt after 2", "attempt after 2", "2", "attempt after 1", "1"]);
        let json = history.lines().next().unwrap().to_json();
        assert_eq!(
            (&json["revision"], &json["exit_code"], &json["after"]),
            (&Value::Null, &json!(30), &json!(2))
        );
        let text = history.lines().next().unwrap().to_text();
        assert!(text.contains("1f3c1f3c-dirty") && text.contains("attempt, exit code 30"), "{text}");
    }

    #[test]
    fn a_time_without_a_zone_is_local() {
        assert!(moment("2026-10-03T14:00").is_ok());
        assert_eq!(moment("2026-10-03T14:00:00Z").unwrap().to_string(), "2026-10-03T14:00:00Z");
        assert_eq!(moment("yesterday").unwrap_err().kind(), Kind::Usage);
    }

    fn attempt() -> RefusedAttempt {
        RefusedAttempt {
            format: 2,
            after: 2,
            at: "2026-10-03T14:35:00Z".parse().unwrap(),
            commit: Some("1f3c".repeat(10)),
            branch: Some("main".to_owned()),
            dirty: true,
            by: summary(1).by,
            exit_code: 30,
            message: "the cluster refused Service/web".to_owned(),
        }
    }

    #[test]
    fn a_history_is_read_by_people_and_machines() {
        let job = ObjectId {
            group: "batch".into(),
            kind: "Job".into(),
            namespace: "shop".into(),
            name: "migrate".into(),
        };
        let image = format!("registry.test/shop/web:1f3c@sha256:{}", "9be1".repeat(16));
        let rolled_back = Summary {
            kind: ReleaseKind::Rollback { from: 3, to: 1, automatic: true, redeployed: false },
            progress: Some(Progress { written: Some(2), of: 5 }),
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
            ..release(4, 40, Outcome::TimedOut)
        };
        let tested = Summary {
            commit: Some("1f3c9a0b".repeat(5)),
            branch: Some("main".to_owned()),
            images: [("web".to_owned(), image)].into(),
            tested: Some(true),
            by: Actor { job: Some("https://gitlab.test/jobs/42".to_owned()), ..summary(1).by },
            ..release(2, 20, Outcome::Good)
        };
        let untested = Summary { tested: Some(false), ..release(1, 10, Outcome::Good) };
        let running = release(5, 50, Outcome::Running);
        let releases = vec![running, rolled_back, tested, untested];
        let whole = History::new(
            releases.clone(),
            vec![attempt(), RefusedAttempt { commit: None, branch: None, ..attempt() }],
            None,
        );
        let at = |time: &str| History::new(releases.clone(), Vec::new(), Some(time.parse().unwrap()));
        let (before, after) = (at("2026-10-03T14:30:00Z"), at("2026-10-03T14:45:00Z"));
        let all = [&whole, &before, &after].into_iter().flat_map(History::lines);
        let shown: Vec<String> = all.map(|one| both(&one.to_text(), &one.to_json())).collect();
        insta::assert_snapshot!("history", shown.join("\n\n"));
    }
}
