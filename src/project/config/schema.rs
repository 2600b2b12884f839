//! The JSON Schema of `windlass.yaml`, made from the types that are read, for editors and for `generate schema`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::project::Config;

/// The JSON Schema of `windlass.yaml`.
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

pub(crate) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"const": 1})
}

/// `transform` of the whole: only `version` must be there.
pub(crate) fn require_version(schema: &mut Schema) {
    schema.insert("required".to_owned(), Value::from(vec!["version"]));
}

/// A map from names to texts; numbers and booleans are read as they are written.
pub(crate) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
}

/// A map from names to sources of values.
pub(crate) fn sources(_: &mut SchemaGenerator) -> Schema {
    let words = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
    json_schema!({"type": "object", "additionalProperties": {
        "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
        "properties": {"env": {"type": "string"}, "file": {"type": "string"}, "command": words},
    }})
}

/// `secrets`: each from keys with sources, from one source, or credentials of a registry.
pub(crate) fn secrets(_: &mut SchemaGenerator) -> Schema {
    let words = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
    let source = json!({
        "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
        "properties": {"env": {"type": "string"}, "file": {"type": "string"}, "command": words},
    });
    let pull = json!({
        "type": "object", "additionalProperties": false, "required": ["user", "password"],
        "properties": {"host": {"type": "string"}, "user": {"anyOf": [{"type": "string"}, source]}, "password": source},
    });
    json_schema!({"type": "object", "additionalProperties": {
        "type": "object", "minProperties": 1,
        "properties": {
            "type": {"anyOf": [{"type": "string"}, source]},
            "command": {"anyOf": [words, source]},
            "file": {"anyOf": [{"type": "string"}, source]},
            "pull": {"anyOf": [pull, source]},
        },
        "additionalProperties": source,
    }})
}

/// `health`: rules in CEL.
pub(crate) fn health(_: &mut SchemaGenerator) -> Schema {
    let expression =
        |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    json_schema!({"type": "array", "items": {
        "type": "object", "additionalProperties": false, "required": ["apiVersion", "kind", "current"],
        "properties": {
            "apiVersion": {"type": "string", "pattern": "^([^/]+/)?v[^/]+$"},
            "kind": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9]*$"},
            "current": expression("True of an object that is ready, such as `status.phase == 'Ready'`."),
            "failed": expression("True of an object that has failed."),
            "inProgress": expression("True of an object that is in progress; evaluated before `failed` \
             and `current`."),
            "paused": expression("True of an object that is paused; windlass does not wait for it."),
            "message": expression("The reason, in the words of its controller."),
        },
    }})
}

/// An address, or a map with it.
pub(crate) fn builder(generator: &mut SchemaGenerator) -> Schema {
    let whole = generator.subschema_for::<crate::project::BuilderConfig>();
    json_schema!({"anyOf": [{"type": "string"}, whole]})
}

pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string"})
}

/// A list of objects.
pub(crate) fn objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string", "pattern": "^[^/]+/.+$"}})
}

pub(crate) fn one_or_several(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1})
}

pub(crate) fn names_or_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["array", "object"],
        "items": {"type": "string"},
        "additionalProperties": {"type": "string"}
    })
}

pub(crate) fn matrix(_: &mut SchemaGenerator) -> Schema {
    let value = json_schema!({"type": ["string", "number", "boolean"]});
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "array", "items": value, "minItems": 1}
    })
}

/// `transform` of an image, whose `matrix` is gone once it is read.
pub(crate) fn with_matrix(schema: &mut Schema) {
    let mut matrix = json_schema!({
        "description": "Builds one image for each combination of these values, which are build arguments: `web` with \
                        `{PHP: [\"8.3\", \"8.4\"]}` makes `web-8.3` and `web-8.4`."
    });
    let mut shape = self::matrix(&mut SchemaGenerator::default());
    matrix.ensure_object().append(shape.ensure_object());
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("matrix".to_owned(), matrix.into());
    }
}

pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "number"]})
}

/// `true`, `false`, or the mode.
pub(crate) fn cache(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["boolean", "object"],
        "properties": {"mode": {"enum": ["inline", "max"]}},
        "required": ["mode"],
        "additionalProperties": false
    })
}

pub(crate) fn ulimits(_: &mut SchemaGenerator) -> Schema {
    let number = json_schema!({"type": "integer", "minimum": -1});
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": ["integer", "object"],
            "minimum": -1,
            "properties": {"soft": number, "hard": number},
            "required": ["soft", "hard"],
            "additionalProperties": false
        }
    })
}

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn one() -> u32 {
    1
}

pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", "minLength": 2})
}

pub(crate) fn here() -> &'static str {
    "."
}

pub(crate) fn one_minute() -> &'static str {
    "1m"
}

pub(crate) fn five_seconds() -> &'static str {
    "5s"
}

pub(crate) fn half_a_minute() -> &'static str {
    "30s"
}

/// `transform` of a map that may not be empty.
pub(crate) fn require_any(schema: &mut Schema) {
    schema.insert("minProperties".to_owned(), Value::from(1));
}

pub(crate) fn one_hour() -> &'static str {
    "1h"
}

pub(crate) fn ten_minutes() -> &'static str {
    "10m"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Written anew with `WINDLASS_WRITE_SCHEMA=1 cargo test --lib project::config::schema`, or with `windlass generate schema`.
    #[test]
    fn the_schema_that_is_checked_in_is_current() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/windlass.schema.json");
        let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("WINDLASS_WRITE_SCHEMA").is_some() {
            std::fs::write(&file, &current).unwrap();
        }
        let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(checked_in == current, "docs/windlass.schema.json is not current");
    }

    /// An editor calls no file wrong that is right.
    #[test]
    fn only_what_must_be_there_is_required() {
        let schema = schema();
        let required = |pointer: &str| {
            let list = schema.pointer(&format!("{pointer}/required")).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(required(""), "version");
        assert_eq!(required("/$defs/TestConfig"), "image run");
        assert_eq!(required("/$defs/ServiceConfig"), "image");
        assert_eq!(required("/$defs/TierConfig"), "context namespace");
        for free in ["ImageConfig", "Ready", "VerifyConfig"] {
            assert_eq!(required(&format!("/$defs/{free}")), "", "{free}");
        }
    }

    /// Whatever is read is in the schema, and the other way round.
    #[test]
    fn the_schema_knows_the_keys_that_are_read() {
        let schema = schema();
        for (pointer, keys) in crate::project::config::read::known_keys() {
            let properties =
                schema.pointer(pointer).and_then(|one| one.get("properties")?.as_object()).unwrap();
            let mut known: Vec<_> = properties.keys().map(String::as_str).collect();
            let mut read = keys.to_vec();
            known.sort_unstable();
            read.sort_unstable();
            assert_eq!(known, read, "{pointer}");
        }
    }
}
