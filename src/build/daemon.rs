//! One build in a BuildKit daemon (`builder:`): it fetches the context from us, builds, and pushes; no Engine is needed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    BytesMessage, CacheOptions, CacheOptionsEntry, ListWorkersRequest, SolveRequest, StatusRequest,
    StatusResponse,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::dockerfile::Dockerfile;
use super::filesync::Files;
use super::order::{Ended, Order, listen, not_readable, session_id, tell, tell_silence};
use super::progress::Progress;
use super::session::{Lending, Lent, Served};
use super::silence::Silence;
use super::upload::{Sent, Upload};
use crate::error::{Error, Kind, Result};
use crate::project::{BuilderConfig, Project};
use crate::registry::{Digest, Registry};
use crate::report::StepReport;
use crate::session::{Session, interrupted};

/// How long the daemon may take to answer at first.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the last words may take once the build is over.
const LAST_WORDS: Duration = Duration::from_millis(500);
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
        let address = config.address.clone().unwrap_or_default();
        let unreachable = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Unreachable, format!("the builder at {address} does not answer: {why}"))
                .hint("`builder:` in windlass.yaml names it; see whether `buildkitd` runs there and listens")
        };
        let endpoint = endpoint(project, config, &address)?;
        let connecting = async {
            let channel = endpoint.connect().await.map_err(|error| unreachable(&deepest(&error)))?;
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
        let late = || unreachable(&format!("nothing for {} s", CONNECT.as_secs()));
        let (control, platform) = session.within(CONNECT, connecting, late).await?;
        let insecure = project.config.insecure;
        Ok(Self { address, control, platform, insecure })
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        format!("BuildKit at {}: {}", self.address, self.platform)
    }

    /// Builds and pushes to the order's tag; gives a line about what was done and the digest that was pushed.
    ///
    /// # Errors
    /// [`Kind::Build`] with the step that failed; [`Kind::Push`]; [`Kind::Unreachable`] and [`Kind::Denied`] where it is the
    /// daemon or the registry.
    pub(super) async fn build(
        &self,
        session: &Session,
        registry: &Registry,
        step: &StepReport,
        order: &Order<'_>,
    ) -> Result<(String, Digest)> {
        let file = Dockerfile::parse(&order.context.text);
        let mut tries = 0;
        loop {
            let credentials = order.credentials(session, registry, &file, &self.platform).await?;
            tries += 1;
            match self.once(session, step, order, credentials).await {
                Ok(done) => return Ok(done),
                Err(ended) => order.before_another_try(session, step, &file, (tries, ended)).await?,
            }
        }
    }

    async fn once(
        &self,
        session: &Session,
        step: &StepReport,
        order: &Order<'_>,
        credentials: HashMap<String, DockerCredentials>,
    ) -> Result<(String, Digest), Ended> {
        let id = session_id();
        let sent = Sent::default();
        let files = Files::new(order.context.clone(), order.time, sent.clone()).map_err(Ended::Error)?;
        let trouble = files.trouble();
        let lent = Lent::of(order).map_err(Ended::Error)?;
        let served = Served { lent, credentials, files };
        // Held until the build is over.
        let _lending = self.open(&id, served).await.map_err(|status| self.gone(&status))?;
        let mut control = self.control.clone();
        let solving = control.solve(self.request(order, &id));
        tokio::pin!(solving);
        let (_hearing, mut news) = self.hear(id.clone());
        let (mut progress, mut silence) = (Progress::default(), Silence::new());
        let mut upload = Upload::new(sent);
        let builder = format!("the builder at {}", self.address);
        let solved = loop {
            tokio::select! {
                biased;
                // Dropping the request cancels the build.
                () = session.cancel.cancelled() => return Err(Ended::Error(interrupted())),
                Some(status) = news.recv() => {
                    silence.broken();
                    tell(session, step, order.name, listen(&mut progress, &status));
                }
                solved = &mut solving => break solved,
                () = silence.lasting() => {
                    if let Some(told) = upload.look().map_err(|stalled| Ended::Error(stalled.error(&builder)))? {
                        step.progress(told);
                        silence.broken();
                        continue;
                    }
                    let meaning = silence.ask(self.is_there()).await;
                    tell_silence(session, step, order.name, &builder, &meaning).map_err(Ended::Error)?;
                }
            }
        };
        // Which step failed may be told after the request that failed by it.
        while let Ok(Some(status)) = tokio::time::timeout(LAST_WORDS, news.recv()).await {
            tell(session, step, order.name, listen(&mut progress, &status));
        }
        match solved {
            Ok(solved) => {
                let digest = solved.get_ref().exporter_response.get("containerimage.digest");
                let digest = digest.and_then(|digest| digest.parse().ok()).ok_or_else(|| {
                    let message = format!("{builder} did not say which image it pushed");
                    Ended::Error(Error::new(Kind::Push, message))
                })?;
                Ok((progress.summary(), digest))
            }
            Err(status) => Err(match trouble.take() {
                Some(why) => not_readable(why),
                None if matches!(status.code(), Code::Unavailable) => self.gone(&status),
                None => Ended::Failed(progress.failure(status.message())),
            }),
        }
    }

    /// Opens a session over which it may ask us.
    async fn open(&self, id: &str, served: Served) -> Result<Lending, Status> {
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
        let hearing = tokio::spawn(async move {
            let Ok(status) = control.status(StatusRequest { r#ref: id }).await else { return };
            let mut status = status.into_inner();
            while let Ok(Some(news)) = status.message().await {
                if sender.send(news).await.is_err() {
                    return;
                }
            }
        });
        (AbortOnDropHandle::new(hearing), receiver)
    }

    async fn is_there(&self) -> bool {
        self.control.clone().list_workers(ListWorkersRequest { filter: Vec::new() }).await.is_ok()
    }

    fn request(&self, order: &Order<'_>, id: &str) -> SolveRequest {
        let mut exporter = HashMap::from([
            ("name".to_owned(), order.tag.to_string()),
            ("push".to_owned(), "true".to_owned()),
        ]);
        if self.insecure {
            exporter.insert("registry.insecure".to_owned(), "true".to_owned());
        }
        let exports = CacheOptionsEntry { r#type: "inline".to_owned(), attrs: HashMap::new() };
        let cache = CacheOptions {
            exports: order.image.cache.then_some(exports).into_iter().collect(),
            ..CacheOptions::default()
        };
        SolveRequest {
            r#ref: id.to_owned(),
            session: id.to_owned(),
            // The newer field is not known to daemons before 0.13; these are read by all.
            exporter_deprecated: "image".to_owned(),
            exporter_attrs_deprecated: exporter,
            frontend: "dockerfile.v0".to_owned(),
            frontend_attrs: attributes(order),
            cache: Some(cache),
            ..SolveRequest::default()
        }
    }

    fn gone(&self, status: &Status) -> Ended {
        let message =
            format!("the builder at {} has gone while building: {}", self.address, status.message());
        Ended::Error(Error::new(Kind::Unreachable, message).hint("see whether it still runs"))
    }
}

/// What the Dockerfile's frontend is told.
fn attributes(order: &Order<'_>) -> HashMap<String, String> {
    let mut attributes = HashMap::from([("filename".to_owned(), Files::dockerfile(&order.context))]);
    let mut set = |key: &str, value: String| {
        if !value.is_empty() {
            attributes.insert(key.to_owned(), value);
        }
    };
    set("target", order.image.target.clone().unwrap_or_default());
    set("platform", order.platforms.join(","));
    set("cache-from", order.cache.join(","));
    let arguments =
        order.arguments(true).into_iter().map(|(name, value)| (format!("build-arg:{name}"), value));
    let labels = order.labels.iter().map(|(name, value)| (format!("label:{name}"), value.clone()));
    attributes.extend(arguments.chain(labels));
    attributes
}

fn endpoint(project: &Project, config: &BuilderConfig, address: &str) -> Result<Endpoint> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| {
        Error::new(Kind::Invalid, format!("`builder` in windlass.yaml: {what}: {why}"))
    };
    let read = |file: &std::path::Path| {
        let path = project.root.join(file);
        std::fs::read(&path).map_err(|error| invalid(&format!("{} cannot be read", file.display()), &error))
    };
    let plain = address.strip_prefix("tcp://");
    let scheme = if config.ca.is_some() { "https" } else { "http" };
    let uri = plain.map_or_else(|| address.to_owned(), |host| format!("{scheme}://{host}"));
    let endpoint = Endpoint::from_shared(uri).map_err(|error| invalid("the address is none", &error))?;
    let endpoint = endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(Duration::from_secs(30));
    let (Some(ca), true) = (&config.ca, plain.is_some()) else { return Ok(endpoint) };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
    if let (Some(cert), Some(key)) = (&config.cert, &config.key) {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    endpoint.tls_config(tls).map_err(|error| invalid("its certificates cannot be used", &error))
}

/// The first cause says most: the others only pass it on.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
