//! The API server's clock, read from the `Date` header of its answers.
//!
//! Ages of states are computed against it, because the clocks of two machines may differ by minutes and the
//! local one may jump. `Date` is cut to whole seconds, so each answer gives a lower bound; the best bound so
//! far is kept.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A new answer that lies further behind the clock than this means that the server's clock was set back, or
/// that another server with another clock answers.
const SET_BACK: SignedDuration = SignedDuration::from_secs(3);

#[derive(Default)]
pub(crate) struct ServerClock(Mutex<Option<(Timestamp, Instant)>>);

impl ServerClock {
    /// The server's time now; the local clock's before the first answer.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Timestamp {
        match *self.lock() {
            Some((time, read_at)) => later(time, instant.saturating_duration_since(read_at)),
            None => Timestamp::now(),
        }
    }

    /// An answer that was received at this instant carried this `Date`.
    pub(crate) fn observe(&self, date: &str, received: Instant) {
        let Some(date) = parse(date) else { return };
        let mut best = self.lock();
        let keep = best.is_some_and(|(time, read_at)| {
            let expected = later(time, received.saturating_duration_since(read_at));
            date <= expected && expected.duration_since(date) < SET_BACK
        });
        if !keep {
            *best = Some((date, received));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Timestamp, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(time: Timestamp, elapsed: Duration) -> Timestamp {
    time.saturating_add(elapsed).unwrap_or(time)
}

/// Reads an HTTP date (`Mon, 23 Nov 2026 09:05:00 GMT`), which RFC 2822 readers take as well.
fn parse(date: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(date).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_only_moves_up_within_a_second_and_follows_one_that_was_set_back() {
        let clock = ServerClock::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        clock.observe("Mon, 23 Nov 2026 09:05:00 GMT", at(900));
        // Cut to the second: says less than is known already.
        clock.observe("Mon, 23 Nov 2026 09:05:00 GMT", at(1800));
        assert_eq!(clock.at(at(1900)).to_string(), "2026-11-23T09:05:01Z");
        // A better bound.
        clock.observe("Mon, 23 Nov 2026 09:05:02 GMT", at(2000));
        assert_eq!(clock.at(at(2500)).to_string(), "2026-11-23T09:05:02.5Z");
        clock.observe("Mon, 23 Nov 2026 08:00:00 GMT", at(3000));
        assert_eq!(clock.at(at(3000)).to_string(), "2026-11-23T08:00:00Z");
        clock.observe("nonsense", at(3000));
        assert_eq!(clock.at(at(3000)).to_string(), "2026-11-23T08:00:00Z");
    }
}
