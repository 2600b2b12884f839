//! The lock of a tier: a `Lease` of the cluster that one run at a time holds and keeps renewing.
//!
//! Every write of it names the `resourceVersion` it was made from, so of two runs that try at once one wins.

mod hold;
mod renewal;
#[cfg(test)]
mod tests;
mod vigil;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Cluster, ObjectRef, Refusal};
use crate::error::{Error, Kind, Result};
use crate::report::human;
use crate::session::{Session, interrupted};
use renewal::Tenure;
use vigil::{Claim, DURATION, IDENTITY, Look, MESSAGE, Step, UNTIL, Vigil};
pub use vigil::{Hold, Patience};

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
    /// How long to wait for another holder.
    pub patience: Patience,
    /// The complete command that removes a person's lock.
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
    pub hold: Option<Hold>,
}

impl Holder {
    fn of(claim: Claim) -> Self {
        Self { name: claim.holder, since: claim.since.unwrap_or_default(), hold: claim.hold }
    }
}

/// A lease that we hold. It is renewed until it is given back; dropped without that, it runs out after 15 s.
pub struct Lease {
    session: Session,
    tenure: Tenure,
    renewing: tokio::task::JoinHandle<()>,
}

impl Lease {
    /// Takes the lease, or waits for it as long as the request's patience lasts.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the holder; [`Kind::Interrupted`]; what the cluster refuses.
    pub async fn acquire(session: &Session, cluster: &Cluster, request: &LeaseRequest) -> Result<Self> {
        let identity = random();
        let mut vigil = Vigil::new(request.patience, Instant::now());
        loop {
            let found = free(session, cluster, request, &mut vigil).await?;
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
        let asked = Instant::now();
        let for_lease = cluster.for_lease();
        let wanted = taken(found, cluster.namespace(), request, identity, cluster.now());
        let Some(lease) = write(&for_lease, &wanted, identity).await? else { return Ok(None) };
        let (tenure, renewing) = Tenure::begin(for_lease, identity, lease, asked);
        let lease = Self { session: session.clone(), tenure, renewing };
        if session.cancel.is_cancelled() {
            lease.release().await;
            return Err(interrupted());
        }
        Ok(Some(lease))
    }

    /// Who holds the lease of this name in the tier's namespace now; a run that stopped renewing it does not
    /// count, nor a person whose time is over.
    pub async fn holder(cluster: &Cluster, name: &str) -> Result<Option<Holder>> {
        let claim = cluster.get(&reference(name)).await?.as_ref().map(Claim::read);
        let held = claim.filter(|claim| !claim.is_free() && !claim.has_run_out(cluster.now()));
        Ok(held.map(Holder::of))
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
            self.session
                .reporter
                .warn(format!("the lock could not be given back; it ends by itself in {seconds} s"));
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
    vigil: &mut Vigil,
) -> Result<Option<Value>> {
    let mut mentioned = String::new();
    loop {
        let asked = Instant::now();
        let Some(found) = cluster.get(&reference(&request.name)).await? else { return Ok(None) };
        let claim = Claim::read(&found);
        match vigil.look(&Look { claim: &claim, asked, answered: Instant::now(), server: cluster.now() }) {
            Step::Take => return Ok(Some(found)),
            Step::GiveUp => return Err(locked(&claim, cluster.now(), request)),
            Step::Wait if mentioned != claim.identity => {
                session.reporter.warn(waiting(&claim, cluster.now(), request.patience));
                mentioned.clone_from(&claim.identity);
            }
            Step::Wait => {}
        }
        tokio::select! {
            () = session.cancel.cancelled() => return Err(interrupted()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
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
    let transitions = lease["spec"]["leaseTransitions"].as_u64().map_or(0, |count| count + 1);
    without_hold(&mut lease);
    lease["metadata"]["annotations"][IDENTITY] = json!(identity);
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
            let ours = found.filter(|lease| Claim::read(lease).identity == identity);
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
fn random() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// Takes off what a person said who held it before.
fn without_hold(lease: &mut Value) {
    if let Some(annotations) = lease["metadata"]["annotations"].as_object_mut() {
        annotations.shift_remove(MESSAGE);
        annotations.shift_remove(UNTIL);
    }
}

fn locked(claim: &Claim, now: Timestamp, request: &LeaseRequest) -> Error {
    let (holder, since) = (&claim.holder, since(claim, now));
    match &claim.hold {
        Some(hold) => {
            let until = hold.until.map(|until| format!(", until {until:.0}")).unwrap_or_default();
            Error::new(Kind::Locked, format!("{holder} has locked this tier{since}{until}: {}", hold.message))
                .hint(format!("ask {holder}, or remove the lock: {}", request.unlock))
        }
        None => Error::new(Kind::Locked, format!("{holder} holds the lock of this tier{since}"))
            .hint("wait for it with --wait-lock 10m; the lock of a run that died ends by itself after 15 s"),
    }
}

fn waiting(claim: &Claim, now: Timestamp, patience: Patience) -> String {
    let holder = &claim.holder;
    let seconds = DURATION.as_secs();
    if let Some(hold) = &claim.hold {
        return format!("waiting for {holder}, who has locked this tier: {}", hold.message);
    }
    if claim.seems_dead(now) {
        let age = human::whole(Duration::try_from(claim.age(now)).unwrap_or_default());
        return format!(
            "{holder} holds the lock of this tier but has not renewed it for {age}; taking it over in {seconds} s if that stays so"
        );
    }
    let since = since(claim, now);
    if patience.limit.is_zero() {
        return format!(
            "{holder} holds the lock of this tier{since}; looking for up to {seconds} s whether it is still alive"
        );
    }
    format!("waiting for the lock of this tier, which {holder} holds{since}")
}

/// ` since 2026-11-23T09:05:00Z (2m 05s)`
fn since(claim: &Claim, now: Timestamp) -> String {
    claim.since.map_or_else(String::new, |since| {
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        format!(" since {since:.0} ({})", human::whole(age))
    })
}
