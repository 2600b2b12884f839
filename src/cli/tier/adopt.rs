//! `windlass adopt TIER`

use std::time::Duration;

use clap::Args;

use crate::cli::{Run, SourceArguments, TierArguments, duration};
use crate::error::Result;
use crate::model::RunResult;
use crate::release::Rules;
use crate::tier;

/// Take over what already runs there (from Helm, kubectl …) as release 0
///
/// The objects of the manifests become the tier's without a change: no field changes, no pod restarts. Release 0 records the
/// current state, so that a rollback can restore it.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(flatten)]
    tier: TierArguments,
    #[command(flatten)]
    source: SourceArguments,
    /// Only show who owns the objects
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for another release's lock [default: 0 in a terminal, 10m in CI]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait_lock: Option<Duration>,
}

impl Adopt {
    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let project = self.source.project(run, self.tier.overrides.project.as_deref())?;
        let tier = self.tier.overrides.tier(run, &project, &self.tier.tier)?;
        let rules = Rules::new(Vec::new(), None, self.wait_lock)?.answered(run.global.yes);
        if !self.dry_run {
            rules.confirm_tier(&run.session, &tier, "adoption of").await?;
        }
        let adoption = tier::adopt(&run.session, &project, &tier, &rules, self.dry_run).await?;
        run.session.reporter.show(&adoption);
        Ok(RunResult { revision: adoption.revision, ..RunResult::default() })
    }
}
