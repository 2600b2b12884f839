//! Checks `no-endpoints` last: when everything is ready, and before anything is pruned.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::error::Result;
use crate::model::Stage;
use crate::record::store::Store;
use crate::record::{Outcome, Record, Summary};
use crate::release::run::Attempt;
use crate::release::run::apply::Execution;
use crate::rollout::watch::{Before, EndpointCheck};

/// How long to wait for pods and Services that others create.
const WAIT: Duration = Duration::from_secs(30);

impl Attempt<'_> {
    /// Checks where Services and Ingresses route to; what is worth only a warning is added to the record.
    pub(crate) async fn judge_endpoints(&mut self) -> Result<()> {
        let execution = &mut self.execution;
        if execution.watcher.is_served() {
            return Ok(());
        }
        let before = match execution.stage {
            Stage::Rollback => Before::Anything,
            _ => good_before(&self.context.store(), &self.prior.summaries, self.prior.last.as_ref()).await?,
        };
        let now = Instant::now();
        let until = (now + WAIT).min(execution.watcher.end(execution.deadline).max(now));
        let Execution { watcher, plan, .. } = execution;
        let question = EndpointCheck { pruned: &plan.prune, before, until };
        execution.unserved = watcher.endpoints(&question).await?;
        Ok(())
    }
}

/// What the last good release lacked; `last` is the newest full record.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn good_before(
    store: &Store,
    newest_first: &[Summary],
    last: Option<&Record>,
) -> Result<Before> {
    let Some(good) = newest_first.iter().find(|one| one.outcome == Outcome::Good) else {
        return Ok(Before::Nothing);
    };
    if let Some(last) = last.filter(|last| last.summary.revision == good.revision) {
        return Ok(of_record(last));
    }
    let record = store.recorded(newest_first, good.revision).await?;
    Ok(record.as_ref().map_or(Before::Nothing, of_record))
}

/// What a record says, or its objects if an older version wrote it.
fn of_record(record: &Record) -> Before {
    let set = || record.objects.iter().map(|one| Value::clone(&one.object)).collect::<Vec<Value>>();
    match &record.unserved {
        Some(unserved) => Before::Recorded(unserved.iter().cloned().collect()),
        None => Before::Set(set()),
    }
}
