//! The Git revision that a build is of: commit, branch, and whether the work tree is that commit.
//!
//! The only file that uses git2. Shallow clones and a detached HEAD, as CI has them, are enough.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorCode, Repository, StatusOptions};
use sha2::{Digest, Sha256};

use super::ci;
use super::environment::Lookup;
use crate::error::{Error, Kind, Result};

/// How long one `git fetch` may take.
const FETCH: Duration = Duration::from_secs(120);

/// The revision of the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// The branch; where none is checked out, the one that CI names.
    pub branch: Option<String>,
    /// Whether the work tree differs from the commit; untracked files count, ignored ones do not.
    pub dirty: bool,
    /// 8 hexadecimal digits over what differs, where it does.
    pub dirty_hash: Option<String>,
    /// When the commit was made, in seconds since 1970.
    pub time: i64,
}

impl Revision {
    /// The first 8 digits of the commit, with `-dirty` where the work tree differs.
    pub fn short(&self) -> String {
        let commit = &self.commit[..self.commit.len().min(8)];
        if self.dirty { format!("{commit}-dirty") } else { commit.to_owned() }
    }

    /// For people: `1f3c9a0b of main (work tree dirty)`.
    pub fn describe(&self) -> String {
        let commit = &self.commit[..self.commit.len().min(8)];
        let branch = self.branch.as_ref().map(|branch| format!(" of {branch}")).unwrap_or_default();
        let dirty = if self.dirty { " (work tree dirty)" } else { "" };
        format!("{commit}{branch}{dirty}")
    }

    /// The tag of its images: `<commit>`, or `<commit>-dirty-<hash>`.
    pub fn tag(&self) -> String {
        match &self.dirty_hash {
            Some(hash) => format!("{}-dirty-{hash}", self.commit),
            None => self.commit.clone(),
        }
    }
}

/// What Git knows about a directory.
pub(super) struct Found {
    /// The root of the work tree, if there is one.
    pub(super) root: Option<PathBuf>,
    /// The address of the remote `origin`.
    pub(super) origin: Option<String>,
    /// The revision, or why there is none.
    pub(super) revision: Result<Revision>,
}

/// Looks for the repository around a directory.
///
/// # Errors
/// [`Kind::Denied`] for a repository that belongs to someone else, [`Kind::Invalid`] for one that cannot be read.
pub(super) fn look(directory: &Path, lookup: Lookup<'_>) -> Result<Option<Found>> {
    let repository = match Repository::discover(directory) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let origin =
        repository.find_remote("origin").ok().and_then(|origin| origin.url().ok().map(str::to_owned));
    let revision = match repository.head() {
        Err(error) if error.code() == ErrorCode::UnbornBranch => Err(unborn()),
        _ => Ok(revision(&repository, lookup).map_err(|error| unreadable(&error))?),
    };
    Ok(Some(Found { root: repository.workdir().map(Path::to_path_buf), origin, revision }))
}

/// How this commit is related to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// The other is an ancestor of this one.
    Newer,
    /// This one is an ancestor of the other.
    Older,
    /// Neither is an ancestor of the other.
    Diverged,
    /// The clone does not reach far enough to tell.
    Unknown,
}

/// How `this` commit is related to the `other`, as far as the repository at `root` reaches.
pub(super) fn relation(root: &Path, this: &str, other: &str) -> Relation {
    if this == other {
        return Relation::Same;
    }
    let related = || -> Result<Relation, git2::Error> {
        let repository = Repository::discover(root)?;
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
pub(super) async fn relation_in_full(root: &Path, this: &str, other: &str) -> Result<Relation> {
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
            if shallow && fetch(root, depth, &[this]).await.is_err() && fetch(root, depth, &[]).await.is_err()
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
        format!("this clone is too shallow to tell how {} is related to {}", short(this), short(other)),
    )
    .hint(format!("git fetch --unshallow (in GitLab: GIT_DEPTH: 0); deepening it failed: {trouble}")))
}

/// The commits of all branches and tags, by the user's own Git: a clone in CI has but one.
///
/// # Errors
/// [`Kind::Unreachable`] where `origin` cannot be asked.
pub(super) async fn heads(root: &Path) -> Result<BTreeMap<String, String>> {
    let origin = Repository::discover(root).is_ok_and(|repository| repository.find_remote("origin").is_ok());
    let ask: &[&str] = if origin {
        &["ls-remote", "--heads", "--tags", "origin"]
    } else {
        &["show-ref", "--heads", "--tags", "--dereference"]
    };
    let mut git = tokio::process::Command::new("git");
    git.arg("-C").arg(root).args(ask);
    git.env("GIT_TERMINAL_PROMPT", "0").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let unknown = |why: &str| {
        Error::new(Kind::Unreachable, format!("which branches and tags there are cannot be known: {why}"))
            .hint("check that `git ls-remote origin` works here")
    };
    let output =
        tokio::time::timeout(FETCH, git.output()).await.map_err(|_| unknown("git did not end in time"))?;
    let output = output.map_err(|error| unknown(&error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // ssh says why in the first lines, Git what it makes of it in the last.
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        return Err(unknown(&if said.is_empty() { "git failed".to_owned() } else { said.join("; ") }));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let head = |line: &str| {
        let (commit, name) = line.split_once(|letter: char| letter.is_whitespace())?;
        let name = name.trim().trim_end_matches("^{}");
        let name =
            name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name);
        Some((commit.to_owned(), name.to_owned()))
    };
    Ok(lines.lines().filter_map(head).collect())
}

fn short(commit: &str) -> &str {
    &commit[..commit.len().min(8)]
}

fn is_shallow(root: &Path) -> bool {
    Repository::discover(root).is_ok_and(|repository| repository.is_shallow())
}

/// `git fetch` of these commits (of all branches, where none is named); what Git said, where it failed.
async fn fetch(root: &Path, depth: Option<&str>, commits: &[&str]) -> Result<(), String> {
    let mut git = tokio::process::Command::new("git");
    git.arg("-C").arg(root).args(["fetch", "--quiet", "--no-tags"]).args(depth).arg("origin").args(commits);
    git.env("GIT_TERMINAL_PROMPT", "0").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(FETCH, git.output()).await;
    match output {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(words.lines().last().unwrap_or("git fetch failed").to_owned())
        }
        Ok(Err(error)) => Err(format!("git cannot be run: {error}")),
        Err(_) => Err(format!("git fetch did not end within {} s", FETCH.as_secs())),
    }
}

fn unborn() -> Error {
    Error::new(Kind::Invalid, "the Git repository has no commit yet").hint("git add --all && git commit")
}

fn unreadable(error: &git2::Error) -> Error {
    if error.code() != ErrorCode::Owner {
        return Error::new(Kind::Invalid, format!("the Git repository cannot be read: {}", error.message()));
    }
    let path = error.message().split('\'').nth(1).map_or("…", |path| path.trim_end_matches('/'));
    Error::new(Kind::Denied, "Git refuses this repository, for its files belong to another user")
        .hint(format!("git config --global --add safe.directory {path}"))
}

fn revision(repository: &Repository, lookup: Lookup<'_>) -> Result<Revision, git2::Error> {
    let head = repository.head()?;
    let commit = head.peel_to_commit()?;
    let id = commit.id().to_string();
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let branch = if head.is_branch() { Some(head.shorthand()?.to_owned()) } else { ci::branch(&id, set) };
    let changed = changed(repository)?;
    let dirty_hash = repository.workdir().filter(|_| !changed.is_empty()).map(|root| hash(root, &changed));
    Ok(Revision {
        commit: id,
        branch,
        dirty: dirty_hash.is_some(),
        dirty_hash,
        time: commit.time().seconds(),
    })
}

/// The paths that differ from the commit, sorted; untracked files too, ignored ones not.
fn changed(repository: &Repository) -> Result<Vec<Vec<u8>>, git2::Error> {
    if repository.is_bare() {
        return Ok(Vec::new());
    }
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false);
    let statuses = repository.statuses(Some(&mut options))?;
    let mut paths: Vec<_> = statuses.iter().map(|entry| entry.path_bytes().to_vec()).collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

/// 8 hexadecimal digits over the paths and what stands there now.
fn hash(root: &Path, paths: &[Vec<u8>]) -> String {
    let mut hasher = Sha256::new();
    for path in paths {
        hasher.update(path.len().to_le_bytes());
        hasher.update(path);
        content(&root.join(native(path)), &mut hasher);
    }
    hasher.finalize().iter().take(4).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// What a path is, and what is in it: a file's length, rights and bytes, a link's target.
fn content(path: &Path, hasher: &mut Sha256) {
    let Ok(metadata) = path.symlink_metadata() else { return hasher.update("gone") };
    if metadata.is_symlink() {
        hasher.update("link");
        hasher.update(path.read_link().unwrap_or_default().as_os_str().as_encoded_bytes());
    } else if metadata.is_file() {
        hasher.update(if executable(&metadata) { "program" } else { "file" });
        hasher.update(metadata.len().to_le_bytes());
        bytes(path, hasher);
    } else {
        inner(path, hasher);
    }
}

/// A submodule, or another repository inside the work tree: its commit and what differs from it.
fn inner(path: &Path, hasher: &mut Sha256) {
    let Ok(repository) = Repository::open(path) else { return hasher.update("directory") };
    let commit = repository.head().ok().and_then(|head| head.target());
    hasher.update(commit.map_or_else(|| "no commit".to_owned(), |commit| commit.to_string()));
    hasher.update(hash(path, &changed(&repository).unwrap_or_default()));
}

fn bytes(path: &Path, hasher: &mut Sha256) {
    let Ok(mut file) = std::fs::File::open(path) else { return hasher.update("unreadable") };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        hasher.update(&buffer[..count]);
    }
}

#[cfg(unix)]
fn executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn executable(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn native(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

#[cfg(not(unix))]
fn native(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

/// The path of a repository's address, as one word: `git@host:group/shop.git` is `group-shop`, on a laptop with SSH
/// as in CI with HTTPS and a token.
pub(super) fn name_of(origin: &str) -> Option<String> {
    let path = match origin.split_once("://") {
        Some(("file", path)) => path,
        Some((_, rest)) => rest.split_once('/')?.1,
        // scp's way, unless the colon stands behind a slash or behind a Windows drive.
        None => match origin.split_once(':') {
            Some((host, path)) if host.len() > 1 && !host.contains('/') => path,
            _ => origin,
        },
    };
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | "." | ".." | "~")).collect();
    (!parts.is_empty()).then(|| super::slug(&parts.join("-")))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use git2::Signature;

    use super::*;

    /// A repository on `main` with one commit of what lies in the directory.
    pub(in crate::project) fn commit_all(directory: &Path) -> Repository {
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
        look(directory, &|_| None).unwrap().unwrap().revision.unwrap()
    }

    fn work_tree() -> (tempfile::TempDir, Repository) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "a").unwrap();
        fs::write(directory.path().join(".gitignore"), "ignored\n").unwrap();
        let repository = commit_all(directory.path());
        (directory, repository)
    }

    #[test]
    fn a_clean_work_tree_is_its_commit() {
        let (directory, repository) = work_tree();
        fs::write(directory.path().join("ignored"), "x").unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let revision = revision_of(&directory.path().join("sub"));
        assert_eq!(revision.commit, repository.head().unwrap().target().unwrap().to_string());
        assert_eq!((revision.branch.as_deref(), revision.dirty), (Some("main"), false));
        assert_eq!((revision.dirty_hash, revision.time), (None, 1_700_000_000));
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

    #[test]
    fn the_dirty_hash_is_that_of_what_differs() {
        let (directory, _repository) = work_tree();
        let write = |path: &str, text: &str| fs::write(directory.path().join(path), text).unwrap();
        let hash = || revision_of(directory.path()).dirty_hash.unwrap();
        write("new", "1");
        let one = hash();
        assert_eq!((one.len(), hash()), (8, one.clone()));
        write("new", "2");
        assert_ne!(hash(), one);
        write("new", "1");
        assert_eq!(hash(), one);
        write("a", "changed");
        assert_ne!(hash(), one);
        fs::remove_file(directory.path().join("a")).unwrap();
        let gone = hash();
        fs::rename(directory.path().join("new"), directory.path().join("newer")).unwrap();
        assert_ne!(hash(), gone);
    }

    #[test]
    fn what_differs_in_a_repository_inside_counts_too() {
        let (directory, _repository) = work_tree();
        let inside = directory.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("a"), "a").unwrap();
        commit_all(&inside);
        let clean = revision_of(directory.path()).dirty_hash.unwrap();
        fs::write(inside.join("a"), "b").unwrap();
        let dirty = revision_of(directory.path()).dirty_hash.unwrap();
        fs::write(inside.join("a"), "c").unwrap();
        assert_ne!(dirty, clean);
        assert_ne!(revision_of(directory.path()).dirty_hash.unwrap(), dirty);
    }

    #[test]
    fn a_detached_head_has_the_branch_that_ci_names() {
        let (directory, repository) = work_tree();
        repository.set_head_detached(repository.head().unwrap().target().unwrap()).unwrap();
        assert_eq!(revision_of(directory.path()).branch, None);
        let ci = |name: &str| (name == "CI_COMMIT_BRANCH").then(|| "feature".to_owned());
        let found = look(directory.path(), &ci).unwrap().unwrap();
        assert_eq!(found.revision.unwrap().branch.as_deref(), Some("feature"));
    }

    #[test]
    fn without_a_commit_there_is_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        assert!(look(directory.path(), &|_| None).unwrap().is_none());
        Repository::init(directory.path()).unwrap();
        let error = look(directory.path(), &|_| None).unwrap().unwrap().revision.unwrap_err();
        assert_eq!(error.message(), "the Git repository has no commit yet");
    }

    #[test]
    fn a_repository_of_someone_else_says_what_to_type() {
        let words = "repository path '/builds/shop/' is not owned by current user";
        let error = unreadable(&git2::Error::new(ErrorCode::Owner, git2::ErrorClass::Config, words));
        assert_eq!(error.kind(), Kind::Denied);
        assert_eq!(error.advice(), Some("git config --global --add safe.directory /builds/shop"));
    }

    #[test]
    fn the_remote_names_the_project_the_same_everywhere() {
        for origin in [
            "git@gitlab.example.com:group/shop.git",
            "https://gitlab-ci-token:t0k3n@gitlab.example.com/group/shop.git",
            "ssh://git@gitlab.example.com:2222/group/shop/",
            "http://127.0.0.1:8080/group/shop",
            "../group/shop.git",
        ] {
            assert_eq!(name_of(origin).as_deref(), Some("group-shop"), "{origin}");
        }
        assert_eq!(name_of("file:///srv/shop.git").as_deref(), Some("srv-shop"));
        assert_eq!(name_of("https://example.com/"), None);
        assert_eq!(name_of("https://example.com"), None);
        assert!(name_of("git@host:Group/Shop.git").unwrap().starts_with("group-shop-"));
    }

    #[test]
    fn a_dirty_work_tree_has_a_tag_of_its_own() {
        let clean = Revision {
            commit: "1f3c9a0b".repeat(5),
            branch: Some("main".to_owned()),
            dirty: false,
            dirty_hash: None,
            time: 0,
        };
        assert_eq!((clean.describe().as_str(), clean.tag()), ("1f3c9a0b of main", "1f3c9a0b".repeat(5)));
        let dirty = Revision { dirty: true, dirty_hash: Some("00c0ffee".to_owned()), branch: None, ..clean };
        assert_eq!(dirty.describe(), "1f3c9a0b (work tree dirty)");
        assert_eq!(dirty.short(), "1f3c9a0b-dirty");
        assert!(dirty.tag().ends_with("1f3c9a0b-dirty-00c0ffee"));
    }
}
