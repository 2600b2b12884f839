//! What to build, and what all builders have in common: sending the context, retries, messages.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, VertexWarning};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::build::BuildOptions;
use crate::build::context::{Context, TIME};
use crate::build::dockerfile::Dockerfile;
use crate::build::dockerfile::reads::Reads;
use crate::build::failure;
use crate::build::progress::{BuildProgress, Check, Failed, News, Said};
use crate::build::session::file_sync::{Files, Trouble};
use crate::build::session::upload::{Sent, Upload};
use crate::build::session::watchdog::{Liveness, Watchdog};
use crate::build::session::{BuildInputs, SessionServer};
use crate::engine::Owner;
use crate::error::{Error, Kind, Result};
use crate::http::retry;
use crate::model::credentials::server_name;
use crate::model::{Credentials, Reference, Stage, Stream as Output};
use crate::project::ImageConfig;
use crate::registry::Registry;
use crate::report::StepReport;
use crate::session::Session;
use crate::text::display;

/// Tries of a build whose base image could not be fetched, or whose image could not be pushed, for a reason that passes.
const TRIES: u32 = 3;
/// The first pause between two tries, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Pieces of the context that may wait to be sent, a quarter of a megabyte each.
const PIECES: usize = 4;

/// What is to be built.
pub(crate) struct BuildRequest<'a> {
    /// The image's name in `windlass.yaml`.
    pub(crate) name: &'a str,
    pub(crate) image: &'a ImageConfig,
    pub(crate) context: Arc<Context>,
    /// Directories that the Dockerfile knows by names.
    pub(crate) named: BTreeMap<String, Arc<Context>>,
    /// What of the context its content tag counts.
    pub(crate) reads: Arc<Reads>,
    /// The Dockerfile as the user knows it.
    pub(crate) dockerfile: PathBuf,
    /// The repository of the image, and its content tag.
    pub(crate) tag: Reference,
    /// What it is built for; without it, what the builder itself is.
    pub(crate) platforms: Vec<String>,
    /// Images whose layers may be taken over.
    pub(crate) cache: Vec<String>,
    /// Where a daemon leaves all its layers for later builds.
    pub(crate) cache_export: Option<Reference>,
    /// Its steps were told of before.
    pub(crate) is_silent: bool,
    pub(crate) options: BuildOptions,
    /// What it may see and the image does not keep.
    pub(crate) inputs: BTreeMap<String, Vec<u8>>,
}

/// How a try ended that ended without an image.
pub(crate) enum Ended {
    Failed(Failed),
    Error(Error),
    /// It reads more of its context than the Dockerfile says: a base image's `ONBUILD` does.
    ReadsMore,
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreadable(why) => not_readable(why),
            Trouble::ReadsMore => Self::ReadsMore,
        }
    }
}

impl BuildRequest<'_> {
    /// What its errors point into.
    pub(super) fn source(&self) -> failure::DockerfileSource<'_> {
        failure::DockerfileSource {
            image: self.name,
            config: self.image,
            path: &self.dockerfile,
            text: &self.context.text,
        }
    }

    /// Under which a builder keeps its copy of the context, and brings it up to date by the next build.
    pub(crate) fn shared_key(&self) -> String {
        self.tag.name()
    }

    /// The part of a second that tells files of this content from those of another one: a builder takes files of the same
    /// size and time for the same. No layer keeps it. It is one for all files, so that none is newer than another.
    pub(crate) fn nanoseconds(&self) -> u32 {
        let hash = Sha256::digest(self.tag.tag.as_deref().unwrap_or_default());
        u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % 1_000_000_000
    }

    /// What the builder may ask for during the build.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where an SSH agent is wanted and there is none.
    pub(crate) fn build_inputs(&self) -> Result<BuildInputs> {
        BuildInputs::new(self.inputs.clone(), self.image.ssh)
    }

    /// Who we are to the registries that the Dockerfile names, and to the one that the image goes to, by
    /// [their names](server_name).
    pub(crate) async fn credentials(
        &self,
        session: &Session,
        registry: &Registry,
        file: &Dockerfile,
        platform: &str,
    ) -> Result<HashMap<String, Credentials>> {
        let images = file.images(&self.image.args, platform);
        let mut hosts: Vec<String> =
            images.iter().filter_map(|name| Some(name.parse::<Reference>().ok()?.registry)).collect();
        hosts.push(self.tag.registry.clone());
        hosts.sort();
        hosts.dedup();
        let mut found = HashMap::new();
        for host in hosts {
            if let Some(known) = registry.credentials(&host).await? {
                session.reporter.hide(known.secret());
                found.insert(server_name(&host).to_owned(), known);
            }
        }
        Ok(found)
    }

    /// What the builder finds at the other end of its session; `sent` counts what it fetches.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where an SSH agent is wanted and there is none; [`Kind::Build`] for a file that cannot be named.
    pub(crate) fn session_server(
        &self,
        credentials: HashMap<String, Credentials>,
        sent: &Sent,
    ) -> Result<SessionServer> {
        let (context, named, reads) = (self.context.clone(), self.named.clone(), self.reads.clone());
        Ok(SessionServer {
            inputs: self.build_inputs()?,
            credentials,
            files: Files::new(context, named, reads, self.nanoseconds(), sent.clone())?,
            shared_key: self.shared_key(),
        })
    }

    /// The user's arguments, and with BuildKit those that it understands itself: none of them is seen by a `RUN` that does not
    /// ask for it.
    pub(crate) fn arguments(&self, buildkit: bool) -> HashMap<String, String> {
        let mut arguments: HashMap<String, String> = self.image.args.clone().into_iter().collect();
        if buildkit {
            // The time in the image is that of its files (Engine 23 and newer).
            arguments.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| TIME.to_string());
        }
        arguments
    }

    /// After a try that made no image: waits where another one is worth it; `false` where none is, since it reads more than was
    /// counted.
    ///
    /// # Errors
    /// What the try ended with, where no other one is worth it.
    pub(crate) async fn before_another_try(
        &self,
        session: &Session,
        step: &StepReport,
        file: &Dockerfile,
        (tries, ended): (u32, Ended),
    ) -> Result<bool> {
        let failed = match ended {
            Ended::Error(error) => return Err(error),
            Ended::ReadsMore => return Ok(false),
            Ended::Failed(failed) => failed,
        };
        if tries == TRIES || !failure::passes(&failed) {
            return Err(failure::error(self.source(), &session.reporter, file, &failed));
        }
        step.progress(format!("trying again: {}", failure::plain(&failed.message)));
        session.pause(retry::backoff(tries - 1, FIRST_PAUSE, LONGEST_PAUSE)).await?;
        Ok(true)
    }

    /// The context as a tar, in pieces, as fast as they are taken; how writing it ended; how much was taken.
    pub(crate) fn pieces(
        &self,
    ) -> (impl Stream<Item = io::Result<Bytes>> + Send + use<>, tokio::task::JoinHandle<io::Result<()>>, Sent)
    {
        let (sender, mut receiver) = mpsc::channel(PIECES);
        let context = self.context.clone();
        let sending = tokio::task::spawn_blocking(move || send(&context, &sender));
        let pieces = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let sent = Sent::default();
        sent.begin();
        let (counter, end) = (sent.clone(), sent.clone());
        let pieces = pieces.inspect(move |piece| counter.add(piece.as_ref().map_or(0, Bytes::len))).chain(
            futures::stream::poll_fn(move |_| {
                end.end();
                std::task::Poll::Ready(None)
            }),
        );
        (pieces, sending, sent)
    }
}

/// Writes the tar into the channel, in a thread of its own.
fn send(context: &Context, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let done = context.write(BufWriter::with_capacity(256 * 1024, Pieces(sender)));
    if let Err(error) = &done {
        // The request must not look complete.
        let _ = sender.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
    }
    done
}

struct Pieces<'a>(&'a mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A context that could not be read breaks the request: then that is the reason, not the builder.
pub(crate) async fn unreadable(sending: tokio::task::JoinHandle<io::Result<()>>) -> Option<Ended> {
    match tokio::time::timeout(Duration::from_secs(1), sending).await {
        Ok(Ok(Err(why))) if why.kind() != io::ErrorKind::BrokenPipe => Some(not_readable(why.to_string())),
        _ => None,
    }
}

/// The end of a build whose context could not be read.
fn not_readable(why: String) -> Ended {
    Ended::Error(Error::new(Kind::Build, why).with_hint("run the command again"))
}

/// A name that no other build of any machine has.
pub(crate) fn session_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("windlass-{}-{count}", Owner::new("", Duration::ZERO, false).run())
}

/// What BuildKit said, in our words.
pub(crate) fn listen(progress: &mut BuildProgress, status: &StatusResponse) -> Vec<Said> {
    let mut said = Vec::new();
    for vertex in &status.vertexes {
        said.extend(progress.news(News {
            id: &vertex.digest,
            name: &vertex.name,
            started: vertex.started.is_some(),
            cached: vertex.cached,
            error: &vertex.error,
        }));
    }
    for log in &status.logs {
        said.extend(progress.printed(&log.vertex, log.stream, &log.msg));
    }
    said.extend(status.warnings.iter().filter_map(|warning| progress.found(check(warning))));
    said
}

/// The line stands in the text as well, where it says nothing that the place does not.
fn check(warning: &VertexWarning) -> Check {
    let line = warning.ranges.first().and_then(|range| u32::try_from(range.start.as_ref()?.line).ok());
    let message = String::from_utf8_lossy(&warning.short).into_owned();
    let repeated = line.map(|line| format!(" (line {line})")).unwrap_or_default();
    let message = message.strip_suffix(repeated.as_str()).unwrap_or(&message).to_owned();
    Check { message, line, url: warning.url.clone() }
}

/// Tells people.
pub(crate) fn tell(session: &Session, step: &StepReport, order: &BuildRequest<'_>, said: Vec<Said>) {
    let name = order.name;
    for said in said.into_iter().filter(|_| !order.is_silent) {
        match said {
            Said::Step(title) => {
                step.progress(title.clone());
                session.reporter.log(Stage::Build, name, Output::Stdout, title);
            }
            Said::Check(check) => session.reporter.warn_of(&failure::finding(order.source(), &check)),
            Said::Trouble(text) => session.reporter.warn(format!("image `{name}`: {text}")),
            Said::Line(stream, line) => session.reporter.log(Stage::Build, name, stream, line),
        }
    }
}

/// What there is to do about a builder that has said nothing for a while: what is still sent to it tells how far it is; otherwise
/// it is asked whether it is there.
pub(crate) async fn attend(
    session: &Session,
    step: &StepReport,
    (name, builder): (&str, &str),
    (silence, upload): (&mut Watchdog, &mut Upload),
    is_there: impl Future<Output = bool>,
) -> Result<()> {
    if let Some(progress) = upload.poll().map_err(|stalled| stalled.error(builder))? {
        step.progress(progress);
        silence.broken();
        return Ok(());
    }
    let meaning = silence.ask(is_there).await;
    tell_silence(session, step, name, builder, &meaning)
}

/// Tells that `builder` says nothing, or that it is gone.
fn tell_silence(
    session: &Session,
    step: &StepReport,
    name: &str,
    builder: &str,
    meaning: &Liveness,
) -> Result<()> {
    match meaning {
        Liveness::Busy(length) => step.progress(format!("no output for {}", display::whole(*length))),
        Liveness::Long(length) => session.reporter.warn(format!(
            "the build of `{name}` has printed nothing for {}, although {builder} responds",
            display::whole(*length)
        )),
        Liveness::Doubtful => step.progress(format!("{builder} does not respond")),
        Liveness::NotBegun(length) => {
            let length = display::whole(*length);
            let message =
                format!("{builder} has not started the build within {length}, although it responds");
            return Err(Error::new(Kind::Unreachable, message).with_hint("check its log, or restart it"));
        }
        Liveness::Gone => {
            let message = format!("{builder} stopped responding during the build");
            return Err(Error::new(Kind::Unreachable, message).with_hint("check that it is still running"));
        }
    }
    Ok(())
}
