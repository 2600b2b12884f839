//! `windlass remove TIER`

use std::time::Duration;

use clap::Args;
use futures::FutureExt;

use crate::cli::{Run, TierArguments, complete, duration};
use crate::error::{Error, Kind, Result};
use crate::release::Rules;
use crate::report::prompt;
use crate::tier::{self, Removal, RemoveRequest};

/// Delete what the tier's records own
///
/// Keeps claims and their volumes unless --with-data is given, and always keeps definitions of custom resources. Deletes the
/// namespace only if windlass created it for this tier and it contains nothing else (except what `ignore:` of the tier
/// names). Objects that are kept lose windlass's labels, so that another project can take them over. The records are
/// deleted last: run the command again if it was killed.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    tier: TierArguments,
    /// Repeat the name of the tier to confirm
    #[arg(long, value_name = "TIER", add = complete::tiers())]
    confirm: Option<String>,
    /// Also delete the claims and their volumes
    #[arg(long)]
    with_data: bool,
    /// Also delete the namespace, after listing what is in it
    #[arg(long)]
    with_namespace: bool,
    /// Delete only what windlass stores about the tier (records, lock, labels); everything keeps running
    #[arg(long, conflicts_with_all = ["with_data", "with_namespace"])]
    records_only: bool,
    /// How long to wait for another release's lock [default: 0 in a terminal, 10m in CI]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait_lock: Option<Duration>,
}

impl Remove {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        if let Some(other) = self.confirm.as_ref().filter(|name| **name != self.tier.tier) {
            let message = format!("--confirm names {other}, but the tier to remove is {}", self.tier.tier);
            return Err(Error::new(Kind::Usage, message));
        }
        let (project, tier) = self.tier.open_under_rules(run).await?;
        let rules = Rules::new(Vec::new(), None, self.wait_lock)?;
        // Nothing overrides this rule here.
        rules
            .check_job(&run.session, &project, &tier)
            .map_err(|refused| refused.with_hint("run it in a job of this tier's environment, for a protected branch or tag where the tier is protected"))?;
        let confirmed = self.confirm.is_some();
        let agreed = async |removal: &Removal| {
            if confirmed { Ok(()) } else { confirm(run, removal, &tier.name).await }
        };
        let request = RemoveRequest {
            with_data: self.with_data,
            with_namespace: self.with_namespace,
            records_only: self.records_only,
        };
        let removal = tier::remove(&run.session, &project, &tier, &rules, request, agreed).await?;
        run.session.reporter.show(&removal.view());
        Ok(())
    }
}

/// Shows what would go; whoever sits at a terminal may type the tier's name.
async fn confirm(run: &Run, removal: &Removal, tier: &str) -> Result<()> {
    let reporter = &run.session.reporter;
    reporter.show(&removal.view());
    let typed = prompt::type_name(reporter, "Type the tier's name to remove it: ", tier).map(Ok);
    if prompt::is_possible() && run.session.unless_cancelled(typed).await? {
        return Ok(());
    }
    let refused = Error::new(Kind::Usage, format!("nothing was removed from {tier}"));
    Err(refused.with_hint(format!("--confirm {tier}")))
}
