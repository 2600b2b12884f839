//! The rules of a tier: what must be true before a release changes anything, and how each rule is overridden, by name
//! and with a reason that is recorded.

pub(crate) mod promotion;
mod test_stage;

pub(crate) use test_stage::TestStage;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;

use crate::cluster::LockWait;
use crate::error::{Error, Kind, Result};
use crate::model::{Images, ObjectId, Revision};
use crate::project::{Project, Tier, ci};
use crate::record::{Override, Summary, target};

use crate::report::{Reporter, prompt};
use crate::session::Session;
use crate::text::nearest;

/// The rules that this version knows.
const KNOWN: [&str; 14] = [
    "tested",
    "rolled-back",
    "images",
    "after",
    "branches",
    "protected",
    "confirm",
    "environment",
    "older",
    "diverged",
    "cluster",
    "mass-deletion",
    "conflict",
    "drift",
];

/// How long a CI job waits for the lock by default.
const WAIT_IN_CI: Duration = Duration::from_secs(600);

/// The options for the tier's rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    overridden: Vec<String>,
    reason: Option<String>,
    wait_lock: Option<Duration>,
    yes: bool,
    running_jobs: RunningJobs,
    /// The objects that a rollback may apply although they grant permissions or are outside the namespace, as
    /// `KIND/NAME`.
    allowed: Vec<String>,
    /// The overrides that were needed.
    used: Arc<Mutex<BTreeSet<String>>>,
}

/// What to do with Jobs with other content that still run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RunningJobs {
    /// Refuse the release.
    #[default]
    Refuse,
    /// Wait for them.
    Wait,
    /// Delete them.
    Kill,
}

impl Rules {
    /// Overrides these rules, for this reason; `wait_lock` is how long to wait for another release.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a rule that does not exist.
    pub(crate) fn new(
        overridden: Vec<String>,
        reason: Option<String>,
        wait_lock: Option<Duration>,
    ) -> Result<Self> {
        for rule in &overridden {
            if !KNOWN.contains(&rule.as_str()) {
                let hint = nearest(rule, KNOWN.iter().copied()).map_or_else(
                    || format!("the rules are {}", KNOWN.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(Error::new(Kind::Usage, format!("there is no rule `{rule}`")).with_hint(hint));
            }
        }
        Ok(Self { overridden, reason, wait_lock, ..Self::default() })
    }

    /// Sets what to do with Jobs with other content that still run.
    #[must_use]
    pub(crate) fn with_running_jobs(self, running_jobs: RunningJobs) -> Self {
        Self { running_jobs, ..self }
    }

    pub(crate) fn running_jobs(&self) -> RunningJobs {
        self.running_jobs
    }

    /// Allows a rollback to apply these objects although they grant permissions or are outside the namespace, as
    /// `KIND/NAME`.
    #[must_use]
    pub(crate) fn allowing(self, allowed: Vec<String>) -> Self {
        Self { allowed, ..self }
    }

    /// Whether a rollback may apply this object, which grants permissions or is outside the namespace.
    pub(crate) fn allows(&self, id: &ObjectId) -> bool {
        let name = format!("{}/{}", id.kind, id.name);
        self.allowed.iter().any(|one| one.eq_ignore_ascii_case(&name))
    }

    /// Sets whether every question is answered with yes.
    #[must_use]
    pub(crate) fn answered(self, yes: bool) -> Self {
        Self { yes, ..self }
    }

    /// Asks for confirmation: `--yes`, or an answer on the terminal.
    ///
    /// # Errors
    /// [`Kind::Rule`] if nobody can be asked, or the answer is no.
    pub(crate) async fn confirm(&self, session: &Session, fact: &str, question: &str) -> Result<()> {
        if self.yes {
            session.reporter.warn(fact);
            return Ok(());
        }
        if !prompt::is_possible() {
            return Err(Error::new(Kind::Rule, fact).with_hint("if that is what you want, say so with --yes"));
        }
        let asked = format!("{fact}; {question}");
        let answer = prompt::yes_or_no(&session.reporter, &asked).map(Ok);
        if session.unless_cancelled(answer).await? {
            return Ok(());
        }
        Err(Error::new(Kind::Rule, format!("{fact}, and the answer was no")))
    }

    /// Asks for the tier's name as a confirmation, if the tier requires one; without a terminal there is no question.
    /// `what` names the action: `release to`.
    ///
    /// # Errors
    /// [`Kind::Rule`] if it was not confirmed.
    pub(crate) async fn confirm_tier(&self, session: &Session, tier: &Tier, what: &str) -> Result<()> {
        if !tier.confirm || self.yes || self.overrides("confirm") {
            return Ok(());
        }
        let question = format!("A {what} {}? Type its name: ", tier.name);
        let typed = prompt::type_name(&session.reporter, &question, &tier.name).map(Ok);
        if prompt::is_possible() && session.unless_cancelled(typed).await? {
            return Ok(());
        }
        Err(Error::new(Kind::Rule, format!("a {what} {} must be confirmed", tier.name)).with_hint("--yes"))
    }

    /// How long to wait for another release's lock: as requested, by default not at all in a terminal and 10 min in CI.
    pub(crate) fn lock_patience(&self) -> LockWait {
        let default = if ci::detected() { WAIT_IN_CI } else { Duration::ZERO };
        LockWait { limit: self.wait_lock.unwrap_or(default), asked: self.wait_lock.is_some() }
    }

    /// Whether this rule, which would refuse the release, is overridden. The override then counts as needed.
    pub(crate) fn overrides(&self, rule: &str) -> bool {
        let overridden = self.overridden.iter().any(|one| one == rule);
        if overridden {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(rule.to_owned());
        }
        overridden
    }

    /// Whether this override was given, needed or not.
    pub(crate) fn is_overridden(&self, rule: &str) -> bool {
        self.overridden.iter().any(|one| one == rule)
    }

    /// The overrides for the record: those without which the release would have been refused.
    pub(crate) fn recorded(&self, reporter: &Reporter) -> Vec<Override> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = self.reason.as_ref().map(|reason| reporter.masked(reason));
        used.iter().map(|rule| Override { rule: rule.clone(), reason: reason.clone() }).collect()
    }

    /// Checks, if the tier requires it, that each test of the commit has a passed record for exactly these digests.
    /// Returns whether they have; `None` if there are no tests, or if it is unknown and not required.
    ///
    /// # Errors
    /// [`Kind::Rule`] naming the tests.
    pub(crate) async fn check_tested(
        &self,
        session: &Session,
        project: &Project,
        tier: &Tier,
        (images, tests): (&Images, &dyn TestStage),
    ) -> Result<Option<bool>> {
        if !project.config.has_tests() {
            return Ok(None);
        }
        let missing = tests.missing(session, project, images).await;
        if !tier.tests_required() {
            return Ok(missing.ok().map(|missing| missing.is_empty()));
        }
        let missing = missing?;
        if missing.is_empty() {
            return Ok(Some(true));
        }
        let names: Vec<_> = missing.iter().map(|one| format!("`{}`: {}", one.test, one.reason)).collect();
        let sentence = format!("this image was not tested: {}", names.join("; "));
        if self.overrides("tested") {
            session.reporter.warn(format!("{sentence} (overridden)"));
            return Ok(Some(false));
        }
        Err(Error::new(Kind::Rule, sentence)
            .with_hint("run `windlass test`, or release it anyway with --untested"))
    }

    /// Checks that the branch is one of the tier's, that a protected tier gets only committed files, and that a GitLab
    /// job runs for a protected branch or tag.
    ///
    /// # Errors
    /// [`Kind::Rule`]
    pub(crate) fn check_source(&self, session: &Session, project: &Project, tier: &Tier) -> Result<()> {
        let revision = project.revision.as_ref();
        if let Some(sentence) = wrong_branch(revision, tier) {
            let is_merge_request = revision.is_some_and(|revision| revision.merge_request.is_some());
            let remedy = if is_merge_request { "merge it first" } else { "switch to that branch" };
            self.enforce(session, "branches", sentence, remedy)?;
        }
        if tier.protected && revision.is_some_and(|revision| revision.dirty) {
            let sentence = format!("{} is protected, and the work tree has uncommitted changes", tier.name);
            self.enforce(session, "protected", sentence, "commit or stash, then build and test that")?;
        }
        self.check_job(session, project, tier)
    }

    /// Checks that a GitLab job for a protected tier runs for a protected branch or tag, and that the job's environment
    /// is not that of another tier.
    ///
    /// # Errors
    /// [`Kind::Rule`]
    pub(crate) fn check_job(&self, session: &Session, project: &Project, tier: &Tier) -> Result<()> {
        if tier.protected && ci::is_protected() == Some(false) {
            let sentence = format!("{} is protected, and this job's branch or tag is not", tier.name);
            self.enforce(session, "protected", sentence, "protect it in GitLab (Settings, Repository)")?;
        }
        let environment = ci::environment().unwrap_or_default();
        if let Some(other) = project.tier_of_environment(&environment, tier) {
            let sentence = format!(
                "the environment of this job is `{environment}`, the name of tier {other}, but the job releases to {}",
                tier.name
            );
            let remedy = format!("release to {other} in the job's script, or change its `environment:`");
            self.enforce(session, "environment", sentence, &remedy)?;
        }
        Ok(())
    }

    /// Checks that the same images and manifests were good on the tier named in `after:`.
    ///
    /// # Errors
    /// [`Kind::Rule`]
    pub(crate) async fn check_after(
        &self,
        session: &Session,
        project: &Project,
        tier: &Tier,
        images: &Images,
    ) -> Result<()> {
        let Some(before) = &tier.after else { return Ok(()) };
        match promotion::check(project, before, images).await {
            Err(error) if error.kind() == Kind::Rule && self.overrides("after") => {
                session.reporter.warn(format!("{} (overridden)", error.message()));
                Ok(())
            }
            result => result,
        }
    }

    fn enforce(&self, session: &Session, rule: &str, sentence: String, remedy: &str) -> Result<()> {
        if self.overrides(rule) {
            session.reporter.warn(format!("{sentence} (overridden)"));
            return Ok(());
        }
        Err(Error::new(Kind::Rule, sentence)
            .with_hint(format!("{remedy}; or --override {rule} --reason \"…\"")))
    }

    /// Refuses content that was rolled back, so that it is not released again by accident.
    ///
    /// # Errors
    /// [`Kind::Rule`] naming the release.
    pub(crate) fn check_rolled_back(&self, newest_first: &[Summary], set: &str) -> Result<()> {
        match target::was_rolled_back(newest_first, set) {
            Some((revision, rollback)) if !self.overrides("rolled-back") => {
                let when = rollback.started.strftime("%Y-%m-%d %H:%M UTC");
                let sentence = format!(
                    "release {revision} (same content) was rolled back on {when} by {}",
                    rollback.by.person
                );
                Err(Error::new(Kind::Rule, sentence)
                    .with_hint("fix it in a new commit, or add --override rolled-back --reason \"…\""))
            }
            _ => Ok(()),
        }
    }
}

/// Why this branch or tag may not be released to the tier. A merge request never counts as one of the project's
/// branches, whatever its own branch is called: anybody can name one `main` in a fork.
fn wrong_branch(revision: Option<&Revision>, tier: &Tier) -> Option<String> {
    if tier.branches.is_empty() && tier.tags.is_empty() {
        return None;
    }
    let fits = |pattern: &String, name: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    };
    let tags = tier.tags.iter().map(|tag| format!("tag {tag}"));
    let allowed = tier.branches.iter().cloned().chain(tags).collect::<Vec<_>>().join(", ");
    let only = format!("{} takes only {allowed}", tier.name);
    if let Some(request) = revision.and_then(|revision| revision.merge_request.as_ref()) {
        return Some(format!("{only}, and this is merge request !{}", request.number));
    }
    let tag = revision.and_then(|revision| revision.git_tag.as_deref());
    if tag.is_some_and(|tag| tier.tags.iter().any(|pattern| fits(pattern, tag))) {
        return None;
    }
    match (revision.and_then(Revision::own_branch), tag) {
        (Some(branch), _) if tier.branches.iter().any(|pattern| fits(pattern, branch)) => None,
        (Some(branch), _) => Some(format!("{only}, and this is {branch}")),
        (None, Some(tag)) => Some(format!("{only}, and this is tag {tag}")),
        (None, None) => Some(format!("{only}, and no branch is checked out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MergeRequest;
    use crate::project::TierOverrides;

    #[test]
    fn a_tier_takes_its_branches_or_its_tags() {
        let overrides = TierOverrides {
            context: Some("lab".to_owned()),
            namespace: Some("shop".to_owned()),
            ..TierOverrides::default()
        };
        let project = Project::of_records("shop").unwrap();
        let wrong =
            |branches: &[&str], tags: &[&str], branch: Option<&str>, tag: Option<&str>, request: bool| {
                let texts = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
                let tier = project.tier("live", &overrides).unwrap();
                let tier = Tier { branches: texts(branches), tags: texts(tags), ..tier };
                let merge_request =
                    request.then(|| MergeRequest { number: "3".to_owned(), from_fork: false });
                let (branch, git_tag) = (branch.map(str::to_owned), tag.map(str::to_owned));
                wrong_branch(Some(&Revision { branch, git_tag, merge_request, ..Revision::default() }), &tier)
            };
        assert_eq!(wrong(&[], &[], Some("x"), None, false), None);
        assert_eq!(wrong(&["main"], &["v*"], Some("main"), None, false), None);
        assert_eq!(wrong(&["main"], &["v*"], None, Some("v1.2"), false), None);
        let only = |why: &str| Some(format!("live takes only main, tag v*, {why}"));
        assert_eq!(wrong(&["main"], &["v*"], Some("x"), None, false), only("and this is x"));
        assert_eq!(wrong(&["main"], &["v*"], None, Some("w1"), false), only("and this is tag w1"));
        assert_eq!(wrong(&["main"], &["v*"], None, None, false), only("and no branch is checked out"));
        assert_eq!(
            wrong(&["main"], &["v*"], Some("main"), Some("v1"), true),
            only("and this is merge request !3")
        );
        assert!(wrong(&[], &["v*"], Some("main"), None, false).is_some(), "tags alone");
    }
}
