//! Where a kubeconfig's cluster is, whom to trust there, and the certificate that we show: each field is looked at here, so that
//! whatever is wrong with it is said by its name, and no library panics over it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::config::{AuthInfo, Cluster, Config};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use secrecy::ExposeSecret as _;

use crate::cluster::kubeconfig::{broken, without_proxy};
use crate::error::Result;

/// The port of a SOCKS proxy where none is named.
const SOCKS_PORT: u16 = 1080;

/// The configuration of a cluster, without a user.
pub(crate) fn config(cluster: &Cluster, context: &str) -> Result<Config> {
    let refused = |what: String| broken(context, &what);
    let url = server(cluster).map_err(refused)?;
    let proxy = proxy(cluster, &url, &|name| std::env::var(name).ok()).map_err(refused)?;
    let mut config = Config::new(url);
    config.root_cert = authorities(cluster).map_err(refused)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = server_name(cluster).map_err(refused)?;
    config.proxy_url = proxy;
    Ok(config)
}

/// The address of the API server. As for kubectl, one without a scheme is plain HTTP, and HTTPS where certificates are named.
fn server(cluster: &Cluster) -> Result<Uri, String> {
    let text = filled(cluster.server.as_deref()).ok_or("its cluster has no `server`")?;
    let has_certificates = filled(cluster.certificate_authority.as_deref()).is_some()
        || filled(cluster.certificate_authority_data.as_deref()).is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    let url = match (text.contains("://"), has_certificates) {
        (true, _) => text.to_owned(),
        (false, true) => format!("https://{text}"),
        (false, false) => format!("http://{text}"),
    };
    address(&url, &["https", "http"]).ok_or_else(|| "its `server` is not like https://host:6443".to_owned())
}

/// A URL of one of these schemes with a host. One with a user's name or a password in it is printed, and so refused.
fn address(text: &str, schemes: &[&str]) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let authority = url.authority()?;
    let has_port = authority.port_u16().is_some() || authority.as_str() == authority.host();
    let fits = schemes.contains(&url.scheme_str()?) && !authority.host().is_empty() && has_port;
    (fits && !authority.as_str().contains('@')).then_some(url)
}

/// The proxy that leads to the server: the cluster's, else the environment's where that is not for this server.
fn proxy(
    cluster: &Cluster,
    server: &Uri,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, String> {
    let own = filled(cluster.proxy_url.as_deref()).map(|text| (text.to_owned(), "its `proxy-url`"));
    let from = |name: &'static str| variable(name).filter(|value| !value.trim().is_empty()).zip(Some(name));
    let general = || from("HTTPS_PROXY").or_else(|| from("https_proxy"));
    let found = own.or_else(|| general().filter(|_| !server.host().is_some_and(without_proxy)));
    let Some((text, name)) = found else { return Ok(None) };
    let text = text.trim();
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    read_proxy(&url)
        .map(Some)
        .ok_or_else(|| format!("{name} is not like http://host:3128 or socks5://host:1080"))
}

fn read_proxy(text: &str) -> Option<Uri> {
    // Either way it is the proxy that looks up the host's name.
    let text =
        text.strip_prefix("socks5h://").map_or_else(|| text.to_owned(), |rest| format!("socks5://{rest}"));
    let url: Uri = text.parse().ok()?;
    let authority = url.authority().filter(|authority| !authority.host().is_empty())?;
    match url.scheme_str()? {
        "socks5" if authority.port().is_none() => format!("socks5://{authority}:{SOCKS_PORT}/").parse().ok(),
        "socks5" | "http" | "https" => Some(url),
        _ => None,
    }
}

fn server_name(cluster: &Cluster) -> Result<Option<String>, String> {
    let Some(name) = filled(cluster.tls_server_name.as_deref()) else { return Ok(None) };
    match ServerName::try_from(name) {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(_) => Err("its `tls-server-name` is not a host name".to_owned()),
    }
}

/// The authorities that are trusted; `None` for those of the system.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    let (data, file) =
        (cluster.certificate_authority_data.as_deref(), cluster.certificate_authority.as_deref());
    let Some(pem) = data_or_file("certificate-authority", data, file)? else { return Ok(None) };
    let certificates =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if certificates.is_empty() {
        return Err("its `certificate-authority` holds no certificate (PEM)".to_owned());
    }
    Ok(Some(certificates.into_iter().map(|one| one.to_vec()).collect()))
}

/// Reads the user's certificate and key, so that the user holds them as the library wants them.
pub(crate) fn identify(user: &mut AuthInfo, context: &str) -> Result<()> {
    let refused = |what: String| broken(context, &what);
    let key = user.client_key_data.as_ref().map(|key| key.expose_secret().to_owned());
    let key = data_or_file("client-key", key.as_deref(), user.client_key.as_deref()).map_err(refused)?;
    let (data, file) = (user.client_certificate_data.as_deref(), user.client_certificate.as_deref());
    let certificate = data_or_file("client-certificate", data, file).map_err(refused)?;
    (user.client_key, user.client_key_data) = (None, None);
    (user.client_certificate, user.client_certificate_data) = (None, None);
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(()),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            return Err(broken(context, "its user has a `client-certificate` and no `client-key`"));
        }
        (None, Some(_)) => {
            return Err(broken(context, "its user has a `client-key` and no `client-certificate`"));
        }
    };
    if !matches!(CertificateDer::pem_slice_iter(&certificate).next(), Some(Ok(_))) {
        return Err(broken(context, "its `client-certificate` holds no certificate (PEM)"));
    }
    if PrivateKeyDer::from_pem_slice(&key).is_err() {
        return Err(broken(context, "its `client-key` holds no private key without a passphrase (PEM)"));
    }
    user.client_certificate_data = Some(STANDARD.encode(certificate));
    user.client_key_data = Some(STANDARD.encode(key).into());
    Ok(())
}

/// What stands in the field `<name>-data`, else in the file that the field `<name>` names.
fn data_or_file(name: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = filled(data) {
        let data: String = data.split_ascii_whitespace().collect();
        let decoded = STANDARD.decode(data).map_err(|_| format!("its `{name}-data` is not base64"))?;
        return Ok(Some(decoded));
    }
    let Some(file) = filled(file) else { return Ok(None) };
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => Err(format!("its `{name}` {file} cannot be read: {error}")),
    }
}

/// An empty field is none.
fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(server: &str) -> Cluster {
        Cluster { server: Some(server.to_owned()), ..Cluster::default() }
    }

    #[test]
    fn a_server_is_read_as_kubectl_reads_it() {
        let read = |cluster: Cluster| server(&cluster).map(|url| url.to_string());
        assert_eq!(read(at("127.0.0.1:6443")).as_deref(), Ok("http://127.0.0.1:6443/"));
        assert_eq!(read(at(" localhost:6443\n")).as_deref(), Ok("http://localhost:6443/"));
        let insecure = Cluster { insecure_skip_tls_verify: Some(true), ..at("api.test:6443") };
        assert_eq!(read(insecure).as_deref(), Ok("https://api.test:6443/"));
        assert_eq!(read(at("https://host.test/k8s/c-1")).as_deref(), Ok("https://host.test/k8s/c-1"));
        for wrong in [
            "",
            "https://",
            "ftp://a.test",
            "https://ann:hunter22@a.test",
            "a b",
            "https://a.test:99999",
            "/x",
        ] {
            let error = read(at(wrong)).expect_err(wrong);
            assert!(error.contains("`server`") && !error.contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn a_proxy_is_the_clusters_or_that_of_the_environment() {
        let url: Uri = "https://api.test:6443".parse().expect("a URL");
        let read = |own: &str, variable: Option<&str>| {
            let cluster = Cluster { proxy_url: Some(own.to_owned()), ..at("https://api.test:6443") };
            let get = |name: &str| (name == "HTTPS_PROXY").then(|| variable.map(str::to_owned))?;
            proxy(&cluster, &url, &get).map(|proxy| proxy.map(|proxy| proxy.to_string()).unwrap_or_default())
        };
        assert_eq!(read("", None).as_deref(), Ok(""));
        assert_eq!(read("", Some("proxy.test:3128")).as_deref(), Ok("http://proxy.test:3128/"));
        assert_eq!(read("socks5h://p.test", Some("x")).as_deref(), Ok("socks5://p.test:1080/"));
        assert_eq!(read("socks5://p.test:1", None).as_deref(), Ok("socks5://p.test:1/"));
        for (own, variable, named) in [
            ("http://", None, "`proxy-url`"),
            ("ftp://p.test", None, "`proxy-url`"),
            ("", Some("://"), "HTTPS_PROXY"),
        ] {
            assert!(read(own, variable).expect_err(own).contains(named));
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_by_its_field() {
        let base64 = |text: &str| STANDARD.encode(text);
        let cluster =
            |data: String| Cluster { certificate_authority_data: Some(data), ..at("https://a.test") };
        let refused =
            |cluster: Cluster| config(&cluster, "lab").expect_err("it is refused").message().to_owned();
        assert!(refused(cluster("%%%".into())).contains("`certificate-authority-data` is not base64"));
        assert!(refused(cluster(base64("no PEM"))).contains("`certificate-authority` holds no certificate"));
        let file = Cluster { certificate_authority: Some("/no/such/ca.crt".into()), ..at("https://a.test") };
        assert!(refused(file).contains("/no/such/ca.crt cannot be read"));
        let name = Cluster { tls_server_name: Some("a b".into()), ..at("https://a.test") };
        assert!(refused(name).contains("`tls-server-name`"));
        let user = |certificate: Option<String>, key: Option<String>| AuthInfo {
            client_certificate_data: certificate,
            client_key_data: key.map(Into::into),
            ..AuthInfo::default()
        };
        let refused =
            |mut user: AuthInfo| identify(&mut user, "lab").expect_err("it is refused").message().to_owned();
        assert!(refused(user(Some(base64("x")), None)).contains("no `client-key`"));
        assert!(refused(user(None, Some(base64("x")))).contains("no `client-certificate`"));
        assert!(
            refused(user(Some(base64("x")), Some(base64("y")))).contains("`client-certificate` holds no")
        );
        assert!(identify(&mut user(Some(String::new()), None), "lab").is_ok(), "an empty field is none");
    }
}
