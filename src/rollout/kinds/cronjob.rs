//! `CronJobs`: their Jobs do not affect a release.

use crate::model::object;
use crate::model::object::is_true;
use crate::rollout::context::EvalContext;
use crate::rollout::health::Health;
use crate::rollout::snapshot::condition;

/// Judges a `CronJob`.
pub(crate) fn judge(context: &mut EvalContext) -> Health {
    if is_true(context.object, "/spec/suspend") {
        return Health::paused("the CronJob is suspended (spec.suspend is true): it starts no Jobs");
    }
    let jobs = context.snapshot.children_of_kind(context.object, "Job");
    let last = jobs.max_by_key(|job| object::created(job));
    let failed = last.filter(|job| condition::is_true(job, "Failed"));
    match failed {
        Some(job) => Health::ready().warning(format!("its last run failed: {}", object::title(job))),
        None => Health::ready(),
    }
}
