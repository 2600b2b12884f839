//! A value against its type, down to the last field.

use jiff::Timestamp;
use serde_json::{Map, Value};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::lists;
use crate::schema::finding::{Finding, not_one_of, step, wrong_type};
use crate::schema::format::Quantity;
use crate::schema::rules;
use crate::schema::table::{Field, Shape};
use crate::schema::version::Schemas;
use crate::text::nearest;

/// So deep is no object; what is read from a file is never deeper.
const DEEPEST: usize = 128;

/// More findings than these nobody reads.
const ENOUGH: usize = 200;

pub(super) struct Walk<'a> {
    schemas: &'a Schemas,
    found: &'a mut Vec<Finding>,
    depth: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(schemas: &'a Schemas, found: &'a mut Vec<Finding>) -> Self {
        Self { schemas, found, depth: 0 }
    }

    /// Checks an object of a type; `pointer` leads to it and is as it was when this returns.
    pub(super) fn object(&mut self, type_name: &str, value: &Value, pointer: &mut String) {
        let Some(one) = self.schemas.type_of(type_name) else { return };
        if let Some(shape) = &one.written_as {
            return self.value(shape, value, pointer);
        }
        let Value::Object(map) = value else {
            return self.found.push(wrong_type(pointer, "a map", value));
        };
        if self.depth >= DEEPEST || self.found.len() >= ENOUGH {
            return;
        }
        self.depth += 1;
        for (name, value) in map {
            match self.schemas.field_of(type_name, name) {
                Some(field) => self.field(type_name, field, value, pointer),
                None => self.unknown_field(type_name, name, pointer),
            }
        }
        self.missing(type_name, map, pointer);
        rules::object_of_type(self.schemas, type_name, map, pointer, self.found);
        self.depth -= 1;
    }

    fn field(&mut self, type_name: &str, field: &Field, value: &Value, pointer: &mut String) {
        if value.is_null() {
            return;
        }
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(field.name);
        let before = self.found.len();
        self.value(&field.shape, value, pointer);
        // Where the value itself is of the wrong type, its content says nothing.
        let is_right = |one: &Finding| one.pointer != *pointer;
        if self.found.get(before..).is_none_or(|found| found.iter().all(is_right)) {
            self.one_of(field, value, pointer);
            rules::field(type_name, field, value, pointer, self.found);
            lists::check(field, value, pointer, self.found);
        }
        pointer.truncate(length);
    }

    fn value(&mut self, shape: &Shape, value: &Value, pointer: &mut String) {
        if value.is_null() {
            return;
        }
        match shape {
            Shape::Type(name) => self.object(name, value, pointer),
            Shape::List(item) => match value {
                Value::Array(items) => self.items(item, items, pointer),
                _ => self.found.push(wrong_type(pointer, "a list", value)),
            },
            Shape::Map(item) => match value {
                Value::Object(map) => self.entries(item, map, pointer),
                _ => self.found.push(wrong_type(pointer, "a map", value)),
            },
            _ => self.found.extend(scalar(shape, value, pointer)),
        }
    }

    fn items(&mut self, shape: &Shape, items: &[Value], pointer: &mut String) {
        let length = pointer.len();
        for (index, item) in items.iter().enumerate() {
            pointer.push_str(&format!("/{index}"));
            self.value(shape, item, pointer);
            pointer.truncate(length);
        }
    }

    fn entries(&mut self, shape: &Shape, map: &Map<String, Value>, pointer: &str) {
        for (key, value) in map {
            let mut inner = step(pointer, key);
            self.value(shape, value, &mut inner);
        }
    }

    fn unknown_field(&mut self, type_name: &str, name: &str, pointer: &str) {
        let message = match pointer.rsplit('/').find(|name| !name.bytes().all(|byte| byte.is_ascii_digit())) {
            Some(parent) if !parent.contains('~') => format!("`{parent}` has no field `{name}`"),
            _ => format!("there is no field `{name}`"),
        };
        let known: Vec<&str> = self.schemas.fields_of(type_name).map(|field| field.name).collect();
        let near = || nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let hint = self.other_versions(type_name, name).or_else(near);
        let finding = Finding::error(step(pointer, name), message).at_key().of_schema().with_hint_if(hint);
        self.found.push(Finding { severity: self.schemas.severity_of_unknown(), ..finding });
    }

    /// Which versions have a field that this one has not.
    fn other_versions(&self, type_name: &str, name: &str) -> Option<String> {
        let one = self.schemas.type_of(type_name)?;
        let masks = one.fields.iter().filter(|field| field.name == name).map(|field| field.versions);
        let mask = masks.reduce(|one, other| one | other)?;
        let has = |index: &usize| mask >> index & 1 == 1;
        let versions = 0..self.schemas.table.versions.len();
        let known =
            |index: usize| self.schemas.table.versions.get(index).and_then(|full| full.rsplit_once('.'));
        let first = known(versions.clone().find(has)?)?.0;
        let last = known(versions.rev().find(has)?)?.0;
        Some(format!("Kubernetes {first} to {last} have it, {} does not", self.schemas.version()))
    }

    fn one_of(&mut self, field: &Field, value: &Value, pointer: &str) {
        if field.values.is_empty() {
            return;
        }
        // An empty string is as good as none: the server puts the default there.
        let is_wrong = |text: &str| !text.is_empty() && !field.values.contains(&text);
        match value {
            Value::String(text) if is_wrong(text) => {
                self.found.push(not_one_of(pointer, text, &field.values));
            }
            Value::Array(items) => {
                let texts =
                    items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_str()?)));
                let wrong = texts.filter(|(_, text)| is_wrong(text));
                self.found.extend(
                    wrong.map(|(index, text)| not_one_of(&step(pointer, index), text, &field.values)),
                );
            }
            _ => {}
        }
    }

    fn missing(&mut self, type_name: &str, map: &Map<String, Value>, pointer: &str) {
        for field in self.schemas.fields_of(type_name) {
            let is_missing = match map.get(field.name) {
                None | Some(Value::Null) => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(items)) => items.is_empty(),
                Some(_) => false,
            };
            if is_missing && rules::is_required(type_name, field) {
                self.found.push(Finding::error(pointer, format!("`{}` is missing", field.name)).at_key());
            }
        }
    }
}

/// What is wrong with a value that is neither a list nor a map of known fields.
fn scalar(shape: &Shape, value: &Value, pointer: &str) -> Option<Finding> {
    let wanted = match shape {
        Shape::Text if !value.is_string() => "a string",
        Shape::Flag if !value.is_boolean() => "`true` or `false`",
        Shape::Int32 | Shape::Int64 if !is_whole(value) => "an integer",
        Shape::Number if !value.is_number() => "a number",
        Shape::Quantity if !value.is_string() && !value.is_number() => "a quantity such as `500m` or `1Gi`",
        Shape::Time | Shape::MicroTime if !value.is_string() => "a time such as `2026-01-31T12:00:00Z`",
        Shape::IntOrText if !value.is_string() && !is_whole(value) => "an integer or a string",
        Shape::Bytes if !value.is_string() => "a string in base64",
        Shape::Object if !value.is_object() => "a map",
        _ => return content(shape, value, pointer),
    };
    let wanted = if wanted == "a string in base64" { "a string" } else { wanted };
    Some(wrong_type(pointer, wanted, value))
}

/// What is wrong with a value of the right type.
fn content(shape: &Shape, value: &Value, pointer: &str) -> Option<Finding> {
    match (shape, value) {
        (Shape::Quantity, Value::String(text)) if Quantity::read(text.trim()).is_none() => {
            let finding = Finding::error(pointer, format!("`{text}` is not a quantity")).of_schema();
            Some(finding.with_hint("write `500m` or `0.5` for CPUs, `512Mi`, `1Gi` or `1G` for bytes"))
        }
        (Shape::Time | Shape::MicroTime, Value::String(text)) if text.parse::<Timestamp>().is_err() => {
            let finding = Finding::error(pointer, format!("`{text}` is not a time")).of_schema();
            Some(finding.with_hint("write it as `2026-01-31T12:00:00Z`"))
        }
        // The value may be a secret.
        (Shape::Bytes, Value::String(text)) if STANDARD.decode(text.replace(['\r', '\n'], "")).is_err() => {
            Some(
                Finding::error(pointer, "the value is not base64")
                    .of_schema()
                    .with_hint("encode it with `base64 -w0`"),
            )
        }
        // The server cuts the number off, silently.
        (Shape::Int32, Value::Number(number))
            if number.as_i64().is_none_or(|one| i32::try_from(one).is_err()) && !number.is_f64() =>
        {
            Some(Finding::warning(pointer, format!("`{number}` does not fit into 32 bits")))
        }
        _ => None,
    }
}

/// Also `3.0`: the server converts it.
fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}
