//! Paths of the API: where a kind of object is served.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may not stand in a path segment or a query value: an API server takes `:` as it is, and names of Roles have it.
const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// The path under which the resource of an API version is served: `/apis/apps/v1/namespaces/shop/deployments`.
pub(super) fn collection(api_version: &str, plural: &str, namespace: Option<&str>) -> String {
    let root = if api_version.contains('/') { "/apis/" } else { "/api/" };
    match namespace {
        Some(namespace) => format!("{root}{api_version}/namespaces/{}/{plural}", escape(namespace)),
        None => format!("{root}{api_version}/{plural}"),
    }
}

/// A query string from the parts that have a value.
pub(super) fn query(parts: &[(&str, Option<&str>)]) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        if let Some(value) = value {
            let separator = if text.is_empty() { '?' } else { '&' };
            let _ = write!(text, "{separator}{name}={}", escape(value));
        }
    }
    text
}

/// Percent-encodes what may not stand in a path segment or a query value.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("system:node-1.a_b~c"), "system:node-1.a_b~c");
        assert_eq!(escape("a/b?c=d&e\u{e9}%"), "a%2Fb%3Fc%3Dd%26e%C3%A9%25");
    }

    #[test]
    fn paths_and_queries() {
        assert_eq!(collection("v1", "pods", Some("shop")), "/api/v1/namespaces/shop/pods");
        assert_eq!(collection("apps/v1", "deployments", None), "/apis/apps/v1/deployments");
        assert_eq!(
            query(&[("labelSelector", Some("a=b,c in (d)")), ("limit", None), ("watch", Some("true"))]),
            "?labelSelector=a%3Db%2Cc%20in%20%28d%29&watch=true"
        );
    }
}
