//! Submodules of the repository that nobody has checked out, as a job of GitLab has them by default.

use std::path::{Path, PathBuf};

use super::discover;
use crate::project::variable;

/// Where the repository around this directory has submodules with nothing in them, in sorted order.
pub(crate) fn missing(root: &Path) -> Vec<PathBuf> {
    let Ok(repository) = discover(root, &variable) else { return Vec::new() };
    let (Some(top), Ok(submodules)) = (repository.workdir(), repository.submodules()) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = submodules.iter().map(|one| top.join(one.path())).collect();
    paths.retain(|path| std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none()));
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::commit_all;

    #[test]
    fn a_submodule_that_nobody_checked_out_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let module = |name: &str| format!("[submodule \"{name}\"]\n\tpath = {name}\n\turl = ../{name}.git\n");
        std::fs::write(root.join(".gitmodules"), format!("{}{}", module("empty"), module("there"))).unwrap();
        for name in ["empty", "there"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::fs::write(root.join("there/file"), "x").unwrap();
        commit_all(&root);
        assert_eq!(missing(&root), [root.join("empty")]);
        assert!(missing(tempfile::tempdir().unwrap().path()).is_empty());
    }
}
