//! One build in the Docker Engine: sends the context, reads the output, and returns an image or a failure.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::dockerfile::Dockerfile;
use super::dockerfile::reads::Reads;
use super::failure;
use super::progress::BuildProgress;
use super::session::SessionHandle;
use crate::build::request::{BuildRequest, Ended, attend, listen, session_id, tell, unreadable};
use crate::build::session::file_sync::{Files, TransferError};
use crate::build::session::upload::{Sent, Upload};
use crate::build::session::watchdog::Watchdog;
use crate::engine::{BuildParameters, Builder, Engine, Interruption};
use crate::error::{Error, Kind, Result};
use crate::model::Credentials;
use crate::project::CacheMode;
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
    credentials: HashMap<String, Credentials>,
) -> Result<Built, Ended> {
    let supply = session.unless_cancelled(supply(engine, order, &credentials));
    // A session is served until the build is over.
    let Supply { session: serving, pieces, source, sent } = supply.await.map_err(Ended::Error)?;
    let client = engine.build_client(parameters(engine, order, serving.as_ref().map(|(id, _)| id.clone())));
    let mut stream = Box::pin(client.build(pieces, &credentials));
    let mut progress = BuildProgress::default();
    let (mut silence, mut upload) = (Watchdog::new(), Upload::new(sent));
    let mut id = None;
    let builder = format!("the Docker Engine at {}", engine.address());
    loop {
        let output = tokio::select! {
            biased;
            () = session.cancel.cancelled() => return Err(Ended::Error(interrupted())),
            output = stream.next() => output,
            () = silence.lasting() => {
                let quiet = (&mut silence, &mut upload);
                let attended = attend(session, step, (order.name, &builder), quiet, engine.is_there()).await;
                attended.map_err(Ended::Error)?;
                continue;
            }
        };
        silence.spoke();
        match output {
            None => return built(engine, &progress, id),
            Some(Ok(output)) => {
                id = output.image.or(id);
                let said = match (&output.status, &output.text) {
                    (Some(status), _) => listen(&mut progress, status),
                    (None, text) => text.iter().flat_map(|text| progress.classic(text)).collect(),
                };
                tell(session, step, order, said);
            }
            Some(Err(Interruption::Truncated(_))) if id.is_some() => return built(engine, &progress, id),
            Some(Err(interruption)) => {
                // Whoever still writes the context learns that nobody reads it.
                drop(stream);
                return Err(ended(progress, interruption, source).await);
            }
        }
    }
}

/// How the context comes to the Engine.
struct Supply<Pieces> {
    /// The session over which BuildKit fetches it, by its id. It lends the build what it is to have besides.
    session: Option<(String, SessionHandle)>,
    /// The tar that is sent with the request.
    pieces: Option<Pieces>,
    source: ContextSource,
    sent: Sent,
}

/// What tells whether the context could be read.
enum ContextSource {
    Fetched(TransferError),
    Sent(tokio::task::JoinHandle<io::Result<()>>),
}

/// Opens the session, or begins the tar.
async fn supply(
    engine: &Engine,
    order: &BuildRequest<'_>,
    credentials: &HashMap<String, Credentials>,
) -> Result<Supply<impl Stream<Item = io::Result<Bytes>> + Send + use<>>> {
    if engine.builder == Builder::Classic {
        if order.build_inputs()?.is_nothing() {
            let (pieces, sending, sent) = order.pieces();
            let source = ContextSource::Sent(sending);
            return Ok(Supply { session: None, pieces: Some(pieces), source, sent });
        }
        return Err(Error::new(
            Kind::Build,
            format!("the builder of {} supports neither secrets nor an SSH agent", engine.address()),
        )
        .with_hint("use a Docker Engine with BuildKit"));
    }
    let (id, sent) = (session_id(), Sent::default());
    let served = order.session_server(credentials.clone(), &sent)?;
    let source = ContextSource::Fetched(served.files.trouble());
    let headers = served.headers(&id);
    let serving = served.over(engine.hijack("/session", &headers).await?);
    Ok(Supply { session: Some((id, serving)), pieces: None, source, sent })
}

fn parameters<'a>(engine: &Engine, order: &BuildRequest<'a>, session: Option<String>) -> BuildParameters<'a> {
    let is_buildkit = engine.builder == Builder::BuildKit;
    let mut arguments = order.arguments(is_buildkit);
    if is_buildkit && order.image.cache != CacheMode::Off {
        arguments.entry("BUILDKIT_INLINE_CACHE".to_owned()).or_insert_with(|| "1".to_owned());
    }
    BuildParameters {
        image: order.image,
        dockerfile: match engine.builder {
            Builder::BuildKit => Files::dockerfile(&order.context),
            Builder::Classic => order.context.dockerfile.clone(),
        },
        arguments,
        platform: order.platforms.first().cloned().unwrap_or_default(),
        cache_from: order.cache.clone(),
        no_cache: order.options.no_cache,
        pull: order.options.pull,
        session,
    }
}

/// How a build ended that no error ended.
fn built(engine: &Engine, progress: &BuildProgress, id: Option<String>) -> Result<Built, Ended> {
    let id = id.ok_or_else(|| Ended::Error(silent(engine)))?;
    Ok(Built { summary: progress.summary(), id })
}

/// A context that could not be read is the reason, not the builder.
async fn ended(progress: BuildProgress, interruption: Interruption, source: ContextSource) -> Ended {
    let unreadable = match source {
        ContextSource::Sent(sending) => unreadable(sending).await,
        ContextSource::Fetched(trouble) => trouble.take().map(Ended::from),
    };
    unreadable.unwrap_or_else(|| match interruption {
        Interruption::Truncated(error) | Interruption::Disconnected(error) => Ended::Error(error),
        Interruption::Failed(text) => Ended::Failed(progress.failure(&text)),
    })
}

fn silent(engine: &Engine) -> Error {
    let message = format!("the Docker Engine at {} ended the build without an image", engine.address());
    Error::new(Kind::Unreachable, message).with_hint("check that it is still running: `docker version`")
}
