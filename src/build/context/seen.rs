//! What a build may see of a directory by its paths alone: nothing is read.

use std::path::{Path, PathBuf};

use super::entry::EntryKind;
use super::{leave_out, walk};
use crate::build::context::ignore::Ignore;
use crate::error::Result;
use crate::project::ImageConfig;

/// The paths of a context.
pub(crate) struct Seen {
    /// Where it is, without links.
    pub(crate) top: PathBuf,
    /// What lies there, in order; a directory before what it holds.
    pub(crate) paths: Vec<PathBuf>,
    /// The places in `paths` of directories in which nothing lies.
    pub(crate) empty: Vec<usize>,
    rules: Ignore,
}

impl Seen {
    /// Looks at `directory`, relative to `root`, without what this run reports; a directory that is missing has no
    /// paths.
    ///
    /// # Errors
    /// As [`Context::find`](super::Context::find).
    pub(crate) fn walk(
        root: &Path,
        directory: &Path,
        dockerfile: Option<&Path>,
        report: Option<&Path>,
    ) -> Result<Self> {
        let rules = walk::rules(root, directory, dockerfile)?;
        let Ok(top) = root.join(directory).canonicalize() else {
            return Ok(Self { top: root.join(directory), paths: Vec::new(), empty: Vec::new(), rules });
        };
        let mut entries = walk::walk(&top, &rules, false)?.entries;
        if let Some(report) = report {
            leave_out(&mut entries, &top, report);
        }
        let is_empty = |at: &usize| {
            let (entry, next) = (&entries[*at], entries.get(at + 1));
            entry.kind == EntryKind::Directory && next.is_none_or(|next| !next.path.starts_with(&entry.path))
        };
        let empty = (0..entries.len()).filter(is_empty).collect();
        let paths = entries.into_iter().map(|entry| entry.path).collect();
        Ok(Self { top, paths, empty, rules })
    }

    /// Whether this path, which need not be there, is or would be part of the context.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        // They are in the order of paths: what lies below one follows it.
        let at = self.paths.partition_point(|one| one.as_path() < path);
        is_seen(&self.rules, path) || self.paths.get(at).is_some_and(|one| one.starts_with(path))
    }
}

/// Whether these rules leave a path in the context.
pub(crate) fn is_seen(rules: &Ignore, path: &Path) -> bool {
    !rules.ignores(&path.to_string_lossy())
}

/// The rules of an image, and the file that they stand in or would stand in.
pub(crate) fn rules_file(
    root: &Path,
    directory: &Path,
    dockerfile: Option<&Path>,
) -> Result<(Ignore, PathBuf)> {
    let files = || walk::rules_files(directory, dockerfile);
    let file = files().find(|file| root.join(file).is_file()).or_else(|| files().last());
    Ok((walk::rules(root, directory, dockerfile)?, file.unwrap_or_default()))
}

/// The directories that an image is built from: its context, with the Dockerfile whose rules come first there, and those that the
/// Dockerfile knows by names.
pub(crate) fn directories(image: &ImageConfig) -> impl Iterator<Item = (&Path, Option<&Path>)> {
    let named = image.contexts.values().filter(|value| !is_elsewhere(value));
    std::iter::once((&*image.context, Some(&*image.dockerfile)))
        .chain(named.map(|value| (Path::new(value), None)))
}

/// Whether a named context is no directory of the project: an image, a repository, another address.
pub(crate) fn is_elsewhere(value: &str) -> bool {
    value.contains("://") || value.starts_with("git@") || value.starts_with("target:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_context_and_of_what_is_no_more() {
        let root = tempfile::tempdir().unwrap();
        for name in ["Dockerfile", "src/a", "out/x", "report/events.jsonl", "report/other"] {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(root.path().join(name), "").unwrap();
        }
        std::fs::write(root.path().join("report/.gitignore"), "*\n").unwrap();
        std::fs::create_dir_all(root.path().join("src/nothing")).unwrap();
        std::fs::write(root.path().join(".dockerignore"), "out/*\n.dockerignore\n").unwrap();
        let seen = Seen::walk(root.path(), Path::new("."), Some(Path::new("Dockerfile")), None).unwrap();
        let paths: Vec<_> = seen.paths.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(
            paths,
            ["Dockerfile", "out", "src", "src/a", "src/nothing"],
            "no report of an earlier run"
        );
        assert_eq!(
            seen.empty.iter().map(|at| paths[*at].as_str()).collect::<Vec<_>>(),
            ["out", "src/nothing"]
        );
        let holds = |path: &str| seen.holds(Path::new(path));
        assert!(holds("src/was/there") && holds("src") && !holds("out/was/there"));
    }
}
