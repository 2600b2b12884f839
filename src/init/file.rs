//! The files that are written, each unless it is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::error::{Error, Kind, Place, Result};
use crate::init::configuration::Configuration;
use crate::init::{Request, by_hand, pipeline};
use crate::project::{IN_NO_IMAGE, Project};
use crate::report::view::setup::init::FirstFiles;

/// The values that name the project's images for a chart: beside windlass.yaml, for every tier.
pub(super) const VALUES: &str = "windlass-values.yaml";

/// A file to write, unless it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// A link to this directory, relative to the root.
    Link(PathBuf),
}

impl File {
    /// A file of text.
    pub(super) fn text(path: &str, text: String) -> Self {
        Self { path: PathBuf::from(path), content: Content::Text(text) }
    }
}

/// The files around the manifests.
pub(super) fn add_others(
    project: &Project,
    request: &Request,
    config: &Configuration,
    taken: Option<&Path>,
    files: &mut Vec<File>,
    report: &mut FirstFiles,
) {
    let excluded = excluded(&project.root, config, taken, files);
    files.insert(0, File::text("windlass.yaml", config.text()));
    let jobs = request.pipeline().jobs(project, config, report);
    let place = pipeline::place(&project.root, &jobs, report);
    if !project.root.join(place).exists() {
        by_hand::pipeline(project, config, report);
    } else if request.pipeline.is_some() {
        report.need(format!(
            "`--pipeline` had no effect: {place} is kept; delete it and run `windlass init` again"
        ));
    }
    files.push(File::text(place, jobs));
    if config.images.iter().any(|image| image.context == Path::new(".")) {
        let rules = format!("{}\n.dockerignore\n.gitlab\nreport/\n", excluded.join("\n"));
        files.push(File::text(".dockerignore", rules));
        unignored(&project.root, &excluded, report);
    }
}

/// What every commit may change and no image needs: also the directory that manifests were taken from, where it holds nothing else
/// and no Dockerfile speaks of it, and files of values beside windlass.yaml.
fn excluded(root: &Path, config: &Configuration, taken: Option<&Path>, files: &[File]) -> Vec<String> {
    let is_named = |directory: &Path| {
        let mut parts = directory.iter().filter_map(|part| part.to_str());
        let texts = config.images.iter().map(|image| std::fs::read_to_string(root.join(&image.dockerfile)));
        let texts: Vec<String> = texts.filter_map(Result::ok).collect();
        parts.any(|part| texts.iter().any(|text| text.contains(part)))
    };
    // With them, an image lacks files that it needs; without, a changed manifest makes a new image.
    let is_needed = |directory: &&Path| is_named(directory) || !has_only_manifests(&root.join(directory));
    let taken =
        taken.filter(|directory| !is_needed(directory)).map(|directory| directory.display().to_string());
    // A chart's values may be written by hand only after this.
    let is_chart = files.iter().any(|file| matches!(file.content, Content::Link(_)));
    let values = is_chart.then(|| VALUES.to_owned());
    IN_NO_IMAGE.iter().map(|&one| one.to_owned()).chain(taken).chain(values).collect()
}

/// Whether a directory has no files but manifests and what belongs to a chart.
fn has_only_manifests(directory: &Path) -> bool {
    let files = WalkDir::new(directory).into_iter().filter_map(std::result::Result::ok);
    let mut files = files.filter(|entry| entry.file_type().is_file());
    files.all(|file| {
        let extension = file.path().extension().and_then(|extension| extension.to_str());
        let name = file.file_name().to_str();
        matches!(extension, Some("yaml" | "yml" | "json" | "tpl" | "tgz" | "md"))
            || matches!(name, Some("NOTES.txt" | "Chart.lock" | ".helmignore"))
    })
}

/// What an existing `.dockerignore` lets into the images with every commit.
fn unignored(root: &Path, excluded: &[String], report: &mut FirstFiles) {
    let Ok(text) = std::fs::read_to_string(root.join(".dockerignore")) else { return };
    let lines: BTreeSet<&str> = text.lines().map(|line| line.trim().trim_matches('/')).collect();
    let is_missing = |name: &&str| !lines.contains(name) && !lines.contains("*") && !lines.contains("**");
    let missing: Vec<&str> = excluded.iter().map(String::as_str).filter(is_missing).collect();
    if !missing.is_empty() {
        report.need(format!(
            "add {} to .dockerignore: a change there would rebuild the images",
            missing.join(", ")
        ));
    }
}

/// Writes each file that is missing, and notes which that were.
///
/// # Errors
/// [`Kind::Invalid`] for the first that cannot be written.
pub(super) fn write_all(root: &Path, files: &[File], report: &mut FirstFiles) -> Result<()> {
    for file in files {
        let written = write(root, file)?;
        report.files.push((file.path.clone(), written));
    }
    Ok(())
}

/// Writes a file that is missing; whether it was written.
fn write(root: &Path, file: &File) -> Result<bool> {
    let path = root.join(&file.path);
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = made.and_then(|()| match &file.content {
        Content::Text(text) => std::fs::write(&path, text),
        Content::Link(target) => std::os::unix::fs::symlink(target, &path),
    });
    written.map(|()| true).map_err(|error| {
        Error::new(Kind::Invalid, format!("it cannot be written: {error}")).at(Place::file(&file.path))
    })
}
