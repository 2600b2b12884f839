//! How many test cases passed, and which failed first, out of a JUnit file.
//!
//! There is no standard, only what tools write: `testsuites` or a bare `testsuite`, nested suites, counts that are wrong
//! or missing. So nothing but the `testcase` elements counts, and a file that ends in the middle (its writer was killed)
//! still tells what it has.

use std::fmt;

/// What test cases came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    /// The first one that failed.
    pub(super) first: Option<Case>,
}

/// A test case that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// `tests.test_shop.OrdersTest.test_total`.
    pub(super) name: String,
    /// The failure's message, or the first line of its text.
    pub(super) message: String,
    /// Its whole text.
    pub(super) lines: Vec<String>,
}

impl Tally {
    /// Counts the cases of one file; `None` where it has none.
    pub(super) fn of(xml: &str) -> Option<Self> {
        let mut tally = Self::default();
        let mut rest = xml;
        let mut any = false;
        while let Some((attributes, inside, after)) = element(rest, "testcase") {
            any = true;
            tally.count(attributes, inside);
            rest = after;
        }
        (any || xml.contains("<testsuite")).then_some(tally)
    }

    /// Whether a file does not come to its end: whoever wrote it was killed.
    pub(super) fn is_cut_short(xml: &str) -> bool {
        let end = xml.trim_end();
        let is_whole = ["</testsuites>", "</testsuite>", "-->"].iter().any(|last| end.ends_with(last));
        // A suite without a case may be one empty element.
        !is_whole && (xml.contains("<testcase") || !end.ends_with("/>"))
    }

    /// Adds the cases of another file.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.first = self.first.take().or(other.first);
    }

    fn count(&mut self, attributes: &str, inside: &str) {
        let broken = element(inside, "failure").or_else(|| element(inside, "error"));
        if let Some((about, text, _)) = broken {
            self.failed += 1;
            self.first.get_or_insert_with(|| Case::new(attributes, about, text));
        } else if element(inside, "skipped").is_some() {
            self.skipped += 1;
        } else {
            self.passed += 1;
        }
    }
}

impl fmt::Display for Tally {
    /// `214 passed, 3 skipped`, `5 passed, 1 failed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed)?;
        for (number, word) in [(self.failed, "failed"), (self.skipped, "skipped")] {
            if number > 0 {
                write!(f, ", {number} {word}")?;
            }
        }
        Ok(())
    }
}

impl Case {
    fn new(case: &str, failure: &str, text: &str) -> Self {
        let name = attribute(case, "name").unwrap_or_default();
        let name = match attribute(case, "classname").filter(|class| !class.is_empty()) {
            Some(class) => format!("{class}.{name}"),
            None => name,
        };
        let text = content(text);
        let lines: Vec<String> = text.trim_matches('\n').lines().map(str::to_owned).collect();
        let said = attribute(failure, "message").filter(|message| !message.trim().is_empty()).unwrap_or(text);
        let message = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        Self { name, message, lines }
    }
}

/// The next element of this name: its attributes, what is inside, what follows it. One whose end is missing reaches to
/// the end.
fn element<'a>(xml: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (attributes, after, empty) = opening(xml, name)?;
    if empty {
        return Some((attributes, "", after));
    }
    let end = format!("</{name}");
    let (inside, rest) = match find(after, |rest| rest.starts_with(&end)) {
        Some(at) => (&after[..at], after[at..].split_once('>').map_or("", |(_, rest)| rest)),
        None => (after, ""),
    };
    Some((attributes, inside, rest))
}

/// The next start tag of this name: its attributes, what follows it, whether it is its own end.
fn opening<'a>(xml: &'a str, name: &str) -> Option<(&'a str, &'a str, bool)> {
    let begins = |rest: &str| {
        let after = rest.strip_prefix('<').and_then(|rest| rest.strip_prefix(name));
        after.is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '/', '>']))
    };
    let at = find(xml, begins)?;
    let tag = &xml[at + 1 + name.len()..];
    let mut quote = None;
    let end = tag.find(|letter| match (quote, letter) {
        (Some(open), _) if open == letter => {
            quote = None;
            false
        }
        (Some(_), _) => false,
        (None, '"' | '\'') => {
            quote = Some(letter);
            false
        }
        (None, letter) => letter == '>',
    })?;
    let attributes = &tag[..end];
    Some((attributes.trim_end_matches('/'), &tag[end + 1..], attributes.ends_with('/')))
}

/// Where the first `<` stands from which on this holds, outside of comments and of text that only looks like XML.
fn find(xml: &str, wanted: impl Fn(&str) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = xml[at..].find('<') {
        at += next;
        let rest = &xml[at..];
        let skip =
            [("<!--", "-->"), ("<![CDATA[", "]]>")].into_iter().find(|(open, _)| rest.starts_with(open));
        match skip {
            Some((_, close)) => at += rest.find(close)? + close.len(),
            None if wanted(rest) => return Some(at),
            None => at += 1,
        }
    }
    None
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, next) = after[1..].split_once(quote)?;
        if key.trim() == name {
            return Some(unescaped(value));
        }
        rest = next;
    }
}

/// The text of an element, with what is marked as text taken as it is.
fn content(inside: &str) -> String {
    let mut text = String::new();
    let mut rest = inside;
    while let Some((before, marked)) = rest.split_once("<![CDATA[") {
        text += &unescaped(before);
        let (plain, after) = marked.split_once("]]>").unwrap_or((marked, ""));
        text += plain;
        rest = after;
    }
    text + &unescaped(rest)
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at..];
        let entity = rest.find(';').filter(|end| *end < 12).map(|end| &rest[1..end]);
        if let Some((length, letter)) = entity.and_then(|entity| Some((entity.len() + 2, letter(entity)?))) {
            out.push(letter);
            rest = &rest[length..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out + rest
}

fn letter(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        other => {
            let digits = other.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases_are_counted_whatever_the_suites_say() {
        let tally = Tally::of(
            r#"<?xml version="1.0"?><!-- <testcase name="no"/> -->
            <testsuites tests="99"><testsuite name="a>b">
              <testcase classname="shop" name="one" time="0.1"/>
              <testcase name="two"><system-out><![CDATA[<failure/>]]></system-out></testcase>
              <testcase classname="shop.Orders" name="total"><failure message="9 &lt; 10&#10;more" type="AssertionError">Traceback
  line 3</failure></testcase>
              <testcase name='later'><skipped message="no network"/></testcase>
              <testsuite><testcase name="inner"><error><![CDATA[boom & bust]]></error></testcase></testsuite>
            </testsuite></testsuites>"#,
        )
        .unwrap();
        assert_eq!(tally.to_string(), "2 passed, 2 failed, 1 skipped");
        let first = tally.first.unwrap();
        assert_eq!((first.name.as_str(), first.message.as_str()), ("shop.Orders.total", "9 < 10"));
        assert_eq!(first.lines, ["Traceback", "  line 3"]);
    }

    #[test]
    fn the_text_stands_in_for_a_message() {
        let tally =
            Tally::of("<testsuite><testcase name='x'><error>\n  boom\nat y</error></testcase>").unwrap();
        assert_eq!(tally.first.unwrap().message, "boom");
    }

    #[test]
    fn a_file_that_was_cut_off_tells_what_it_has() {
        let tally =
            Tally::of("<testsuite><testcase name='a'/><testcase name='b'><failure message='m'>te").unwrap();
        assert_eq!(tally.to_string(), "1 passed, 1 failed");
    }

    #[test]
    fn what_is_not_junit_is_nothing() {
        assert_eq!(Tally::of("<html><body>testcase</body></html>"), None);
        assert_eq!(Tally::of("<testsuite tests='0'/>").unwrap().to_string(), "0 passed");
    }

    #[test]
    fn files_are_added_up() {
        let mut tally = Tally::of("<testsuite><testcase name='a'/></testsuite>").unwrap();
        tally.add(Tally::of("<testsuite><testcase name='b'><error/></testcase></testsuite>").unwrap());
        assert_eq!(
            (tally.to_string().as_str(), tally.first.unwrap().name.as_str()),
            ("1 passed, 1 failed", "b")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<testcase|<failure|</testcase>|[ <>/&;='\"a\u{e9}#x1]|<!\\[CDATA\\[){0,30}") {
            let _ = Tally::of(&text);
        }
    }
}
