//! What every stage is handed besides its own input: where to report, and when to stop.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::model::Stage;
use crate::report::{Reporter, StageReport};

/// One run of the program. Cloned freely; all clones are the same run.
#[derive(Clone)]
pub struct Session {
    /// Where events go.
    pub reporter: Reporter,
    /// Cancelled by the first signal: whatever waits must end, tidy up and return within 5 s.
    pub cancel: CancellationToken,
}

impl Session {
    /// A run that reports here.
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter, cancel: CancellationToken::new() }
    }

    /// The same run, without a word.
    #[must_use]
    pub fn quiet(&self) -> Self {
        Self { reporter: self.reporter.silenced(), ..self.clone() }
    }

    /// A stage begins; end it with [`StageReport::close`].
    pub fn stage(&self, stage: Stage, title: impl Into<String>) -> StageReport {
        self.reporter.stage(stage, title)
    }

    /// Waits for `work`, but not past a cancellation: then it is dropped.
    ///
    /// # Errors
    /// Whatever `work` returns; [`Kind::Interrupted`] as in [`Session::within`].
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            result = work => result,
        }
    }

    /// Waits for `work`, but no longer than `limit`, and not past a cancellation.
    ///
    /// # Errors
    /// Whatever `work` returns; [`Kind::Interrupted`] when the run is cancelled (the caller of the whole run
    /// replaces it by the signal's own kind); `late()` when the time is over.
    pub async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T>>,
        late: impl FnOnce() -> Error,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            result = tokio::time::timeout(limit, work) => result.unwrap_or_else(|_| Err(late())),
        }
    }

    /// Sleeps, unless the run is cancelled.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] when the run is cancelled.
    pub(crate) async fn pause(&self, length: Duration) -> Result<()> {
        let pause = async {
            tokio::time::sleep(length).await;
            Ok(())
        };
        self.unless_cancelled(pause).await
    }

    /// Retries every second for up to `limit`, for something that may still be starting; warns once.
    ///
    /// # Errors
    /// That of the last attempt; [`Kind::Interrupted`] when the run is cancelled.
    pub(crate) async fn once_started<T, F>(
        &self,
        limit: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Unanswered>>,
    {
        let (began, mut is_told) = (Instant::now(), false);
        loop {
            let sentence = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Final(error)) => return Err(error),
                Err(Unanswered::NotYet { error, .. }) if began.elapsed() >= limit => return Err(error),
                Err(Unanswered::NotYet { sentence, .. }) => sentence,
            };
            if !std::mem::replace(&mut is_told, true) {
                self.reporter.warn(format!("{sentence}; waiting up to {} s", limit.as_secs()));
            }
            self.pause(Duration::from_secs(1)).await?;
        }
    }
}

/// Why something that may still be starting did not respond.
pub(crate) enum Unanswered {
    /// It may soon.
    NotYet {
        /// The error, if it does not.
        error: Error,
        /// The warning while waiting, one sentence.
        sentence: String,
    },
    /// Waiting would not help.
    Final(Error),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// The error of a run that was cancelled by a signal.
pub fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted")
}
