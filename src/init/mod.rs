//! `init`: the first windlass.yaml, manifests and GitLab pipeline of a repository, from what it has. What is there already stays.

mod by_hand;
mod compose;
mod configuration;
mod container;
mod dockerfile;
mod existing;
mod file;
mod healthcheck;
mod images;
mod manifests;
mod pipeline;
mod repository;
mod tiers;
mod workload;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Place, Result};
use crate::init::compose::Composition;
use crate::init::configuration::Configuration;
use crate::init::existing::{Existing, Taken, Target};
use crate::init::file::File;
use crate::init::images::Image;
pub(crate) use crate::init::pipeline::{PIPELINES, Pipeline};
use crate::init::repository::Registry;
use crate::init::workload::Workload;
use crate::project::Project;
use crate::report::view::setup::init::FirstFiles;
use crate::session::Session;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// `--from`: a compose file, a Dockerfile or a directory of manifests.
    pub(crate) from: Option<PathBuf>,
    /// `--pipeline`
    pub(crate) pipeline: Option<&'static Pipeline>,
    /// `--context`
    pub(crate) context: Option<String>,
    /// `--registry`
    pub(crate) registry: Option<String>,
    /// `--host`
    pub(crate) host: Option<String>,
}

impl Request {
    /// The pipeline that was named, else the one that everybody gets.
    fn pipeline(&self) -> &'static Pipeline {
        self.pipeline.unwrap_or(&PIPELINES[0])
    }
}

/// Where the manifests come from.
enum ManifestSource {
    /// `.kube` has some, and whoever has manifests knows what they hold.
    Kept,
    Existing(Existing),
    Compose(PathBuf),
    Dockerfiles,
}

/// Writes what is missing.
///
/// # Errors
/// [`Kind::Invalid`] where there is nothing to begin with, for what cannot be read, and where a file cannot be written.
pub(crate) async fn init(session: &Session, project: &Project, request: &Request) -> Result<FirstFiles> {
    let mut report = FirstFiles::default();
    let mut images = images::find(project, &mut report);
    let source = source(project, request, &images, &mut report)?;
    let is_kept = matches!(source, ManifestSource::Kept);
    let mut config = Configuration { project: project.name.clone(), ..Configuration::default() };
    let mut files = Vec::new();
    let composition = match &source {
        ManifestSource::Compose(file) => Some(compose::read(&project.root, file, &mut report)?),
        _ => None,
    };
    if let (Some(composition), None) = (&composition, &project.config_file) {
        images.clone_from(&composition.images);
    }
    if is_kept && project.config_file.is_none() {
        existing::kept::name_image(&project.root, &mut images);
    }
    images::describe(&images, &mut report);
    if project.config_file.is_none() {
        repository::name(project, &mut report);
        config.registry = registry(project, &source, &images, &mut report);
        config.context = repository::context(session, request.context.as_deref(), &mut report).await?;
        config.branch = repository::default_branch(project, &mut report);
    }
    let taken_from = match &source {
        ManifestSource::Existing(existing) => Some(existing.directory.clone()),
        _ => None,
    };
    match source {
        ManifestSource::Kept => config.tiers = existing::kept::tiers(project, &mut report),
        ManifestSource::Existing(existing) => {
            let registry = config
                .registry
                .as_ref()
                .map(|registry| registry.address.as_str())
                .or(project.registry.as_deref());
            let target = Target { root: &project.root, project: &project.name, images: &images, registry };
            let taken = existing.take(&target, &mut report)?;
            add_taken(&mut config, &mut files, taken);
        }
        ManifestSource::Compose(_) | ManifestSource::Dockerfiles => {
            let composition = composition.unwrap_or_else(|| of_images(&images));
            add_workloads(project, request, &mut config, &mut files, composition, &mut report);
        }
    }
    config.images = images;
    tiers::complete(&mut config, request.host.as_deref(), request.pipeline().has_review_apps);
    report.first_tier = tiers::first(project, &config);
    by_hand::registry(project, request, &config, &mut report);
    by_hand::values(project, existing::chart::lacks_values(&project.root, &config.images), &mut report);
    by_hand::flags(project, request, is_kept, &mut report);
    file::add_others(project, request, &config, taken_from.as_deref(), &mut files, &mut report);
    file::write_all(&project.root, &files, &mut report)?;
    Ok(report)
}

/// Where the images are pushed to, as far as anything says it.
fn registry(
    project: &Project,
    source: &ManifestSource,
    images: &[Image],
    report: &mut FirstFiles,
) -> Option<Registry> {
    if images.is_empty() {
        return None;
    }
    let of_manifests = match source {
        ManifestSource::Existing(existing) => {
            existing.registry(&Target { root: &project.root, project: &project.name, images, registry: None })
        }
        _ => None,
    };
    repository::registry(project, of_manifests, report)
}

/// What the manifests are made from.
///
/// # Errors
/// [`Kind::Invalid`] where nothing is there, and where it is not known which of several is meant.
fn source(
    project: &Project,
    request: &Request,
    images: &[Image],
    report: &mut FirstFiles,
) -> Result<ManifestSource> {
    let root = &project.root;
    let kube = root.join(".kube");
    if kube.symlink_metadata().is_ok() && !kube.is_dir() {
        return Err(Error::new(Kind::Invalid, "`.kube` is not a directory").at(Place::file(".kube")));
    }
    let has_manifests = std::fs::read_dir(kube).is_ok_and(|mut entries| entries.next().is_some());
    if let Some(from) = &request.from {
        check_nothing_written(project, has_manifests)?;
        return from_given(root, from);
    }
    let compose = compose::find(root);
    let mut existing = if has_manifests { Vec::new() } else { existing::find(root) };
    let used = match existing.as_slice() {
        _ if has_manifests => ".kube".to_owned(),
        [only] => only.directory.display().to_string(),
        [] if project.config_file.is_some() => "windlass.yaml".to_owned(),
        [] if images.is_empty() => return Err(nothing_to_begin_with(compose)),
        [] => "the Dockerfile".to_owned(),
        _ => return Err(several(&existing)),
    };
    if let Some(file) = compose {
        let names = compose::services(root, &file).join(", ");
        let file = file.display().to_string();
        let why = if project.config_file.is_none() && !has_manifests {
            format!(
                "services {names}: to use them, delete what is written here and run `windlass init --from {file}`"
            )
        } else {
            format!("services {names}: {used} is used instead")
        };
        report.leave(file, why);
    }
    Ok(match existing.pop() {
        _ if has_manifests => ManifestSource::Kept,
        Some(only) => ManifestSource::Existing(only),
        None => ManifestSource::Dockerfiles,
    })
}

/// What `--from` would write must not be there.
fn check_nothing_written(project: &Project, has_manifests: bool) -> Result<()> {
    let file = project.config_file.as_deref();
    let file = file.map(|file| file.strip_prefix(&project.root).unwrap_or(file));
    let (message, place, away) = match (has_manifests, file) {
        (false, None) => return Ok(()),
        (true, None) => ("`.kube` already has manifests", Path::new(".kube"), "them"),
        (false, Some(file)) => {
            ("windlass.yaml already exists, and --from writes its images and tiers", file, "it")
        }
        (true, Some(file)) => (
            "windlass.yaml already exists and `.kube` already has manifests, and --from writes both",
            file,
            "both",
        ),
    };
    let error = Error::new(Kind::Invalid, message).at(Place::file(place));
    Err(error.with_hint(format!("move {away} away, or remove --from")))
}

/// The error of a directory that has neither Dockerfile nor manifests, but perhaps a compose file.
fn nothing_to_begin_with(compose: Option<PathBuf>) -> Error {
    let message = "found no Dockerfile and no manifests: there is nothing to build or release";
    Error::new(Kind::Invalid, message).with_hint(match compose {
        Some(file) => format!("`windlass init --from {}` takes the compose file over", file.display()),
        None => "write a Dockerfile first, or name a directory of manifests with --from; `init` writes the rest from it"
            .to_owned(),
    })
}

/// The error of several directories of manifests.
fn several(existing: &[Existing]) -> Error {
    let names: Vec<String> = existing.iter().map(|one| one.directory.display().to_string()).collect();
    let message = format!("found manifests in {}: which ones should be used?", names.join(" and in "));
    Error::new(Kind::Invalid, message)
        .with_hint(format!("pass --from {}; --from Dockerfile uses none of them", names[0]))
}

fn from_given(root: &Path, from: &Path) -> Result<ManifestSource> {
    let invalid = |message: String| Error::new(Kind::Invalid, message).at(Place::file(from));
    let path = root.join(from);
    let inside =
        path.canonicalize().ok().and_then(|path| path.strip_prefix(root).map(Path::to_path_buf).ok());
    let shown = match inside {
        Some(inside) if inside.as_os_str().is_empty() => PathBuf::from("."),
        Some(inside) => inside,
        None if path.exists() => return Err(invalid("it is outside the project".to_owned())),
        None => return Err(invalid("there is no such file or directory".to_owned())),
    };
    if path.is_dir() {
        return existing::named(root, &shown).map(ManifestSource::Existing);
    }
    let is_yaml = shown.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    match shown.file_name().and_then(|name| name.to_str()) {
        _ if is_yaml => Ok(ManifestSource::Compose(shown)),
        Some(name) if name.to_lowercase().contains("dockerfile") => Ok(ManifestSource::Dockerfiles),
        _ => {
            Err(invalid("--from takes a compose file, a directory of manifests, or a Dockerfile".to_owned()))
        }
    }
}

/// A workload for each image.
fn of_images(images: &[Image]) -> Composition {
    Composition { workloads: images.iter().map(Workload::of_image).collect(), ..Composition::default() }
}

fn add_taken(config: &mut Configuration, files: &mut Vec<File>, taken: Taken) {
    files.extend(taken.files);
    config.tiers = taken.tiers;
    if let Some(registry) = config.registry.as_mut().filter(|_| taken.has_registry) {
        registry.is_of_gitlab = false;
    }
    if let Some(namespace) = taken.namespace {
        // The last tier is the one that runs already.
        if config.tiers.is_empty() {
            config.tiers = tiers::usual();
        }
        if let Some(last) = config.tiers.last_mut() {
            last.namespace = namespace;
        }
    }
}

fn add_workloads(
    project: &Project,
    request: &Request,
    config: &mut Configuration,
    files: &mut Vec<File>,
    composition: Composition,
    report: &mut FirstFiles,
) {
    let Composition { workloads, vars, secrets, .. } = composition;
    (config.vars, config.secrets) = (vars, secrets);
    let has_production = project.config_file.is_none() || project.has_tier("production");
    let web = web(&workloads, request, report);
    without_service(&workloads, report);
    let mut claimed = BTreeSet::new();
    for workload in &workloads {
        let is_template = matches!(workload.kind, workload::Kind::Database { .. });
        let claims = workload.mounts.iter().filter_map(|mount| mount.claim.clone()).filter(|_| !is_template);
        let claims: Vec<String> = claims.filter(|claim| claimed.insert(claim.clone())).collect();
        let has_host = web.as_deref() == Some(&workload.name);
        let base = manifests::base(workload, &claims, has_host);
        files.push(File::text(&format!(".kube/{}.yaml", workload.name), base));
        // Without a port it may be one that polls, and must not run twice.
        if workload.is_replicated() && workload.has_service() && has_production {
            let path = format!(".kube/tiers/production/{}.yaml", workload.name);
            files.push(File::text(&path, manifests::overlay(workload)));
        }
    }
}

/// Says once which workloads get no Service, and how they would.
fn without_service(workloads: &[Workload], report: &mut FirstFiles) {
    let lacking = workloads.iter().filter(|one| one.is_new && !one.has_service());
    let names: Vec<&str> = lacking.map(|one| one.name.as_str()).collect();
    if !names.is_empty() {
        let why = format!(
            "none for {}: no EXPOSE in the Dockerfile; add it, delete .kube and run `windlass init` again",
            names.join(", ")
        );
        report.leave("Service".to_owned(), why);
    }
}

/// The workload that the host of `--host` leads to.
fn web(workloads: &[Workload], request: &Request, report: &mut FirstFiles) -> Option<String> {
    const NAMES: [&str; 8] = ["web", "app", "frontend", "www", "ui", "site", "gateway", "proxy"];
    let is_web = |one: &&Workload| {
        one.has_service() && one.kind == workload::Kind::Deployment && one.container.tcp().is_some()
    };
    let serving: Vec<&Workload> = workloads.iter().filter(is_web).collect();
    let named = NAMES.iter().find_map(|name| serving.iter().find(|one| one.name == *name));
    let found = match serving.as_slice() {
        [only] => Some(*only),
        _ => named.copied(),
    };
    match (&request.host, found) {
        (Some(_), Some(found)) => Some(found.name.clone()),
        (Some(host), None) => {
            report.leave(format!("--host {host}"), "which workload serves it is not known".to_owned());
            None
        }
        (None, Some(found)) => {
            let sentence = format!("no host is known: `--host NAME` writes an Ingress for `{}`", found.name);
            report.leave("Ingress".to_owned(), sentence);
            None
        }
        (None, None) => None,
    }
}
#[cfg(test)]
mod tests;
