//! `windlass.yaml`, conventions, tiers, the Git revision and the variables of CI.
//!
//! `git::open_project` reads all of it once; everything after it is handed the [`Project`].

mod checkout;
mod config;
pub(crate) mod fuzzing;
mod known;
mod tags;
mod tier;
mod variables;

pub mod ci;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use crate::project::config::environment::{
    Lookup, closing as closing_brace, is_name as is_variable_name, variable,
};
pub(crate) use crate::project::config::health::health_rules;
pub use crate::project::config::health::{HealthRule, HealthRules};
pub use crate::project::config::ignored::Ignored;
pub(crate) use crate::project::config::names::secret_key;
pub use crate::project::config::names::{NAMESPACE_SHAPE, is_namespace};
pub use crate::project::config::schema::schema;
pub use crate::project::config::secrets::{
    External, ExternalObject, PullConfig, SecretConfig, SecretContent, SecretFrom, SecretSource,
};
pub(crate) use crate::project::config::secrets::{SHORT_LIVED, short_lived};
pub use crate::project::config::verify::VerifyConfig;
pub(crate) use crate::project::config::yaml::{MOST_REPEATED, not_yaml};
pub use crate::project::config::yaml::{strings, yaml_tree};
pub use config::{
    BuilderConfig, CacheMode, Config, ImageConfig, On, OnCancel, Ready, Rollback, ServiceConfig, TestConfig,
    Tested, TierConfig, Ulimit,
};
pub use known::{PartialConfig, known};
pub use tier::{Addresses, Target, Tier, TierOverrides, TierRules};

use crate::error::{Error, Kind, Place, Result};
use crate::model::{Reference, Revision};
use crate::text::slug;

/// What the command line says about the project.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `-C`: the directory to start from.
    pub directory: PathBuf,
    /// `--config`: the configuration, relative to the directory.
    pub config: Option<PathBuf>,
    /// `--project`
    pub project: Option<String>,
    /// `--registry`
    pub registry: Option<String>,
    /// `--var`
    pub vars: Vec<(String, String)>,
    /// `--report`: a directory that exists.
    pub report: Option<PathBuf>,
    /// The command needs the cluster's records only: a repository that cannot be read does not stop it.
    pub for_records: bool,
}

impl Options {
    /// The directory whose repository counts: a configuration elsewhere is of the repository that it lies in.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a directory that does not exist.
    pub fn start(&self) -> Result<PathBuf> {
        let directory = directory(&self.directory)?;
        let beside =
            self.config.as_ref().and_then(|file| directory.join(file).parent().map(Path::to_path_buf));
        Ok(beside.filter(|beside| beside.is_dir()).unwrap_or(directory))
    }
}

/// What Git knows about a directory; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct GitFacts {
    /// The root of the work tree, if there is one.
    pub root: Option<PathBuf>,
    /// The address of the remote `origin`.
    pub origin: Option<String>,
    /// The revision, or why there is none; `None` without a repository that can be read.
    pub revision: Option<Result<Revision>>,
    /// Why the repository cannot be read, where a command goes on without it.
    pub error: Option<Error>,
}

/// A Git repository with a `.kube` directory and usually a Dockerfile; or nothing but a name.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// The name, the same on a laptop and in CI.
    pub name: String,
    /// Where the name is from.
    pub named: Named,
    /// The directory of `windlass.yaml`, else the repository's root.
    pub root: PathBuf,
    /// The configuration; without `windlass.yaml`, what the conventions say.
    pub config: Config,
    /// The file of the configuration.
    pub config_file: Option<PathBuf>,
    /// Where images are pushed to, as `host/path`.
    pub registry: Option<String>,
    /// The Git revision; none without Git or before the first commit.
    pub revision: Option<Revision>,
    /// Why there is no revision, where there is a repository.
    pub no_revision: Option<Error>,
    /// Why the repository cannot be read, where a command goes on without it.
    pub git_error: Option<Error>,
    /// The root of the work tree, without links.
    pub work_tree: Option<PathBuf>,
    /// The variables of `--var`.
    pub vars: BTreeMap<String, String>,
    /// What the command line said about where the project is: (`C`, directory), (`config`, file).
    pub found_by: Vec<(String, String)>,
    /// Where this run's reports go: they are no part of what is built.
    pub report: Option<PathBuf>,
}

/// Where a project's name is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Named {
    /// `--project`
    Given,
    /// `project:` in `windlass.yaml`.
    #[default]
    Configured,
    /// The project's path in GitLab; outside its jobs, the address of the Git remote `origin`.
    Remote,
    /// The directory's name: enough to build and to validate, not for a cluster, where others would see another
    /// name.
    Directory,
}

impl Project {
    /// Reads the project around a directory. An empty directory is one too.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a mistake in the configuration, [`Kind::Usage`] for a key that is not implemented and for
    /// a directory that does not exist.
    pub(crate) fn open(options: &Options, git: GitFacts, environment: Lookup<'_>) -> Result<Self> {
        let directory = directory(&options.directory)?;
        let top = git.root.as_deref();
        let ConfigLocation { root, config_file } = find(&directory, options.config.as_deref(), top)?;
        let config = read_config(&root, config_file.as_deref(), environment)?;
        let remote = Remote { path: project_path(environment), origin: git.origin.as_deref() };
        let (name, named) = name(options.project.as_deref(), &config, &remote, &root)?;
        let work_tree = git.root.as_ref().and_then(|top| top.canonicalize().ok());
        let (revision, no_revision) = match git.revision {
            Some(Ok(revision)) => (Some(revision), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, git.error.clone()),
        };
        let registry = registry(options.registry.as_deref(), &config, environment)?;
        let vars = options.vars.iter().cloned().collect();
        let found_by = found_by(options);
        let report = options.report.as_ref().and_then(|report| report.canonicalize().ok());
        Ok(Self {
            name,
            named,
            root,
            config,
            config_file,
            registry,
            revision,
            no_revision,
            git_error: git.error,
            work_tree,
            vars,
            found_by,
            report,
        })
    }

    /// A project of which nothing but its name is known: neither a configuration nor a repository is read.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what cannot be a project's name.
    pub fn of_records(name: &str) -> Result<Self> {
        Ok(Self { name: check_name(name)?, named: Named::Given, ..Self::default() })
    }

    /// Whether the configuration has this tier, by its name or by a pattern.
    pub fn has_tier(&self, name: &str) -> bool {
        tier::is_configured(self, name)
    }

    /// The other tier that an environment of GitLab's is of, by its name; none for a tier of the same pattern.
    pub fn tier_of_environment(&self, environment: &str, tier: &Tier) -> Option<String> {
        tier::of_environment(self, environment, tier)
    }

    /// Where an image stands in the configuration.
    fn place_of_image(&self, image: &str) -> Option<Place> {
        self.config.places.of(&["images", image]).cloned()
    }

    /// What the project and its commit give to every tier and image: `WINDLASS_PROJECT`, `_COMMIT`, `_BRANCH`, `_TAG`.
    fn own_variables(&self) -> BTreeMap<String, String> {
        let revision = self.revision.as_ref();
        let all = [
            ("WINDLASS_PROJECT", Some(self.name.clone())),
            ("WINDLASS_COMMIT", revision.map(|revision| revision.commit.clone())),
            ("WINDLASS_BRANCH", revision.and_then(|revision| revision.branch.clone())),
            ("WINDLASS_TAG", revision.and_then(|revision| revision.git_tag.clone())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The error, at the image it is about where it has no place of its own.
    pub(crate) fn at_image(&self, image: &str, error: Error) -> Error {
        match self.place_of_image(image) {
            Some(place) if error.place().is_none() => error.at(place),
            _ => error,
        }
    }

    /// Where the builder's private key stands in the configuration.
    pub fn place_of_builder_key(&self) -> Option<Place> {
        self.config.places.of(&["builder", "key"]).cloned()
    }

    /// Whether anything but its directory names the project.
    pub fn is_named(&self) -> bool {
        self.named != Named::Directory
    }

    /// The tier of this name.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a tier that the configuration does not have, unless context and namespace are given,
    /// and where nothing but the directory names the project.
    pub fn tier(&self, name: &str, overrides: &TierOverrides) -> Result<Tier> {
        if !self.is_named() {
            return Err(Error::new(Kind::Invalid, "this project has no name").with_hint(
                "pass --project NAME, set `project:` in windlass.yaml, or add a Git remote `origin`",
            ));
        }
        Tier::open(self, name, overrides, &variable)
    }

    /// Every tier of the configuration, for checks without a cluster; `review/*` is there as `review/example`.
    pub fn sample_tiers(&self) -> impl Iterator<Item = Result<Tier>> {
        let names = self.config.tiers.keys().map(|pattern| pattern.replace('*', "example"));
        names.map(|name| Tier::open(self, &name, &TierOverrides::default(), &variable))
    }

    /// The tier of a pattern whose name is as long as slugs get; `None` for one that is no pattern.
    pub fn longest_tier(&self, pattern: &str) -> Option<Result<Tier>> {
        let name = pattern.contains('*').then(|| pattern.replace('*', &"x".repeat(64)))?;
        Some(Tier::open(self, &name, &TierOverrides::default(), &variable))
    }

    /// The Git revision.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where there is none.
    pub fn revision(&self) -> Result<&Revision> {
        self.revision.as_ref().ok_or_else(|| checkout::without_commit(self, &variable))
    }

    /// In a job of CI: whether the commit is there that the job is for.
    ///
    /// # Errors
    /// [`Kind::Invalid`] without a repository, and for one of another commit.
    pub fn check_checkout(&self) -> Result<()> {
        checkout::check(self, &variable)
    }

    /// Where an image is pushed to, without tag.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where no registry is set, and where the environment lacks a variable that the registry,
    /// the images or the tests need.
    pub fn image_repository(&self, image: &str) -> Result<Reference> {
        let needed = |path: &str| path != "registry" || self.registry.is_none();
        if let Some((_, error)) = self.config.missing.iter().find(|(path, _)| needed(path)) {
            return Err(error.clone());
        }
        let Some(registry) = &self.registry else {
            return Err(Error::new(Kind::Invalid, "no registry is set").with_hint(SET_REGISTRY));
        };
        Ok(format!("{registry}/{image}").parse()?)
    }
}

fn directory(given: &Path) -> Result<PathBuf> {
    let given = if given.as_os_str().is_empty() { Path::new(".") } else { given };
    match given.canonicalize() {
        Ok(directory) if directory.is_dir() => Ok(directory),
        _ => Err(Error::new(Kind::Usage, format!("there is no directory `{}`", given.display()))),
    }
}

struct ConfigLocation {
    root: PathBuf,
    config_file: Option<PathBuf>,
}

/// The nearest `windlass.yaml` from here up to the top of the repository; without one, the nearest `.kube`; without
/// that, the top.
fn find(directory: &Path, given: Option<&Path>, top: Option<&Path>) -> Result<ConfigLocation> {
    if let Some(given) = given {
        let file = directory.join(given);
        let file = file.canonicalize().ok().filter(|file| file.is_file()).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("there is no configuration `{}`", given.display()))
        })?;
        let root = file.parent().unwrap_or(directory).to_path_buf();
        return Ok(ConfigLocation { root, config_file: Some(file) });
    }
    let top = top.and_then(|top| top.canonicalize().ok()).unwrap_or_else(|| directory.to_path_buf());
    let inside = || directory.ancestors().take_while(|one| one.starts_with(&top));
    // A link to nothing is there, too: its tiers and their rules must not be gone without a word.
    if let Some(root) = inside().find(|one| one.join(FILE).symlink_metadata().is_ok()) {
        return Ok(ConfigLocation { root: root.to_path_buf(), config_file: Some(root.join(FILE)) });
    }
    if let Some(other) = inside().find(|one| one.join("windlass.yml").is_file()) {
        return Err(Error::new(Kind::Invalid, "the configuration must be named windlass.yaml")
            .at(Place::file("windlass.yml"))
            .with_hint(format!("cd {} && mv windlass.yml windlass.yaml", other.display())));
    }
    let root = inside().find(|one| one.join(".kube").is_dir()).map_or(top.clone(), Path::to_path_buf);
    Ok(ConfigLocation { root, config_file: None })
}

/// The name of the configuration.
const FILE: &str = "windlass.yaml";

/// How a project gets a registry.
pub(crate) const SET_REGISTRY: &str =
    "set `registry:` in windlass.yaml, pass --registry, or set CI_REGISTRY_IMAGE";

/// What every commit may change and no image needs.
pub(crate) const IN_NO_IMAGE: [&str; 4] = [".git", ".kube", FILE, ".gitlab-ci.yml"];

fn read_config(root: &Path, file: Option<&Path>, environment: Lookup<'_>) -> Result<Config> {
    let images = conventional_images(root);
    let Some(file) = file else {
        return Ok(Config { version: 1, images, ..Config::default() });
    };
    let shown = file.strip_prefix(root).unwrap_or(file);
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::new(Kind::Invalid, format!("the configuration cannot be read: {error}")).at(Place::file(shown))
    })?;
    config::read::config(&text, shown, images, environment)
}

/// The image `app`, where there is a Dockerfile.
fn conventional_images(root: &Path) -> BTreeMap<String, ImageConfig> {
    root.join("Dockerfile")
        .is_file()
        .then(|| ("app".to_owned(), ImageConfig::default()))
        .into_iter()
        .collect()
}

/// Where the project is for others.
struct Remote<'a> {
    /// In GitLab, of whose job this is.
    path: Option<String>,
    /// The address of the remote `origin`.
    origin: Option<&'a str>,
}

impl Remote<'_> {
    /// The name that others know the project by.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the job and the remote disagree: on a laptop the project would have another name.
    fn name(&self) -> Result<Option<String>> {
        let of = |address: &str| config::names::of_origin(address);
        let (job, origin) = (self.path.as_deref().and_then(of), self.origin.and_then(of));
        match (job, origin) {
            (Some(job), Some(origin)) if job != origin => {
                let path = self.path.as_deref().unwrap_or_default();
                let sentence = format!(
                    "the project is `{path}` in GitLab, but the remote `origin` gives it the name `{origin}`"
                );
                let hint = format!("name it in windlass.yaml: `project: {job}`");
                Err(Error::new(Kind::Invalid, sentence).with_hint(hint))
            }
            (job, origin) => Ok(job.or(origin)),
        }
    }
}

fn name(given: Option<&str>, config: &Config, remote: &Remote<'_>, root: &Path) -> Result<(String, Named)> {
    if let Some(given) = given {
        return check_name(given).map(|name| (name, Named::Given));
    }
    if let Some(configured) = &config.project {
        let name = check_name(configured).map_err(|error| at(error, config, "project"))?;
        return Ok((name, Named::Configured));
    }
    if let Some(name) = remote.name()? {
        return Ok((name, Named::Remote));
    }
    let directory = root.file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy());
    Ok((slug(&directory), Named::Directory))
}

/// What GitLab calls the project of a job, which may have no clone of it.
fn project_path(environment: Lookup<'_>) -> Option<String> {
    environment("CI_PROJECT_PATH").filter(|path| !path.is_empty())
}

/// The name becomes a label and a part of the records' names.
fn check_name(name: &str) -> Result<String> {
    if crate::text::slug::is_slug(name) {
        return Ok(name.to_owned());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be a project's name"))
        .with_hint("a-z, 0-9 and `-`, no `-` at either end, 40 characters at most"))
}

fn found_by(options: &Options) -> Vec<(String, String)> {
    let elsewhere =
        Some(&options.directory).filter(|one| !one.as_os_str().is_empty() && one.as_os_str() != ".");
    let all = [("C", elsewhere), ("config", options.config.as_ref())];
    all.into_iter().filter_map(|(flag, path)| Some((flag.to_owned(), path?.display().to_string()))).collect()
}

/// `--registry`, else the configuration's, else GitLab's.
fn registry(given: Option<&str>, config: &Config, environment: Lookup<'_>) -> Result<Option<String>> {
    let configured = config.registry.as_deref();
    let missing = config.missing.iter().any(|(path, _)| path == "registry");
    let of_ci = || environment("CI_REGISTRY_IMAGE").filter(|_| !missing);
    let given = given.filter(|registry| !registry.is_empty());
    let Some(registry) = given.or(configured).map(str::to_owned).or_else(of_ci).filter(|one| !one.is_empty())
    else {
        return Ok(None);
    };
    let registry = registry.trim_end_matches('/');
    let error = if registry.contains("://") {
        let hint = "leave the scheme out; `insecure: true` means plain HTTP";
        Some(Error::new(Kind::Invalid, format!("the registry `{registry}` has a scheme")).with_hint(hint))
    } else {
        // The last part is only there to have a whole reference.
        let wrong = format!("{registry}/image").parse::<Reference>().err();
        wrong.map(|_| {
            Error::new(Kind::Invalid, format!("`{registry}` cannot be a registry"))
                .with_hint("`host/path` in lower case, such as `registry.example.com/group/shop`")
        })
    };
    match error {
        Some(error) if given.is_none() && configured.is_some() => Err(at(error, config, "registry")),
        Some(error) => Err(error),
        None => Ok(Some(registry.to_owned())),
    }
}

/// The error with the place of a key of the whole file.
fn at(error: Error, config: &Config, key: &str) -> Error {
    match config.places.of(&[key]) {
        Some(place) => error.at(place.clone()),
        None => error,
    }
}
