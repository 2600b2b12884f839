//! Names, labels and keys, as `k8s.io/apimachinery/pkg/util/validation` has them.

pub(super) const LABEL: &str =
    "use lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends";
pub(super) const LABEL_1035: &str = "use lower-case letters, digits and `-`, at most 63, beginning with a letter and ending with a letter or digit";
pub(super) const SUBDOMAIN: &str = "use lower-case letters, digits, `-` and `.`, at most 253, with a letter or digit at both ends of each part";
pub(super) const PATH_SEGMENT: &str = "a name is not `.` or `..`, and holds neither `/` nor `%`";
pub(super) const LABEL_KEY: &str = "write `name` or `example.com/name`: letters, digits, `-`, `_` and `.`, at most 63 \
     after the `/`, with a letter or digit at both ends";
pub(super) const LABEL_VALUE: &str =
    "use letters, digits, `-`, `_` and `.`, at most 63, with a letter or digit at both ends";
pub(super) const PORT_NAME: &str = "use lower-case letters, digits and single `-`, at most 15, with at least one letter and none of the `-` at an end";
pub(super) const CONFIG_KEY: &str = "use letters, digits, `-`, `_` and `.`, at most 253";

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, at most 63.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

fn is_label_of_any_length(text: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    has_shape(text, is_end, |byte| is_end(byte) || byte == b'-')
}

/// `[a-z]([-a-z0-9]*[a-z0-9])?`, at most 63.
pub(super) fn is_label_1035(text: &str) -> bool {
    is_label(text) && text.starts_with(|letter: char| letter.is_ascii_lowercase())
}

/// Labels with dots between them, at most 253. The labels may be longer than 63.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label_of_any_length)
}

pub(super) fn is_path_segment(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '%'])
}

/// `name` or `prefix/name`: the key of a label. That of an annotation may have upper-case letters in its prefix.
pub(in crate::schema) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_key_name(name),
        None => is_key_name(text),
    }
}

fn is_key_name(text: &str) -> bool {
    text.len() <= 63 && has_shape(text, |byte| byte.is_ascii_alphanumeric(), is_key_byte)
}

/// Empty, or as the name of a key.
pub(in crate::schema) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_key_name(text)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// `IsValidPortName`.
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_label(text)
        && !text.contains("--")
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// `IsConfigMapKey`.
pub(super) fn is_config_key(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(is_key_byte) && text != "." && !text.starts_with("..")
}

/// `IsRelaxedEnvVarName`: the stricter form of older versions is not asked for, its gate may be set.
pub(super) fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

pub(super) fn is_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn has_shape(text: &str, is_end: impl Fn(u8) -> bool, is_inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_end(*first) && is_end(*last) && bytes.iter().all(|byte| is_inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(64);
        for (is_right, text) in [
            (true, "a"),
            (true, "a-1"),
            (true, "1"),
            (false, "a."),
            (false, "-a"),
            (false, ""),
            (false, &long),
            (false, "A"),
        ] {
            assert_eq!(is_label(text), is_right, "{text}");
        }
        assert!(is_label_1035("a1") && !is_label_1035("1a"));
        assert!(is_subdomain("a.b-c.1") && is_subdomain(&long));
        assert!(!is_subdomain("a..b") && !is_subdomain("Worker_1") && !is_subdomain(&"a".repeat(254)));
        assert!(is_path_segment("system:a") && !is_path_segment("a/b") && !is_path_segment(".."));
    }

    #[test]
    fn keys_and_values() {
        let long = "a".repeat(64);
        assert!(is_label_key("app") && is_label_key("app.kubernetes.io/name") && is_label_key("A_b.c"));
        assert!(!is_label_key("a/b/c") && !is_label_key("/a") && !is_label_key("a/") && !is_label_key("ü"));
        assert!(!is_label_key("Example.com/a") && !is_label_key(&long));
        assert!(
            is_label_value("")
                && is_label_value("v1.2_3-x")
                && !is_label_value("a b")
                && !is_label_value("-a")
        );
        assert!(!is_label_value(&long));
        assert!(is_port_name("http") && is_port_name("a-1") && !is_port_name("80") && !is_port_name("a--b"));
        assert!(!is_port_name("sixteen-letters-") && !is_port_name("HTTP"));
        assert!(
            is_config_key("a.b_C-1")
                && is_config_key(".env")
                && !is_config_key("..a")
                && !is_config_key("a/b")
        );
        assert!(
            is_variable("A")
                && is_variable("a.b-c")
                && !is_variable("A=1")
                && !is_variable("")
                && !is_variable("ü")
        );
    }
}
