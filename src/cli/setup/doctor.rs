//! `windlass doctor [TIER]`

use clap::Args;

use crate::cli::{Run, SourceArguments, TierOverrideArguments, complete};
use crate::error::Result;
use crate::{build, doctor};

/// Check Docker, registry, cluster and permissions, and say what to fix
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also check the secrets and the cluster of this tier
    #[arg(value_name = "TIER", add = complete::tiers())]
    tier: Option<String>,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    overrides: TierOverrideArguments,
}

impl Doctor {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let project = self.source.project(run, self.overrides.project.as_deref())?;
        // What cannot be read is told by the checks.
        let project = build::compared(&run.session, project.clone()).await.unwrap_or(project);
        let tier = match &self.tier {
            Some(name) => Some(self.overrides.tier(run, &project, name)?),
            None => None,
        };
        let report = {
            let builder = build::builder(&run.session, &project);
            doctor::examine(&run.session, &project, tier.as_ref(), builder).await
        };
        run.session.reporter.show(&report.view());
        report.verdict()
    }
}
