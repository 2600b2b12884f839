//! Keeping a lease: renewed every 5 s, given up when somebody else has it, given back at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::micro_time;
use crate::cluster::lease::waiter::{DURATION, LeaseState};
use crate::cluster::transport::write_gate::Moment;
use crate::cluster::{Cluster, Refusal};
use crate::error::Result;
use crate::model::ObjectRef;

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How soon it is tried again after a renewal that failed.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// The time during which a lease is ours. Clones are the same one.
#[derive(Clone)]
pub(super) struct HeldLease {
    cluster: Cluster,
    identity: String,
    /// The lease as it was written or read last.
    lease: Arc<Mutex<Value>>,
    pub(super) lost: CancellationToken,
}

/// What a renewal came to.
enum Renewal {
    Done,
    /// Somebody else holds it, or it was deleted.
    Lost,
    /// The server does not want it.
    Refused,
    /// Nobody knows.
    Unanswered,
}

impl HeldLease {
    /// The lease is ours since the request that was sent at this instant.
    pub(super) fn begin(
        cluster: Cluster,
        identity: &str,
        lease: Value,
        asked: Moment,
    ) -> (Self, JoinHandle<()>) {
        cluster.transport.fence().open(asked, DURATION);
        let tenure = Self {
            cluster,
            identity: identity.to_owned(),
            lease: Arc::new(Mutex::new(lease)),
            lost: CancellationToken::new(),
        };
        let renewing = tokio::spawn(tenure.clone().renew_until_lost(asked));
        (tenure, renewing)
    }

    async fn renew_until_lost(self, mut renewed: Moment) {
        let mut pause = RENEW_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let asked = Moment::now();
            let renewal =
                tokio::time::timeout(RENEW_EVERY, self.renew()).await.unwrap_or(Renewal::Unanswered);
            pause = TRY_AGAIN;
            match renewal {
                Renewal::Done => {
                    renewed = asked;
                    pause = RENEW_EVERY;
                    self.cluster.transport.fence().open(asked, DURATION);
                }
                Renewal::Lost => return self.lost.cancel(),
                Renewal::Refused if renewed.instant.elapsed() >= DURATION => return self.lost.cancel(),
                // While the server is away nobody else can take it; the fence keeps our writes back.
                Renewal::Refused | Renewal::Unanswered => {}
            }
        }
    }

    async fn renew(&self) -> Renewal {
        let now = micro_time(self.cluster.now());
        self.write(|lease| lease["spec"]["renewTime"] = json!(now)).await
    }

    #[cfg(test)]
    pub(super) async fn renew_once(&self) -> bool {
        matches!(self.renew().await, Renewal::Done)
    }

    /// Writes a change of it as long as it is ours, whoever else edited it meanwhile.
    async fn write(&self, change: impl Fn(&mut Value)) -> Renewal {
        loop {
            let mut wanted = self.known();
            change(&mut wanted);
            match self.cluster.replace(&wanted).await {
                Ok(lease) => {
                    self.know(lease);
                    return Renewal::Done;
                }
                Err(refused) if matches!(refused.refusal, Refusal::Stale | Refusal::NotFound) => {}
                Err(refused) => {
                    tracing::debug!(%refused, "the lease could not be written");
                    let unanswered = matches!(refused.refusal, Refusal::Unreachable | Refusal::Interrupted);
                    return if unanswered { Renewal::Unanswered } else { Renewal::Refused };
                }
            }
            match self.cluster.get(&ObjectRef::of(&wanted)).await {
                Ok(Some(lease)) if self.is_ours(&lease) => self.know(lease),
                Ok(_) => return Renewal::Lost,
                Err(_) => return Renewal::Unanswered,
            }
        }
    }

    /// Gives it back, if it still is ours.
    pub(super) async fn give_back(&self) -> Result<(), ()> {
        let written = self.write(|lease| lease["spec"]["holderIdentity"] = json!("")).await;
        self.end();
        match written {
            Renewal::Done | Renewal::Lost => Ok(()),
            Renewal::Refused | Renewal::Unanswered => Err(()),
        }
    }

    /// Writes no longer depend on it.
    pub(super) fn end(&self) {
        self.cluster.transport.fence().remove();
    }

    fn is_ours(&self, lease: &Value) -> bool {
        let state = LeaseState::read(lease);
        state.identity == self.identity && !state.is_free()
    }

    fn known(&self) -> Value {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know(&self, lease: Value) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }
}
