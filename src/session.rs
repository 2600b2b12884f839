//! What every stage is handed besides its own input: where to report, when to stop, and where to note what
//! the last line of the run will say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    summary: Arc<Mutex<Summary>>,
}

/// What the run has come to so far: the facts of the `finished` event, known also when it fails.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The stage that runs, or ran last.
    pub stage: Option<Stage>,
    /// The images by name, as `repository:tag@sha256:…`.
    pub images: BTreeMap<String, String>,
    /// The release's revision.
    pub revision: Option<u64>,
    /// The revision that a rollback led to.
    pub rolled_back_to: Option<u64>,
    /// The revision that an interrupted release sent back, unwatched.
    pub sent_back_to: Option<u64>,
    /// Whether anything was changed in the cluster; `None` where the command is none that changes a tier.
    pub changed: Option<bool>,
    /// The good release that still runs, where a release or a rollback did not change everything.
    pub still_runs: Option<u64>,
    /// The workloads that a failed release was to change and did not reach, as `Deployment/web`.
    pub untouched: Vec<String>,
    /// What a rollback leads to, in words: `89147efa, release 1`.
    pub back_to: Option<String>,
    /// Where the tier answers, when that is known.
    pub url: Option<String>,
    /// Complete commands to type next, most useful first.
    pub next: Vec<String>,
}

impl Session {
    /// A run that reports here and has come to nothing yet.
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter, cancel: CancellationToken::new(), summary: Arc::default() }
    }

    /// The same run, without a word.
    #[must_use]
    pub fn quiet(&self) -> Self {
        Self { reporter: self.reporter.silenced(), ..self.clone() }
    }

    /// Notes a fact for the `finished` event.
    pub fn note(&self, change: impl FnOnce(&mut Summary)) {
        change(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A stage begins; end it with [`StageReport::close`].
    pub fn stage(&self, stage: Stage, title: impl Into<String>) -> StageReport {
        self.note(|summary| summary.stage = Some(stage));
        self.reporter.stage(stage, title)
    }

    /// What has been noted so far.
    pub fn summary(&self) -> Summary {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
}

/// The error of a run that was cancelled by a signal.
pub fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted")
}
