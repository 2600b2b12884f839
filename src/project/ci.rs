//! What CI says about the run: whether there is one, its job's address, its user.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::MergeRequest;

/// Looks a variable of the environment up; an empty one is as good as none, for GitLab sets many to nothing.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the run is a job of GitLab or of another CI.
pub fn detected() -> bool {
    detected_by(variable)
}

/// The address of GitLab's job, or of GitHub's run.
pub fn job_url() -> Option<String> {
    variable("CI_JOB_URL").or_else(|| run_url(variable))
}

fn run_url(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let of = |name| github(&variable, name);
    Some(format!("{}/{}/actions/runs/{}", of("SERVER_URL")?, of("REPOSITORY")?, of("RUN_ID")?))
}

/// `GITHUB_<name>` in a job of GitHub, and in no other.
fn github(variable: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variable("GITHUB_ACTIONS").filter(|is_one| is_one == "true")?;
    variable(&format!("GITHUB_{name}"))
}

/// The name of the branch or tag of GitHub's job, unless it is of another commit.
fn github_ref(commit: &str, kind: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let of = |name| github(&variable, name);
    let is_it = of("SHA").as_deref() == Some(commit) && of("REF_TYPE").as_deref() == Some(kind);
    // Of a pull request: its own branch, not `12/merge`.
    of("HEAD_REF").filter(|_| kind == "branch").or_else(|| of("REF_NAME")).filter(|_| is_it)
}

/// GitLab's pipeline: the same for a job that is run again.
pub fn pipeline() -> Option<String> {
    variable("CI_PIPELINE_ID")
}

/// The login of the person for whom GitLab's or GitHub's job runs.
pub fn user() -> Option<String> {
    variable("GITLAB_USER_LOGIN").or_else(|| github(variable, "ACTOR"))
}

/// The branch that others begin from, where CI names it.
pub fn default_branch() -> Option<String> {
    variable("CI_DEFAULT_BRANCH")
}

/// Which of several like jobs this one is, from 1, and how many there are: GitLab's `parallel`. None where it is alone.
pub fn node() -> Option<(usize, usize)> {
    node_by(variable)
}

fn node_by(variable: impl Fn(&str) -> Option<String>) -> Option<(usize, usize)> {
    let number = |name| variable(name)?.parse::<usize>().ok();
    let (index, total) = (number("CI_NODE_INDEX")?, number("CI_NODE_TOTAL")?);
    (total > 1 && (1..=total).contains(&index)).then_some((index, total))
}

pub(super) fn detected_by(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["GITLAB_CI", "CI"]
        .into_iter()
        .any(|name| variable(name).is_some_and(|value| value == "true" || value == "1"))
}

/// The branch that the job is for: none in a pipeline of a tag, and none of another commit's job.
pub(crate) fn branch(commit: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    if variable("CI_COMMIT_SHA").is_some_and(|of_the_job| of_the_job != commit) {
        return None;
    }
    let name = || variable("CI_COMMIT_REF_NAME").filter(|_| variable("CI_COMMIT_TAG").is_none());
    variable("CI_COMMIT_BRANCH").or_else(name).or_else(|| github_ref(commit, "branch", &variable))
}

/// The Git tag that the job is for, and none of another commit's job.
pub(crate) fn tag(commit: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    variable("CI_COMMIT_TAG")
        .filter(|_| variable("CI_COMMIT_SHA").is_none_or(|of_the_job| of_the_job == commit))
        .or_else(|| github_ref(commit, "tag", &variable))
}

/// The merge request (or the pull request of another host) that the job is for, in whatever kind of pipeline: of its
/// branch, of its result, of a merge train.
pub(crate) fn merge_request(variable: impl Fn(&str) -> Option<String>) -> Option<MergeRequest> {
    let of_github = || {
        let reference = github(&variable, "REF")?;
        reference.strip_prefix("refs/pull/")?.split('/').next().map(str::to_owned)
    };
    let of_gitlab = variable("CI_MERGE_REQUEST_IID").or_else(|| variable("CI_EXTERNAL_PULL_REQUEST_IID"));
    let number = of_gitlab.or_else(of_github)?;
    let of = |name: &str, other: &str| variable(name).or_else(|| variable(other));
    let from = of("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY");
    let to = of("CI_MERGE_REQUEST_PROJECT_ID", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY");
    // Where GitLab does not say whose the branch is, it may be anybody's.
    Some(MergeRequest { number, from_fork: from.is_none() || from != to })
}

/// The environment of GitLab's job.
pub fn environment() -> Option<String> {
    variable("CI_ENVIRONMENT_NAME")
}

/// How much of GitLab's job is left; `None` outside of one, and where GitLab does not tell.
pub fn time_left() -> Option<Duration> {
    time_left_by(variable, Timestamp::now())
}

fn time_left_by(variable: impl Fn(&str) -> Option<String>, now: Timestamp) -> Option<Duration> {
    let began: Timestamp = variable("CI_JOB_STARTED_AT")?.parse().ok()?;
    let limit = i64::try_from(variable("CI_JOB_TIMEOUT")?.parse::<u64>().ok()?).ok()?;
    let ends = began.checked_add(SignedDuration::from_secs(limit)).ok()?;
    Some(ends.duration_since(now).try_into().unwrap_or_default())
}

/// Whether GitLab protects the branch or tag of this job; `None` outside of GitLab.
pub fn is_protected() -> Option<bool> {
    variable("CI_COMMIT_REF_PROTECTED").map(|word| word == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_false_ci_is_none() {
        assert!(detected_by(with(&[("GITLAB_CI", "true")])));
        assert!(detected_by(with(&[("CI", "1")])));
        assert!(!detected_by(with(&[("CI", "false")])));
        assert!(!detected_by(with(&[])));
    }

    #[test]
    fn a_job_knows_how_much_of_it_is_left() {
        let now: Timestamp = "2026-11-23T10:05:00Z".parse().unwrap();
        let left = |began, limit| {
            let variables = [("CI_JOB_STARTED_AT", began), ("CI_JOB_TIMEOUT", limit)];
            time_left_by(with(&variables), now).map(|left| left.as_secs())
        };
        assert_eq!(left("2026-11-23T10:00:00Z", "3600"), Some(3300));
        assert_eq!(left("2026-11-23T11:00:00+01:00", "600"), Some(300), "in a time zone");
        assert_eq!(left("2026-11-23T09:00:00Z", "60"), Some(0), "over");
        let unknown = [
            ("", "3600"),
            ("yesterday", "3600"),
            ("2026-11-23T10:00:00Z", "1h"),
            ("2026-11-23T10:00:00Z", "99999999999999999999"),
        ];
        assert!(unknown.into_iter().all(|(began, limit)| left(began, limit).is_none()));
    }

    #[test]
    fn a_job_of_several_knows_which_one_it_is() {
        let node = |index, total| node_by(with(&[("CI_NODE_INDEX", index), ("CI_NODE_TOTAL", total)]));
        assert_eq!(node("2", "3"), Some((2, 3)));
        assert_eq!(node("1", "1"), None, "alone");
        assert_eq!(node("4", "3").or(node("0", "3")).or(node("", "3")), None, "nonsense");
    }

    #[test]
    fn a_merge_request_comes_from_a_fork_unless_both_projects_are_one() {
        let of = |from, to| {
            let variables = [
                ("CI_MERGE_REQUEST_IID", "3"),
                ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", from),
                ("CI_MERGE_REQUEST_PROJECT_ID", to),
            ];
            merge_request(with(&variables)).unwrap()
        };
        assert_eq!(of("1", "1"), MergeRequest { number: "3".to_owned(), from_fork: false });
        assert!(of("99", "1").from_fork);
        assert!(merge_request(with(&[("CI_MERGE_REQUEST_IID", "3")])).unwrap().from_fork, "it may be");
        assert_eq!(merge_request(with(&[("CI_COMMIT_BRANCH", "main")])), None);
        assert_eq!(merge_request(with(&[("CI_EXTERNAL_PULL_REQUEST_IID", "7")])).unwrap().number, "7");
    }

    #[test]
    fn a_job_of_github_has_a_branch_a_tag_or_a_pull_request() {
        let of = |more: &[(&str, &str)]| {
            let all = [&[("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", "1f3c")], more].concat();
            let found = with(&all);
            (branch("1f3c", &found), tag("1f3c", &found), merge_request(&found).map(|one| one.number))
        };
        let some = |text: &str| Some(text.to_owned());
        let main =
            [("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "main"), ("GITHUB_REF", "refs/heads/main")];
        assert_eq!(of(&main), (some("main"), None, None));
        assert_eq!(of(&[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1")]), (None, some("v1"), None));
        let pull = [
            ("GITHUB_REF_TYPE", "branch"),
            ("GITHUB_REF_NAME", "12/merge"),
            ("GITHUB_HEAD_REF", "feature"),
            ("GITHUB_REF", "refs/pull/12/merge"),
        ];
        assert_eq!(of(&pull), (some("feature"), None, some("12")));
        assert_eq!(
            branch("ffff", with(&[("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", "1f3c"), main[0], main[1]])),
            None
        );
        assert_eq!(branch("1f3c", with(&[("GITHUB_SHA", "1f3c"), main[0], main[1]])), None, "no job");
        let run = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.test"),
            ("GITHUB_REPOSITORY", "nora/shop"),
            ("GITHUB_RUN_ID", "7"),
        ];
        assert_eq!(run_url(with(&run)), some("https://github.test/nora/shop/actions/runs/7"));
    }

    #[test]
    fn a_tag_and_a_foreign_commit_have_no_branch() {
        let merge_request = [("CI_COMMIT_REF_NAME", "feature"), ("CI_COMMIT_SHA", "1f3c")];
        assert_eq!(branch("1f3c", with(&merge_request)).as_deref(), Some("feature"));
        assert_eq!(branch("ffff", with(&merge_request)), None);
        assert_eq!(branch("1f3c", with(&[("CI_COMMIT_REF_NAME", "v1"), ("CI_COMMIT_TAG", "v1")])), None);
        assert_eq!(branch("1f3c", with(&[("CI_COMMIT_BRANCH", "main")])).as_deref(), Some("main"));
    }
}
