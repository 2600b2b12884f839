//! A value against its type, down to the last field.

use serde_json::{Map, Value};

use super::lists;
use crate::schema::finding::{Finding, Mark, Severity, not_one_of, step, wrong_type};
use crate::schema::format::{Quantity, decode, is_time};
use crate::schema::rules;
use crate::schema::table::{Field, Shape};
use crate::schema::version::Schemas;
use crate::text::nearest;

/// Types that are a schema or something else: `JSONSchemaPropsOrBool`.
const NESTED: &str = "apiextensions.v1.JSONSchemaProps";

/// So deep is no object; what is read from a file is never deeper.
const DEEPEST: usize = 128;

/// More findings than these nobody reads.
const ENOUGH: usize = 200;

pub(super) struct ObjectWalk<'a> {
    schemas: &'a Schemas,
    found: &'a mut Vec<Finding>,
    /// Fields that the server drops.
    dropped: Vec<String>,
    depth: usize,
}

impl<'a> ObjectWalk<'a> {
    pub(super) fn new(schemas: &'a Schemas, found: &'a mut Vec<Finding>) -> Self {
        Self { schemas, found, dropped: Vec::new(), depth: 0 }
    }

    /// The pointers to the fields that the server drops.
    pub(super) fn dropped(self) -> Vec<String> {
        self.dropped
    }

    /// Checks an object of a type; `pointer` leads to it and is as it was when this returns.
    pub(super) fn object(&mut self, type_name: &str, value: &Value, pointer: &mut String) {
        let Some(one) = self.schemas.type_of(type_name) else { return };
        if let Some(shape) = &one.written_as {
            return match type_name.strip_prefix(NESTED) {
                Some(kind) => self.nested(kind, value, pointer),
                None => self.value(shape, value, pointer),
            };
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

    /// A schema within a schema, or what else may stand there. It is read without a word about unknown fields.
    fn nested(&mut self, kind: &str, value: &Value, pointer: &mut String) {
        let wanted = match (kind, value) {
            (_, Value::Object(_)) => {
                let before = self.found.len();
                self.object("apiextensions.v1.JSONSchemaProps", value, pointer);
                let unknown = self.found.iter_mut().skip(before);
                unknown.filter(|one| one.mark == Mark::Key).for_each(|one| one.severity = Severity::Warning);
                return;
            }
            ("OrBool", Value::Bool(_)) | ("OrArray" | "OrStringArray", Value::Array(_)) => return,
            ("OrBool", _) => "a schema or a boolean",
            _ => "a schema",
        };
        self.found.push(wrong_type(pointer, wanted, value));
    }

    fn field(&mut self, type_name: &str, field: &Field, value: &Value, pointer: &mut String) {
        // Before 1.31 a revision held anything.
        let is_anything =
            type_name == "apps.v1.ControllerRevision" && field.name == "data" && self.schemas.minor() < 31;
        if value.is_null() || is_anything {
            return;
        }
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(field.name);
        if rules::drops((type_name, self.schemas.minor()), field.name, value, pointer) {
            self.dropped.push(pointer.clone());
            let message = format!(
                "Kubernetes {} drops `{}`, unless its gate is set",
                self.schemas.version(),
                field.name
            );
            self.found.push(Finding::warning(pointer.as_str(), message).at_key());
        }
        let before = self.found.len();
        self.value(&field.shape, value, pointer);
        // Where the value itself is of the wrong type, its content says nothing.
        let is_right = |one: &Finding| one.severity != Severity::Error || one.pointer != *pointer;
        if self.found.get(before..).is_none_or(|found| found.iter().all(is_right)) {
            let known = self.found.len();
            self.one_of(field, value, pointer);
            // What is none of its words needs no more to be said of.
            if self.found.len() == known {
                rules::field(self.schemas, type_name, field, value, pointer, self.found);
            }
            lists::check(self.schemas, field, value, pointer, self.found);
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
            pointer.extend(["/", &index.to_string()]);
            match shape {
                // Nothing is in it.
                Shape::Type(name) if item.is_null() => self.object(name, &Value::Object(Map::new()), pointer),
                _ => self.value(shape, item, pointer),
            }
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
        Shape::Time if !value.is_string() => "a time such as `2026-01-31T12:00:00Z`",
        Shape::MicroTime if !value.is_string() => "a time such as `2026-01-31T12:00:00.000000Z`",
        Shape::IntOrText if !value.is_string() && !is_whole(value) => "an integer or a string",
        Shape::IntOrText if value.is_number() && !fits(value) => "an integer of 32 bits or a string",
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
        (Shape::Quantity, Value::String(text)) if !text.bytes().any(|byte| byte.is_ascii_digit()) => {
            Some(Finding::warning(pointer, format!("`{text}` has no digits: it is read as 0")))
        }
        (Shape::Time, Value::String(text)) if !is_time(text, false) => {
            let finding = Finding::error(pointer, format!("`{text}` is not a time")).of_schema();
            Some(finding.with_hint("write it as `2026-01-31T12:00:00Z`"))
        }
        (Shape::MicroTime, Value::String(text)) if !is_time(text, true) => {
            let finding =
                Finding::error(pointer, format!("`{text}` is not a time with microseconds")).of_schema();
            Some(finding.with_hint("write it as `2026-01-31T12:00:00.000000Z`"))
        }
        // The value may be a secret.
        (Shape::Bytes, Value::String(text)) if decode(text).is_none() => Some(
            Finding::error(pointer, "the value is not base64")
                .of_schema()
                .with_hint("encode it with `base64 -w0`"),
        ),
        // The server cuts the number off, silently.
        (Shape::Int32, Value::Number(number))
            if number.as_i64().is_none_or(|one| i32::try_from(one).is_err()) && !number.is_f64() =>
        {
            Some(Finding::warning(pointer, format!("`{number}` does not fit into 32 bits")))
        }
        _ => None,
    }
}

/// Whether a number has at most 32 bits.
fn fits(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number))
}

/// Also `3.0`: the server converts it.
fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}
