//! `windlass plan TIER`

use clap::Args;

use crate::cli::{Run, SourceArguments, TierArguments};
use crate::error::{Error, Kind, Result};
use crate::{manifest, pipeline};

/// What a release would change
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    tier: TierArguments,
    #[command(flatten)]
    source: SourceArguments,
    /// Exit 4 when there are changes
    #[arg(long)]
    exit_code: bool,
}

impl Plan {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let project = self.source.commit(run, self.tier.overrides.project.as_deref()).await?;
        let tier = self.tier.overrides.tier(run, &project, &self.tier.tier)?;
        run.session.unless_cancelled(manifest::check(&project, &tier)).await?;
        let images = pipeline::find(&run.session, &project).await?;
        let plan = pipeline::plan(&run.session, &project, &images, &tier).await?;
        run.session.reporter.show(&plan.view());
        if self.exit_code && plan.has_changes() {
            return Err(Error::new(Kind::Changes, "there are changes"));
        }
        Ok(())
    }
}
