//! The output of commands: for each view a struct of plain values, with its text and its JSON.

pub(crate) mod adoption;
pub(crate) mod drift;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod lock;
pub(crate) mod plan;
pub(crate) mod removal;
pub(crate) mod rollback;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod validation;

use serde_json::{Value, json};

use crate::model::ObjectRef;

/// An answer as people and as machines read it.
pub(crate) trait View {
    /// For machines.
    fn to_json(&self) -> Value;

    /// For people: whole lines, with colour.
    fn to_text(&self) -> String;
}

/// Which object is meant.
fn object_json(object: &ObjectRef) -> Value {
    json!({
        "apiVersion": object.api_version,
        "kind": object.kind,
        "namespace": object.namespace.as_deref().unwrap_or_default(),
        "name": object.name,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use regex::Regex;

    use super::*;
    use crate::report::style;

    /// The text with its colours to be seen and without the local time, and below it the JSON with its keys in their order.
    pub(crate) fn both(text: &str, json: &Value) -> String {
        let text = style::shown(text).replace('\u{1b}', "␛");
        let local = Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d").expect("a pattern");
        format!(
            "{}----\n{}",
            local.replace_all(&text, "[local time]"),
            serde_json::to_string_pretty(json).expect("JSON")
        )
    }

    /// As [`both`], of a view.
    pub(crate) fn shown(view: &impl View) -> String {
        both(&view.to_text(), &view.to_json())
    }
}
