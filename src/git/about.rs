//! What can be asked about the repository around a directory without a commit: its remote, its default branch, what it ignores.

use std::path::Path;

use git2::Repository;

use super::open::{around, discover};
use crate::project::{ci, variable};

/// The address of the remote `origin`.
pub(crate) fn origin(directory: &Path) -> Option<String> {
    around(directory, &variable).origin
}

/// The branch that others begin from: that of `origin`, of the CI, or the only one that has a usual name; else the one that is
/// checked out.
pub(crate) fn default_branch(directory: &Path) -> Option<String> {
    let repository = discover(directory, &variable).ok()?;
    of_origin(&repository)
        .or_else(ci::default_branch)
        .or_else(|| usual(&repository))
        .or_else(|| checked_out(&repository))
}

fn of_origin(repository: &Repository) -> Option<String> {
    let head = repository.find_reference("refs/remotes/origin/HEAD").ok()?;
    let target = head.symbolic_target().ok()??;
    target.strip_prefix("refs/remotes/origin/").map(str::to_owned)
}

fn usual(repository: &Repository) -> Option<String> {
    let is_there = |name: &&str| repository.find_branch(name, git2::BranchType::Local).is_ok();
    let mut found = ["main", "master"].into_iter().filter(is_there);
    found.next().filter(|_| found.next().is_none()).map(str::to_owned)
}

/// Also in a repository without a commit.
fn checked_out(repository: &Repository) -> Option<String> {
    let head = repository.find_reference("HEAD").ok()?;
    head.symbolic_target().ok()??.strip_prefix("refs/heads/").map(str::to_owned)
}

/// Whether Git is told not to look at a path, relative to the directory.
pub(crate) fn is_ignored(directory: &Path, path: &Path) -> bool {
    let Ok(repository) = discover(directory, &variable) else { return false };
    let Some(top) = repository.workdir().and_then(|top| top.canonicalize().ok()) else { return false };
    let whole = directory.join(path);
    let inside = whole.strip_prefix(&top).unwrap_or(path);
    repository.is_path_ignored(inside).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::commit_all;

    #[test]
    fn the_default_branch_is_that_of_origin() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), "a").unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        Repository::init_opts(directory.path(), options.initial_head("trunk")).unwrap();
        assert_eq!(checked_out(&Repository::open(directory.path()).unwrap()).as_deref(), Some("trunk"));
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("a"), "a").unwrap();
        std::fs::write(other.path().join(".gitignore"), "build/\n").unwrap();
        let repository = commit_all(other.path());
        assert_eq!((usual(&repository).as_deref(), of_origin(&repository)), (Some("main"), None));
        let commit = repository.head().unwrap().target().unwrap();
        repository.reference("refs/remotes/origin/develop", commit, false, "").unwrap();
        repository
            .reference_symbolic("refs/remotes/origin/HEAD", "refs/remotes/origin/develop", false, "")
            .unwrap();
        assert_eq!(default_branch(other.path()).as_deref(), Some("develop"));
        let root = other.path().canonicalize().unwrap();
        assert!(is_ignored(&root, Path::new("build/Dockerfile")) && !is_ignored(&root, Path::new("a")));
    }
}
