//! The rules of a tier: what must be true before a release changes anything, and how each is overridden, by
//! name and with a reason that the record keeps.

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

/// How long a job waits for the lock when nobody says otherwise.
const WAIT_IN_CI: Duration = Duration::from_secs(600);

/// What a person said about the tier's rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    overridden: Vec<String>,
    reason: Option<String>,
    wait_lock: Option<Duration>,
    yes: bool,
    running_jobs: RunningJobs,
    /// What a rollback may apply although it grants rights or is outside the namespace, as `KIND/NAME`.
    allowed: Vec<String>,
    /// Which overrides made a difference.
    used: Arc<Mutex<BTreeSet<String>>>,
}

/// What happens to Jobs of other content that still run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RunningJobs {
    /// The release is refused.
    #[default]
    Refuse,
    /// They are waited for.
    Wait,
    /// They are deleted.
    Kill,
}

impl Rules {
    /// These rules are overridden, for this reason; `wait_lock` is how long to wait for another release.
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

    /// What happens to Jobs of other content that still run.
    #[must_use]
    pub(crate) fn with_running_jobs(self, running_jobs: RunningJobs) -> Self {
        Self { running_jobs, ..self }
    }

    pub(crate) fn running_jobs(&self) -> RunningJobs {
        self.running_jobs
    }

    /// A rollback may apply these objects although they grant rights or lie outside of the namespace, as `KIND/NAME`.
    #[must_use]
    pub(crate) fn allowing(self, allowed: Vec<String>) -> Self {
        Self { allowed, ..self }
    }

    /// Whether a rollback may apply this object, which grants rights or is outside the namespace.
    pub(crate) fn allows(&self, id: &ObjectId) -> bool {
        let name = format!("{}/{}", id.kind, id.name);
        self.allowed.iter().any(|one| one.eq_ignore_ascii_case(&name))
    }

    /// Whether every question is answered with yes.
    #[must_use]
    pub(crate) fn answered(self, yes: bool) -> Self {
        Self { yes, ..self }
    }

    /// Goes on only if a person agrees: `--yes`, or an answer on the terminal.
    ///
    /// # Errors
    /// [`Kind::Rule`] where nobody can be asked, or somebody said no.
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

    /// Goes on only if a person types the tier's name, where the tier wants to be asked for; nobody is asked who cannot
    /// answer. `what` is about to be done: `release to`.
    ///
    /// # Errors
    /// [`Kind::Rule`] where it was not confirmed.
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

    /// How long to wait for another release's lock: as asked, else not at all in a terminal and ten minutes
    /// in CI.
    pub(crate) fn lock_patience(&self) -> LockWait {
        let default = if ci::detected() { WAIT_IN_CI } else { Duration::ZERO };
        LockWait { limit: self.wait_lock.unwrap_or(default), asked: self.wait_lock.is_some() }
    }

    /// Whether this rule, which stands in the way, is overridden: from now on the override is one that counts.
    pub(crate) fn overrides(&self, rule: &str) -> bool {
        let overridden = self.overridden.iter().any(|one| one == rule);
        if overridden {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(rule.to_owned());
        }
        overridden
    }

    /// Whether a person gave this override, whether or not it comes to count.
    pub(crate) fn is_overridden(&self, rule: &str) -> bool {
        self.overridden.iter().any(|one| one == rule)
    }

    /// What the record keeps of the overrides: those without which the release would have been refused.
    pub(crate) fn recorded(&self, reporter: &Reporter) -> Vec<Override> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = self.reason.as_ref().map(|reason| reporter.masked(reason));
        used.iter().map(|rule| Override { rule: rule.clone(), reason: reason.clone() }).collect()
    }

    /// Each test that the commit declares must have a passed record for these very digests, where the tier requires
    /// it. Whether they have; `None` where there are no tests, or it cannot be known and is not required.
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

    /// The branch must be one of the tier's; to a protected tier goes only what is committed, and from a GitLab job
    /// only what its branch's or tag's protection lets through.
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

    /// What a GitLab job may do to a protected tier, its branch's or tag's protection must let it do; and a job of the
    /// environment of another tier is not this one's.
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
                "this job is of the environment `{environment}`, which is the tier {other}, and not {}",
                tier.name
            );
            let remedy = format!("name {other} in the job's script, or change its `environment:`");
            self.enforce(session, "environment", sentence, &remedy)?;
        }
        Ok(())
    }

    /// The same images and manifests must have been good on the tier before.
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

    /// What was rolled back from is not released again by accident.
    ///
    /// # Errors
    /// [`Kind::Rule`] naming the release.
    pub(crate) fn check_rolled_back(&self, newest_first: &[Summary], set: &str) -> Result<()> {
        match target::was_rolled_back_from(newest_first, set) {
            Some(revision) if !self.overrides("rolled-back") => {
                Err(Error::new(Kind::Rule, format!("this is release {revision}, which was rolled back from"))
                    .with_hint("fix it in a new commit, or add --override rolled-back --reason \"…\""))
            }
            _ => Ok(()),
        }
    }
}

/// Why this branch or tag may not be released to the tier. A merge request is on none of the project's branches, whatever its own
/// is called: anybody can call one `main` in a fork.
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
