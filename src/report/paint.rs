//! Colours, in one place: what is good, bad, doubtful, unimportant. Meaning never depends on them.
//!
//! Everything is painted always; where the reader wants no colour, [`super::sink::Sink`] takes it out again.

use owo_colors::OwoColorize;

/// It went well.
pub fn good(text: &str) -> String {
    text.green().to_string()
}

/// It failed.
pub fn bad(text: &str) -> String {
    text.red().bold().to_string()
}

/// It deserves a look.
pub fn doubtful(text: &str) -> String {
    text.yellow().to_string()
}

/// Names and headings.
pub fn strong(text: &str) -> String {
    text.bold().to_string()
}

/// Beside the point: times, rulers, log lines.
pub fn faint(text: &str) -> String {
    text.dimmed().to_string()
}

/// Who wrote a line: each source has a colour of its own.
pub fn source(name: &str) -> String {
    let ruled = format!("{name} │");
    match name.bytes().map(usize::from).sum::<usize>() % 6 {
        0 => ruled.cyan().to_string(),
        1 => ruled.green().to_string(),
        2 => ruled.yellow().to_string(),
        3 => ruled.blue().to_string(),
        4 => ruled.magenta().to_string(),
        _ => ruled.dimmed().to_string(),
    }
}

/// What to type.
pub fn command(text: &str) -> String {
    text.cyan().to_string()
}
