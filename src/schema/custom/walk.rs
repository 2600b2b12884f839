//! A value against a structural schema.
//!
//! What is not understood (`oneOf`, `anyOf`, `not`, rules in CEL) is not checked: better no finding than a wrong one.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::bounds;
use crate::model::object::{is_true, list, text};
use crate::schema::finding::{Finding, not_one_of, step, wrong_type};
use crate::text::nearest;

/// So deep is no object.
const DEEPEST: usize = 128;
/// What every object has, whatever its schema says.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Checks a whole object. A status that is a subresource cannot be set by whoever applies it.
pub(super) fn root(schema: &Value, object: &Value, has_status: bool, found: &mut Vec<Finding>) {
    let Value::Object(map) = object else { return };
    let skipped: &[&str] =
        if has_status { &["apiVersion", "kind", "metadata", "status"] } else { &OF_OBJECTS };
    CustomWalk { found, depth: 0 }.fields(schema, map, "", skipped);
}

/// Checks a value against a part of a schema.
pub(super) fn part(schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    CustomWalk { found, depth: 0 }.value(schema, value, pointer);
}

struct CustomWalk<'a> {
    found: &'a mut Vec<Finding>,
    depth: usize,
}

impl CustomWalk<'_> {
    fn value(&mut self, schema: &Value, value: &Value, pointer: &str) {
        // The server drops null or takes it as the default; whether it does depends on more than is known here.
        if value.is_null() || self.depth >= DEEPEST {
            return;
        }
        if let Some(wanted) = wanted_type(schema, value) {
            return self.found.push(wrong_type(pointer, wanted, value));
        }
        self.depth += 1;
        match value {
            Value::Object(map) => {
                let is_embedded = is_true(schema, "/x-kubernetes-embedded-resource");
                self.fields(schema, map, pointer, if is_embedded { &OF_OBJECTS } else { &[] });
            }
            Value::Array(items) => self.items(schema, items, pointer),
            _ => {}
        }
        self.depth -= 1;
        self.found.extend(one_of(schema, value, pointer));
        bounds::check(schema, value, pointer, self.found);
    }

    fn fields(&mut self, schema: &Value, map: &Map<String, Value>, pointer: &str, skipped: &[&str]) {
        let properties = schema["properties"].as_object();
        let additional = &schema["additionalProperties"];
        let is_open = is_true(schema, "/x-kubernetes-preserve-unknown-fields")
            || additional == true
            // Without any property the schema says nothing of them, as in schemas that are not structural.
            || (properties.is_none() && !additional.is_object() && schema.get("type").is_none());
        for (name, value) in map.iter().filter(|(name, _)| !skipped.contains(&name.as_str())) {
            let place = step(pointer, name);
            match properties.and_then(|properties| properties.get(name)) {
                Some(property) => self.value(property, value, &place),
                None if additional.is_object() => self.value(additional, value, &place),
                None if is_open => {}
                None => self.found.push(unknown(name, &place, properties)),
            }
        }
        for name in list(schema, "/required").iter().filter_map(Value::as_str) {
            let has_default =
                properties.is_some_and(|all| all.get(name).is_some_and(|one| one.get("default").is_some()));
            if !map.contains_key(name) && !has_default && !skipped.contains(&name) {
                self.found.push(Finding::error(pointer, format!("`{name}` is missing")).at_key());
            }
        }
    }

    fn items(&mut self, schema: &Value, items: &[Value], pointer: &str) {
        if schema["items"].is_object() {
            for (index, item) in items.iter().enumerate() {
                self.value(&schema["items"], item, &step(pointer, index));
            }
        }
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            if key_of(schema, item).is_some_and(|key| !seen.insert(key)) {
                let message = "another item of the list has the same keys";
                self.found.push(Finding::error(step(pointer, index), message));
            }
        }
    }
}

/// What tells an item from the others; `None` where nothing does, or it lacks a key that may have a default.
fn key_of(schema: &Value, item: &Value) -> Option<String> {
    match text(schema, "/x-kubernetes-list-type") {
        "set" if !item.is_object() => Some(item.to_string()),
        "map" => {
            let names = list(schema, "/x-kubernetes-list-map-keys").iter().filter_map(Value::as_str);
            let values: Option<Vec<String>> = names.map(|name| Some(item.get(name)?.to_string())).collect();
            values.filter(|values| !values.is_empty()).map(|values| values.join("\n"))
        }
        _ => None,
    }
}

/// What the value must be, if it is something else.
fn wanted_type(schema: &Value, value: &Value) -> Option<&'static str> {
    let is_whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    if is_true(schema, "/x-kubernetes-int-or-string") {
        return (!value.is_string() && !is_whole).then_some("an integer or a string");
    }
    match text(schema, "/type") {
        "object" if !value.is_object() => Some("a map"),
        "array" if !value.is_array() => Some("a list"),
        "string" if !value.is_string() => Some("a string"),
        "integer" if !is_whole => Some("an integer"),
        "number" if !value.is_number() => Some("a number"),
        "boolean" if !value.is_boolean() => Some("`true` or `false`"),
        _ => None,
    }
}

fn one_of(schema: &Value, value: &Value, pointer: &str) -> Option<Finding> {
    let known = schema["enum"].as_array()?;
    if known.contains(value) {
        return None;
    }
    let words: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    match value.as_str() {
        Some(text) if words.len() == known.len() => Some(not_one_of(pointer, text, &words)),
        _ => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            Some(
                Finding::error(pointer, "the value is none of those that are allowed")
                    .with_hint(format!("write {}", known.join(" or "))),
            )
        }
    }
}

fn unknown(name: &str, pointer: &str, properties: Option<&Map<String, Value>>) -> Finding {
    let near = properties.and_then(|all| nearest(name, all.keys().map(String::as_str)));
    let finding = Finding::error(pointer, format!("the definition has no field `{name}`")).at_key();
    finding.with_hint_if(near.map(|near| format!("did you mean `{near}`?")))
}
