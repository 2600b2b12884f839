//! Whether the schema of a definition is structural. Source: `ValidateStructural` of
//! `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`, `ValidateCustomResourceDefinitionOpenAPISchema` of its validation.

use regex::Regex;
use serde_json::{Map, Value};

use crate::model::object::{is_true, list, text};
use crate::schema::finding::{Finding, not_one_of, step};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// What belongs to the structure, not into `anyOf` and its like.
const OF_STRUCTURE: [&str; 12] = [
    "type",
    "default",
    "title",
    "description",
    "nullable",
    "additionalProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];
/// What Kubernetes does not take of JSON Schema.
const UNSUPPORTED: [&str; 6] =
    ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];
/// So deep is no schema.
const DEEPEST: usize = 64;

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Checks the schema of a version.
pub(super) fn check(root: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let mut walk = SchemaWalk { found, depth: 0 };
    walk.schema(root, Level::Root, pointer);
    walk.metadata(root, pointer);
    if is_true(root, "/nullable") {
        walk.say(&step(pointer, "nullable"), "the root of the schema cannot be nullable");
    }
}

/// The type of what a path of fields leads to.
pub(super) fn type_at<'a>(root: &'a Value, path: &str) -> Option<&'a str> {
    at(root, path).map(|found| text(found, "/type"))
}

/// What a path of fields leads to: `.spec.engine`, `['a.b']`.
fn at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = root;
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        if let Some(quoted) = rest.strip_prefix("['") {
            let (key, after) = quoted.split_once("']")?;
            (name, rest) = (key, after);
        } else {
            let plain = rest.strip_prefix('.')?;
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            let (key, after) = plain.split_at(end);
            (name, rest) = (key, after);
        }
        if name.is_empty() {
            return None;
        }
        let property = found.get("properties").and_then(|all| all.get(name));
        found = property.or_else(|| found.get("additionalProperties").filter(|inner| inner.is_object()))?;
    }
    Some(found)
}

struct SchemaWalk<'a> {
    found: &'a mut Vec<Finding>,
    depth: usize,
}

impl SchemaWalk<'_> {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        self.found.push(Finding::error(pointer, message));
    }

    fn missing(&mut self, pointer: &str, message: impl Into<String>) {
        self.found.push(Finding::error(pointer, message).at_key());
    }

    fn schema(&mut self, schema: &Value, level: Level, pointer: &str) {
        let Value::Object(map) = schema else { return };
        if self.depth > DEEPEST {
            return;
        }
        self.depth += 1;
        self.kind(schema, level, pointer);
        self.unsupported(map, pointer);
        self.extensions(schema, pointer);
        self.list_keys(schema, pointer);
        self.rules(schema, pointer);
        self.default(schema, pointer);
        self.content(schema, pointer);
        if let Some(items) = schema.get("items").filter(|items| !items.is_null()) {
            self.schema(items, Level::Item, &step(pointer, "items"));
        } else if text(schema, "/type") == "array" {
            self.missing(pointer, "`items` is missing");
        }
        self.schema(&schema["additionalProperties"], Level::Field, &step(pointer, "additionalProperties"));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // Null is a schema that says nothing.
            let property = if property.is_null() { &Value::Object(Map::new()) } else { property };
            self.schema(property, Level::Field, &step(&step(pointer, "properties"), name));
        }
        self.depth -= 1;
    }

    /// Every field has a type, or says that it has none.
    fn kind(&mut self, schema: &Value, level: Level, pointer: &str) {
        let kind = text(schema, "/type");
        let is_open = is_true(schema, "/x-kubernetes-int-or-string")
            || is_true(schema, "/x-kubernetes-preserve-unknown-fields");
        if kind == "null" {
            return self.say(&step(pointer, "type"), "`type` cannot be `null`");
        }
        if !kind.is_empty() && !TYPES.contains(&kind) {
            return self.found.push(not_one_of(&step(pointer, "type"), kind, &TYPES));
        }
        if kind.is_empty()
            && schema.get("type").is_none_or(|kind| kind.is_null() || kind.is_string())
            && !is_open
        {
            return self.missing(pointer, "`type` is missing");
        }
        if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.say(&step(pointer, "type"), "the type of the root is `object`");
        }
        if is_true(schema, "/x-kubernetes-embedded-resource") && kind != "object" {
            self.say(pointer, "a schema with `x-kubernetes-embedded-resource` has the type `object`");
        }
        let is_embedded = is_true(schema, "/x-kubernetes-embedded-resource");
        if is_embedded && !is_open && schema["properties"].as_object().is_none_or(Map::is_empty) {
            let message = "`x-kubernetes-embedded-resource` needs `properties`, or `x-kubernetes-preserve-unknown-fields`";
            self.missing(pointer, message);
        }
        if level == Level::Root && schema.get("additionalProperties").is_some_and(|inner| !inner.is_null()) {
            self.say(
                &step(pointer, "additionalProperties"),
                "the root of the schema cannot have `additionalProperties`",
            );
        }
    }

    fn unsupported(&mut self, map: &Map<String, Value>, pointer: &str) {
        for name in UNSUPPORTED {
            let is_set = map.get(name).is_some_and(|value| match value {
                Value::Object(inner) => !inner.is_empty() || name == "dependencies",
                other => !super::super::is_empty(other),
            });
            if is_set {
                self.found
                    .push(Finding::error(step(pointer, name), format!("`{name}` is not supported")).at_key());
            }
        }
        if map.get("items").is_some_and(|items| items.as_array().is_some_and(|all| !all.is_empty())) {
            self.say(&step(pointer, "items"), "`items` must be a schema, not a list of them");
        }
        if map.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.say(&step(pointer, "uniqueItems"), "`uniqueItems` cannot be true");
        }
        let has_properties =
            map.get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
        if has_properties
            && map.get("additionalProperties").is_some_and(|inner| inner.is_object() || *inner == false)
        {
            let message = "`properties` and `additionalProperties` exclude each other";
            self.say(&step(pointer, "additionalProperties"), message);
        }
    }

    fn extensions(&mut self, schema: &Value, pointer: &str) {
        let kind = text(schema, "/type");
        if schema["x-kubernetes-preserve-unknown-fields"] == false {
            let message = "`x-kubernetes-preserve-unknown-fields` is true or left out";
            self.say(&step(pointer, "x-kubernetes-preserve-unknown-fields"), message);
        }
        let is_either = is_true(schema, "/x-kubernetes-int-or-string");
        for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if is_either && is_true(schema, &step("", name)) {
                self.say(&step(pointer, name), format!("`x-kubernetes-int-or-string` excludes `{name}`"));
            }
        }
        for (name, wanted, known) in [
            ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
            ("x-kubernetes-list-type", "array", &["atomic", "set", "map"][..]),
        ] {
            let Some(written) = schema.get(name).and_then(Value::as_str) else { continue };
            if kind != wanted {
                self.say(&step(pointer, name), format!("`{name}` needs the type `{wanted}`"));
            }
            if !known.contains(&written) {
                self.found.push(not_one_of(&step(pointer, name), written, known));
            }
        }
    }

    /// The keys of a list are scalar fields of its items that are always there.
    fn list_keys(&mut self, schema: &Value, pointer: &str) {
        let (keys, is_map) =
            (list(schema, "/x-kubernetes-list-map-keys"), text(schema, "/x-kubernetes-list-type") == "map");
        let place = step(pointer, "x-kubernetes-list-map-keys");
        if !is_map {
            if !keys.is_empty() {
                self.say(&place, "`x-kubernetes-list-map-keys` needs `x-kubernetes-list-type: map`");
            }
            return self.set_items(schema, pointer);
        }
        if keys.is_empty() {
            return self.missing(pointer, "a list of the type `map` needs `x-kubernetes-list-map-keys`");
        }
        let items = &schema["items"];
        if !items.is_null() && text(items, "/type") != "object" {
            return self.say(
                &step(pointer, "items"),
                "the items of a list of the type `map` have the type `object`",
            );
        }
        for (index, key) in keys.iter().enumerate() {
            let is_twice = keys.iter().take(index).any(|other| other == key);
            if let Some(why) = no_key(items, key.as_str().unwrap_or_default(), is_twice) {
                self.say(&step(&place, index), why);
            }
        }
    }

    fn set_items(&mut self, schema: &Value, pointer: &str) {
        let items = &schema["items"];
        if text(schema, "/x-kubernetes-list-type") != "set" {
            return;
        }
        let is_wrong = match text(items, "/type") {
            "object" => text(items, "/x-kubernetes-map-type") != "atomic",
            "array" => !["", "atomic"].contains(&text(items, "/x-kubernetes-list-type")),
            _ => is_true(items, "/nullable"),
        };
        if is_wrong {
            self.say(
                &step(pointer, "items"),
                "the items of a list of the type `set` are atomic and never null",
            );
        }
    }

    fn rules(&mut self, schema: &Value, pointer: &str) {
        for (index, rule) in list(schema, "/x-kubernetes-validations").iter().enumerate() {
            let at = step(&step(pointer, "x-kubernetes-validations"), index);
            for name in ["rule", "message", "messageExpression", "fieldPath"] {
                let written = text(rule, &step("", name));
                if !written.is_empty() && written.trim().is_empty() {
                    self.say(&step(&at, name), format!("`{name}` is only blanks"));
                }
            }
            let (message, rule_text) = (text(rule, "/message"), text(rule, "/rule"));
            if message.trim().contains('\n') {
                self.say(&step(&at, "message"), "`message` is one line");
            }
            if rule_text.trim().contains('\n') && message.trim().is_empty() {
                self.missing(&at, "a rule of several lines needs `message`");
            }
            let path = text(rule, "/fieldPath");
            if !path.trim().is_empty() && self::at(schema, path.trim()).is_none() {
                self.say(&step(&at, "fieldPath"), format!("`{path}` leads to no field of the schema"));
            }
        }
    }

    /// A default keeps to its schema.
    fn default(&mut self, schema: &Value, pointer: &str) {
        let Some(default) = schema.get("default").filter(|default| !default.is_null()) else { return };
        let mut wrong = Vec::new();
        crate::schema::custom::value(schema, default, &step(pointer, "default"), &mut wrong);
        self.found.extend(wrong);
    }

    /// What values must keep to, and what `anyOf` and its like say beside the structure.
    fn content(&mut self, schema: &Value, pointer: &str) {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && is_no_pattern(pattern)
        {
            self.say(&step(pointer, "pattern"), "`pattern` is not a regular expression");
        }
        let is_either = is_true(schema, "/x-kubernetes-int-or-string");
        for name in ["anyOf", "allOf", "oneOf"] {
            for (index, inner) in list(schema, &step("", name)).iter().enumerate() {
                let at = step(&step(pointer, name), index);
                // The pattern by which an integer or a string is written.
                let is_pattern = |inner: &Value| {
                    inner.as_object().is_some_and(|map| map.len() == 1)
                        && ["integer", "string"].contains(&text(inner, "/type"))
                };
                let all = list(schema, &step("", name));
                let is_right =
                    name == "anyOf" && all.len() == 2 && all.iter().all(is_pattern) && all[0] != all[1];
                let is_plain = is_right && (is_either || text(&all[0], "/type") == "integer");
                if !is_plain {
                    self.nested(inner, is_either, &at);
                }
            }
        }
        self.nested(&schema["not"], false, &step(pointer, "not"));
    }

    fn nested(&mut self, schema: &Value, is_either: bool, pointer: &str) {
        let Value::Object(map) = schema else { return };
        if self.depth > DEEPEST {
            return;
        }
        self.depth += 1;
        for name in OF_STRUCTURE {
            let is_set = map.get(name).is_some_and(|value| !super::super::is_empty(value) && *value != false);
            if is_set {
                let message = format!("`{name}` belongs outside of `anyOf`, `oneOf`, `allOf` and `not`");
                self.found.push(Finding::error(step(pointer, name), message).at_key());
            }
        }
        self.unsupported(map, pointer);
        if map.get("properties").is_some_and(|all| all.get("metadata").is_some()) {
            self.say(&step(pointer, "properties"), "`metadata` cannot be asked for here");
        }
        self.nested(&schema["items"], false, &step(pointer, "items"));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.nested(property, false, &step(&step(pointer, "properties"), name));
        }
        for name in ["anyOf", "allOf", "oneOf"] {
            for (index, inner) in list(schema, &step("", name)).iter().enumerate() {
                if !(is_either && name == "anyOf") {
                    self.nested(inner, false, &step(&step(pointer, name), index));
                }
            }
        }
        self.nested(&schema["not"], false, &step(pointer, "not"));
        self.depth -= 1;
    }

    /// What every object has: of its metadata only the name can be limited.
    fn metadata(&mut self, root: &Value, pointer: &str) {
        let properties = step(pointer, "properties");
        for (name, wanted) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
            let Some(property) = root.get("properties").and_then(|all| all.get(name)) else { continue };
            let kind = text(property, "/type");
            if TYPES.contains(&kind) && kind != wanted {
                self.say(
                    &step(&step(&properties, name), "type"),
                    format!("the type of `{name}` is `{wanted}`"),
                );
            }
        }
        let Some(metadata) = root.get("properties").and_then(|all| all.get("metadata")?.as_object()) else {
            return;
        };
        let at = step(&properties, "metadata");
        let is_name = |name: &String| ["name", "generateName"].contains(&name.as_str());
        let inner = metadata.get("properties").and_then(Value::as_object);
        let is_right = inner.is_none_or(|inner| inner.keys().all(is_name))
            && metadata.keys().all(|key| ["type", "properties", "description"].contains(&key.as_str()));
        if !is_right {
            self.say(&at, "only `name` and `generateName` of the metadata can be restricted");
        }
    }
}

/// Why a property cannot tell the items of a list apart.
fn no_key(items: &Value, name: &str, is_twice: bool) -> Option<String> {
    let property = items.get("properties").and_then(|all| all.get(name));
    let is_required = list(items, "/required").iter().any(|required| required == name);
    Some(match property {
        _ if is_twice => format!("`{name}` is already listed"),
        None => format!("the items have no property `{name}`"),
        Some(property) if ["array", "object"].contains(&text(property, "/type")) => {
            format!("`{name}` is not a scalar")
        }
        Some(property) if is_true(property, "/nullable") => format!("`{name}` may be null"),
        Some(property) if !is_required && property.get("default").is_none_or(Value::is_null) => {
            format!("`{name}` must be required, or have a default")
        }
        Some(_) => return None,
    })
}

/// Whether a pattern is none for Go, as far as that windlass knows: what both engines call unbalanced.
fn is_no_pattern(pattern: &str) -> bool {
    let unbalanced = |error: &regex::Error| {
        let text = error.to_string();
        ["unclosed", "unopened", "repetition operator missing", "incomplete escape"]
            .iter()
            .any(|why| text.contains(why))
    };
    Regex::new(pattern).as_ref().err().is_some_and(unbalanced)
}
