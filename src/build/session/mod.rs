//! What a builder may ask of us while it builds, over a session in its own words (gRPC): who we are to registries, what
//! the build may see and no image keeps (secrets and the SSH agent, for `RUN --mount=type=secret` and `type=ssh`), and the
//! files of the context.
//!
//! The library's session knows credentials only, so that builds have one of ours, which knows those too.

pub(crate) mod file_sync;
pub(crate) mod upload;
pub(crate) mod watchdog;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::v1 as filesync;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::{Ssh, SshServer};
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use futures::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use crate::build::session::file_sync::Files;
use crate::error::{Error, Kind, Result};
use crate::model::Credentials;

/// Bytes that the headers of a request may have.
const HEADERS: u32 = 8 * 1024 * 1024;

/// What is lent to a build.
#[derive(Default)]
pub(crate) struct BuildInputs {
    /// Values by their ids.
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
    /// The socket of the SSH agent.
    pub(crate) agent: Option<PathBuf>,
}

impl BuildInputs {
    /// These secrets, and with `ssh` the agent that this process knows.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where an SSH agent is wanted and there is none.
    pub(crate) fn new(secrets: BTreeMap<String, Vec<u8>>, ssh: bool) -> Result<Self> {
        Ok(Self { secrets, agent: ssh.then(Self::agent).transpose()? })
    }

    /// The socket of the agent that this process knows.
    fn agent() -> Result<PathBuf> {
        let socket = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from).filter(|socket| socket.exists());
        socket.ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                "the build needs an SSH agent (`ssh: true`), but SSH_AUTH_SOCK does not point to one",
            )
            .with_hint("eval \"$(ssh-agent)\" && ssh-add")
        })
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.secrets.is_empty() && self.agent.is_none()
    }
}

/// What a builder finds at the other end of a session.
pub(crate) struct SessionServer {
    pub(crate) inputs: BuildInputs,
    /// By [the names](crate::model::credentials::server_name) of registries.
    pub(crate) credentials: HashMap<String, Credentials>,
    pub(crate) files: Files,
    /// [`BuildRequest::shared_key`](crate::build::request::BuildRequest::shared_key)
    pub(crate) shared_key: String,
}

/// Serves a build; ended when it is dropped.
pub(crate) struct SessionHandle(JoinHandle<()>);

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SessionServer {
    /// How a session of this id is announced: names and values.
    pub(crate) fn headers(&self, id: &str) -> Vec<(&'static str, String)> {
        let mut methods = vec![
            "/moby.filesync.v1.Auth/Credentials",
            "/moby.buildkit.secrets.v1.Secrets/GetSecret",
            "/grpc.health.v1.Health/Check",
            "/moby.filesync.v1.FileSync/DiffCopy",
        ];
        if self.inputs.agent.is_some() {
            methods.extend(["/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"]);
        }
        let methods =
            methods.into_iter().map(|method| ("x-docker-expose-session-grpc-method", method.to_owned()));
        let names = [
            ("x-docker-expose-session-uuid", id.to_owned()),
            ("x-docker-expose-session-sharedkey", self.shared_key.clone()),
        ];
        names.into_iter().chain(methods).collect()
    }

    /// Answers the builder over this connection until the build is over.
    pub(crate) fn over(
        self,
        connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> SessionHandle {
        // A builder names each file that a Dockerfile copies in a header of its own.
        let mut server = tonic::transport::Server::builder().http2_max_header_list_size(HEADERS);
        let mut router = server
            .add_service(HealthServer::new(HealthService))
            .add_service(AuthServer::new(AuthProvider(self.credentials)))
            .add_service(SecretsServer::new(Values(self.inputs.secrets)))
            .add_service(FileSyncServer::new(self.files));
        if let Some(socket) = self.inputs.agent {
            router = router.add_service(SshServer::new(Agent(socket)));
        }
        // One connection, and then nothing more for ever: the end of the list would end the server.
        let incoming =
            stream::iter([Ok::<_, std::io::Error>(Connection(connection))]).chain(stream::pending());
        SessionHandle(tokio::spawn(async move {
            if let Err(error) = router.serve_with_incoming(incoming).await {
                tracing::debug!(%error, "the build's session ended");
            }
        }))
    }
}

/// A builder asks every five seconds whether we are still there, and gives the build up after two bad answers.
struct HealthService;

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("there is one service"))
    }

    type WatchStream = stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again"))
    }
}

/// The connection to the builder.
struct Connection<T>(T);

impl<T> Connected for Connection<T> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Poller<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Poller<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Poller<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Poller<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Secrets by their ids.
struct Values(BTreeMap<String, Vec<u8>>);

#[tonic::async_trait]
impl Secrets for Values {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        match self.0.get(id) {
            Some(data) => Ok(Response::new(GetSecretResponse { data: data.clone() })),
            None => Err(Status::not_found(format!("secret {id}: not found"))),
        }
    }
}

/// Who we are to registries.
struct AuthProvider(HashMap<String, Credentials>);

#[tonic::async_trait]
impl Auth for AuthProvider {
    async fn credentials(
        &self,
        request: Request<filesync::CredentialsRequest>,
    ) -> Result<Response<filesync::CredentialsResponse>, Status> {
        let host = request.get_ref().host.as_str();
        // The builder's name of Docker Hub is not the one under which its credentials are kept.
        let host = if host == "registry-1.docker.io" { "https://index.docker.io/v1/" } else { host };
        let answer = self.0.get(host).map(|known| filesync::CredentialsResponse {
            // Without a user it is an identity token.
            username: if known.identity_token.is_some() { String::new() } else { known.username.clone() },
            secret: known.secret().to_owned(),
        });
        Ok(Response::new(answer.unwrap_or_default()))
    }

    async fn fetch_token(
        &self,
        _: Request<filesync::FetchTokenRequest>,
    ) -> Result<Response<filesync::FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the builder fetches its tokens itself"))
    }

    async fn get_token_authority(
        &self,
        _: Request<filesync::GetTokenAuthorityRequest>,
    ) -> Result<Response<filesync::GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the builder fetches its tokens itself"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<filesync::VerifyTokenAuthorityRequest>,
    ) -> Result<Response<filesync::VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the builder fetches its tokens itself"))
    }
}

/// The SSH agent behind a socket. Its keys never leave it: the build may have it sign.
struct Agent(PathBuf);

type Forwarded = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Ssh for Agent {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        let id = &request.get_ref().id;
        if id.is_empty() || id == "default" {
            return Ok(Response::new(CheckAgentResponse {}));
        }
        Err(Status::not_found(format!("there is no SSH agent `{id}`, only the default one")))
    }

    type ForwardAgentStream = Forwarded;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Forwarded>, Status> {
        let (reader, mut writer) = UnixStream::connect(&self.0).await?.into_split();
        let mut asked = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(message)) = asked.next().await {
                if writer.write_all(&message.data).await.is_err() {
                    return;
                }
            }
        });
        let answers = stream::unfold(reader, |mut reader| async move {
            let mut data = vec![0; 32 * 1024];
            match reader.read(&mut data).await {
                Ok(0) => None,
                Ok(length) => {
                    data.truncate(length);
                    Some((Ok(BytesMessage { data }), reader))
                }
                Err(error) => Some((Err(Status::from(error)), reader)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
