//! Secrets never leave the house: what must not be shown, in every form in which it tends to turn up.
//!
//! A value appears as it is, line by line, base64-encoded (alone or in the middle of something longer, as in an
//! `Authorization` header), URL-encoded, or escaped inside JSON. All forms are one regular expression, so that a
//! line is read once however many secrets there are.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::OnceLock;

use anstream::adapter::strip_str;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{NoExpand, Regex, RegexBuilder};
use serde_json::Value;

use super::event::{Event, Evidence, Failure, Finished, ObjectState, Subject};

/// Shorter texts are not masked: they would take ordinary words with them.
const SHORTEST: usize = 4;
/// A single line of a secret of many lines, or a piece of base64, must be this long to be masked by itself.
const SHORTEST_PIECE: usize = 8;
/// What stands in a secret's place.
const MASK: &str = "[MASKED]";

/// The texts that are never shown.
#[derive(Default)]
pub(super) struct Secrets {
    /// Regular expressions, with the length of what they find.
    forms: Vec<(usize, String)>,
    /// Made when it is first asked for: secrets come in numbers.
    pattern: OnceLock<Option<Regex>>,
}

impl Secrets {
    /// Masks this text from now on.
    pub(super) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.chars().count() < SHORTEST {
            return;
        }
        self.forms.extend(forms(secret));
        // Where one form is part of another the longer one must be tried first.
        self.forms.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        self.forms.dedup();
        self.pattern = OnceLock::new();
    }

    fn pattern(&self) -> Option<&Regex> {
        let made = || {
            let either = self.forms.iter().map(|(_, form)| form.as_str()).collect::<Vec<_>>().join("|");
            (!either.is_empty()).then(|| RegexBuilder::new(&either).size_limit(usize::MAX).build().ok())?
        };
        self.pattern.get_or_init(made).as_ref()
    }

    /// The text with every secret masked.
    pub(super) fn mask(&self, text: &str) -> String {
        self.replace(text).into_owned()
    }

    fn replace<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.pattern() {
            Some(pattern) => pattern.replace_all(text, NoExpand(MASK)),
            None => Cow::Borrowed(text),
        }
    }

    /// The event as it may be shown: secrets masked, no escape sequences, no text that a carriage return would
    /// have overwritten (a renderer's layout is its own), and on one line what has one.
    pub(super) fn clean(&self, event: &Event) -> Event {
        let mut event = event.clone();
        let of_many_lines = matches!(event, Event::Warning { .. } | Event::Finished(_));
        visit(&mut event, &mut |text| {
            // A secret may be hidden by what is taken out, and one of many lines by what is joined.
            if text.contains(char::is_control) {
                *text = settled(text);
            }
            if let Cow::Owned(masked) = self.replace(text) {
                *text = masked;
            }
            if !of_many_lines && text.contains('\n') {
                *text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            }
        });
        event
    }

    /// A line of a log as it may be shown.
    pub(super) fn clean_line(&self, line: &str) -> String {
        self.mask(&settled_line(line))
    }

    /// The value with every secret masked in its strings and keys.
    pub(super) fn clean_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(text)),
            Value::Array(items) => items.iter().map(|item| self.clean_json(item)).collect(),
            Value::Object(map) => {
                map.iter().map(|(key, item)| (self.mask(key), self.clean_json(item))).collect()
            }
            other => other.clone(),
        }
    }
}

/// The text as a terminal would have left it: escape sequences gone, and what was overwritten too.
fn settled(text: &str) -> String {
    text.lines().map(settled_line).collect::<Vec<_>>().join("\n")
}

fn settled_line(line: &str) -> String {
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    strip_str(last).to_string().replace('\t', "    ").replace(char::is_control, "")
}

/// Every form in which the secret is looked for.
fn forms(secret: &str) -> Vec<(usize, String)> {
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_PIECE);
    let mut forms: Vec<(usize, String)> =
        std::iter::once(secret).chain(lines).map(|text| (text.len(), url_encoded(text))).collect();
    let json = Value::from(secret).to_string();
    let literal = inside_base64(secret.as_bytes())
        .into_iter()
        .chain(wrapped_base64(secret.as_bytes()))
        .chain([json[1..json.len() - 1].to_owned()]);
    forms.extend(literal.map(|form| (form.len(), regex::escape(&form))));
    forms
}

/// The lines of the secret's base64 as tools break it: at 76 characters (base64, MIME) or at 64 (openssl, PEM).
fn wrapped_base64(secret: &[u8]) -> Vec<String> {
    let whole = STANDARD.encode(secret);
    let wrapped = |width: usize| {
        let lines = whole.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned());
        lines.filter(|line| line.len() >= SHORTEST_PIECE).collect::<Vec<_>>()
    };
    [76, 64].into_iter().filter(|width| whole.len() > *width).flat_map(wrapped).collect()
}

/// The characters of the secret's base64 that do not depend on what stands before or after it, for each of the
/// three places in a group of three bytes at which it may begin, in both alphabets.
fn inside_base64(secret: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(secret);
        // Each character holds 6 bits: those that hold a bit of a neighbour are left out.
        let first = (offset * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            if end.saturating_sub(first) >= SHORTEST_PIECE {
                found.push(encoded[first..end].to_owned());
            }
        }
    }
    // By itself it is encoded to the end, its last character included.
    found.extend([STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]);
    found
}

/// A pattern for the text as it is and percent-encoded. Which characters are encoded, and with which digits, every
/// library decides for itself: each may be, except letters and digits.
fn url_encoded(secret: &str) -> String {
    let mut pattern = String::with_capacity(secret.len() * 4);
    for character in secret.chars() {
        if character.is_ascii_alphanumeric() {
            pattern.push(character);
            continue;
        }
        let plain = regex::escape(&character.to_string());
        let mut buffer = [0; 4];
        let encoded: String =
            character.encode_utf8(&mut buffer).bytes().fold(String::new(), |mut all, byte| {
                write!(all, "%{byte:02X}").expect("writing to a string cannot fail");
                all
            });
        let space = if character == ' ' { r"|\+" } else { "" };
        write!(pattern, "(?:{plain}|(?i:{encoded}){space})").expect("writing to a string cannot fail");
    }
    pattern
}

/// Hands every text of the event that is written by people or programs to `change`.
fn visit(event: &mut Event, change: &mut impl FnMut(&mut String)) {
    match event {
        Event::StageStarted { title, .. } => change(title),
        Event::StageFinished { summary, .. } => change(summary),
        Event::StepStarted { step, title, .. } => [step, title].into_iter().for_each(change),
        Event::StepProgress { step, message, .. } => [step, message].into_iter().for_each(change),
        Event::StepFinished { step, summary, .. } => [step, summary].into_iter().for_each(change),
        Event::Log { source, line, .. } => [source, line].into_iter().for_each(change),
        Event::Object(ObjectState { name, message, .. }) => {
            change(name);
            message.iter_mut().for_each(change);
        }
        Event::Warning { message, hint } => {
            change(message);
            hint.iter_mut().for_each(change);
        }
        Event::Finished(finished) => visit_finished(finished, change),
    }
}

fn visit_finished(finished: &mut Finished, change: &mut impl FnMut(&mut String)) {
    let Finished { message, snippet, hint, url, next, causes, images, .. } = finished;
    [message, snippet, hint, url].into_iter().flatten().for_each(&mut *change);
    next.iter_mut().for_each(&mut *change);
    images.values_mut().for_each(&mut *change);
    for Failure { subject, message, hint, evidence, .. } in causes {
        let (Subject::Object(name) | Subject::Image(name) | Subject::Test(name)) = subject;
        change(name);
        change(message);
        hint.iter_mut().for_each(&mut *change);
        for Evidence { title, lines } in evidence {
            change(title);
            lines.iter_mut().for_each(&mut *change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::{Stage, Stream};

    fn masking(secret: &str, text: &str) -> String {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        secrets.mask(text)
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let secret = "p@ss w/rd+42";
        assert_eq!(masking(secret, "login p@ss w/rd+42 ok"), "login [MASKED] ok");
        assert_eq!(masking(secret, "https://me:p%40ss%20w%2Frd%2B42@host"), "https://me:[MASKED]@host");
        let alone = STANDARD_NO_PAD.encode(secret);
        assert_eq!(masking(secret, &format!("data: {alone}==")), "data: [MASKED]==");
        assert_eq!(masking("say \"open\"", r#"{"text":"say \"open\""}"#), r#"{"text":"[MASKED]"}"#);
    }

    #[test]
    fn every_library_encodes_for_urls_in_its_own_way() {
        let secret = "p@ss/w+rd:1%x!(z) é";
        for encoded in [
            "p%40ss/w%2Brd%3A1%25x%21%28z%29%20%C3%A9",
            "p%40ss%2Fw%2Brd%3A1%25x!(z)%20%C3%A9",
            "p%40ss%2fw%2brd%3a1%25x%21%28z%29+%c3%a9",
            "p@ss/w+rd:1%25x!(z)%20é",
        ] {
            assert_eq!(masking(secret, &format!("<{encoded}>")), "<[MASKED]>", "{encoded}");
        }
    }

    #[test]
    fn the_lines_of_a_long_base64_are_masked_one_by_one() {
        let key: String = (0..40).map(|number| format!("line {number} of a key\n")).collect();
        let whole = STANDARD.encode(key.trim());
        for width in [64, 76] {
            for line in whole.as_bytes().chunks(width) {
                let line = std::str::from_utf8(line).expect("base64");
                assert_eq!(masking(&key, line), MASK, "{line}");
            }
        }
    }

    #[test]
    fn base64_of_something_longer_gives_nothing_away() {
        let secret = "correct-horse-battery";
        for before in ["u:", "me:", "bot:", "four:"] {
            let header = STANDARD_NO_PAD.encode(format!("{before}{secret}\n"));
            let masked = masking(secret, &header);
            assert!(masked.contains(MASK), "{masked}");
            assert!(masked.len() < header.len(), "{masked}");
        }
    }

    #[test]
    fn lines_of_a_key_are_masked_one_by_one_and_short_words_are_not() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----";
        assert_eq!(masking(key, "key MIIEvQIBADANBg read"), "key [MASKED] read");
        assert_eq!(masking(key, "ab"), "ab");
        assert_eq!(masking("on", "turn it on"), "turn it on");
    }

    #[test]
    fn a_secret_cannot_hide_behind_colours_in_a_log_line() {
        let mut secrets = Secrets::default();
        secrets.add("hunter22");
        let line = "50%\rtoken hun\u{1b}[31mter22\u{1b}[0m".to_owned();
        let event = Event::Log { stage: Stage::Test, source: "unit".into(), stream: Stream::Stdout, line };
        let Event::Log { line, .. } = secrets.clean(&event) else { unreachable!() };
        assert_eq!(line, "token [MASKED]");
    }

    #[test]
    fn nothing_that_others_wrote_moves_the_cursor() {
        let title = "one\n  two \u{1b}[2Jthree\u{9b}H".to_owned();
        let Event::StageStarted { title, .. } =
            Secrets::default().clean(&Event::StageStarted { stage: Stage::Release, title })
        else {
            unreachable!()
        };
        assert_eq!(title, "one two threeH");
        let message = "10%\r20%\r\nline two\u{1b}[1A".to_owned();
        let Event::Warning { message, .. } =
            Secrets::default().clean(&Event::Warning { message, hint: None })
        else {
            unreachable!()
        };
        assert_eq!(message, "20%\nline two");
    }
}
