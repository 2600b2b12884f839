//! Where the commit to release stands beside the one that runs: a newer one goes on; an older one that was good here is
//! brought back as a rollback, as GitLab's own Rollback means it; any other is refused.

use super::place::Site;
use super::record::{Kind as ReleaseKind, Outcome, Summary};
use super::rules::Rules;
use crate::error::{Error, Kind, Result};
use crate::project::{Relation, Revision};

/// What follows from where the commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// It is released.
    Release,
    /// It is older and was good here: its recorded set is brought back.
    BringBack {
        /// The revision whose set that is.
        to: u64,
        /// What runs, and is rolled back from.
        from: u64,
    },
}

/// What decides besides the releases of the tier.
struct Candidate<'a> {
    commit: &'a Revision,
    relation: Relation,
    /// Whether the tier is one of many of a pattern: in `review/*` branches are rebased all the time.
    branches_come_and_go: bool,
    tier: &'a str,
}

/// Decides from the releases of the tier, newest first.
///
/// # Errors
/// [`Kind::Rule`] for an older or a diverged commit, [`Kind::Unreachable`] where a shallow clone hides which it is.
pub(super) async fn course(site: Site<'_>, newest_first: &[Summary]) -> Result<Course> {
    let (Some(commit), Some(running)) = (&site.project.revision, running(newest_first)) else {
        return Ok(Course::Release);
    };
    let theirs = running.commit.as_deref().unwrap_or_default();
    let relation = match site.project.relation_to(theirs).await {
        Err(_) if site.rules.overrides("older") && site.rules.overrides("diverged") => Relation::Newer,
        relation => relation?,
    };
    let branches_come_and_go = site.tier.pattern.ends_with('*');
    let candidate = Candidate { commit, relation, branches_come_and_go, tier: &site.tier.name };
    decide(newest_first, &candidate, site.rules)
}

/// The release whose commit runs.
fn running(newest_first: &[Summary]) -> Option<&Summary> {
    newest_first.iter().find(|one| one.outcome == Outcome::Good && one.commit.is_some())
}

/// The good release of this very commit, where others came after it and none of them was good.
pub(super) fn returns_to(commit: Option<&Revision>, newest_first: &[Summary]) -> Option<u64> {
    let running = running(newest_first)?;
    let is_it =
        commit.is_some_and(|commit| !commit.dirty && running.commit.as_deref() == Some(&commit.commit));
    let is_newest = newest_first.first().is_some_and(|newest| newest.outcome == Outcome::Good);
    (is_it && !running.dirty && !is_newest).then_some(running.revision)
}

fn decide(newest_first: &[Summary], candidate: &Candidate<'_>, rules: &Rules) -> Result<Course> {
    let Some((newest, running)) = newest_first.first().zip(running(newest_first)) else {
        return Ok(Course::Release);
    };
    match candidate.relation {
        Relation::Older => match good_release(newest_first, candidate.commit) {
            Some(good) => bring_back(newest_first, newest.revision, good, rules),
            None if rules.overrides("older") => Ok(Course::Release),
            None => Err(older(candidate, running)),
        },
        Relation::Diverged if !candidate.branches_come_and_go && !rules.overrides("diverged") => {
            Err(diverged(candidate, running))
        }
        _ => Ok(Course::Release),
    }
}

/// What was rolled back from does not come again this way either.
fn bring_back(newest_first: &[Summary], from: u64, good: &Summary, rules: &Rules) -> Result<Course> {
    rules.check_rolled_back(newest_first, &good.set)?;
    Ok(Course::BringBack { to: good.revision, from })
}

fn good_release<'a>(newest_first: &'a [Summary], commit: &Revision) -> Option<&'a Summary> {
    let is_kept = |set: &str| newest_first.iter().any(|one| one.kept && one.set == set);
    let fits = |one: &&Summary| {
        one.kind == ReleaseKind::Release
            && one.outcome == Outcome::Good
            && !one.dirty
            && is_kept(&one.set)
            && one.commit.as_deref() == Some(&commit.commit)
    };
    if commit.dirty { None } else { newest_first.iter().find(fits) }
}

/// `staging runs 9e1d4c2a of hotfix/pay (release 7)`
fn what_runs(tier: &str, running: &Summary) -> String {
    let commit = running.commit.as_deref().map_or("", |commit| &commit[..commit.len().min(8)]);
    let branch = running.branch.as_ref().map(|branch| format!(" of {branch}")).unwrap_or_default();
    format!("{tier} runs {commit}{branch} (release {})", running.revision)
}

fn older(candidate: &Candidate<'_>, running: &Summary) -> Error {
    let (what, commit) = (what_runs(candidate.tier, running), candidate.commit.short());
    refusal(format!("{what}, and {commit} is older and was never good there"), "older")
}

fn diverged(candidate: &Candidate<'_>, running: &Summary) -> Error {
    let what = what_runs(candidate.tier, running);
    let commit = candidate.commit.short();
    let mine =
        candidate.commit.branch.as_ref().map_or(commit.clone(), |branch| format!("{branch} ({commit})"));
    refusal(format!("{what}, which {mine} lacks: the two have diverged"), "diverged")
}

fn refusal(sentence: String, rule: &str) -> Error {
    Error::new(Kind::Rule, sentence)
        .hint(format!("release it all the same with --override {rule} --reason \"…\""))
}

#[cfg(test)]
mod tests {
    use super::super::target::tests::summary;
    use super::*;

    fn mine(commit: &str) -> Revision {
        Revision { commit: commit.to_owned(), branch: None, dirty: false, dirty_hash: None, time: 0 }
    }

    fn ran(revision: u64, commit: &str, outcome: Outcome) -> Summary {
        let set = format!("set of {commit}");
        Summary { commit: Some(commit.to_owned()), set, outcome, ..summary(revision) }
    }

    fn go(past: &[Summary], commit: &Revision, relation: Relation) -> Result<Course> {
        with(past, commit, relation, &Rules::default(), false)
    }

    fn with(
        past: &[Summary],
        commit: &Revision,
        relation: Relation,
        rules: &Rules,
        branches_come_and_go: bool,
    ) -> Result<Course> {
        decide(past, &Candidate { commit, relation, branches_come_and_go, tier: "staging" }, rules)
    }

    #[test]
    fn a_newer_commit_is_released() {
        let past = [ran(1, "aaa", Outcome::Good)];
        assert_eq!(go(&past, &mine("bbb"), Relation::Newer).unwrap(), Course::Release);
        assert_eq!(go(&past, &mine("aaa"), Relation::Same).unwrap(), Course::Release);
        assert_eq!(go(&[], &mine("aaa"), Relation::Older).unwrap(), Course::Release);
    }

    #[test]
    fn an_older_commit_that_was_good_is_brought_back_and_another_is_refused() {
        let past =
            [ran(3, "ccc", Outcome::Good), ran(2, "bbb", Outcome::Failed), ran(1, "aaa", Outcome::Good)];
        let back = go(&past, &mine("aaa"), Relation::Older).unwrap();
        assert_eq!(back, Course::BringBack { to: 1, from: 3 });
        let error = go(&past, &mine("bbb"), Relation::Older).unwrap_err();
        assert_eq!(
            error.message(),
            "staging runs ccc (release 3), and bbb is older and was never good there"
        );
        let dirty = [past[0].clone(), Summary { dirty: true, ..past[2].clone() }];
        assert!(go(&dirty, &mine("aaa"), Relation::Older).is_err(), "it was another content");
        let gone = [past[0].clone(), Summary { kept: false, ..past[2].clone() }];
        assert!(go(&gone, &mine("aaa"), Relation::Older).is_err(), "its set is no longer kept");
    }

    #[test]
    fn the_commit_that_was_good_last_comes_back_after_others_failed() {
        let past = [ran(2, "bbb", Outcome::Failed), ran(1, "aaa", Outcome::Good)];
        assert_eq!(returns_to(Some(&mine("aaa")), &past), Some(1));
        assert_eq!(returns_to(Some(&mine("bbb")), &past), None);
        assert_eq!(returns_to(Some(&mine("aaa")), &past[1..]), None);
        assert_eq!(returns_to(None, &past), None);
    }

    #[test]
    fn what_was_rolled_back_from_does_not_come_back_by_itself() {
        let rollback = ReleaseKind::Rollback { from: 2, to: 1, automatic: false };
        let past = [
            ran(4, "ccc", Outcome::Good),
            Summary { kind: rollback, ..ran(3, "aaa", Outcome::Good) },
            ran(2, "bbb", Outcome::Good),
            ran(1, "aaa", Outcome::Good),
        ];
        let error = go(&past, &mine("bbb"), Relation::Older).unwrap_err();
        assert!(error.message().contains("rolled back from"), "{error}");
        let rules = Rules::new(vec!["rolled-back".to_owned()], Some("x".to_owned()), None).unwrap();
        let back = with(&past, &mine("bbb"), Relation::Older, &rules, false).unwrap();
        assert_eq!(back, Course::BringBack { to: 2, from: 4 });
    }

    #[test]
    fn a_diverged_commit_is_refused_but_in_a_tier_of_branches() {
        let past = [Summary { branch: Some("hotfix/pay".to_owned()), ..ran(1, "aaa", Outcome::Good) }];
        let other = Revision { branch: Some("main".to_owned()), ..mine("bbb") };
        let error = go(&past, &other, Relation::Diverged).unwrap_err();
        assert_eq!(
            error.message(),
            "staging runs aaa of hotfix/pay (release 1), which main (bbb) lacks: the two have diverged"
        );
        assert!(with(&past, &other, Relation::Diverged, &Rules::default(), true).is_ok());
        let rules = Rules::new(vec!["diverged".to_owned()], Some("x".to_owned()), None).unwrap();
        assert!(with(&past, &other, Relation::Diverged, &rules, false).is_ok());
    }
}
