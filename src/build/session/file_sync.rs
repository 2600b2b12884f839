//! The context and the Dockerfile as a builder fetches them over a session (the protocol of BuildKit's `fsutil`): we say
//! what there is, it asks for the files it wants, one by one. What `.dockerignore` leaves out is not among the files, so
//! that no `COPY` finds it, the Dockerfile itself included.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSync;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::build::context::{Context, Entry, EntryKind, TIME};
use crate::build::dockerfile::reads::Reads;
use crate::build::session::upload::Sent;
use crate::error::{Error, Kind, Result};

/// Packets that may wait to be sent.
const PACKETS: usize = 16;
/// Bytes of a file in one packet.
const PIECE: usize = 128 * 1024;

/// Go's bits for what a file is.
const DIRECTORY: u32 = 1 << 31;
const LINK: u32 = 1 << 27;

/// What the builder may fetch.
#[derive(Clone)]
pub(crate) struct Files {
    context: Arc<Context>,
    /// Directories by the names that the Dockerfile has for them.
    named: BTreeMap<String, Arc<Context>>,
    /// What of the context was counted.
    reads: Arc<Reads>,
    /// The part of a second in the times of the files.
    nanoseconds: u32,
    sent: Sent,
    trouble: TransferError,
}

/// Why a file could not be sent, where that was so.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransferError(Arc<Mutex<Option<Trouble>>>);

/// Why a file was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// In one sentence.
    Unreadable(String),
    /// It is none of those that were counted.
    ReadsMore,
}

impl TransferError {
    fn set(&self, why: Trouble) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// `None` where all went well.
    pub(crate) fn take(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Files {
    /// The files of this context, with [`BuildRequest::nanoseconds`](crate::build::request::BuildRequest::nanoseconds) in
    /// their times.
    ///
    /// # Errors
    /// [`Kind::Build`] for a name that is no text: the protocol knows no others.
    pub(crate) fn new(
        context: Arc<Context>,
        named: BTreeMap<String, Arc<Context>>,
        reads: Arc<Reads>,
        nanoseconds: u32,
        sent: Sent,
    ) -> Result<Self> {
        let odd = |entry: &&Entry| {
            let is_odd_link = matches!(&entry.kind, EntryKind::Link { target } if target.to_str().is_none());
            entry.path.to_str().is_none() || is_odd_link
        };
        let all = named.values().chain([&context]);
        if let Some(entry) = all.flat_map(|context| &context.entries).find(odd) {
            let message = format!(
                "`{}` has a name that is not UTF-8, which BuildKit does not accept",
                entry.path.display()
            );
            return Err(
                Error::new(Kind::Build, message).with_hint("rename it, or exclude it with .dockerignore")
            );
        }
        Ok(Self { context, named, reads, nanoseconds, sent, trouble: TransferError::default() })
    }

    pub(crate) fn trouble(&self) -> TransferError {
        self.trouble.clone()
    }

    /// The name under which the builder finds the Dockerfile.
    pub(crate) fn dockerfile(context: &Context) -> String {
        let name = Path::new(&context.dockerfile).file_name();
        name.map_or_else(|| context.dockerfile.clone(), |name| name.to_string_lossy().into_owned())
    }

    /// Whether what the builder will want, or everything where it names nothing, was counted.
    fn is_counted(&self, only: &[String]) -> bool {
        *self.reads == Reads::Everything
            || (!only.is_empty() && only.iter().all(|path| self.reads.covers(path)))
    }

    /// What there is in one of the two directories that a builder knows: in the order of their paths, a directory before
    /// what it holds.
    fn offer(&self, directory: &str, only: &[String]) -> Result<Offer, Status> {
        match directory {
            // The rules are kept already.
            "context" if only == [".dockerignore"] => Ok(Offer::Nothing),
            "context" if !self.is_counted(only) => {
                self.trouble.set(Trouble::ReadsMore);
                Err(Status::failed_precondition(
                    "the build reads more of its context than its Dockerfile says",
                ))
            }
            "context" => Ok(Offer::Entries(self.context.clone(), in_order(&self.context))),
            "dockerfile" => Ok(Offer::Dockerfile(self.context.clone())),
            name => match self.named.get(name) {
                Some(_) if only == [".dockerignore"] => Ok(Offer::Nothing),
                Some(context) => Ok(Offer::Entries(context.clone(), in_order(context))),
                None => Err(Status::not_found(format!("this build has no directory `{name}`"))),
            },
        }
    }
}

/// The numbers of the entries, in the order of their paths.
fn in_order(context: &Context) -> Vec<usize> {
    let mut order: Vec<usize> = (0..context.entries.len()).collect();
    order.sort_by(|a, b| context.entries[*a].path.cmp(&context.entries[*b].path));
    order
}

/// What is offered, in this order.
enum Offer {
    Nothing,
    Entries(Arc<Context>, Vec<usize>),
    Dockerfile(Arc<Context>),
}

impl Offer {
    fn stats(&self, nanoseconds: u32) -> Vec<Stat> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Entries(context, order) => {
                order.iter().map(|at| of_entry(&context.entries[*at], nanoseconds)).collect()
            }
            Self::Dockerfile(context) => {
                let size = context.text.len() as u64;
                vec![stat(Files::dockerfile(context), 0o644, size, nanoseconds)]
            }
        }
    }

    /// Reads a file out, by its number in the order.
    fn read(&self, number: usize, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Entries(context, order) => match order.get(number) {
                Some(at) => context.entries[*at].read_out(PIECE, take),
                None => Err(io::ErrorKind::NotFound.into()),
            },
            Self::Dockerfile(context) if number == 0 => take(context.text.as_bytes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_the_context(&self) -> bool {
        matches!(self, Self::Entries(..))
    }
}

fn of_entry(entry: &Entry, nanoseconds: u32) -> Stat {
    let path = entry.path.to_string_lossy().into_owned();
    let kind = match &entry.kind {
        EntryKind::Directory => DIRECTORY,
        EntryKind::Link { .. } => LINK,
        EntryKind::File { .. } => 0,
    };
    let mut stat = stat(path, kind | entry.mode(), entry.size(), nanoseconds);
    if let EntryKind::Link { target } = &entry.kind {
        stat.linkname = target.to_string_lossy().into_owned();
    }
    stat
}

fn stat(path: String, mode: u32, size: u64, nanoseconds: u32) -> Stat {
    let seconds = i64::try_from(TIME).unwrap_or_default().saturating_mul(1_000_000_000);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    Stat { path, mode, size, mod_time: seconds.saturating_add(nanoseconds.into()), ..Stat::default() }
}

/// As Go's `url.QueryUnescape`.
fn decoded(value: &str) -> String {
    let value = value.replace('+', " ");
    percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned()
}

fn packet(kind: PacketType) -> Packet {
    Packet { r#type: kind.into(), ..Packet::default() }
}

type Packets = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = Packets;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Packets>, Status> {
        let header = |name: &str| -> Vec<String> {
            let values = request.metadata().get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_encoded_bytes()).into_owned());
            // Newer builders write letters that are not ASCII as in an address.
            let is_encoded = request.metadata().contains_key(format!("{name}-encoded"));
            values.map(|value| if is_encoded { decoded(&value) } else { value }).collect()
        };
        let directory = header("dir-name").into_iter().next().unwrap_or_default();
        let offer = self.offer(&directory, &header("followpaths"))?;
        let (sender, mut receiver) = mpsc::channel(PACKETS);
        tokio::spawn(serve(self.clone(), offer, request.into_inner(), sender));
        Ok(Response::new(Box::pin(stream::poll_fn(move |context| receiver.poll_recv(context)))))
    }

    type TarStreamStream = stream::Empty<Result<Packet, Status>>;

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are fetched one by one"))
    }
}

/// Says what there is and answers what is asked for, side by side, until the builder has what it wants.
async fn serve(
    files: Files,
    offer: Offer,
    asked: Streaming<Packet>,
    sender: mpsc::Sender<Result<Packet, Status>>,
) {
    let counts = offer.is_the_context();
    if counts {
        files.sent.begin();
    }
    let offer = Arc::new(offer);
    let (queue, numbers) = mpsc::unbounded_channel();
    let (reader, its_offer, replies) = (files.clone(), offer.clone(), sender.clone());
    let reading = tokio::task::spawn_blocking(move || read(&reader, &its_offer, numbers, &replies));
    let stats = offer.stats(files.nanoseconds);
    let ((), finished) = tokio::join!(tell(stats, &sender), take(asked, queue));
    let _ = reading.await;
    if counts {
        files.sent.end();
    }
    if finished {
        let _ = sender.send(Ok(packet(PacketType::PacketFin))).await;
    }
}

/// Says what there is.
async fn tell(stats: Vec<Stat>, sender: &mpsc::Sender<Result<Packet, Status>>) {
    for stat in stats {
        let told = sender.send(Ok(Packet { stat: Some(stat), ..packet(PacketType::PacketStat) }));
        if told.await.is_err() {
            return;
        }
    }
    // The end of the list.
    let _ = sender.send(Ok(packet(PacketType::PacketStat))).await;
}

/// Takes what is asked for; whether the builder has what it wants.
async fn take(mut asked: Streaming<Packet>, queue: mpsc::UnboundedSender<u32>) -> bool {
    while let Some(Ok(packet)) = asked.next().await {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::PacketReq) => {
                let _ = queue.send(packet.id);
            }
            Ok(PacketType::PacketFin) => return true,
            Ok(PacketType::PacketErr) => {
                tracing::debug!(why = %String::from_utf8_lossy(&packet.data), "the builder gave the files up");
                return false;
            }
            _ => {}
        }
    }
    false
}

/// Sends the files of these numbers, in a thread of its own.
fn read(
    files: &Files,
    offer: &Offer,
    mut numbers: mpsc::UnboundedReceiver<u32>,
    replies: &mpsc::Sender<Result<Packet, Status>>,
) {
    while let Some(number) = numbers.blocking_recv() {
        if let Err(error) = send(offer, number, replies, &files.sent, offer.is_the_context()) {
            // A builder that has what it wants, or is gone, hears nothing any more.
            if error.kind() != io::ErrorKind::BrokenPipe {
                files.trouble.set(Trouble::Unreadable(error.to_string()));
                let _ = replies.blocking_send(Err(Status::aborted(error.to_string())));
            }
            return;
        }
    }
}

/// One file: its bytes, then a piece without any.
fn send(
    offer: &Offer,
    number: u32,
    sender: &mpsc::Sender<Result<Packet, Status>>,
    sent: &Sent,
    counts: bool,
) -> io::Result<()> {
    let piece = |data: Vec<u8>| {
        let length = data.len();
        let piece = Packet { id: number, data, ..packet(PacketType::PacketData) };
        sender.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        if counts {
            sent.add(length);
        }
        Ok(())
    };
    let at = usize::try_from(number).unwrap_or(usize::MAX);
    offer.read(at, &mut |bytes| if bytes.is_empty() { Ok(()) } else { piece(bytes.to_vec()) })?;
    piece(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[(&str, &str)], dockerfile: &str) -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in names {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut context = Context::find(root.path(), Path::new("."), Path::new(dockerfile)).unwrap();
        context.hash(&mut sha2::Digest::new(), "c", &|_| true).unwrap();
        (
            root,
            Files::new(Arc::new(context), BTreeMap::new(), Arc::new(Reads::Everything), 7, Sent::default())
                .unwrap(),
        )
    }

    fn paths(files: &Files, directory: &str, only: &[&str]) -> Vec<String> {
        let only: Vec<String> = only.iter().map(|one| (*one).to_owned()).collect();
        let offer = files.offer(directory, &only).unwrap();
        offer.stats(7).into_iter().map(|stat| stat.path).collect()
    }

    #[test]
    fn the_builder_is_offered_what_the_rules_leave_in_and_the_dockerfile_beside_it() {
        let names = [
            ("docker/Dockerfile", "FROM scratch"),
            (".dockerignore", "*\n!a\n!a.txt"),
            ("a/b", "1"),
            ("a.txt", "2"),
            ("c", "3"),
        ];
        let (_root, files) = files(&names, "docker/Dockerfile");
        // A directory and what it holds come before what only begins like it.
        assert_eq!(paths(&files, "context", &[]), ["a", "a/b", "a.txt"]);
        assert_eq!(paths(&files, "context", &[".dockerignore"]), Vec::<String>::new());
        assert_eq!(paths(&files, "dockerfile", &[]), ["Dockerfile"]);
        assert!(files.offer("other", &[]).is_err());
        let offer = files.offer("context", &[]).unwrap();
        let stats = offer.stats(7);
        assert_eq!((stats[0].mode, stats[1].mode), (DIRECTORY | 0o755, 0o644));
        assert_eq!((stats[2].size, stats[2].mod_time), (1, 318_211_200_000_000_007));
        let mut read = Vec::new();
        let mut take = |bytes: &[u8]| {
            read.extend_from_slice(bytes);
            Ok(())
        };
        offer.read(2, &mut take).unwrap();
        files.offer("dockerfile", &[]).unwrap().read(0, &mut take).unwrap();
        assert!(offer.read(9, &mut take).is_err());
        assert_eq!(read, b"2FROM scratch");
    }

    #[test]
    fn a_build_that_reads_more_than_was_counted_is_told() {
        let (_root, mut files) =
            files(&[("Dockerfile", "FROM a\nCOPY src /x"), ("src/a", "1")], "Dockerfile");
        let file = crate::build::dockerfile::Dockerfile::parse("FROM a\nCOPY src b*.json /x");
        files.reads = Arc::new(file.reads(None, &std::collections::BTreeMap::new(), "linux/amd64"));
        for (asked, counted) in
            [(&["src", "b*.json"][..], true), (&["src/a"], true), (&["src", "other"], false), (&[], false)]
        {
            let asked: Vec<String> = asked.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(files.offer("context", &asked).is_ok(), counted, "{asked:?}");
            assert_eq!(files.trouble().take(), (!counted).then_some(Trouble::ReadsMore));
        }
        assert_eq!(decoded("sr%C3%A4+x"), "srä x");
    }

    #[test]
    fn a_name_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch").unwrap();
        std::fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
        let context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        let refused =
            Files::new(Arc::new(context), BTreeMap::new(), Arc::new(Reads::Everything), 7, Sent::default())
                .err()
                .expect("it cannot be sent");
        assert!(refused.message().contains("is not UTF-8"), "{refused}");
    }

    #[test]
    fn what_changed_since_it_was_hashed_is_not_sent() {
        let (root, files) = files(&[("Dockerfile", "FROM scratch"), ("a", "1")], "Dockerfile");
        std::fs::write(root.path().join("a"), "2").unwrap();
        let offer = files.offer("context", &[]).unwrap();
        let number = offer.stats(7).iter().position(|stat| stat.path == "a").unwrap();
        assert!(offer.read(number, &mut |_| Ok(())).unwrap_err().to_string().contains("changed"));
    }
}
