//! A manifest file and a spot in it: every value of a manifest knows where it was written, so that a mistake is
//! shown in the user's own words however late it is found.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use crate::error::{Error, Kind, Place};

/// So much of a line is shown.
const WIDEST: usize = 120;

/// A file of manifests as it was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path, relative to the project's root.
    pub(crate) path: PathBuf,
    /// What stands in it.
    pub(crate) text: String,
    /// Whether another program made the text from the file, so that its lines are not those of the file.
    pub(crate) rendered: bool,
}

/// A line and column of a file, both counted from 1.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) source: Arc<Source>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Spot {
    pub(crate) fn place(&self) -> Place {
        if self.source.rendered {
            return Place::file(&self.source.path);
        }
        Place::at(&self.source.path, self.line, self.column)
    }

    /// A mistake at this spot, with the line it stands on unless that may hold the value of a Secret.
    pub(crate) fn mistake(&self, message: impl Into<String>) -> Error {
        let error = Error::new(Kind::Invalid, message).at(self.place());
        match self.snippet().filter(|_| !self.may_be_secret()) {
            Some(excerpt) => error.with_snippet(excerpt),
            None => error,
        }
    }

    /// A mistake at this spot, without the line: it may hold what nobody should read in a log.
    pub(crate) fn secret_mistake(&self, message: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, message).at(self.place())
    }

    /// Whether the document at this spot is a Secret, or may be one: its kind is looked for in the text, for what cannot be
    /// read has none yet.
    pub(crate) fn may_be_secret(&self) -> bool {
        static KIND: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"\bkind["']?\s*:\s*["']?([^\s"',}]*)"#).expect("the pattern is a constant")
        });
        let is_end = |line: &str| line.starts_with("---");
        let lines: Vec<&str> = self.source.text.lines().collect();
        let (before, after) = lines.split_at((self.line as usize).min(lines.len()));
        let start = before.iter().rposition(|line| is_end(line)).unwrap_or_default();
        let length = after.iter().position(|line| is_end(line)).unwrap_or(after.len());
        let document = lines[start..before.len() + length].join("\n");
        let kinds: Vec<&str> =
            KIND.captures_iter(&document).filter_map(|kind| kind.get(1)).map(|kind| kind.as_str()).collect();
        let is_other = |kind: &&str| {
            !matches!(*kind, "Secret" | "SecretList")
                && !kind.is_empty()
                && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        kinds.is_empty() || !kinds.iter().all(is_other)
    }

    pub(crate) fn text_of_line(&self) -> Option<&str> {
        self.source.text.lines().nth(self.line as usize - 1)
    }

    /// The line with its number, and a mark below the column.
    fn snippet(&self) -> Option<String> {
        let line = self.text_of_line()?;
        let length = line.chars().count();
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let column = (self.column as usize - 1).min(length);
        // Of a long line only what stands around the column.
        let first = if length <= WIDEST { 0 } else { column.saturating_sub(WIDEST / 2) };
        let last = length.min(first + WIDEST);
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let (before, after) = (cut(first > 0), cut(last < length));
        let letters = line.chars().skip(first).take(last - first);
        let shown: String = letters.map(|letter| if letter == '\t' { ' ' } else { letter }).collect();
        let indent = " ".repeat(before.chars().count() + column - first);
        Some(format!("{number} │ {before}{shown}{after}\n{gutter} │ {indent}^"))
    }

    /// Where this text first stands at or after this spot; this spot where it does not.
    pub(crate) fn find(&self, text: &str) -> Self {
        let lines = self.source.text.lines().enumerate().skip(self.line as usize - 1);
        for (index, line) in lines {
            let first = index + 1 == self.line as usize;
            let skipped = if first { byte_of_column(line, self.column) } else { 0 };
            if let Some(found) = line[skipped..].find(text) {
                let column = line[..skipped + found].chars().count() + 1;
                return Self {
                    source: Arc::clone(&self.source),
                    line: number(index + 1),
                    column: number(column),
                };
            }
        }
        self.clone()
    }
}

/// A line or column as a place has it.
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn byte_of_column(line: &str, column: u32) -> usize {
    line.char_indices().nth(column as usize - 1).map_or(line.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(text: &str, line: u32, column: u32) -> Spot {
        Spot {
            source: Arc::new(Source { path: "a.yaml".into(), text: text.into(), rendered: false }),
            line,
            column,
        }
    }

    #[test]
    fn a_mistake_shows_its_line() {
        let error = spot("kind: A\nhöst: ${X}\n", 2, 7).mistake("`X` has no value");
        assert_eq!(error.to_string(), "a.yaml:2:7: `X` has no value");
        assert_eq!(error.snippet(), Some("2 │ höst: ${X}\n  │       ^"));
    }

    #[test]
    fn a_line_that_may_be_of_a_secret_is_not_shown() {
        let maps = "kind: ConfigMap\na: 1\n";
        for (text, line, is_shown) in [
            (format!("{maps}---\nkind: Secret\nstringData: {{a: 'x}}\n---\n{maps}"), 5, false),
            (format!("{maps}---\nkind: Secret\nstringData: {{a: 'x}}\n---\n{maps}"), 2, true),
            (format!("{maps}---\nkind: Secret\nstringData: {{a: 'x}}\n---\n{maps}"), 8, true),
            ("stringData: {a: x}\nkind: \"Secret\"\n".to_owned(), 1, false),
            ("{\"kind\":\"Secret\",\"data\":{\"a\":\"x\"}}".to_owned(), 1, false),
            ("kind: List\nitems:\n- {stringData: {a: x}, kind: Secret}\n".to_owned(), 3, false),
            ("kind: SecretList\nitems:\n- {stringData: {a: x}}\n".to_owned(), 3, false),
            ("apiVersion: v1\nstringData:\n  password: hunter22: x\n".to_owned(), 3, false),
            ("kind: &kind Secret\nstringData: {a: x}\n".to_owned(), 2, false),
            ("kind: \"S\\u0065cret\"\nstringData: {a: x}\n".to_owned(), 2, false),
            ("kind: Deployment\nspec: {a: x}\n".to_owned(), 2, true),
        ] {
            let error = spot(&text, line, 1).mistake("no");
            assert_eq!(error.snippet().is_some(), is_shown, "{text}");
        }
    }

    #[test]
    fn of_a_long_line_only_what_stands_around_the_column_is_shown() {
        let line = format!("kind: A\n{}X{}", "a".repeat(1000), "b".repeat(1000));
        let error = spot(&line, 2, 1001).mistake("no");
        let excerpt = error.snippet().expect("a line");
        let mark = excerpt.lines().last().expect("a mark").chars().count() - 1;
        assert_eq!(excerpt.chars().nth(mark), Some('X'), "{excerpt}");
        assert!(excerpt.lines().all(|line| line.chars().count() < 130), "{excerpt}");
    }

    #[test]
    fn finding_starts_at_the_spot() {
        let found = spot("${X}: ü ${X}\n  ${Y}\n", 1, 5).find("${X");
        assert_eq!((found.line, found.column), (1, 9));
        let found = spot("${X}: ü ${X}\n  ${Y}\n", 1, 5).find("${Y");
        assert_eq!((found.line, found.column), (2, 3));
    }
}
