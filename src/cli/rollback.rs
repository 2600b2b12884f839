//! `windlass rollback TIER`

use clap::Args;

use super::release::OverrideArguments;
use super::{Run, TierArguments};
use crate::error::Result;
use crate::pipeline;

/// Back to the last good release
#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    tier: TierArguments,
    /// To this revision instead of the last good one
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
    #[command(flatten)]
    overrides: OverrideArguments,
}

impl Rollback {
    pub(super) async fn run(self, run: &Run) -> Result<()> {
        let (project, tier) = self.tier.open(run)?;
        let rules = self.overrides.rules(run, false)?;
        run.confirm(&tier, &rules, "rollback of")?;
        pipeline::rollback(&run.session, &project, &tier, self.to, &rules).await
    }
}
