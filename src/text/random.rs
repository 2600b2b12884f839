//! Random numbers of the system: keys, names that no other run has.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_twice() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
        assert_ne!(number(), number());
    }
}
