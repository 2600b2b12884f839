//! Addresses, networks, hosts and URLs.

use std::net::{IpAddr, Ipv4Addr};

use super::name;

/// An address without the leading zeros that old objects may have.
/// Source: `ParseIPSloppy` of `k8s.io/utils/net`, which `IsValidIPForLegacyField` reads with.
pub(in crate::schema) fn address(text: &str) -> Option<IpAddr> {
    let zeros_removed = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    let plain = text.split('.').map(zeros_removed).collect::<Vec<_>>().join(".");
    plain.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// Source: `parseIP` of `k8s.io/apimachinery/pkg/util/validation`.
pub(super) fn is_strict_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|ip| !is_mapped(ip))
}

/// An address of IPv4, written as one of IPv6.
fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

/// Source: `parseCIDR` of `k8s.io/apimachinery/pkg/util/validation`.
pub(super) fn is_strict_cidr(text: &str) -> bool {
    let Some((ip, length)) = text.split_once('/').filter(|(ip, _)| is_strict_ip(ip)).and(network(text))
    else {
        return false;
    };
    let (bits, width) = match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let has_zeros =
        text.split_once('/').is_some_and(|(_, length)| length.len() > 1 && length.starts_with('0'));
    !has_zeros && bits.trailing_zeros().min(width) >= width - u32::from(length)
}

/// An address and how many of its bits are those of the network. Source: `ParseCIDRSloppy`.
pub(in crate::schema) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, length) = text.split_once('/')?;
    let ip = address(ip)?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse::<u8>().ok().filter(|length| is_number && *length <= most)?;
    Some((ip, length))
}

/// Source: `ValidateEndpointIP`.
pub(super) fn is_endpoint(text: &str) -> bool {
    address(text).is_some_and(|ip| match ip {
        IpAddr::V4(ip) => {
            let is_local_multicast = ip.octets().starts_with(&[224, 0, 0]);
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_link_local() || is_local_multicast)
        }
        IpAddr::V6(ip) => {
            let is_local_multicast = ip.segments()[0] & 0xff0f == 0xff02;
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || is_local_multicast)
        }
    })
}

pub(super) fn is_host(text: &str) -> bool {
    name::is_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

/// Source: `ValidateWebhookURL` of `k8s.io/apiserver/pkg/util/webhook`.
pub(super) fn is_https_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_plain = |part: &str| !part.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    scheme.eq_ignore_ascii_case("https")
        && is_plain(authority)
        && !text.bytes().any(|byte| byte < b' ' || byte == 0x7f)
        && !path.contains(['?', '#'])
        && !authority.contains(['@', '?', '#', '"', '<', '>', '\\', '^', '`', '{', '|', '}'])
        && is_authority(authority)
}

/// `host`, `host:443`, `[::1]:443`.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.rfind(':').unwrap_or(text.len())),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_digits);
    !host.is_empty() && is_port && (host.starts_with('[') || !host.contains(':'))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Source: `ValidateWebhookService`.
pub(super) fn is_webhook_path(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return text.is_empty() };
    rest.is_empty() || rest.strip_suffix('/').unwrap_or(rest).split('/').all(name::is_subdomain)
}

/// `host:port` pairs with commas between. Source: `validateQuobyteVolumeSource`.
pub(super) fn is_host_ports(text: &str) -> bool {
    text.split(',').all(|pair| match pair.rfind(']') {
        Some(end) => pair.get(end + 1..).is_some_and(|port| port.starts_with(':')),
        None => pair.matches(':').count() == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_a_length() {
        assert!(network("10.0.0.0/8").is_some_and(|(_, length)| length == 8));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0.0/", "x/1"] {
            assert!(network(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn since_136_addresses_are_plain() {
        assert!(is_strict_ip("10.0.0.1") && is_strict_ip("2001:DB8::1"));
        assert!(!is_strict_ip("10.0.0.01") && !is_strict_ip("::ffff:10.0.0.1"));
        for right in ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "2001:db8::/32", "::/0"] {
            assert!(is_strict_cidr(right), "{right}");
        }
        for wrong in
            ["10.0.0.1/8", "010.0.0.0/8", "10.0.0.0/08", "::ffff:10.0.0.0/104", "2001:db8::3/2", "10.0.0.0"]
        {
            assert!(!is_strict_cidr(wrong), "{wrong}");
        }
    }

    #[test]
    fn endpoints_are_reached_from_elsewhere() {
        for right in ["10.1.2.3", "2001:db8::1", "239.1.2.3"] {
            assert!(is_endpoint(right), "{right}");
        }
        for wrong in
            ["127.0.0.1", "::1", "0.0.0.0", "::", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "a"]
        {
            assert!(!is_endpoint(wrong), "{wrong}");
        }
    }

    #[test]
    fn urls_of_webhooks() {
        for right in ["https://a.b", "https://a.b:8443/c", "HTTPS://a", "https://[::1]:443/", "https://a/b c"]
        {
            assert!(is_https_url(right), "{right}");
        }
        for wrong in [
            "http://a",
            "a.b",
            "https://",
            "https:///a",
            "https://u@a",
            "https://a/?b",
            "https://a/#b",
            "https://a b",
            "https://a:x",
            "../https://a",
            "",
        ] {
            assert!(!is_https_url(wrong), "{wrong}");
        }
        for right in ["", "/", "/a", "/a/b/", "/a.b/c"] {
            assert!(is_webhook_path(right), "{right}");
        }
        for wrong in ["a", "//", "/a//b", "/A", "/a_b"] {
            assert!(!is_webhook_path(wrong), "{wrong}");
        }
        assert!(is_host_ports("a:1,b:2") && !is_host_ports("a") && !is_host_ports("a:1,b"));
    }
}
