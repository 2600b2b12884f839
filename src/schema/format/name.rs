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
pub(super) const WEBHOOK: &str = "write a domain of three parts or more: `pods.guard.example.com`";
pub(super) const SIGNER: &str = "write `example.com/name`: a domain, a `/`, and names with `.` between them";

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

/// A name, or what one begins with: a `-` may be the last. Source: `maskTrailingDash`.
pub(super) fn is_prefix(text: &str) -> bool {
    let masked = text.strip_suffix('-').filter(|rest| !rest.is_empty());
    match masked.and_then(|rest| rest.char_indices().last().and_then(|(end, _)| rest.get(..end))) {
        Some(rest) => is_subdomain(&format!("{rest}a")),
        None => is_subdomain(text),
    }
}

pub(super) fn is_path_segment(text: &str) -> bool {
    text != "." && text != ".." && !text.contains(['/', '%'])
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

/// `IsEnvVarName`: what versions before 1.34 ask for.
pub(super) fn is_strict_variable(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || b"-._".contains(&byte);
    text.as_bytes().first().is_some_and(|first| is_first(*first))
        && text.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
        && text != "."
        && !text.starts_with("..")
}

/// `IsFullyQualifiedName`: a domain of three parts.
pub(super) fn is_webhook_name(text: &str) -> bool {
    is_subdomain(text) && text.split('.').count() >= 3
}

/// `IsFullyQualifiedDomainName`: a domain of two parts, perhaps with a dot at its end.
pub(super) fn is_domain_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    is_subdomain(text) && text.split('.').count() >= 2 && text.split('.').all(is_label)
}

/// `IsDomainPrefixedPath`: `example.com/path`.
pub(super) fn is_domain_path(text: &str) -> bool {
    let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    text.split_once('/').is_some_and(|(domain, path)| {
        is_subdomain(domain) && !path.is_empty() && path.bytes().all(is_of_path)
    })
}

/// `ValidateCSIDriverName`.
pub(super) fn is_driver(text: &str) -> bool {
    text.len() <= 63 && is_subdomain(&text.to_lowercase())
}

/// `ValidateSignerName`.
pub(super) fn is_signer(text: &str) -> bool {
    let [domain, path] = text.split('/').collect::<Vec<_>>()[..] else { return false };
    let is_domain = domain.len() <= 253 && domain.split('.').count() >= 2 && domain.split('.').all(is_label);
    is_domain && text.len() <= 571 && path.split('.').all(is_subdomain)
}

/// `ParseGroupVersion`: `v1`, `apps/v1`.
pub(super) fn is_api_version(text: &str) -> bool {
    text.is_empty() || text == "/" || text.matches('/').count() <= 1
}

/// A kind that may be defined: in lower case it is a label that begins with a letter.
pub(super) fn is_kind(text: &str) -> bool {
    is_label_1035(&text.to_lowercase())
}

/// `IsCIdentifier`, at most so long.
pub(super) fn is_identifier(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.as_bytes().first().is_some_and(|first| is_first(*first))
        && text.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// `IsDNS1123SubdomainWithUnderscore`, and the dot that may stand alone or at the end. Source: `validatePodDNSConfig`.
pub(super) fn is_search_domain(text: &str) -> bool {
    let rest = text.strip_suffix('.').unwrap_or(text);
    text == "." || is_subdomain(&rest.replace('_', "a"))
}

/// `IsValidSysctlName`.
pub(super) fn is_sysctl(text: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| has_shape(part, is_end, |byte| is_end(byte) || b"-_".contains(&byte));
    text.len() <= 253 && text.split(['.', '/']).all(is_part)
}

/// An initiator of iSCSI. Source: `validateISCSIVolumeSource`.
pub(super) fn is_iqn(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(rest) = text.strip_prefix("eui") {
        return rest.strip_prefix('.').is_some_and(|rest| rest.len() == 16 && is_hex(rest));
    }
    if let Some(rest) = text.strip_prefix("naa") {
        return rest.strip_prefix('.').is_some_and(|rest| rest.len() == 32 && is_hex(rest));
    }
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = text.strip_prefix("iqn.") else { return false };
    let (date, name) = rest.split_once('.').unwrap_or((rest, ""));
    let Some((domain, device)) = name.split_once(':') else { return false };
    let is_domain = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let is_device = !device.is_empty()
        && !device.contains([',', ';', '*', '&', '$', '|'])
        && !device.contains(char::is_whitespace);
    let is_date = date.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && month.len() == 2 && is_digits(year) && is_digits(month)
    });
    is_date && !domain.is_empty() && is_domain && is_device
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
    fn names_of_others() {
        assert!(is_webhook_name("a.b.c") && !is_webhook_name("a.b") && !is_webhook_name("a.b.C"));
        assert!(is_domain_name("a.b.") && !is_domain_name("a") && !is_domain_name("a.b_"));
        assert!(
            is_domain_path("a.b/c/d")
                && !is_domain_path("a.b")
                && !is_domain_path("a/")
                && !is_domain_path("a/b c")
        );
        assert!(is_driver("Csi.example.com") && !is_driver("a-") && !is_driver(&"a".repeat(64)));
        assert!(is_signer("a.b/c.d") && !is_signer("a/b") && !is_signer("a.b") && !is_signer("a.b/c/d"));
        assert!(is_api_version("apps/v1") && is_api_version("v1") && !is_api_version("a/b/c"));
        assert!(is_kind("CronTab") && !is_kind("Cron Tab") && !is_kind("1a"));
        assert!(is_identifier("a_1") && !is_identifier("1a") && !is_identifier("a-b"));
        assert!(is_search_domain(".") && is_search_domain("_a.b.") && !is_search_domain("A"));
        assert!(
            is_sysctl("net.ipv4.ip_forward")
                && is_sysctl("net/a")
                && !is_sysctl("net..a")
                && !is_sysctl("Net")
        );
        assert!(
            is_iqn("iqn.2001-04.com.example:a") && is_iqn("eui.0123456789abcdef") && !is_iqn("iqn.2001.a")
        );
        assert!(!is_iqn("naa.1") && !is_iqn("x") && !is_iqn("eui.0123"));
        assert!(is_strict_variable("a.b-C_1") && !is_strict_variable("1a") && !is_strict_variable("..a"));
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
