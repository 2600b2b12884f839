//! `${NAME}` in manifests. It is replaced after parsing, value by value, so that what a variable holds can never
//! change the structure of a manifest.
//!
//! Scripts have their own dollars: the data of `ConfigMaps` and Secrets, and `command` and `args`, are left alone
//! unless the object says `windlass.dev/substitute: "on"`. One that says `"off"` is left alone as a whole.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::Error;
use crate::manifest::sources::is_enough;
use crate::manifest::yaml::node::{Content, Entry, Node, Scalar};
use crate::manifest::yaml::scalar;
use crate::model::{group, labels};
use crate::text::nearest;

/// A string of an object that is longer than this is refused by every API server.
const LONGEST: usize = 1 << 20;
/// By so much may variables make the manifests of a tier larger, all together.
pub(crate) const MOST_GROWTH: usize = 16 << 20;
/// A default may hold a reference with a default, and so on, this often.
const DEEPEST: usize = 20;

/// The names that manifests may use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// The tier that they are for.
    pub(crate) tier: String,
    pub(crate) values: BTreeMap<String, String>,
    /// Names whose value is a text whatever it looks like.
    pub(crate) texts: BTreeSet<String>,
    /// Names that the configuration has, and why they got no value.
    pub(crate) without_value: BTreeMap<String, Error>,
}

/// Replaces the names in an object, except in what is left alone. `room` is how much larger objects may become.
pub(crate) fn substitute(object: &mut Node, names: &Names, room: &mut usize, mistakes: &mut Vec<Error>) {
    if word(object) != Some("off") {
        Substitution { names, scripts: false, room, mistakes }.object(object);
    }
}

/// Replaces the names in what is left alone, if the object asks for it. It is asked once overlays are merged, so
/// that the object and its overlay are of one mind.
pub(crate) fn substitute_scripts(
    object: &mut Node,
    names: &Names,
    room: &mut usize,
    mistakes: &mut Vec<Error>,
) {
    if word(object) == Some("on") {
        Substitution { names, scripts: true, room, mistakes }.object(object);
    }
}

/// What the object says of it.
fn word(object: &Node) -> Option<&str> {
    object.text_at(&["metadata", "annotations", labels::SUBSTITUTE])
}

struct Substitution<'a> {
    names: &'a Names,
    /// Replace in what is left alone, and only there.
    scripts: bool,
    room: &'a mut usize,
    mistakes: &'a mut Vec<Error>,
}

/// What is known of the place of a value.
#[derive(Clone, Copy, Default)]
struct Region {
    /// It is left alone unless the object says otherwise.
    script: bool,
    /// Only a string is valid here: a password of digits stays a string.
    string: bool,
}

impl Substitution<'_> {
    fn object(&mut self, object: &mut Node) {
        let settings = is_settings(object);
        let Content::Map(entries) = &mut object.content else { return };
        for Entry { key, value, .. } in entries {
            let script = settings && matches!(key.as_str(), "data" | "stringData" | "binaryData");
            self.entry(key, value, Region { script, string: script });
        }
    }

    fn entry(&mut self, key: &str, value: &mut Node, region: Region) {
        let script = region.script || matches!(key, "command" | "args");
        let string = region.string || script || holds_strings(key);
        self.node(value, Region { script, string });
    }

    fn node(&mut self, node: &mut Node, region: Region) {
        match &mut node.content {
            Content::Map(entries) => {
                // `env: [{name: …, value: …}]`: an environment has nothing but strings.
                let variable = entries.iter().any(|entry| entry.key == "name");
                for Entry { key, value, .. } in entries {
                    let string = region.string || variable && key == "value";
                    self.entry(key, value, Region { string, ..region });
                }
            }
            Content::List(items) => items.iter_mut().for_each(|item| self.node(item, region)),
            Content::Scalar(_) if region.script == self.scripts => self.scalar(node, region.string),
            Content::Scalar(_) => {}
        }
    }

    fn scalar(&mut self, node: &mut Node, string: bool) {
        let Content::Scalar(Scalar { value, plain }) = &mut node.content else { return };
        let Some(text) = value.as_str().filter(|text| text.contains('$')) else { return };
        if is_enough(self.mistakes) {
            return;
        }
        match expand(text, self.names).and_then(|expanded| self.fits(text, expanded)) {
            Ok(expanded) if *plain && !string && is_one_reference(text) => {
                let typed = scalar::resolve(&expanded).unwrap_or(Value::from(expanded.as_str()));
                // `"2"` serves for `replicas`, but what would lose letters (`"0123"`, `"yes"`, `""`) stays as it is quoted.
                let written = typed.to_string();
                let loses = typed.is_null() || written != expanded;
                *value = if loses && is_of_text(text, self.names) { Value::from(expanded) } else { typed };
            }
            Ok(expanded) => *value = Value::from(expanded),
            Err(problem) => self.mistakes.push(problem.at(node, self.names)),
        }
    }

    /// The expanded text, as long as there is room for it.
    fn fits(&mut self, text: &str, expanded: String) -> Result<String, Problem> {
        let growth = expanded.len().saturating_sub(text.len());
        *self.room = self.room.checked_sub(growth).ok_or_else(|| {
            let limit = MOST_GROWTH >> 20;
            Problem::of(format!("variables make the manifests more than {limit} MiB larger"))
        })?;
        Ok(expanded)
    }
}

/// A `ConfigMap` or a Secret.
pub(crate) fn is_settings(object: &Node) -> bool {
    let group = group(object.text_at(&["apiVersion"]).unwrap_or_default());
    group.is_empty() && matches!(object.text_at(&["kind"]), Some("ConfigMap" | "Secret"))
}

fn holds_strings(key: &str) -> bool {
    matches!(
        key,
        "name" | "namespace" | "image" | "labels" | "annotations" | "matchLabels" | "nodeSelector" | "host"
    )
}

/// Why a text cannot be expanded.
struct Problem {
    /// What to look for in the source to find it.
    written: String,
    message: String,
    /// The name that has no value.
    missing: Option<String>,
    /// Whether the message quotes what stands in the braces.
    quotes: bool,
}

impl Problem {
    /// One that has nothing to do with a name.
    fn of(message: String) -> Self {
        Self { written: "${".to_owned(), message, missing: None, quotes: false }
    }

    fn at(self, node: &Node, names: &Names) -> Error {
        let is_value = self.quotes && node.spot.may_be_secret();
        let message = if is_value { "the text in `${…}` is not a name".to_owned() } else { self.message };
        let error = node.spot.find(&self.written).mistake(message);
        let Some(missing) = self.missing else {
            return error.with_hint("write `$$` for a literal dollar");
        };
        if let Some(error) = names.without_value.get(&missing) {
            return error.clone();
        }
        if names.values.contains_key(&missing) {
            let sources = format!("`vars:` in windlass.yaml, or with `--var {missing}=…`");
            return error.with_hint(format!("it is empty: give it a value under {sources}"));
        }
        let near = nearest(&missing, names.values.keys().map(String::as_str));
        match near {
            _ if missing == "WINDLASS_COMMIT" => error.with_hint("it has a value in a Git repository with a commit"),
            _ if missing == "WINDLASS_TAG" => {
                error.with_hint("it has a value in CI pipelines for a tag, and where exactly one Git tag points to the commit")
            }
            _ if missing == "WINDLASS_BRANCH" => error.with_hint("it has a value where a branch is checked out, and in CI"),
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(format!(
                "set it under `vars:` in windlass.yaml, or with `--var {missing}=…`, or write `${{{missing}:-default}}`"
            )),
        }
    }
}

/// The text with its references replaced and `$$` made a dollar.
fn expand(text: &str, names: &Names) -> Result<String, Problem> {
    expand_within(text, names, DEEPEST)
}

/// As [`expand`], in a default that may hold defaults of so many levels.
fn expand_within(text: &str, names: &Names, levels: usize) -> Result<String, Problem> {
    let Some(levels) = levels.checked_sub(1) else {
        let message = format!("references are nested more than {DEEPEST} levels deep");
        return Err(Problem::of(message));
    };
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (inside, after) =
                split_at_brace(after).ok_or_else(|| Problem::of("`${` is not closed by `}`".to_owned()))?;
            expanded.push_str(&value_of(inside, names, levels)?);
            if expanded.len() > LONGEST {
                let limit = LONGEST >> 20;
                return Err(Problem::of(format!(
                    "the value is longer than {limit} MiB once its variables are replaced"
                )));
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether the text is one reference and nothing else.
fn is_one_reference(text: &str) -> bool {
    text.strip_prefix("${").and_then(split_at_brace).is_some_and(|(_, after)| after.is_empty())
}

/// Whether the one reference is to a text.
fn is_of_text(text: &str, names: &Names) -> bool {
    let name =
        text.trim_start_matches("${").split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric());
    let has_value = |name: &str| {
        names
            .values
            .get(name)
            .is_some_and(|value| !value.is_empty() || text.ends_with(&format!("{{{name}}}")))
    };
    name.into_iter().next().is_some_and(|name| names.texts.contains(name) && has_value(name))
}

/// What stands before the brace that closes a reference, and after it. A default may hold references.
fn split_at_brace(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (index, character) in text.char_indices() {
        match character {
            '{' if text[..index].ends_with('$') => depth += 1,
            '}' if depth == 0 => return Some((&text[..index], &text[index + 1..])),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The value of what stands between the braces.
fn value_of(inside: &str, names: &Names, levels: usize) -> Result<String, Problem> {
    let end =
        inside.find(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric()).unwrap_or(inside.len());
    let (name, operator) = inside.split_at(end);
    let problem = |message: String, missing: bool| Problem {
        written: format!("${{{name}"),
        message,
        missing: missing.then(|| name.to_owned()),
        quotes: !missing,
    };
    if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return Err(problem(format!("`${{{inside}}}` is not a name"), false));
    }
    let value = names.values.get(name);
    // As in a shell, the colon makes an empty value count as none.
    let filled = value.filter(|value| !value.is_empty());
    if operator.is_empty() {
        return value
            .cloned()
            .ok_or_else(|| problem(format!("`{name}` has no value for tier `{}`", names.tier), true));
    }
    if let Some(default) = operator.strip_prefix(":-") {
        return filled.map_or_else(|| expand_within(default, names, levels), |value| Ok(value.clone()));
    }
    if let Some(message) = operator.strip_prefix(":?") {
        return filled.cloned().ok_or_else(|| {
            let message = expand_within(message, names, levels).unwrap_or_else(|_| message.to_owned());
            let message = if message.is_empty() { message } else { format!(": {message}") };
            problem(format!("`{name}` has no value for tier `{}`{message}", names.tier), true)
        });
    }
    Err(problem(
        format!("`${{{inside}}}` is not one of `${{NAME}}`, `${{NAME:-default}}`, `${{NAME:?message}}`"),
        false,
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    fn substituted(text: &str, pairs: &[(&str, &str)]) -> (Value, Vec<Error>) {
        let source = Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false });
        let mut object = compose::documents(&source).expect("it is YAML").remove(0);
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let names = Names {
            tier: "staging".to_owned(),
            values,
            texts: BTreeSet::new(),
            without_value: BTreeMap::new(),
        };
        let mut mistakes = Vec::new();
        let mut room = MOST_GROWTH;
        substitute(&mut object, &names, &mut room, &mut mistakes);
        substitute_scripts(&mut object, &names, &mut room, &mut mistakes);
        (object.to_json(), mistakes)
    }

    #[test]
    fn a_plain_reference_takes_the_type_of_its_value() {
        let text = "a: ${N}\nb: \"${N}\"\nc: x${N}\nd: ${N}${N}\ne: ${B}\nf: ${M:-0644}\ng: |\n  ${N}\n";
        let (json, mistakes) = substituted(text, &[("N", "3"), ("B", "yes")]);
        assert!(mistakes.is_empty());
        assert_eq!(json, json!({"a": 3, "b": "3", "c": "x3", "d": "33", "e": true, "f": 420, "g": "3\n"}));
    }

    #[test]
    fn what_stands_in_quotes_loses_no_letters() {
        let text = "a: ${S}\nb: ${N}\nc: ${E}\nd: ${Y}\ne: ${E:-7}\n".to_owned();
        let source = Arc::new(Source { path: "a.yaml".into(), text, rendered: false });
        let mut object = compose::documents(&source).expect("it is YAML").remove(0);
        let pairs = [("S", "0123"), ("N", "2"), ("E", ""), ("Y", "yes")];
        let names = Names {
            values: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            texts: pairs.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ..Names::default()
        };
        substitute(&mut object, &names, &mut MOST_GROWTH.clone(), &mut Vec::new());
        assert_eq!(object.to_json(), json!({"a": "0123", "b": 2, "c": "", "d": "yes", "e": 7}));
    }

    #[test]
    fn a_value_cannot_change_the_structure() {
        let (json, _) = substituted("a: ${X}\nb: c\n", &[("X", "{evil: true}\nb: d # ${Y}")]);
        assert_eq!(json, json!({"a": "{evil: true}\nb: d # ${Y}", "b": "c"}));
    }

    #[test]
    fn where_only_strings_are_valid_digits_stay_a_string() {
        let text = "metadata: {name: n, labels: {v: \"\"}}\nspec:\n  env:\n  - name: A\n    value: ${N}\n  labels:\n    a: ${N}\n";
        let (json, _) = substituted(text, &[("N", "12e03")]);
        assert_eq!(json["spec"], json!({"env": [{"name": "A", "value": "12e03"}], "labels": {"a": "12e03"}}));
    }

    #[test]
    fn defaults_and_dollars() {
        let rows = [
            ("${A:-x}", "1"),
            ("${E:-x}", "x"),
            ("${NO:-${A}/${NO:-y}}", "1/y"),
            ("${E}", ""),
            ("$$${A}", "$1"),
            ("$${A}", "${A}"),
            ("$(A) $A $", "$(A) $A $"),
            ("${NO:-}", ""),
        ];
        let values = [("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())].into();
        let names = Names {
            tier: "staging".to_owned(),
            values,
            texts: BTreeSet::new(),
            without_value: BTreeMap::new(),
        };
        for (text, wanted) in rows {
            assert_eq!(
                expand(text, &names).map_err(|problem| problem.message),
                Ok(wanted.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn scripts_are_left_alone_unless_the_object_asks() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData:\n  p: ${P}\nargs: [\"$$(X) ${P}\"]\n";
        let (json, _) = substituted(text, &[("P", "7")]);
        assert_eq!((&json["stringData"]["p"], &json["args"][0]), (&json!("${P}"), &json!("$$(X) ${P}")));
        let asked = text.replace("{name: x}", "{name: x, annotations: {windlass.dev/substitute: \"on\"}}");
        let (json, _) = substituted(&asked, &[("P", "7")]);
        assert_eq!((&json["stringData"]["p"], &json["args"][0]), (&json!("7"), &json!("$(X) 7")));
    }

    #[test]
    fn an_object_that_says_off_is_left_alone() {
        let text = "apiVersion: grafana.example.com/v1\nkind: Dashboard\nmetadata: {name: g, annotations: \
                    {windlass.dev/substitute: \"off\"}}\nspec: {json: \"${DS_PROMETHEUS} $$ ${\", title: \"${P}\"}\n";
        let (json, mistakes) = substituted(text, &[("P", "7")]);
        assert_eq!(json["spec"], json!({"json": "${DS_PROMETHEUS} $$ ${", "title": "${P}"}));
        assert!(mistakes.is_empty());
        let (json, mistakes) = substituted(&text.replace("\"off\"", "null"), &[("P", "7")]);
        assert_eq!((&json["spec"]["title"], mistakes.len()), (&json!("7"), 1));
    }

    #[test]
    fn what_variables_make_of_a_manifest_is_bounded() {
        let long = "x".repeat(1 << 19);
        let error = |text: &str| substituted(text, &[("V", &long)]).1.remove(0).to_string();
        assert_eq!(
            error("a: ok\nb: ${V}${V}${V}\n"),
            "a.yaml:2:4: the value is longer than 1 MiB once its variables are replaced"
        );
        let many = format!("l:\n{}", "- ${V}\n".repeat(40));
        assert_eq!(error(&many), "a.yaml:34:3: variables make the manifests more than 16 MiB larger");
        let nested = |levels: usize| format!("a: \"{}x{}\"\n", "${NO:-".repeat(levels), "}".repeat(levels));
        assert_eq!(substituted(&nested(DEEPEST - 1), &[]).0, json!({"a": "x"}));
        assert_eq!(error(&nested(20_000)), "a.yaml:1:5: references are nested more than 20 levels deep");
    }

    #[test]
    fn a_file_full_of_mistakes_is_not_read_to_its_end() {
        let (_, mistakes) = substituted(&format!("l:\n{}", "- ${NO}\n".repeat(50_000)), &[]);
        assert_eq!(mistakes.len(), 200);
    }

    #[test]
    fn a_missing_name_is_shown_where_it_stands() {
        let text = "kind: A\nb: \"http://${HOST}/${HOTS}\"\nc: |\n  one\n  two ${X:?set it}\n";
        let (_, mistakes) = substituted(text, &[("HOST", "h")]);
        assert_eq!(mistakes[0].to_string(), "a.yaml:2:20: `HOTS` has no value for tier `staging`");
        assert_eq!(mistakes[0].hint(), Some("did you mean `HOST`?"));
        assert_eq!(
            mistakes[0].snippet(),
            Some("2 │ b: \"http://${HOST}/${HOTS}\"\n  │                    ^")
        );
        assert_eq!(mistakes[1].to_string(), "a.yaml:5:7: `X` has no value for tier `staging`: set it");
    }

    #[test]
    fn what_is_no_reference_is_a_mistake() {
        for text in ["a: ${}", "a: ${1A}", "a: ${A", "a: ${A+b}", "a: ${{ x }}"] {
            let (_, mistakes) = substituted(text, &[("A", "")]);
            assert_eq!(mistakes.len(), 1, "{text}");
        }
    }
}
