//! Who holds a tier's lock, with what the records say of it.

use jiff::SignedDuration;

use crate::cluster::{Holder, Lease, LeaseTask};
use crate::error::Error;
use crate::record::store::base_name;
use crate::record::{Kind as ReleaseKind, Outcome, Summary};
use crate::release::context;
use crate::release::context::TierContext;

/// The holder of the lock with what the records say of it: `release 12`, and its commit. Without them where it has not
/// begun yet, or nobody may read them.
pub(crate) async fn on_record(context: TierContext<'_>, holder: Holder) -> (Holder, Option<String>) {
    let history = context.store().history().await.unwrap_or_default();
    let Some(summary) = held_by(history.first(), &holder) else { return (holder, None) };
    let title = match summary.kind {
        ReleaseKind::Rollback { to, .. } => format!("rollback {} to release {to}", summary.revision),
        ReleaseKind::Release => format!("release {}", summary.revision),
        ReleaseKind::Adoption => format!("adoption {}", summary.revision),
    };
    let commit = holder.task.commit.clone().or_else(|| summary.commit.clone());
    let task = LeaseTask { commit, ..holder.task.clone() };
    (Holder { task, ..holder }, Some(title))
}

/// The newest release, if it is the one that holds the lock.
pub(crate) fn held_by<'a>(newest: Option<&'a Summary>, holder: &Holder) -> Option<&'a Summary> {
    // Both times are the API server's, whose clock is read in whole seconds. One from before was killed.
    let began = |one: &Summary| one.started.duration_since(holder.since) >= SignedDuration::from_secs(-2);
    newest.filter(|one| one.outcome == Outcome::Running && began(one) && holder.hold.is_none())
}

/// The error of a tier that is locked, with the revision of the release that holds the lock.
pub(crate) async fn named(context: TierContext<'_>, error: Error) -> Error {
    let name = base_name(&context.project.name, &context.tier.slug);
    let Ok(Some(holder)) = Lease::holder(context.cluster, &name).await else { return error };
    match on_record(context, holder).await {
        (holder, Some(release)) => {
            holder.refusal(Some(&release), context.cluster.now(), &context::command("unlock", context.tier))
        }
        (_, None) => error,
    }
}
