//! The connection to a BuildKit daemon: a socket, a port with or without TLS, or a container of the Engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::CONNECT;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, innermost};
use crate::project::Project;

/// Where a daemon is.
#[derive(Debug)]
pub(super) enum Location {
    /// `tcp://buildkitd:1234`, `unix:///run/buildkit/buildkitd.sock`.
    Address { address: String, tls: Option<Tls> },
    /// In this container of the Engine, `of` a builder of buildx.
    Container { name: String, of: String },
}

/// The files of a connection with TLS.
#[derive(Debug)]
pub(super) struct Tls {
    /// Certificates that the daemon's may be signed by.
    pub(super) ca: PathBuf,
    /// Our own certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// Whose the daemon's certificate is, where that is not the host of the address.
    pub(super) server_name: Option<String>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, .. } => f.write_str(address),
            Self::Container { name, .. } => write!(f, "container {name}"),
        }
    }
}

impl Location {
    /// The endpoint, with what its TLS asks for.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an address that is none, and for certificates that cannot be read.
    pub(super) fn endpoint(&self, project: &Project) -> Result<Endpoint> {
        match self {
            Self::Address { address, tls } => endpoint(project, address, tls.as_ref()),
            Self::Container { .. } => Ok(patient(Endpoint::from_static("http://buildkitd"))),
        }
    }

    /// Connects, by the Engine where the daemon is in one of its containers; says why nobody answers where nobody does.
    pub(super) async fn connect(
        &self,
        endpoint: Endpoint,
        engine: Option<Engine>,
    ) -> Result<Channel, String> {
        let connected = match (self, engine) {
            (Self::Container { name, .. }, Some(engine)) => {
                let name = name.clone();
                // As buildx does.
                let dial = move |_: Uri| {
                    let (engine, name) = (engine.clone(), name.clone());
                    async move { engine.exec_connection(&name, &["buildctl", "dial-stdio"]).await }
                };
                endpoint.connect_with_connector(tower::service_fn(dial)).await
            }
            _ => endpoint.connect().await,
        };
        connected.map_err(|error| innermost(&error))
    }

    /// What to do where nobody answers.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Address { .. } => {
                "`builder:` in windlass.yaml names it; check that `buildkitd` is running and listening there"
                    .to_owned()
            }
            Self::Container { of, .. } => format!("`docker buildx inspect --bootstrap {of}` starts it"),
        }
    }
}

/// An endpoint whose end is noticed.
fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(Duration::from_secs(30))
}

/// The endpoint of an address, with what its TLS asks for.
fn endpoint(project: &Project, address: &str, tls: Option<&Tls>) -> Result<Endpoint> {
    let invalid = |what: &str, why: &dyn fmt::Display| {
        Error::new(Kind::Invalid, format!("`builder` in windlass.yaml: {what}: {why}"))
    };
    let read = |file: &Path| {
        let path = project.root.join(file);
        std::fs::read(&path).map_err(|error| invalid(&format!("{} cannot be read", file.display()), &error))
    };
    let plain = address.strip_prefix("tcp://");
    let scheme = if tls.is_some() { "https" } else { "http" };
    let uri = plain.map_or_else(|| address.to_owned(), |host| format!("{scheme}://{host}"));
    let endpoint = Endpoint::from_shared(uri).map_err(|error| invalid("it is not an address", &error))?;
    let endpoint = patient(endpoint);
    let (Some(tls), true) = (tls, plain.is_some()) else { return Ok(endpoint) };
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
    if let Some((cert, key)) = &tls.identity {
        config = config.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    if let Some(name) = &tls.server_name {
        config = config.domain_name(name);
    }
    endpoint.tls_config(config).map_err(|error| invalid("its certificates cannot be used", &error))
}
