//! How many test cases passed, and which failed first, out of a JUnit file.
//!
//! There is no standard, only what tools write: `testsuites` or a bare `testsuite`, nested suites, counts that are wrong
//! or missing. So nothing but the `testcase` elements counts, and a file that ends in the middle (its writer was killed)
//! still tells what it has.

use std::fmt;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

const CASE: &[u8] = b"testcase";

/// What test cases came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    /// The first one that failed.
    pub(super) first: Option<FailedCase>,
}

/// A test case that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedCase {
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
        let mut any = false;
        let mut open: Option<OpenCase> = None;
        for (event, place) in events(xml).map_while(Result::ok) {
            match (event, &mut open) {
                (Event::Start(tag), None) if tag.name().as_ref() == CASE => open = Some(OpenCase::new(tag)),
                (Event::Empty(tag), None) if tag.name().as_ref() == CASE => {
                    tally.count(&OpenCase::new(tag), xml);
                }
                (Event::End(tag), Some(case)) if tag.name().as_ref() == CASE => {
                    case.end_of_failure(place.start);
                    tally.count(case, xml);
                    open = None;
                }
                (event, Some(case)) => case.read(event, place),
                _ => continue,
            }
            any = true;
        }
        // Whoever wrote it was killed in the middle of a case.
        if let Some(case) = open {
            tally.count(&case, xml);
        }
        (any || xml.contains("<testsuite")).then_some(tally)
    }

    /// Whether a file does not come to its end: whoever wrote it was killed, or what it wrote is no XML from some place on.
    pub(super) fn is_cut_short(xml: &str) -> bool {
        let (mut any, mut is_whole) = (false, false);
        for event in events(xml) {
            let Ok((event, _)) = event else { return true };
            any =
                any || matches!(&event, Event::Start(tag) | Event::Empty(tag) if tag.name().as_ref() == CASE);
            is_whole = match &event {
                Event::End(tag) => [b"testsuites".as_slice(), b"testsuite"].contains(&tag.name().as_ref()),
                // A suite without a case may be one empty element.
                Event::Empty(_) => !any,
                Event::Start(_) | Event::CData(_) | Event::GeneralRef(_) => false,
                Event::Text(text) => is_whole && text.trim_ascii().is_empty(),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) | Event::Eof => {
                    is_whole
                }
            };
        }
        !is_whole
    }

    /// Adds the cases of another file.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.first = self.first.take().or(other.first);
    }

    fn count(&mut self, case: &OpenCase, xml: &str) {
        if let Some(failure) = &case.failure {
            self.failed += 1;
            self.first.get_or_insert_with(|| FailedCase::new(&case.tag, failure, xml));
        } else if case.is_skipped {
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

/// A test case whose end has not been read yet.
struct OpenCase<'a> {
    tag: BytesStart<'a>,
    failure: Option<FailureElement<'a>>,
    is_skipped: bool,
}

/// What made a case fail.
struct FailureElement<'a> {
    tag: BytesStart<'a>,
    /// Where its text begins in the file.
    begin: usize,
    /// Where it ends; `None` while its end has not been read, which may never come.
    end: Option<usize>,
}

impl<'a> OpenCase<'a> {
    fn new(tag: BytesStart<'a>) -> Self {
        Self { tag, failure: None, is_skipped: false }
    }

    /// Takes what stands in the case at this place of the file.
    fn read(&mut self, event: Event<'a>, place: Range<usize>) {
        let is_open = self.failure.as_ref().is_some_and(|failure| failure.end.is_none());
        match event {
            Event::Start(tag) | Event::Empty(tag) if !is_open && tag.name().as_ref() == b"skipped" => {
                self.is_skipped = true;
            }
            Event::Start(tag) if !is_open => self.fails(tag, place.end, None),
            Event::Empty(tag) if !is_open => self.fails(tag, place.end, Some(place.end)),
            Event::End(tag) => {
                let its = |failure: &FailureElement| failure.tag.name() == tag.name();
                if self.failure.as_ref().is_some_and(its) {
                    self.end_of_failure(place.start);
                }
            }
            _ => {}
        }
    }

    /// A `failure` says more than an `error`, and the first of a kind more than the others.
    fn fails(&mut self, tag: BytesStart<'a>, begin: usize, end: Option<usize>) {
        let counts = match (&self.failure, tag.name().as_ref()) {
            (None, b"failure" | b"error") => true,
            (Some(known), b"failure") => known.tag.name().as_ref() == b"error",
            _ => false,
        };
        if counts {
            self.failure = Some(FailureElement { tag, begin, end });
        }
    }

    fn end_of_failure(&mut self, at: usize) {
        if let Some(failure) = &mut self.failure {
            failure.end.get_or_insert(at);
        }
    }
}

impl FailedCase {
    fn new(case: &BytesStart, failure: &FailureElement, xml: &str) -> Self {
        let name = attribute(case, "name").unwrap_or_default();
        let name = match attribute(case, "classname").filter(|class| !class.is_empty()) {
            Some(class) => format!("{class}.{name}"),
            None => name,
        };
        let text = plain(xml.get(failure.begin..failure.end.unwrap_or(xml.len())).unwrap_or_default());
        let lines: Vec<String> = text.trim_matches('\n').lines().map(str::to_owned).collect();
        let said =
            attribute(&failure.tag, "message").filter(|message| !message.trim().is_empty()).unwrap_or(text);
        let message = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        Self { name, message, lines }
    }
}

/// What stands in a file, each with its place, up to the first error. Names of end tags are not compared: tests put what they
/// print into their reports as it is.
fn events(xml: &str) -> impl Iterator<Item = Result<(Event<'_>, Range<usize>), quick_xml::Error>> {
    let mut reader = Reader::from_str(xml);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let mut ended = false;
    std::iter::from_fn(move || {
        let position =
            |reader: &Reader<&[u8]>| usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let begin = position(&reader);
        match reader.read_event() {
            _ if ended => None,
            Ok(Event::Eof) => None,
            Ok(event) => Some(Ok((event, begin..position(&reader)))),
            Err(error) => {
                ended = true;
                Some(Err(error))
            }
        }
    })
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    let mut found = attributes.with_checks(false).filter_map(Result::ok);
    let found = found.find(|attribute| attribute.key.as_ref() == name.as_bytes())?;
    Some(plain(&String::from_utf8_lossy(&found.value)))
}

/// Text of a file as it was meant: with letters for their names, what is marked as text as it is, and everything else, too.
fn plain(raw: &str) -> String {
    let mut text = String::new();
    let mut rest = 0;
    for (event, place) in events(raw).map_while(Result::ok) {
        rest = place.end;
        let part = raw.get(place).unwrap_or_default();
        match event {
            Event::CData(marked) => text += &String::from_utf8_lossy(&marked),
            Event::GeneralRef(name) => match letter(&name) {
                Some(letter) => text.push_str(&letter),
                None => text += part,
            },
            _ => text += part,
        }
    }
    // What was cut off: the end of a marked text is missing, or half an end tag is there.
    let rest = raw.get(rest..).filter(|rest| !rest.starts_with("</")).unwrap_or_default();
    text + rest.strip_prefix("<![CDATA[").unwrap_or(rest)
}

fn letter(name: &BytesRef) -> Option<String> {
    if let Ok(Some(letter)) = name.resolve_char_ref() {
        return Some(letter.to_string());
    }
    resolve_predefined_entity(&name.decode().ok()?).map(str::to_owned)
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
    fn a_file_that_does_not_come_to_its_end_is_known() {
        let whole = "<testsuites><testsuite><testcase name='a'>1 < 2 &amp; <br></testcase></testsuite></testsuites>\n<!-- ok -->\n";
        assert!(!Tally::is_cut_short(whole), "what a test prints may be anything");
        assert!(!Tally::is_cut_short("<?xml version='1.0'?><testsuite tests='0'/>"));
        let cut = [
            "",
            "<testsuite><testcase name='a'/>",
            "<testsuite><testcase name='a'><failure><![CDATA[boom",
            "<testsuites><testsuite name='x",
            "<testsuite><testcase name='a'/></testsuite",
            "<testsuite><testcase name='a'/></testsuite><!-- ",
        ];
        for xml in cut {
            assert!(Tally::is_cut_short(xml), "{xml}");
        }
    }

    #[test]
    fn a_text_that_was_cut_off_is_told_as_far_as_it_goes() {
        let first = |xml| Tally::of(xml).unwrap().first.unwrap();
        let cut = first("<testsuite><testcase name='a'><failure>x &lt; &nbsp; &amp;<b>y</b><![CDATA[<&lt;");
        assert_eq!(cut.lines, ["x < &nbsp; &<b>y</b><&lt;"]);
        assert_eq!(first("<testsuite><testcase name='a'><error>boom</erro").lines, ["boom"]);
        let unclosed =
            first("<testsuite><testcase name='a'><failure>boom</testcase><testcase name='b'/></testsuite>");
        assert_eq!(unclosed.lines, ["boom"]);
        let both =
            first("<testsuite><testcase><error message='e'/><failure message='f'/></testcase></testsuite>");
        assert_eq!(both.message, "f");
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
