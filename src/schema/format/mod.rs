//! The forms of strings that Kubernetes knows: whether a text has one, and what the form is in a sentence.

mod cron;
mod name;
mod quantity;

use std::net::IpAddr;

pub(super) use name::{is_label_key, is_label_value};
pub(super) use quantity::Quantity;

use crate::text::Malformed;

/// A form of strings. The source of each is the function of Kubernetes that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `IsDNS1123Label`.
    Label,
    /// `IsDNS1123Subdomain`.
    Subdomain,
    /// `IsDNS1035Label`: a label that begins with a letter.
    Label1035,
    /// `IsValidPathSegmentName`: names of roles.
    PathSegment,
    /// `IsQualifiedName`: the key of a label.
    LabelKey,
    /// `IsValidLabelValue`.
    LabelValue,
    /// `IsValidPortName`.
    PortName,
    /// `IsConfigMapKey`: a key of a ConfigMap or a Secret.
    ConfigKey,
    /// `IsEnvVarName`; since 1.34 `IsRelaxedEnvVarName`, before behind a gate: any printable ASCII but `=`.
    Variable,
    /// `cron.ParseStandard`.
    Cron,
    /// `IsValidIP`, with the leading zeros that old objects may have.
    Ip,
    /// `IsValidCIDR`.
    Cidr,
    /// An integer, or a share such as `25%`: `IsValidPercent`.
    Share,
    /// A host name, or one with `*.` before it: `validateIngressRules`.
    Host,
    /// A path that begins with `/`: `validateHTTPIngressPath`.
    AbsolutePath,
    /// A path below a directory, without `..`: `validateLocalDescendingPath`.
    RelativePath,
    /// `IsHTTPHeaderName`.
    Header,
}

impl Format {
    /// What is wrong with a text.
    pub(super) fn check(self, text: &str) -> Result<(), Malformed> {
        let (is_right, what, hint) = match self {
            Self::Cron => return cron::check(text),
            Self::Label => (name::is_label(text), "name", name::LABEL),
            Self::Subdomain => (name::is_subdomain(text), "name", name::SUBDOMAIN),
            Self::Label1035 => (name::is_label_1035(text), "name", name::LABEL_1035),
            Self::PathSegment => (name::is_path_segment(text), "name", name::PATH_SEGMENT),
            Self::LabelKey => (name::is_label_key(text), "label key", name::LABEL_KEY),
            Self::LabelValue => (name::is_label_value(text), "label value", name::LABEL_VALUE),
            Self::PortName => (name::is_port_name(text), "port name", name::PORT_NAME),
            Self::ConfigKey => (name::is_config_key(text), "key", name::CONFIG_KEY),
            Self::Variable => (
                name::is_variable(text),
                "name of an environment variable",
                "it holds `=` or a control character",
            ),
            Self::Ip => (is_ip(text), "IP address", "write `10.0.0.1` or `2001:db8::1`"),
            Self::Cidr => (is_cidr(text), "CIDR", "write `10.0.0.0/24` or `2001:db8::/64`"),
            Self::Share => {
                (is_share(text), "share", "write a number, or a percentage such as `25%` in quotes")
            }
            Self::Host => (is_host(text), "host name", "write `shop.example.com` or `*.example.com`"),
            Self::AbsolutePath => (text.starts_with('/'), "absolute path", "a path begins with `/`"),
            Self::RelativePath => (
                !text.starts_with('/') && text.split('/').all(|part| part != ".."),
                "path",
                "write it without a `/` at the beginning and without `..`",
            ),
            Self::Header => (name::is_header(text), "HTTP header", "a header is letters, digits and `-`"),
        };
        if is_right {
            return Ok(());
        }
        Err(Malformed::new(format!("`{text}` is not a valid {what}")).with_hint(hint))
    }
}

/// Old objects may have leading zeros in an address; those pass, too.
fn is_ip(text: &str) -> bool {
    let zeros_removed = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let plain = text.split('.').map(zeros_removed).collect::<Vec<_>>().join(".");
    text.parse::<IpAddr>().is_ok() || plain.parse::<IpAddr>().is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = if address.contains(':') { 128 } else { 32 };
    is_ip(address) && length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn is_share(text: &str) -> bool {
    let digits = text.strip_suffix('%').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host(text: &str) -> bool {
    name::is_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_shares_and_hosts() {
        for (format, right, wrong) in [
            (
                Format::Ip,
                &["10.0.0.1", "::1", "010.0.0.1", "0.0.0.0"][..],
                &["10.0.0", "10.0.0.256", "a", ""][..],
            ),
            (Format::Cidr, &["10.0.0.0/24", "::/0"], &["10.0.0.0", "10.0.0.0/33", "x/1", "::/129"]),
            (Format::Share, &["25%", "0%", "150%"], &["%", "25", "2.5%", "a%"]),
            (Format::Host, &["a.b", "*.a.b", "shop"], &["a_b", "*", "*a.b", "A.b", ""]),
            (Format::AbsolutePath, &["/", "/a"], &["a", ""]),
        ] {
            for text in right {
                assert!(format.check(text).is_ok(), "{format:?} {text}");
            }
            for text in wrong {
                assert!(format.check(text).is_err(), "{format:?} {text}");
            }
        }
    }

    #[test]
    fn a_sentence_says_what_is_wrong_and_what_is_right() {
        let error = Format::Subdomain.check("Worker_1").expect_err("it is wrong");
        assert_eq!(error.message, "`Worker_1` is not a valid name");
        assert_eq!(
            error.hint,
            Some(
                "use lower-case letters, digits, `-` and `.`, at most 253, with a letter or digit at both ends of each part"
            )
        );
    }
}
