//! The files of a container: the Engine sends everything below a path, of which only what is wanted is kept in memory.

use std::io::{self, Read};
use std::path::Path;

use bollard::errors::Error as Bollard;
use bollard::query_parameters::DownloadFromContainerOptions;
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::sync::mpsc;

use crate::engine::{Engine, fault};
use crate::error::{Kind, Result};

/// Pieces that the Engine may be ahead of the reader.
const AHEAD: usize = 8;

/// The response to a request for files of a container.
#[derive(Debug)]
pub(crate) enum Archive {
    /// There is no such file.
    Nothing,
    /// A tar of the wanted files, whose names begin with the last word of the path.
    Tar(Vec<u8>),
    /// The wanted files have more bytes than allowed.
    TooBig,
    /// It is not a tar, for this reason.
    Unreadable(String),
}

impl Engine {
    /// The wanted files at a path of a container, up to `most` bytes. `is_wanted` gets their names in the archive.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with the reason of the Engine; [`Kind::Unreachable`] where the Engine is gone.
    pub(crate) async fn archive(
        &self,
        container: &str,
        path: &str,
        most: usize,
        is_wanted: impl Fn(&Path) -> bool + Send + 'static,
    ) -> Result<Archive> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut stream = self.docker().download_from_container(container, Some(options));
        let (sender, receiver) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            wanted(Pieces { receiver, piece: Bytes::new() }, most, is_wanted)
        });
        let all = async move {
            // Between two pieces as between question and answer.
            while let Some(piece) = self.at_once(stream.try_next()).await? {
                if sender.send(piece).await.is_err() {
                    // The reader has all that it wants.
                    break;
                }
            }
            Ok(())
        };
        let late = Err(Bollard::RequestTimeoutError);
        match tokio::time::timeout(self.deadlines().download, all).await.unwrap_or(late) {
            Ok(()) => {}
            Err(error) if fault::status(&error) == Some(404) => return Ok(Archive::Nothing),
            Err(error) => return Err(self.error(Kind::TestNotRun, "copying the reports out", &error)),
        }
        Ok(match reading.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(Some(tar)) => Archive::Tar(tar),
            Ok(None) => Archive::TooBig,
            Err(error) => Archive::Unreadable(error.to_string()),
        })
    }
}

/// What the Engine sends, for a reader on a thread of its own.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(piece) = self.receiver.blocking_recv() else { return Ok(0) };
            self.piece = piece;
        }
        let length = buffer.len().min(self.piece.len());
        let read = self.piece.split_to(length);
        buffer[..length].copy_from_slice(&read);
        Ok(length)
    }
}

/// A tar of the wanted files of another; `None` if they have more than `most` bytes. Links could lead anywhere, and are left out.
fn wanted(archive: impl Read, most: usize, is_wanted: impl Fn(&Path) -> bool) -> io::Result<Option<Vec<u8>>> {
    let mut found = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if !entry.header().entry_type().is_file() || !is_wanted(&name) {
            continue;
        }
        let size = entry.size();
        if usize::try_from(size).map_or(true, |size| size.saturating_add(found.get_ref().len()) > most) {
            return Ok(None);
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        let mut bytes = Vec::new();
        if entry.read_to_end(&mut bytes)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        found.append_data(&mut header, &name, &*bytes)?;
    }
    found.into_inner().map(Some)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::silent;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, *bytes).expect("a file");
        }
        tar.into_inner().expect("an archive")
    }

    fn names(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("an archive");
        entries.map(|entry| entry.expect("an entry").path().expect("a name").display().to_string()).collect()
    }

    #[test]
    fn only_what_is_wanted_counts_and_is_kept() {
        let long = format!("src/{}/TEST-b.xml", "deep/".repeat(40));
        let all = tar_of(&[("src/a.jar", &vec![0; 100_000]), ("src/TEST-a.xml", b"<a/>"), (&long, b"<b/>")]);
        let is_report = |name: &Path| name.extension().is_some_and(|end| end == "xml");
        let kept = wanted(&*all, 10_000, is_report).expect("it can be read").expect("it is small");
        assert_eq!(names(&kept), ["src/TEST-a.xml", &long]);
        assert!(kept.len() < 10_000);
        assert_eq!(wanted(&*all, 10_000, |_| true).expect("it can be read"), None);
        assert!(wanted(&all[..700], 1_000_000, |_| true).is_err(), "it ends in the middle of a file");
    }

    #[tokio::test]
    async fn files_that_stop_coming_are_not_waited_for() {
        let half = |line: &str| {
            let half =
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: 9999\r\n\r\nreports/";
            line.contains("/archive").then_some(half)
        };
        let (engine, _heard) = silent::engine(silent::short(), half).await;
        let error = silent::soon(engine.archive("c", "/reports", 1 << 20, |_| true))
            .await
            .expect_err("half an archive");
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.message().contains("does not respond while copying the reports out"), "{error}");
        // Nor is one that gives a little now and then for ever.
        let slow = crate::engine::Deadlines { download: Duration::ZERO, ..silent::short() };
        let (engine, _heard) = silent::engine(slow, half).await;
        assert!(silent::soon(engine.archive("c", "/reports", 1 << 20, |_| true)).await.is_err());
    }
}
