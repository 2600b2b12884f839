//! `on_cancel: rollback`: restores the last good version of what a cancelled release wrote, as far as possible in the
//! seconds after a signal. The result is not watched, and the record says so.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;

use crate::cluster::{ApplyOptions, Cluster};
use crate::http::CONCURRENCY;
use crate::manifest;
use crate::model::{ObjectId, Outcome, Stage};
use crate::project::OnCancel;
use crate::record::target::Target;
use crate::record::{Applied, SentBack, content, target};
use crate::release::plan;
use crate::release::plan::checks::safeguard;
use crate::release::plan::planner;
use crate::release::run::Attempt;
use crate::release::run::apply::Execution;

/// The time limit for applying; together with the work before and after, 5 s in all.
const LIMIT: Duration = Duration::from_millis(1300);

/// Applies the last good version of everything that was written; `None` if the tier does not want this, or there is
/// nothing to restore.
pub(crate) async fn send_back(attempt: &Attempt<'_>) -> Option<SentBack> {
    let (context, execution) = (attempt.context, &attempt.execution);
    let wanted = context.tier.on_cancel == OnCancel::Rollback && execution.stage == Stage::Release;
    if !wanted || execution.begun.is_empty() {
        return None;
    }
    let Ok(Target::Release { to, .. }) = target::choose(&attempt.prior.summaries, &[], None) else {
        return None;
    };
    if let Some(job) = refuses(attempt, to) {
        let sentence = format!("nothing is restored: {job} ran, and it has windlass.dev/rollback: refuse");
        context.session.reporter.warn(sentence);
        return None;
    }
    let report =
        context.session.reporter.step(execution.stage, "send back", format!("restoring release {to}"));
    let cluster = context.cluster.for_cleanup();
    let mut sent = SentBack { to, sent: 0, of: 0 };
    let sending = async {
        let store = context.with_cluster(&cluster).store();
        let record = store.recorded(&attempt.prior.summaries, to).await.ok().flatten()?;
        let mut objects = Vec::new();
        for object in to_send(&record.objects, execution) {
            if !safeguard::is_guarded(&cluster, &object).await {
                objects.push(object);
            }
        }
        sent.of = objects.len();
        let mut answers = stream::iter(objects).map(|object| send(&cluster, object)).buffered(CONCURRENCY);
        while let Some(taken) = answers.next().await {
            sent.sent += usize::from(taken);
        }
        Some(())
    };
    let is_complete = matches!(tokio::time::timeout(LIMIT, sending).await, Ok(Some(())));
    if !is_complete && sent.of == 0 {
        report.finish(
            Outcome::Interrupted,
            format!("release {to} was not restored: its record was not read in time"),
        );
        return None;
    }
    let outcome = if sent.is_complete() { Outcome::Ok } else { Outcome::Interrupted };
    report.finish(
        outcome,
        format!("{} of {} objects of release {to} restored, not watched", sent.sent, sent.of),
    );
    Some(sent)
}

/// The Job whose work is not undone by rolling back to this revision, if there is one.
fn refuses<'a>(attempt: &'a Attempt<'_>, to: u64) -> Option<&'a ObjectId> {
    let execution = &attempt.execution;
    // Some Jobs of the cancelled release may not have started.
    let began = |revision, job| revision != execution.revision || execution.begun.contains(job);
    let mut refusing = target::all_refusing(&attempt.prior.summaries, to);
    refusing.find(|(revision, task)| began(*revision, &task.job)).map(|(_, task)| &task.job)
}

/// The recorded versions of the objects that were written, except for Jobs and claims.
fn to_send(recorded: &[Applied], execution: &Execution<'_>) -> Vec<Value> {
    let scaled = execution.scaled();
    recorded
        .iter()
        .filter(|one| {
            let id = ObjectId::of(&one.object);
            let may_go_back = !matches!(id.kind.as_str(), "Job" | "PersistentVolumeClaim")
                && !manifest::is_from_configuration(&one.object);
            execution.begun.contains(&id) && may_go_back
        })
        .map(|one| {
            let mut object = Value::clone(&one.object);
            let id = ObjectId::of(&object);
            let live = execution.done.get(&id).and_then(|state| state.replicas.as_ref());
            if let (true, Some(replicas)) = (plan::is_scaled(&scaled, &id), live) {
                planner::set_replicas(&mut object, replicas);
            }
            content::stamp(&mut object, execution.revision, execution.commit.as_deref());
            object
        })
        .collect()
}

async fn send(cluster: &Cluster, object: Value) -> bool {
    cluster.apply(&object, ApplyOptions::default()).await.is_ok()
}
