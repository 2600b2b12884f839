//! What is wrong with an object, where, and how bad that is.

use std::fmt;

use serde_json::Value;

use crate::text::{nearest, pointer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The API server refuses the object.
    Error,
    /// The object is accepted, but probably not meant so; or what it needs may be made elsewhere.
    Warning,
}

/// What of the value at the pointer is wrong, so that the right column is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The key: it is not known, or something is missing in its value.
    Key,
    /// The value.
    Value,
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// JSON pointer to what is wrong; to the object that lacks it where something is missing.
    pub pointer: String,
    /// What of it.
    pub mark: Mark,
    /// One sentence without a full stop; never the value of a Secret.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
    /// The schema itself says so, not the validation that follows it.
    pub(super) is_of_schema: bool,
}

impl Finding {
    /// An error about the value at a pointer.
    pub(super) fn error(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            pointer: pointer.into(),
            mark: Mark::Value,
            message: message.into(),
            hint: None,
            is_of_schema: false,
        }
    }

    /// A warning about the value at a pointer.
    pub(crate) fn warning(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(pointer, message) }
    }

    /// The schema itself says so: no object gets past it, whatever validates it afterwards.
    pub(super) fn of_schema(mut self) -> Self {
        self.is_of_schema = true;
        self
    }

    /// It is the key that is wrong.
    pub(super) fn at_key(mut self) -> Self {
        self.mark = Mark::Key;
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn with_hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The pointer as Kubernetes writes paths: `spec.template.spec.containers[0].image`.
    pub fn path(&self) -> String {
        pointer::path(&self.pointer)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A JSON pointer one step longer.
pub(super) fn step(pointer: &str, name: impl fmt::Display) -> String {
    format!("{pointer}/{}", pointer::escape(&name.to_string()))
}

/// A value that is not one of those that are known.
pub(super) fn not_one_of(pointer: &str, text: &str, values: &[&str]) -> Finding {
    let hint = match nearest(text, values.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if values.len() > 8 => format!("write {}, …", one_of(values.get(..8).unwrap_or_default())),
        None => format!("write {}", one_of(values)),
    };
    let name = pointer.rsplit('/').find(|name| !name.bytes().all(|byte| byte.is_ascii_digit()));
    let shown = if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") };
    Finding::error(pointer, format!("`{}` cannot be {shown}", name.unwrap_or_default())).with_hint(hint)
}

/// A value of a type that its field does not have.
pub(super) fn wrong_type(pointer: &str, wanted: &str, value: &Value) -> Finding {
    let named = pointer.rsplit('/').find(|step| !pointer::is_index(step)).unwrap_or_default();
    let name = pointer::unescape(named);
    let what = match pointer.rsplit('/').next().filter(|step| pointer::is_index(step)) {
        _ if name.is_empty() => "the object".to_owned(),
        Some(_) => format!("an item of `{name}`"),
        None => format!("`{name}`"),
    };
    let message = format!("{what} must be {wanted}, not {}", type_of(value));
    let finding = Finding::error(pointer, message).of_schema();
    match (wanted, value) {
        ("a string", Value::Number(_) | Value::Bool(_)) => finding.with_hint("put it in quotes"),
        ("an integer" | "a number" | "`true` or `false`", Value::String(text))
            if text.parse::<f64>().is_ok() || text == "true" || text == "false" =>
        {
            finding.with_hint("remove the quotes")
        }
        ("a list", Value::Object(_)) => finding.with_hint("begin each item with `- `"),
        _ => finding,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// `` `a`, `b` or `c` ``.
pub(super) fn one_of(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_those_of_kubernetes() {
        let pointer = step(&step("/metadata", "annotations"), "a.io/b~c");
        assert_eq!(pointer, "/metadata/annotations/a.io~1b~0c");
        assert_eq!(Finding::error(pointer, "no").path(), "metadata.annotations[a.io/b~c]");
        assert_eq!(Finding::error("/spec/a/0/b", "no").to_string(), "spec.a[0].b: no");
        assert_eq!(Finding::error("", "no").to_string(), "no");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(one_of(&["a"]), "`a`");
    }
}
