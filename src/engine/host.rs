//! Which Docker Engine: the answer that the docker command would give, as a function of environment and files.
//!
//! `DOCKER_HOST`, else `DOCKER_CONTEXT` or the context chosen in `config.json`, else the first socket that is there,
//! else GitLab's `docker` service (`tcp://docker:2376` with the certificates in `/certs/client`, else `:2375`): a
//! job's own image does not run the entrypoint that would set `DOCKER_HOST`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ssh::Destination;
use crate::error::{Error, Kind, Result};
use crate::text::hex;

/// How to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Direct(Socket),
    Ssh(Destination),
}

/// What can be connected to from here; behind ssh it is made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    Unix(PathBuf),
    Tcp { address: String, tls: Option<PathBuf> },
}

/// An Engine's place and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) way: Way,
    /// `DOCKER_HOST`, `context lab`, `the default`.
    pub(super) named_by: String,
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.way {
            Way::Direct(Socket::Unix(path)) => write!(f, "unix://{} ({})", path.display(), self.named_by),
            Way::Direct(Socket::Tcp { address, tls: None }) => {
                write!(f, "tcp://{address} ({})", self.named_by)
            }
            Way::Ssh(destination) => write!(f, "{destination} ({})", self.named_by),
            Way::Direct(Socket::Tcp { address, tls: Some(_) }) => {
                write!(f, "tcp://{address} with TLS ({})", self.named_by)
            }
        }
    }
}

/// What the choice depends on.
pub(super) struct Surroundings<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) resolves: &'a dyn Fn(&str) -> bool,
    /// Where absolute paths begin: `/`, but for tests.
    pub(super) root: &'a Path,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    endpoints: std::collections::BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: String,
}

/// Chooses.
///
/// # Errors
/// [`Kind::Invalid`] for an address that is not one and for a context that does not exist.
pub(super) fn choose(around: &Surroundings<'_>) -> Result<Host> {
    let get = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    if let Some(address) = get("DOCKER_HOST") {
        let certificates = certificates(around, get("DOCKER_TLS_VERIFY").is_some(), &address);
        return parse(&address, certificates, "DOCKER_HOST");
    }
    if let Some(directory) = configuration(around.variable) {
        let chosen = get("DOCKER_CONTEXT").unwrap_or_else(|| current_context(&directory));
        if !chosen.is_empty() && chosen != "default" {
            return context(&directory, &chosen);
        }
    }
    Ok(default(around, &get))
}

/// The directory of docker's own configuration.
pub(crate) fn configuration(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let get = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    get("DOCKER_CONFIG").or_else(|| Some(get("HOME")?.join(".docker")))
}

fn current_context(directory: &Path) -> String {
    let text = std::fs::read_to_string(directory.join("config.json")).unwrap_or_default();
    serde_json::from_str::<DockerConfig>(&text).unwrap_or_default().current_context
}

fn context(directory: &Path, name: &str) -> Result<Host> {
    let id = hex::sha256(name.as_bytes());
    let meta = directory.join("contexts/meta").join(&id).join("meta.json");
    let missing = || {
        Error::new(Kind::Invalid, format!("the Docker context `{name}` is not in {}", directory.display()))
            .with_hint("see `docker context ls`, or unset DOCKER_CONTEXT")
    };
    let text = std::fs::read_to_string(meta).map_err(|_| missing())?;
    let context: Context = serde_json::from_str(&text).map_err(|_| missing())?;
    let endpoint = context.endpoints.get("docker").ok_or_else(missing)?;
    let tls = directory.join("contexts/tls").join(&id).join("docker");
    parse(&endpoint.host, tls.join("ca.pem").exists().then_some(tls), &format!("context {name}"))
}

/// The directory of `ca.pem`, `cert.pem` and `key.pem`, where TLS is asked for.
fn certificates(around: &Surroundings<'_>, verify: bool, address: &str) -> Option<PathBuf> {
    let get = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    let service = around.root.join("certs/client");
    if verify || address.starts_with("https://") {
        let home = || get("HOME").map(|home| PathBuf::from(home).join(".docker"));
        return get("DOCKER_CERT_PATH").map(PathBuf::from).or_else(home);
    }
    // The port of TLS, and the certificates of GitLab's service: DOCKER_TLS_VERIFY was forgotten.
    (address.ends_with(":2376") && service.join("ca.pem").exists()).then_some(service)
}

fn parse(address: &str, tls: Option<PathBuf>, named_by: &str) -> Result<Host> {
    let named_by = named_by.to_owned();
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err(Error::new(Kind::Invalid, format!("{named_by} is `{address}`, which is not an address"))
            .with_hint("write it like unix:///var/run/docker.sock or tcp://docker:2376"));
    };
    match scheme {
        "unix" => Ok(Host { way: Way::Direct(Socket::Unix(PathBuf::from(rest))), named_by }),
        "tcp" | "http" | "https" => {
            let rest = rest.trim_end_matches('/');
            let port = if tls.is_some() { 2376 } else { 2375 };
            let address = if rest.contains(':') { rest.to_owned() } else { format!("{rest}:{port}") };
            Ok(Host { way: Way::Direct(Socket::Tcp { address, tls }), named_by })
        }
        "ssh" => match Destination::parse(rest) {
            Some(destination) => Ok(Host { way: Way::Ssh(destination), named_by }),
            None => Err(Error::new(
                Kind::Invalid,
                format!("{named_by} is `{address}`, which is not an ssh address"),
            )
            .with_hint("write it like ssh://user@host or ssh://user@host:2222")),
        },
        other => Err(Error::new(
            Kind::Invalid,
            format!("{named_by} is `{address}`, and the scheme `{other}` is not supported"),
        )
        .with_hint("use unix://, tcp:// or ssh://")),
    }
}

fn default(around: &Surroundings<'_>, get: &dyn Fn(&str) -> Option<String>) -> Host {
    let mut sockets = vec![around.root.join("var/run/docker.sock")];
    if let Some(runtime) = get("XDG_RUNTIME_DIR").map(PathBuf::from) {
        sockets.extend([runtime.join("docker.sock"), runtime.join("podman/podman.sock")]);
    }
    sockets.push(around.root.join("run/podman/podman.sock"));
    if let Some(found) = sockets.iter().find(|socket| socket.exists()) {
        return Host { way: Way::Direct(Socket::Unix(found.clone())), named_by: "the default".to_owned() };
    }
    if (around.resolves)("docker") {
        let certificates = around.root.join("certs/client");
        let tls = certificates.join("ca.pem").exists().then_some(certificates);
        let address = if tls.is_some() { "docker:2376" } else { "docker:2375" };
        return Host {
            way: Way::Direct(Socket::Tcp { address: address.to_owned(), tls }),
            named_by: "the job's docker service".to_owned(),
        };
    }
    Host { way: Way::Direct(Socket::Unix(sockets.swap_remove(0))), named_by: "the default".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], root: &Path, service: bool) -> Result<Host> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        choose(&Surroundings {
            variable: &|name| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()),
            resolves: &|_| service,
            root,
        })
    }

    #[test]
    fn the_variable_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let host = chosen(&[("DOCKER_HOST", "unix:///x.sock"), ("DOCKER_CONTEXT", "lab")], root.path(), true)
            .unwrap();
        assert_eq!(host.to_string(), "unix:///x.sock (DOCKER_HOST)");
        let host = chosen(
            &[("DOCKER_HOST", "tcp://docker:2376"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")],
            root.path(),
            true,
        )
        .unwrap();
        assert_eq!(
            host.way,
            Way::Direct(Socket::Tcp { address: "docker:2376".into(), tls: Some("/c".into()) })
        );
    }

    #[test]
    fn a_context_is_looked_up_by_the_hash_of_its_name() {
        let home = tempfile::tempdir().unwrap();
        let meta = home.path().join("contexts/meta").join(hex::sha256(b"lab"));
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"lab","Endpoints":{"docker":{"Host":"tcp://10.0.0.1:2375"}}}"#,
        )
        .unwrap();
        std::fs::write(home.path().join("config.json"), r#"{"currentContext":"lab"}"#).unwrap();
        let config = home.path().to_str().unwrap();
        let host = chosen(&[("DOCKER_CONFIG", config)], home.path(), false).unwrap();
        assert_eq!(host.to_string(), "tcp://10.0.0.1:2375 (context lab)");
        let error =
            chosen(&[("DOCKER_CONFIG", config), ("DOCKER_CONTEXT", "gone")], home.path(), false).unwrap_err();
        assert!(error.message().contains("`gone`"), "{error}");
    }

    #[test]
    fn without_a_socket_the_job_s_service_is_tried() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            chosen(&[("DOCKER_HOST", "")], root.path(), true).unwrap().to_string(),
            "tcp://docker:2375 (the job's docker service)"
        );
        std::fs::create_dir_all(root.path().join("certs/client")).unwrap();
        std::fs::write(root.path().join("certs/client/ca.pem"), "").unwrap();
        assert!(
            chosen(&[], root.path(), true).unwrap().to_string().starts_with("tcp://docker:2376 with TLS")
        );
        let forgotten = chosen(&[("DOCKER_HOST", "tcp://docker:2376")], root.path(), true).unwrap();
        assert!(forgotten.to_string().contains("with TLS"), "{forgotten}");
        assert!(chosen(&[], root.path(), false).unwrap().to_string().contains("docker.sock"));
    }

    #[test]
    fn an_address_that_is_none_says_so() {
        let chosen = |address| chosen(&[("DOCKER_HOST", address)], Path::new("/"), false);
        assert_eq!(chosen("ssh://me@build.test").unwrap().to_string(), "ssh://me@build.test (DOCKER_HOST)");
        for address in ["nonsense", "ssh://-x", "npipe://x"] {
            assert_eq!(chosen(address).unwrap_err().kind(), Kind::Invalid, "{address}");
        }
    }
}
