//! `windlass rollback TIER`

use clap::Args;

use crate::cli::stages::release::OverrideArguments;
use crate::cli::{Run, TierArguments, complete};
use crate::error::Result;
use crate::model::RunResult;
use crate::release::{self, Request};

/// Roll back to the last good release
///
/// With --project, --context and --namespace neither windlass.yaml nor Git is read.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    tier: TierArguments,
    /// Roll back to this revision instead of the last good one
    #[arg(long, value_name = "REVISION", add = complete::revisions())]
    to: Option<u64>,
    /// Show what would change, without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Apply an object that grants rights or is outside the tier's namespace, such as ClusterRole/web; may be given several
    /// times. Without it such objects are not changed
    #[arg(long = "allow", value_name = "KIND/NAME", value_parser = kind_and_name)]
    allowed: Vec<String>,
    #[command(flatten)]
    overrides: OverrideArguments,
}

impl Rollback {
    /// Whether it only shows what it would do.
    pub(crate) fn answers(&self) -> bool {
        self.dry_run
    }

    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let rules = self.overrides.rules(run, false)?.allowing(self.allowed);
        if self.dry_run {
            let (project, tier) = self.tier.open(run)?;
            let request = Request { session: &run.session, project: &project, tier: &tier, rules: &rules };
            let preview = release::rollback_preview(request, self.to).await?;
            run.session.reporter.show(&preview);
            return Ok(RunResult::default());
        }
        let (project, tier) = self.tier.open_under_rules(run).await?;
        rules.check_job(&run.session, &project, &tier)?;
        rules.confirm_tier(&run.session, &tier, "rollback of").await?;
        let request = Request { session: &run.session, project: &project, tier: &tier, rules: &rules };
        release::rollback(request, self.to).await
    }
}

fn kind_and_name(text: &str) -> std::result::Result<String, String> {
    match text.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        _ => Err("expected KIND/NAME, like ClusterRole/web".to_owned()),
    }
}
