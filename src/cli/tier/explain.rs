//! `windlass explain TIER` and `windlass explain -f FILE`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use crate::cli::{Run, TierOverrideArguments, complete};
use crate::error::{Error, Kind, Result};
use crate::project::HealthRules;
use crate::rollout::explain;
use crate::rollout::explain::Explained;
use crate::tier;

/// Explain the health of what runs now, or of a dump of objects
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The tier to explain
    #[arg(value_name = "TIER", add = complete::tiers())]
    tier: Option<String>,
    /// Explain what `kubectl get … -o yaml` or `-o json` printed, offline; `-` reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "tier")]
    file: Option<PathBuf>,
    /// The time at which to evaluate the dump, such as 2026-10-03T14:00:00Z [default: now]
    #[arg(long, value_name = "RFC3339", conflicts_with = "tier", value_parser = time)]
    now: Option<Timestamp>,
    #[command(flatten)]
    overrides: TierOverrideArguments,
}

impl Explain {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let explained = match (&self.file, &self.tier) {
            (Some(file), _) => {
                self.overrides.refuse_with_a_dump()?;
                let (text, name) = read(&run.global.directory, file)?;
                explain::explain(
                    &text,
                    &name,
                    self.now.unwrap_or_else(Timestamp::now),
                    &Arc::new(health(run)),
                    &run.session.reporter,
                )?
            }
            (None, Some(name)) => {
                let (project, tier) = self.overrides.open(run, name)?;
                tier::explain(&run.session, &project, &tier).await?
            }
            (None, None) => {
                return Err(Error::new(Kind::Usage, "there is nothing to explain")
                    .with_hint("`windlass explain TIER`, or `windlass explain -f FILE` for a dump (`-` reads standard input)"));
            }
        };
        run.session.reporter.show_each(explained.iter().map(Explained::view));
        if explained.is_empty() {
            run.session.reporter.warn("there is no object to explain");
        }
        Ok(())
    }
}

fn time(text: &str) -> std::result::Result<Timestamp, String> {
    text.parse().map_err(|_| "a time is like 2026-10-03T14:00:00Z or 2026-10-03T14:00:00+02:00".to_owned())
}

/// The rules of the configuration that is here, if one is; a dump can be explained without.
fn health(run: &Run) -> HealthRules {
    match run.project_for_records(None) {
        Ok(project) => project.config.health,
        Err(error) => {
            run.session.reporter.warn(format!("ignoring `health` of windlass.yaml: {error}"));
            HealthRules::default()
        }
    }
}

fn read(directory: &Path, file: &Path) -> Result<(String, String)> {
    let failed =
        |name: &str, error: std::io::Error| Error::new(Kind::Invalid, format!("cannot read {name}: {error}"));
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| failed("standard input", error))?;
        return Ok((text, "standard input".to_owned()));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(directory.join(file)).map_err(|error| failed(&name, error))?;
    Ok((text, name))
}
