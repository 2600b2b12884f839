//! Colours, in one place: what is good, bad, doubtful, unimportant. Meaning never depends on them.
//!
//! Everything is painted always; where the reader wants no colour, [`crate::report::sink::Sink`] takes it out again.

//!
//! An answer holds words of strangers, who may have written colours themselves: ours bear a number that nobody else
//! knows until [`crate::report::sink::Sink`] writes them, so that all others can be taken out.

use std::sync::LazyLock;

use crate::text::random;

/// How our escape sequences begin in this process.
static OURS: LazyLock<String> =
    LazyLock::new(|| format!("\u{1b}[{};", 1_000_000_000 + random::number() % 1_000_000_000));

fn painted(text: &str, begin: u8, end: u8) -> String {
    let ours = OURS.as_str();
    format!("{ours}{begin}m{text}{ours}{end}m")
}

/// The text with our colours as terminals know them.
pub(crate) fn shown(text: &str) -> String {
    text.replace(OURS.as_str(), "\u{1b}[")
}

/// The text with our colours, and everything between them as `change` has it.
pub(crate) fn between(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(OURS.as_str());
    let mut result = change(parts.next().unwrap_or_default());
    for part in parts {
        let (code, text) = part.split_once('m').unwrap_or((part, ""));
        result.extend([OURS.as_str(), code, "m", &change(text)]);
    }
    result
}

/// It went well.
pub(crate) fn good(text: &str) -> String {
    painted(text, 32, 39)
}

/// It failed.
pub(crate) fn bad(text: &str) -> String {
    painted(&painted(text, 31, 39), 1, 0)
}

/// It deserves a look.
pub(crate) fn doubtful(text: &str) -> String {
    painted(text, 33, 39)
}

/// Names and headings.
pub(crate) fn strong(text: &str) -> String {
    painted(text, 1, 0)
}

/// Beside the point: times, rulers, log lines.
pub(crate) fn faint(text: &str) -> String {
    painted(text, 2, 0)
}

/// Who wrote a line: each source has a colour of its own.
pub(crate) fn source(name: &str) -> String {
    let ruled = format!("{name} │");
    match name.bytes().map(usize::from).sum::<usize>() % 6 {
        0 => painted(&ruled, 36, 39),
        1 => painted(&ruled, 32, 39),
        2 => painted(&ruled, 33, 39),
        3 => painted(&ruled, 34, 39),
        4 => painted(&ruled, 35, 39),
        _ => painted(&ruled, 2, 0),
    }
}

/// What to type.
pub(crate) fn command(text: &str) -> String {
    painted(text, 36, 39)
}
