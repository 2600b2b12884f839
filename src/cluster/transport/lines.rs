//! An answer that comes line by line for as long as it lasts: watches and logs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;

use crate::cluster::transport::request_error::RequestError;
use crate::cluster::transport::{Call, Transport};
use crate::text::lines::{Cutter, Overlong};

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
    ) -> Result<Self, RequestError> {
        let body = transport.stream(call).await?;
        let cutter = Cutter::new(longest, Overlong::Cut);
        Ok(Self { transport: transport.clone(), body, cutter, idle, ended: false })
    }

    /// The next line without its line break; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
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

    async fn receive(&mut self) -> Result<(), RequestError> {
        let frame = tokio::select! {
            biased;
            () = self.transport.cancelled() => return Err(RequestError::Interrupted),
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
