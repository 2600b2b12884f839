//! Lines out of the pieces in which an Engine, an API server or a program hands over what it writes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A line of a program that never ends is split here: one that writes without line breaks must not fill the memory.
const LONGEST: usize = 64 << 10;

/// What becomes of a line that is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlong {
    /// What has come of it is a line, and the rest is another one: nothing is lost.
    Split,
    /// Its beginning is a line, and the rest is thrown away: there are no lines that nobody wrote.
    Cut,
}

/// Cuts what arrives into lines.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// Bytes.
    longest: usize,
    overlong: Overlong,
    held: BytesMut,
    /// How much of what is held was looked through for a line break.
    searched: usize,
    /// The line began longer than allowed; its end is thrown away.
    skipping: bool,
}

impl Cutter {
    /// A line may have `longest` bytes.
    pub(crate) fn new(longest: usize, overlong: Overlong) -> Self {
        Self { longest, overlong, held: BytesMut::new(), searched: 0, skipping: false }
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The next line that is complete, without its line break.
    pub(crate) fn line(&mut self) -> Option<Bytes> {
        loop {
            let unsearched = self.held.get(self.searched..).unwrap_or_default();
            let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
                return self.too_long();
            };
            let mut line = self.held.split_to(self.searched + at + 1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            line.truncate(line.len() - 1);
            if self.overlong == Overlong::Cut {
                line.truncate(self.longest);
            }
            return Some(line.freeze());
        }
    }

    /// As much as is taken of a line whose end has not come.
    fn too_long(&mut self) -> Option<Bytes> {
        self.searched = self.held.len();
        match self.overlong {
            Overlong::Split if self.held.len() >= self.longest => self.rest(),
            Overlong::Cut if self.held.len() > self.longest => {
                let start = self.held.split_to(self.longest).freeze();
                self.held.clear();
                self.searched = 0;
                if std::mem::replace(&mut self.skipping, true) { None } else { Some(start) }
            }
            _ => None,
        }
    }

    /// What stands after the last line break, at the end of the stream.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        let rest = self.held.split();
        self.searched = 0;
        (!rest.is_empty() && !self.skipping).then(|| rest.freeze())
    }
}

/// The lines of a process, as text.
#[derive(Debug)]
pub(crate) struct Lines(Cutter);

impl Default for Lines {
    fn default() -> Self {
        Self(Cutter::new(LONGEST, Overlong::Split))
    }
}

impl Lines {
    /// Takes a piece and gives the lines that are complete with it, without their line breaks.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        self.0.push(piece);
        std::iter::from_fn(|| self.0.line()).map(|line| text(&line)).collect()
    }

    /// The line that was begun, at the end of the stream.
    pub(crate) fn end(&mut self) -> Option<String> {
        self.0.rest().map(|line| text(&line))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
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

/// The last bytes of a stream.
#[derive(Debug)]
pub(crate) struct ByteTail {
    bytes: Vec<u8>,
    limit: usize,
    is_cut: bool,
}

impl ByteTail {
    /// Keeps at least so many, and at most twice as many.
    pub(crate) fn of(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, is_cut: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
            self.is_cut = true;
        }
    }

    /// Oldest first, without empty lines. Whole lines only: half a secret would not be known for one.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines =
            text.lines().skip(usize::from(self.is_cut)).map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(longest: usize, overlong: Overlong, pieces: &[&str]) -> Vec<Bytes> {
        let mut cutter = Cutter::new(longest, overlong);
        let mut lines = Vec::new();
        for piece in pieces {
            cutter.push(piece.as_bytes());
            lines.extend(std::iter::from_fn(|| cutter.line()));
        }
        lines.extend(cutter.rest());
        assert_eq!(cutter.rest(), None);
        lines
    }

    #[test]
    fn lines_are_whole_however_they_arrive_and_long_ones_are_cut_or_split() {
        let pieces = ["a", "b\nc\n\nlon", "ger th", "an fi", "ve\nend"];
        assert_eq!(cut(5, Overlong::Cut, &pieces), ["ab", "c", "", "longe", "end"]);
        assert_eq!(cut(5, Overlong::Split, &pieces), ["ab", "c", "", "longer th", "an fi", "ve", "end"]);
    }

    #[test]
    fn only_whole_lines_of_the_last_bytes_are_kept() {
        const LIMIT: usize = 1 << 10;
        let mut tail = ByteTail::of(LIMIT);
        for number in 0..10_000 {
            tail.push(format!("a secret on line {number}\n").as_bytes());
        }
        let lines = tail.lines();
        assert!(tail.bytes.len() <= 2 * LIMIT);
        assert_eq!(lines.last().map(String::as_str), Some("a secret on line 9999"));
        assert!(lines.iter().all(|line| line.starts_with("a secret on line ")), "{:?}", lines.first());
    }

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
