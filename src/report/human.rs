//! Numbers as people read them: durations and digests.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

/// `40 ms`, `1.2 s`, `2m 05s`, `1h 02m`.
pub fn duration(length: Duration) -> String {
    let millis = length.as_millis();
    let (tenths, seconds) = ((millis + 50) / 100, (millis + 500) / 1000);
    match millis {
        0..100 => format!("{millis} ms"),
        100..59_950 => format!("{}.{} s", tenths / 10, tenths % 10),
        59_950..3_599_500 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// As [`duration`], for what is still running: whole seconds, since tenths would flicker.
pub fn whole(length: Duration) -> String {
    match length.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

/// As [`duration`], from the seconds of an event.
pub fn seconds(length: f64) -> String {
    duration(Duration::try_from_secs_f64(length).unwrap_or_default())
}

/// Digests cut to their first eight digits: `sha256:1f3c9a0b…`. Machine output keeps them whole.
pub fn shorten(text: &str) -> Cow<'_, str> {
    static DIGEST: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(sha256:[0-9a-f]{8})[0-9a-f]{56}\b").expect("the pattern is a constant")
    });
    DIGEST.replace_all(text, "$1…")
}

/// `1 object`, `3 objects`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_precision_that_matters() {
        let shown = |millis| duration(Duration::from_millis(millis));
        assert_eq!(shown(0), "0 ms");
        assert_eq!(shown(40), "40 ms");
        assert_eq!(shown(1_240), "1.2 s");
        assert_eq!(shown(59_949), "59.9 s");
        assert_eq!(shown(59_960), "1m 00s");
        assert_eq!(shown(125_000), "2m 05s");
        assert_eq!(shown(3_599_600), "1h 00m");
        assert_eq!(shown(3_725_000), "1h 02m");
        assert_eq!(whole(Duration::from_millis(5_900)), "5 s");
        assert_eq!(whole(Duration::from_millis(65_900)), "1m 05s");
    }

    #[test]
    fn only_whole_digests_are_shortened() {
        let digest = format!("web:1f3c@sha256:{}", "1f3c9a0b".repeat(8));
        assert_eq!(shorten(&digest), "web:1f3c@sha256:1f3c9a0b…");
        assert_eq!(shorten("sha256:1f3c9a0b"), "sha256:1f3c9a0b");
    }
}
