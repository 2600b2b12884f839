//! The upload of a context to a builder: how much was sent, and whether it still makes progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};

/// So long nothing may be taken of it.
const STALLED: Duration = Duration::from_secs(120);

/// What was taken, counted where it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    bytes: Arc<AtomicU64>,
    /// Whether it is being sent: a builder fetches it when it wants it, if ever.
    under_way: Arc<AtomicBool>,
}

impl Sent {
    /// The builder takes it from now on.
    pub(crate) fn begin(&self) {
        self.under_way.store(true, Ordering::Relaxed);
    }

    /// So many bytes more were taken.
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// There is no more to send.
    pub(crate) fn end(&self) {
        self.under_way.store(false, Ordering::Relaxed);
    }
}

/// Looks now and then.
pub(crate) struct Upload {
    sent: Sent,
    last: u64,
    moved: Instant,
}

/// Nothing was taken any more.
#[derive(Debug)]
pub(crate) struct Stalled {
    bytes: u64,
}

impl Stalled {
    pub(crate) fn error(&self, builder: &str) -> Error {
        let seconds = STALLED.as_secs();
        let message = format!(
            "{builder} accepted {} of the context, then nothing for {seconds} s",
            megabytes(self.bytes)
        );
        Error::new(Kind::Unreachable, message).with_hint("check the connection to it")
    }
}

impl Upload {
    pub(crate) fn new(sent: Sent) -> Self {
        Self { sent, last: 0, moved: Instant::now() }
    }

    /// How far it is, where it has got on since the last look; `None` where all was sent, or nothing was taken for a
    /// while.
    pub(crate) fn poll(&mut self) -> Result<Option<String>, Stalled> {
        self.poll_at(Instant::now())
    }

    fn poll_at(&mut self, now: Instant) -> Result<Option<String>, Stalled> {
        let bytes = self.sent.bytes.load(Ordering::Relaxed);
        if !self.sent.under_way.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if bytes > self.last {
            (self.last, self.moved) = (bytes, now);
            return Ok(Some(format!("sending the context, {} so far", megabytes(bytes))));
        }
        // A builder that is busy with others, or fetches its own frontend, begins when it can.
        if bytes > 0 && now.duration_since(self.moved) > STALLED { Err(Stalled { bytes }) } else { Ok(None) }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_on_is_waited_for_and_what_does_not_is_given_up() {
        let sent = Sent::default();
        sent.begin();
        let mut upload = Upload::new(sent.clone());
        let at = |upload: &Upload, seconds: u64| upload.moved + Duration::from_secs(seconds);
        for _ in 0..10 {
            sent.add(1_500_000);
            let now = at(&upload, 90);
            assert!(upload.poll_at(now).expect("it moves").is_some());
        }
        let (soon, late) = (at(&upload, 90), at(&upload, 180));
        assert!(upload.poll_at(soon).expect("for a while").is_none());
        let error = upload.poll_at(late).expect_err("it stands").error("the builder");
        assert_eq!(error.message(), "the builder accepted 15.0 MB of the context, then nothing for 120 s");
        sent.end();
        assert!(upload.poll_at(late).expect("all was sent").is_none());
    }
}
