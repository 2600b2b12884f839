//! One file of a build context: hashed, and written into the tar just as it was hashed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{GIT, TIME};

/// One file, directory or link.
#[derive(Debug)]
pub(crate) struct Entry {
    /// From the context's root.
    pub(crate) path: PathBuf,
    /// Where it is read.
    pub(crate) source: PathBuf,
    pub(crate) kind: EntryKind,
    /// Of a file's bytes, when they were hashed: what is sent must be the same.
    pub(crate) digest: Option<[u8; 32]>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    File { executable: bool, size: u64 },
    Link { target: PathBuf },
}

impl EntryKind {
    pub(crate) fn of_file(about: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::PermissionsExt;
        Self::File { executable: about.permissions().mode() & 0o100 != 0, size: about.len() }
    }
}

impl Entry {
    /// Bytes of a file, nothing for the others.
    pub(crate) fn size(&self) -> u64 {
        match self.kind {
            EntryKind::File { size, .. } => size,
            EntryKind::Directory | EntryKind::Link { .. } => 0,
        }
    }

    pub(crate) fn mode(&self) -> u32 {
        match self.kind {
            EntryKind::File { executable: false, .. } => 0o644,
            EntryKind::Link { .. } => 0o777,
            EntryKind::Directory | EntryKind::File { .. } => 0o755,
        }
    }

    /// Reads a file, once: what its bytes are is known from then on. `buffer` is any.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if let EntryKind::File { .. } = &self.kind {
            let file = File::open(&self.source)?;
            let about = file.metadata()?;
            self.kind = EntryKind::of_file(&about);
            let mut bytes = Bytes::of(file, about.len());
            while bytes.read(buffer)? > 0 {}
            self.digest = Some(bytes.digest());
        }
        Ok(())
    }

    /// What was read counts.
    pub(crate) fn hash(&self, hash: &mut Sha256) -> io::Result<()> {
        field(hash, self.path.as_os_str().as_encoded_bytes());
        match &self.kind {
            EntryKind::Directory => hash.update(b"d"),
            EntryKind::Link { target } => {
                hash.update(b"l");
                field(hash, target.as_os_str().as_encoded_bytes());
            }
            EntryKind::File { executable, size } => {
                hash.update(if *executable { b"x" } else { b"f" });
                hash.update(size.to_be_bytes());
                hash.update(self.digest.ok_or_else(unread)?);
            }
        }
        Ok(())
    }

    /// Hands a file's bytes over, so many at a time, as they were when they were hashed.
    pub(crate) fn read_out(
        &self,
        piece: usize,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let EntryKind::File { size, .. } = self.kind else { return Err(io::ErrorKind::InvalidInput.into()) };
        let about = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} cannot be sent: {error}", self.source.display()))
        };
        let mut bytes = self.open(size).map_err(about)?;
        let mut buffer = vec![0; piece];
        loop {
            match bytes.read(&mut buffer).map_err(about)? {
                0 => break,
                length => take(&buffer[..length])?,
            }
        }
        self.prove(bytes).map_err(about)
    }

    /// A file that was read before; what Git keeps for itself never is.
    fn open(&self, size: u64) -> io::Result<Bytes> {
        if self.digest.is_none() && !self.path.starts_with(GIT) {
            return Err(unread());
        }
        Ok(Bytes::of(File::open(&self.source)?, size))
    }

    /// What was sent must be what was hashed.
    fn prove(&self, bytes: Bytes) -> io::Result<()> {
        if self.digest.is_some_and(|digest| digest != bytes.digest()) { Err(changed()) } else { Ok(()) }
    }

    pub(crate) fn write<W: Write>(&self, tar: &mut tar::Builder<W>) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode());
        header.set_mtime(TIME);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.size());
        match &self.kind {
            EntryKind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, self.path.join(""), io::empty())
            }
            EntryKind::Link { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, &self.path, target)
            }
            EntryKind::File { size, .. } => {
                let mut bytes = self.open(*size)?;
                tar.append_data(&mut header, &self.path, &mut bytes)?;
                self.prove(bytes)
            }
        }
    }
}

/// The bytes of a file, as many as it had when it was found: the tar's header has promised its size.
struct Bytes {
    file: io::Take<File>,
    hash: Sha256,
}

impl Bytes {
    fn of(file: File, size: u64) -> Self {
        Self { file: file.take(size), hash: Sha256::new() }
    }

    /// Of what was read.
    fn digest(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && self.file.limit() > 0 && !buffer.is_empty() {
            return Err(changed());
        }
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

fn unread() -> io::Error {
    io::Error::other("it was not read before")
}

fn changed() -> io::Error {
    io::Error::other(
        "it changed while it was being read; exclude it with .dockerignore if it changes on its own",
    )
}

/// A field of variable length: its length first, so that no two sequences of fields look alike.
pub(crate) fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
