//! Random numbers of the system: keys, names that no other run has, pauses that do not fall together.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes that nobody can foresee: for keys.
///
/// # Errors
/// Where the system has no random numbers.
pub(crate) fn bytes<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A number that no other process has, for what is no secret: where the system has no random numbers, the clock's
/// nanoseconds must do.
pub(crate) fn number() -> u64 {
    let clock = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok();
    bytes().map_or_else(|_| clock().unwrap_or_default(), u64::from_ne_bytes)
}

/// From 0 up to, but not including, 1.
pub(crate) fn fraction() -> f64 {
    let number = u32::try_from(number() >> 32).unwrap_or_default();
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_twice() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
        assert_ne!(number(), number());
    }

    #[test]
    fn fractions_lie_all_over_their_range() {
        let many: Vec<f64> = (0..1000).map(|_| fraction()).collect();
        assert!(many.iter().all(|one| (0.0..1.0).contains(one)), "{many:?}");
        assert!(many.iter().any(|one| *one < 0.1) && many.iter().any(|one| *one > 0.9), "{many:?}");
    }
}
