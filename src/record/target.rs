//! The target of a rollback: a pure function of the releases' summaries.

use jiff::SignedDuration;

use crate::error::{Error, Kind, Result};
use crate::record::{Outcome, RefusedAttempt, ReleaseKind, Summary, Task};

/// The most by which two readings of the API server's clock may differ.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(5);

/// What a rollback would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Restore the objects of this revision.
    Release {
        /// The revision to restore.
        to: u64,
        /// The newest revision, which is rolled back.
        from: u64,
    },
    /// The newest release is already a good rollback, and no revision other than its target was requested.
    Already {
        /// The rollback.
        revision: u64,
        /// The release that was rolled back.
        from: u64,
        /// Its target.
        to: u64,
        /// The next good release before that, if there is one.
        further: Option<u64>,
    },
    /// The last attempt changed nothing, the release before it is good and runs, and no revision was requested.
    Unchanged {
        /// The release that runs.
        runs: u64,
        /// The next good release before that, if there is one.
        further: Option<u64>,
    },
}

/// Chooses the revision: `asked`, or the newest good release whose content differs from the newest release's and that
/// was not itself rolled back. `newest_first` has all releases of the tier, `attempts` those that ended before their
/// first change: right after such an attempt, the good release that runs is not rolled back.
///
/// # Errors
/// [`Kind::Rule`] when there is nothing to roll back to, [`Kind::Invalid`] when `asked` is unknown.
pub(crate) fn choose(
    newest_first: &[Summary],
    attempts: &[RefusedAttempt],
    asked: Option<u64>,
) -> Result<Target> {
    let Some(newest) = newest_first.first() else {
        return Err(Error::new(Kind::Rule, "nothing was released here yet: there is nothing to roll back"));
    };
    if let Some(to) = asked {
        known(newest_first, to)?;
    }
    if let (ReleaseKind::Rollback { from, to, .. }, Outcome::Good) = (&newest.kind, newest.outcome)
        && asked.is_none_or(|asked| asked == *to)
    {
        return Ok(Target::Already {
            revision: newest.revision,
            from: *from,
            to: *to,
            further: further_back(newest_first, *to),
        });
    }
    if let Some(to) = asked {
        return Ok(Target::Release { to, from: newest.revision });
    }
    let came_later = |one: &RefusedAttempt| {
        let ended = newest.finished.unwrap_or(newest.started);
        one.after >= newest.revision && one.at.saturating_add(CLOCK_SLACK).is_ok_and(|at| at >= ended)
    };
    if newest.outcome == Outcome::Good && attempts.iter().any(came_later) {
        let runs = newest.revision;
        return Ok(Target::Unchanged { runs, further: further_back(newest_first, runs) });
    }
    match candidate(newest_first) {
        Some(summary) => Ok(Target::Release { to: summary.revision, from: newest.revision }),
        None => Err(Error::new(Kind::Rule, "no earlier good release differs from what runs")
            .with_hint("`windlass history TIER` shows them; `--to REVISION` names one")),
    }
}

fn known(newest_first: &[Summary], revision: u64) -> Result<()> {
    if newest_first.iter().any(|summary| summary.revision == revision) {
        return Ok(());
    }
    let first = newest_first.last().map_or(0, |summary| summary.revision);
    let last = newest_first.first().map_or(0, |summary| summary.revision);
    Err(Error::new(Kind::Invalid, format!("there is no release {revision}"))
        .with_hint(format!("the tier has releases {first} to {last}")))
}

/// The newest good release whose content differs from what runs and that was not rolled back.
///
/// While an interrupted or failed rollback is the newest release, the release that it rolls back still counts as rolled
/// back: a retry must not lead to the broken release.
fn candidate(newest_first: &[Summary]) -> Option<&Summary> {
    let running = &newest_first.first()?.set;
    newest_first.iter().find(|summary| {
        summary.outcome == Outcome::Good
            && (summary.set != *running || newest_first[0].outcome != Outcome::Good)
            && was_rolled_back(newest_first, &summary.set).is_none()
    })
}

/// The newest good release before this one with other content.
pub(crate) fn further_back(newest_first: &[Summary], to: u64) -> Option<u64> {
    let running = &newest_first.iter().find(|one| one.revision == to)?.set;
    let fits = |one: &&Summary| {
        one.revision < to
            && one.outcome == Outcome::Good
            && one.set != *running
            && was_rolled_back(newest_first, &one.set).is_none()
    };
    newest_first.iter().find(fits).map(|one| one.revision)
}

fn rolled_back_from(summary: &Summary) -> Option<u64> {
    match summary.kind {
        ReleaseKind::Rollback { from, redeployed: false, .. } => Some(from),
        ReleaseKind::Rollback { .. } | ReleaseKind::Release | ReleaseKind::Adoption => None,
    }
}

/// The release whose content a revision has: itself, or the release that the rollbacks restored.
pub(crate) fn original(newest_first: &[Summary], revision: u64) -> u64 {
    let mut revision = revision;
    // A rollback's target is an older revision; a record that says otherwise ends the search.
    while let Some(ReleaseKind::Rollback { to, .. }) =
        newest_first.iter().find(|one| one.revision == revision).map(|one| &one.kind)
        && *to < revision
    {
        revision = *to;
    }
    revision
}

/// The newest Job after this revision whose work is not undone by a rollback.
pub(crate) fn refusing(newest_first: &[Summary], to: u64) -> Option<(u64, &Task)> {
    all_refusing(newest_first, to).next()
}

/// As [`refusing`], all of them.
pub(crate) fn all_refusing(newest_first: &[Summary], to: u64) -> impl Iterator<Item = (u64, &Task)> {
    let later = newest_first.iter().filter(move |summary| summary.revision > to);
    later
        .flat_map(|summary| summary.jobs.iter().map(|task| (summary.revision, task)))
        .filter(|(_, task)| task.refuses_rollback)
}

/// The release of this content that was rolled back, and the rollback, unless it was good again since: releasing it again
/// needs an override.
pub(crate) fn was_rolled_back<'a>(newest_first: &'a [Summary], set: &str) -> Option<(u64, &'a Summary)> {
    for summary in newest_first {
        if summary.set == set && summary.outcome == Outcome::Good {
            return None;
        }
        // An interrupted rollback to this content does not count as a rollback away from it.
        let left = rolled_back_from(summary).filter(|_| summary.set != set);
        let left = left.filter(|from| newest_first.iter().any(|one| one.revision == *from && one.set == set));
        if let Some(left) = left {
            return Some((left, summary));
        }
    }
    None
}

/// `89147efa, release 1`: the commit, and the release that first had it.
pub(crate) fn back_to(newest_first: &[Summary], to: u64) -> String {
    let original = original(newest_first, to);
    let commit = newest_first.iter().find(|one| one.revision == to).and_then(Summary::short_commit);
    let commit = commit.map(|commit| format!("{commit}, ")).unwrap_or_default();
    format!("{commit}release {original}")
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::record::{Actor, FORMAT};

    /// A good release with arbitrary content.
    pub(crate) fn summary(revision: u64) -> Summary {
        release(revision, "set", Outcome::Good, ReleaseKind::Release)
    }

    fn release(revision: u64, set: &str, outcome: Outcome, kind: ReleaseKind) -> Summary {
        let (identity, person) = ("admin".to_owned(), "ann@host".to_owned());
        let by = Actor { identity, person, job: None, pipeline: None };
        let begun = Summary::begin(revision, kind, ("shop", "staging"), by, Timestamp::UNIX_EPOCH);
        Summary { outcome, set: set.to_owned(), objects: 1, ..begun }
    }

    fn newest_first(mut releases: Vec<Summary>) -> Vec<Summary> {
        releases.reverse();
        releases
    }

    const REL: fn() -> ReleaseKind = || ReleaseKind::Release;

    fn back(from: u64, to: u64) -> ReleaseKind {
        ReleaseKind::Rollback { from, to, automatic: false, redeployed: false }
    }

    fn attempt(after: u64) -> RefusedAttempt {
        RefusedAttempt {
            format: FORMAT,
            after,
            at: Timestamp::UNIX_EPOCH,
            commit: None,
            branch: None,
            dirty: false,
            by: summary(1).by,
            exit_code: 30,
            message: "the cluster refused Service/web".to_owned(),
        }
    }

    #[test]
    fn a_failed_release_leads_to_the_last_good_one() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "c", Outcome::Failed, REL()),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 2, from: 3 });
    }

    #[test]
    fn a_good_release_leads_to_the_one_before_that_differs() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "b", Outcome::Good, REL()),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 1, from: 3 });
    }

    #[test]
    fn a_failed_release_of_the_good_set_leads_back_to_that_set() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "a", Outcome::Failed, REL()),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 1, from: 2 });
    }

    #[test]
    fn said_twice_it_does_nothing() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "c", Outcome::Good, REL()),
            release(4, "b", Outcome::Good, back(3, 2)),
        ]);
        let already = Target::Already { revision: 4, from: 3, to: 2, further: Some(1) };
        assert_eq!(choose(&history, &[], None).unwrap(), already);
        assert_eq!(choose(&history, &[], Some(2)).unwrap(), choose(&history, &[], None).unwrap());
        assert_eq!(choose(&history, &[], Some(1)).unwrap(), Target::Release { to: 1, from: 4 });
    }

    #[test]
    fn right_after_a_refused_attempt_the_good_release_stays() {
        let history =
            newest_first(vec![release(4, "a", Outcome::Good, REL()), release(5, "b", Outcome::Good, REL())]);
        let unchanged = Target::Unchanged { runs: 5, further: Some(4) };
        assert_eq!(choose(&history, &[attempt(5)], None).unwrap(), unchanged);
        let asked = choose(&history, &[attempt(5)], Some(4)).unwrap();
        assert_eq!(asked, Target::Release { to: 4, from: 5 }, "a person names it");
        let earlier = choose(&history, &[attempt(4)], None).unwrap();
        assert_eq!(earlier, Target::Release { to: 4, from: 5 }, "release 5 came after it");
        let only = &history[1..];
        assert_eq!(choose(only, &[attempt(4)], None).unwrap(), Target::Unchanged { runs: 4, further: None });
        let failed = newest_first(vec![
            release(4, "a", Outcome::Good, REL()),
            release(5, "b", Outcome::Failed, REL()),
        ]);
        let back = choose(&failed, &[attempt(5)], None).unwrap();
        assert_eq!(back, Target::Release { to: 4, from: 5 }, "what runs is not good");
    }

    #[test]
    fn a_job_that_is_run_again_gives_nothing_up() {
        let again = ReleaseKind::Rollback { from: 2, to: 1, automatic: false, redeployed: true };
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "a", Outcome::Good, again),
        ]);
        assert_eq!(was_rolled_back(&history, "b").map(|(revision, _)| revision), None);
    }

    #[test]
    fn the_original_release_of_a_rollback_is_named() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "a", Outcome::Good, back(2, 1)),
            release(4, "c", Outcome::Failed, REL()),
            release(5, "a", Outcome::Good, back(4, 3)),
        ]);
        assert_eq!(original(&history, 5), 1);
        assert_eq!(original(&history, 2), 2);
    }

    #[test]
    fn an_interrupted_rollback_goes_on_to_the_same_place() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "a", Outcome::Running, back(2, 1)),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 1, from: 3 });
    }

    #[test]
    fn a_set_that_was_rolled_back_from_is_no_target_under_an_older_revision_either() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "b", Outcome::Good, REL()),
            release(4, "a", Outcome::TimedOut, back(3, 1)),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 1, from: 4 });
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "a", Outcome::Failed, REL()),
            release(3, "a", Outcome::Running, back(2, 1)),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 1, from: 3 });
    }

    #[test]
    fn what_was_rolled_back_from_is_never_a_target() {
        let history = newest_first(vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "a", Outcome::Good, back(2, 1)),
            release(4, "d", Outcome::Failed, REL()),
        ]);
        assert_eq!(choose(&history, &[], None).unwrap(), Target::Release { to: 3, from: 4 });
        assert_eq!(was_rolled_back(&history, "b").map(|(revision, _)| revision), Some(2));
        assert_eq!(was_rolled_back(&history, "d").map(|(revision, _)| revision), None);
    }

    #[test]
    fn what_was_rolled_back_from_stays_so_until_it_is_good_again() {
        let mut history = vec![
            release(1, "a", Outcome::Good, REL()),
            release(2, "b", Outcome::Good, REL()),
            release(3, "a", Outcome::Good, back(2, 1)),
            release(4, "c", Outcome::Good, REL()),
        ];
        assert_eq!(
            was_rolled_back(&newest_first(history.clone()), "b").map(|(revision, _)| revision),
            Some(2)
        );
        history.push(release(5, "b", Outcome::Good, REL()));
        assert_eq!(
            was_rolled_back(&newest_first(history.clone()), "b").map(|(revision, _)| revision),
            None,
            "released by an override"
        );
        history.push(release(6, "c", Outcome::Good, back(5, 4)));
        assert_eq!(was_rolled_back(&newest_first(history), "b").map(|(revision, _)| revision), Some(5));
    }

    #[test]
    fn nothing_good_is_a_refusal() {
        let history = newest_first(vec![release(1, "a", Outcome::Failed, REL())]);
        assert_eq!(choose(&history, &[], None).unwrap_err().kind(), Kind::Rule);
        assert_eq!(choose(&[], &[], None).unwrap_err().kind(), Kind::Rule);
        assert_eq!(choose(&history, &[], Some(9)).unwrap_err().kind(), Kind::Invalid);
    }
}
