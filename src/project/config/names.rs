//! What things may be called: names become parts of references, labels, files and host names.

use crate::error::{Error, Kind, Result};
use crate::model::Reference;
use crate::project::config::environment::is_name;
use crate::text::remote::RemoteAddress;
use crate::text::slug;
use crate::text::slug::is_slug;

/// Whether this can be the name of an image.
pub(crate) fn image(name: &str) -> Result<()> {
    let parsed = format!("registry.invalid/{name}").parse::<Reference>();
    if parsed.is_ok() && !name.contains(['/', ':', '@']) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be an image's name"))
        .with_hint("a-z and 0-9, with single `.`, `_` or `-` between them"))
}

/// Whether this can be the name of a test.
pub(crate) fn test(name: &str) -> Result<()> {
    word("a test", name)
}

fn word(what: &str, name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.is_empty()
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
    {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be the name of {what}"))
        .with_hint("letters, digits, `.`, `_` and `-`, a letter or digit first"))
}

/// Whether this can be the name of a service.
pub(crate) fn service(name: &str) -> Result<()> {
    if is_slug(name) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be a service's name, which is its host name"))
        .with_hint("a-z, 0-9 and `-`, 40 characters at most"))
}

/// Whether this can be the name of a tier.
pub(crate) fn tier(name: &str) -> Result<()> {
    let plain = name.strip_suffix("/*").unwrap_or(name);
    if plain.split('/').all(|part| word("a tier", part).is_ok()) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be a tier's name")).with_hint(
        "letters, digits, `.`, `_` and `-`, with `/` between parts; `review/*` matches all that begin \
         with `review/`",
    ))
}

/// What [`is_namespace`] asks for, in words.
pub const NAMESPACE_SHAPE: &str = "a-z, 0-9 and `-`, no `-` at either end, 63 characters at most";

/// Whether Kubernetes takes this as the name of a namespace (RFC 1123 label).
pub fn is_namespace(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = name.starts_with('-') || name.ends_with('-');
    (1..=63).contains(&name.len()) && name.bytes().all(fits) && !edges
}

/// Whether this can be the name of a variable.
pub(crate) fn variable(name: &str) -> Result<()> {
    if name.starts_with("WINDLASS_") {
        return Err(Error::new(
            Kind::Invalid,
            format!("`{name}` is reserved: windlass sets the names that begin with WINDLASS_"),
        ));
    }
    if is_name(name) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be a variable's name"))
        .with_hint("letters, digits and `_`, no digit first"))
}

/// The rule of Kubernetes for names of most objects (RFC 1123 subdomain).
pub(crate) fn object(name: &str) -> Result<()> {
    let part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(fits) && !part.starts_with('-') && !part.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(part) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be the name of a Secret"))
        .with_hint("a-z, 0-9, `-` and `.`, a letter or digit at either end"))
}

/// The rule of Kubernetes for the keys of Secrets.
pub(crate) fn secret_key(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=253).contains(&name.len()) && name.bytes().all(fits) && name != "." && name != ".." {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("`{name}` cannot be a key of a Secret"))
        .with_hint("letters, digits, `.`, `_` and `-`"))
}

/// The path of a repository's address, as one word: `git@host:group/shop.git` is `group-shop`, on a laptop with SSH
/// as in CI with HTTPS and a token.
///
/// Bitbucket Server has `/scm/` in front of the path and Azure DevOps `/_git/` in it, both with HTTPS only; Azure DevOps has
/// `v3/` in front of it with SSH only.
pub(crate) fn of_origin(origin: &str) -> Option<String> {
    let RemoteAddress { host, path } = RemoteAddress::read(origin);
    let mut parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | "." | ".." | "~")).collect();
    if host.is_some() {
        match parts.as_slice() {
            ["scm", _, _] | ["v3", _, _, _] => drop(parts.remove(0)),
            [.., "_git", _] => drop(parts.remove(parts.len() - 2)),
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| slug(&parts.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_refused_later_are_refused_here() {
        for name in ["web", "web-2", "a.b_c"] {
            assert!(image(name).is_ok(), "{name}");
        }
        for name in ["", "Web", "a/b", "web:1", "-web"] {
            assert!(image(name).is_err(), "{name}");
        }
        for name in ["staging", "review/*", "eu/review/*", "v1.2_x"] {
            assert!(tier(name).is_ok(), "{name}");
        }
        for name in ["", "*", "review*", "re*/x", "a//b", "/a", "../x", "a b"] {
            assert!(tier(name).is_err(), "{name}");
        }
        assert!(service("db").is_ok() && service("my_db").is_err());
        assert!(variable("HOST").is_ok() && variable("WINDLASS_X").is_err() && variable("a-b").is_err());
    }

    #[test]
    fn the_remote_names_the_project_the_same_everywhere() {
        for origin in [
            "git@gitlab.example.com:group/shop.git",
            "https://gitlab-ci-token:t0k3n@gitlab.example.com/group/shop.git",
            "ssh://git@gitlab.example.com:2222/group/shop/",
            "http://127.0.0.1:8080/group/shop",
            "../group/shop.git",
        ] {
            assert_eq!(of_origin(origin).as_deref(), Some("group-shop"), "{origin}");
        }
        for (https, ssh, name) in [
            (
                "https://bb.example.com/scm/proj/repo.git",
                "ssh://git@bb.example.com:7999/proj/repo.git",
                "proj-repo",
            ),
            (
                "https://dev.azure.com/org/proj/_git/repo",
                "git@ssh.dev.azure.com:v3/org/proj/repo",
                "org-proj-repo",
            ),
        ] {
            assert_eq!((of_origin(https).as_deref(), of_origin(ssh).as_deref()), (Some(name), Some(name)));
        }
        assert_eq!(of_origin("/srv/scm/group/shop.git").as_deref(), Some("srv-scm-group-shop"));
        assert_eq!(of_origin("file:///srv/shop.git").as_deref(), Some("srv-shop"));
        assert_eq!(of_origin("https://example.com/"), None);
        assert_eq!(of_origin("https://example.com"), None);
        assert!(of_origin("git@host:Group/Shop.git").unwrap().starts_with("group-shop-"));
    }
}
