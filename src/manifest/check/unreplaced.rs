//! `${NAME}` in `command` and `args`, which windlass leaves to scripts: where the name is a variable of the tier and the
//! container has none of that name, it was probably meant to be replaced.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::error::{Error, Kind};
use crate::manifest::{Manifests, Object};
use crate::model::labels;
use crate::text::pointer;

static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\$*)\$\{([A-Za-z_][A-Za-z0-9_]*)\}").expect("the pattern is a constant"));

/// A warning for each container and variable of the tier that its command or arguments hold as `${NAME}`.
pub(super) fn warnings(variables: &BTreeMap<String, String>, manifests: &Manifests) -> Vec<Error> {
    manifests.objects.iter().flat_map(|object| of_object(variables, object)).collect()
}

fn of_object(variables: &BTreeMap<String, String>, object: &Object) -> Vec<Error> {
    let mut warnings = Vec::new();
    if !object.json["metadata"]["annotations"][labels::SUBSTITUTE].is_null() {
        return warnings;
    }
    let mut told: Vec<(String, String)> = Vec::new();
    pointer::each_text(
        &object.json,
        |_| false,
        |pointer, text| {
            let Some((container, field)) = container_of(pointer) else { return };
            for found in REFERENCE.captures_iter(text) {
                // `$${NAME}` is an escaped dollar of whoever reads it next.
                if !found[1].is_empty() {
                    continue;
                }
                let name = &found[2];
                let is_own =
                    object.json.pointer(container).is_some_and(|container| has_variable(container, name));
                let seen = (container.to_owned(), name.to_owned());
                if !variables.contains_key(name) || is_own || told.contains(&seen) {
                    continue;
                }
                told.push(seen);
                warnings.push(warning(name, field).at(object.origin.place_of(pointer)));
            }
        },
    );
    warnings
}

/// The pointer of the container, and `command` or `args`, of a word in one of them.
fn container_of(pointer: &str) -> Option<(&str, &str)> {
    let (list, _) = pointer.rsplit_once('/')?;
    let (container, field) = list.rsplit_once('/')?;
    let (containers, _) = container.rsplit_once('/')?;
    let is_container = containers.ends_with("/containers") || containers.ends_with("/initContainers");
    (is_container && matches!(field, "command" | "args")).then_some((container, field))
}

/// Whether the container has a variable of this name, or may have: from a ConfigMap, a Secret or its own script.
fn has_variable(container: &Value, name: &str) -> bool {
    let of_name = |variable: &Value| variable["name"] == name;
    let is_set = container["env"].as_array().is_some_and(|variables| variables.iter().any(of_name));
    let words = ["command", "args"].into_iter().filter_map(|field| container[field].as_array()).flatten();
    let assigns = |word: &Value| word.as_str().is_some_and(|word| assigns(word, name));
    is_set
        || container["envFrom"].as_array().is_some_and(|all| !all.is_empty())
        || words.into_iter().any(assigns)
}

/// Whether a script sets a variable: `NAME=value`, `read -r NAME`, `for NAME in …`.
fn assigns(script: &str, name: &str) -> bool {
    let is_name = |word: &str| word.trim_end_matches(';') == name;
    let is_set = |line: &str| {
        let mut words = line.split_whitespace();
        words.any(|word| matches!(word, "read" | "for")) && words.any(is_name)
    };
    script.contains(&format!("{name}=")) || script.lines().any(is_set)
}

fn warning(name: &str, field: &str) -> Error {
    let message = format!(
        "`${{{name}}}` is not replaced in `{field}`, and the manifest gives the container no such variable"
    );
    Error::new(Kind::Invalid, message).with_hint(format!(
        "give the container `env: [{{name: {name}, value: \"${{{name}}}\"}}]` and write `$({name})`, or annotate the object \
         with `{}: \"on\"`",
        labels::SUBSTITUTE
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_commands_belong_to_a_container() {
        let at = "/spec/template/spec/containers/1";
        assert_eq!(container_of(&format!("{at}/args/0")), Some((at, "args")));
        assert_eq!(
            container_of("/spec/initContainers/0/command/2"),
            Some(("/spec/initContainers/0", "command"))
        );
        assert_eq!(container_of(&format!("{at}/readinessProbe/exec/command/0")), None);
        assert_eq!(container_of("/data/args"), None);
    }

    #[test]
    fn a_container_may_have_the_variable_itself() {
        assert!(has_variable(&json!({"env": [{"name": "HOST", "value": "a"}]}), "HOST"));
        assert!(has_variable(&json!({"envFrom": [{"secretRef": {"name": "a"}}]}), "HOST"));
        assert!(has_variable(&json!({"args": ["HOST=$(hostname); echo ${HOST}"]}), "HOST"));
        assert!(has_variable(&json!({"args": ["while read -r HOST; do echo ${HOST}; done"]}), "HOST"));
        assert!(has_variable(
            &json!({"command": ["sh", "-c", "for HOST in a b; do echo ${HOST}; done"]}),
            "HOST"
        ));
        assert!(!has_variable(
            &json!({"env": [{"name": "PORT", "value": "a"}], "args": ["--host=${HOST}"]}),
            "HOST"
        ));
    }
}
