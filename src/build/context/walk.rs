//! Walks a directory with the rules of its `.dockerignore`.

use std::io;
use std::path::{Path, PathBuf};

use super::entry::{Entry, EntryKind};
use super::{GIT, unreadable};
use crate::build::context::ignore::{Ignore, Line, Matched};
use crate::error::Result;

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct ContextFiles {
    /// What goes in, a directory before what it holds, otherwise by name.
    pub(crate) entries: Vec<Entry>,
    /// Every path with the line that decided about it, where that is wanted.
    pub(crate) decisions: Option<Vec<Decision>>,
}

/// What the rules say of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) path: PathBuf,
    /// A directory that is left out stands for all it holds.
    pub(crate) directory: bool,
    pub(crate) bytes: u64,
    pub(crate) ignored: bool,
    /// The line that decided, where one matched.
    pub(crate) line: Option<Line>,
}

/// The rules: those beside the Dockerfile under its name come before those of the context. A directory that the
/// Dockerfile knows by a name has only its own.
pub(crate) fn rules(root: &Path, directory: &Path, dockerfile: Option<&Path>) -> Result<Ignore> {
    for file in rules_files(directory, dockerfile) {
        match std::fs::read(root.join(&file)) {
            Ok(bytes) => return Ignore::parse(&String::from_utf8_lossy(&bytes), &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&file, &error)),
        }
    }
    Ok(Ignore::default())
}

/// Where the rules may be, in the order in which they count.
pub(crate) fn rules_files(directory: &Path, dockerfile: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let own = dockerfile.map(|dockerfile| PathBuf::from(format!("{}.dockerignore", dockerfile.display())));
    let files = own.into_iter().chain([directory.join(".dockerignore")]);
    files.map(|file| file.components().filter(|part| part.as_os_str() != ".").collect())
}

/// Walks below `top`; `listing` wants every decision noted.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for what cannot be read.
pub(crate) fn walk(top: &Path, ignore: &Ignore, listing: bool) -> Result<ContextFiles> {
    let found = ContextFiles { entries: Vec::new(), decisions: listing.then(Vec::new) };
    let mut walk = ContextWalk { top, ignore, found };
    walk.directory(Path::new(""), &Matched::default())?;
    Ok(walk.found)
}

struct ContextWalk<'a> {
    top: &'a Path,
    ignore: &'a Ignore,
    found: ContextFiles,
}

impl ContextWalk<'_> {
    fn directory(&mut self, below: &Path, parent: &Matched) -> Result<()> {
        let directory = self.top.join(below);
        let failed = |error: io::Error| unreadable(&directory, &error);
        let mut found =
            std::fs::read_dir(&directory).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        found.sort_by_key(std::fs::DirEntry::file_name);
        for item in found {
            let path = below.join(item.file_name());
            let name = path.to_string_lossy();
            let answer = self.ignore.check(&name, parent);
            let line = self.found.decisions.is_some().then(|| self.ignore.line(&answer)).flatten();
            let kind = item.file_type().map_err(failed)?;
            if !kind.is_dir() {
                self.file(path, item.path(), kind, answer.ignored, line)?;
                continue;
            }
            let is_report = !answer.ignored && is_report(&item.path());
            let ignored = answer.ignored || is_report;
            let enters = !is_report && (!ignored || self.ignore.brings_back_below(&name));
            let (at, noted) = (self.found.entries.len(), self.found.decisions.as_ref().map_or(0, Vec::len));
            if enters {
                self.directory(&path, &answer.matched)?;
            }
            // An ignored directory exists for the sake of what was brought back into it.
            let goes_in = !ignored || self.found.entries.len() > at;
            if let Some(decisions) = &mut self.found.decisions
                && (!goes_in || decisions.len() == noted)
            {
                // Nothing was brought back: one line stands for all that it holds.
                decisions.truncate(noted);
                decisions.push(Decision { path: path.clone(), directory: true, bytes: 0, ignored, line });
            }
            if goes_in {
                let kind = EntryKind::Directory;
                self.found.entries.insert(at, Entry { path, source: item.path(), kind, digest: None });
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: PathBuf,
        source: PathBuf,
        kind: std::fs::FileType,
        ignored: bool,
        line: Option<Line>,
    ) -> Result<()> {
        if ignored && self.found.decisions.is_none() {
            return Ok(());
        }
        // What is read tells its size then, on all processors.
        let is_read = self.found.decisions.is_none() && !path.starts_with(GIT);
        let Some(entry) = entry(path, source, kind, is_read)? else { return Ok(()) };
        if let Some(decisions) = &mut self.found.decisions {
            let (path, bytes) = (entry.path.clone(), entry.size());
            decisions.push(Decision { path, directory: false, bytes, ignored, line });
        }
        if !ignored {
            self.found.entries.push(entry);
        }
        Ok(())
    }
}

/// Whether a directory holds nothing but the reports of an earlier run: GitLab hands a job those of the jobs before it, and
/// they are no part of the commit.
fn is_report(directory: &Path) -> bool {
    directory.join(crate::report::FILES[0]).is_file() && crate::report::is_ours(directory)
}

/// A file or link; `None` for sockets, pipes and devices, which no image holds. A file that `is_read` later has no size yet.
fn entry(path: PathBuf, source: PathBuf, kind: std::fs::FileType, is_read: bool) -> Result<Option<Entry>> {
    let failed = |error: io::Error| unreadable(&source, &error);
    let kind = if kind.is_symlink() {
        EntryKind::Link { target: std::fs::read_link(&source).map_err(failed)? }
    } else if kind.is_file() && is_read {
        EntryKind::File { executable: false, size: 0 }
    } else if kind.is_file() {
        EntryKind::of_file(&std::fs::metadata(&source).map_err(failed)?)
    } else {
        return Ok(None);
    };
    Ok(Some(Entry { path, source, kind, digest: None }))
}
