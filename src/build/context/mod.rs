//! The files a build may see: found, sorted, hashed, and sent as a tar that is the same on every machine.
//!
//! Owner is root, a file is executable or it is not, every time stamp is [`TIME`]: neither what differs between a laptop and
//! a runner nor the commit reaches the image.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, Place, Result};

pub(crate) mod compare;
pub(crate) mod entry;
pub(crate) mod exposed;
pub(crate) mod ignore;
pub(crate) mod listing;
pub(crate) mod seen;
pub(crate) mod unwanted;
pub(crate) mod walk;

pub(crate) use crate::build::context::entry::{Entry, EntryKind, field};
pub(crate) use crate::build::context::listing::Listing;
pub(crate) use crate::build::context::seen::{Seen, directories, is_elsewhere, is_seen, rules_file};
use crate::build::context::walk::Decision;

/// What a directory of Git's is called; see [`Context::hash`].
const GIT: &str = ".git";
/// The rules of the context.
const IGNORE: &str = ".dockerignore";

/// The time stamp of every file and of every image, in unix seconds: 1980-02-01. A commit's own time would make another image of
/// every commit; archivers refuse what is before 1980 in any time zone.
pub(crate) const TIME: u64 = 318_211_200;

/// More threads than this only wait for the disk.
const READERS: usize = 8;
/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// Everything one image is built from.
#[derive(Debug)]
pub(crate) struct Context {
    /// In the order in which they are sent: a directory before what it holds, otherwise by name.
    pub(crate) entries: Vec<Entry>,
    /// The Dockerfile's path in the context; a made-up one where it lies outside.
    pub(crate) dockerfile: String,
    /// Its text.
    pub(crate) text: String,
    /// What only a builder that knows no session must be sent as well: a Dockerfile that is ignored or lies outside, and the
    /// rules, by which that builder takes both out again once it has read them.
    unseen: Vec<Entry>,
}

impl Context {
    /// Looks at `directory` and `dockerfile`, both relative to `root`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where one of them does not exist or something in it cannot be read.
    pub(crate) fn find(root: &Path, directory: &Path, dockerfile: &Path) -> Result<Self> {
        Self::collect(root, directory, dockerfile, false).map(|(context, _)| context)
    }

    /// A directory that the Dockerfile knows by a name; it has rules of its own.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where it does not exist or something in it cannot be read.
    pub(crate) fn named(root: &Path, directory: &Path) -> Result<Self> {
        let top = root.join(directory);
        if !top.is_dir() {
            return Err(Error::new(
                Kind::Invalid,
                format!("there is no directory `{}`", directory.display()),
            ));
        }
        let rules = walk::rules(root, directory, None)?;
        let entries = walk::walk(&top, &rules, false)?.entries;
        Ok(Self { entries, dockerfile: String::new(), text: String::new(), unseen: Vec::new() })
    }

    /// As [`Context::find`], with the line that decided about each path.
    pub(crate) fn list(root: &Path, directory: &Path, dockerfile: &Path) -> Result<Listing> {
        let (context, decisions) = Self::collect(root, directory, dockerfile, true)?;
        Ok(Listing { context, decisions })
    }

    fn collect(
        root: &Path,
        directory: &Path,
        dockerfile: &Path,
        listing: bool,
    ) -> Result<(Self, Vec<Decision>)> {
        let top = root.join(directory);
        let text = check(root, directory, dockerfile)?;
        let rules = walk::rules(root, directory, Some(dockerfile))?;
        let found = walk::walk(&top, &rules, listing)?;
        let mut context =
            Self { entries: found.entries, dockerfile: String::new(), text, unseen: Vec::new() };
        context.dockerfile = context.with_dockerfile(&top, &root.join(dockerfile))?;
        Ok((context, found.decisions.unwrap_or_default()))
    }

    /// Leaves a directory of reports out, whatever `.dockerignore` says of it; `top` is what [`Context::find`] looked at.
    pub(crate) fn leave_out(&mut self, top: &Path, directory: &Path) {
        leave_out(&mut self.entries, top, directory);
    }

    /// Where the Dockerfile is for a builder, which may not see it among the files.
    fn with_dockerfile(&mut self, top: &Path, dockerfile: &Path) -> Result<String> {
        let real = |path: &Path| path.canonicalize().map_err(|error| unreadable(path, &error));
        let source = real(dockerfile)?;
        let path = match source.strip_prefix(real(top)?) {
            Ok(inside) => inside.to_path_buf(),
            Err(_) => PathBuf::from(".windlass.Dockerfile"),
        };
        let is_seen = |path: &Path| self.entries.iter().any(|entry| entry.path == path);
        if !is_seen(&path) {
            let kind = EntryKind::File { executable: false, size: self.text.len() as u64 };
            let digest = Some(Sha256::digest(&self.text).into());
            self.unseen.push(Entry { path: path.clone(), source, kind, digest });
            let (rules, name) = (top.join(IGNORE), PathBuf::from(IGNORE));
            if let Ok(bytes) = std::fs::read(&rules)
                && !is_seen(&name)
            {
                let kind = EntryKind::File { executable: false, size: bytes.len() as u64 };
                let digest = Some(Sha256::digest(&bytes).into());
                self.unseen.push(Entry { path: name, source: rules, kind, digest });
            }
        }
        Ok(path.to_string_lossy().into_owned())
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.entries.iter().map(Entry::size).sum()
    }

    /// The paths that have most of the bytes, the biggest first: directories of the root, or what makes one of them big.
    pub(crate) fn biggest(&self, number: usize) -> Vec<(String, u64)> {
        let mut sizes: BTreeMap<&Path, u64> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.size() > 0) {
            for path in entry.path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
                *sizes.entry(path).or_default() += entry.size();
            }
        }
        let at_root = sizes.keys().filter(|path| path.parent() == Some(Path::new("")));
        let mut biggest: Vec<_> = at_root.map(|path| narrow(path, &sizes)).collect();
        biggest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        biggest.truncate(number);
        biggest.into_iter().map(|(path, size)| (path.to_string_lossy().into_owned(), size)).collect()
    }

    /// Is a Git directory among the files?
    pub(crate) fn has_git(&self) -> bool {
        self.entries.iter().any(|entry| entry.path.starts_with(GIT))
    }

    /// Leaves out what is not needed: a builder that fetches the files one by one need not know of the others.
    pub(crate) fn narrow(&mut self, is_needed: &dyn Fn(&str) -> bool) {
        self.entries.retain(|entry| is_needed(&entry.path.to_string_lossy()));
    }

    /// Feeds all that `counts` to the hash: path, mode, target of a link, bytes. What Git keeps for itself is different on every
    /// machine: the commit stands for it.
    pub(crate) fn hash(
        &mut self,
        hash: &mut Sha256,
        commit: &str,
        counts: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        self.read()?;
        let mut has_git = false;
        for entry in self.entries.iter().filter(|entry| counts(&entry.path.to_string_lossy())) {
            if entry.path.starts_with(GIT) {
                has_git = true;
            } else {
                entry.hash(hash).map_err(|error| unreadable(&entry.source, &error))?;
            }
        }
        if has_git {
            field(hash, GIT.as_bytes());
            field(hash, commit.as_bytes());
        }
        Ok(())
    }

    /// Reads every file that counts, on all processors.
    fn read(&mut self) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(READERS);
        let part = self.entries.len().div_ceil(threads).max(1);
        let read = |entries: &mut [Entry]| {
            let mut buffer = vec![0; BUFFER];
            for entry in entries.iter_mut().filter(|entry| !entry.path.starts_with(GIT)) {
                entry.read(&mut buffer).map_err(|error| unreadable(&entry.source, &error))?;
            }
            Ok::<_, Error>(())
        };
        std::thread::scope(|scope| {
            let parts = self.entries.chunks_mut(part).map(|entries| scope.spawn(move || read(entries)));
            let parts: Vec<_> = parts.collect();
            let broken = |_| Err(Error::new(Kind::Defect, "reading the context was aborted"));
            parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(broken))
        })
    }

    /// Writes the tar. A file that is not as it was when it was hashed is an error: an image under the tag of another content
    /// would be found again for ever.
    pub(crate) fn write(&self, to: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(to);
        for entry in self.entries.iter().chain(&self.unseen) {
            entry.write(&mut tar).map_err(|error| {
                io::Error::new(error.kind(), format!("{} cannot be sent: {error}", entry.source.display()))
            })?;
        }
        tar.into_inner()?.flush()
    }
}

fn leave_out(entries: &mut Vec<Entry>, top: &Path, directory: &Path) {
    let Ok(top) = top.canonicalize() else { return };
    let Ok(inside) = directory.strip_prefix(&top) else { return };
    if crate::report::is_ours(directory) {
        return entries.retain(|entry| !entry.path.starts_with(inside));
    }
    // Among what others have in it only what this run writes there is left out.
    let is_written = |path: &Path| crate::report::FILES.iter().any(|name| path == inside.join(name));
    let tests: BTreeSet<PathBuf> = entries
        .iter()
        .filter_map(|entry| entry.path.parent())
        .filter(|parent| parent.parent() == Some(&inside.join("tests")))
        .filter(|parent| crate::report::is_ours(&top.join(parent)))
        .map(Path::to_path_buf)
        .collect();
    entries.retain(|entry| {
        !is_written(&entry.path) && !entry.path.ancestors().any(|parent| tests.contains(parent))
    });
}

/// The path below this one that has nearly all of its bytes.
fn narrow<'a>(path: &'a Path, sizes: &BTreeMap<&'a Path, u64>) -> (&'a Path, u64) {
    let size = sizes[path];
    // What lies below a path follows it in the order of paths.
    let below = sizes.range(path..).skip(1).take_while(|(one, _)| one.starts_with(path));
    let most = below.filter(|(one, _)| one.parent() == Some(path)).max_by_key(|(_, size)| **size);
    match most {
        Some((child, part)) if part * 10 >= size * 9 => narrow(child, sizes),
        _ => (path, size),
    }
}

/// The text of an image's Dockerfile, where it has its directory, too.
///
/// # Errors
/// [`Kind::Invalid`] where it has not.
pub(crate) fn check(root: &Path, directory: &Path, dockerfile: &Path) -> Result<String> {
    if !root.join(directory).is_dir() {
        let message = format!("the build context `{}` does not exist", directory.display());
        return Err(Error::new(Kind::Invalid, message)
            .with_hint("`context:` names a directory, relative to windlass.yaml"));
    }
    std::fs::read_to_string(root.join(dockerfile)).map_err(|error| no_dockerfile(dockerfile, &error))
}

fn no_dockerfile(dockerfile: &Path, error: &io::Error) -> Error {
    if error.kind() != io::ErrorKind::NotFound {
        return unreadable(dockerfile, error);
    }
    Error::new(Kind::Invalid, format!("there is no `{}`", dockerfile.display()))
        .with_hint("create it, or set `dockerfile:` of the image in windlass.yaml, relative to that file")
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Invalid, format!("it cannot be read: {error}")).at(Place::file(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use serde::Deserialize;

    use super::*;

    /// A project with these files; a name that ends in `*` is executable.
    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name.trim_end_matches('*'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            let mode = if name.ends_with('*') { 0o711 } else { 0o640 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        root
    }

    fn names(context: &Context) -> Vec<String> {
        context.entries.iter().map(|entry| entry.path.display().to_string()).collect()
    }

    fn hash(root: &Path) -> Vec<u8> {
        let mut hash = Sha256::new();
        let mut context = Context::find(root, Path::new("."), Path::new("Dockerfile")).unwrap();
        context.hash(&mut hash, "c0ffee", &|_| true).unwrap();
        hash.finalize().to_vec()
    }

    #[test]
    fn ignored_directories_come_only_with_what_was_brought_back() {
        let files = [
            ("Dockerfile", ""),
            (".dockerignore", "*\n!a/b/keep"),
            ("a/b/keep", "1"),
            ("a/c", "2"),
            ("d/e", "3"),
        ];
        let root = project(&files);
        let context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        assert_eq!(names(&context), ["a", "a/b", "a/b/keep"]);
        let unseen: Vec<_> = context.unseen.iter().map(|entry| entry.path.display().to_string()).collect();
        assert_eq!(unseen, ["Dockerfile", ".dockerignore"], "for a builder that takes them out again");
    }

    #[test]
    fn the_reports_of_this_run_are_no_part_of_it() {
        let root = project(&[
            ("Dockerfile", "FROM scratch\n"),
            ("report/.gitignore", "*\n"),
            ("report/x", "{}"),
            ("reports", ""),
        ]);
        let mut context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        context.leave_out(root.path(), &root.path().canonicalize().unwrap().join("report"));
        assert_eq!(names(&context), ["Dockerfile", "reports"]);
    }

    #[test]
    fn of_a_directory_that_is_not_only_for_reports_the_rest_is_built() {
        let files = [
            ("Dockerfile", "FROM scratch\n"),
            ("events.jsonl", "{}"),
            ("tests/unit/.gitignore", "*\n"),
            ("tests/unit/junit.xml", ""),
            ("tests/own/code", ""),
        ];
        let root = project(&files);
        let mut context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        context.leave_out(root.path(), &root.path().canonicalize().unwrap());
        assert_eq!(names(&context), ["Dockerfile", "tests", "tests/own", "tests/own/code"]);
    }

    #[test]
    fn a_dockerfile_elsewhere_brings_its_own_rules() {
        let root = project(&[
            ("docker/app.Dockerfile", "FROM scratch"),
            ("docker/app.Dockerfile.dockerignore", "b"),
            ("src/.dockerignore", "a"),
            ("src/a", ""),
            ("src/b", ""),
        ]);
        let context =
            Context::find(root.path(), Path::new("src"), Path::new("docker/app.Dockerfile")).unwrap();
        assert_eq!(names(&context), [".dockerignore", "a"]);
        assert_eq!(
            (context.dockerfile.as_str(), context.text.as_str()),
            (".windlass.Dockerfile", "FROM scratch")
        );
    }

    #[test]
    fn the_tar_is_the_same_whoever_made_it() {
        let root = project(&[("Dockerfile", "FROM scratch"), ("run*", "#!"), ("empty", "")]);
        symlink("run", root.path().join("link")).unwrap();
        let mut context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        let mut bytes = Vec::new();
        assert!(context.write(&mut bytes).is_err(), "nobody knows yet what it has");
        bytes.clear();
        context.hash(&mut Sha256::new(), "c", &|_| true).unwrap();
        context.write(&mut bytes).unwrap();
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, TIME));
            found.insert(entry.path().unwrap().display().to_string(), header.mode().unwrap());
        }
        let expected = [("Dockerfile", 0o644), ("empty", 0o644), ("link", 0o777), ("run", 0o755)];
        assert_eq!(found, expected.map(|(name, mode)| (name.to_owned(), mode)).into());
    }

    #[test]
    fn the_hash_sees_what_an_image_would_and_nothing_else() {
        let files = [("Dockerfile", "FROM scratch"), ("a", "1"), (".git/index", "x")];
        let root = project(&files);
        let before = hash(root.path());
        std::fs::write(root.path().join(".git/index"), "y").unwrap();
        std::fs::set_permissions(root.path().join("a"), std::fs::Permissions::from_mode(0o604)).unwrap();
        assert_eq!(hash(root.path()), before, "Git's own files and other people's rights do not count");
        std::fs::set_permissions(root.path().join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(hash(root.path()), before);
        let other = project(&[("Dockerfile", "FROM scratch"), ("b", "1"), (".git/index", "x")]);
        assert_ne!(hash(other.path()), before);
    }

    #[test]
    fn a_file_that_changes_after_it_was_hashed_is_not_sent() {
        let root = project(&[("Dockerfile", "FROM scratch"), ("log", "1")]);
        let mut context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        context.hash(&mut Sha256::new(), "", &|_| true).unwrap();
        context.write(io::sink()).unwrap();
        std::fs::write(root.path().join("log"), "2").unwrap();
        let error = context.write(io::sink()).unwrap_err();
        assert!(error.to_string().contains("log cannot be sent: it changed"), "{error}");
        std::fs::write(root.path().join("log"), "").unwrap();
        assert!(context.write(io::sink()).is_err(), "nor one that became shorter");
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = project(&[("a", "")]);
        let error = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap_err();
        assert!(error.message().contains("`Dockerfile`") && error.hint().is_some(), "{error}");
        let error = Context::find(root.path(), Path::new("web"), Path::new("Dockerfile")).unwrap_err();
        assert!(error.message().contains("`web`"), "{error}");
    }

    #[derive(Deserialize)]
    struct Case {
        ignore: String,
        files: Vec<String>,
        sent: Vec<String>,
        #[serde(default)]
        error: bool,
    }

    /// What Docker's own libraries answered; see `fixtures/dockerignore`.
    #[test]
    fn the_same_files_go_in_as_with_docker() {
        let cases = include_str!("../../../fixtures/dockerignore/cases.jsonl");
        for case in cases.lines().map(|line| serde_json::from_str::<Case>(line).unwrap()) {
            let root = tempfile::tempdir().unwrap();
            for file in &case.files {
                let path = root.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            let rules =
                crate::build::context::ignore::Ignore::parse(&case.ignore, Path::new(".dockerignore"));
            let Ok(rules) = rules else {
                assert!(case.error, "refused, but Docker takes it: {:?}", case.ignore);
                continue;
            };
            let mut sent: Vec<String> =
                walk::walk(root.path(), &rules, false).unwrap().entries.iter().map(shown).collect();
            sent.sort();
            let mut expected = case.sent;
            expected.sort();
            assert!(!case.error, "Docker refuses it: {:?}", case.ignore);
            assert_eq!(sent, expected, "{:?}", case.ignore);
        }
    }

    fn shown(entry: &Entry) -> String {
        let slash = if entry.kind == EntryKind::Directory { "/" } else { "" };
        format!("{}{slash}", entry.path.display())
    }
}
