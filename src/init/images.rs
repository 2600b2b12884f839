//! The images of a repository: every Dockerfile, named by its directory or its suffix, with the context it is written for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::git;
use crate::init::container::Container;
use crate::init::dockerfile::Dockerfile;
use crate::project::Project;
use crate::report::view::setup::init::FirstFiles;
use crate::text::display;

/// An image that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: String,
    /// Relative to the project's root, as is the next.
    pub(super) context: PathBuf,
    pub(super) dockerfile: PathBuf,
    pub(super) target: Option<String>,
    /// As `windlass.yaml` has them.
    pub(super) args: BTreeMap<String, String>,
    pub(super) container: Container,
}

/// The name of an image that nothing else names.
pub(super) const ONLY: &str = "app";

/// Directories of other people's code, and of what is made.
const FOREIGN: [&str; 6] = ["node_modules", "vendor", "target", "third_party", "venv", "testdata"];
/// Directories and suffixes of what is not released.
const NOT_RELEASED: [&str; 17] = [
    "dev",
    "devel",
    "develop",
    "development",
    "local",
    "test",
    "tests",
    "testing",
    "e2e",
    "ci",
    "debug",
    "lint",
    "example",
    "examples",
    "docs",
    "bench",
    "demo",
];
/// Directories that say where Dockerfiles are kept, and not what of.
const PLACES: [&str; 10] = [
    "docker",
    "dockerfiles",
    "dockerfile",
    "build",
    "package",
    "deploy",
    "deployment",
    "images",
    "containers",
    "infra",
];
/// Suffixes that say no more than that it is the one.
const RELEASED: [&str; 3] = ["prod", "production", "release"];
/// No repository is deeper.
const DEEPEST: usize = 8;
/// More are not looked at.
const MOST: usize = 50;

/// The images that the configuration names, or those of the Dockerfiles found. What is left aside is noted.
pub(super) fn find(project: &Project, notes: &mut FirstFiles) -> Vec<Image> {
    if project.config_file.is_some() {
        return configured(project);
    }
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in dockerfiles(&project.root) {
        let shown = file.display().to_string();
        if let Some(why) = unwanted(&file) {
            notes.leave(shown, why);
            continue;
        }
        if git::is_ignored(&project.root, &file) {
            notes.leave(shown, "Git ignores it".to_owned());
            continue;
        }
        if found.len() == MOST {
            notes.leave(shown, format!("only the first {MOST} Dockerfiles are used"));
            continue;
        }
        let name = [short_name(&file), Some(long_name(&file))]
            .into_iter()
            .flatten()
            .find(|name| !found.contains_key(name));
        match name {
            Some(name) => drop(found.insert(name, file)),
            None => notes.leave(shown, "another Dockerfile has the same name".to_owned()),
        }
    }
    found.into_iter().map(|(name, file)| image(&project.root, name, file)).collect()
}

fn configured(project: &Project) -> Vec<Image> {
    let image = |(name, config): (&String, &crate::project::ImageConfig)| {
        let file = read(&project.root, &config.dockerfile);
        Image {
            name: name.clone(),
            context: config.context.clone(),
            dockerfile: config.dockerfile.clone(),
            target: config.target.clone(),
            args: config.args.clone(),
            container: file.container(config.target.as_deref()),
        }
    };
    project.config.images.iter().map(image).collect()
}

fn image(root: &Path, name: String, dockerfile: PathBuf) -> Image {
    let file = read(root, &dockerfile);
    let args = file.missing_arguments().into_iter().map(|name| (name.clone(), format!("${{{name}}}")));
    Image {
        context: context(root, &dockerfile, &file.sources()),
        args: args.collect(),
        container: file.container(None),
        target: None,
        name,
        dockerfile,
    }
}

/// What cannot be read is told by the build.
pub(super) fn read(root: &Path, dockerfile: &Path) -> Dockerfile {
    let bytes = std::fs::read(root.join(dockerfile)).unwrap_or_default();
    Dockerfile::parse(&String::from_utf8_lossy(&bytes))
}

/// The directory that a Dockerfile is written for: its own, or that of the whole project where only there is all that it copies.
fn context(root: &Path, dockerfile: &Path, sources: &[String]) -> PathBuf {
    let own = dockerfile.parent().unwrap_or(Path::new(""));
    let has_all = |directory: &Path| sources.iter().all(|source| root.join(directory).join(source).exists());
    let is_own = own == Path::new("") || has_all(own) || !has_all(Path::new(""));
    // A directory that holds nothing else is a place for Dockerfiles.
    let is_place =
        !sources.is_empty() && std::fs::read_dir(root.join(own)).is_ok_and(|entries| entries.count() == 1);
    let directory = if is_own && !(is_place && has_all(Path::new(""))) { own } else { Path::new("") };
    if directory == Path::new("") { PathBuf::from(".") } else { directory.to_path_buf() }
}

/// Every Dockerfile, relative to the root, those nearer to it first.
fn dockerfiles(root: &Path) -> Vec<PathBuf> {
    let is_searched = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || !entry.file_type().is_dir()
            || !(name.starts_with('.') || FOREIGN.contains(&&*name))
    };
    let walk =
        WalkDir::new(root).max_depth(DEEPEST).sort_by_file_name().into_iter().filter_entry(is_searched);
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    let named = files.filter(|entry| suffix(entry.file_name().to_str().unwrap_or_default()).is_some());
    let mut found: Vec<PathBuf> =
        named.filter_map(|entry| entry.path().strip_prefix(root).ok().map(Path::to_path_buf)).collect();
    found.sort_by_key(|file| (file.components().count(), file.clone()));
    found
}

/// What the name of a Dockerfile says besides that it is one: `worker` of `Dockerfile.worker` and `worker.Dockerfile`, nothing
/// of `Dockerfile`.
fn suffix(name: &str) -> Option<&str> {
    let is_word = |word: &str| ["dockerfile", "containerfile"].contains(&word.to_ascii_lowercase().as_str());
    if is_word(name) {
        return Some("");
    }
    match name.split_once('.') {
        Some((word, suffix)) if is_word(word) && suffix != "dockerignore" => return Some(suffix),
        _ => {}
    }
    name.rsplit_once('.').filter(|(_, word)| is_word(word)).map(|(prefix, _)| prefix)
}

/// Why a Dockerfile is none of an image that is released.
fn unwanted(file: &Path) -> Option<String> {
    const TEMPLATES: [&str; 7] = ["j2", "jinja", "jinja2", "tmpl", "template", "in", "erb"];
    let suffix = suffix_of(file);
    if TEMPLATES.contains(&suffix.rsplit('.').next().unwrap_or_default()) {
        return Some("a template".to_owned());
    }
    let directories =
        file.parent().into_iter().flat_map(Path::components).map(|part| part.as_os_str().to_string_lossy());
    let mut words = directories.map(|word| word.to_lowercase()).chain([suffix]);
    let word = words.find(|word| NOT_RELEASED.contains(&word.as_str()))?;
    Some(format!("`{word}` in its name: not for a release"))
}

fn suffix_of(file: &Path) -> String {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    suffix(name).unwrap_or_default().to_lowercase()
}

/// `worker` of `Dockerfile.worker`, `api` of `services/api/Dockerfile`, [`ONLY`] of `Dockerfile`.
fn short_name(file: &Path) -> Option<String> {
    let suffix =
        Some(suffix_of(file)).filter(|suffix| !suffix.is_empty() && !RELEASED.contains(&suffix.as_str()));
    let directories = directories(file);
    let name = suffix.or_else(|| directories.last().cloned()).unwrap_or_else(|| ONLY.to_owned());
    object_name(&name)
}

/// All that its path says: `services-api`.
fn long_name(file: &Path) -> String {
    let all: Vec<String> =
        directories(file).into_iter().chain([suffix_of(file)]).filter(|one| !one.is_empty()).collect();
    object_name(&all.join("-")).unwrap_or_else(|| ONLY.to_owned())
}

/// The directories around a file, without those that only say where Dockerfiles are kept.
fn directories(file: &Path) -> Vec<String> {
    let all = file.parent().into_iter().flat_map(Path::components);
    let names = all.map(|part| part.as_os_str().to_string_lossy().to_lowercase());
    names.filter(|name| !PLACES.contains(&name.as_str())).collect()
}

/// The text as the name of an image, a Deployment and a Service: lower-case letters, digits and single `-`, a letter first.
pub(super) fn object_name(text: &str) -> Option<String> {
    const LONGEST: usize = 40;
    let mut name = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' => name.push(letter),
            '0'..='9' if !name.is_empty() => name.push(letter),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(LONGEST);
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

/// What is told of the images that were found.
pub(super) fn describe(images: &[Image], notes: &mut FirstFiles) {
    for Image { name, dockerfile, context, container, args, .. } in images {
        let mut words = format!("image `{name}`: {}", container.describe());
        let own = dockerfile.parent().unwrap_or(Path::new(""));
        if context.as_path() == Path::new(".") && own != Path::new("") {
            words += ", built from the root";
        }
        notes.find(dockerfile.display().to_string(), words);
        for unknown in &container.unknown {
            let unknown = display::plain(unknown).into_owned();
            notes
                .leave(dockerfile.display().to_string(), format!("`{unknown}`: its value is not known here"));
        }
        for argument in args.keys() {
            notes.need(format!(
                "set {argument} where images are built: it is a part of the base image's name"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerfiles_are_named_by_directory_or_suffix() {
        let name = |file: &str| short_name(Path::new(file)).unwrap();
        for (file, expected) in [
            ("Dockerfile", "app"),
            ("Containerfile", "app"),
            ("Dockerfile.worker", "worker"),
            ("worker.Dockerfile", "worker"),
            ("Dockerfile.prod", "app"),
            ("services/api/Dockerfile", "api"),
            ("services/api/Dockerfile.Migrate_DB", "migrate-db"),
            ("docker/api/Dockerfile", "api"),
            ("api/docker/Dockerfile", "api"),
            ("build/package/Dockerfile", "app"),
            ("2fa/Dockerfile", "fa"),
        ] {
            assert_eq!(name(file), expected, "{file}");
        }
        assert_eq!(long_name(Path::new("services/api/Dockerfile.x")), "services-api-x");
        assert_eq!(object_name("ÄÖ"), None);
    }

    #[test]
    fn what_is_not_released_is_left_aside() {
        for file in [
            "Dockerfile.dev",
            "test.Dockerfile",
            "examples/a/Dockerfile",
            "api/ci/Dockerfile",
            "Dockerfile.j2",
        ] {
            assert!(unwanted(Path::new(file)).is_some(), "{file}");
        }
        for file in ["Dockerfile", "Dockerfile.worker", "latest/Dockerfile"] {
            assert_eq!(unwanted(Path::new(file)), None, "{file}");
        }
        assert_eq!(suffix("Dockerfile.dockerignore"), None);
        assert_eq!(suffix("MyDockerfile"), None);
    }

    #[test]
    fn a_context_is_where_all_that_is_copied_lies() {
        let root = tempfile::tempdir().unwrap();
        for file in ["api/src/main.go", "api/Dockerfile", "docker/web/Dockerfile", "go.mod", "web/x"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let context = |file: &str, sources: &[&str]| {
            let sources: Vec<String> = sources.iter().map(|&one| one.to_owned()).collect();
            context(root.path(), Path::new(file), &sources).display().to_string()
        };
        assert_eq!(context("api/Dockerfile", &["src", "."]), "api");
        assert_eq!(context("api/Dockerfile", &["go.mod", "api/src"]), ".", "a repository with one module");
        assert_eq!(context("api/Dockerfile", &["gone"]), "api");
        assert_eq!(context("api/Dockerfile", &[]), "api");
        assert_eq!(context("docker/web/Dockerfile", &["web"]), ".");
        assert_eq!(context("docker/web/Dockerfile", &["."]), ".", "a place for Dockerfiles");
        assert_eq!(context("Dockerfile", &["gone"]), ".");
    }
}
