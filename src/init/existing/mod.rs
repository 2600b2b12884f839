//! Manifests that a repository has elsewhere than in `.kube`: plain files, a kustomization, a chart.

pub(super) mod chart;
pub(super) mod kept;
mod kustomize;
mod plain;
mod registry;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use walkdir::WalkDir;

use crate::error::{Error, Kind, Place, Result};
use crate::init::configuration::TierEntry;
use crate::init::file::File;
use crate::init::images::Image;
use crate::model::Reference;
use crate::report::view::setup::init::FirstFiles;

/// What they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Kustomization,
    Chart,
}

/// A directory of manifests, relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Existing {
    pub(super) directory: PathBuf,
    pub(super) form: Form,
}

/// What the manifests are taken over for.
pub(super) struct Target<'a> {
    pub(super) root: &'a Path,
    pub(super) project: &'a str,
    pub(super) images: &'a [Image],
    /// `host/path`
    pub(super) registry: Option<&'a str>,
}

/// What the manifests come to in windlass.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) files: Vec<File>,
    /// The tiers that they are written for; none where they are the same for all.
    pub(super) tiers: Vec<TierEntry>,
    /// The namespace that they name.
    pub(super) namespace: Option<String>,
    /// Whether they name the registry, so that it cannot be another one in a fork.
    pub(super) has_registry: bool,
}

/// Where people keep them.
const PLACES: [&str; 11] = [
    "k8s",
    "kubernetes",
    "kube",
    "manifests",
    "kustomize",
    "deploy",
    "deployment",
    "deployments",
    "chart",
    "charts",
    "helm",
];
/// What people call tiers; the last one is after all others.
pub(super) const TIERS: [&str; 12] = [
    "dev",
    "development",
    "test",
    "testing",
    "qa",
    "uat",
    "stage",
    "staging",
    "preprod",
    "live",
    "prod",
    "production",
];
/// The names of a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
const CHART: &str = "Chart.yaml";
/// No directory of manifests is deeper.
const DEEPEST: usize = 6;

/// The directories of a repository that hold manifests.
pub(super) fn find(root: &Path) -> Vec<Existing> {
    PLACES.iter().filter_map(|place| form(root, Path::new(place))).collect()
}

/// What a directory holds, or the only chart in it; `None` where that is no manifest.
pub(super) fn form(root: &Path, directory: &Path) -> Option<Existing> {
    let is = |form| Some(Existing { directory: directory.to_path_buf(), form });
    let path = root.join(directory);
    if path.join(CHART).is_file() {
        return is(Form::Chart);
    }
    if has_kustomization(&path) || !overlays(&path).is_empty() {
        return is(Form::Kustomization);
    }
    let charts: Vec<PathBuf> = files(&path).into_iter().filter(|file| file.ends_with(CHART)).collect();
    if let [chart] = charts.as_slice() {
        let directory = chart.parent()?.strip_prefix(root).ok()?.to_path_buf();
        return Some(Existing { directory, form: Form::Chart });
    }
    let has_manifest = || files(&path).iter().any(|file| is_manifest(file));
    if charts.is_empty() && has_manifest() { is(Form::Plain) } else { None }
}

/// The directory that was named.
///
/// # Errors
/// [`Kind::Invalid`] where it holds no manifests or is the root itself.
pub(super) fn named(root: &Path, directory: &Path) -> Result<Existing> {
    let invalid = |message: &str| Error::new(Kind::Invalid, message).at(Place::file(directory));
    if directory == Path::new(".") {
        return Err(invalid("manifests in the root of the repository cannot be told from other files")
            .with_hint("move them into `.kube`"));
    }
    form(root, directory).ok_or_else(|| {
        invalid("this directory has no manifests")
            .with_hint("YAML with `apiVersion` and `kind`, a kustomization, or one chart")
    })
}

impl Existing {
    /// The registry that the manifests name for the project's images, and the file that does.
    pub(super) fn registry(&self, target: &Target<'_>) -> Option<(String, PathBuf)> {
        registry::of(self, target)
    }

    /// Takes the manifests over, without a change to them.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what cannot be read.
    pub(super) fn take(&self, target: &Target<'_>, notes: &mut FirstFiles) -> Result<Taken> {
        match self.form {
            Form::Plain => plain::take(target, &self.directory, notes),
            Form::Kustomization => Ok(kustomize::take(target, &self.directory, notes)),
            Form::Chart => chart::take(target, &self.directory, notes),
        }
    }
}

/// All files below a directory, in sorted order; none where it does not exist. No link is followed.
fn files(directory: &Path) -> Vec<PathBuf> {
    let walk = WalkDir::new(directory).max_depth(DEEPEST).sort_by_file_name().into_iter();
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).collect()
}

fn has_kustomization(directory: &Path) -> bool {
    KUSTOMIZATIONS.iter().any(|name| directory.join(name).is_file())
}

/// The directories of a kustomization's tiers, in the order in which they are released.
fn overlays(directory: &Path) -> Vec<PathBuf> {
    let inside = |directory: PathBuf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| has_kustomization(path)).collect()
    };
    let mut all = inside(directory.join("overlays"));
    if all.is_empty() {
        all = inside(directory.to_path_buf());
        all.retain(|path| path.file_name().is_some_and(|name| TIERS.iter().any(|tier| name == *tier)));
    }
    all.sort_by_key(|path| rank(&path.file_name().unwrap_or_default().to_string_lossy()));
    all
}

/// Where a tier stands in the order of releases.
pub(super) fn rank(tier: &str) -> (usize, String) {
    (TIERS.iter().position(|known| *known == tier).unwrap_or(0), tier.to_owned())
}

fn is_yaml(file: &Path) -> bool {
    matches!(file.extension().and_then(|extension| extension.to_str()), Some("yaml" | "yml" | "json"))
}

/// Whether a file holds objects of Kubernetes, and is no template of something else.
fn is_manifest(file: &Path) -> bool {
    static KIND: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?m)^\s*"?kind"?:"#).expect("the pattern is a constant"));
    static VERSION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?m)^\s*"?apiVersion"?:"#).expect("the pattern is a constant"));
    let text = || std::fs::read_to_string(file).unwrap_or_default();
    is_yaml(file) && {
        let text = text();
        KIND.is_match(&text) && VERSION.is_match(&text)
    }
}

/// The image of the project that a reference means, as far as its name tells.
fn own<'a>(reference: &str, target: &Target<'a>) -> Option<&'a str> {
    let images = target.images;
    let only = match images {
        [only] => Some(only.name.as_str()),
        _ => None,
    };
    // What a script fills in: `$IMAGE`, `{{IMAGE}}`, `IMAGE_NAME`.
    let is_placeholder = reference.contains(['$', '{', '<'])
        || !reference.is_empty() && reference.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_placeholder {
        return only;
    }
    let parsed: Reference = reference.parse().ok()?;
    let name = parsed.name();
    let last = name.rsplit('/').next()?;
    if let Some(image) = images.iter().find(|image| image.name == last) {
        return Some(&image.name);
    }
    let is_project = last == target.project || target.project.ends_with(&format!("-{last}"));
    let is_pushed = target.registry.is_some_and(|registry| name.starts_with(registry));
    only.filter(|_| is_project || is_pushed)
}

/// The references in the text of a manifest.
static IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)^(?P<before>\s*(?:-\s+)?"?image"?:\s*)["']?(?P<image>[^\s"'#,]+)["']?(?P<after>[ \t]*(?:,|#.*)?)$"#)
        .expect("the pattern is a constant")
});

/// How many steps lead from a directory below the root back to it.
fn back(directory: &Path) -> PathBuf {
    directory.components().map(|_| "..").collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::init::container::Container;

    pub(in crate::init) fn image(name: &str) -> Image {
        Image {
            name: name.to_owned(),
            context: PathBuf::from("."),
            dockerfile: PathBuf::from("Dockerfile"),
            target: None,
            args: BTreeMap::new(),
            container: Container::default(),
        }
    }

    #[test]
    fn an_image_of_the_project_is_known_by_its_name() {
        let one = [image("app")];
        let two = [image("api"), image("worker")];
        let target = |images| Target {
            root: Path::new("/"),
            project: "group-shop",
            images,
            registry: Some("registry.test/group/shop"),
        };
        for reference in [
            "app",
            "x/app:1",
            "docker.io/nora/shop:latest",
            "registry.test/group/shop:v1",
            "$IMAGE",
            "{{IMAGE}}",
            "IMAGE_NAME",
        ] {
            assert_eq!(own(reference, &target(&one)), Some("app"), "{reference}");
        }
        for reference in ["postgres:16", "registry.test/other/web", "workshop", ""] {
            assert_eq!(own(reference, &target(&one)), None, "{reference}");
        }
        assert_eq!(own("registry.test/group/shop/api:2", &target(&two)), Some("api"));
        assert_eq!(own("registry.test/group/shop:2", &target(&two)), None, "which of both?");
    }

    #[test]
    fn directories_are_known_by_what_they_hold() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("deploy/notes.yaml", "a: b\n");
        assert_eq!(find(root.path()), []);
        write("deploy/web.yaml", "apiVersion: v1\nkind: Service\n");
        write("charts/shop/Chart.yaml", "name: shop\n");
        write("k8s/overlays/production/kustomization.yaml", "");
        write("k8s/overlays/staging/kustomization.yml", "");
        let is = |directory: &str, form| Existing { directory: PathBuf::from(directory), form };
        let expected =
            [is("k8s", Form::Kustomization), is("deploy", Form::Plain), is("charts/shop", Form::Chart)];
        assert_eq!(find(root.path()), expected);
        let names: Vec<_> = overlays(&root.path().join("k8s"))
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["staging", "production"]);
        assert!(
            named(root.path(), Path::new(".")).is_err() && named(root.path(), Path::new("gone")).is_err()
        );
    }
}
