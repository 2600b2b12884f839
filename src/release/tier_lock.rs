//! Who holds a tier's lock, with what the records say of it.

use jiff::SignedDuration;

use crate::cluster::{Holder, Lease, LeaseRequest, LeaseTask};
use crate::error::{Error, Kind, Result};
use crate::project::{Project, Tier, ci};
use crate::record::store::base_name;
use crate::record::{Actor, Outcome, ReleaseKind, Summary};
use crate::release::context::{TierContext, say_requests};
use crate::release::refused;
use crate::release::rules::Rules;

impl TierContext<'_> {
    /// Takes the tier's lock for the command `verb`; give it back with [`TierLock::release`].
    ///
    /// # Errors
    /// [`Kind::Locked`] naming who holds it, and what the cluster refuses.
    pub(crate) async fn lock(&self, verb: &str) -> Result<TierLock> {
        let request = lease_request(self.project, self.tier, self.rules);
        let task = LeaseTask { command: verb.to_owned(), ..request.task.clone() };
        // A rollback is of another commit than the one that is checked out.
        let task = if verb == "release" { task } else { LeaseTask { commit: None, ..task } };
        let lease = match Lease::acquire(self.session, self.cluster, &LeaseRequest { task, ..request }).await
        {
            Err(error) if error.kind() == Kind::Locked => return Err(named(*self, error).await),
            acquired => acquired?,
        };
        let lock = TierLock { lease };
        if let Some(dead) = lock.lease.left_by()
            && let Err(error) = refused::note_dead_run(*self, dead).await
        {
            lock.release(*self).await;
            return Err(error);
        }
        Ok(lock)
    }

    /// Runs `work`, which is that of the command `verb`, while holding the tier's lock. The lock is given back whatever
    /// happens; a lock lost meanwhile ends the work.
    ///
    /// # Errors
    /// Those of the lock and of `work`.
    pub(crate) async fn locked<T>(&self, verb: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let lock = self.lock(verb).await?;
        let result = lock.hold(work).await;
        lock.release(*self).await;
        result
    }
}

/// The tier's lock, held by this run.
pub(crate) struct TierLock {
    lease: Lease,
}

impl TierLock {
    /// Runs `work`; a lock lost meanwhile ends it.
    ///
    /// # Errors
    /// Those of `work`, and [`Kind::Locked`] where the lock was lost.
    pub(crate) async fn hold<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = self.lease.lost();
        tokio::select! {
            biased;
            result = work => result,
            () = lost.cancelled() => Err(lock_lost()),
        }
    }

    /// Gives the lock back, also after a cancellation.
    pub(crate) async fn release(self, context: TierContext<'_>) {
        self.lease.release().await;
        say_requests(context.session, context.cluster);
    }
}

/// The right without which nobody can lock a tier.
pub(crate) const LOCKING: (&str, &str) = ("get", "leases.coordination.k8s.io");

fn lock_lost() -> Error {
    Error::new(Kind::Locked, "the tier's lock was lost: another release may have begun, so this one stopped")
        .with_hint("look at `windlass status TIER`, then release again")
}

/// How a run asks for the tier's lock.
pub(crate) fn lease_request(project: &Project, tier: &Tier, rules: &Rules) -> LeaseRequest {
    LeaseRequest {
        name: base_name(&project.name, &tier.slug),
        holder: holder(),
        task: LeaseTask {
            command: String::new(),
            commit: project.revision.as_ref().map(|revision| revision.commit.clone()),
            by: Actor::this_person(),
        },
        patience: rules.lock_patience(),
        unlock: tier.command("unlock"),
    }
}

/// Who holds the lock: the GitLab job's address, or user@host.
fn holder() -> String {
    ci::job_url().unwrap_or_else(Actor::this_person)
}

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
            holder.refusal(Some(&release), context.cluster.now(), &context.tier.command("unlock"))
        }
        (_, None) => error,
    }
}
