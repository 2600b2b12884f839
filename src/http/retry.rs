//! How long to wait before something is tried again; how often, and from what on, is the caller's.

use std::time::Duration;

use crate::text::random;

/// The pause after the attempt of this number, counted from 0: `first`, doubled each time, up to `longest`.
pub(crate) fn backoff(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// The pause without a random part of it, at most `share` (0 to 1): many that failed together do not come back together.
pub(crate) fn with_jitter(pause: Duration, share: f64) -> Duration {
    pause.mul_f64(1.0 - share * random::fraction())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let pauses: Vec<u64> =
            (0..6).map(|attempt| backoff(attempt, SECOND, 10 * SECOND).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        assert_eq!([31, 32, 1000].map(|attempt| backoff(attempt, SECOND, 10 * SECOND)), [10 * SECOND; 3]);
    }

    #[test]
    fn at_most_the_share_is_taken_away() {
        let pauses: Vec<Duration> = (0..100).map(|_| with_jitter(SECOND, 0.25)).collect();
        assert!(pauses.iter().all(|pause| (SECOND * 3 / 4..=SECOND).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
