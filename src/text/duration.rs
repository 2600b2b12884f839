//! Durations as people write them: `90s`, `5m`, `1h30m`.

use std::time::Duration;

use super::Malformed;

/// No duration is longer: ten years. Clocks of computers do not go on for ever, and neither does a lock.
pub(crate) const LONGEST: Duration = Duration::from_secs(87_600 * 3600);

/// Reads `90s`, `5m`, `1h30m`: hours, minutes and seconds, in this order, each at most once.
///
/// # Errors
/// For anything else, also a number without a unit, and for more than [`LONGEST`].
pub(crate) fn duration(text: &str) -> Result<Duration, Malformed> {
    let duration = seconds(text).filter(|_| !text.is_empty()).map(Duration::from_secs).ok_or_else(|| {
        Malformed::new(format!("`{text}` is not a duration")).with_hint("write `90s`, `5m` or `1h30m`")
    })?;
    if duration <= LONGEST {
        return Ok(duration);
    }
    Err(Malformed::new(format!("`{text}` is longer than ten years"))
        .with_hint("a duration is at most `87600h`"))
}

fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(seconds)?)?;
        rest = after;
    }
    rest.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_units_in_their_order() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h0m5s", 3605), ("0s", 0)] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "+5m",
            "30m1h",
            "1.5h",
            "5 m",
            "5ms",
            "5mm",
            "99999999999999999h",
            "99999999h",
            "18446744073709551615s",
            "87600h1s",
        ] {
            assert!(duration(text).unwrap_err().hint.is_some(), "{text}");
        }
    }
}
