//! What a registry asks for when it answers 401: the `WWW-Authenticate` header, read as RFC 9110 writes it.

/// One way to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from this place.
    Bearer(Bearer),
}

/// Where the token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bearer {
    /// The token server's address.
    pub(super) realm: String,
    /// The registry's name for itself.
    pub(super) service: Option<String>,
    /// What the token should allow, in the registry's own words.
    pub(super) scope: Option<String>,
}

/// The first challenge of the header that we can answer; Bearer is preferred.
pub(super) fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            let mut bearer = Bearer::default();
            for (name, value) in parameters(rest) {
                match name.to_ascii_lowercase().as_str() {
                    "realm" => bearer.realm = value,
                    "service" => bearer.service = Some(value),
                    "scope" => bearer.scope = Some(value),
                    _ => {}
                }
            }
            if !bearer.realm.is_empty() {
                return Some(Challenge::Bearer(bearer));
            }
        }
    }
    basic
}

/// `a="b, c",d=e` → `(a, "b, c")`, `(d, e)`.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_start_matches([',', ' ']).trim();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => match after.split_once(',') {
                Some((value, next)) => (value.trim().to_owned(), next),
                None => (after.trim().to_owned(), ""),
            },
        };
        found.push((name.to_owned(), value));
        rest = next;
    }
    found
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_server_is_found_with_all_its_parameters() {
        let header = r#"Bearer realm="https://gitlab.test/jwt/auth",service="container_registry",scope="repository:a/b:pull,push""#;
        assert_eq!(
            parse([header]),
            Some(Challenge::Bearer(Bearer {
                realm: "https://gitlab.test/jwt/auth".into(),
                service: Some("container_registry".into()),
                scope: Some("repository:a/b:pull,push".into()),
            }))
        );
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let found = parse([r#"Basic realm="lab""#, r#"Bearer realm="https://t.test""#]);
        assert!(matches!(found, Some(Challenge::Bearer(_))));
        assert_eq!(parse([r#"Basic realm="lab""#]), Some(Challenge::Basic));
        assert_eq!(parse(["Negotiate"]), None);
    }

    #[test]
    fn unquoted_and_escaped_values_are_read() {
        assert_eq!(
            parameters(r#"a=b, c="d\"e",f=g"#),
            [("a".into(), "b".into()), ("c".into(), "d\"e".into()), ("f".into(), "g".into()),]
        );
    }
}
