//! The parts of a text that are read on their own: JSON objects one after the other, as many generators print them and as
//! kubectl reads them. Anything else is one part, YAML, to which a single JSON object belongs as well.

use std::ops::Range;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use crate::error::{Error, Result};
use crate::manifest::yaml::source::{Source, Spot, number};

/// A part of a text, and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bytes: Range<usize>,
    /// The line of the text in which it begins, counted from 0.
    pub(crate) line: usize,
    /// The characters of that line before it.
    pub(crate) column: usize,
}

/// What a text consists of.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) parts: Vec<Part>,
    /// Why a `.json` file that is read as YAML is no JSON: what to say of it where it is no YAML either.
    pub(crate) no_json: Option<Error>,
}

/// The parts of a text.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) where the text begins with JSON objects and what follows them is none.
pub(crate) fn parts(source: &Arc<Source>) -> Result<Stream> {
    let text = source.text.as_str();
    let whole = |no_json| Stream { parts: vec![Part { bytes: 0..text.len(), line: 0, column: 0 }], no_json };
    if !text.trim_start().starts_with('{') {
        return Ok(whole(None));
    }
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut cursor = Cursor::default();
    let mut parts = Vec::new();
    loop {
        let rest = text.get(values.byte_offset()..).unwrap_or_default().trim_start();
        let begin = text.len() - rest.len();
        match values.next() {
            None => return Ok(Stream { parts, no_json: None }),
            Some(Ok(_)) => parts.push(cursor.part(text, begin..values.byte_offset())),
            Some(Err(error)) => {
                let mistake = no_json(source, &error);
                // After one object it may still be YAML, with a comment or with `---`.
                let is_stream = parts.len() > 1 || parts.len() == 1 && rest.starts_with('{');
                let is_json = source.path.extension().is_some_and(|extension| extension == "json");
                return if is_stream { Err(mistake) } else { Ok(whole(Some(mistake).filter(|_| is_json))) };
            }
        }
    }
}

/// Counts lines and columns up to the parts, each character once.
#[derive(Default)]
struct Cursor {
    byte: usize,
    line: usize,
    column: usize,
}

impl Cursor {
    fn part(&mut self, text: &str, bytes: Range<usize>) -> Part {
        let before = text.get(self.byte..bytes.start).unwrap_or_default();
        match before.rsplit_once('\n') {
            Some((_, last)) => {
                self.line += before.matches('\n').count();
                self.column = last.chars().count();
            }
            None => self.column += before.chars().count(),
        }
        self.byte = bytes.start;
        Part { bytes, line: self.line, column: self.column }
    }
}

/// The mistake where a JSON object of a stream cannot be read.
fn no_json(source: &Arc<Source>, error: &serde_json::Error) -> Error {
    let written = source.text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let before = written.char_indices().take_while(|(at, _)| at + 1 < error.column()).count();
    let (line, column) = (number(error.line().max(1)), number(before + 1));
    let said = error.to_string();
    let why = said.rsplit_once(" at line ").map_or(said.as_str(), |(why, _)| why);
    let spot = Spot { source: Arc::clone(source), line, column };
    spot.mistake(format!("this is not JSON: {why}")).with_hint(if written.contains("${") {
        "put `${NAME}` in quotes"
    } else {
        "a file holds JSON objects one after the other, or YAML documents with `---` between them"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Stream> {
        parts(&Arc::new(Source { path: "a.json".into(), text: text.to_owned(), rendered: false }))
    }

    fn places(text: &str) -> Vec<(String, usize, usize)> {
        let parts = read(text).expect("it can be read").parts.into_iter();
        parts.map(|part| (text[part.bytes].to_owned(), part.line, part.column)).collect()
    }

    #[test]
    fn objects_one_after_the_other_are_parts() {
        assert_eq!(
            places("\n {\"a\": \"}{\"}{}\n\n\t{\"ü\":\n {}} {\"b\": 1} \n"),
            [
                ("{\"a\": \"}{\"}".to_owned(), 1, 1),
                ("{}".to_owned(), 1, 12),
                ("{\"ü\":\n {}}".to_owned(), 3, 1),
                ("{\"b\": 1}".to_owned(), 4, 5),
            ]
        );
    }

    #[test]
    fn anything_else_is_one_part() {
        for text in [
            "",
            "a: 1\n---\nb: 2\n",
            "{a: 1}\n",
            "{a: '}{'}\n---\n{\"b\": 1}\n",
            "{\"a\": 1}\n---\n{\"b\": 1}\n",
            "{\"a\": 1} # with a comment\n",
            "{\"a\": 1,}\n",
            "# a comment\n{\"a\": 1}\n",
        ] {
            assert_eq!(places(text), [(text.to_owned(), 0, 0)], "{text}");
        }
        assert_eq!(places("{\"a\": 1}\n"), [("{\"a\": 1}".to_owned(), 0, 0)]);
    }

    #[test]
    fn what_follows_objects_must_be_one() {
        for (text, wanted) in [
            ("{\"a\": 1}\n{\"ü\": 1,}\n", "a.json:2:9: this is not JSON: key must be a string"),
            ("{}{a: 1}", "a.json:1:4: this is not JSON: key must be a string"),
            ("{}\n{}\n---\n{}\n", "a.json:3:2: this is not JSON: invalid number"),
            ("{}\n{\"a\": [1\n", "a.json:3:1: this is not JSON: EOF while parsing a list"),
        ] {
            assert_eq!(read(text).expect_err(text).to_string(), wanted, "{text}");
        }
    }
}
