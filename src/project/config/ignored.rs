//! `ignore:` of a tier: objects that its namespace always has, whoever makes them, and that keep no namespace alive.

use crate::error::{Error, Kind, Result};
use crate::model::kinds;
use crate::project::config::table;
use crate::project::config::table::text;
use crate::project::config::yaml::{ConfigNode, Value};

/// One entry: `Kind/name-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    kind: String,
    /// The API group, where the entry names it; any otherwise.
    group: Option<String>,
    /// The name; `*` stands for any letters, also for none.
    name: String,
}

impl Ignored {
    /// Whether the entry names this object.
    pub fn is(&self, group: &str, kind: &str, name: &str) -> bool {
        self.kind == kind && self.group.as_deref().is_none_or(|own| own == group) && fits(&self.name, name)
    }
}

/// Reads `ignore`.
pub(super) fn ignored(path: &str, node: ConfigNode) -> Result<Vec<Ignored>> {
    let Value::List(items) = node.value else {
        return table::list(path, node).map(|_| Vec::new());
    };
    items.iter().map(|item| one(path, item)).collect()
}

fn one(path: &str, node: &ConfigNode) -> Result<Ignored> {
    let text = text(path, node)?;
    let wrong = |message: String| Error::new(Kind::Invalid, message).at(node.place.clone());
    let parts = text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
    let Some((kind, name)) = parts else {
        return Err(wrong(format!("`{text}` in `{path}` names no objects")).with_hint(
            "write `ServiceAccount/builder`, `Secret/builder-*`, or `Database.example.com/*` for a kind that is not built in",
        ));
    };
    if let Some(near) = kinds::near_kind(kind) {
        return Err(wrong(format!("there is no kind `{kind}`")).with_hint(format!("did you mean `{near}`?")));
    }
    let (kind, group) = match kind.split_once('.') {
        Some((kind, group)) => (kind, Some(group.to_owned())),
        None => (kind, None),
    };
    Ok(Ignored { kind: kind.to_owned(), group, name: name.to_owned() })
}

/// Whether a name fits a pattern with `*` in it.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = name.strip_prefix(start).and_then(|name| name.strip_suffix(end));
    let Some(mut inner) = inner else { return false };
    // What stands between two `*` is taken where it first stands: further on would leave less for what follows.
    between.split('*').all(|part| {
        let found = inner.split_once(part);
        inner = found.map_or("", |(_, rest)| rest);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::config::yaml;

    fn read(text: &str) -> Result<Vec<Ignored>> {
        ignored("tiers.dev.ignore", yaml::read(text, Path::new("windlass.yaml")).expect("it is YAML"))
    }

    #[test]
    fn an_entry_names_objects_by_kind_and_name() {
        let all = read("[ServiceAccount/builder, Secret/builder-*, Database.example.com/*]").unwrap();
        let is = |group: &str, kind: &str, name: &str| all.iter().any(|one| one.is(group, kind, name));
        assert!(is("", "ServiceAccount", "builder"));
        assert!(!is("", "ServiceAccount", "builder-2"));
        assert!(is("", "Secret", "builder-token-1"));
        assert!(!is("", "Secret", "my-builder-1"));
        assert!(is("example.com", "Database", "any"));
        assert!(!is("example.org", "Database", "any"), "of another group");
        assert!(!is("", "ConfigMap", "builder-1"));
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*-token-*", "x-token-1", true),
            ("*-token-*", "token-1", false),
            ("a*a", "a", false),
            ("a*b*bc", "axbxbc", true),
            ("a*b*bc", "axxbc", false),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        let stars = "*a".repeat(40) + "*b";
        assert!(!fits(&stars, &"a".repeat(200)), "in a moment, and not in years");
    }

    #[test]
    fn a_slip_has_its_place() {
        let error = read("[builder]").unwrap_err();
        assert!(error.place().is_some() && error.message().contains("`builder`"), "{error}");
        assert_eq!(read("[secret/x]").unwrap_err().hint(), Some("did you mean `Secret`?"));
        assert!(read("Secret/x").is_err(), "it is a list");
    }
}
