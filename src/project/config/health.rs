//! `health:` of `windlass.yaml`: how objects of a kind say that they are well, in CEL and in the form of Flux
//! (`healthCheckExprs` of a Kustomization), with `paused` and `message` beside it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Kind, Place, Result};
use crate::expression::{Expression, Fault};
use crate::project::config::table::{Keys, Table, entries, text};
use crate::project::config::yaml::{self, ConfigNode, Value};
use crate::text::pointer;

/// The rules by kind: `Database.example.com`. As with Flux, the version does not matter.
pub type HealthRules = BTreeMap<String, HealthRule>;

/// How objects of one kind say how they are. The first that is true decides, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRule {
    /// It was told to stand still.
    pub paused: Option<Expression>,
    /// It is on its way.
    pub in_progress: Option<Expression>,
    /// It has failed.
    pub failed: Option<Expression>,
    /// It tells of an error that its controller tries to overcome: it has failed when that lasts. The catalogue alone has it.
    pub failing: Option<Expression>,
    /// It is ready.
    pub current: Expression,
    /// The reason, in the words of its controller.
    pub message: Option<Expression>,
}

const RULE: Keys = Keys {
    known: &["apiVersion", "kind", "current", "failed", "inProgress", "paused", "message"],
    unbuilt: &[],
};

/// The catalogue's rules have one key more.
const CATALOGUE_RULE: Keys = Keys {
    known: &["apiVersion", "kind", "current", "failed", "failing", "inProgress", "paused", "message"],
    unbuilt: &[],
};

/// Reads `health`; what is valid and may not be meant is added to the doubts.
pub(super) fn rules(path: &str, node: ConfigNode, doubts: &mut Vec<Error>) -> Result<HealthRules> {
    rules_of(path, node, &RULE, doubts)
}

fn rules_of(path: &str, node: ConfigNode, keys: &Keys, doubts: &mut Vec<Error>) -> Result<HealthRules> {
    let items = match node.value {
        Value::List(items) => items,
        Value::Map(_) => return Err(of_pointers(path, node)),
        other => {
            let message = format!("`{path}` must be a list, not {}", other.describe());
            return Err(Error::new(Kind::Invalid, message).at(node.place));
        }
    };
    let mut rules = HealthRules::new();
    for (index, item) in items.into_iter().enumerate() {
        let place = item.place.clone();
        let (kind, rule) = rule(&format!("{path}[{index}]"), item, keys, doubts)?;
        if rules.contains_key(&kind) {
            return Err(Error::new(Kind::Invalid, format!("`{path}` has two rules for `{kind}`"))
                .at(place)
                .with_hint("one rule applies to all versions of a kind: join them with `||`"));
        }
        rules.insert(kind, rule);
    }
    Ok(rules)
}

/// Reads rules of the catalogue.
///
/// # Errors
/// [`Kind::Invalid`] with its place for what is no such list.
pub(crate) fn health_rules(source: &str, file: &Path) -> Result<HealthRules> {
    rules_of("rules", yaml::read(source, file)?, &CATALOGUE_RULE, &mut Vec::new())
}

fn rule(path: &str, node: ConfigNode, keys: &Keys, doubts: &mut Vec<Error>) -> Result<(String, HealthRule)> {
    let mut table = Table::open(path, node, keys)?;
    let api_version = table.require("apiVersion")?;
    let version_text = text(&table.path("apiVersion"), &api_version)?;
    let kind = table.require("kind")?;
    let kind_text = text(&table.path("kind"), &kind)?;
    if !is_api_version(&version_text) {
        return Err(Error::new(Kind::Invalid, format!("`{version_text}` is not an apiVersion"))
            .at(api_version.place)
            .with_hint("write `group/version`, such as `cert-manager.io/v1`"));
    }
    if !is_kind(&kind_text) {
        return Err(Error::new(Kind::Invalid, format!("`{kind_text}` is not a kind"))
            .at(kind.place)
            .with_hint("such as `Certificate`"));
    }
    let current = table.require("current")?;
    let mut read = |key: &str, node: ConfigNode| expression(&format!("{path}.{key}"), &node, doubts);
    let current = read("current", current)?;
    let mut optional = |key: &str| table.take(key).map(|node| read(key, node)).transpose();
    let rule = HealthRule {
        paused: optional("paused")?,
        in_progress: optional("inProgress")?,
        failed: optional("failed")?,
        failing: optional("failing")?,
        message: optional("message")?,
        current,
    };
    let group = crate::model::group(&version_text);
    Ok((format!("{kind_text}.{group}"), rule))
}

/// `example.com/v1`, `v1`
fn is_api_version(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let (group, version) = text.split_once('/').unwrap_or(("core", text));
    is_name(group) && is_name(version) && version.starts_with('v')
}

fn is_kind(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn expression(path: &str, node: &ConfigNode, doubts: &mut Vec<Error>) -> Result<Expression> {
    let source = text(path, node)?;
    let expression = Expression::compile(&source).map_err(|fault| wrong(path, node, &source, fault))?;
    if expression.asks_all_of_a_filter() {
        let doubt = format!("`{path}` is true of an object that has no such item yet: `filter(…).all(…)`");
        doubts.push(
            Error::new(Kind::Invalid, doubt)
                .at(node.place.clone())
                .with_hint("write `exists(e, e.type == 'Ready' && e.status == 'True')`"),
        );
    }
    Ok(expression)
}

/// What is wrong, at its place in the file. In a text over several lines the place is counted in the expression.
fn wrong(path: &str, node: &ConfigNode, source: &str, fault: Fault) -> Error {
    let Fault { at, message, hint } = fault;
    let message = format!("`{path}` is not an expression in CEL: {message}");
    let offset = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(u32::from(node.quoted));
    let place = &node.place;
    let error = if node.verbatim {
        let column = place.column.map(|column| column.saturating_add(offset));
        Error::new(Kind::Invalid, message).at(Place { column, ..place.clone() })
    } else {
        let before: String = source.chars().take(at).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
        let message = format!("{message} (line {line}, column {column} of the expression)");
        Error::new(Kind::Invalid, message).at(place.clone())
    };
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The error for the form that named fields by JSON pointers, with the same rule in the form of today.
fn of_pointers(path: &str, node: ConfigNode) -> Error {
    let place = node.place.clone();
    let first = entries(path, node).unwrap_or_default().into_iter().next();
    let place = first.as_ref().map_or(place, |(key, _)| key.place.clone());
    let rule = first.and_then(|(key, node)| converted(&key.text, node));
    let rule = rule.unwrap_or_else(|| {
        "{apiVersion: example.com/v1, kind: Database, current: \"status.stage == 'Serving'\"}".to_owned()
    });
    Error::new(
        Kind::Invalid,
        format!("`{path}` must be a list of rules in CEL: JSON pointers are no longer supported"),
    )
    .at(place)
    .with_hint(format!("write `- {rule}` with the version of the kind"))
}

/// A rule of the old form as one of the new.
fn converted(kind: &str, node: ConfigNode) -> Option<String> {
    let (kind, group) = kind.split_once('.')?;
    let mut keys = entries("", node).ok()?;
    let mut take = |name: &str| {
        let at = keys.iter().position(|(key, _)| key.text == name)?;
        Some(keys.swap_remove(at).1)
    };
    let mut rule = format!("{{apiVersion: {group}/v1, kind: {kind}");
    for (old, new, between) in [("ready", "current", " && "), ("failed", "failed", " || ")] {
        let Some(fields) = take(old) else { continue };
        let fields = entries("", fields).ok()?;
        let asked: Option<Vec<String>> = fields.iter().map(|(key, node)| asked(&key.text, node)).collect();
        rule += &format!(", {new}: \"{}\"", asked?.join(between));
    }
    if let Some(ConfigNode { value: Value::Scalar(message), .. }) = take("message") {
        rule += &format!(", message: \"{}\"", field(&message)?);
    }
    Some(rule + "}")
}

/// `status.stage in ['Serving', 'Idle']`
fn asked(pointer: &str, node: &ConfigNode) -> Option<String> {
    let word = |node: &ConfigNode| match &node.value {
        Value::Scalar(text)
            if !node.quoted && (text == "true" || text == "false" || text.parse::<i64>().is_ok()) =>
        {
            Some(text.clone())
        }
        Value::Scalar(text) => Some(format!("'{text}'")),
        _ => None,
    };
    let values: Vec<String> = match &node.value {
        Value::List(items) => items.iter().map(word).collect::<Option<_>>()?,
        _ => vec![word(node)?],
    };
    let is = |field: &str| match values.as_slice() {
        [value] => format!("{field} == {value}"),
        values => format!("{field} in [{}]", values.join(", ")),
    };
    if let Some((list, name)) = pointer.strip_suffix("/status").and_then(|list| list.rsplit_once('/'))
        && list.ends_with("/conditions")
    {
        return Some(format!("{}.exists(e, e.type == '{name}' && {})", field(list)?, is("e.status")));
    }
    field(pointer).map(|field| is(&field))
}

/// `status.stage` of `/status/stage`.
fn field(pointer: &str) -> Option<String> {
    let steps: Vec<String> = pointer::steps(pointer).map(|step| step.to_string()).collect();
    let is_name = |step: &String| {
        !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    (!steps.is_empty() && steps.iter().all(is_name)).then(|| steps.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> String {
        let node = yaml::read(source, Path::new("f")).expect("it is YAML");
        let error = rules("health", node, &mut Vec::new()).expect_err("it is refused");
        format!("{error} | {}", error.hint().unwrap_or_default())
    }

    const HEAD: &str = "- apiVersion: example.com/v1\n  kind: Database\n";

    #[test]
    fn a_mistake_stands_at_its_place() {
        let of = |rest: &str| refused(&format!("{HEAD}  {rest}\n"));
        assert_eq!(
            of("current: status.phase = 'Up'"),
            "f:3:25: `health[0].current` is not an expression in CEL: `=` has no meaning here | write `==` to compare"
        );
        assert_eq!(
            of(r#"current: "has(status.x) && statu.phase == 'Up'""#),
            "f:3:30: `health[0].current` is not an expression in CEL: unknown variable `statu` | did you mean `status`?"
        );
        assert_eq!(
            of("current: status.name.startWith('a')"),
            "f:3:24: `health[0].current` is not an expression in CEL: unknown method `startWith` | did you mean `startsWith`?"
        );
        let folded = of("current: |\n    has(status.x) &&\n    status.name.starts('a')");
        assert!(folded.contains("unknown method `starts` (line 2, column 13 of the expression)"), "{folded}");
        assert_eq!(of("failed: status.x"), "f:1:3: `health[0]` has no `current` | ");
        assert_eq!(of("curent: status.x"), "f:3:3: unknown key `curent` | did you mean `current`?");
    }

    #[test]
    fn the_form_with_pointers_is_shown_as_one_in_cel() {
        let old = "Database.example.com:\n  ready: {/status/stage: [Serving, Idle], /status/conditions/Synced/status: \"True\"}\n  \
                   failed: {/status/stage: Broken}\n  message: /status/why\n";
        assert_eq!(
            refused(old),
            "f:1:1: `health` must be a list of rules in CEL: JSON pointers are no longer supported | \
             write `- {apiVersion: \
             example.com/v1, kind: Database, current: \"status.stage in ['Serving', 'Idle'] && status.conditions.exists(e, \
             e.type == 'Synced' && e.status == 'True')\", failed: \"status.stage == 'Broken'\", message: \"status.why\"}` \
             with the version of the kind"
        );
    }

    #[test]
    fn what_is_true_of_no_item_is_a_doubt() {
        let source = format!(
            "{HEAD}  current: status.conditions.filter(c, c.type == 'Ready').all(c, c.status == 'True')\n"
        );
        let node = yaml::read(&source, Path::new("f")).expect("it is YAML");
        let mut doubts = Vec::new();
        let found = rules("health", node, &mut doubts).expect("it is valid");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["Database.example.com"]);
        assert_eq!(
            doubts[0].to_string(),
            "f:3:12: `health[0].current` is true of an object that has no such item yet: `filter(…).all(…)`"
        );
    }
}
