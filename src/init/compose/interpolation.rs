//! The variables in a compose file: `$NAME`, `${NAME:-default}`, `$$`. A default may have variables itself.

use std::collections::BTreeMap;

use crate::project::closing_brace;

/// Defaults inside of each other; what lies deeper is text.
const DEEPEST: usize = 8;
/// So many bytes a variable with its default may have; more is text.
const LONGEST: usize = 4096;

/// The name of a variable that a text begins with; empty where there is none.
fn name(text: &str) -> &str {
    let is_letter = |one: u8| one.is_ascii_alphabetic() || one == b'_';
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(is_letter) {
        return "";
    }
    let end = bytes.iter().position(|one| !is_letter(*one) && !one.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

/// A piece of a text.
enum Part<'t> {
    Text(&'t str),
    /// `$$`
    Dollar,
    Variable {
        name: &'t str,
        default: Option<&'t str>,
    },
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        match reference(&text[dollar..]) {
            Some((part, length)) => {
                parts.extend([Part::Text(&text[begin..dollar]), part]);
                at = dollar + length;
                begin = at;
            }
            None => at = dollar + 1,
        }
    }
    parts.push(Part::Text(&text[begin..]));
    parts
}

/// What a text that begins with `$` refers to, and how long that is.
fn reference(text: &str) -> Option<(Part<'_>, usize)> {
    if text.starts_with("$$") {
        return Some((Part::Dollar, 2));
    }
    let Some(inner) = text.strip_prefix("${") else {
        let name = self::name(&text[1..]);
        return (!name.is_empty()).then(|| (Part::Variable { name, default: None }, 1 + name.len()));
    };
    let end = closing_brace(&inner.as_bytes()[..inner.len().min(LONGEST)])?;
    let inner = &inner[..end];
    let name = self::name(inner);
    let rest = &inner[name.len()..];
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let default = match rest.bytes().next() {
        None if inner.len() == name.len() => None,
        Some(b'-') => Some(&rest[1..]),
        Some(b'?' | b'+') => None,
        _ => return None,
    };
    (!name.is_empty()).then(|| (Part::Variable { name, default }, inner.len() + 3))
}

/// The text with the defaults of its variables; `None` where one has none.
pub(super) fn resolved(text: &str) -> Option<String> {
    resolved_within(text, DEEPEST)
}

fn resolved_within(text: &str, levels: usize) -> Option<String> {
    let Some(levels) = levels.checked_sub(1) else { return Some(text.to_owned()) };
    let piece = |part: &Part<'_>| match part {
        Part::Text(text) => Some((*text).to_owned()),
        Part::Dollar => Some("$".to_owned()),
        Part::Variable { default, .. } => default.and_then(|default| resolved_within(default, levels)),
    };
    parts(text).iter().map(piece).collect()
}

/// The text as a manifest has it. What its variables mean goes to `vars`, as `windlass.yaml` has it: from the environment, with the
/// default of the compose file; without one it is empty, as there.
pub(super) fn in_manifest(text: &str, vars: &mut BTreeMap<String, String>) -> String {
    let piece = |part: Part<'_>| match part {
        Part::Text(text) => escaped(text),
        Part::Dollar => "$$".to_owned(),
        Part::Variable { name, default } => {
            vars.entry(name.to_owned()).or_insert_with(|| variable(name, default, DEEPEST));
            format!("${{{name}}}")
        }
    };
    parts(text).into_iter().map(piece).collect()
}

/// The text as `windlass.yaml` has it, where variables are those of the environment.
pub(super) fn in_configuration(text: &str) -> String {
    in_configuration_within(text, DEEPEST)
}

fn in_configuration_within(text: &str, levels: usize) -> String {
    let Some(levels) = levels.checked_sub(1) else { return text.replace('$', "$$") };
    let piece = |part: Part<'_>| match part {
        Part::Text(text) => text.replace('$', "$$"),
        Part::Dollar => "$$".to_owned(),
        Part::Variable { name, default } => variable(name, default, levels),
    };
    parts(text).into_iter().map(piece).collect()
}

fn variable(name: &str, default: Option<&str>, levels: usize) -> String {
    format!("${{{name}:-{}}}", in_configuration_within(default.unwrap_or_default(), levels))
}

/// What Kubernetes (`$(NAME)`) and windlass would take for a variable.
fn escaped(text: &str) -> String {
    text.replace('$', "$$").replace("$$(", "$$$$(")
}

/// The variable that a text consists of.
pub(super) fn only_variable(text: &str) -> Option<&str> {
    match parts(text).as_slice() {
        [Part::Text(""), Part::Variable { name, .. }, Part::Text("")] => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_may_have_variables() {
        let nested = "${BASE:-docker.io/${A-library}}/x";
        assert_eq!(resolved(nested).as_deref(), Some("docker.io/library/x"));
        assert_eq!(in_configuration(nested), "${BASE:-docker.io/${A:-library}}/x");
        let mut vars = BTreeMap::new();
        assert_eq!(in_manifest(nested, &mut vars), "${BASE}/x");
        assert_eq!(vars["BASE"], "${BASE:-docker.io/${A:-library}}");
        assert_eq!(in_configuration("${BASE:-doc${A:-x}"), "$${BASE:-doc${A:-x}", "the first has no end");
        for broken in ["$", "${", "${}", "${1}", "${A", "${A!}", "${A:}", "$1", "${é}"] {
            assert_eq!(in_configuration(broken), broken.replace('$', "$$"), "{broken}");
        }
        for depth in [100, 5000] {
            let deep = "${A:-".repeat(depth) + &"}".repeat(depth);
            assert!(resolved(&deep).is_some() && in_configuration(&deep).len() > deep.len());
        }
    }

    #[test]
    fn variables_are_resolved_by_their_defaults() {
        assert_eq!(resolved("a${B:-c}d$$e${F-}").as_deref(), Some("acd$e"));
        assert_eq!(resolved("$B").or(resolved("${B:?no}")).or(resolved("${B}")), None);
        assert_eq!(resolved("100% $ 5").as_deref(), Some("100% $ 5"));
    }

    #[test]
    fn manifests_get_the_same_variables() {
        let mut vars = BTreeMap::new();
        assert_eq!(in_manifest("$A-${B-c}-$$x-$(Y)", &mut vars), "${A}-${B}-$$x-$$$$(Y)");
        let expected = [("A", "${A:-}"), ("B", "${B:-c}")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(vars, BTreeMap::from(expected));
        assert_eq!(
            (only_variable("${A:-b}"), only_variable("$A"), only_variable("$A$B")),
            (Some("A"), Some("A"), None)
        );
    }
}
