//! One build in the Docker Engine: sends the context, reads the output, and returns an image or a failure.

use std::collections::HashMap;
use std::io;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as Bollard;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuilderVersion};
use bytes::Bytes;
use futures::StreamExt;

use super::dockerfile::Dockerfile;
use super::dockerfile::reads::Reads;
use super::failure;
use super::progress::BuildProgress;
use super::session::SessionHandle;
use crate::build::request::{BuildRequest, Ended, attend, listen, session_id, tell, unreadable};
use crate::build::session::file_sync::{Files, TransferError};
use crate::build::session::upload::{Sent, Upload};
use crate::build::session::watchdog::Watchdog;
use crate::engine::{Builder, Engine, fault};
use crate::error::{Error, Kind, Result};
use crate::project::{CacheMode, ImageConfig, Ulimit};
use crate::registry::Registry;
use crate::report::StepReport;
use crate::session::{Session, interrupted};

/// An image that the Engine built.
pub(super) struct Built {
    /// A line about what was done.
    pub(super) summary: String,
    /// What the Engine calls it: no tag leads to it yet.
    pub(super) id: String,
}

/// Builds, and tries again where a base image could not be fetched; `None` where the build reads more of its context than was
/// counted.
///
/// # Errors
/// [`Kind::Build`] with the step that failed; [`Kind::Unreachable`] and [`Kind::Denied`] where it is the Engine or
/// the registry of a base image.
pub(super) async fn build(
    session: &Session,
    engine: &Engine,
    registry: &Registry,
    step: &StepReport,
    order: &BuildRequest<'_>,
) -> Result<Option<Built>> {
    let file = Dockerfile::of(&order.context.text, order.image);
    if engine.builder == Builder::BuildKit
        && let Some(novelty) = file.unknown_to(engine.major())
    {
        return Err(failure::too_new(order.source(), engine.version(), novelty));
    }
    let mut tries = 0;
    loop {
        let credentials = order.credentials(session, registry, &file, &engine.platform);
        let credentials = session.unless_cancelled(credentials).await?;
        tries += 1;
        match once(session, engine, step, order, credentials).await {
            Ok(built) => {
                let more = session.unless_cancelled(reads_more(engine, &file, order)).await?;
                return Ok((!more).then_some(built));
            }
            Err(ended) => {
                if !order.before_another_try(session, step, &file, (tries, ended)).await? {
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether the classic builder, which is sent everything, may have read more than was counted: only a base image's `ONBUILD`
/// makes it. The Engine has the base images now.
async fn reads_more(engine: &Engine, file: &Dockerfile, order: &BuildRequest<'_>) -> Result<bool> {
    if engine.builder != Builder::Classic || *order.reads == Reads::Everything {
        return Ok(false);
    }
    for (_, base) in file.bases(&order.image.args, &engine.platform) {
        let found = engine.inspect(&base).await?;
        let triggers = found
            .as_ref()
            .map(|image| image["Config"]["OnBuild"].as_array().is_some_and(|all| !all.is_empty()));
        // One that is missing is not known.
        if triggers.unwrap_or(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn once(
    session: &Session,
    engine: &Engine,
    step: &StepReport,
    order: &BuildRequest<'_>,
    credentials: HashMap<String, DockerCredentials>,
) -> Result<Built, Ended> {
    let options = options(engine, order);
    // Held until the build is over.
    let supplying = supply(engine, order, &credentials);
    let (docker, supply) = session.unless_cancelled(supplying).await.map_err(Ended::Error)?;
    let (_lending, body, way, sent) = match supply {
        Supply::Session(lending, trouble, sent) => {
            (Some(lending), bollard::body_full(Bytes::new()), Way::Fetched(trouble), sent)
        }
        Supply::Tar => {
            let (pieces, sending, sent) = order.pieces();
            (None, bollard::body_try_stream(pieces), Way::Sent(sending), sent)
        }
    };
    let mut stream = docker.build_image(options, Some(credentials), Some(body));
    let mut progress = BuildProgress::default();
    let (mut silence, mut upload) = (Watchdog::new(), Upload::new(sent));
    let mut id = None;
    let builder = format!("the Docker Engine at {}", engine.address());
    loop {
        let info = tokio::select! {
            biased;
            // Dropping the stream cancels the build: the Engine sees that nobody listens.
            () = session.cancel.cancelled() => return Err(Ended::Error(interrupted())),
            info = stream.next() => info,
            () = silence.lasting() => {
                let quiet = (&mut silence, &mut upload);
                let attended = attend(session, step, (order.name, &builder), quiet, engine.is_there()).await;
                attended.map_err(Ended::Error)?;
                continue;
            }
        };
        silence.spoke();
        match info {
            None => return built(engine, &progress, id),
            Some(Err(error)) if id.is_some() && fault::is_the_end(&error) => {
                return built(engine, &progress, id);
            }
            Some(Ok(info)) => {
                id = image_id(&info).or(id);
                let said = match &info.aux {
                    Some(BuildInfoAux::BuildKit(status)) => listen(&mut progress, status),
                    _ => info.stream.iter().flat_map(|text| progress.classic(text)).collect(),
                };
                tell(session, step, order, said);
            }
            Some(Err(error)) => {
                drop(stream);
                return Err(ended(engine, progress, &error, way).await);
            }
        }
    }
}

/// How the context comes to the Engine.
enum Supply {
    /// It is fetched over a session, which lends the build what it is to have besides.
    Session(SessionHandle, TransferError, Sent),
    /// It is sent as a tar, with the request.
    Tar,
}

/// The same under way.
enum Way {
    Fetched(TransferError),
    Sent(tokio::task::JoinHandle<io::Result<()>>),
}

/// The client of a build, and how its context comes to the Engine.
async fn supply(
    engine: &Engine,
    order: &BuildRequest<'_>,
    credentials: &HashMap<String, DockerCredentials>,
) -> Result<(Docker, Supply)> {
    if engine.builder == Builder::Classic {
        if order.build_inputs()?.is_nothing() {
            return Ok((engine.for_build(None, terms(engine, order.image)), Supply::Tar));
        }
        return Err(Error::new(
            Kind::Build,
            format!("the builder of {} supports neither secrets nor an SSH agent", engine.address()),
        )
        .with_hint("use a Docker Engine with BuildKit"));
    }
    let (id, sent) = (session_id(), Sent::default());
    let served = order.session_server(credentials.clone(), &sent)?;
    let trouble = served.files.trouble();
    let headers = served.headers(&id);
    let lending = served.over(engine.hijack("/session", &headers).await?);
    Ok((engine.for_build(Some(&id), terms(engine, order.image)), Supply::Session(lending, trouble, sent)))
}

/// What the library cannot say of a build.
fn terms(engine: &Engine, image: &ImageConfig) -> Vec<(&'static str, String)> {
    let hosts: Vec<String> =
        image.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect();
    let mut terms: Vec<(&'static str, String)> = if engine.is_podman && !hosts.is_empty() {
        vec![("extrahosts", serde_json::json!(hosts).to_string())]
    } else {
        hosts.into_iter().map(|host| ("extrahosts", host)).collect()
    };
    terms.extend(image.shm_size.map(|bytes| ("shmsize", bytes.to_string())));
    if !image.ulimits.is_empty() {
        let limit = |(name, limit): (&String, &Ulimit)| serde_json::json!({"Name": name, "Soft": limit.soft, "Hard": limit.hard});
        let limits: Vec<_> = image.ulimits.iter().map(limit).collect();
        terms.push(("ulimits", serde_json::Value::from(limits).to_string()));
    }
    terms
}

fn options(engine: &Engine, order: &BuildRequest<'_>) -> BuildImageOptions {
    let (version, session) = match engine.builder {
        // A session that is used twice breaks builds that run at the same time.
        Builder::BuildKit => (BuilderVersion::BuilderBuildKit, Some(session_id())),
        Builder::Classic => (BuilderVersion::BuilderV1, None),
    };
    let mut arguments = order.arguments(engine.builder == Builder::BuildKit);
    if engine.builder == Builder::BuildKit && order.image.cache != CacheMode::Off {
        arguments.entry("BUILDKIT_INLINE_CACHE".to_owned()).or_insert_with(|| "1".to_owned());
    }
    BuildImageOptions {
        dockerfile: match engine.builder {
            Builder::BuildKit => Files::dockerfile(&order.context),
            Builder::Classic => order.context.dockerfile.clone(),
        },
        // The files come over the session.
        remote: (engine.builder == Builder::BuildKit).then(|| "client-session".to_owned()),
        buildargs: Some(arguments),
        labels: (!order.image.labels.is_empty()).then(|| order.image.labels.clone().into_iter().collect()),
        networkmode: order.image.network.clone(),
        platform: order.platforms.first().cloned().unwrap_or_default(),
        // The classic builder would look into these alone, and fetches none of them.
        cachefrom: (engine.builder == Builder::BuildKit && !order.cache.is_empty())
            .then(|| order.cache.clone()),
        target: order.image.target.clone().unwrap_or_default(),
        nocache: order.options.no_cache,
        pull: order.options.pull.then(|| "true".to_owned()),
        rm: true,
        forcerm: true,
        version,
        session,
        ..BuildImageOptions::default()
    }
}

/// What the Engine calls the image, once it says so. Podman says it in the builder's words only.
fn image_id(info: &BuildInfo) -> Option<String> {
    if let Some(BuildInfoAux::Default(image)) = &info.aux {
        return image.id.clone();
    }
    Some(info.stream.as_deref()?.trim().strip_prefix("Successfully built ")?.to_owned())
}

/// How a build ended that no error ended.
fn built(engine: &Engine, progress: &BuildProgress, id: Option<String>) -> Result<Built, Ended> {
    let id = id.ok_or_else(|| Ended::Error(silent(engine)))?;
    Ok(Built { summary: progress.summary(), id })
}

async fn ended(engine: &Engine, progress: BuildProgress, error: &Bollard, way: Way) -> Ended {
    // A context that could not be read is the reason, not the builder.
    let unreadable = match way {
        Way::Sent(sending) => unreadable(sending).await,
        Way::Fetched(trouble) => trouble.take().map(Ended::from),
    };
    if let Some(unreadable) = unreadable {
        return unreadable;
    }
    if fault::is_connection(error) {
        return Ended::Error(engine.error(Kind::Build, "building", error));
    }
    Ended::Failed(progress.failure(&fault::text(error)))
}

fn silent(engine: &Engine) -> Error {
    let message = format!("the Docker Engine at {} ended the build without an image", engine.address());
    Error::new(Kind::Unreachable, message).with_hint("check that it is still running: `docker version`")
}
