//! Whether the inputs of images and manifests are committed.
//!
//! Git's status is not enough: an ignored file can be part of an image, and an untracked file may be in no image. What counts is
//! what is read: by the images' contexts, by `.kube`, by windlass.yaml.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::build::context::{Seen, directories, rules_file};
use crate::error::{Error, Kind, Result};
use crate::git::WorkTree;
use crate::manifest;
use crate::model::Changes;
use crate::project::Project;
use crate::session::Session;

/// The project, and whether its images and manifests are those of its commit.
///
/// # Errors
/// [`Kind::Invalid`] for a repository or a context that cannot be read.
pub(crate) async fn compared(session: &Session, mut project: Project) -> Result<Project> {
    if project.revision.is_none() {
        return Ok(project);
    }
    let copy = project.clone();
    // Looking at the files is work for a thread of its own.
    let comparing = tokio::task::spawn_blocking(move || compare(&copy));
    let comparing = async {
        let broken = |error| Error::new(Kind::Defect, format!("comparing the work tree: {error}"));
        comparing.await.map_err(broken)?
    };
    let difference = session.unless_cancelled(comparing).await?;
    if let (Some(revision), Some((hash, changes))) = (&mut project.revision, difference) {
        revision.dirty = true;
        (revision.dirty_hash, revision.changes) = (Some(hash), changes);
    }
    Ok(project)
}

/// What differs, where anything does, and the hash over it.
fn compare(project: &Project) -> Result<Option<(String, Changes)>> {
    let (tree, inputs) = std::thread::scope(|scope| {
        let inputs = scope.spawn(|| Inputs::of(project));
        let tree = WorkTree::read(&project.root);
        let broken = |_| Err(Error::new(Kind::Defect, "reading the contexts was aborted"));
        (tree, inputs.join().unwrap_or_else(broken))
    });
    let (Some(tree), inputs) = (tree?, inputs?) else { return Ok(None) };
    let mut differing: BTreeSet<PathBuf> =
        tree.changed().filter(|path| inputs.read(&tree.root.join(path))).map(Path::to_path_buf).collect();
    differing.extend(inputs.untracked(&tree));
    if differing.is_empty() {
        return Ok(None);
    }
    let mut changes = Changes::of(tree.describe(&differing));
    // What no context holds cannot be kept out of the images.
    changes.untracked &=
        differing.iter().any(|path| !tree.is_tracked(path) && inputs.is_held(&tree.root.join(path)));
    Ok(Some((tree.hash(&differing), changes)))
}

/// All that images and manifests are made of.
struct Inputs {
    contexts: Vec<Seen>,
    /// Single files, with and without links, whether they are there or not.
    files: BTreeSet<PathBuf>,
    manifests: manifest::Inputs,
}

impl Inputs {
    fn of(project: &Project) -> Result<Self> {
        let manifests = manifest::Inputs::of(&project.root);
        let mut files: BTreeSet<PathBuf> = manifests.files.iter().cloned().collect();
        let mut add = |file: &Path| {
            let file = plain(&project.root.join(file));
            files.extend(file.canonicalize());
            files.insert(file);
        };
        project.config_file.iter().for_each(|file| add(file));
        for tier in project.sample_tiers().flatten() {
            let values = tier.values.iter();
            let values = values.filter_map(|(file, place)| tier.expand(file, "values", place).ok());
            values.for_each(|file| add(Path::new(&file)));
        }
        let mut contexts = BTreeMap::new();
        for image in project.config.images.values() {
            add(&image.dockerfile);
            for (directory, dockerfile) in directories(image) {
                let (_, rules) = rules_file(&project.root, directory, dockerfile)?;
                add(&rules);
                // Images often share a context: it is looked at once.
                if let std::collections::btree_map::Entry::Vacant(new) =
                    contexts.entry((directory.to_path_buf(), rules))
                {
                    let report = project.report.as_deref();
                    new.insert(Seen::walk(&project.root, directory, dockerfile, report).map_err(unreadable)?);
                }
            }
        }
        Ok(Self { contexts: contexts.into_values().collect(), files, manifests })
    }

    /// Whether a file, which may be there no more, is read.
    fn read(&self, path: &Path) -> bool {
        self.files.contains(path) || self.manifests.read(path) || self.is_held(path)
    }

    /// Whether a context holds it.
    fn is_held(&self, path: &Path) -> bool {
        self.contexts.iter().any(|seen| path.strip_prefix(&seen.top).is_ok_and(|path| seen.holds(path)))
    }

    /// The files that are read and that Git does not track, whether it ignores them or not, and the directories that it
    /// could not have: empty ones. What is outside the repository is of no commit.
    fn untracked<'a>(&'a self, tree: &'a WorkTree) -> impl Iterator<Item = PathBuf> + 'a {
        let in_contexts = self.contexts.iter().flat_map(move |seen| {
            let below = seen.top.strip_prefix(&tree.root).ok();
            below.into_iter().flat_map(move |below| {
                seen.paths
                    .iter()
                    .enumerate()
                    .map(move |(at, path)| (below.join(path), seen.empty.binary_search(&at).is_ok()))
            })
        });
        let files = self.files.iter().filter_map(|file| file.strip_prefix(&tree.root).ok());
        let files = files.map(|file| (file.to_path_buf(), false));
        in_contexts.chain(files).filter_map(move |(path, is_empty)| {
            let is_git = path.components().any(|part| part.as_os_str() == ".git");
            let differs = !is_git && !tree.is_tracked(&path) && {
                let found = tree.root.join(&path).symlink_metadata();
                // A link to what is tracked leads to nothing that is not.
                found.is_ok_and(|found| is_empty || !found.is_dir())
            };
            differs.then_some(path)
        })
    }
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

fn unreadable(error: Error) -> Error {
    if error.hint().is_some() {
        return error;
    }
    error.with_hint("exclude what no image needs with .dockerignore")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Options;

    fn git(directory: &Path, arguments: &[&str]) {
        let ann = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
        let mut git = std::process::Command::new("git");
        let output = git.arg("-C").arg(directory).args(ann).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn differs(directory: &Path) -> String {
        let options = Options { directory: directory.to_path_buf(), ..Options::default() };
        let difference = compare(&crate::git::open_project(&options).unwrap()).unwrap();
        difference.map(|(_, changes)| changes.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_in_no_image_can_only_be_committed() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path();
        write(top, "windlass.yaml", "version: 1\nproject: web\nimages: {web: {}}\n");
        write(top, "Dockerfile", "FROM scratch\n");
        write(top, ".dockerignore", "windlass.yaml\n.kube\nchart\n");
        git(top, &["init", "-q", "-b", "main"]);
        git(top, &["add", "-A"]);
        git(top, &["commit", "-q", "-m", "first"]);
        // `helm create` makes such a directory.
        std::fs::create_dir_all(top.join("chart/charts")).unwrap();
        assert_eq!(differs(top), "");
        let can_be_excluded = || {
            let options = Options { directory: top.to_path_buf(), ..Options::default() };
            compare(&crate::git::open_project(&options).unwrap()).unwrap().unwrap().1.untracked
        };
        write(top, ".kube/app.yaml", "");
        assert!(!can_be_excluded(), "{}", differs(top));
        write(top, "notes", "");
        assert!(can_be_excluded(), "{}", differs(top));
    }

    #[test]
    fn of_a_repository_of_several_projects_each_counts_what_it_reads() {
        let root = tempfile::tempdir().unwrap();
        let (top, web) = (root.path(), root.path().join("services/web"));
        for (name, text) in [
            (
                "services/web/windlass.yaml",
                "version: 1\nproject: web\nimages: {web: {contexts: {assets: ../assets}}, all: {context: ../.., dockerfile: all.Dockerfile}}\n",
            ),
            ("services/web/all.Dockerfile.dockerignore", "*\n!shared\n"),
            ("services/web/all.Dockerfile", "FROM scratch\n"),
            ("services/web/Dockerfile", "FROM scratch\n"),
            ("services/web/.dockerignore", "tmp\n"),
            ("services/web/.kube/app.yaml", ""),
            ("services/web/src/a", "a"),
            ("services/api/x", "x"),
            ("services/assets/.dockerignore", "drafts\n"),
            ("services/assets/logo", "one"),
            ("shared/s", "s"),
            (".gitignore", "*.log\n"),
        ] {
            write(top, name, text);
        }
        git(top, &["init", "-q", "-b", "main"]);
        git(top, &["add", "-A"]);
        git(top, &["commit", "-q", "-m", "first"]);
        assert_eq!(differs(&web), "");
        for unread in [
            "services/api/x",
            "services/api/new",
            "services/assets/drafts/new",
            "services/web/tmp/t",
            ".env",
            "tmp.log",
        ] {
            write(top, unread, "another");
            assert_eq!(differs(&web), "", "{unread}");
        }
        let reads = [
            ("services/web/src/b", "`services/web/src/b` (not tracked by Git)"),
            ("services/web/b.log", "`services/web/b.log` (ignored by Git)"),
            ("shared/t", "`shared/t` (not tracked by Git)"),
            ("services/assets/tmp", "`services/assets/tmp` (not tracked by Git)"),
            ("services/web/.kube/b.yaml", "`services/web/.kube/b.yaml` (not tracked by Git)"),
        ];
        for (read, said) in reads {
            write(top, read, "another");
            assert_eq!(differs(&web), said);
            std::fs::remove_file(top.join(read)).unwrap();
        }
        std::fs::remove_file(web.join("src/a")).unwrap();
        assert_eq!(differs(&web), "`services/web/src/a` (deleted)");
        write(top, "services/web/src/a", "a");
        write(top, "services/web/all.Dockerfile.dockerignore", "*\n");
        assert_eq!(differs(&web), "`services/web/all.Dockerfile.dockerignore` (changed)");
    }

    #[test]
    fn what_git_keeps_for_itself_is_no_change() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "Dockerfile", "FROM scratch\n");
        assert_eq!(differs(root.path()), "", "no repository");
        git(root.path(), &["init", "-q", "-b", "main"]);
        git(root.path(), &["add", "-A"]);
        git(root.path(), &["commit", "-q", "-m", "first"]);
        assert_eq!(differs(root.path()), "");
    }
}
