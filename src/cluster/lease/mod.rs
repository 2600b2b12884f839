//! The lock of a tier: a `Lease` of the cluster that one run at a time holds and renews.
//!
//! Every write of it names the `resourceVersion` it was made from, so of two runs that try at once one wins.

mod forget;
pub(crate) mod manual_lock;
mod process;
mod renewal;
#[cfg(test)]
mod tests;
pub(crate) mod waiter;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Cluster, Refusal};
use crate::cluster::lease::waiter::{
    DURATION, LeaseState, LeaseStep, LeaseWaiter, Observation, without_holder, write_run,
};
pub use crate::cluster::lease::waiter::{LeaseTask, LockWait, ManualLock};
use crate::cluster::transport::write_gate::Moment;
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectRef, labels};
use crate::session::{Session, interrupted};
use crate::text::{display, random};
use process::Process;
use renewal::HeldLease;

/// How often a waiter looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long giving it back may take.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The name of the `Lease` object in the tier's namespace.
    pub name: String,
    /// Who asks, in words: `ann@laptop`, the address of a CI job.
    pub holder: String,
    /// What it is asked for.
    pub task: LeaseTask,
    /// How long to wait for another holder.
    pub patience: LockWait,
    /// The complete command that takes the lock from its holder.
    pub unlock: String,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// In words.
    pub name: String,
    /// When it was taken, by the API server's clock.
    pub since: Timestamp,
    /// What a person says who holds it; `None` where a run holds it.
    pub hold: Option<ManualLock>,
    /// What the run does that holds it.
    pub task: LeaseTask,
}

impl Holder {
    fn of(state: LeaseState) -> Self {
        let LeaseState { holder: name, since, hold, task, .. } = state;
        Self { name, since: since.unwrap_or_default(), hold, task }
    }

    /// Who holds it: `release 12 of 89147efa by nora (https://gitlab.example.com/…/jobs/42)`. `release` is what the records
    /// call it; without that, the command and the commit of the lease do.
    pub fn described(&self, release: Option<&str>) -> String {
        let Self { name, task, .. } = self;
        if self.hold.is_some() || task.command.is_empty() {
            return name.clone();
        }
        let what = release.map_or_else(|| format!("`windlass {}`", task.command), ToOwned::to_owned);
        let commit = task.commit.as_ref().map(|commit| format!(" of {commit:.8}")).unwrap_or_default();
        let place = if *name == task.by { String::new() } else { format!(" ({name})") };
        format!("{what}{commit} by {}{place}", task.by)
    }

    /// Why the lease cannot be had, and what ends that; `release` as in [`Holder::described`].
    pub fn refusal(&self, release: Option<&str>, now: Timestamp, unlock: &str) -> Error {
        let (holder, since) = (self.described(release), since(self.since, now));
        if let Some(hold) = &self.hold {
            let until = hold.until.map(|until| format!(", until {until:.0}")).unwrap_or_default();
            return Error::new(
                Kind::Locked,
                format!("{holder} has locked this tier{since}{until}: {}", hold.message),
            )
            .with_hint(format!("ask {holder}, or remove the lock: {unlock}"));
        }
        let cancel = if self.name.contains("://") { "cancel that job" } else { "stop that run" };
        Error::new(Kind::Locked, format!("{holder} holds the lock of this tier{since}"))
            .with_hint(format!("wait for it with --wait-lock 10m, {cancel}, or remove its lock: {unlock}"))
    }
}

/// A lease that we hold. It is renewed until it is given back; dropped without that, it runs out after 15 s.
pub struct Lease {
    session: Session,
    tenure: HeldLease,
    renewing: tokio::task::JoinHandle<()>,
    left_by: Option<Holder>,
}

impl Lease {
    /// Takes the lease, or waits for it as long as the request's patience lasts.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the holder; [`Kind::Interrupted`]; what the cluster refuses.
    pub async fn acquire(session: &Session, cluster: &Cluster, request: &LeaseRequest) -> Result<Self> {
        let identity = run_identity();
        let mut waiter = LeaseWaiter::new(request.patience, Instant::now());
        loop {
            let found = free(session, cluster, request, &mut waiter).await?;
            if let Some(lease) = Self::take(session, cluster, request, found, &identity).await? {
                return Ok(lease);
            }
        }
    }

    /// Writes our name into it; `None` when somebody else was faster. A signal does not break this off, so
    /// that a lease is not left behind by a run that has already ended.
    async fn take(
        session: &Session,
        cluster: &Cluster,
        request: &LeaseRequest,
        found: Option<Value>,
        identity: &str,
    ) -> Result<Option<Self>> {
        if session.cancel.is_cancelled() {
            return Err(interrupted());
        }
        let asked = Moment::now();
        let for_lease = cluster.for_lease();
        let left_by = found.as_ref().map(LeaseState::read).filter(is_of_a_run).map(Holder::of);
        let wanted = taken(found, cluster.namespace(), request, identity, cluster.now());
        let Some(lease) = write(&for_lease, &wanted, identity).await? else { return Ok(None) };
        let (tenure, renewing) = HeldLease::begin(for_lease, identity, lease, asked);
        let lease = Self { session: session.clone(), tenure, renewing, left_by };
        if session.cancel.is_cancelled() {
            lease.release().await;
            return Err(interrupted());
        }
        Ok(Some(lease))
    }

    /// Who holds the lease of this name in the tier's namespace now; a run that stopped renewing it, or is known to be
    /// dead, does not count, nor a person whose time is over.
    pub async fn holder(cluster: &Cluster, name: &str) -> Result<Option<Holder>> {
        let state = cluster.get(&reference(name)).await?.as_ref().map(LeaseState::read);
        let holds =
            |state: &LeaseState| !state.is_free() && !state.has_run_out(cluster.now()) && !state.has_died();
        let held = state.filter(holds);
        Ok(held.map(Holder::of))
    }

    /// The run that died while it held this lease, if it was taken from one.
    pub fn left_by(&self) -> Option<&Holder> {
        self.left_by.as_ref()
    }

    /// The run that died while it held the lease of this name, and from which nobody has taken it yet.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub async fn dead_holder(cluster: &Cluster, name: &str) -> Result<Option<Holder>> {
        let state = cluster.get(&reference(name)).await?.as_ref().map(LeaseState::read);
        let is_dead =
            |state: &LeaseState| is_of_a_run(state) && (state.has_died() || state.has_run_out(cluster.now()));
        Ok(state.filter(is_dead).map(Holder::of))
    }

    /// Cancelled when the lease is no longer ours: whatever it protects must end. While the API server
    /// cannot be reached nothing is decided; writes then wait until a renewal went through.
    pub fn lost(&self) -> CancellationToken {
        self.tenure.lost.clone()
    }

    /// Gives it back, so that the next one need not wait. Works after a cancellation too, and takes 3 s at
    /// the most.
    pub async fn release(self) {
        self.renewing.abort();
        let given_back = tokio::time::timeout(GIVING_BACK, self.tenure.give_back()).await;
        if !matches!(given_back, Ok(Ok(()))) && !self.tenure.lost.is_cancelled() {
            let seconds = DURATION.as_secs();
            self.session.reporter.warn(format!("the lock could not be released; it expires in {seconds} s"));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
        self.tenure.end();
    }
}

/// Waits until the lease is free, or its holder dead: what is to be written over, if there is one.
///
/// # Errors
/// [`Kind::Locked`] when the patience is used up.
async fn free(
    session: &Session,
    cluster: &Cluster,
    request: &LeaseRequest,
    waiter: &mut LeaseWaiter,
) -> Result<Option<Value>> {
    let mut mentioned = String::new();
    loop {
        let asked = Instant::now();
        let Some(found) = cluster.get(&reference(&request.name)).await? else { return Ok(None) };
        let state = LeaseState::read(&found);
        let (answered, server, died) = (Instant::now(), cluster.now(), state.has_died());
        match waiter.observe(&Observation { state: &state, asked, answered, server, died }) {
            LeaseStep::Take => {
                if died && state.hold.is_none() && !state.is_free() {
                    let holder = Holder::of(state).described(None);
                    session
                        .reporter
                        .warn(format!("{holder} died while it held the lock of this tier: taking it over"));
                }
                return Ok(Some(found));
            }
            LeaseStep::GiveUp => return Err(Holder::of(state).refusal(None, server, &request.unlock)),
            LeaseStep::Wait if mentioned != state.identity => {
                session.reporter.warn(waiting(&state, server, request.patience));
                mentioned.clone_from(&state.identity);
            }
            LeaseStep::Wait => {}
        }
        tokio::select! {
            () = session.cancel.cancelled() => return Err(interrupted()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Whether a run, and no person, holds it.
fn is_of_a_run(state: &LeaseState) -> bool {
    !state.is_free() && state.hold.is_none()
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef::new("coordination.k8s.io/v1", "Lease", name)
}

/// The lease with us as its holder, made from the one that was found.
fn taken(
    found: Option<Value>,
    namespace: &str,
    request: &LeaseRequest,
    identity: &str,
    now: Timestamp,
) -> Value {
    let mut lease = found.unwrap_or_else(|| {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": request.name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": "windlass"},
            },
        })
    });
    let transitions = lease["spec"]["leaseTransitions"].as_u64().map_or(0, |count| count.saturating_add(1));
    without_holder(&mut lease);
    let annotations = &mut lease["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[labels::LOCK] = json!(identity);
    annotations[labels::RUN] = json!(write_run(identity, &request.task, Process::own().as_ref()));
    lease["spec"] = json!({
        "holderIdentity": request.holder,
        "leaseDurationSeconds": DURATION.as_secs(),
        "acquireTime": micro_time(now),
        "renewTime": micro_time(now),
        "leaseTransitions": transitions,
    });
    lease
}

/// Creates it, or replaces the one it was made from. `None` when somebody else was faster.
async fn write(cluster: &Cluster, wanted: &Value, identity: &str) -> Result<Option<Value>> {
    let exists = wanted["metadata"]["resourceVersion"].is_string();
    let written = if exists { cluster.replace(wanted).await } else { cluster.create(wanted).await };
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(refused) if refused.refusal.is_lost_race() || refused.refusal == Refusal::NotFound => Ok(None),
        // The answer got lost; the write may not have.
        Err(refused) if refused.refusal == Refusal::Unreachable => {
            let found = cluster.get(&ObjectRef::of(wanted)).await?;
            let ours = found.filter(|lease| LeaseState::read(lease).identity == identity);
            ours.map_or_else(|| Err(refused.into()), |lease| Ok(Some(lease)))
        }
        Err(refused) => Err(refused.into()),
    }
}

/// How a `Lease` writes a time.
fn micro_time(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A word that no other run has.
fn run_identity() -> String {
    format!("{:016x}{:016x}", random::number(), random::number())
}

fn waiting(state: &LeaseState, now: Timestamp, patience: LockWait) -> String {
    let holder = Holder::of(state.clone()).described(None);
    let seconds = DURATION.as_secs();
    if let Some(hold) = &state.hold {
        return format!("waiting for {holder}, who has locked this tier: {}", hold.message);
    }
    if state.seems_dead(now) {
        let age = display::whole(Duration::try_from(state.age(now)).unwrap_or_default());
        return format!(
            "{holder} holds the lock of this tier but has not renewed it for {age}; taking it over in \
             {seconds} s unless that changes"
        );
    }
    let since = state.since.map_or_else(String::new, |began| since(began, now));
    if patience.limit.is_zero() {
        return format!(
            "{holder} holds the lock of this tier{since}; checking for up to {seconds} s whether it is \
             still alive"
        );
    }
    format!("waiting for the lock of this tier, which {holder} holds{since}")
}

/// ` since 2026-11-23T09:05:00Z (2m 05s)`
fn since(began: Timestamp, now: Timestamp) -> String {
    let age = Duration::try_from(now.duration_since(began)).unwrap_or_default();
    format!(" since {began:.0} ({})", display::whole(age))
}
