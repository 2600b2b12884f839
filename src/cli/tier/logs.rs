//! `windlass logs TIER [OBJECT]`

use std::time::Duration;

use clap::Args;

use crate::cli::{Run, TierArguments, complete, duration};
use crate::error::Result;
use crate::tier::{self, LogRequest};

/// Show logs of the tier's pods, in the order in which they were written
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    tier: TierArguments,
    /// Only this object: Deployment/web, web, or the name of a pod
    #[arg(value_name = "OBJECT", add = complete::objects())]
    object: Option<String>,
    /// Keep following, across restarts and new pods, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only containers with this name
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Only the last LINES of each container [default: all]
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Only lines newer than this: 90s, 5m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Show the previous instances: what a container wrote before it was restarted
    #[arg(long, conflicts_with = "follow")]
    previous: bool,
}

impl Logs {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let (project, tier) = self.tier.open(run)?;
        let request = LogRequest {
            object: self.object,
            container: self.container,
            follow: self.follow,
            previous: self.previous,
            tail: self.tail,
            since: self.since,
        };
        tier::logs(&run.session, &project.name, &tier, &request).await
    }
}
