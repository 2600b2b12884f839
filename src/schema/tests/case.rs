//! Changes that an API server refuses, one for each rule: the lines of `refused.txt`, made to the objects of `fixtures/schema`.
//!
//! `[version] Kind/name pointer value → message + message`: the value is YAML, `-` takes the field away, `@9 item` is a list of 9
//! items, each with its number where the item has a `%`, `@text9` a text of 9 letters. A message that stands elsewhere has its
//! pointer before it.

use serde_json::Value;

const TEXT: &str = include_str!("refused.txt");
/// The version of a line without one.
const NEWEST: &str = "1.37";

/// A line.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) line: &'static str,
    pub(crate) version: &'static str,
    /// `Deployment/web`.
    pub(crate) name: &'static str,
    pointer: &'static str,
    value: &'static str,
    messages: &'static str,
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    TEXT.lines().map(read).collect()
}

fn read(line: &'static str) -> Case {
    let (change, messages) = line.split_once(" → ").expect("an arrow");
    let (version, change) = match change.split_once(' ') {
        Some((version, rest)) if version.starts_with("1.") => (version, rest),
        _ => (NEWEST, change),
    };
    let mut words = change.splitn(3, ' ');
    let mut word = || words.next().expect("a name, a pointer and a value");
    Case { line, version, name: word(), pointer: word(), value: word(), messages }
}

impl Case {
    /// The object with the change.
    pub(crate) fn changed(&self, original: &Value) -> Value {
        let mut object = original.clone();
        let (parent, step) = self.pointer.rsplit_once('/').expect("a pointer");
        let step = step.replace("~1", "/").replace("~0", "~");
        let index = step.parse().unwrap_or(usize::MAX);
        match object.pointer_mut(parent).expect("a place of the object") {
            Value::Object(map) if self.value == "-" => drop(map.shift_remove(&step)),
            Value::Object(map) => drop(map.insert(step, self.value())),
            Value::Array(items) if self.value == "-" => drop(items.remove(index)),
            Value::Array(items) if index < items.len() => items[index] = self.value(),
            other => panic!("{}: {other}", self.line),
        }
        object
    }

    fn value(&self) -> Value {
        let read = |text: &str| serde_saphyr::from_str::<Value>(text).expect("YAML");
        if let Some(length) = self.value.strip_prefix("@text") {
            return "a".repeat(length.parse().expect("a number")).into();
        }
        let Some((count, item)) = self.value.strip_prefix('@').and_then(|rest| rest.split_once(' ')) else {
            return read(self.value);
        };
        let count: usize = count.parse().expect("a number");
        (0..count).map(|number| read(&item.replace('%', &number.to_string()))).collect()
    }

    /// What is said of the object, as `pointer: message`.
    pub(crate) fn expected(&self) -> Vec<String> {
        let whole = |message: &str| match message.strip_prefix("/: ") {
            Some(message) => format!(": {message}"),
            None if message.starts_with('/') => message.to_owned(),
            None => format!("{}: {message}", self.pointer),
        };
        self.messages.split(" + ").map(whole).collect()
    }
}
