//! The connection to a Docker Engine: which one, credentials for it, labels, and reaping what a killed run left.

use std::collections::HashMap;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as Bollard;
use bollard::models::SystemVersion;
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListNetworksOptions, RemoveContainerOptions,
    RemoveImageOptions, TagImageOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use http::HeaderValue;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use crate::error::{Error, Kind, Result};
use crate::model::credentials::server_name;
use crate::model::{Credentials, Reference, labels};
use crate::project::ci;
use crate::session::{Session, Unanswered};

mod archive;
mod build;
mod container;
mod deadline;
pub(crate) mod fault;
mod hijack;
pub(crate) mod host;
pub(crate) mod owner;
mod pull;
mod push;
#[cfg(test)]
pub(crate) mod silent;
mod ssh;

pub(crate) use archive::Archive;
pub(crate) use build::{BuildParameters, Interruption};
pub(crate) use container::{Container, ContainerHealth, ContainerSpec, Exit, reason};
pub(crate) use deadline::Deadlines;
pub(crate) use owner::Owner;

use host::{Socket, Way};

/// Limit of plain requests, in seconds; streams have their own.
const REQUEST_LIMIT: u64 = 120;
/// A service of a CI job may still be starting.
const STARTING_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to say who it is.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long removing what former runs left may hold a run up.
const REAP_LIMIT: Duration = Duration::from_secs(30);

/// Which of its two builders an Engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builder {
    /// BuildKit, inside the Engine.
    BuildKit,
    /// The classic builder: Podman, Windows, and any Engine with `DOCKER_BUILDKIT=0`.
    Classic,
}

/// A Docker Engine that answered.
#[derive(Clone)]
pub(crate) struct Engine {
    docker: Docker,
    address: String,
    socket: Socket,
    /// Held as long as anybody uses the Engine.
    tunnel: Option<Arc<ssh::Tunnel>>,
    version: String,
    deadlines: Deadlines,
    /// Its time, and when it was read.
    clock: Arc<OnceCell<(Timestamp, Instant)>>,
    /// Whether it is Podman, which speaks the Engine's words.
    pub(crate) is_podman: bool,
    /// Which builder it has.
    pub builder: Builder,
    /// `linux/amd64`: what it builds and runs by itself.
    pub platform: String,
}

impl Engine {
    /// Connects to the Engine that the docker command would use (see [`host`]), and asks it who it is.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] where no Engine answers, with the address and who named it; [`Kind::Denied`] where its
    /// socket may not be opened; [`Kind::Invalid`] for a wrong address, context or certificate.
    pub(crate) async fn connect(session: &Session) -> Result<Self> {
        session.once_started(STARTING_LIMIT, || Self::attempt(session)).await
    }

    /// Chooses, connects, and asks who answers: a service of a CI job may create its certificates and its socket only now.
    async fn attempt(session: &Session) -> Result<Self, Unanswered> {
        let host = chosen(session).await.map_err(Unanswered::Final)?;
        let (socket, tunnel) = reach(&host).map_err(Unanswered::Final)?;
        let docker = open(&host, &socket).map_err(|error| match &socket {
            // Certificates are written while others look for them.
            Socket::Tcp { tls: Some(_), .. } => not_yet(&host, error),
            _ => Unanswered::Final(error),
        })?;
        let version = version_of(session, &host, &docker, tunnel.as_deref()).await?;
        let is_podman =
            version.components.iter().flatten().any(|part| part.name.to_lowercase().contains("podman"));
        let os = version.os.unwrap_or_else(|| "linux".to_owned());
        // As the docker command, of which people know the variable.
        let wants_classic = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let is_classic = is_podman || os != "linux" || wants_classic;
        let builder = if is_classic { Builder::Classic } else { Builder::BuildKit };
        let platform = format!("{os}/{}", version.arch.unwrap_or_else(|| "amd64".to_owned()));
        let version = version.version.unwrap_or_default();
        Ok(Self {
            docker,
            address: host.to_string(),
            socket,
            tunnel,
            version,
            deadlines: Deadlines::default(),
            clock: Arc::default(),
            is_podman,
            builder,
            platform,
        })
    }

    /// An Engine of a test, by its TCP address, that is waited for no longer than this.
    #[cfg(test)]
    pub(crate) fn at(address: &str, deadlines: Deadlines) -> Self {
        let socket = Socket::Tcp { address: address.to_owned(), tls: None };
        let host = host::Host { way: Way::Direct(socket.clone()), named_by: "a test".to_owned() };
        Self {
            docker: open(&host, &socket).expect("a client"),
            address: host.to_string(),
            socket,
            tunnel: None,
            version: "29.0.0".to_owned(),
            deadlines,
            clock: Arc::default(),
            is_podman: false,
            builder: Builder::BuildKit,
            platform: "linux/amd64".to_owned(),
        }
    }

    /// The time by the Engine's clock; `None` where it does not tell. The clock of this machine may be an hour off.
    pub(crate) async fn now(&self) -> Option<Timestamp> {
        let read = async || {
            let told =
                self.at_once(self.docker.info()).await.ok().and_then(|info| info.system_time).ok_or(())?;
            Ok::<_, ()>((told.parse::<Timestamp>().map_err(drop)?, Instant::now()))
        };
        let (time, read_at) = *self.clock.get_or_try_init(read).await.ok()?;
        time.checked_add(read_at.elapsed()).ok()
    }

    /// Where it keeps images, if that is a directory of this machine.
    pub(crate) async fn local_data(&self) -> Option<String> {
        let is_local = matches!(self.socket, Socket::Unix(_)) && self.tunnel.is_none();
        let directory = self.at_once(self.docker.info()).await.ok()?.docker_root_dir?;
        (is_local && std::path::Path::new(&directory).is_dir()).then_some(directory)
    }

    /// The library's client.
    fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where it is and who said so: `unix:///var/run/docker.sock (the default)`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its version, `20.10.24`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The first number of its version; a version that is none counts as the newest.
    pub(crate) fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
    }

    /// Who it is, in one line.
    pub(crate) fn describe(&self) -> String {
        let builder = match self.builder {
            Builder::BuildKit => "BuildKit",
            Builder::Classic => "the classic builder",
        };
        format!("Engine {} at {}: {}, {builder}", self.version, self.address, self.platform)
    }

    /// Gives a local image one more name.
    ///
    /// # Errors
    /// [`Kind::Build`] where there is no such image.
    pub(crate) async fn tag(&self, image: &str, name: &Reference) -> Result<()> {
        let options = TagImageOptions { repo: Some(name.name()), tag: name.tag.clone() };
        let done = self.at_once(self.docker.tag_image(image, Some(options))).await;
        done.map_err(|error| self.error(Kind::Build, "tagging the image", &error))
    }

    /// Takes a name from a local image, and the image where it has no other. Trouble is not an error: the name stays, as those of
    /// other programs do.
    pub(crate) async fn untag(&self, name: &Reference) {
        let options = RemoveImageOptions { noprune: true, ..Default::default() };
        if let Err(error) =
            self.at_once(self.docker.remove_image(&name.to_string(), Some(options), None)).await
        {
            tracing::debug!(%error, %name, "the name stays in the Engine");
        }
    }

    /// What `docker image inspect` says of a local image; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`Kind::Build`], and [`Kind::Unreachable`] where the Engine is gone.
    pub(crate) async fn inspect(&self, image: &str) -> Result<Option<Value>> {
        match self.at_once(self.docker.inspect_image(image)).await {
            Ok(found) => Ok(serde_json::to_value(found).ok()),
            Err(error) if fault::status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.error(Kind::Build, "looking at an image", &error)),
        }
    }

    /// Removes containers, networks and images of runs that have ended without doing so; see [`owner::is_over`].
    /// Trouble is not an error: the next run tries again.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub(crate) async fn reap(&self, session: &Session) -> Result<()> {
        let sweeping = async {
            let now = self.now().await;
            self.remove_unused(labels::RUN, &|labels| owner::is_over(labels, now)).await;
            self.remove_unused_images(now).await;
        };
        tokio::select! {
            biased;
            () = session.cancel.cancelled() => Err(crate::session::interrupted()),
            _ = timeout(REAP_LIMIT, sweeping) => Ok(()),
        }
    }

    /// Removes what this run has started for these roles. Returns how many things were removed.
    pub(crate) async fn clear(&self, owner: &Owner, role: &(dyn Fn(&str) -> bool + Sync)) -> usize {
        let mine = |labels: &HashMap<String, String>| {
            labels.get(labels::ROLE).is_some_and(|own| role(own))
                && labels.get(labels::RUN).is_some_and(|run| run == owner.run())
        };
        self.remove_unused(&format!("{}={}", labels::RUN, owner.run()), &mine).await
    }

    /// Removes the containers, then the networks, that have a label and are wanted gone.
    async fn remove_unused(
        &self,
        label: &str,
        gone: &(dyn Fn(&HashMap<String, String>) -> bool + Sync),
    ) -> usize {
        let filters = Some(HashMap::from([("label".to_owned(), vec![label.to_owned()])]));
        let listing = ListContainersOptions { all: true, filters: filters.clone(), ..Default::default() };
        let containers = self.at_once(self.docker.list_containers(Some(listing))).await.unwrap_or_default();
        let containers = containers.into_iter().filter(|one| one.labels.as_ref().is_some_and(gone));
        let removed = containers.filter_map(|one| one.id).map(async |id| self.remove_container(&id).await);
        let mut removed = futures::future::join_all(removed).await;
        let networks = self.docker.list_networks(Some(ListNetworksOptions { filters }));
        let networks = self.at_once(networks).await;
        let networks = networks.unwrap_or_default().into_iter();
        for network in networks.filter(|one| one.labels.as_ref().is_some_and(gone)) {
            let id = network.id.unwrap_or_default();
            removed.push(self.at_once(self.docker.remove_network(&id)).await.is_ok());
        }
        removed.into_iter().filter(|gone| *gone).count()
    }

    /// Removes the images of containers that were kept on purpose, when their time is over.
    async fn remove_unused_images(&self, now: Option<Timestamp>) {
        let filters = Some(HashMap::from([("label".to_owned(), vec![labels::RUN.to_owned()])]));
        let listing = ListImagesOptions { all: false, filters, ..Default::default() };
        let images = self.at_once(self.docker.list_images(Some(listing))).await.unwrap_or_default();
        for image in images.into_iter().filter(|one| owner::is_over(&one.labels, now)) {
            let options = RemoveImageOptions { force: true, ..Default::default() };
            let _ = self.at_once(self.docker.remove_image(&image.id, Some(options), None)).await;
        }
    }

    /// Kills and removes a container with its anonymous volumes; `true` when it is gone by this.
    pub(crate) async fn remove_container(&self, id: &str) -> bool {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        self.at_once(self.docker.remove_container(id, Some(options))).await.is_ok()
    }
}

/// The Engine that the docker command would use. Looking up a name may take its time, and gives way to nobody.
async fn chosen(session: &Session) -> Result<host::Host> {
    let choosing = tokio::task::spawn_blocking(|| {
        host::choose(&host::Surroundings {
            variable: &|name| std::env::var(name).ok(),
            resolves: &|name| (name, 2375).to_socket_addrs().is_ok_and(|mut found| found.next().is_some()),
            root: Path::new("/"),
        })
    });
    let choosing = async {
        choosing.await.map_err(|error| Error::new(Kind::Defect, format!("choosing an Engine: {error}")))?
    };
    let late = || {
        Error::new(Kind::Unreachable, "the name `docker` cannot be looked up").with_hint("set DOCKER_HOST")
    };
    session.within(STARTING_LIMIT, choosing, late).await
}

/// An Engine that may answer in a moment.
fn not_yet(host: &host::Host, error: Error) -> Unanswered {
    Unanswered::NotYet { error, sentence: format!("the Docker Engine at {host} does not respond yet") }
}

/// Asks an Engine who it is.
async fn version_of(
    session: &Session,
    host: &host::Host,
    docker: &Docker,
    tunnel: Option<&ssh::Tunnel>,
) -> Result<SystemVersion, Unanswered> {
    let not_yet = |error: Error| {
        if error.kind() == Kind::Unreachable && may_be_starting(host) {
            not_yet(host, error)
        } else {
            Unanswered::Final(error)
        }
    };
    let asked = async { Ok(timeout(ANSWER_LIMIT, docker.version()).await) };
    match session.unless_cancelled(asked).await.map_err(Unanswered::Final)? {
        Ok(Ok(version)) if version.api_version.is_some() => Ok(version),
        Ok(Ok(_)) => {
            Err(Unanswered::Final(stranger(host, "its answer names no version of the Engine's API")))
        }
        Ok(Err(error)) if is_stranger(&error) => {
            Err(Unanswered::Final(stranger(host, "a proxy, or another server, answers instead")))
        }
        Ok(Err(error)) => Err(not_yet(match tunnel.and_then(ssh::Tunnel::complaint) {
            Some(complaint) => silent(host, &complaint),
            None => unreachable(host, &error),
        })),
        Err(_) => Err(not_yet(silent(host, &format!("no answer within {} s", ANSWER_LIMIT.as_secs())))),
    }
}

/// One on the network begins when the job does, and so may one of a job that shares a socket.
fn may_be_starting(host: &host::Host) -> bool {
    match &host.way {
        Way::Direct(Socket::Tcp { .. }) => true,
        Way::Direct(Socket::Unix(path)) => ci::detected() && !path.exists(),
        Way::Ssh(_) => false,
    }
}

/// Whether something answered that is no Engine, and will be none in a minute either. By 400 answers one that wants TLS.
fn is_stranger(error: &Bollard) -> bool {
    matches!(error, Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. })
        || matches!(fault::status(error), Some(300..=399 | 401..=499))
}

fn stranger(host: &host::Host, why: &str) -> Error {
    let message = format!("{host} is not a Docker Engine: {why}");
    Error::new(Kind::Unreachable, message)
        .with_hint("check DOCKER_HOST, and that no login page is in between")
}

/// The credentials in the words of the Engine's API.
fn for_engine(known: &Credentials, host: &str) -> DockerCredentials {
    let secret = Some(known.secret().to_owned());
    let credentials =
        DockerCredentials { serveraddress: Some(server_name(host).to_owned()), ..Default::default() };
    if known.identity_token.is_some() {
        return DockerCredentials { identitytoken: secret, ..credentials };
    }
    DockerCredentials { username: Some(known.username.clone()), password: secret, ..credentials }
}

/// The socket to connect to, and the tunnel that keeps it where the Engine is behind ssh.
fn reach(host: &host::Host) -> Result<(Socket, Option<Arc<ssh::Tunnel>>)> {
    let destination = match &host.way {
        Way::Direct(socket) => return Ok((socket.clone(), None)),
        Way::Ssh(destination) => destination,
    };
    let tunnel = ssh::Tunnel::open(destination.clone());
    let tunnel =
        tunnel.map_err(|error| silent(host, &format!("no socket can be made for it here: {error}")))?;
    Ok((Socket::Unix(tunnel.socket()), Some(Arc::new(tunnel))))
}

fn open(host: &host::Host, socket: &Socket) -> Result<Docker> {
    // bollard takes the program's TLS provider; ring is the house's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let docker = match socket {
        Socket::Unix(path) => {
            Docker::connect_with_unix(&path.display().to_string(), REQUEST_LIMIT, API_DEFAULT_VERSION)
        }
        Socket::Tcp { address, tls: None } => {
            Docker::connect_with_http(&format!("http://{address}"), REQUEST_LIMIT, API_DEFAULT_VERSION)
        }
        Socket::Tcp { address, tls: Some(certificates) } => Docker::connect_with_ssl(
            &format!("tcp://{address}"),
            &certificates.join("key.pem"),
            &certificates.join("cert.pem"),
            &certificates.join("ca.pem"),
            REQUEST_LIMIT,
            API_DEFAULT_VERSION,
        ),
    };
    Ok(docker.map_err(|error| unreachable(host, &error))?.with_request_modifier(url_safe))
}

/// bollard encodes credentials in the standard alphabet, the Engine decodes the URL-safe one: a password with
/// `~`, `>` or `?` in the wrong place would be refused.
fn url_safe(mut request: bollard::BollardRequest) -> bollard::BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        let Some(value) = request.headers().get(name).and_then(|value| value.to_str().ok()) else { continue };
        let value = value.replace('+', "-").replace('/', "_");
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers_mut().insert(name, value);
        }
    }
    request
}

fn unreachable(host: &host::Host, error: &Bollard) -> Error {
    let why = fault::text(error);
    if why.to_lowercase().contains("permission denied") {
        return Error::new(Kind::Denied, format!("the Docker Engine at {host} may not be used by this user"))
            .with_hint("add the user to the group of the socket (usually `docker`), or set DOCKER_HOST");
    }
    if let Bollard::CertPathError { path } = error {
        return Error::new(
            Kind::Invalid,
            format!("the certificate {} for the Docker Engine cannot be read", path.display()),
        )
        .with_hint("DOCKER_CERT_PATH must hold ca.pem, cert.pem and key.pem");
    }
    silent(host, &why)
}

fn silent(host: &host::Host, why: &str) -> Error {
    let hint = match &host.way {
        Way::Ssh(_) => {
            "check that `docker -H` with that address reaches it; ssh runs without a terminal, so it \
             needs a key or an agent"
        }
        Way::Direct(Socket::Unix(_)) => "start Docker, or set DOCKER_HOST to where it runs",
        Way::Direct(Socket::Tcp { tls: None, .. }) => {
            "check DOCKER_HOST; for a service with TLS use port 2376, DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH=/certs/client"
        }
        Way::Direct(Socket::Tcp { .. }) => "check DOCKER_HOST and the certificates in DOCKER_CERT_PATH",
    };
    Error::new(Kind::Unreachable, format!("no Docker Engine responds at {host}: {why}")).with_hint(hint)
}
