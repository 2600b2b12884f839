//! Which release a rollback would go back to, and whether it can: its objects are recorded, its images exist, and no
//! Job in between refuses.

use crate::error::Result;
use crate::record::target::Target;
use crate::record::{Record, Summary, Task, target};
use crate::release::context::TierContext;
use crate::release::from_record;
use crate::release::plan::checks::images;
use crate::release::plan::checks::images::Presence;
use crate::release::plan::redaction;
use crate::report::view::rollback::{PastJob, RollbackOutlook, RollbackTarget};

/// Checks the release that a rollback would go back to.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn way_back(context: TierContext<'_>, newest_first: &[Summary]) -> Result<RollbackOutlook> {
    let attempts = context.store().attempts().await?;
    let to = match target::choose(newest_first, &attempts, None) {
        Ok(Target::Release { to, .. }) => to,
        Ok(Target::Already { revision, from, to, further }) => {
            return Ok(RollbackOutlook::Already { revision, from, to, further });
        }
        Ok(Target::Unchanged { runs, further }) => return Ok(RollbackOutlook::Unchanged { runs, further }),
        Err(none) => return Ok(RollbackOutlook::None(none.message().to_owned())),
    };
    let record = context.store().recorded(newest_first, to).await?;
    let set = record.as_ref().map(|record| from_record::recorded(record).0).unwrap_or_default();
    let images =
        set.iter().flat_map(|one| images::images_of(&one.object)).collect::<std::collections::BTreeSet<_>>();
    let found = images::look_up(context, images, images::IN_PASSING).await;
    let count = |wanted: fn(&Presence) -> bool| found.iter().filter(|(_, presence)| wanted(presence)).count();
    let later = newest_first.iter().filter(|summary| summary.revision > to);
    Ok(RollbackOutlook::Ready(RollbackTarget {
        to,
        secrets: changed_values(context, record.as_ref()).await.unwrap_or_default(),
        kept: record.is_some(),
        missing: found
            .iter()
            .filter(|(_, one)| *one == Presence::Missing)
            .map(|(image, _)| image.clone())
            .collect(),
        unknown: count(|presence| matches!(presence, Presence::Unknown(_))),
        present: count(|presence| *presence == Presence::Present),
        jobs: later.flat_map(|one| one.jobs.iter().map(|task| past_job(one.revision, task))).collect(),
    }))
}

/// A user who may not read Secrets is not told.
async fn changed_values(context: TierContext<'_>, record: Option<&Record>) -> Result<Vec<String>> {
    let Some(record) = record.filter(|record| !redaction::redacted_in(&record.objects).is_empty()) else {
        return Ok(Vec::new());
    };
    let key = context.store().key(false).await?;
    let kept = redaction::there(context.cluster, None, record).await?;
    Ok(redaction::changed_values(record, &kept, &key))
}

fn past_job(revision: u64, task: &Task) -> PastJob {
    PastJob { job: task.job.clone(), revision, refuses: task.refuses_rollback }
}
