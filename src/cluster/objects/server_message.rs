//! The sentences of the API server, without what only a Go program understands by them.

use std::sync::LazyLock;

use regex::Regex;

/// A field that the server has something against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the server writes it: `spec.template.spec.containers[0].image`,
    /// `spec.template.spec.containers[name="web"].args[1]`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// `&value.valueUnstructured{Value:`, `v1.LabelSelector{`, `map[string]string{`, `[]interface {}{`: the start of a Go value.
static GO_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"&?(?:[a-z][a-z0-9]*\.[A-Za-z]+|map\[[a-z.A-Z]+\](?:interface \{\}|[\w.*]+)|\[\](?:interface \{\}|[\w.*]+))\{")
        .expect("the pattern is a constant")
});

static UNMARSHAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"json: cannot unmarshal (\w+) into Go (?:struct field [A-Za-z]+\.([\w.]+)|value) of type \*?[\w.\[\]]*?(\w+)$")
        .expect("the pattern is a constant")
});

/// The sentence with values of Go taken out: a scalar as it is in JSON, anything else as `…`.
pub(super) fn without_go(text: &str) -> String {
    let text = UNMARSHAL.replace(text, |found: &regex::Captures<'_>| {
        let field = found.get(2).map(|field| format!("`{}` ", field.as_str())).unwrap_or_default();
        format!("{field}must be of type {}, not {}", &found[3], &found[1])
    });
    let mut rest: &str = &text;
    let mut plain = String::new();
    while let Some(start) = GO_VALUE.find(rest) {
        plain.push_str(&rest[..start.start()]);
        let Some(length) = closing_brace(&rest[start.end()..]) else {
            plain.push('…');
            rest = "";
            break;
        };
        let inner = &rest[start.end()..start.end() + length];
        let scalar = inner.strip_prefix("Value:").filter(|value| !value.contains(['{', '[', '(']));
        plain.push_str(scalar.unwrap_or("…"));
        rest = &rest[start.end() + length + 1..];
    }
    plain.push_str(rest);
    plain.replace("Invalid value: …: ", "")
}

/// Where the brace ends that was opened before; braces in quotes do not count.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !is_escaped => is_quoted = !is_quoted,
            '{' if !is_quoted => depth += 1,
            '}' if !is_quoted && depth == 0 => return Some(at),
            '}' if !is_quoted => depth -= 1,
            _ => {}
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    None
}

/// What server-side apply says of fields that do not fit the schema: `failed to create typed patch object (…): .spec.replicas:
/// expected numeric (int or float), got string`, or several below `errors:`. Empty for any other sentence.
pub(super) fn typed_errors(message: &str) -> Vec<FieldError> {
    let Some((_, rest)) = message.split_once("failed to create typed patch object") else {
        return Vec::new();
    };
    let Some((_, rest)) = rest.split_once("): ") else { return Vec::new() };
    let rest = rest.strip_prefix("errors:").unwrap_or(rest);
    rest.lines().filter_map(|line| typed_error(line.trim())).collect()
}

fn typed_error(line: &str) -> Option<FieldError> {
    let rest = line.strip_prefix('.')?;
    let (mut depth, mut is_quoted) = (0_usize, false);
    let end = rest.char_indices().find_map(|(at, letter)| {
        match letter {
            '"' => is_quoted = !is_quoted,
            '[' if !is_quoted => depth += 1,
            ']' if !is_quoted => depth = depth.saturating_sub(1),
            ':' if !is_quoted && depth == 0 => return Some(at),
            _ => {}
        }
        None
    })?;
    let message = without_go(rest[end + 1..].trim());
    Some(FieldError { field: rest[..end].to_owned(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_go_do_not_reach_the_screen() {
        for (said, plain) in [
            ("expected string, got &value.valueUnstructured{Value:8080}", "expected string, got 8080"),
            (
                "expected map, got &value.valueUnstructured{Value:[]interface {}{\"a}\", 1}}",
                "expected map, got …",
            ),
            (
                "Invalid value: map[string]string{\"app\":\"web\"}: `selector` does not match template `labels`",
                "`selector` does not match template `labels`",
            ),
            (
                "Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\"}}: field is immutable",
                "field is immutable",
            ),
            ("Invalid value: \"x{y\": must be lower case", "Invalid value: \"x{y\": must be lower case"),
            (
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
                "`spec.replicas` must be of type int32, not string",
            ),
            ("got core.PodSpec{Volumes: it never ends", "got …"),
        ] {
            assert_eq!(without_go(said), plain);
        }
    }

    #[test]
    fn what_does_not_fit_the_schema_is_told_field_by_field() {
        let field = |field: &str, message: &str| FieldError { field: field.into(), message: message.into() };
        let said = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): errors:\n  \
                    .spec.replicas: expected numeric (int or float), got string\n  \
                    .spec.template.spec.containers[name=\"a: b\"].env: duplicate entries for key [name=\"A\"]";
        assert_eq!(
            typed_errors(said),
            [
                field("spec.replicas", "expected numeric (int or float), got string"),
                field(
                    "spec.template.spec.containers[name=\"a: b\"].env",
                    "duplicate entries for key [name=\"A\"]"
                ),
            ]
        );
        let said = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.x: field not declared in schema";
        assert_eq!(typed_errors(said), [field("spec.x", "field not declared in schema")]);
        assert_eq!(typed_errors("something else"), []);
    }
}
