//! Manifests that are templates of another program, which nobody rendered: what stands in them, and who renders it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::error::{Error, Place};
use crate::manifest::Object;
use crate::model::group;
use crate::model::kinds;
use crate::model::object::api_version;
use crate::schema::Mark;
use crate::text::pointer;

/// `<IMAGE>`, `<your-registry>/web`.
static PLACEHOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("<[A-Za-z][A-Za-z0-9_ -]*>").expect("the pattern is a constant"));

/// `$IMAGE`, where no letter and no dollar stands in front.
static SHELL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(^|[^$\w])\$[A-Z][A-Z0-9_]*\b").expect("the pattern is a constant"));

/// Where other programs' braces and dollars are at home: scripts, configuration, what people and controllers note.
const FREE: [&str; 8] =
    ["data", "stringData", "binaryData", "command", "args", "annotations", "env", "description"];

const NOT_RENDERED: &str = "this is a template, and nothing renders it";

/// Which program renders a text, and what to do; `None` for what is no template.
pub(in crate::manifest) fn renderer(text: &str) -> Option<&'static str> {
    if !text.contains(['{', '<', '$']) {
        return None;
    }
    let helm = [".Values", ".Release", ".Chart", "include ", "template "];
    if text.contains("{{") && helm.iter().any(|word| text.contains(word)) {
        Some(
            "this is a template of Helm: keep the chart in `.kube` with its Chart.yaml, and windlass renders it with `helm template`",
        )
    } else if text.contains("{%") {
        Some("this is a template of Jinja: render it first, or write `${NAME}`, which windlass replaces")
    } else if text.contains("{{") {
        Some(
            "this is a template (Helm, Go, Jinja or Mustache): render it first, or write `${NAME}`, which windlass replaces",
        )
    } else if PLACEHOLDER.is_match(text) {
        Some("this is a placeholder for a script: write `${NAME}`, which windlass replaces")
    } else if SHELL.is_match(text) {
        Some("`$NAME` is replaced by envsubst or a shell: write `${NAME}`, which windlass replaces")
    } else {
        None
    }
}

/// Says of files that are no YAML because they are templates which program renders them.
pub(in crate::manifest) fn explain(mistakes: &mut [Error]) {
    for mistake in mistakes {
        let is_marked = |line: &&str| line.contains("{{") || line.contains("{%");
        let line = mistake.snippet().and_then(|lines| lines.lines().next()).filter(is_marked);
        if let Some(hint) = line.and_then(renderer) {
            *mistake = mistake.clone().with_hint(hint);
        }
    }
}

/// A warning for each text of an object that is a template, unless something worse is said of it already. In custom resources
/// templates may be meant.
pub(in crate::manifest) fn warnings(object: &Object, json: &Value, errors: &[(String, Error)]) -> Vec<Error> {
    let mut found = Vec::new();
    if kinds::is_built_in(group(api_version(json))) {
        pointer::each_text(
            json,
            |key| FREE.contains(&key),
            |pointer, text| {
                if let Some(hint) = renderer(text) {
                    let mistake = object.origin.mistake_at(pointer, Mark::Value, NOT_RENDERED);
                    found.push(mistake.with_hint(hint));
                }
            },
        );
    }
    let places: Vec<&Place> = errors.iter().filter_map(|(_, error)| error.place()).collect();
    found.retain(|one| one.place().is_none_or(|place| !places.contains(&place)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_told_by_the_program_that_renders_them() {
        for (text, word) in [
            ("{{ .Values.image }}", "Helm"),
            ("{{ include \"shop.name\" . }}", "Helm"),
            ("{% if x %}", "Jinja"),
            ("{{ image }}", "Mustache"),
            ("<IMAGE>", "placeholder"),
            ("registry.test/<your name>/web", "placeholder"),
            ("$IMAGE", "envsubst"),
            ("registry.test/$NAME/web", "envsubst"),
        ] {
            assert!(renderer(text).is_some_and(|hint| hint.contains(word)), "{text}");
        }
        for text in ["web:1", "$(NAME)", "a < b > c", "$$NAME", "${NAME}", "5$", "cost$A", "^/x$", "$1"] {
            assert_eq!(renderer(text), None, "{text}");
        }
    }
}
