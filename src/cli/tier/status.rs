//! `windlass status TIER`

use clap::Args;

use crate::cli::{Run, TierArguments};
use crate::error::Result;
use crate::tier;

/// What runs there now: revision, commit, image digests, health, lock, where a rollback would lead
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
