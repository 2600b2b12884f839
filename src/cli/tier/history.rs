//! `windlass history TIER`

use clap::Args;

use crate::cli::{Run, TierArguments};
use crate::error::Result;
use crate::tier;

/// List releases, newest first
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    tier: TierArguments,
    /// Show only what ran at this time: 2026-10-03T14:00, in the local time zone unless another is given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl History {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let (project, tier) = self.tier.open(run)?;
        let at = self.at.as_deref().map(tier::history::moment).transpose()?;
        let history = tier::history(&run.session, &project.name, &tier, at).await?;
        let is_empty = history.is_empty();
        run.session.reporter.show_each(history);
        if is_empty {
            let when = self.at.map(|at| format!(" before {at}")).unwrap_or_default();
            run.session.reporter.warn(format!("nothing was released here{when}"));
        }
        Ok(())
    }
}
