//! What people read: durations, digests, and texts that others wrote.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use anstream::adapter::strip_str;
use regex::Regex;

/// `40 ms`, `1.2 s`, `2m 05s`, `1h 02m`.
pub(crate) fn duration(length: Duration) -> String {
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
pub(crate) fn whole(length: Duration) -> String {
    match length.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

/// As [`duration`], from the seconds of an event.
pub(crate) fn seconds(length: f64) -> String {
    duration(Duration::try_from_secs_f64(length).unwrap_or_default())
}

/// Digests cut to their first eight digits: `sha256:1f3c9a0b…`. Machine output keeps them whole.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    static DIGEST: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(sha256:[0-9a-f]{8})[0-9a-f]{56}\b").expect("the pattern is a constant")
    });
    DIGEST.replace_all(text, "$1…")
}

/// Cut to so many characters, with `…` in the place of what was cut.
pub(crate) fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A sentence without what is another each time: ids, times and durations, processes, ports of clients, temporary files.
pub(crate) fn lasting(sentence: &str) -> Cow<'_, str> {
    static PASSING: LazyLock<Regex> = LazyLock::new(|| {
        let parts = [
            // 2026-10-03T14:00:00.123Z, 14:00:00
            r"\b(\d{4}-\d{2}-\d{2}[T ])?\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?\b",
            // Ids: a uid, or many hexadecimal digits.
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
            r"\b[0-9a-f]{12,}\b",
            // 1.5s, 20ms, 1m20s
            r"\b(\d+(\.\d+)?(h|ms|m|s|µs|us|ns))+\b",
            // 10.1.0.7:43210->10.1.0.8:80
            r":\d+->",
            r"\b(pid|process|goroutine|fd)[ =:]+\d+\b",
            r"/(tmp|proc)/\S+",
        ];
        Regex::new(&parts.join("|")).expect("the patterns are constants")
    });
    PASSING.replace_all(sentence, "…")
}

/// `1 object`, `3 objects`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The text of a stranger as a terminal would have left it: escape sequences, what a carriage return would have
/// overwritten, and characters that move or hide others are taken out. Line breaks stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(|one| one != '\n' && is_hidden(one)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(plain_line).collect::<Vec<_>>().join("\n"))
}

fn plain_line(line: &str) -> String {
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    strip_str(last).to_string().replace(['\t', '\u{2028}', '\u{2029}'], "    ").replace(is_hidden, "")
}

/// Whether a character moves the cursor, turns the direction of what follows, or cannot be seen. Those that belong to
/// words of some scripts (joiners, variation selectors) are none of them.
pub(crate) fn is_hidden(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        // Those that are no characters, which XML forbids.
        || matches!(one, '\u{fdd0}'..='\u{fdef}')
        || u32::from(one) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_write_is_plain() {
        for (text, shown) in [
            ("a\u{1b}[8mb\u{1b}]0;title\u{7}c\td", "abc    d"),
            ("10%\r100%\r\ndone", "100%\ndone"),
            ("a\u{202e}b\u{2066}c\u{200b}d\u{fffe}e\u{feff}f\u{9b}g", "abcdefg"),
            ("Grüße, 👩‍👧 ❤️ नमस्ते", "Grüße, 👩‍👧 ❤️ नमस्ते"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

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
