//! `windlass lock TIER`

use std::time::Duration;

use clap::Args;

use crate::cli::{Run, TierArguments, duration};
use crate::error::Result;
use crate::release::Rules;
use crate::tier;

/// Block releases until unlocked
#[derive(Debug, Args)]
pub(crate) struct Lock {
    #[command(flatten)]
    tier: TierArguments,
    /// The reason, shown to everyone who is refused
    #[arg(long, value_name = "TEXT")]
    message: String,
    /// How long to hold the lock [default: until unlocked]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    limit: Option<Duration>,
    /// How long to wait for a release that holds the lock [default: 0 in a terminal, 10m in CI]
    #[arg(long = "wait-lock", value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
}

impl Lock {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let (project, tier) = self.tier.open(run)?;
        let rules = Rules::new(Vec::new(), None, self.wait)?;
        let lock = tier::lock(&run.session, &project, &tier, &rules, &self.message, self.limit).await?;
        run.session.reporter.show(&lock);
        Ok(())
    }
}
