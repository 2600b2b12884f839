//! No write without a lease that is known to be ours.
//!
//! A run whose renewals cannot reach the API server does not know whether it still holds its lock. It need
//! not end for that (the server may only be restarting, and then nobody else can take the lock either), but
//! it must not change anything before a renewal went through: then the lock was ours all the time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Opened and shut by the lease, passed by every write. Open where there is no lease.
pub(super) struct Fence(watch::Sender<Option<Instant>>);

impl Default for Fence {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Fence {
    /// Writes may pass until then.
    pub(super) fn open_until(&self, end: Instant) {
        self.0.send_replace(Some(end));
    }

    /// There is no lease any more: writes pass freely.
    pub(super) fn remove(&self) {
        self.0.send_replace(None);
    }

    /// Waits until writes may pass; `false` if they still may not after `limit`.
    pub(super) async fn pass(&self, limit: Duration) -> bool {
        let mut open = self.0.subscribe();
        let passed = open.wait_for(|end| end.is_none_or(|end| Instant::now() < end));
        matches!(tokio::time::timeout(limit, passed).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_wait_for_a_renewal() {
        const SHORT: Duration = Duration::from_millis(20);
        let fence = Fence::default();
        assert!(fence.pass(SHORT).await);
        fence.open_until(Instant::now() + SHORT);
        assert!(fence.pass(SHORT).await);
        tokio::time::sleep(SHORT).await;
        assert!(!fence.pass(SHORT).await, "the lease has run out");
        let renewed = async {
            tokio::time::sleep(SHORT).await;
            fence.open_until(Instant::now() + SHORT * 10);
        };
        let (passed, ()) = tokio::join!(fence.pass(SHORT * 10), renewed);
        assert!(passed);
        fence.remove();
        assert!(fence.pass(SHORT).await);
    }
}
