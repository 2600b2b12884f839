//! `windlass validate`

use std::collections::BTreeSet;

use clap::Args;

use crate::cli::{Run, SourceArguments};
use crate::error::{Error, Kind, Result};
use crate::manifest::Findings;
use crate::project::Project;
use crate::report::view::validation::Validation;
use crate::schema::Schemas;
use crate::{build, manifest, secret};

/// Check the configuration and every tier's manifests, offline
///
/// Errors are what the API server refuses. Warnings are what may be created elsewhere or is probably not intended.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The version of Kubernetes to check against, instead of the configuration's; by default the newest that windlass knows
    #[arg(long, value_name = "VERSION", value_parser = version)]
    kubernetes: Option<Schemas>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    source: SourceArguments,
}

fn version(text: &str) -> std::result::Result<Schemas, String> {
    Schemas::of(text).map_err(|error| error.message)
}

impl Validate {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let project = self.source.project(run, None)?;
        let schemas = match self.kubernetes {
            Some(schemas) => schemas,
            None => configured(&project)?,
        };
        let validate = async { Ok(manifest::validate(&project, schemas).await) };
        let Findings { errors, warnings, unchecked } = run.session.unless_cancelled(validate).await?;
        let mut errors: Vec<Error> = build::lacking(&project).into_iter().chain(errors).collect();
        let mut warnings: Vec<Error> = warnings;
        if errors.is_empty() {
            warnings.extend(doubts(&project));
        }
        if self.strict {
            errors.append(&mut warnings);
        }
        for warning in &warnings {
            run.session.reporter.warn_of(warning);
        }
        let answer = Validation {
            kubernetes: schemas.version(),
            errors: &errors,
            warnings: &warnings,
            unchecked: &unchecked,
        };
        run.session.reporter.show(&answer);
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            count => Err(Error::new(Kind::Invalid, format!("{count} errors, all listed above"))),
        }
    }
}

/// The version that the configuration names, or the newest.
fn configured(project: &Project) -> Result<Schemas> {
    let Some(version) = &project.config.kubernetes else { return Ok(Schemas::newest()) };
    Schemas::of(version).map_err(|malformed| {
        let error = Error::from(malformed);
        match project.config.places.of(&["kubernetes"]) {
            Some(place) => error.at(place.clone()),
            None => error,
        }
    })
}

/// What is valid and may not be what was meant.
fn doubts(project: &Project) -> Vec<Error> {
    let mut bases = BTreeSet::new();
    let unpinned = build::unpinned(project).into_iter().filter(|(_, base)| bases.insert(base.clone()));
    let mut doubts: Vec<Error> = unpinned.map(|(place, base)| of_base(&base).at(place)).collect();
    doubts.extend(project.config.doubts.iter().cloned());
    doubts.extend(build::doubts(project));
    doubts.extend(secret::homeless(project));
    let config = &project.config;
    let waiting = config.tiers.iter().find(|(_, tier)| tier.after.is_some());
    if let (true, Some((tier, _))) = (config.images.is_empty(), waiting) {
        doubts.push(doubt(
            format!("`tiers.{tier}.after` can never be met: the proof is stored beside the images, and there are none"),
            "remove `after`, or release with --override after --reason \"…\"",
        ));
    }
    if !config.tiers.is_empty() && !project.is_named() {
        doubts.push(doubt(
            "this project has no name, so nothing can be released",
            "set `project:` in windlass.yaml, pass --project NAME, or add a Git remote `origin`",
        ));
    }
    doubts
}

fn of_base(base: &str) -> Error {
    doubt(
        format!(
            "the base image `{base}` has no digest: when its tag moves to another image, nothing is rebuilt"
        ),
        format!("write `{base}@sha256:…` to rebuild with each new base"),
    )
}

fn doubt(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message).with_hint(hint)
}
