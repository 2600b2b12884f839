//! Lines out of the pieces in which an Engine hands over what a process writes.

use std::collections::VecDeque;

/// A line that never ends is cut here: a program that writes without line breaks must not fill the memory.
const LONGEST: usize = 64 * 1024;

/// The part of a stream that has no line break yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece and gives the lines that are complete with it, without their line breaks.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") || self.rest.len() >= LONGEST {
                lines.extend(self.end());
            }
        }
        lines
    }

    /// The line that was begun, at the end of the stream.
    pub(crate) fn end(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.rest);
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

/// The last lines of a log.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    limit: usize,
}

impl Tail {
    /// Keeps so many.
    pub(crate) fn of(limit: usize) -> Self {
        Self { lines: VecDeque::new(), limit }
    }

    pub(crate) fn push(&mut self, line: &str) {
        if self.lines.len() == self.limit {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// Oldest first, without empty lines at the end.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines.iter().cloned().collect();
        while lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.push("a\nb\u{e9}".as_bytes()), ["a"]);
        assert_eq!(lines.push(b"c\r\n\nd"), ["b\u{e9}c", ""]);
        assert_eq!(lines.end().as_deref(), Some("d"));
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn a_letter_that_was_cut_in_two_is_whole_again() {
        let mut lines = Lines::default();
        let letter = "\u{e9}\n".as_bytes();
        assert!(lines.push(&letter[..1]).is_empty());
        assert_eq!(lines.push(&letter[1..]), ["\u{e9}"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        assert_eq!(Lines::default().push(&vec![b'x'; LONGEST + 1]).len(), 1);
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut tail = Tail::of(2);
        for line in ["a", "b", "c", ""] {
            tail.push(line);
        }
        assert_eq!(tail.lines(), ["c"]);
    }
}
