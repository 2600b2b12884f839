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
const KNOWN: [&str; 13] = [
    "tested",
    "rolled-back",
    "images",
    "after",
    "branches",
    "protected",
    "confirm",
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
    /// What a rollback may apply although it grants rights or lies outside of the namespace, as `KIND/NAME`.
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

    /// Whether a rollback may apply this object, which grants rights or lies outside of the namespace.
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
            .with_hint("run `windlass test`, or release it all the same with --untested"))
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
            let sentence = format!("{} is protected, and the work tree is not what was committed", tier.name);
            self.enforce(session, "protected", sentence, "commit or stash, then build and test that")?;
        }
        self.check_job(session, tier)
    }

    /// What a GitLab job may do to a protected tier, its branch's or tag's protection must let it do.
    ///
    /// # Errors
    /// [`Kind::Rule`]
    pub(crate) fn check_job(&self, session: &Session, tier: &Tier) -> Result<()> {
        if tier.protected && ci::is_protected() == Some(false) {
            let sentence = format!("{} is protected, and this job's branch or tag is not", tier.name);
            self.enforce(session, "protected", sentence, "protect it in GitLab (Settings, Repository)")?;
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

/// Why this branch may not be released to the tier. A merge request is on none of the project's branches, whatever its own
/// is called: anybody can call one `main` in a fork.
fn wrong_branch(revision: Option<&Revision>, tier: &Tier) -> Option<String> {
    let fits = |pattern: &String, branch: &str| match pattern.strip_suffix('*') {
        Some(prefix) => branch.starts_with(prefix),
        None => pattern == branch,
    };
    let allowed = tier.branches.join(", ");
    let request = revision.and_then(|revision| revision.merge_request.as_ref());
    if let Some(request) = request.filter(|_| !tier.branches.is_empty()) {
        let number = &request.number;
        return Some(format!("{} takes only {allowed}, and this is merge request !{number}", tier.name));
    }
    match revision.and_then(Revision::own_branch) {
        _ if tier.branches.is_empty() => None,
        Some(branch) if tier.branches.iter().any(|pattern| fits(pattern, branch)) => None,
        Some(branch) => Some(format!("{} takes only {allowed}, and this is {branch}", tier.name)),
        None => Some(format!("{} takes only {allowed}, and no branch is checked out", tier.name)),
    }
}
