//! A connection to the Engine of our own, taken over for another protocol: what the library keeps to itself.

use std::io;
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;
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
    /// [`Kind::Unreachable`] where the Engine does not switch protocols, or not in time.
    pub(crate) async fn hijack(&self, path: &str, headers: &[(&str, String)]) -> Result<Hijacked> {
        let limit = self.deadlines().session;
        let taken = tokio::time::timeout(limit, self.switch(path, headers)).await;
        taken.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs()))).map_err(|why| {
            let message = format!("the Docker Engine at {} accepted no session: {why}", self.address());
            Error::new(Kind::Unreachable, message)
                .with_hint("check that it is still running: `docker version`")
        })
    }

    /// Runs a command in a container: what goes in and comes out of it is the connection. What it complains of breaks that off.
    ///
    /// # Errors
    /// In the Engine's words, where there is no such container or it does not run.
    pub(crate) async fn exec_connection(
        &self,
        container: &str,
        command: &[&str],
    ) -> io::Result<impl Read + Write + Send + Unpin + 'static + use<>> {
        let options = CreateExecOptions {
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.docker.create_exec(container, options).await.map_err(io::Error::other)?;
        let started = self.docker.start_exec(&exec.id, None).await.map_err(io::Error::other)?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(io::Error::other("the Engine returned no connection to the container"));
        };
        let pieces = output.filter_map(async |piece| match piece {
            Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
            Ok(LogOutput::StdErr { message }) => {
                Some(Err(io::Error::other(String::from_utf8_lossy(&message).trim().to_owned())))
            }
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        });
        Ok(TokioIo::new(tokio::io::join(StreamReader::new(Box::pin(pieces)), input)))
    }

    async fn switch(&self, path: &str, headers: &[(&str, String)]) -> Result<Hijacked, String> {
        let refused = |error: hyper::Error| error.to_string();
        let io = self.io().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(refused)?;
        // It has ended when the protocol is switched, or nobody waits for that any more.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
        let mut request = Request::post(path)
            .header(header::HOST, "docker")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(refused)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(format!("it answered {}", response.status()));
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(refused)
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
