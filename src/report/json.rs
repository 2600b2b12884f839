//! One JSON object a line, for machines (contract, section 7).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::event::Event;
use super::sink::Sink;
use crate::model::Outcome;
use crate::report::live::format;
use crate::report::{Moment, Renderer};
use crate::text::display;

/// The version of the lines.
const VERSION: u32 = 1;

/// Writes events as lines of JSON.
pub(super) struct Json {
    machines: Sink,
    people: Sink,
    /// Whether the command is there for its answer: then its answer is all that stands on standard output, or,
    /// where it could not be given, the end that says why.
    answering: bool,
    answered: bool,
}

/// A line, without its event's own keys.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Json {
    /// Events to the first stream; words for people, where there are any, to the second.
    pub(super) fn new(machines: Sink, people: Sink, answering: bool) -> Self {
        Self { machines, people, answering, answered: false }
    }
}

/// The event as a line of JSON without its line break; `None` for what machines are not told.
pub(super) fn line(at: Moment, event: &Event) -> Option<String> {
    if matches!(event, Event::StepProgress { .. }) {
        return None;
    }
    let line = Line { v: VERSION, time: format!("{:.3}", at.time), event };
    Some(escaped(&serde_json::to_string(&line).expect("an event has only string keys")))
}

/// JSON need not escape all that a terminal obeys, nor what GitHub's runner does (`##[name]`); whoever reads it as JSON sees no
/// difference.
fn escaped(json: &str) -> String {
    let json = json.replace("##[", r"#\u0023[");
    let mut result = String::with_capacity(json.len());
    for one in json.chars() {
        if display::is_hidden(one) {
            let mut units = [0; 2];
            result.extend(one.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            result.push(one);
        }
    }
    result
}

/// A line of a log that was asked for, as the event that it is.
pub(super) fn log_line(time: Timestamp, source: &str, line: &str) -> Value {
    json!({
        "v": VERSION,
        "time": format!("{time:.3}"),
        "event": "log",
        "source": source,
        "stream": "stdout",
        "line": line,
    })
}

/// An answer among events is an event, too; an answer of several is several.
fn as_event(answer: &Value) -> Value {
    let wrap = |one: &Value| {
        let Value::Object(fields) = one else { return one.clone() };
        if fields.contains_key("event") {
            return one.clone();
        }
        let mut line = json!({"v": VERSION, "time": format!("{:.3}", Timestamp::now()), "event": "answer"});
        for (key, value) in fields {
            line[key] = value.clone();
        }
        line
    };
    match answer {
        Value::Array(items) => items.iter().map(wrap).collect(),
        one => wrap(one),
    }
}

impl Renderer for Json {
    fn event(&mut self, at: Moment, event: &Event) {
        if self.answering {
            match event {
                Event::Warning(warning) => {
                    self.people.lines(format::warning(warning));
                    return;
                }
                Event::Finished(finished) if !self.answered || finished.outcome == Outcome::Interrupted => {}
                _ => return,
            }
        }
        if let Some(line) = line(at, event) {
            self.machines.line(&line);
        }
    }

    fn answer(&mut self, json: Option<&Value>, _text: &str) {
        self.answered |= json.is_some();
        let wrapped = json.filter(|_| !self.answering).map(as_event);
        match wrapped.as_ref().or(json) {
            Some(Value::Array(items)) => {
                self.machines.lines(items.iter().map(|item| escaped(&item.to_string())));
            }
            Some(value) => self.machines.line(&escaped(&value.to_string())),
            None => {}
        }
    }

    fn is_read(&self) -> bool {
        self.machines.is_open()
    }

    fn fault(&self) -> Option<String> {
        self.machines.fault()
    }
}
