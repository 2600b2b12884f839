//! `windlass release TIER`

use std::time::Duration;

use clap::Args;

use crate::cli::{Run, SourceArguments, TierArguments, duration};
use crate::error::{Error, Kind, Result};
use crate::model::RunResult;
use crate::release::{self, Rules, RunningJobs};
use crate::{manifest, pipeline};

/// Apply the tier's manifests and watch the rollout
#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(flatten)]
    tier: TierArguments,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    rules: RuleArguments,
}

impl Release {
    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let rules = self.rules.rules(run)?;
        let project = self.source.commit(run, self.tier.overrides.project.as_deref()).await?;
        let tier = self.tier.overrides.tier(run, &project, &self.tier.tier)?;
        let release = pipeline::Release { tier, rules };
        let work = async {
            release.rules.confirm_tier(&run.session, &release.tier, "release to").await?;
            let sources = run.session.unless_cancelled(manifest::read_valid(&project, &release.tier)).await?;
            let images = pipeline::find(&run.session, &project).await?;
            pipeline::release(&run.session, &project, &sources, &images, &release).await
        };
        release::noting_refusal(&run.session, &project, &release.tier, work).await
    }
}

/// Which rules of the tier are overridden, and how long to wait for the lock.
#[derive(Debug, Clone, Args)]
pub(crate) struct RuleArguments {
    /// Release an image without a passed test record (short for --override tested)
    #[arg(long)]
    untested: bool,
    #[command(flatten)]
    overrides: OverrideArguments,
    /// Wait for a Job with different content that still runs
    #[arg(long, conflicts_with = "kill_jobs")]
    wait_jobs: bool,
    /// Delete a Job with different content that still runs
    #[arg(long)]
    kill_jobs: bool,
}

impl RuleArguments {
    /// Whether anything was said about a release.
    pub(crate) fn is_given(&self) -> bool {
        let OverrideArguments { overrides, reason, wait_lock } = &self.overrides;
        let of_jobs = self.wait_jobs || self.kill_jobs;
        self.untested || of_jobs || !overrides.is_empty() || reason.is_some() || wait_lock.is_some()
    }

    pub(crate) fn rules(&self, run: &Run) -> Result<Rules> {
        let running = match (self.wait_jobs, self.kill_jobs) {
            (true, _) => RunningJobs::Wait,
            (_, true) => RunningJobs::Kill,
            _ => RunningJobs::Refuse,
        };
        Ok(self.overrides.rules(run, self.untested)?.with_running_jobs(running))
    }
}

/// Which rules are overridden, for a release and for a rollback.
#[derive(Debug, Clone, Args)]
pub(crate) struct OverrideArguments {
    /// Override rules of the tier by name: tested,after,branches …
    #[arg(long = "override", value_name = "RULE", value_delimiter = ',')]
    overrides: Vec<String>,
    /// The reason for overriding a rule, kept in the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How long to wait for another release's lock [default: 0 in a terminal, 10m in CI]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait_lock: Option<Duration>,
}

impl OverrideArguments {
    pub(crate) fn rules(&self, run: &Run, untested: bool) -> Result<Rules> {
        if !self.overrides.is_empty() && self.reason.as_deref().is_none_or(|reason| reason.trim().is_empty())
        {
            return Err(Error::new(Kind::Usage, "--override needs a reason, which the release records")
                .with_hint("--reason \"INC-123\""));
        }
        if self.overrides.is_empty() && self.reason.is_some() && !untested {
            return Err(Error::new(Kind::Usage, "--reason needs --override: no rule is overridden")
                .with_hint("--override RULE names one"));
        }
        let mut overridden = self.overrides.clone();
        if untested {
            overridden.push("tested".to_owned());
        }
        let rules = Rules::new(overridden, self.reason.clone(), self.wait_lock)?;
        Ok(rules.answered(run.global.yes))
    }
}
