//! `windlass remove TIER`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::{Run, TierArguments, duration};
use crate::error::{Error, Kind, Result};
use crate::release::{self, Removal, Rules};

/// Remove all that the tier's records own
///
/// Claims stay unless --with-data is given, and so do definitions of custom resources and namespaces that windlass did not
/// make for this tier. The records go last: a removal that was killed is said again.
#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    tier: TierArguments,
    /// The tier's name once more: that it is meant
    #[arg(long, value_name = "TIER")]
    confirm: Option<String>,
    /// Delete the claims, too
    #[arg(long)]
    with_data: bool,
    /// How long to wait for another release's lock [default: 0 in a terminal, 10m in CI]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait_lock: Option<Duration>,
}

impl Remove {
    pub(super) async fn run(self, run: &Run) -> Result<()> {
        if let Some(other) = self.confirm.as_ref().filter(|name| **name != self.tier.tier) {
            let message = format!("--confirm names {other}, and {} is to be removed", self.tier.tier);
            return Err(Error::new(Kind::Usage, message));
        }
        let (project, tier) = self.tier.open(run)?;
        let rules = Rules::new(Vec::new(), None, self.wait_lock)?;
        let confirmed = self.confirm.is_some();
        let agreed = |removal: &Removal| if confirmed { Ok(()) } else { ask(run, removal, &tier.name) };
        let removal = release::remove(&run.session, &project, &tier, &rules, self.with_data, agreed).await?;
        run.session.reporter.answer(Some(&removal.to_json()), &removal.to_text());
        Ok(())
    }
}

/// Shows what would go; whoever sits at a terminal may type the tier's name.
fn ask(run: &Run, removal: &Removal, tier: &str) -> Result<()> {
    let reporter = &run.session.reporter;
    reporter.answer(Some(&removal.to_json()), &removal.to_text());
    let refused = || {
        Error::new(Kind::Usage, format!("nothing was removed from {tier}")).hint(format!("--confirm {tier}"))
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused());
    }
    reporter.answer(None, "Type the tier's name to remove it: ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|_| refused())?;
    if answer.trim() == tier { Ok(()) } else { Err(refused()) }
}
