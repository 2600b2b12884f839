//! Whether a job of CI has the commit that it is for: GitLab can be told to fetch nothing (`GIT_STRATEGY`), and then a
//! runner has an empty directory, or what an earlier job left there.

use super::{Project, ci};
use crate::error::{Error, Kind, Result};
use crate::model::revision::short;
use crate::project::config::environment::Lookup;

/// What to change in the job.
const FETCH: &str = "set GIT_STRATEGY: fetch for this job in .gitlab-ci.yml; with `none` and `empty` it has no commit of its own";

/// Whether the work tree is at the job's commit. A clone of something else beside the job's own is no business of it.
pub(super) fn check(project: &Project, lookup: Lookup<'_>) -> Result<()> {
    let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
    if !ci::detected_by(variable) {
        return Ok(());
    }
    let revision = project.revision.as_ref().ok_or_else(|| without_commit(project, lookup))?;
    let Some(wanted) = variable("CI_COMMIT_SHA").filter(|wanted| *wanted != revision.commit) else {
        return Ok(());
    };
    let is_of_job = match (variable("CI_PROJECT_DIR"), &project.work_tree) {
        (Some(job), Some(top)) => std::fs::canonicalize(job).is_ok_and(|job| job == *top),
        _ => true,
    };
    if !is_of_job {
        return Ok(());
    }
    let (here, wanted) = (short(&revision.commit), short(&wanted));
    let message = format!("the work tree is at commit {here}, and this job is for {wanted} (CI_COMMIT_SHA)");
    let on_purpose =
        "where the job itself checks out another commit: CI_COMMIT_SHA=$(git rev-parse HEAD) windlass …";
    Err(Error::new(Kind::Invalid, message).with_hint(format!("{FETCH}; {on_purpose}")))
}

/// Why there is no revision, and what to do about it: in CI nobody makes a repository.
pub(super) fn without_commit(project: &Project, lookup: Lookup<'_>) -> Error {
    let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let error = project.no_revision.clone().unwrap_or_else(|| {
        Error::new(Kind::Invalid, format!("{} is not in a Git repository", project.root.display()))
            .with_hint("git init && git add --all && git commit")
    });
    if error.kind() != Kind::Invalid || !ci::detected_by(variable) {
        return error;
    }
    let hint = if variable("GITLAB_CI").is_some() {
        FETCH.to_owned()
    } else {
        format!("check the repository out in this job; in GitLab: {FETCH}")
    };
    error.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::super::{GitFacts, Options, Project};
    use super::*;
    use crate::model::Revision;

    fn opened(directory: &std::path::Path, git: GitFacts) -> Project {
        let options = Options { directory: directory.to_path_buf(), ..Options::default() };
        Project::open(&options, git, &|_| None).unwrap()
    }

    fn in_job<'a>(more: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        let all = [("CI", "true"), ("GITLAB_CI", "true")];
        move |name| {
            let mut all = all.iter().chain(more);
            all.find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn a_job_without_the_repository_is_told_about_git_strategy() {
        let empty = tempfile::tempdir().unwrap();
        let project = opened(empty.path(), GitFacts::default());
        assert!(check(&project, &|_| None).is_ok(), "not in a job");
        let error = check(&project, &in_job(&[])).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(
            error.kind() == Kind::Invalid && hint.contains("GIT_STRATEGY") && !hint.contains("init"),
            "{hint}"
        );
        let unborn = Error::new(Kind::Invalid, "there is no commit yet").with_hint("git commit");
        let project = opened(empty.path(), GitFacts { revision: Some(Err(unborn)), ..GitFacts::default() });
        let error = check(&project, &in_job(&[])).unwrap_err();
        assert!(error.hint().unwrap().contains("GIT_STRATEGY"), "no commit: {error}");
        assert!(without_commit(&project, &|_| None).hint().unwrap().contains("git commit"));
    }

    #[test]
    fn a_work_tree_of_another_commit_is_not_the_jobs() {
        let directory = tempfile::tempdir().unwrap();
        let commit = "00c0ffee".repeat(5);
        let revision = Revision { commit: commit.clone(), ..Revision::default() };
        let root = Some(directory.path().to_path_buf());
        let project =
            opened(directory.path(), GitFacts { root, revision: Some(Ok(revision)), ..GitFacts::default() });
        let other = "1f3c9a0b".repeat(5);
        assert!(check(&project, &in_job(&[("CI_COMMIT_SHA", &commit)])).is_ok());
        let error = check(&project, &in_job(&[("CI_COMMIT_SHA", &other)])).unwrap_err();
        assert!(
            error.message().contains("1f3c9a0b") && error.hint().unwrap().contains("GIT_STRATEGY"),
            "{error}"
        );
        let here = directory.path().to_str().unwrap();
        let of_job = [("CI_COMMIT_SHA", other.as_str()), ("CI_PROJECT_DIR", here)];
        assert!(check(&project, &in_job(&of_job)).is_err());
        let beside = [("CI_COMMIT_SHA", other.as_str()), ("CI_PROJECT_DIR", "/builds/another")];
        assert!(check(&project, &in_job(&beside)).is_ok(), "a clone of something else");
    }
}
