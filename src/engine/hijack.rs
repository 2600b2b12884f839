//! A connection to the Engine of our own, taken over for another protocol: what the library keeps to itself.

use std::pin::Pin;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpStream, UnixStream};
use tower::ServiceExt as _;

use super::Engine;
use super::host::Socket;
use crate::error::{Error, Kind, Result};

/// What was taken over.
pub(crate) type Hijacked = TokioIo<hyper::upgrade::Upgraded>;

/// A connection of whatever kind.
trait Io: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Io for T {}

impl Engine {
    /// Asks for `path` with these headers, to go on in the protocol `h2c`.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] where the Engine does not switch protocols.
    pub(crate) async fn hijack(&self, path: &str, headers: &[(&str, String)]) -> Result<Hijacked> {
        let refused = |why: String| {
            Error::new(
                Kind::Unreachable,
                format!("the Docker Engine at {} takes no session: {why}", self.address()),
            )
        };
        let io = self.io().await.map_err(refused)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|error| refused(error.to_string()))?;
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::post(path)
            .header(header::HOST, "docker")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| refused(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| refused(error.to_string()))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(format!("it answered {}", response.status())));
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(|error| refused(error.to_string()))
    }

    async fn io(&self) -> Result<Pin<Box<dyn Io>>, String> {
        let text = |error: std::io::Error| error.to_string();
        Ok(match &self.socket {
            Socket::Unix(path) => Box::pin(TokioIo::new(UnixStream::connect(path).await.map_err(text)?)),
            Socket::Tcp { address, tls: None } => {
                Box::pin(TokioIo::new(TcpStream::connect(address).await.map_err(text)?))
            }
            Socket::Tcp { address, tls: Some(certificates) } => {
                let config = tls(certificates)?;
                let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config);
                let uri: Uri =
                    format!("https://{address}").parse().map_err(|_| "its address is none".to_owned())?;
                let stream = builder.https_only().enable_http1().build().oneshot(uri).await;
                Box::pin(stream.map_err(|error| error.to_string())?)
            }
        })
    }
}

/// The client's side of TLS, from Docker's three files.
fn tls(directory: &std::path::Path) -> Result<rustls::ClientConfig, String> {
    let unreadable = |error: rustls::pki_types::pem::Error| format!("a certificate cannot be read: {error}");
    let all = |name: &str| {
        let read = CertificateDer::pem_file_iter(directory.join(name)).map_err(unreadable)?;
        read.collect::<Result<Vec<_>, _>>().map_err(unreadable)
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(all("ca.pem")?);
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).map_err(unreadable)?;
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    config.with_client_auth_cert(all("cert.pem")?, key).map_err(|error| error.to_string())
}
