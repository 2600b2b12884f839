//! Lengths, ranges, patterns and formats of a schema.

use jiff::Timestamp;
use regex::RegexBuilder;
use serde_json::Value;

use crate::schema::finding::Finding;

/// So much memory a compiled pattern may take; those of definitions take far less.
const LARGEST_PATTERN: usize = 1 << 20;

/// Checks what a schema says of the content of a value.
pub(super) fn check(schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let mut say = |message: String| found.push(Finding::error(pointer, message));
    match value {
        Value::String(text) => {
            length(schema, "Length", text.chars().count(), "letters", &mut say);
            if !matches_pattern(schema, text) {
                say(format!("`{text}` does not match `{}`", schema["pattern"].as_str().unwrap_or_default()));
            }
            if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
                say(format!("`{text}` is not a time such as `2026-01-31T12:00:00Z`"));
            }
        }
        Value::Array(items) => length(schema, "Items", items.len(), "items", &mut say),
        Value::Object(map) => length(schema, "Properties", map.len(), "fields", &mut say),
        Value::Number(number) if has_bounds(schema) => {
            range(schema, number.as_f64().unwrap_or_default(), &mut say);
        }
        _ => {}
    }
}

fn length(schema: &Value, what: &str, count: usize, unit: &str, say: &mut impl FnMut(String)) {
    let bound = |name: &str| schema[format!("{name}{what}").as_str()].as_u64();
    let count = count as u64;
    if let Some(least) = bound("min").filter(|least| count < *least) {
        say(format!("the value needs at least {least} {unit}, it has {count}"));
    }
    if let Some(most) = bound("max").filter(|most| count > *most) {
        say(format!("the value may have at most {most} {unit}, it has {count}"));
    }
}

/// Bounds of integers that are none themselves say nothing, or something else in each version.
fn has_bounds(schema: &Value) -> bool {
    let is_whole = |bound: &Value| bound.is_null() || bound.is_i64();
    schema["type"] != "integer" || (is_whole(&schema["minimum"]) && is_whole(&schema["maximum"]))
}

fn range(schema: &Value, number: f64, say: &mut impl FnMut(String)) {
    if let Some(least) = schema["minimum"].as_f64() {
        let is_open = schema["exclusiveMinimum"] == true;
        if number < least || (is_open && number <= least) {
            say(format!(
                "{number} is less than {} {least}",
                if is_open { "or equal to" } else { "the minimum" }
            ));
        }
    }
    if let Some(most) = schema["maximum"].as_f64() {
        let is_open = schema["exclusiveMaximum"] == true;
        if number > most || (is_open && number >= most) {
            say(format!(
                "{number} is greater than {} {most}",
                if is_open { "or equal to" } else { "the maximum" }
            ));
        }
    }
}

/// A pattern that cannot be read here matches everything: the server has another engine.
fn matches_pattern(schema: &Value, text: &str) -> bool {
    let Some(pattern) = schema["pattern"].as_str() else { return true };
    let compiled = RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).build();
    compiled.map_or(true, |pattern| pattern.is_match(text))
}
