//! What Git knows of the files of a work tree: which it tracks, and which of those are not as they were committed.
//!
//! Git's own answer to "is it clean" is neither enough nor to the point here: a file that it ignores goes into an image
//! all the same, and one that no image holds makes no other image. Who reads what is decided elsewhere
//! ([`build::compared`](crate::build::compared)); here nothing is walked that Git does not track.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use git2::{DiffOptions, ErrorCode, Index, IndexEntry, Repository, StatusOptions};
use sha2::{Digest, Sha256};

use super::{discover, open, unreadable};
use crate::error::Result;
use crate::model::{Change, ChangedFile};
use crate::project::variable;
use crate::text::hex;

/// The mode of a submodule in an index.
const SUBMODULE: u32 = 0o160_000;
/// The bits of an index entry that tell Git not to look at the file: `git update-index --assume-unchanged` and
/// `--skip-worktree`.
const ASSUME_UNCHANGED: u16 = 0x8000;
const SKIP_WORKTREE: u16 = 0x4000;

/// A work tree with all that is checked out of its submodules.
pub(crate) struct WorkTree {
    repository: Repository,
    /// Where it is, without links. All paths are relative to it.
    pub(crate) root: PathBuf,
    tracked: HashSet<PathBuf>,
    directories: HashSet<PathBuf>,
    changed: BTreeSet<PathBuf>,
}

impl WorkTree {
    /// The work tree around a directory; none where there is no repository, or one without files.
    ///
    /// # Errors
    /// As for the project's revision.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        let repository = match discover(directory, &variable) {
            Ok(repository) => repository,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        };
        let Some(root) = repository.workdir().and_then(|root| root.canonicalize().ok()) else {
            return Ok(None);
        };
        let mut found = FileStates::default();
        found.take(&repository, &root, Path::new("")).map_err(|error| unreadable(&error))?;
        let FileStates { tracked, directories, changed } = found;
        Ok(Some(Self { repository, root, tracked, directories, changed }))
    }

    /// The tracked files that are not as they were committed, and those that are there no more.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Path> {
        self.changed.iter().map(PathBuf::as_path)
    }

    /// Whether this path is a file that Git tracks, or a directory with one in it.
    pub(crate) fn is_tracked(&self, path: &Path) -> bool {
        self.tracked.contains(path) || self.directories.contains(path)
    }

    /// How these paths differ, which are known to do so.
    pub(crate) fn describe(&self, paths: &BTreeSet<PathBuf>) -> Vec<ChangedFile> {
        // Whether Git ignores a path is asked once for all of one directory: in `node_modules` lie thousands.
        let mut known: HashMap<String, Change> = HashMap::new();
        let one = |path: &PathBuf| {
            let (directory, slash) = (self.unknown_directory(path), self.is_directory(path));
            let change = match &directory {
                Some(directory) => *known.entry(directory.clone()).or_insert_with(|| self.change(path)),
                None => self.change(path),
            };
            ChangedFile {
                path: format!("{}{}", path.display(), if slash { "/" } else { "" }),
                change,
                directory,
            }
        };
        paths.iter().map(one).collect()
    }

    /// The topmost directory around a path in which Git tracks nothing.
    fn unknown_directory(&self, path: &Path) -> Option<String> {
        if self.is_tracked(path) {
            return None;
        }
        let is_unknown = |one: &&Path| !one.as_os_str().is_empty() && !self.directories.contains(*one);
        let topmost = path.ancestors().skip(1).filter(is_unknown).last();
        topmost.map(|directory| format!("{}/", directory.display()))
    }

    /// Whether a path that differs is a directory: an empty one, or a submodule.
    fn is_directory(&self, path: &Path) -> bool {
        self.root.join(path).symlink_metadata().is_ok_and(|found| found.is_dir())
    }

    fn change(&self, path: &Path) -> Change {
        let is_there = || self.root.join(path).symlink_metadata().is_ok();
        let is_ignored = || self.repository.is_path_ignored(path).unwrap_or(false);
        if self.is_tracked(path) {
            if is_there() { Change::Modified } else { Change::Deleted }
        } else if is_ignored() {
            Change::Ignored
        } else {
            Change::Untracked
        }
    }

    /// 8 hexadecimal digits over these paths and what stands there now: the same wherever they are the same.
    pub(crate) fn hash(&self, paths: &BTreeSet<PathBuf>) -> String {
        let paths: Vec<&PathBuf> = paths.iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let part = paths.len().div_ceil(threads).max(1);
        let root = self.root.as_path();
        let digest = move |path: &&PathBuf| {
            let mut hasher = Sha256::new();
            let name = path.as_os_str().as_encoded_bytes();
            hasher.update(name.len().to_le_bytes());
            hasher.update(name);
            content(&root.join(path), &mut hasher);
            hasher.finalize()
        };
        let mut whole = Sha256::new();
        std::thread::scope(|scope| {
            let parts: Vec<_> = paths
                .chunks(part)
                .map(|part| scope.spawn(move || part.iter().map(digest).collect::<Vec<_>>()))
                .collect();
            for digests in parts.into_iter().filter_map(|part| part.join().ok()) {
                for digest in digests {
                    whole.update(digest);
                }
            }
        });
        hex::encode(&whole.finalize()[..4])
    }
}

#[derive(Default)]
struct FileStates {
    tracked: HashSet<PathBuf>,
    directories: HashSet<PathBuf>,
    changed: BTreeSet<PathBuf>,
}

impl FileStates {
    /// Takes a repository in, which lies `below` the root, and its submodules.
    fn take(&mut self, repository: &Repository, root: &Path, below: &Path) -> Result<(), git2::Error> {
        let index = repository.index()?;
        let (mut unseen, mut submodules) = (Vec::new(), Vec::new());
        for entry in index.iter() {
            let path = native(&entry.path);
            self.track(below.join(&path));
            if entry.mode == SUBMODULE {
                submodules.push(path);
            } else if entry.flags & ASSUME_UNCHANGED != 0 || entry.flags_extended & SKIP_WORKTREE != 0 {
                unseen.push(entry);
            }
        }
        for path in changed(repository)?.into_iter().chain(changed_unseen(repository, unseen)?) {
            self.change(below.join(path));
        }
        let tree = repository.head().and_then(|head| head.peel_to_tree()).ok();
        for path in submodules {
            let committed = tree.as_ref().and_then(|tree| tree.get_path(&path).ok()).map(|entry| entry.id());
            let place = below.join(&path);
            // One that was not checked out has no files that could differ.
            let Ok(inner) = open(&root.join(&place), &variable) else { continue };
            if inner.head().ok().and_then(|head| head.target()) != committed {
                self.change(place.clone());
            }
            self.take(&inner, root, &place)?;
        }
        Ok(())
    }

    fn track(&mut self, path: PathBuf) {
        let mut directory = path.parent();
        while let Some(one) = directory.filter(|one| !one.as_os_str().is_empty()) {
            if !self.directories.insert(one.to_path_buf()) {
                break;
            }
            directory = one.parent();
        }
        self.tracked.insert(path);
    }

    /// A path that was taken out of the index is still the commit's.
    fn change(&mut self, path: PathBuf) {
        self.track(path.clone());
        self.changed.insert(path);
    }
}

/// The paths of tracked files that differ from the commit.
fn changed(repository: &Repository) -> Result<Vec<PathBuf>, git2::Error> {
    let mut options = StatusOptions::new();
    options.include_untracked(false).include_ignored(false).exclude_submodules(true);
    let statuses = repository.statuses(Some(&mut options))?;
    Ok(statuses.iter().map(|entry| native(entry.path_bytes())).collect())
}

/// Of the entries that Git is told not to look at, those whose files differ all the same.
fn changed_unseen(repository: &Repository, entries: Vec<IndexEntry>) -> Result<Vec<PathBuf>, git2::Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut index = Index::new()?;
    let mut options = DiffOptions::new();
    options.disable_pathspec_match(true);
    for mut entry in entries {
        options.pathspec(native(&entry.path));
        entry.flags &= !ASSUME_UNCHANGED;
        entry.flags_extended &= !SKIP_WORKTREE;
        // What the index remembers of the file's times is from before: its content is looked at.
        entry.mtime = git2::IndexTime::new(0, 0);
        index.add(&entry)?;
    }
    let difference = repository.diff_index_to_workdir(Some(&index), Some(&mut options))?;
    let paths = difference.deltas().filter_map(|delta| delta.old_file().path_bytes().map(native));
    Ok(paths.collect())
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
        // A submodule at another commit; what differs in its files is among the paths itself.
        let commit = open(path, &variable).ok().and_then(|inner| inner.head().ok()?.target());
        hasher.update(commit.map_or_else(|| "directory".to_owned(), |commit| commit.to_string()));
    }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::commit_all;
    use super::*;

    /// A repository of `a`, `keep/b` and a `.gitignore` of `ignored`.
    fn work_tree() -> (tempfile::TempDir, Repository) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("keep")).unwrap();
        for (name, text) in [("a", "a"), ("keep/b", "b"), (".gitignore", "ignored\n")] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let repository = commit_all(directory.path());
        (directory, repository)
    }

    fn read(directory: &Path) -> WorkTree {
        WorkTree::read(directory).unwrap().unwrap()
    }

    fn changed_in(directory: &Path) -> Vec<String> {
        read(directory).changed().map(|path| path.display().to_string()).collect()
    }

    fn said(directory: &Path, path: &str) -> (String, Change) {
        let said = read(directory).describe(&[PathBuf::from(path)].into()).remove(0);
        (said.directory.unwrap_or(said.path), said.change)
    }

    #[test]
    fn only_what_git_tracks_is_compared() {
        let (directory, _repository) = work_tree();
        for name in ["ignored", "new"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let tree = read(&directory.path().join("keep"));
        assert_eq!(tree.root, directory.path().canonicalize().unwrap());
        assert_eq!(tree.changed().count(), 0);
        let tracked = |path: &str| tree.is_tracked(Path::new(path));
        assert!(tracked("a") && tracked("keep") && tracked("keep/b"));
        assert!(!tracked("ignored") && !tracked("new") && !tracked("keep/c"));
        assert!(WorkTree::read(tempfile::tempdir().unwrap().path()).unwrap().is_none());
    }

    #[test]
    fn a_file_differs_that_was_changed_removed_staged_or_taken_out() {
        let (directory, repository) = work_tree();
        fs::write(directory.path().join("a"), "A").unwrap();
        fs::remove_file(directory.path().join("keep/b")).unwrap();
        assert_eq!(changed_in(directory.path()), ["a", "keep/b"]);
        assert_eq!(said(directory.path(), "a"), ("a".to_owned(), Change::Modified));
        assert_eq!(said(directory.path(), "keep/b"), ("keep/b".to_owned(), Change::Deleted));
        let mut index = repository.index().unwrap();
        fs::write(directory.path().join("new"), "new").unwrap();
        index.add_path(Path::new("new")).unwrap();
        index.remove_path(Path::new("a")).unwrap();
        index.write().unwrap();
        assert_eq!(changed_in(directory.path()), ["a", "keep/b", "new"]);
    }

    #[test]
    fn what_git_is_told_to_take_for_unchanged_is_compared_all_the_same() {
        for (name, option) in [("assumed", ASSUME_UNCHANGED), ("skipped", 0)] {
            let (directory, repository) = work_tree();
            let mut index = repository.index().unwrap();
            for mut entry in index.iter().filter(|entry| entry.path != b".gitignore").collect::<Vec<_>>() {
                entry.flags |= option;
                entry.flags_extended |= if option == 0 { SKIP_WORKTREE } else { 0 };
                index.add(&entry).unwrap();
            }
            index.write().unwrap();
            assert_eq!(changed_in(directory.path()), Vec::<String>::new(), "{name}: nothing differs");
            fs::write(directory.path().join("a"), "b").unwrap();
            assert_eq!(changed_in(directory.path()), ["a"], "{name}");
            fs::remove_file(directory.path().join("keep/b")).unwrap();
            assert_eq!(changed_in(directory.path()), ["a", "keep/b"], "{name}");
        }
    }

    #[test]
    fn the_hash_is_that_of_what_differs() {
        let (directory, _repository) = work_tree();
        let write = |path: &str, text: &str| fs::write(directory.path().join(path), text).unwrap();
        let hash = |paths: &[&str]| {
            let paths: BTreeSet<PathBuf> = paths.iter().map(PathBuf::from).collect();
            read(directory.path()).hash(&paths)
        };
        write("new", "1");
        let one = hash(&["new"]);
        assert_eq!((one.len(), hash(&["new"])), (8, one.clone()));
        write("new", "2");
        assert_ne!(hash(&["new"]), one);
        write("new", "1");
        assert_eq!(hash(&["new"]), one);
        assert_ne!(hash(&["new", "a"]), one);
        let there = hash(&["a"]);
        fs::remove_file(directory.path().join("a")).unwrap();
        assert_ne!(hash(&["a"]), there);
        fs::rename(directory.path().join("new"), directory.path().join("newer")).unwrap();
        assert_ne!(hash(&["newer"]), one);
    }

    #[test]
    fn files_are_told_by_the_directory_that_git_does_not_know() {
        let (directory, _repository) = work_tree();
        fs::create_dir_all(directory.path().join("ignored/x")).unwrap();
        for name in ["ignored/x/1", "new", "keep/c"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let said = |path: &str| said(directory.path(), path);
        assert_eq!(said("ignored/x/1"), ("ignored/".to_owned(), Change::Ignored));
        assert_eq!(said("new"), ("new".to_owned(), Change::Untracked));
        assert_eq!(said("keep/c"), ("keep/c".to_owned(), Change::Untracked));
    }

    #[test]
    fn a_submodule_is_part_of_the_work_tree() {
        let (directory, repository) = work_tree();
        let inside = directory.path().join("sub");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("s"), "s").unwrap();
        let inner = commit_all(&inside);
        assert!(
            !read(directory.path()).is_tracked(Path::new("sub/s")),
            "a repository that happens to lie there"
        );
        let head = inner.head().unwrap().target().unwrap();
        let mut index = repository.index().unwrap();
        index.add_path(Path::new("sub")).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let parent = repository.head().unwrap().peel_to_commit().unwrap();
        let ann = parent.author();
        repository.commit(Some("HEAD"), &ann, &ann, "a submodule", &tree, &[&parent]).unwrap();
        assert_eq!(changed_in(directory.path()), Vec::<String>::new());
        assert!(read(directory.path()).is_tracked(Path::new("sub/s")));
        fs::write(inside.join("s"), "S").unwrap();
        assert_eq!(changed_in(directory.path()), ["sub/s"]);
        commit_all_again(&inner);
        assert_ne!(inner.head().unwrap().target().unwrap(), head);
        assert_eq!(changed_in(directory.path()), ["sub"]);
    }

    fn commit_all_again(repository: &Repository) {
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let parent = repository.head().unwrap().peel_to_commit().unwrap();
        let ann = parent.author();
        repository.commit(Some("HEAD"), &ann, &ann, "again", &tree, &[&parent]).unwrap();
    }
}
