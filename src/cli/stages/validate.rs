//! `windlass validate`

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{Run, SourceArguments};
use crate::error::{Error, Kind, Result};
use crate::project::Project;
use crate::{build, manifest, secret};

/// Check the configuration and every tier's manifests, offline
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    source: SourceArguments,
}

impl Validate {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let project = self.source.project(run, None)?;
        let found = run.session.unless_cancelled(async { Ok(manifest::validate(&project).await) }).await?;
        let mut errors = build::lacking(&project);
        errors.extend(found.mistakes);
        for warning in found.warnings {
            run.session.reporter.warn(warning);
        }
        match errors.len() {
            0 => {
                doubts(run, &project);
                run.session.reporter.answer(None, "windlass.yaml and the manifests are valid\n");
                Ok(())
            }
            1 => Err(errors.remove(0)),
            count => {
                let (all, text): (Vec<_>, Vec<_>) =
                    errors.iter().map(|error| (for_machines(error), for_people(error))).unzip();
                run.session.reporter.answer(Some(&Value::Array(all)), &(text.join("\n") + "\n"));
                Err(Error::new(Kind::Invalid, format!("{count} mistakes, all listed above")))
            }
        }
    }
}

/// What is valid and may not be what was meant.
fn doubts(run: &Run, project: &Project) {
    let reporter = &run.session.reporter;
    let mut bases = BTreeSet::new();
    for (place, base) in build::unpinned(project).into_iter().filter(|(_, base)| bases.insert(base.clone())) {
        reporter.warn_with_hint(
            format!("{place}: the base image `{base}` has no digest: when its tag moves to another image, nothing is built anew"),
            format!("write `{base}@sha256:…` to build anew with each base"),
        );
    }
    for error in secret::homeless(project) {
        reporter.warn_with_hint(error.to_string(), error.hint().unwrap_or_default());
    }
    let config = &project.config;
    let waiting = config.tiers.iter().find(|(_, tier)| tier.after.is_some());
    if let (true, Some((tier, _))) = (config.images.is_empty(), waiting) {
        reporter.warn_with_hint(
            format!("`tiers.{tier}.after` cannot hold: that something was good is noted beside its images, and there are none"),
            "leave `after` out, or release with --override after --reason \"…\"",
        );
    }
    if !config.tiers.is_empty() && !project.is_named() {
        reporter.warn_with_hint(
            "nothing says what this project is called, so that nothing can be released",
            "`project:` in windlass.yaml, --project NAME, or a Git remote `origin`",
        );
    }
}

fn for_machines(error: &Error) -> Value {
    let place = error.place();
    json!({
        "file": place.map(|place| place.file.display().to_string()),
        "line": place.and_then(|place| place.line),
        "column": place.and_then(|place| place.column),
        "message": error.message(),
        "hint": error.hint(),
    })
}

fn for_people(error: &Error) -> String {
    let mut text = error.to_string();
    for line in error.snippet().into_iter().flat_map(str::lines) {
        text += &format!("\n  {line}");
    }
    if let Some(hint) = error.hint() {
        text += &format!("\n  hint: {hint}");
    }
    text
}
