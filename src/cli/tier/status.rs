//! `windlass status TIER`

use clap::Args;

use crate::cli::{Run, TierArguments};
use crate::error::Result;
use crate::tier;

/// Show what runs: revision, commit, image digests, health, drift, lock, rollback target
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    tier: TierArguments,
}

impl Status {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let (project, tier) = self.tier.open(run)?;
        let status = tier::status(&run.session, &project, &tier).await?;
        run.session.reporter.show(&status);
        Ok(())
    }
}
