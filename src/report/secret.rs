//! Secrets never leave the house: what must not be shown, in every form in which it tends to turn up.
//!
//! A value appears as it is, line by line, base64-encoded (alone or in the middle of something longer, as in an
//! `Authorization` header), URL-encoded, or escaped inside JSON. All forms are one regular expression, so that a
//! line is read once however many secrets there are.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstream::adapter::strip_str;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
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
    forms: Vec<String>,
    pattern: Option<Regex>,
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
        self.forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.forms.dedup();
        let either = self.forms.iter().map(|form| regex::escape(form)).collect::<Vec<_>>().join("|");
        self.pattern = RegexBuilder::new(&either).size_limit(usize::MAX).build().ok();
    }

    /// The text with every secret masked.
    pub(super) fn mask(&self, text: &str) -> String {
        self.replace(text).into_owned()
    }

    fn replace<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.pattern {
            Some(pattern) => pattern.replace_all(text, NoExpand(MASK)),
            None => Cow::Borrowed(text),
        }
    }

    /// The event as it may be shown: secrets masked, and log lines without escape sequences and the text that a
    /// carriage return would have overwritten (a renderer's layout is its own).
    pub(super) fn clean<'e>(&self, event: &'e Event) -> Cow<'e, Event> {
        if self.pattern.is_none() && !matches!(event, Event::Log { .. }) {
            return Cow::Borrowed(event);
        }
        let mut event = event.clone();
        if let Event::Log { line, .. } = &mut event {
            *line = settled(line);
        }
        visit(&mut event, &mut |text| {
            if let Cow::Owned(masked) = self.replace(text) {
                *text = masked;
            }
        });
        Cow::Owned(event)
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

/// The line as a terminal would have left it: escape sequences gone, and what was overwritten too.
fn settled(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    strip_str(last).to_string().replace('\t', "    ")
}

/// Every form in which the secret is looked for.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    forms
        .extend(secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_PIECE).map(str::to_owned));
    forms.extend(inside_base64(secret.as_bytes()));
    forms.push(url_encoded(secret));
    let json = Value::from(secret).to_string();
    forms.push(json[1..json.len() - 1].to_owned());
    forms
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

/// Percent-encoded, as in the user part of a URL or in a form.
fn url_encoded(secret: &str) -> String {
    let mut encoded = String::with_capacity(secret.len());
    for byte in secret.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    encoded
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
    let Finished { message, snippet, hint, next, causes, images, .. } = finished;
    [message, snippet, hint].into_iter().flatten().for_each(&mut *change);
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
        let Event::Log { line, .. } = secrets.clean(&event).into_owned() else { unreachable!() };
        assert_eq!(line, "token [MASKED]");
    }
}
