//! The repository: which commit is checked out, how it is related to others, and what differs from it.
//!
//! Shallow clones and a detached HEAD, as CI has them, are enough.

mod about;
mod open;
#[cfg(test)]
mod projects;
mod submodules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use git2::{ErrorCode, Repository};

use crate::error::{Error, Kind, Result};
use crate::model::revision::short as short_commit;
use crate::model::{Relation, Revision, is_commit};
use crate::program::Program;
use crate::project::{self, GitFacts, Lookup, Options, PartialConfig, Project, ci, variable};

mod work_tree;

pub(crate) use about::{default_branch, is_ignored, origin};
pub(crate) use open::around;
use open::{discover, open};
pub(crate) use submodules::missing as missing_submodules;
pub(crate) use work_tree::WorkTree;

/// How long one `git fetch` may take.
const FETCH: Duration = Duration::from_secs(120);
/// How many branches are fetched at once: more do not fit into one command.
const MOST_BRANCHES: usize = 10_000;

/// Opens the project around a directory, with what Git knows of it.
///
/// # Errors
/// Those of the configuration; [`Kind::Denied`] for a repository of somebody else and [`Kind::Invalid`] for one that cannot
/// be read, unless the command needs the records only.
pub(crate) fn open_project(options: &Options) -> Result<Project> {
    open_project_with(options, &variable)
}

fn open_project_with(options: &Options, lookup: Lookup<'_>) -> Result<Project> {
    let start = options.start()?;
    let facts = match read_facts(&start, lookup) {
        Err(error) if options.for_records => GitFacts { error: Some(error), ..around(&start, lookup) },
        facts => facts?,
    };
    Project::open(options, facts, lookup)
}

/// What can be read of a project and one of its tiers where [`open_project`] failed.
pub(crate) fn known(options: &Options, tier: &str) -> PartialConfig {
    let facts = options.start().map(|start| around(&start, &variable)).unwrap_or_default();
    project::known(options, facts, tier)
}

/// Looks for the repository around a directory.
///
/// # Errors
/// [`Kind::Denied`] for a repository that belongs to someone else, [`Kind::Invalid`] for one that cannot be read.
fn read_facts(directory: &Path, lookup: Lookup<'_>) -> Result<GitFacts> {
    let repository = match discover(directory, lookup) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(GitFacts::default()),
        Err(error) => return Err(unreadable(&error)),
    };
    let origin =
        repository.find_remote("origin").ok().and_then(|origin| origin.url().ok().map(str::to_owned));
    let revision = match repository.head() {
        Err(error) if error.code() == ErrorCode::UnbornBranch => Err(unborn()),
        _ => Ok(revision(&repository, lookup).map_err(|error| unreadable(&error))?),
    };
    let root = repository.workdir().map(Path::to_path_buf);
    Ok(GitFacts { root, origin, revision: Some(revision), error: None })
}

/// How `this` commit is related to the `other`, as far as the repository at `root` reaches.
fn relation(root: &Path, this: &str, other: &str) -> Relation {
    if this == other {
        return Relation::Same;
    }
    let related = || -> Result<Relation, git2::Error> {
        let repository = discover(root, &variable)?;
        let (this, other) = (git2::Oid::from_str(this)?, git2::Oid::from_str(other)?);
        if repository.find_commit(other).is_err() {
            return Ok(Relation::Unknown);
        }
        Ok(if repository.graph_descendant_of(this, other)? {
            Relation::Newer
        } else if repository.graph_descendant_of(other, this)? {
            Relation::Older
        } else if repository.is_shallow() {
            Relation::Unknown
        } else {
            Relation::Diverged
        })
    };
    related().unwrap_or(Relation::Unknown)
}

/// How `this` commit is related to the `other`; a clone that does not reach far enough to tell is deepened with the
/// user's own Git, which knows how to get at `origin`.
///
/// # Errors
/// [`Kind::Unreachable`] where it cannot be deepened and so cannot be told.
pub(crate) async fn relation_in_full(root: &Path, this: &str, other: &str) -> Result<Relation> {
    if !is_commit(other) {
        return Err(Error::new(Kind::Invalid, "a commit in the tier's records is not a commit"));
    }
    let known = relation(root, this, other);
    if known != Relation::Unknown {
        return Ok(known);
    }
    let mut trouble = String::new();
    // Whole histories of large projects are seldom needed.
    for depth in ["--deepen=100", "--deepen=1000", "--unshallow"] {
        let shallow = is_shallow(root);
        let depth = Some(depth).filter(|_| shallow);
        if let Err(words) = fetch(root, depth, &[this, other]).await {
            // `origin` may no longer have the other commit; then what is known of this one decides.
            trouble = words;
            if shallow
                && fetch(root, depth, &[this]).await.is_err()
                && fetch_branches(root, depth).await.is_err()
            {
                break;
            }
        }
        match relation(root, this, other) {
            Relation::Unknown if shallow => {}
            Relation::Unknown => break,
            known => return Ok(known),
        }
    }
    if !is_shallow(root) {
        // All of this commit's history is here, and the other is not in it.
        return Ok(Relation::Diverged);
    }
    Err(Error::new(
        Kind::Unreachable,
        format!(
            "this clone is too shallow to tell how {} is related to {}",
            short_commit(this),
            short_commit(other)
        ),
    )
    .with_hint(format!("git fetch --unshallow (in GitLab: GIT_DEPTH: 0); deepening it failed: {trouble}")))
}

/// The branches and tags of a repository.
pub(crate) struct Heads {
    /// By commit: a branch or tag that leads to it.
    pub(crate) commits: BTreeMap<String, String>,
    /// The names of all branches.
    pub(crate) branches: BTreeSet<String>,
}

/// All branches and tags, by the user's own Git: a clone in CI has but one.
///
/// # Errors
/// [`Kind::Unreachable`] where `origin` cannot be asked.
pub(crate) async fn heads(root: &Path) -> Result<Heads> {
    let mut heads = Heads { commits: BTreeMap::new(), branches: BTreeSet::new() };
    for (commit, name) in references(root).await? {
        let branch = name.strip_prefix("refs/heads/");
        heads.branches.extend(branch.map(str::to_owned));
        let plain = branch.or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(&name);
        heads.commits.insert(commit, plain.to_owned());
    }
    Ok(heads)
}

/// The commits of all branches and tags, with their full names.
async fn references(root: &Path) -> Result<Vec<(String, String)>> {
    let origin = discover(root, &variable).is_ok_and(|repository| repository.find_remote("origin").is_ok());
    let ask: &[&str] = if origin {
        &["ls-remote", "--heads", "--tags", "--end-of-options", "origin"]
    } else {
        &["show-ref", "--heads", "--tags", "--dereference"]
    };
    let unknown = |why: &str| {
        Error::new(Kind::Unreachable, format!("the branches and tags of `origin` cannot be listed: {why}"))
            .with_hint("check that `git ls-remote origin` works here")
    };
    let output = git(root).arguments(ask).run().await.map_err(|fault| unknown(&fault.sentence("git")))?;
    if !output.status.success() {
        // ssh says why in the first lines, Git what it makes of it in the last.
        let said: Vec<String> = output.said().into_iter().take(3).collect();
        return Err(unknown(&if said.is_empty() { "git failed".to_owned() } else { said.join("; ") }));
    }
    let lines = String::from_utf8_lossy(&output.printed);
    let reference = |line: &str| {
        let (commit, name) = line.split_once(|letter: char| letter.is_whitespace())?;
        let name = name.trim().trim_end_matches("^{}");
        is_commit(commit).then(|| (commit.to_owned(), name.to_owned()))
    };
    Ok(lines.lines().filter_map(reference).collect())
}

fn is_shallow(root: &Path) -> bool {
    discover(root, &variable).is_ok_and(|repository| repository.is_shallow())
}

/// The user's own Git, which knows how to get at `origin`.
fn git(root: &Path) -> Program {
    Program::new("git")
        .arguments(["-C".as_ref(), root])
        .environment([("GIT_TERMINAL_PROMPT", "0")])
        .limit(FETCH)
}

/// Fetches these commits, with so much more of the history, into no branch; what Git said, where it failed.
async fn fetch(root: &Path, depth: Option<&str>, commits: &[&str]) -> Result<(), String> {
    let options = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--refmap="];
    let git = git(root).arguments(options).arguments(depth).arguments(["--end-of-options", "origin"]);
    let output = git.arguments(commits).run().await.map_err(|fault| fault.sentence("git fetch"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(output.said().pop().unwrap_or_else(|| "git fetch failed".to_owned()))
}

/// As [`fetch`], of all branches: some servers give away nothing that is not the end of one.
async fn fetch_branches(root: &Path, depth: Option<&str>) -> Result<(), String> {
    let references = references(root).await.map_err(|error| error.message().to_owned())?;
    let branches = references.iter().filter(|(_, name)| name.starts_with("refs/heads/"));
    let ends: BTreeSet<&str> = branches.map(|(commit, _)| commit.as_str()).take(MOST_BRANCHES).collect();
    if ends.is_empty() {
        return Err("`origin` has no branches".to_owned());
    }
    fetch(root, depth, &ends.into_iter().collect::<Vec<_>>()).await
}

fn unborn() -> Error {
    Error::new(Kind::Invalid, "the Git repository has no commit yet").with_hint("git add --all && git commit")
}

fn unreadable(error: &git2::Error) -> Error {
    if error.code() != ErrorCode::Owner {
        return Error::new(Kind::Invalid, format!("the Git repository cannot be read: {}", error.message()));
    }
    let path = error.message().split('\'').nth(1).map_or("…", |path| path.trim_end_matches('/'));
    Error::new(Kind::Denied, "Git refuses this repository because its files belong to another user")
        .with_hint(format!("git config --global --add safe.directory {path}"))
}

fn revision(repository: &Repository, lookup: Lookup<'_>) -> Result<Revision, git2::Error> {
    let head = repository.head()?;
    let commit = head.peel_to_commit()?;
    let id = commit.id().to_string();
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let branch = if head.is_branch() { Some(head.shorthand()?.to_owned()) } else { ci::branch(&id, set) };
    let git_tag = ci::tag(&id, set).or_else(|| only_tag(repository, commit.id()));
    let (merge_request, time) = (ci::merge_request(set), commit.time().seconds());
    Ok(Revision { commit: id, branch, git_tag, merge_request, time, ..Revision::default() })
}

/// The tag that leads to this commit, where there is one only. A repository whose tags cannot be read has none.
fn only_tag(repository: &Repository, commit: git2::Oid) -> Option<String> {
    let mut found = None;
    let tags = repository.references_glob("refs/tags/*").ok()?;
    for tag in tags.flatten().filter(|tag| tag.peel_to_commit().is_ok_and(|other| other.id() == commit)) {
        let name = tag.shorthand().ok()?.to_owned();
        if found.replace(name).is_some() {
            return None;
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use git2::Signature;

    use super::*;

    /// A repository on `main` with one commit of what lies in the directory.
    pub(crate) fn commit_all(directory: &Path) -> Repository {
        let mut options = git2::RepositoryInitOptions::new();
        let repository = Repository::init_opts(directory, options.initial_head("main")).unwrap();
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let somebody = Signature::new("Ann", "ann@example.com", &git2::Time::new(1_700_000_000, 0)).unwrap();
        repository.commit(Some("HEAD"), &somebody, &somebody, "first", &tree, &[]).unwrap();
        drop(tree);
        repository
    }

    fn revision_of(directory: &Path) -> Revision {
        read_facts(directory, &|_| None).unwrap().revision.unwrap().unwrap()
    }

    fn work_tree() -> (tempfile::TempDir, Repository) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "a").unwrap();
        fs::write(directory.path().join(".gitignore"), "ignored\n").unwrap();
        let repository = commit_all(directory.path());
        (directory, repository)
    }

    #[test]
    fn a_revision_is_that_of_the_commit_checked_out() {
        let (directory, repository) = work_tree();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let revision = revision_of(&directory.path().join("sub"));
        assert_eq!(revision.commit, repository.head().unwrap().target().unwrap().to_string());
        assert_eq!((revision.branch.as_deref(), revision.time), (Some("main"), 1_700_000_000));
    }

    #[test]
    fn commits_are_older_newer_or_apart() {
        let (directory, repository) = work_tree();
        let first = repository.head().unwrap().peel_to_commit().unwrap();
        let somebody = Signature::new("Ann", "ann@example.com", &git2::Time::new(1_700_000_100, 0)).unwrap();
        let commit = |name: &str, message: &str| {
            let tree = first.tree().unwrap();
            repository
                .commit(Some(name), &somebody, &somebody, message, &tree, &[&first])
                .unwrap()
                .to_string()
        };
        let (second, aside) = (commit("HEAD", "second"), commit("refs/heads/aside", "aside"));
        let first = first.id().to_string();
        let relation = |this: &str, other: &str| relation(directory.path(), this, other);
        assert_eq!(relation(&second, &second), Relation::Same);
        assert_eq!(relation(&second, &first), Relation::Newer);
        assert_eq!(relation(&first, &second), Relation::Older);
        assert_eq!(relation(&second, &aside), Relation::Diverged);
        assert_eq!(relation(&second, &"1".repeat(40)), Relation::Unknown);
    }

    fn run_git(directory: &Path, arguments: &[&str]) -> String {
        let ann = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
        let mut git = std::process::Command::new("git");
        let output = git.arg("-C").arg(directory).args(ann).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[tokio::test]
    async fn a_shallow_clone_is_deepened_and_none_of_its_branches_moves() {
        let (origin, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        run_git(origin.path(), &["init", "-q", "-b", "main"]);
        let commit = |message: &str| {
            run_git(origin.path(), &["commit", "-q", "--allow-empty", "-m", message]);
            run_git(origin.path(), &["rev-parse", "HEAD"])
        };
        let (first, _, third) = (commit("first"), commit("second"), commit("third"));
        let address = format!("file://{}", origin.path().display());
        run_git(clone.path(), &["clone", "-q", "--depth", "1", &address, "."]);
        let newer = commit("newer");
        let references = || run_git(clone.path(), &["for-each-ref"]);
        let before = references();
        assert_eq!(relation(clone.path(), &third, &first), Relation::Unknown);
        assert_eq!(relation_in_full(clone.path(), &third, &first).await.unwrap(), Relation::Newer);
        assert_eq!(relation_in_full(clone.path(), &third, &newer).await.unwrap(), Relation::Older);
        fetch_branches(clone.path(), None).await.unwrap();
        assert_eq!(references(), before);
    }

    #[tokio::test]
    async fn what_is_no_commit_is_not_given_to_git() {
        let (directory, repository) = work_tree();
        repository.remote("origin", "file:///nowhere").unwrap();
        let pwned = directory.path().join("pwned");
        let this = revision_of(directory.path()).commit;
        for forged in [
            format!("--upload-pack=touch {};", pwned.display()),
            "+refs/*:refs/*".into(),
            "€€€".into(),
            String::new(),
        ] {
            let error = relation_in_full(directory.path(), &this, &forged).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{forged}");
        }
        assert!(!pwned.exists());
    }

    #[test]
    fn a_detached_head_has_the_branch_that_ci_names() {
        let (directory, repository) = work_tree();
        repository.set_head_detached(repository.head().unwrap().target().unwrap()).unwrap();
        assert_eq!(revision_of(directory.path()).branch, None);
        let ci = |name: &str| (name == "CI_COMMIT_BRANCH").then(|| "feature".to_owned());
        let found = read_facts(directory.path(), &ci).unwrap();
        assert_eq!(found.revision.unwrap().unwrap().branch.as_deref(), Some("feature"));
    }

    #[test]
    fn without_a_commit_there_is_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read_facts(directory.path(), &|_| None).unwrap().revision.is_none());
        Repository::init(directory.path()).unwrap();
        let error = read_facts(directory.path(), &|_| None).unwrap().revision.unwrap().unwrap_err();
        assert_eq!(error.message(), "the Git repository has no commit yet");
    }

    #[test]
    fn a_repository_of_someone_else_says_what_to_type() {
        let words = "repository path '/builds/shop/' is not owned by current user";
        let error = unreadable(&git2::Error::new(ErrorCode::Owner, git2::ErrorClass::Config, words));
        assert_eq!(error.kind(), Kind::Denied);
        assert_eq!(error.hint(), Some("git config --global --add safe.directory /builds/shop"));
    }
}
