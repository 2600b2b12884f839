//! Which files the manifests are made of, whatever tier they are for.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::manifest::sources::read;

/// The files below `.kube` that are read.
pub struct Inputs {
    kube: PathBuf,
    /// Those that are there, without links.
    pub files: Vec<PathBuf>,
    /// A chart and a kustomization may take any file, not manifests alone.
    takes_all: bool,
    /// A path in one of them leads out of `.kube`.
    leads_out: bool,
}

impl Inputs {
    /// Of the project at this root.
    pub fn of(root: &Path) -> Self {
        let kube = root.join(".kube");
        let found = WalkDir::new(&kube).follow_links(true).into_iter().filter_map(Result::ok);
        let found: Vec<PathBuf> =
            found.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect();
        let descriptions: Vec<&PathBuf> = found.iter().filter(|file| read::is_description(file)).collect();
        let takes_all = !descriptions.is_empty();
        let leads_out =
            |file: &&PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains("../"));
        let leads_out = descriptions.into_iter().any(|file| leads_out(&file));
        let files = found.into_iter().filter(|file| takes_all || read::is_manifest(file));
        let files = files.filter_map(|file| file.canonicalize().ok()).collect();
        Self { kube, files, takes_all, leads_out }
    }

    /// Whether a file of the project, which may be there no more, is read. Where a path leads out of `.kube`, nobody knows
    /// which are not.
    pub fn read(&self, file: &Path) -> bool {
        self.leads_out || file.starts_with(&self.kube) && (self.takes_all || read::is_manifest(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_and_of_a_kustomization_everything() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join(".kube/a")).unwrap();
        for name in [".kube/a/web.yaml", ".kube/notes.txt", "other.yaml"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let inputs = Inputs::of(&root);
        let read = |inputs: &Inputs, name: &str| inputs.read(&root.join(name));
        assert_eq!(inputs.files, [root.join(".kube/a/web.yaml")]);
        assert!(read(&inputs, ".kube/gone.json") && !read(&inputs, ".kube/notes.txt"));
        std::fs::write(root.join(".kube/kustomization.yaml"), "resources: [a/web.yaml]\n").unwrap();
        let inputs = Inputs::of(&root);
        assert!(read(&inputs, ".kube/notes.txt") && !read(&inputs, "other.yaml"));
        assert_eq!(inputs.files.len(), 3);
        std::fs::write(root.join(".kube/kustomization.yaml"), "resources: [../other.yaml]\n").unwrap();
        assert!(read(&Inputs::of(&root), "other.yaml"));
    }
}
