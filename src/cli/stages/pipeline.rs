//! `windlass pipeline [TIER]`

use clap::Args;

use crate::cli::stages::release::RuleArguments;
use crate::cli::{Run, SourceArguments, TierOverrideArguments, complete};
use crate::error::{Error, Kind, Result};
use crate::model::RunResult;
use crate::test::TestOptions;
use crate::{pipeline, release};

/// Build, test and, with a tier, release: the stages in order
#[derive(Debug, Args)]
pub(crate) struct Pipeline {
    /// The tier to release to; without one, only build and test
    #[arg(value_name = "TIER", add = complete::tiers())]
    tier: Option<String>,
    /// Run tests again even if their record says that they passed
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    tier_overrides: TierOverrideArguments,
    #[command(flatten)]
    rules: RuleArguments,
}

impl Pipeline {
    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let rules = self.rules.rules(run)?;
        if self.tier.is_none() && (self.rules.is_given() || self.tier_overrides.is_given()) {
            return Err(Error::new(
                Kind::Usage,
                "flags of a release need a tier: without one nothing is released",
            )
            .with_hint("name the tier: windlass pipeline TIER"));
        }
        let project = self.source.commit(run, self.tier_overrides.project.as_deref()).await?;
        let release = match &self.tier {
            Some(name) => {
                Some(pipeline::Release { tier: self.tier_overrides.tier(run, &project, name)?, rules })
            }
            None => None,
        };
        let tests = TestOptions {
            again: self.again,
            reports: run.global.report(),
            tier: release.as_ref().map(|release| release.tier.clone()),
            ..TestOptions::default()
        };
        let Some(release) = release else {
            return pipeline::pipeline(&run.session, &project, pipeline::Stages { tests, release }).await;
        };
        let tier = release.tier.clone();
        let work = async {
            release.rules.confirm_tier(&run.session, &tier, "release to").await?;
            let stages = pipeline::Stages { tests, release: Some(release) };
            pipeline::pipeline(&run.session, &project, stages).await
        };
        release::noting_refusal(&run.session, &project, &tier, work).await
    }
}
