//! `history`: the releases of a tier and the attempts that changed nothing, newest first, and what ran at a given time.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use crate::error::{Error, Kind, Result};
use crate::project::Tier;
use crate::record::{Outcome, RefusedAttempt, Summary, prior, store};
use crate::release::context;
use crate::report::view::history::{Attempt, Entry, Release};
use crate::session::Session;

/// The state of a release at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It ran.
    Ran,
    /// It was in progress.
    UnderWay,
    /// It had failed or been interrupted, and its changes were live.
    Left,
    /// It ran before another release began.
    RanBefore,
}

impl Then {
    fn words(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::UnderWay => "was under way",
            Self::Left => "had not succeeded, and its changes were live",
            Self::RanBefore => "ran before",
        }
    }
}

/// All releases and attempts, newest first, or only what ran at a time.
pub(crate) fn entries(
    newest_first: Vec<Summary>,
    attempts: Vec<RefusedAttempt>,
    at: Option<Timestamp>,
) -> Vec<Entry> {
    let release = |(summary, then): (Summary, Option<Then>)| Entry::Release {
        release: Box::new(summary.into()),
        then: then.map(Then::words),
    };
    if let Some(at) = at {
        return ran_at(newest_first, at).into_iter().map(release).collect();
    }
    let mut attempts = attempts.into_iter().peekable();
    let mut entries = Vec::new();
    for summary in newest_first {
        while let Some(later) = attempts.next_if(|attempt| attempt.after >= summary.revision) {
            entries.push(Entry::Attempt(Box::new(later.into())));
        }
        entries.push(release((summary, None)));
    }
    entries
}

impl From<Summary> for Release {
    fn from(summary: Summary) -> Self {
        Self {
            revision: summary.revision,
            kind: summary.kind,
            outcome: summary.outcome,
            started: summary.started,
            finished: summary.finished,
            commit: summary.commit,
            dirty: summary.dirty,
            branch: summary.branch,
            images: summary.images.into_iter().map(|(name, image)| (name, image.to_string())).collect(),
            tested: summary.tested,
            by: summary.by,
            objects: summary.objects,
            progress: summary.progress,
            jobs: summary.jobs,
            sent_back: summary.sent_back,
            overrides: summary.overrides,
            causes: summary.causes,
            unjudged: summary.unjudged.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<RefusedAttempt> for Attempt {
    fn from(attempt: RefusedAttempt) -> Self {
        Self {
            after: attempt.after,
            at: attempt.at,
            commit: attempt.commit,
            dirty: attempt.dirty,
            branch: attempt.branch,
            by: attempt.by,
            exit_code: attempt.exit_code,
            message: attempt.message,
        }
    }
}

/// The newest release that had started by then, and the good one before it, unless the newest one ran.
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

/// The releases of the tier, newest first, or what ran at a time.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn history(
    session: &Session,
    project: &str,
    tier: &Tier,
    at: Option<Timestamp>,
) -> Result<Vec<Entry>> {
    let cluster = context::connect(session, tier).await?;
    let store = store::Store::new(&cluster, project, &tier.slug);
    let mut summaries = store.whole_history().await?;
    prior::as_it_is(&cluster, &store::base_name(project, &tier.slug), &mut summaries).await;
    Ok(entries(summaries, store.attempts().await?, at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ObjectId;
    use crate::record::target::tests::summary;
    use crate::report::view::history::tests as sample;

    /// A release that started at this minute and ended 1 min later.
    fn release(revision: u64, minute: u8, outcome: Outcome) -> Summary {
        let time = |minute: u8| format!("2026-10-03T14:{minute:02}:00Z").parse::<Timestamp>().unwrap();
        let finished = (outcome != Outcome::Running).then(|| time(minute + 1));
        Summary { started: time(minute), finished, outcome, ..summary(revision) }
    }

    #[test]
    fn what_ran_at_a_time_is_the_newest_good_release_and_what_was_on_its_way() {
        let prior = vec![
            release(4, 40, Outcome::Running),
            release(3, 30, Outcome::Good),
            release(2, 20, Outcome::Failed),
            release(1, 10, Outcome::Good),
        ];
        let at = |time: &str| {
            let ran = ran_at(prior.clone(), format!("2026-10-03T14:{time}Z").parse().unwrap());
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
        let attempt = |after| RefusedAttempt { after, ..attempt() };
        let releases = vec![release(2, 20, Outcome::Good), release(1, 10, Outcome::Good)];
        let shown = entries(releases, vec![attempt(2), attempt(2), attempt(1)], None);
        let named = |entry: &Entry| match entry {
            Entry::Release { release, .. } => release.revision.to_string(),
            Entry::Attempt(attempt) => format!("attempt after {}", attempt.after),
        };
        let named: Vec<String> = shown.iter().map(named).collect();
        assert_eq!(named, ["attempt after 2", "attempt after 2", "2", "attempt after 1", "1"]);
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
    fn all_that_is_on_record_is_shown() {
        let wanted = sample::rolled_back();
        let rolled_back = Summary {
            kind: wanted.kind.clone(),
            progress: wanted.progress,
            jobs: wanted.jobs.clone(),
            sent_back: wanted.sent_back,
            overrides: wanted.overrides.clone(),
            causes: wanted.causes.clone(),
            ..release(4, 40, Outcome::TimedOut)
        };
        let tested = Summary {
            commit: Some("1f3c9a0b".repeat(5)),
            branch: Some("main".to_owned()),
            images: sample::tested().images.into_iter().map(|(name, image)| (name, image.into())).collect(),
            tested: Some(true),
            by: sample::tested().by,
            unjudged: vec![ObjectId::of(&json!({"kind": "App", "metadata": {"name": "app"}}))],
            ..release(2, 20, Outcome::Good)
        };
        let at = "2026-10-03T14:45:00Z".parse().unwrap();
        let shown = entries(vec![rolled_back, tested], Vec::new(), Some(at));
        let left = "had not succeeded, and its changes were live";
        let one = |release: Release, then| Entry::Release { release: Box::new(release), then: Some(then) };
        assert_eq!(shown, [one(wanted, left), one(sample::tested(), "ran before")]);
        assert_eq!(Attempt::from(attempt()), sample::attempt());
    }
}
