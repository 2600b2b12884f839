//! The objects of the CustomResourceDefinitions of a set, against the schemas that these bring.

mod bounds;
mod walk;

use std::collections::HashMap;

use serde_json::Value;

use super::finding::{Finding, one_of};
use crate::model::object::{api_version, kind, list, text};

/// Checks a value against a part of a schema: the default of a field against the field.
pub(super) fn value(schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    walk::part(schema, value, pointer, found);
}

/// The CustomResourceDefinitions of a set of objects.
#[derive(Debug, Default)]
pub struct Definitions<'a> {
    /// By group and kind.
    by_kind: HashMap<(&'a str, &'a str), &'a Value>,
}

impl<'a> Definitions<'a> {
    /// Those among these objects.
    pub fn of(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let is_definition = |object: &&Value| {
            kind(object) == "CustomResourceDefinition" && api_version(object) == "apiextensions.k8s.io/v1"
        };
        let definitions = objects.into_iter().filter(is_definition);
        let by_kind = definitions.map(|one| ((text(one, "/spec/group"), text(one, "/spec/names/kind")), one));
        Self { by_kind: by_kind.collect() }
    }

    /// Everything that is wrong with an object; `None` where no definition is for it. Rules in CEL are not evaluated.
    pub fn check(&self, object: &Value) -> Option<Vec<Finding>> {
        let (group, version) = api_version(object).split_once('/')?;
        let definition = self.by_kind.get(&(group, kind(object)))?;
        let versions = list(definition, "/spec/versions");
        let Some(found) = versions.iter().find(|one| text(one, "/name") == version) else {
            return Some(vec![unknown_version(object, versions)]);
        };
        if found["served"] == false {
            return Some(vec![unknown_version(object, versions)]);
        }
        let mut findings = Vec::new();
        if let Some(schema) = found.pointer("/schema/openAPIV3Schema") {
            let has_status = found.pointer("/subresources/status").is_some();
            walk::root(schema, object, has_status, &mut findings);
        }
        Some(findings)
    }

    /// Whether rules in CEL belong to the kind of an object: they are not evaluated offline.
    pub fn has_rules(&self, object: &Value) -> bool {
        let group = api_version(object).split_once('/').map_or("", |(group, _)| group);
        self.by_kind.get(&(group, kind(object))).is_some_and(|definition| has_rules(definition, 0))
    }
}

fn unknown_version(object: &Value, versions: &[Value]) -> Finding {
    let served: Vec<&str> =
        versions.iter().filter(|one| one["served"] != false).map(|one| text(one, "/name")).collect();
    let message = format!("the definition of `{}` does not serve `{}`", kind(object), api_version(object));
    let finding = Finding::error("/apiVersion", message);
    if served.is_empty() { finding } else { finding.with_hint(format!("it serves {}", one_of(&served))) }
}

fn has_rules(value: &Value, depth: usize) -> bool {
    if depth > 128 {
        return false;
    }
    match value {
        Value::Object(map) => {
            map.contains_key("x-kubernetes-validations")
                || map.values().any(|value| has_rules(value, depth + 1))
        }
        Value::Array(items) => items.iter().any(|value| has_rules(value, depth + 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
