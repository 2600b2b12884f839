//! No write without a lease that is known to be ours.
//!
//! A run whose renewals cannot reach the API server does not know whether it still holds its lock. It need
//! not end for that (the server may only be restarting, and then nobody else can take the lock either), but
//! it must not change anything before a renewal went through: then the lock was ours all the time.
//!
//! A machine that was suspended does not notice by the monotonic clock, which stands still meanwhile: for everybody else
//! the lease has run out. The clock that counts suspension (`CLOCK_BOOTTIME`) tells.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it is looked whether the machine was suspended, while a write is under way.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One moment by two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// By the clock that stands still while the machine is suspended.
    pub(crate) instant: Instant,
    /// By the clock that does not: since the boot.
    boot: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let boot = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(boot.tv_nsec).unwrap_or_default();
        Self { instant: Instant::now(), boot: Duration::new(seconds, nanoseconds) }
    }

    /// How long the machine was suspended since.
    fn suspended_since(&self, before: &Self) -> Duration {
        let awake = self.instant.saturating_duration_since(before.instant);
        self.boot.saturating_sub(before.boot).saturating_sub(awake)
    }
}

/// The time for which writes may pass.
#[derive(Debug, Clone, Copy)]
struct Term {
    from: Moment,
    length: Duration,
}

impl Term {
    fn end(&self) -> Instant {
        self.from.instant + self.length
    }

    fn holds_at(&self, now: &Moment) -> bool {
        now.instant < self.end() && now.suspended_since(&self.from) <= self.length / 3
    }
}

/// Opened and shut by the lease, passed by every write. Open where there is no lease.
pub(crate) struct WriteGate {
    term: watch::Sender<Option<Term>>,
    now: fn() -> Moment,
}

impl Default for WriteGate {
    fn default() -> Self {
        Self { term: watch::Sender::new(None), now: Moment::now }
    }
}

impl WriteGate {
    /// Writes may pass for so long from then on.
    pub(crate) fn open(&self, from: Moment, length: Duration) {
        self.term.send_replace(Some(Term { from, length }));
    }

    /// There is no lease any more: writes pass freely.
    pub(crate) fn remove(&self) {
        self.term.send_replace(None);
    }

    /// Waits until writes may pass; `false` if they still may not after `limit`.
    pub(crate) async fn pass(&self, limit: Duration) -> bool {
        let mut open = self.term.subscribe();
        let passed = open.wait_for(|term| term.is_none_or(|term| term.holds_at(&(self.now)())));
        matches!(tokio::time::timeout(limit, passed).await, Ok(Ok(_)))
    }

    /// Waits until writes may no longer pass: what is under way by then must not go on.
    pub(crate) async fn shut(&self) {
        let mut changes = self.term.subscribe();
        loop {
            let term = *changes.borrow_and_update();
            let rest = match term {
                Some(term) if !term.holds_at(&(self.now)()) => return,
                Some(term) => term.end().saturating_duration_since(Instant::now()).min(LOOK_EVERY),
                None => Duration::MAX,
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                // The sender is ours: it does not go away meanwhile.
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn writes_wait_for_a_renewal() {
        let fence = WriteGate::default();
        assert!(fence.pass(SHORT).await);
        fence.open(Moment::now(), SHORT);
        assert!(fence.pass(SHORT).await);
        tokio::time::sleep(SHORT).await;
        assert!(!fence.pass(SHORT).await, "the lease has run out");
        let renewed = async {
            tokio::time::sleep(SHORT).await;
            fence.open(Moment::now(), SHORT * 10);
        };
        let (passed, ()) = tokio::join!(fence.pass(SHORT * 10), renewed);
        assert!(passed);
        fence.remove();
        assert!(fence.pass(SHORT).await);
    }

    #[tokio::test]
    async fn what_is_under_way_ends_with_the_lease_and_not_before() {
        let fence = WriteGate::default();
        let is_shut = async |limit| tokio::time::timeout(limit, fence.shut()).await.is_ok();
        assert!(!is_shut(SHORT).await, "there is no lease");
        fence.open(Moment::now(), SHORT * 2);
        let renewed = async {
            tokio::time::sleep(SHORT).await;
            fence.open(Moment::now(), SHORT * 20);
        };
        let (shut, ()) = tokio::join!(is_shut(SHORT * 6), renewed);
        assert!(!shut, "it was renewed in time");
        assert!(is_shut(SHORT * 40).await, "it has run out");
    }

    #[test]
    fn a_third_of_the_lease_may_be_slept_through() {
        let from = Moment::now();
        let term = Term { from, length: Duration::from_secs(15) };
        let after = |awake, suspended| Moment {
            instant: from.instant + Duration::from_secs(awake),
            boot: from.boot + Duration::from_secs(awake + suspended),
        };
        assert!(term.holds_at(&after(14, 0)));
        assert!(!term.holds_at(&after(15, 0)));
        assert!(term.holds_at(&after(1, 5)));
        assert!(!term.holds_at(&after(1, 6)));
        assert!(!term.holds_at(&after(1, 3600)));
        // The clocks are not read at the very same time, and are not equally fast.
        let behind = Moment { boot: from.boot.saturating_sub(SHORT), ..after(1, 0) };
        assert!(term.holds_at(&behind));
    }

    /// How many seconds the machine of the test below has slept.
    static SLEPT: AtomicU64 = AtomicU64::new(0);

    #[tokio::test]
    async fn a_laptop_that_slept_writes_nothing_before_it_has_renewed() {
        let now = || {
            let now = Moment::now();
            Moment { boot: now.boot + Duration::from_secs(SLEPT.load(Ordering::SeqCst)), ..now }
        };
        let fence = WriteGate { now, ..WriteGate::default() };
        fence.open(now(), Duration::from_secs(15));
        assert!(fence.pass(SHORT).await);
        let slept = async {
            tokio::time::sleep(SHORT).await;
            SLEPT.store(60, Ordering::SeqCst);
        };
        let (shut, ()) = tokio::join!(tokio::time::timeout(LOOK_EVERY * 4, fence.shut()), slept);
        assert!(shut.is_ok(), "what was under way goes no further");
        assert!(!fence.pass(SHORT).await);
        fence.open(now(), Duration::from_secs(15));
        assert!(fence.pass(SHORT).await, "the lease was renewed after it");
    }
}
