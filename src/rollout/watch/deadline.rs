//! When waiting ends: at the rollout's deadline, or at the timeout of a single object.
//!
//! The timeout of one object does not shorten the time of the others: while only objects with a timeout of their own
//! are waited for, the rollout's clock is paused.

use std::time::Duration;

use tokio::time::Instant;

/// The rollout's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    stood_still: Duration,
    /// Since when only objects with their own timeout are waited for.
    standing: Option<Instant>,
}

impl Clock {
    /// When waiting ends for these objects, each given as the start of its wait and its own timeout, if it has one.
    pub(super) fn next(
        &mut self,
        waiting: impl Iterator<Item = (Option<Instant>, Option<Duration>)>,
        deadline: Instant,
    ) -> Instant {
        self.at(Instant::now(), waiting, deadline)
    }

    /// When the rollout's time is over, given how long the clock has been paused so far.
    pub(super) fn end(&self, now: Instant, deadline: Instant) -> Instant {
        let standing = self.standing.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        deadline + self.stood_still + standing
    }

    fn at(
        &mut self,
        now: Instant,
        waiting: impl Iterator<Item = (Option<Instant>, Option<Duration>)>,
        deadline: Instant,
    ) -> Instant {
        if let Some(since) = self.standing.take() {
            self.stood_still += now - since;
        }
        let mut shared = false;
        let mut first: Option<Instant> = None;
        for (since, own) in waiting {
            match own {
                None => shared = true,
                Some(own) => {
                    let end = since.unwrap_or(now) + own;
                    first = Some(first.map_or(end, |first| first.min(end)));
                }
            }
        }
        if shared {
            let end = deadline + self.stood_still;
            first = Some(first.map_or(end, |first| first.min(end)));
        } else {
            self.standing = Some(now);
        }
        first.unwrap_or(deadline + self.stood_still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_own_time_is_not_taken_from_the_others() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let own = |seconds| (Some(start), Some(Duration::from_secs(seconds)));
        let shared = (Some(start), None);
        let mut clock = Clock::default();
        assert_eq!(clock.at(at(0), [own(1800), shared].into_iter(), at(600)), at(600));
        // Only the long one is left: the rollout's clock is paused for 1000 s.
        assert_eq!(clock.at(at(100), [own(1800)].into_iter(), at(600)), at(1800));
        assert_eq!(clock.end(at(600), at(600)), at(1100));
        assert_eq!(clock.at(at(1100), [shared].into_iter(), at(600)), at(1600));
        assert_eq!(clock.end(at(1100), at(600)), at(1600));
        assert_eq!(clock.at(at(1200), [shared].into_iter(), at(600)), at(1600));
    }

    #[test]
    fn a_short_time_of_its_own_ends_first() {
        let start = Instant::now();
        let waiting = [(Some(start), Some(Duration::from_secs(5))), (Some(start), None)];
        let end = Clock::default().at(start, waiting.into_iter(), start + Duration::from_secs(600));
        assert_eq!(end, start + Duration::from_secs(5));
    }
}
