//! A tier that a person locks: the same lease, held without a run that renews it, with what they said and,
//! where they said it, until when.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::lease::{
    Holder, Lease, LeaseRequest, LeaseState, LeaseWaiter, ManualLock, free, reference, run_identity, taken,
    without_holder, write,
};
use crate::error::{Error, Kind, Result};
use crate::model::labels;
use crate::session::Session;

impl Lease {
    /// Locks for a person, until [`Lease::unlock`] or until the hold's own end. Who holds it already may change
    /// their words.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming another holder; what the cluster refuses.
    pub async fn lock(
        session: &Session,
        cluster: &Cluster,
        request: &LeaseRequest,
        hold: &ManualLock,
    ) -> Result<Holder> {
        let identity = run_identity();
        let mut waiter = LeaseWaiter::new(request.patience, Instant::now());
        loop {
            let found = match cluster.get(&reference(&request.name)).await? {
                Some(found) if is_own(&found, &request.holder) => Some(found),
                _ => free(session, cluster, request, &mut waiter).await?,
            };
            let wanted = held(found, cluster.namespace(), request, &identity, cluster.now(), hold);
            if let Some(lease) = write(&cluster.for_lease(), &wanted, &identity).await? {
                return Ok(Holder::of(LeaseState::read(&lease)));
            }
        }
    }

    /// Gives a lock back in the name of whoever holds it, if that still is `expected`; a run that held it
    /// notices and stops. `false` when somebody else holds it by now.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub async fn unlock(cluster: &Cluster, name: &str, expected: &Holder) -> Result<bool> {
        loop {
            let Some(mut lease) = cluster.get(&reference(name)).await? else { return Ok(true) };
            let state = LeaseState::read(&lease);
            if state.is_free() {
                return Ok(true);
            }
            if Holder::of(state) != *expected {
                return Ok(false);
            }
            without_holder(&mut lease);
            lease["spec"]["holderIdentity"] = json!("");
            match cluster.for_lease().replace(&lease).await {
                Ok(_) => return Ok(true),
                Err(refused) if refused.refusal.is_lost_race() => {}
                Err(refused) => return Err(Error::from(refused)),
            }
        }
    }
}

/// Whether this person has locked it already.
fn is_own(lease: &Value, person: &str) -> bool {
    let state = LeaseState::read(lease);
    state.hold.is_some() && state.holder == person
}

/// The lease with a person as its holder.
fn held(
    found: Option<Value>,
    namespace: &str,
    request: &LeaseRequest,
    identity: &str,
    now: Timestamp,
    hold: &ManualLock,
) -> Value {
    let mut lease = taken(found, namespace, request, identity, now);
    // The process that writes this ends at once, and the lock stays.
    without_holder(&mut lease);
    let annotations = &mut lease["metadata"]["annotations"];
    annotations[labels::LOCK] = json!(identity);
    annotations[labels::MESSAGE] = json!(hold.message);
    if let Some(until) = hold.until {
        annotations[labels::UNTIL] = json!(format!("{until:.0}"));
    }
    lease
}

impl ManualLock {
    /// What a person says who locks a tier.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a message without words.
    pub fn new(message: &str, until: Option<Timestamp>) -> Result<Self> {
        let message = message.trim();
        if message.is_empty() {
            return Err(Error::new(Kind::Usage, "a lock needs a message: others will ask why"));
        }
        Ok(Self { message: message.to_owned(), until })
    }
}
