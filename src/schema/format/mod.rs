//! The forms of strings that Kubernetes knows: whether a text has one, and what the form is in a sentence.

mod address;
mod cron;
mod name;
mod path;
mod quantity;
mod time;

pub(super) use address::{address, network};
pub(super) use name::{is_label_key, is_label_value};
pub(super) use path::is_plain_url_path;
pub(crate) use quantity::Quantity;
pub(super) use time::is_time;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

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
    /// `IsRelaxedEnvVarName`: any printable ASCII but `=`. Since 1.34; from 1.30 on behind a gate.
    Variable,
    /// `IsEnvVarName`, before 1.30.
    StrictVariable,
    /// `cron.ParseStandard`.
    Cron,
    /// `IsValidIPForLegacyField`, with leading zeros. Since 1.36 it is [`Self::StrictIp`].
    Ip,
    /// As [`Self::Ip`], without leading zeros.
    StrictIp,
    /// `IsValidCIDRForLegacyField`. Since 1.36 it is [`Self::StrictCidr`].
    Cidr,
    /// As [`Self::Cidr`], without leading zeros and without bits beyond the length.
    StrictCidr,
    /// An integer, or a share such as `25%`: `IsValidPercent`.
    Share,
    /// A host name, or one with `*.` before it: `validateIngressRules`.
    Host,
    /// A path that begins with `/`: `validateHTTPIngressPath`, `validateNFSVolumeSource`.
    AbsolutePath,
    /// A path below a directory, without `..`: `validateLocalDescendingPath`.
    RelativePath,
    /// A path without `..`: `validatePathNoBacksteps`.
    NoBackstep,
    /// As [`Self::RelativePath`], and it does not begin with `..`: `ValidateLocalNonReservedPath`.
    FilePath,
    /// `IsHTTPHeaderName`.
    Header,
    /// `IsQualifiedName`: `name` or `example.com/name`.
    Qualified,
    /// As [`Self::Qualified`], in lower case: `validateProvisioner`.
    Provisioner,
    /// `IsDomainPrefixedPath`.
    DomainPath,
    /// `IsFullyQualifiedName`.
    WebhookName,
    /// `IsFullyQualifiedDomainName`.
    DomainName,
    /// `ValidateWebhookURL`.
    HttpsUrl,
    /// `ValidateWebhookService`.
    WebhookPath,
    /// `ValidateCSIDriverName`.
    Driver,
    /// `ValidateSignerName`.
    Signer,
    /// `ParseGroupVersion`.
    ApiVersion,
    /// Of a kind that is defined.
    Kind,
    /// `IsCIdentifier`.
    Identifier,
    /// `validatePodDNSConfig`.
    SearchDomain,
    /// As [`Self::SearchDomain`], before 1.33.
    StrictSearchDomain,
    /// `IsValidSysctlName`.
    Sysctl,
    /// `validateISCSIVolumeSource`.
    Iqn,
    /// `validateQuobyteVolumeSource`.
    HostPorts,
    /// `ValidateEndpointIP`. Since 1.36 it is [`Self::StrictEndpoint`].
    Endpoint,
    /// As [`Self::Endpoint`], without leading zeros.
    StrictEndpoint,
    /// A name, or what a name begins with: `ValidateSecretName` with `prefix`.
    Prefix,
    /// A name that may end with a dot: `externalName` of a Service.
    ExternalName,
    /// Without `/`.
    NoSlash,
    /// A path of a field: `validateSimpleJSONPath`.
    JsonPath,
}

impl Format {
    /// The form as a minor version of Kubernetes asks for it. Source: the gate `StrictIPCIDRValidation`.
    pub(super) fn since(self, minor: u32) -> Self {
        match self {
            Self::Ip if minor >= 36 => Self::StrictIp,
            Self::Cidr if minor >= 36 => Self::StrictCidr,
            Self::Endpoint if minor >= 36 => Self::StrictEndpoint,
            other => other,
        }
    }

    /// What is wrong with a text.
    pub(super) fn check(self, text: &str) -> Result<(), Malformed> {
        if self == Self::Cron {
            return cron::check(text);
        }
        if self.is_form_of(text) {
            return Ok(());
        }
        let (what, hint) = self.words();
        // A long text says no more than its beginning.
        let shown = match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        };
        let shown = if text.is_empty() { "an empty string".to_owned() } else { format!("`{shown}`") };
        Err(Malformed::new(format!("{shown} is not a valid {what}")).with_hint(hint))
    }

    fn is_form_of(self, text: &str) -> bool {
        match self {
            Self::Cron => cron::check(text).is_ok(),
            Self::Label => name::is_label(text),
            Self::Subdomain => name::is_subdomain(text),
            Self::Label1035 => name::is_label_1035(text),
            Self::PathSegment => name::is_path_segment(text),
            Self::LabelKey | Self::Qualified => name::is_label_key(text),
            Self::LabelValue => name::is_label_value(text),
            Self::PortName => name::is_port_name(text),
            Self::ConfigKey => name::is_config_key(text),
            Self::Variable => name::is_variable(text),
            Self::StrictVariable => name::is_strict_variable(text),
            Self::Ip => address::address(text).is_some(),
            Self::StrictIp => address::is_strict_ip(text),
            Self::Cidr => address::network(text).is_some(),
            Self::StrictCidr => address::is_strict_cidr(text),
            Self::Share => is_share(text),
            Self::Host => address::is_host(text),
            Self::AbsolutePath => text.starts_with('/'),
            Self::RelativePath => path::is_descending(text),
            Self::NoBackstep => path::has_no_backstep(text),
            Self::FilePath => path::is_not_reserved(text),
            Self::Header => name::is_header(text),
            Self::Provisioner => name::is_label_key(&text.to_lowercase()),
            Self::DomainPath => name::is_domain_path(text),
            Self::WebhookName => name::is_webhook_name(text),
            Self::DomainName => name::is_domain_name(text),
            Self::HttpsUrl => address::is_https_url(text),
            Self::WebhookPath => address::is_webhook_path(text),
            Self::Driver => name::is_driver(text),
            Self::Signer => name::is_signer(text),
            Self::ApiVersion => name::is_api_version(text),
            Self::Kind => name::is_kind(text),
            Self::Identifier => name::is_identifier(text),
            Self::SearchDomain => name::is_search_domain(text),
            Self::Sysctl => name::is_sysctl(text),
            Self::Iqn => name::is_iqn(text),
            Self::HostPorts => address::is_host_ports(text),
            Self::Endpoint => address::is_endpoint(text),
            Self::StrictEndpoint => address::is_endpoint(text) && address::is_strict_ip(text),
            Self::Prefix => name::is_prefix(text),
            Self::ExternalName | Self::StrictSearchDomain => {
                name::is_subdomain(text.strip_suffix('.').unwrap_or(text))
            }
            Self::NoSlash => !text.contains('/'),
            Self::JsonPath => text.starts_with('.'),
        }
    }

    /// What it is called, and what it is like.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Cron => ("cron schedule", "write `*/5 * * * *`"),
            Self::Label => ("name", name::LABEL),
            Self::Subdomain | Self::Prefix => ("name", name::SUBDOMAIN),
            Self::Label1035 => ("name", name::LABEL_1035),
            Self::PathSegment => ("name", name::PATH_SEGMENT),
            Self::LabelKey => ("label key", name::LABEL_KEY),
            Self::LabelValue => ("label value", name::LABEL_VALUE),
            Self::PortName => ("port name", name::PORT_NAME),
            Self::ConfigKey => ("key", name::CONFIG_KEY),
            Self::Variable => ("name of an environment variable", "it holds `=` or a control character"),
            Self::StrictVariable => (
                "name of an environment variable",
                "use letters, digits, `-`, `_` and `.`, not beginning with a digit",
            ),
            Self::Ip | Self::StrictIp => ("IP address", "write `10.0.0.1` or `2001:db8::1`"),
            Self::Endpoint | Self::StrictEndpoint => {
                ("IP address of an endpoint", "an endpoint is not on the node itself: `10.0.0.1`")
            }
            Self::Cidr | Self::StrictCidr => (
                "CIDR",
                "write `10.0.0.0/24` or `2001:db8::/64`: no leading zeros, no bits beyond the length",
            ),
            Self::Share => ("share", "write a number, or a percentage such as `25%` in quotes"),
            Self::Host => ("host name", "write `shop.example.com` or `*.example.com`"),
            Self::AbsolutePath => ("absolute path", "a path begins with `/`"),
            Self::RelativePath => ("path", "write it without a `/` at the beginning and without `..`"),
            Self::NoBackstep => ("path", "write it without `..`"),
            Self::FilePath => ("path", "write it without a `/` or `..` at the beginning, and without `/../`"),
            Self::Header => ("HTTP header", "a header is letters, digits and `-`"),
            Self::Qualified | Self::Provisioner => ("name", name::LABEL_KEY),
            Self::DomainPath => ("name", "write `example.com/name`"),
            Self::WebhookName => ("name of a webhook", name::WEBHOOK),
            Self::DomainName => ("domain", "write `db.example.com`"),
            Self::HttpsUrl => {
                ("URL of a webhook", "write `https://host/path`, without user, query and fragment")
            }
            Self::WebhookPath => ("path of a webhook", "write `/path`, in lower case"),
            Self::Driver => ("name of a driver", "write a domain of at most 63 characters"),
            Self::Signer => ("signer", name::SIGNER),
            Self::ApiVersion => ("`apiVersion`", "write `v1` or `apps/v1`"),
            Self::Kind => ("kind", "use letters, digits and `-`, at most 63, beginning with a letter"),
            Self::Identifier => ("identifier", "use letters, digits and `_`, not beginning with a digit"),
            Self::SearchDomain | Self::StrictSearchDomain => ("search domain", "write `svc.cluster.local`"),
            Self::Sysctl => ("sysctl", "write `net.core.somaxconn`"),
            Self::Iqn => ("name of iSCSI", "write `iqn.2001-04.com.example:storage`"),
            Self::HostPorts => ("list of `host:port`", "write `host:port,host:port`"),
            Self::ExternalName => ("host name", "write `db.example.com`"),
            Self::NoSlash => ("name", "write it without `/`"),
            Self::JsonPath => ("path of a field", "it begins with a dot: `.spec.replicas`"),
        }
    }
}

/// What a text in base64 holds, as Go reads it: line ends and the last bits say nothing.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(text.replace(['\r', '\n'], "")).ok()
}

fn is_share(text: &str) -> bool {
    let digits = text.strip_suffix('%').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
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
