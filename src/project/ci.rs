//! What CI says about the run: whether there is one, its job's address, its user.

use crate::model::MergeRequest;

/// Looks a variable of the environment up; an empty one is as good as none, for GitLab sets many to nothing.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the run is a job of GitLab or of another CI.
pub fn detected() -> bool {
    detected_by(variable)
}

/// The address of GitLab's job.
pub fn job_url() -> Option<String> {
    variable("CI_JOB_URL")
}

/// GitLab's pipeline: the same for a job that is run again.
pub fn pipeline() -> Option<String> {
    variable("CI_PIPELINE_ID")
}

/// The login of the person for whom GitLab's job runs.
pub fn user() -> Option<String> {
    variable("GITLAB_USER_LOGIN")
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
    variable("CI_COMMIT_BRANCH").or_else(name)
}

/// The Git tag that the job is for, and none of another commit's job.
pub(crate) fn tag(commit: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    variable("CI_COMMIT_TAG")
        .filter(|_| variable("CI_COMMIT_SHA").is_none_or(|of_the_job| of_the_job == commit))
}

/// The merge request (or the pull request of another host) that the job is for, in whatever kind of pipeline: of its
/// branch, of its result, of a merge train.
pub(crate) fn merge_request(variable: impl Fn(&str) -> Option<String>) -> Option<MergeRequest> {
    let number = variable("CI_MERGE_REQUEST_IID").or_else(|| variable("CI_EXTERNAL_PULL_REQUEST_IID"))?;
    let of = |name: &str, other: &str| variable(name).or_else(|| variable(other));
    let from = of("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY");
    let to = of("CI_MERGE_REQUEST_PROJECT_ID", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY");
    // Where GitLab does not say whose the branch is, it may be anybody's.
    Some(MergeRequest { number, from_fork: from.is_none() || from != to })
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
    fn a_tag_and_a_foreign_commit_have_no_branch() {
        let merge_request = [("CI_COMMIT_REF_NAME", "feature"), ("CI_COMMIT_SHA", "1f3c")];
        assert_eq!(branch("1f3c", with(&merge_request)).as_deref(), Some("feature"));
        assert_eq!(branch("ffff", with(&merge_request)), None);
        assert_eq!(branch("1f3c", with(&[("CI_COMMIT_REF_NAME", "v1"), ("CI_COMMIT_TAG", "v1")])), None);
        assert_eq!(branch("1f3c", with(&[("CI_COMMIT_BRANCH", "main")])).as_deref(), Some("main"));
    }
}
