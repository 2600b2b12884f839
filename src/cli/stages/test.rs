//! `windlass test [NAME…]`

use clap::Args;

use crate::cli::{Run, SourceArguments, complete};
use crate::error::Result;
use crate::model::RunResult;
use crate::pipeline;
use crate::project::TierOverrides;
use crate::test::TestOptions;

/// Run the tests inside the built images
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The tests of windlass.yaml to run; all of them when none is named
    #[arg(value_name = "NAME", add = complete::tests())]
    tests: Vec<String>,
    /// Run tests again even if their record says that they passed
    #[arg(long)]
    again: bool,
    /// Keep the containers of the tests, and print how to get a shell in them
    #[arg(long)]
    keep: bool,
    /// The tier on whose cluster tests with `on: cluster` run
    #[arg(long, value_name = "TIER", add = complete::tiers())]
    tier: Option<String>,
    #[command(flatten)]
    source: SourceArguments,
}

impl Test {
    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let project = self.source.commit(run, None).await?;
        let images = pipeline::find_for_tests(&run.session, &project, &self.tests).await?;
        let overrides = TierOverrides::default();
        let options = TestOptions {
            again: self.again,
            keep: self.keep,
            reports: run.global.report(),
            against: None,
            tier: self.tier.as_ref().map(|name| project.tier(name, &overrides)).transpose()?,
        };
        pipeline::test(&run.session, &project, &images, &self.tests, options).await
    }
}
