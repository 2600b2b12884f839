//! How long an Engine is waited for: a connection to a machine that is gone stays open for hours, and whoever took a
//! request need not answer it.

use std::time::Duration;

use bollard::errors::Error as Bollard;
use tokio::time::{Instant, timeout};

use super::Engine;
use crate::error::{Error, Kind, Result};

/// How often an Engine that says nothing may leave the question whether it is there without an answer.
const QUESTIONS: u32 = 3;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// What is done at once, from the connection to the last byte of the answer.
    pub(crate) request: Duration,
    /// Until a session is taken.
    pub(crate) session: Duration,
    /// The silence of a long operation after which the Engine is asked whether it is there, again and again, …
    pub(crate) quiet: Duration,
    /// … how long that answer may take, …
    pub(crate) answer: Duration,
    /// … and the silence after which nothing more will come, though it is there.
    pub(crate) stalled: Duration,
    /// Bringing files out of a container, all of it.
    pub(crate) download: Duration,
    /// Ending a container that was asked to end, beyond its grace.
    pub(crate) stop: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(120),
            session: Duration::from_secs(30),
            quiet: Duration::from_secs(30),
            answer: Duration::from_secs(10),
            stalled: Duration::from_secs(600),
            download: Duration::from_secs(600),
            stop: Duration::from_secs(30),
        }
    }
}

impl Engine {
    /// How long this Engine is waited for.
    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// What the Engine does at once.
    ///
    /// # Errors
    /// That of the request; [`Bollard::RequestTimeoutError`] where it does not come to an end. The library's own limit ends
    /// with the first byte of the answer.
    pub(crate) async fn at_once<T>(
        &self,
        request: impl Future<Output = Result<T, Bollard>>,
    ) -> Result<T, Bollard> {
        timeout(self.deadlines.request, request).await.unwrap_or(Err(Bollard::RequestTimeoutError))
    }

    /// The next words of a long operation. An Engine that says nothing is asked whether it is still there.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] where it is not, or says nothing for too long.
    pub(crate) async fn listen<T>(&self, doing: &str, next: impl Future<Output = T>) -> Result<T> {
        let (began, mut unanswered) = (Instant::now(), 0);
        tokio::pin!(next);
        loop {
            let pause = if unanswered == 0 { self.deadlines.quiet } else { self.deadlines.answer };
            if let Ok(said) = timeout(pause, &mut next).await {
                return Ok(said);
            }
            if began.elapsed() >= self.deadlines.stalled {
                return Err(self.stalled(doing));
            }
            unanswered = if self.is_there().await { 0 } else { unanswered + 1 };
            if unanswered == QUESTIONS {
                return Err(self.error(Kind::Unreachable, doing, &Bollard::RequestTimeoutError));
            }
        }
    }

    /// Whether it answers.
    pub(crate) async fn is_there(&self) -> bool {
        timeout(self.deadlines.answer, self.docker().ping()).await.is_ok_and(|answer| answer.is_ok())
    }

    /// The error of an Engine that has said nothing for as long as anybody waits.
    fn stalled(&self, doing: &str) -> Error {
        let length = crate::text::display::whole(self.deadlines.stalled);
        let message =
            format!("the Docker Engine at {} sent nothing for {length} while {doing}", self.address());
        Error::new(Kind::Unreachable, message)
            .with_hint("check that it and the registry respond, then run the command again")
    }
}
