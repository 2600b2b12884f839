//! How the commit to release relates to the one that runs: a newer one is released; an older one is refused, unless a job of the
//! GitLab pipeline that released it runs again, which is what GitLab's own Rollback does: then its recorded set is restored.

use crate::error::{Error, Kind, Result};
use crate::git;
use crate::model::revision;
use crate::model::{Relation, Revision};
use crate::project::ci;
use crate::record::{Outcome, ReleaseKind, Summary};
use crate::release::context::TierContext;
use crate::release::rules::Rules;

/// What to do with the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is released.
    Release,
    /// It is older and was good here, and its pipeline runs again: its recorded set is restored.
    BringBack {
        /// The revision whose set that is.
        to: u64,
        /// What runs, and is rolled back from.
        from: u64,
    },
}

/// The facts that decide, besides the releases of the tier.
struct Candidate<'a> {
    commit: &'a Revision,
    relation: Relation,
    /// Whether the tier is one of many of a pattern: in `review/*` branches are rebased all the time.
    branches_come_and_go: bool,
    tier: &'a str,
    /// The GitLab pipeline that runs.
    pipeline: Option<String>,
    /// The command that rolls the tier back.
    rollback: String,
}

/// Decides from the releases of the tier, newest first.
///
/// # Errors
/// [`Kind::Rule`] for an older or a diverged commit, [`Kind::Unreachable`] where a shallow clone hides which it is.
pub(crate) async fn course(context: TierContext<'_>, newest_first: &[Summary]) -> Result<Course> {
    let (Some(commit), Some(running)) = (&context.project.revision, running(newest_first)) else {
        return Ok(Course::Release);
    };
    let theirs = running.commit.as_deref().unwrap_or_default();
    let related = git::relation_in_full(&context.project.root, &commit.commit, theirs);
    let asked = context.session.unless_cancelled(related).await;
    let relation = match asked {
        Err(error)
            if !error.is_interruption()
                && context.rules.overrides("older")
                && context.rules.overrides("diverged") =>
        {
            Relation::Newer
        }
        relation => relation?,
    };
    let branches_come_and_go = context.tier.pattern.ends_with('*');
    let candidate = Candidate {
        commit,
        relation,
        branches_come_and_go,
        tier: &context.tier.name,
        pipeline: ci::pipeline(),
        rollback: context.tier.command("rollback"),
    };
    decide(newest_first, &candidate, context.rules)
}

/// The release whose commit runs.
fn running(newest_first: &[Summary]) -> Option<&Summary> {
    newest_first.iter().find(|one| one.outcome == Outcome::Good && one.commit.is_some())
}

/// The good release of this very commit, where others came after it and none of them was good.
pub(crate) fn returns_to(commit: Option<&Revision>, newest_first: &[Summary]) -> Option<u64> {
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
    let is_of_pipeline =
        |good: &&Summary| candidate.pipeline.is_some() && good.by.pipeline == candidate.pipeline;
    match candidate.relation {
        Relation::Older => match good_releases(newest_first, candidate.commit).find(is_of_pipeline) {
            Some(good) => bring_back(newest_first, newest.revision, good, rules),
            None if rules.overrides("older") => Ok(Course::Release),
            None => {
                let good = good_releases(newest_first, candidate.commit).next();
                Err(older(candidate, running, good))
            }
        },
        Relation::Diverged if !candidate.branches_come_and_go && !rules.overrides("diverged") => {
            Err(diverged(candidate, running))
        }
        _ => Ok(Course::Release),
    }
}

/// Content that was rolled back does not return this way either.
fn bring_back(newest_first: &[Summary], from: u64, good: &Summary, rules: &Rules) -> Result<Course> {
    rules.check_rolled_back(newest_first, &good.set)?;
    Ok(Course::BringBack { to: good.revision, from })
}

/// The good releases of this commit whose set is kept, newest first.
fn good_releases<'a>(newest_first: &'a [Summary], commit: &'a Revision) -> impl Iterator<Item = &'a Summary> {
    let is_kept = |set: &str| newest_first.iter().any(|one| one.kept && one.set == set);
    let fits = move |one: &&Summary| {
        !commit.dirty
            && one.kind == ReleaseKind::Release
            && one.outcome == Outcome::Good
            && !one.dirty
            && is_kept(&one.set)
            && one.commit.as_deref() == Some(&commit.commit)
    };
    newest_first.iter().filter(fits)
}

/// `staging runs 9e1d4c2a of hotfix/pay (release 7)`
fn what_runs(tier: &str, running: &Summary) -> String {
    let commit = running.commit.as_deref().map_or("", revision::short);
    let branch = running.branch.as_ref().map(|branch| format!(" of {branch}")).unwrap_or_default();
    format!("{tier} runs {commit}{branch} (release {})", running.revision)
}

fn older(candidate: &Candidate<'_>, running: &Summary, good: Option<&Summary>) -> Error {
    let (what, commit) = (what_runs(candidate.tier, running), candidate.commit.short());
    let Some(good) = good else {
        return refusal(format!("{what}, and {commit} is older and was never good there"), "older");
    };
    let revision = good.revision;
    Error::new(Kind::Rule, format!("{what}, and {commit} is older: it was good there as release {revision}"))
        .with_hint(format!(
            "for the newest commit run `git pull`; to go back to that release run `{} --to {revision}`; \
             --override older --reason \"…\" releases it anyway",
            candidate.rollback
        ))
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
        .with_hint(format!("release it anyway with --override {rule} --reason \"…\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Actor;
    use crate::record::target::tests::summary;

    fn mine(commit: &str) -> Revision {
        Revision { commit: commit.to_owned(), ..Revision::default() }
    }

    fn ran(revision: u64, commit: &str, outcome: Outcome) -> Summary {
        let set = format!("set of {commit}");
        Summary { commit: Some(commit.to_owned()), set, outcome, ..summary(revision) }
    }

    fn go(prior: &[Summary], commit: &Revision, relation: Relation) -> Result<Course> {
        with(prior, commit, relation, &Rules::default(), false)
    }

    /// A job of this GitLab pipeline.
    fn in_pipeline(prior: &[Summary], commit: &Revision, rules: &Rules, pipeline: &str) -> Result<Course> {
        let candidate =
            Candidate { pipeline: Some(pipeline.to_owned()), ..candidate(commit, Relation::Older) };
        decide(prior, &candidate, rules)
    }

    fn candidate(commit: &Revision, relation: Relation) -> Candidate<'_> {
        let rollback = "windlass rollback staging".to_owned();
        Candidate { commit, relation, branches_come_and_go: false, tier: "staging", pipeline: None, rollback }
    }

    fn made_by(pipeline: &str, summary: Summary) -> Summary {
        let by = Actor { pipeline: Some(pipeline.to_owned()), ..summary.by.clone() };
        Summary { by, ..summary }
    }

    fn with(
        prior: &[Summary],
        commit: &Revision,
        relation: Relation,
        rules: &Rules,
        branches_come_and_go: bool,
    ) -> Result<Course> {
        decide(prior, &Candidate { branches_come_and_go, ..candidate(commit, relation) }, rules)
    }

    #[test]
    fn a_newer_commit_is_released() {
        let prior = [ran(1, "aaa", Outcome::Good)];
        assert_eq!(go(&prior, &mine("bbb"), Relation::Newer).unwrap(), Course::Release);
        assert_eq!(go(&prior, &mine("aaa"), Relation::Same).unwrap(), Course::Release);
        assert_eq!(go(&[], &mine("aaa"), Relation::Older).unwrap(), Course::Release);
    }

    #[test]
    fn an_older_commit_is_brought_back_by_the_pipeline_that_released_it_and_by_nobody_else() {
        let prior = [
            ran(3, "ccc", Outcome::Good),
            ran(2, "bbb", Outcome::Failed),
            made_by("17", ran(1, "aaa", Outcome::Good)),
        ];
        let rules = Rules::default();
        let back = in_pipeline(&prior, &mine("aaa"), &rules, "17").unwrap();
        assert_eq!(back, Course::BringBack { to: 1, from: 3 });
        for refused in
            [in_pipeline(&prior, &mine("aaa"), &rules, "18"), go(&prior, &mine("aaa"), Relation::Older)]
        {
            let error = refused.unwrap_err();
            assert_eq!(
                error.message(),
                "staging runs ccc (release 3), and aaa is older: it was good there as release 1"
            );
            let hint = error.hint().unwrap();
            assert!(
                hint.contains("git pull") && hint.contains("`windlass rollback staging --to 1`"),
                "{hint}"
            );
        }
        let rules = Rules::new(vec!["older".to_owned()], Some("x".to_owned()), None).unwrap();
        let released = with(&prior, &mine("aaa"), Relation::Older, &rules, false).unwrap();
        assert_eq!(released, Course::Release);
        let error = go(&prior, &mine("bbb"), Relation::Older).unwrap_err();
        assert_eq!(
            error.message(),
            "staging runs ccc (release 3), and bbb is older and was never good there"
        );
        let dirty = [prior[0].clone(), Summary { dirty: true, ..prior[2].clone() }];
        let rules = Rules::default();
        assert!(in_pipeline(&dirty, &mine("aaa"), &rules, "17").is_err(), "it was another content");
        let gone = [prior[0].clone(), Summary { kept: false, ..prior[2].clone() }];
        assert!(
            in_pipeline(&gone, &mine("aaa"), &rules, "17").is_err(),
            "its objects are no longer recorded"
        );
    }

    #[test]
    fn the_commit_that_was_good_last_comes_back_after_others_failed() {
        let prior = [ran(2, "bbb", Outcome::Failed), ran(1, "aaa", Outcome::Good)];
        assert_eq!(returns_to(Some(&mine("aaa")), &prior), Some(1));
        assert_eq!(returns_to(Some(&mine("bbb")), &prior), None);
        assert_eq!(returns_to(Some(&mine("aaa")), &prior[1..]), None);
        assert_eq!(returns_to(None, &prior), None);
    }

    #[test]
    fn what_was_rolled_back_from_does_not_come_back_by_itself() {
        let rollback = ReleaseKind::Rollback { from: 2, to: 1, automatic: false, redeployed: false };
        let prior = [
            ran(4, "ccc", Outcome::Good),
            Summary { kind: rollback, ..ran(3, "aaa", Outcome::Good) },
            made_by("18", ran(2, "bbb", Outcome::Good)),
            ran(1, "aaa", Outcome::Good),
        ];
        let error = in_pipeline(&prior, &mine("bbb"), &Rules::default(), "18").unwrap_err();
        assert!(error.message().contains("was rolled back on "), "{error}");
        let rules = Rules::new(vec!["rolled-back".to_owned()], Some("x".to_owned()), None).unwrap();
        let back = in_pipeline(&prior, &mine("bbb"), &rules, "18").unwrap();
        assert_eq!(back, Course::BringBack { to: 2, from: 4 });
    }

    #[test]
    fn a_diverged_commit_is_refused_but_in_a_tier_of_branches() {
        let prior = [Summary { branch: Some("hotfix/pay".to_owned()), ..ran(1, "aaa", Outcome::Good) }];
        let other = Revision { branch: Some("main".to_owned()), ..mine("bbb") };
        let error = go(&prior, &other, Relation::Diverged).unwrap_err();
        assert_eq!(
            error.message(),
            "staging runs aaa of hotfix/pay (release 1), which main (bbb) lacks: the two have diverged"
        );
        assert!(with(&prior, &other, Relation::Diverged, &Rules::default(), true).is_ok());
        let rules = Rules::new(vec!["diverged".to_owned()], Some("x".to_owned()), None).unwrap();
        assert!(with(&prior, &other, Relation::Diverged, &rules, false).is_ok());
    }
}
