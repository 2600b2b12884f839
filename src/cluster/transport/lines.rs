//! An answer that comes line by line for as long as it lasts: watches and logs.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

use crate::cluster::transport::fault::Fault;
use crate::cluster::transport::{Call, Transport};

/// The lines of an answer that is being received.
pub(crate) struct Lines {
    transport: Transport,
    body: Body,
    cutter: Cutter,
    idle: Duration,
    ended: bool,
}

impl Lines {
    /// Sends the request. A line longer than `longest` bytes is cut; silence for longer than `idle` is a
    /// broken connection.
    pub(crate) async fn open(
        transport: &Transport,
        call: &Call,
        longest: usize,
        idle: Duration,
    ) -> Result<Self, Fault> {
        let body = transport.stream(call).await?;
        let cutter = Cutter { longest, ..Cutter::default() };
        Ok(Self { transport: transport.clone(), body, cutter, idle, ended: false })
    }

    /// The next line without its line break; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(line) = self.cutter.line() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.cutter.rest());
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> Result<(), Fault> {
        let frame = tokio::select! {
            biased;
            () = self.transport.cancelled() => return Err(Fault::Interrupted),
            frame = tokio::time::timeout(self.idle, self.body.frame()) => {
                frame.map_err(|_| self.transport.silent(self.idle))?
            }
        };
        match frame {
            None => self.ended = true,
            Some(Ok(frame)) => {
                self.transport.contact().heard(Instant::now());
                if let Ok(data) = frame.into_data() {
                    self.cutter.push(&data);
                }
            }
            Some(Err(error)) => return Err(self.transport.broken(&error)),
        }
        Ok(())
    }
}

/// Cuts what arrives into lines.
#[derive(Default)]
struct Cutter {
    longest: usize,
    held: BytesMut,
    /// How much of what is held was looked through for a line break.
    searched: usize,
    /// The line began longer than allowed; its end is thrown away.
    skipping: bool,
}

impl Cutter {
    fn push(&mut self, data: &[u8]) {
        self.held.extend_from_slice(data);
    }

    fn line(&mut self) -> Option<Bytes> {
        loop {
            let Some(at) = self.held[self.searched..].iter().position(|byte| *byte == b'\n') else {
                return self.too_long();
            };
            let mut line = self.held.split_to(self.searched + at + 1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            line.truncate(line.len() - 1);
            line.truncate(self.longest);
            return Some(line.freeze());
        }
    }

    fn too_long(&mut self) -> Option<Bytes> {
        self.searched = self.held.len();
        if self.held.len() <= self.longest {
            return None;
        }
        let start = self.held.split_to(self.longest).freeze();
        self.held.clear();
        self.searched = 0;
        if std::mem::replace(&mut self.skipping, true) { None } else { Some(start) }
    }

    /// What stands after the last line break.
    fn rest(&mut self) -> Option<Bytes> {
        let rest = self.held.split();
        self.searched = 0;
        (!rest.is_empty() && !self.skipping).then(|| rest.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_arrive_and_long_ones_are_cut() {
        let mut cutter = Cutter { longest: 5, ..Cutter::default() };
        let mut lines = Vec::new();
        for piece in ["a", "b\nc\n\nlon", "ger th", "an fi", "ve\nend"] {
            cutter.push(piece.as_bytes());
            while let Some(line) = cutter.line() {
                lines.push(line);
            }
        }
        lines.extend(cutter.rest());
        assert_eq!(lines, ["ab", "c", "", "longe", "end"]);
        assert_eq!(cutter.rest(), None);
    }
}
