//! Paths of files and of fields.

/// No part of it is `..`. Source: `validatePathNoBacksteps`.
pub(super) fn has_no_backstep(text: &str) -> bool {
    text.split('/').all(|part| part != "..")
}

/// Source: `validateLocalDescendingPath`.
pub(super) fn is_descending(text: &str) -> bool {
    !text.starts_with('/') && has_no_backstep(text)
}

/// Source: `ValidateLocalNonReservedPath`: names that begin with `..` are those of the kubelet.
pub(super) fn is_not_reserved(text: &str) -> bool {
    is_descending(text) && !text.starts_with("..")
}

/// Source: `validateHTTPIngressPath`, for the types `Exact` and `Prefix`.
pub(in crate::schema) fn is_plain_url_path(text: &str) -> bool {
    let bad = ["//", "/./", "/../", "%2f", "%2F"];
    text.starts_with('/')
        && !bad.iter().any(|bad| text.contains(bad))
        && !text.ends_with("/..")
        && !text.ends_with("/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert!(has_no_backstep("/a/b") && !has_no_backstep("/a/../b"));
        assert!(is_descending("a/b") && !is_descending("/a") && !is_descending("../a"));
        assert!(is_not_reserved("a/..b") && !is_not_reserved("..a") && !is_not_reserved("/a"));
        assert!(is_plain_url_path("/") && is_plain_url_path("/a/b.c"));
        for wrong in ["a", "", "//", "/a//b", "/a/../b", "/a/..", "/a/.", "/a%2fb"] {
            assert!(!is_plain_url_path(wrong), "{wrong}");
        }
    }
}
