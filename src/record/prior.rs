//! The records when a command starts, and what a killed release left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::{Cluster, Holder, Lease};
use crate::error::Result;
use crate::model::{ObjectId, RunResult, job};
use crate::record::content::STAMPS;
use crate::record::store::Store;
use crate::record::{Outcome, Record, ReleaseKind, ReleaseProgress, Summary, Task};
use crate::session::Session;
use crate::text::pointer;

/// All summaries, newest first, and the newest full record.
#[derive(Default)]
pub(crate) struct PriorReleases {
    pub(crate) summaries: Vec<Summary>,
    pub(crate) last: Option<Record>,
    /// The revision of this run, once its record is among the others.
    pub(crate) current: Option<u64>,
}

impl PriorReleases {
    pub(crate) async fn read(store: &Store) -> Result<Self> {
        Self::of(store, store.history().await?).await
    }

    /// Adds the newest full record to a history that was read before.
    pub(crate) async fn of(store: &Store, summaries: Vec<Summary>) -> Result<Self> {
        let last = match summaries.first() {
            Some(newest) => store.recorded(&summaries, newest.revision).await?,
            None => None,
        };
        Ok(Self { summaries, last, current: None })
    }

    /// The start time of a release: never before the end of the previous one, even if two readings of the server's
    /// clock differ.
    pub(crate) fn begin(&self, now: Timestamp) -> Timestamp {
        let before = self.summaries.first().and_then(|newest| newest.finished);
        before.map_or(now, |before| before.max(now))
    }

    /// The revisions of releases that ended and did not succeed.
    pub(crate) fn not_good(&self) -> BTreeSet<u64> {
        let ended =
            self.summaries.iter().filter(|one| !matches!(one.outcome, Outcome::Good | Outcome::Running));
        ended.map(|one| one.revision).collect()
    }

    /// When the previous release ended, if it was good.
    pub(crate) fn good_at(&self) -> Option<Timestamp> {
        let newest = self.summaries.iter().find(|one| Some(one.revision) != self.current)?;
        newest.finished.filter(|_| newest.outcome == Outcome::Good)
    }

    /// The result of a run that was ended from outside, for example because it lost its lock.
    pub(crate) fn begun(&self) -> RunResult {
        RunResult { revision: self.current, changed: self.current.map(|_| true), ..RunResult::default() }
    }

    pub(crate) fn next_revision(&self) -> u64 {
        self.summaries.first().map_or(1, |newest| newest.revision + 1)
    }

    /// Marks the previous release as interrupted, if it did not finish, and counts in the cluster how far it got. The
    /// history shows this from the next write on. Called under the lock, so nobody runs that release any more.
    pub(crate) fn settle(&mut self, session: &Session, live: Option<&BTreeMap<ObjectId, Arc<Value>>>) {
        let Some(newest) = self.summaries.first_mut() else { return };
        if newest.outcome == Outcome::Running {
            newest.outcome = Outcome::Interrupted;
            if let Some(live) = live {
                count(newest, live);
            }
        } else if newest.outcome != Outcome::Interrupted {
            return;
        }
        session.reporter.warn(format!("{}; resuming", interruption(newest)));
    }
}

/// For read-only commands: a release that is recorded as running while nobody holds the lock was killed.
pub(crate) async fn as_it_is(cluster: &Cluster, name: &str, summaries: &mut [Summary]) -> Option<Holder> {
    // Without permission to read leases, show what the record says.
    let (holder, known) = match Lease::holder(cluster, name).await {
        Ok(holder) => (holder, true),
        Err(_) => (None, false),
    };
    if let Some(newest) = summaries.first_mut().filter(|newest| newest.outcome == Outcome::Running)
        && known
        && holder.as_ref().is_none_or(|holder| holder.hold.is_some())
    {
        newest.outcome = Outcome::Interrupted;
    }
    holder
}

/// `release 7 was interrupted after 12 of 30 objects, by ann@laptop`
pub(crate) fn interruption(summary: &Summary) -> String {
    let noun = match summary.kind {
        ReleaseKind::Release => "release".to_owned(),
        ReleaseKind::Adoption => "adoption".to_owned(),
        ReleaseKind::Rollback { .. } => "rollback".to_owned(),
    };
    let what = match summary.kind {
        ReleaseKind::Release | ReleaseKind::Adoption => String::new(),
        ReleaseKind::Rollback { .. } => format!(" ({})", summary.kind.describe()),
    };
    let after = match summary.progress {
        Some(ReleaseProgress { written: Some(written), of }) => {
            format!(" after {written} of {of} {}", if of == 1 { "object" } else { "objects" })
        }
        _ => String::new(),
    };
    let by = summary.by.job.as_deref().unwrap_or(&summary.by.person);
    let sent_back = summary.sent_back.map_or_else(String::new, |sent| {
        format!("; {} of {} objects of release {} were restored, not watched", sent.sent, sent.of, sent.to)
    });
    format!("{noun} {}{what} was interrupted{after}, by {by}{sent_back}", summary.revision)
}

/// Counts what a killed release wrote, by the annotations in the cluster.
fn count(killed: &mut Summary, live: &BTreeMap<ObjectId, Arc<Value>>) {
    let revision = killed.revision.to_string();
    let stamp = pointer::escape(STAMPS[0]);
    let is_its = |object: &&Arc<Value>| {
        object.pointer(&format!("/metadata/annotations/{stamp}")).and_then(Value::as_str) == Some(&revision)
    };
    let written = live.values().filter(is_its).count();
    let of = killed.progress.map_or(killed.objects, |progress| progress.of).max(written);
    killed.progress = Some(ReleaseProgress { written: Some(written), of });
    let ran = |task: &Task| live.get(&task.job).filter(is_its);
    killed.jobs.retain(|task| task.completed || ran(task).is_some());
    for task in &mut killed.jobs {
        task.completed |= ran(task).is_some_and(|job| job::completed(job));
    }
}
