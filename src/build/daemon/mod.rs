//! One build in a BuildKit daemon (`builder:`): it fetches the context from us, builds, and pushes; no Engine is needed.

mod buildx;
mod connection;

use std::collections::HashMap;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    BytesMessage, CacheOptions, CacheOptionsEntry, ListWorkersRequest, SolveRequest, SolveResponse,
    StatusRequest, StatusResponse,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use self::connection::{Location, Tls};
use crate::build::context::is_elsewhere;
use crate::build::dockerfile::Dockerfile;
use crate::build::progress::BuildProgress;
use crate::build::request::{BuildRequest, Ended, attend, listen, session_id, tell};
use crate::build::session::file_sync::{Files, Trouble};
use crate::build::session::upload::{Sent, Upload};
use crate::build::session::watchdog::Watchdog;
use crate::build::session::{SessionHandle, SessionServer};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::{Credentials, Digest};
use crate::project::{BuilderConfig, CacheMode, ImageConfig, Project, ci};
use crate::registry::Registry;
use crate::report::StepReport;
use crate::session::{Session, Unanswered, interrupted};

/// A service of a job may still be starting: the Kubernetes executor waits for none.
const STARTING: Duration = Duration::from_secs(30);
/// How long the daemon may take to answer at first.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the last words may take once the build is over.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
const ALL_LAST_WORDS: Duration = Duration::from_secs(2);
/// How long it may take to take a session.
const SESSION: Duration = Duration::from_secs(30);
/// What is on its way in a session and not yet taken.
const BUFFER: usize = 256 * 1024;

/// A BuildKit daemon.
pub(super) struct Daemon {
    address: String,
    control: ControlClient<Channel>,
    /// What it builds for where nothing is said: `linux/amd64`.
    pub(super) platform: String,
    /// Whether it is to push over plain HTTP.
    insecure: bool,
}

impl Daemon {
    /// Connects, and asks what it builds for.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for certificates that cannot be read; [`Kind::Unreachable`].
    pub(super) async fn connect(
        session: &Session,
        project: &Project,
        config: &BuilderConfig,
    ) -> Result<Self> {
        let starting = if ci::detected() { STARTING } else { Duration::ZERO };
        Self::connect_once_started(starting, session, project, config).await
    }

    async fn connect_once_started(
        starting: Duration,
        session: &Session,
        project: &Project,
        config: &BuilderConfig,
    ) -> Result<Self> {
        let attempt = || async {
            let connected = Self::connect_within(CONNECT, session, project, config).await;
            connected.map_err(|error| match error.kind() {
                Kind::Unreachable => Unanswered::NotYet { sentence: error.message().to_owned(), error },
                _ => Unanswered::Final(error),
            })
        };
        session.once_started(starting, attempt).await
    }

    async fn connect_within(
        limit: Duration,
        session: &Session,
        project: &Project,
        config: &BuilderConfig,
    ) -> Result<Self> {
        let location = locate(config)?;
        let address = location.to_string();
        let unreachable = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Unreachable, format!("the builder at {address} does not respond: {why}"))
                .with_hint(location.hint())
        };
        let endpoint = location.endpoint(project)?;
        let engine = match &location {
            Location::Container { .. } => Some(Engine::connect(session).await?),
            Location::Address { .. } => None,
        };
        let connecting = async {
            let channel = location.connect(endpoint, engine).await.map_err(|why| unreachable(&why))?;
            let mut control = ControlClient::new(channel);
            let workers = control.list_workers(ListWorkersRequest { filter: Vec::new() }).await;
            let workers = workers.map_err(|status| unreachable(&status.message()))?.into_inner().record;
            let platform = workers.first().and_then(|worker| worker.platforms.first());
            let platform = platform.ok_or_else(|| unreachable(&"it has no worker"))?;
            let parts = [&platform.os, &platform.architecture, &platform.variant];
            let parts: Vec<&str> =
                parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            Ok((control, parts.join("/")))
        };
        let late = || unreachable(&format!("nothing for {} s", limit.as_secs()));
        let (control, platform) = session.within(limit, connecting, late).await?;
        let insecure = project.config.insecure;
        Ok(Self { address, control, platform, insecure })
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        format!("BuildKit at {}: {}", self.address, self.platform)
    }

    /// Builds and pushes to the order's repository; gives a line about what was done and the digest that was pushed,
    /// `None` where the build reads more of its context than was counted.
    ///
    /// # Errors
    /// [`Kind::Build`] with the step that failed; [`Kind::Push`]; [`Kind::Unreachable`] and [`Kind::Denied`] where it is the
    /// daemon or the registry.
    pub(super) async fn build(
        &self,
        session: &Session,
        registry: &Registry,
        step: &StepReport,
        order: &BuildRequest<'_>,
    ) -> Result<Option<(String, Digest)>> {
        let file = Dockerfile::of(&order.context.text, order.image);
        let mut tries = 0;
        loop {
            let credentials = order.credentials(session, registry, &file, &self.platform);
            let credentials = session.unless_cancelled(credentials).await?;
            tries += 1;
            match self.once(session, step, order, credentials).await {
                Ok(done) => return Ok(Some(done)),
                Err(ended) => {
                    if !order.before_another_try(session, step, &file, (tries, ended)).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    async fn once(
        &self,
        session: &Session,
        step: &StepReport,
        order: &BuildRequest<'_>,
        credentials: HashMap<String, Credentials>,
    ) -> Result<(String, Digest), Ended> {
        let id = session_id();
        let sent = Sent::default();
        let served = order.session_server(credentials, &sent).map_err(Ended::Error)?;
        let trouble = served.files.trouble();
        // Held until the build is over.
        let _lending = self.take_session(session, &id, served, SESSION).await.map_err(Ended::Error)?;
        let mut control = self.control.clone();
        let solving = control.solve(self.request(order, &id));
        tokio::pin!(solving);
        let (_listening, mut news) = self.hear(id.clone());
        let (mut progress, mut silence) = (BuildProgress::default(), Watchdog::new());
        let mut upload = Upload::new(sent);
        let builder = format!("the builder at {}", self.address);
        let solved = loop {
            tokio::select! {
                biased;
                // Dropping the request cancels the build.
                () = session.cancel.cancelled() => return Err(Ended::Error(interrupted())),
                Some(status) = news.recv() => {
                    silence.spoke();
                    tell(session, step, order, listen(&mut progress, &status));
                }
                solved = &mut solving => break solved,
                () = silence.lasting() => {
                    let quiet = (&mut silence, &mut upload);
                    let attended = attend(session, step, (order.name, &builder), quiet, self.is_there()).await;
                    attended.map_err(Ended::Error)?;
                }
            }
        };
        last_words(&mut news, |status| tell(session, step, order, listen(&mut progress, status))).await;
        match solved {
            Ok(solved) => {
                let none =
                    || Error::new(Kind::Push, format!("{builder} did not report which image it pushed"));
                let digest = pushed(solved.get_ref()).ok_or_else(|| Ended::Error(none()))?;
                Ok((progress.summary(), digest))
            }
            Err(status) => Err(self.ended(&status, trouble.take(), progress)),
        }
    }

    /// What a build ended with that the builder refused, or could not finish; `trouble` says what was wrong with the files.
    fn ended(&self, status: &Status, trouble: Option<Trouble>, progress: BuildProgress) -> Ended {
        match trouble {
            Some(trouble) => trouble.into(),
            // What the daemon says comes over the connection; what has a source here is the connection's end.
            None if status.code() == Code::Unavailable || std::error::Error::source(status).is_some() => {
                Ended::Error(self.error(status.message()))
            }
            None => Ended::Failed(progress.failure(status.message())),
        }
    }

    /// As [`Daemon::open`], for no longer than this.
    async fn take_session(
        &self,
        session: &Session,
        id: &str,
        served: SessionServer,
        limit: Duration,
    ) -> Result<SessionHandle> {
        let opening = async {
            let opened = self.open(id, served).await;
            opened.map_err(|status| self.error(status.message()))
        };
        let late = || self.error(&format!("it accepted no session within {} s", limit.as_secs()));
        session.within(limit, opening, late).await
    }

    /// Opens a session over which it may ask us.
    async fn open(&self, id: &str, served: SessionServer) -> Result<SessionHandle, Status> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let (reading, mut writing) = tokio::io::split(theirs);
        let outgoing = ReaderStream::with_capacity(reading, BUFFER)
            .filter_map(|piece| async { piece.ok().map(|piece| BytesMessage { data: piece.into() }) });
        let mut request = Request::new(outgoing);
        for (name, value) in served.headers(id) {
            let name = AsciiMetadataKey::from_static(name);
            let value: AsciiMetadataValue =
                value.parse().map_err(|_| Status::internal("the session has no proper name"))?;
            request.metadata_mut().append(name, value);
        }
        let lending = served.over(ours);
        let incoming = self.control.clone().session(request).await?.into_inner();
        tokio::spawn(async move {
            let pieces =
                incoming.map_ok(|piece| bytes::Bytes::from(piece.data)).map_err(std::io::Error::other);
            // It ends when either side has gone.
            let _ = tokio::io::copy(&mut StreamReader::new(pieces), &mut writing).await;
        });
        Ok(lending)
    }

    /// What it says of a build, from the beginning.
    fn hear(&self, id: String) -> (AbortOnDropHandle<()>, mpsc::Receiver<StatusResponse>) {
        let (sender, receiver) = mpsc::channel(64);
        let mut control = self.control.clone();
        let listening = tokio::spawn(async move {
            let Ok(status) = control.status(StatusRequest { r#ref: id }).await else { return };
            let mut status = status.into_inner();
            while let Ok(Some(news)) = status.message().await {
                if sender.send(news).await.is_err() {
                    return;
                }
            }
        });
        (AbortOnDropHandle::new(listening), receiver)
    }

    async fn is_there(&self) -> bool {
        self.control.clone().list_workers(ListWorkersRequest { filter: Vec::new() }).await.is_ok()
    }

    fn request(&self, order: &BuildRequest<'_>, id: &str) -> SolveRequest {
        // By its digest alone: which tags lead to it is decided once it is known what came out.
        let mut exporter = HashMap::from([
            ("name".to_owned(), order.tag.name()),
            ("push".to_owned(), "true".to_owned()),
            ("push-by-digest".to_owned(), "true".to_owned()),
        ]);
        if self.insecure {
            exporter.insert("registry.insecure".to_owned(), "true".to_owned());
        }
        let annotations = order.image.annotations.iter();
        exporter.extend(annotations.map(|(key, value)| (format!("annotation.{key}"), value.clone())));
        let cache = CacheOptions { exports: self.cache_exports(order), ..CacheOptions::default() };
        SolveRequest {
            r#ref: id.to_owned(),
            session: id.to_owned(),
            // The newer field is not known to daemons before 0.13; these are read by all.
            exporter_deprecated: "image".to_owned(),
            exporter_attrs_deprecated: exporter,
            frontend: "dockerfile.v0".to_owned(),
            frontend_attrs: attributes(order),
            cache: Some(cache),
            entitlements: entitlements(order.image),
            ..SolveRequest::default()
        }
    }

    /// What is left for later builds: the layers of the image in the image itself, and those of all stages beside it.
    fn cache_exports(&self, order: &BuildRequest<'_>) -> Vec<CacheOptionsEntry> {
        if order.image.cache == CacheMode::Off {
            return Vec::new();
        }
        let entry = |kind: &str, attrs: &[(&str, String)]| CacheOptionsEntry {
            r#type: kind.to_owned(),
            attrs: attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        let inline = entry("inline", &[]);
        let registry = order.cache_export.as_ref().map(|cache| {
            let yes = || "true".to_owned();
            let attributes = [
                ("ref", cache.to_string()),
                ("mode", "max".to_owned()),
                // As an image, which every registry takes; a registry that takes no cache fails no build.
                ("image-manifest", yes()),
                ("oci-mediatypes", yes()),
                ("ignore-error", yes()),
                ("registry.insecure", self.insecure.to_string()),
            ];
            entry("registry", &attributes)
        });
        std::iter::once(inline).chain(registry).collect()
    }

    /// The error of a daemon that is gone.
    fn error(&self, why: &str) -> Error {
        let message = format!("the builder at {} disconnected during the build: {why}", self.address);
        Error::new(Kind::Unreachable, message).with_hint("check that it is still running")
    }
}

/// What is told after the request has ended: which step failed, too.
async fn last_words(news: &mut mpsc::Receiver<StatusResponse>, mut hear: impl FnMut(&StatusResponse)) {
    let end = Instant::now() + ALL_LAST_WORDS;
    while Instant::now() < end
        && let Ok(Some(status)) = tokio::time::timeout(DRAIN_TIMEOUT, news.recv()).await
    {
        hear(&status);
    }
}

/// Where the daemon is that the configuration names.
///
/// # Errors
/// Those of [`buildx::locate`].
fn locate(config: &BuilderConfig) -> Result<Location> {
    let address = config.address.clone().unwrap_or_default();
    if !address.contains("://") {
        return buildx::locate(&address, &crate::project::variable);
    }
    let identity = config.cert.clone().zip(config.key.clone());
    let tls = config.ca.clone().map(|ca| Tls { ca, identity, server_name: None });
    Ok(Location::Address { address, tls })
}

/// What the Dockerfile's frontend is told.
fn attributes(order: &BuildRequest<'_>) -> HashMap<String, String> {
    let mut attributes = HashMap::from([("filename".to_owned(), Files::dockerfile(&order.context))]);
    let mut set = |key: &str, value: String| {
        if !value.is_empty() {
            attributes.insert(key.to_owned(), value);
        }
    };
    set("target", order.image.target.clone().unwrap_or_default());
    set("platform", order.platforms.join(","));
    set("cache-from", order.cache.join(","));
    let hosts = order.image.extra_hosts.iter().map(|(host, address)| format!("{host}={address}"));
    set("add-hosts", hosts.collect::<Vec<_>>().join(","));
    set("force-network-mode", order.image.network.clone().filter(|one| one != "default").unwrap_or_default());
    set("shm-size", order.image.shm_size.map(|bytes| bytes.to_string()).unwrap_or_default());
    let ulimits =
        order.image.ulimits.iter().map(|(name, limit)| format!("{name}={}:{}", limit.soft, limit.hard));
    set("ulimit", ulimits.collect::<Vec<_>>().join(","));
    for (name, value) in &order.image.contexts {
        let value = if is_elsewhere(value) { value.clone() } else { format!("local:{name}") };
        attributes.insert(format!("context:{name}"), value);
    }
    for (key, value) in &order.image.labels {
        attributes.insert(format!("label:{key}"), value.clone());
    }
    if order.options.no_cache {
        // For all stages: a value would name some.
        attributes.insert("no-cache".to_owned(), String::new());
    }
    if order.options.pull {
        attributes.insert("image-resolve-mode".to_owned(), "pull".to_owned());
    }
    let arguments =
        order.arguments(true).into_iter().map(|(name, value)| (format!("build-arg:{name}"), value));
    attributes.extend(arguments);
    attributes
}

/// What the daemon is asked to allow; a network that is the host's asks for it.
fn entitlements(image: &ImageConfig) -> Vec<String> {
    let mut entitlements = image.entitlements.clone();
    if image.network.as_deref() == Some("host") {
        entitlements.push("network.host".to_owned());
    }
    entitlements.sort();
    entitlements.dedup();
    entitlements
}

/// The image that the builder pushed.
fn pushed(solved: &SolveResponse) -> Option<Digest> {
    solved.exporter_response.get("containerimage.digest")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::moby::buildkit::v1 as proto;
    use bollard_buildkit_proto::moby::buildkit::v1::control_server::{Control, ControlServer};
    use bollard_buildkit_proto::pb;
    use futures::stream;
    use tokio::net::{TcpListener, TcpSocket};
    use tonic::{Response, Streaming};

    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::build::dockerfile::reads::Reads;
    use crate::build::session::BuildInputs;
    use crate::report::Reporter;

    /// A daemon that has a worker, and takes no session.
    struct Deaf;

    type Nothing<T> = stream::Empty<Result<T, Status>>;

    #[tonic::async_trait]
    impl Control for Deaf {
        type PruneStream = Nothing<proto::UsageRecord>;
        type StatusStream = Nothing<StatusResponse>;
        type SessionStream = Nothing<BytesMessage>;
        type ListenBuildHistoryStream = Nothing<proto::BuildHistoryEvent>;

        async fn list_workers(
            &self,
            _: Request<ListWorkersRequest>,
        ) -> Result<Response<proto::ListWorkersResponse>, Status> {
            let platform = pb::Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                ..pb::Platform::default()
            };
            let worker = proto::types::WorkerRecord { platforms: vec![platform], ..Default::default() };
            Ok(Response::new(proto::ListWorkersResponse { record: vec![worker] }))
        }

        async fn session(
            &self,
            _: Request<Streaming<BytesMessage>>,
        ) -> Result<Response<Self::SessionStream>, Status> {
            std::future::pending().await
        }

        async fn solve(&self, _: Request<SolveRequest>) -> Result<Response<proto::SolveResponse>, Status> {
            std::future::pending().await
        }

        async fn status(&self, _: Request<StatusRequest>) -> Result<Response<Self::StatusStream>, Status> {
            std::future::pending().await
        }

        async fn disk_usage(
            &self,
            _: Request<proto::DiskUsageRequest>,
        ) -> Result<Response<proto::DiskUsageResponse>, Status> {
            Err(Status::unimplemented(""))
        }

        async fn prune(
            &self,
            _: Request<proto::PruneRequest>,
        ) -> Result<Response<Self::PruneStream>, Status> {
            Err(Status::unimplemented(""))
        }

        async fn info(
            &self,
            _: Request<proto::InfoRequest>,
        ) -> Result<Response<proto::InfoResponse>, Status> {
            Err(Status::unimplemented(""))
        }

        async fn listen_build_history(
            &self,
            _: Request<proto::BuildHistoryRequest>,
        ) -> Result<Response<Self::ListenBuildHistoryStream>, Status> {
            Err(Status::unimplemented(""))
        }

        async fn update_build_history(
            &self,
            _: Request<proto::UpdateBuildHistoryRequest>,
        ) -> Result<Response<proto::UpdateBuildHistoryResponse>, Status> {
            Err(Status::unimplemented(""))
        }
    }

    fn at(listener: &TcpListener) -> BuilderConfig {
        at_address(listener.local_addr().unwrap())
    }

    fn at_address(address: SocketAddr) -> BuilderConfig {
        BuilderConfig { address: Some(format!("tcp://{address}")), ca: None, cert: None, key: None }
    }

    fn serve(listener: TcpListener) {
        let incoming = stream::unfold(listener, |listener| async move {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let serving = tonic::transport::Server::builder().add_service(ControlServer::new(Deaf));
        tokio::spawn(serving.serve_with_incoming(incoming));
    }

    fn project() -> (tempfile::TempDir, Project) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let options = crate::project::Options { directory: root.path().to_path_buf(), ..Default::default() };
        let project =
            Project::open(&options, crate::project::GitFacts::default(), &crate::project::variable).unwrap();
        (root, project)
    }

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("it comes to an end")
    }

    #[tokio::test]
    async fn a_daemon_that_says_nothing_gives_way_to_a_signal_and_to_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (config, (_root, project)) = (at(&listener), project());
        let session = Session::new(Reporter::silent());
        let moment = Duration::from_millis(200);
        let late = soon(Daemon::connect_within(moment, &session, &project, &config)).await.err();
        let late = late.expect("no answer");
        assert!(late.kind() == Kind::Unreachable && late.message().ends_with("nothing for 0 s"), "{late}");
        let cancel = session.cancel.clone();
        let connecting =
            tokio::spawn(async move { Daemon::connect(&session, &project, &config).await.err() });
        let (_first, _second) = (listener.accept().await.unwrap(), listener.accept().await.unwrap());
        let began = Instant::now();
        cancel.cancel();
        let error = soon(connecting).await.unwrap().expect("it was cancelled");
        assert_eq!(error.kind(), Kind::Interrupted);
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_daemon_that_a_job_starts_is_waited_for() {
        // A socket that does not listen refuses connections, and keeps its port from other tests.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (config, (_root, project)) = (at_address(socket.local_addr().unwrap()), project());
        let session = Session::new(Reporter::silent());
        let refused =
            soon(Daemon::connect_once_started(Duration::ZERO, &session, &project, &config)).await.err();
        assert_eq!(refused.expect("nobody is there").kind(), Kind::Unreachable);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            serve(socket.listen(8).unwrap());
        });
        let daemon = soon(Daemon::connect_once_started(STARTING, &session, &project, &config)).await;
        assert_eq!(daemon.expect("it was waited for").platform, "linux/amd64");
    }

    #[tokio::test]
    async fn a_daemon_that_takes_no_session_gives_way_to_a_signal_and_to_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (config, (_root, project)) = (at(&listener), project());
        serve(listener);
        let session = Session::new(Reporter::silent());
        let daemon = soon(Daemon::connect(&session, &project, &config)).await.unwrap();
        assert_eq!(daemon.platform, "linux/amd64");
        let served = || SessionServer {
            inputs: BuildInputs::default(),
            credentials: HashMap::new(),
            files: Files::new(
                Arc::new(context(&project)),
                BTreeMap::new(),
                Arc::new(Reads::Everything),
                0,
                Sent::default(),
            )
            .unwrap(),
            shared_key: String::new(),
        };
        let moment = Duration::from_millis(200);
        let late =
            soon(daemon.take_session(&session, "id", served(), moment)).await.err().expect("no session");
        assert!(late.message().contains("accepted no session within 0 s"), "{late}");
        session.cancel.cancel();
        let error = soon(daemon.take_session(&session, "id", served(), SESSION)).await.err();
        assert_eq!(error.expect("it was cancelled").kind(), Kind::Interrupted);
    }

    fn context(project: &Project) -> crate::build::context::Context {
        let (here, file) = (std::path::Path::new("."), std::path::Path::new("Dockerfile"));
        crate::build::context::Context::find(&project.root, here, file).unwrap()
    }
}
