//! `windlass plan TIER`

use clap::Args;

use crate::cli::{Run, SourceArguments, TierArguments};
use crate::error::{Error, Kind, Result};
use crate::model::RunResult;
use crate::{manifest, pipeline, release};

/// Show what a release would change
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    tier: TierArguments,
    #[command(flatten)]
    source: SourceArguments,
    /// Exit with code 4 if there are changes
    #[arg(long)]
    exit_code: bool,
}

impl Plan {
    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let project = self.source.commit(run, self.tier.overrides.project.as_deref()).await?;
        let tier = self.tier.overrides.tier(run, &project, &self.tier.tier)?;
        let sources = run.session.unless_cancelled(manifest::read_valid(&project, &tier)).await?;
        let images = pipeline::find(&run.session, &project).await?;
        let planned = pipeline::plan(&run.session, &project, &tier, &sources, &images).await;
        let shown = planned.and_then(|plan| self.show(run, &plan));
        pipeline::with_images(&images, shown.map(|()| RunResult::default()))
    }

    fn show(&self, run: &Run, plan: &release::Plan) -> Result<()> {
        run.session.reporter.show(&plan.view());
        if self.exit_code && plan.has_changes() {
            return Err(Error::new(Kind::Changes, "there are changes"));
        }
        Ok(())
    }
}
