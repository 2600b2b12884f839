//! What leaves the house: without secrets, and without characters that move the cursor or hide text.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::model::{Evidence, Failure, Subject};
use crate::report::event::{Event, Finished, ObjectState, Warning};
use crate::report::masker::Masker;
use crate::report::style;
use crate::text::display;

/// The fields of answers that hold names and digests (contract, section 7): others go by them, and they are never
/// rewritten.
const NAMES: [&str; 16] = [
    "apiVersion",
    "commit",
    "context",
    "digest",
    "image",
    "images",
    "kind",
    "name",
    "namespace",
    "object",
    "outcome",
    "project",
    "revision",
    "test",
    "tier",
    "verdict",
];
/// Those of a manifest, which has fields of its own.
const NAMES_OF_MANIFEST: [&str; 5] = ["apiVersion", "image", "kind", "name", "namespace"];

/// What must never be shown. All clones know the same.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<RwLock<Masker>>);

impl Secrets {
    /// Masks this value from now on.
    pub(crate) fn hide(&self, secret: &[u8]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).hide(secret);
    }

    /// Shows these words from now on, although a secret may have the same value.
    pub(crate) fn publish<'a>(&self, words: impl IntoIterator<Item = &'a str>) {
        let mut masker = self.0.write().unwrap_or_else(PoisonError::into_inner);
        words.into_iter().for_each(|word| masker.publish(word));
    }

    /// The text with every secret masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).mask(text).into_owned()
    }

    /// The event as it may be shown: secrets masked, no escape sequences, no text that a carriage return would
    /// have overwritten (a renderer's layout is its own), and on one line what has one.
    pub(crate) fn clean(&self, event: &Event) -> Event {
        let mut event = event.clone();
        let of_many_lines = matches!(event, Event::Warning(_) | Event::Finished(_));
        visit(&mut event, &mut |text, is_name| {
            // A secret may be hidden by what is taken out, and one of many lines by what is joined.
            *text = display::plain(text).into_owned();
            if !is_name {
                *text = self.mask(text);
            }
            if !of_many_lines && text.contains('\n') {
                *text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            }
        });
        event
    }

    /// A line of a log as it may be shown.
    pub(crate) fn clean_line(&self, line: &str) -> String {
        self.mask(&display::plain(line))
    }

    /// The text of an answer, which may have colours.
    pub(crate) fn clean_text(&self, text: &str) -> String {
        self.mask(&style::between(text, |part| plain_lines(part).into_owned()))
    }

    /// The value with every secret masked in its strings and keys, but for those that are names.
    pub(crate) fn clean_json(&self, value: &Value) -> Value {
        self.clean_value(value, &NAMES)
    }

    fn clean_value(&self, value: &Value, names: &[&str]) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask_exact(text)),
            Value::Array(items) => items.iter().map(|item| self.clean_value(item, names)).collect(),
            Value::Object(map) => {
                let names = if map.contains_key("metadata") { &NAMES_OF_MANIFEST } else { names };
                let is_kept = |key: &str, item: &Value| {
                    names.contains(&key) && (is_named(item) || key == "images" && are_named(item))
                };
                let entry = |(key, item): (&String, &Value)| {
                    let kept = is_kept(key, item).then(|| item.clone());
                    (self.mask(key), kept.unwrap_or_else(|| self.clean_value(item, names)))
                };
                map.iter().map(entry).collect()
            }
            other => other.clone(),
        }
    }

    /// The text with secrets masked and nothing else changed: JSON escapes the rest itself.
    fn mask_exact(&self, text: &str) -> String {
        let plain = display::plain(text);
        let masked = self.mask(&plain);
        // A secret may be hidden by what a terminal does not show.
        if masked == plain { text.to_owned() } else { masked }
    }
}

/// Whether it is a name, or several.
fn is_named(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(is_named),
        _ => false,
    }
}

/// Whether it is names by names.
fn are_named(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.values().all(is_named))
}

/// The text without what would move the cursor or hide text; tabs stay where there is nothing of that kind.
fn plain_lines(text: &str) -> Cow<'_, str> {
    if text.contains(|one| one != '\n' && one != '\t' && display::is_hidden(one)) {
        Cow::Owned(text.split('\n').map(display::plain).collect::<Vec<_>>().join("\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Hands every text of the event that is written by people or programs to `change`, with whether it is a name.
fn visit(event: &mut Event, change: &mut impl FnMut(&mut String, bool)) {
    let mut text = |text: &mut String| change(text, false);
    match event {
        Event::StageStarted { title, .. } => text(title),
        Event::StageFinished { summary, .. } => text(summary),
        Event::StepStarted { step, title, .. } => [step, title].into_iter().for_each(text),
        Event::StepProgress { step, message, .. } => [step, message].into_iter().for_each(text),
        Event::StepFinished { step, summary, .. } => [step, summary].into_iter().for_each(text),
        Event::Log { source, line, .. } => [source, line].into_iter().for_each(text),
        Event::Object(ObjectState { name, message, .. }) => {
            message.iter_mut().for_each(text);
            change(name, true);
        }
        Event::Warning(Warning { message, snippet, hint }) => {
            text(message);
            snippet.iter_mut().chain(hint).for_each(text);
        }
        Event::Finished(finished) => visit_finished(finished, change),
    }
}

fn visit_finished(finished: &mut Finished, change: &mut impl FnMut(&mut String, bool)) {
    let Finished { message, snippet, hint, url, next, causes, images, untouched, back_to, .. } = finished;
    images.values_mut().chain(untouched).for_each(|name| change(name, true));
    for Failure { subject, message, hint, evidence, .. } in causes {
        let (Subject::Object(name) | Subject::Image(name) | Subject::Test(name)) = subject;
        // What is verified has an address in the place of a name.
        let is_name = !name.contains("://");
        change(name, is_name);
        change(message, false);
        if let Some(text) = hint {
            change(text, false);
        }
        for Evidence { title, lines } in evidence {
            [title].into_iter().chain(lines).for_each(|text| change(text, false));
        }
    }
    let texts = [message, snippet, hint, url, back_to].into_iter().flatten();
    texts.chain(next).for_each(|text| change(text, false));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Stage, Stream};

    fn secrets(secret: &str) -> Secrets {
        let secrets = Secrets::default();
        secrets.hide(secret.as_bytes());
        secrets
    }

    #[test]
    fn a_secret_cannot_hide_behind_colours_in_a_log_line() {
        let line = "50%\rtoken hun\u{1b}[31mter22\u{1b}[0m".to_owned();
        let event = Event::Log { stage: Stage::Test, source: "unit".into(), stream: Stream::Stdout, line };
        let Event::Log { line, .. } = secrets("hunter22").clean(&event) else { unreachable!() };
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
        let message = "10%\r20%\r\nline \u{202e}two\u{1b}[1A".to_owned();
        let warning = Event::Warning(Warning { message, ..Warning::default() });
        let Event::Warning(warning) = Secrets::default().clean(&warning) else { unreachable!() };
        assert_eq!(warning.message, "20%\nline two");
    }

    #[test]
    fn an_answer_keeps_our_colours_and_no_others() {
        let others = "a\tb c\rd \u{1b}[32mgreen\u{1b}[39m \u{1b}]0;x\u{7}hunter\u{2066}22";
        let shown = secrets("hunter22").clean_text(&format!("{}\n{others}\n", style::bad("no")));
        assert_eq!(style::shown(&shown), "\u{1b}[1m\u{1b}[31mno\u{1b}[39m\u{1b}[0m\nd green [MASKED]\n");
    }

    #[test]
    fn names_and_digests_are_never_rewritten() {
        let image = "registry.test/hunter22/web:1@sha256:00";
        let answer = json!({"name": "hunter22", "images": {"web": image}, "message": "by hunter22\u{202e}", "hunter22": "a\tb\r\n"});
        let wanted = json!({"name": "hunter22", "images": {"web": image}, "message": "by [MASKED]", "[MASKED]": "a\tb\r\n"});
        assert_eq!(secrets("hunter22").clean_json(&answer), wanted);
        let manifest = json!({"kind": "A", "metadata": {"name": "hunter22"}, "spec": {"test": "hunter22", "tier": ["x"]}});
        let shown = secrets("hunter22").clean_json(&manifest);
        assert_eq!(
            shown,
            json!({"kind": "A", "metadata": {"name": "hunter22"}, "spec": {"test": "[MASKED]", "tier": ["x"]}})
        );
    }
}
