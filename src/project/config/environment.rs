//! `${NAME}` in the few values of `windlass.yaml` that may have it: `registry`, `args`, a service's `image`, `vars`
//! and a tier's `namespace`.

use crate::error::{Error, Kind, Place};

/// Where a name is looked up. Tests hand over a function, the program [`variable`].
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of the process, also an empty one.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A value that is longer is accepted by nobody: a `ConfigMap` holds no more.
pub(crate) const LONGEST: usize = 1 << 20;
/// A default may hold a reference with a default, and so on, this often.
const DEEPEST: usize = 20;

/// Why a text has no value.
#[derive(Debug, Clone)]
pub(crate) enum ExpandError {
    /// The name has no value; the words are the text's own, from `${NAME:?words}`.
    Missing { name: String, words: Option<String> },
    /// What follows a `${` is not a name, or has no end.
    Malformed(String),
    /// It is more than anybody means; the sentence says what.
    TooMuch(String),
    /// Looking a name up failed for a reason that has its own place.
    Elsewhere(Box<Error>),
}

impl ExpandError {
    /// The error for a person: `path` says in which value, `place` where that stands.
    pub(crate) fn error(self, path: &str, place: Option<&Place>) -> Error {
        let (sentence, hint) = match self {
            Self::Elsewhere(error) => return *error,
            Self::TooMuch(sentence) => (sentence, "refer to fewer variables".to_owned()),
            Self::Malformed(text) => (
                format!("`{text}` is not `${{NAME}}` or `${{NAME:-default}}`"),
                "write `$$` for a literal dollar".to_owned(),
            ),
            Self::Missing { name, words: Some(words) } => {
                (format!("`{name}` has no value: {words}"), format!("set the environment variable {name}"))
            }
            Self::Missing { name, words: None } => (
                format!("`{name}` has no value"),
                format!("set the environment variable {name}, or write `${{{name}:-default}}`"),
            ),
        };
        let error = Error::new(Kind::Invalid, format!("{sentence} (in `{path}`)")).with_hint(hint);
        match place {
            Some(place) => error.at(place.clone()),
            None => error,
        }
    }
}

/// Replaces `${NAME}`, `${NAME:-default}` and `${NAME:?words}`, and `$$` by a dollar; any other dollar stays.
pub(crate) fn expand(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Result<Option<String>, ExpandError>,
) -> Result<String, ExpandError> {
    expand_within(text, lookup, DEEPEST)
}

/// As [`expand`], in a default that may hold defaults of so many levels.
fn expand_within(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Result<Option<String>, ExpandError>,
    levels: usize,
) -> Result<String, ExpandError> {
    let Some(levels) = levels.checked_sub(1) else {
        return Err(ExpandError::TooMuch(format!("references are nested more than {DEEPEST} levels deep")));
    };
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let end = closing(after.as_bytes()).ok_or_else(|| ExpandError::Malformed(rest.to_owned()))?;
            result.push_str(&one(&after[..end], lookup, levels)?);
            if result.len() > LONGEST {
                let limit = LONGEST >> 20;
                let sentence =
                    format!("the value is longer than {limit} MiB once its variables are replaced");
                return Err(ExpandError::TooMuch(sentence));
            }
            rest = &after[end + 1..];
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// Where the brace is that ends what begins behind a `${`; defaults may have `${…}` themselves.
pub(crate) fn closing(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if index > 0 && bytes[index - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(index),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn one(
    inner: &str,
    lookup: &mut dyn FnMut(&str) -> Result<Option<String>, ExpandError>,
    levels: usize,
) -> Result<String, ExpandError> {
    let end = inner.find(':').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    if !is_name(name) {
        return Err(ExpandError::Malformed(format!("${{{inner}}}")));
    }
    if rest.is_empty() {
        return lookup(name)?.ok_or_else(|| ExpandError::Missing { name: name.to_owned(), words: None });
    }
    let mut value = || Ok(lookup(name)?.filter(|value| !value.is_empty()));
    if let Some(default) = rest.strip_prefix(":-") {
        return match value()? {
            Some(value) => Ok(value),
            None => expand_within(default, lookup, levels),
        };
    }
    let Some(words) = rest.strip_prefix(":?") else {
        return Err(ExpandError::Malformed(format!("${{{inner}}}")));
    };
    value()?.ok_or_else(|| ExpandError::Missing { name: name.to_owned(), words: Some(words.to_owned()) })
}

/// Whether a text can be a variable's name.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str) -> Result<String, ExpandError> {
        expand(text, &mut |name| {
            Ok(match name {
                "HOST" => Some("shop.test".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            })
        })
    }

    #[test]
    fn names_are_replaced_by_their_values() {
        for (text, result) in [
            ("https://${HOST}/", "https://shop.test/"),
            ("${HOST}${HOST}", "shop.testshop.test"),
            ("${NONE:-a:b}", "a:b"),
            ("${NONE:-}", ""),
            ("${NONE:-${HOST}}/x", "shop.test/x"),
            ("${EMPTY}", ""),
            ("${EMPTY:-default}", "default"),
            ("${HOST:?needed}", "shop.test"),
            ("$${HOST} costs 5$ or $5 or $HOST", "${HOST} costs 5$ or $5 or $HOST"),
            ("ä$$ö", "ä$ö"),
        ] {
            assert_eq!(expanded(text).unwrap(), result, "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_said() {
        let said = |text: &str| expanded(text).unwrap_err().error("vars.A", None).message().to_owned();
        assert_eq!(said("a ${NONE}"), "`NONE` has no value (in `vars.A`)");
        assert_eq!(said("${NONE:?ask Ann}"), "`NONE` has no value: ask Ann (in `vars.A`)");
        for text in [
            "${",
            "${}",
            "${1A}",
            "${HOST",
            "${HOST:}",
            "${HOST:ä}",
            "${HOST:+x}",
            "${HOST :-x}",
            "${HOST:-${}",
        ] {
            assert!(matches!(expanded(text), Err(ExpandError::Malformed(_))), "{text}: {:?}", expanded(text));
        }
    }

    #[test]
    fn a_value_has_its_limits() {
        let said = |text: &str| {
            let result = expand(text, &mut |name| Ok((name == "LONG").then(|| "x".repeat(LONGEST / 2))));
            result.map_err(|fault| fault.error("vars.A", None).message().to_owned())
        };
        assert_eq!(said("${LONG}${LONG}").unwrap().len(), LONGEST);
        let too_long = "the value is longer than 1 MiB once its variables are replaced (in `vars.A`)";
        assert_eq!(said("${LONG}${LONG}${LONG}").unwrap_err(), too_long);
        let nested = |levels: usize| format!("{}x{}", "${NO:-".repeat(levels), "}".repeat(levels));
        assert_eq!(said(&nested(DEEPEST - 1)).unwrap(), "x");
        let too_deep = "references are nested more than 20 levels deep (in `vars.A`)";
        assert_eq!(said(&nested(30_000)).unwrap_err(), too_deep);
    }

    proptest! {
        #[test]
        fn doubled_dollars_always_come_through(text in ".{0,40}") {
            prop_assert_eq!(expanded(&text.replace('$', "$$")).unwrap(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[${}:A-Zä?-]{0,40}") {
            let _ = expanded(&text);
        }
    }
}
