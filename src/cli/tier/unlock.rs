//! `windlass unlock TIER`

use clap::Args;

use crate::cli::{Run, TierArguments};
use crate::error::Result;
use crate::release::Rules;
use crate::tier;

/// Remove a lock, after showing who holds it
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    #[command(flatten)]
    tier: TierArguments,
}

impl Unlock {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let (project, tier) = self.tier.open(run)?;
        let rules = Rules::new(Vec::new(), None, None)?.answered(run.global.yes);
        let lock = tier::unlock(&run.session, &project, &tier, &rules).await?;
        run.session.reporter.show(&lock);
        Ok(())
    }
}
