//! The history: a line per release, in ConfigMaps, so that reading it needs no right to read Secrets.
//!
//! The newest lines stand in one map, which every release reads and writes; older ones are moved, fifty at a time,
//! into maps of their own, so that 400 days of a busy tier neither outgrow a ConfigMap nor make releases slow.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster;
use crate::error::Result;
use crate::http::CONCURRENCY;
use crate::record::store::{Store, check_format, unreadable};
use crate::record::{RecordedCause, Summary};

/// How many releases one map of older lines is for.
const RANGE: u64 = 50;
/// How long a line is kept.
const DAYS: i64 = 400;
/// A ConfigMap may hold 1 MiB; the rest is room for its metadata.
const MOST_BYTES: usize = 900 * 1024;
/// How many causes a line tells, and how long each may be; the full record tells them all.
const CAUSES: usize = 10;
const CAUSE_LENGTH: usize = 500;

impl Store {
    /// The summaries of the newest releases, newest first: at least the last fifty, and every one whose full set
    /// is kept.
    ///
    /// # Errors
    /// What the cluster refuses; [`Kind::Invalid`](crate::error::Kind::Invalid) when a newer windlass wrote them.
    pub(crate) async fn history(&self) -> Result<Vec<Summary>> {
        Ok(self.lines(&self.name).await?.unwrap_or_default())
    }

    /// The summaries of all releases of the last 400 days, newest first.
    ///
    /// # Errors
    /// As [`Store::history`].
    pub(crate) async fn whole_history(&self) -> Result<Vec<Summary>> {
        let mut all = self.history().await?;
        let Some(newest) = all.first().map(|one| range(one.revision)) else { return Ok(all) };
        for mut old in self.older(newest).await?.into_iter().flat_map(|(_, lines)| lines) {
            // What counts of a line that stands in both is what the newer map says.
            if all.iter().all(|one| one.revision != old.revision) {
                old.kept = false;
                all.push(old);
            }
        }
        all.sort_by_key(|summary| std::cmp::Reverse(summary.revision));
        Ok(all)
    }

    /// Writes the newest lines; before, moves what has become old.
    pub(crate) async fn write_history(&self, summaries: &mut Vec<Summary>) -> Result<()> {
        let Some(newest) = summaries.first().cloned() else { return Ok(()) };
        let (moved, stays) = partition(summaries, range(newest.revision));
        if !moved.is_empty() {
            self.move_out(&moved, &newest).await?;
            *summaries = stays;
        }
        self.put_lines(&self.name, summaries).await
    }

    /// The maps are whole before their lines leave the newest one. What is older than 400 days goes.
    async fn move_out(&self, moved: &[Summary], newest: &Summary) -> Result<()> {
        let mut ranges: BTreeMap<u64, Vec<Summary>> = BTreeMap::new();
        for summary in moved {
            ranges.entry(range(summary.revision)).or_default().push(summary.clone());
        }
        for (index, lines) in &ranges {
            let name = self.map_of(*index);
            let mut all = self.lines(&name).await?.unwrap_or_default();
            all.retain(|old| lines.iter().all(|line| line.revision != old.revision));
            all.extend(lines.iter().cloned());
            self.put_lines(&name, &all).await?;
        }
        self.forget(range(newest.revision), newest.started).await
    }

    /// Deletes the maps of which every line is too old, oldest first, so that the row of them has no gap.
    async fn forget(&self, newest: u64, now: Timestamp) -> Result<()> {
        for (index, lines) in self.older(newest).await?.into_iter().rev() {
            if lines.iter().any(|line| !is_old(line, now)) {
                return Ok(());
            }
            let map = self.reference("ConfigMap", &self.map_of(index));
            match self.delete_own(&map).await {
                // Lines that are kept for longer than promised harm nobody.
                Err(error) if cluster::is_denied(&error) => return Ok(()),
                deleted => deleted.map(drop)?,
            }
        }
        Ok(())
    }

    /// Deletes all lines, the newest last.
    pub(crate) async fn erase_history(&self, known: &[Summary]) -> Result<()> {
        if let Some(newest) = known.first() {
            for (index, _) in self.older(range(newest.revision)).await?.into_iter().rev() {
                self.delete_own(&self.reference("ConfigMap", &self.map_of(index))).await?;
            }
        }
        self.delete_own(&self.reference("ConfigMap", &self.name)).await.map(drop)
    }

    /// The lines of the maps of older ranges, newest first, as far as the row of maps reaches.
    async fn older(&self, newest: u64) -> Result<Vec<(u64, Vec<Summary>)>> {
        let mut found = Vec::new();
        let mut all = (0..newest.saturating_sub(1)).rev();
        loop {
            let some: Vec<u64> = all.by_ref().take(CONCURRENCY).collect();
            let maps: Vec<Option<Vec<Summary>>> = stream::iter(some.clone())
                .map(|index| async move { self.lines(&self.map_of(index)).await })
                .buffered(CONCURRENCY)
                .try_collect()
                .await?;
            let row = some.iter().zip(maps).map_while(|(index, lines)| Some((*index, lines?)));
            let before = found.len();
            found.extend(row);
            if some.is_empty() || found.len() - before < some.len() {
                break;
            }
        }
        Ok(found)
    }

    fn map_of(&self, index: u64) -> String {
        format!("{}.history-{index}", self.name)
    }

    async fn lines(&self, name: &str) -> Result<Option<Vec<Summary>>> {
        let map = self.cluster.get(&self.reference("ConfigMap", name)).await?;
        map.as_ref().map(read).transpose()
    }

    async fn put_lines(&self, name: &str, summaries: &[Summary]) -> Result<()> {
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(name),
            "data": data(summaries),
        });
        self.put(&map).await
    }
}

/// The lines of a map, newest first.
pub(crate) fn read(map: &Value) -> Result<Vec<Summary>> {
    let name = map.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let data = map.get("data").and_then(Value::as_object);
    let lines = data.into_iter().flat_map(|data| data.values()).filter_map(Value::as_str);
    let lines = lines
        .map(|line| serde_json::from_str(line).map_err(|error| unreadable(name, &error)))
        .collect::<Result<Vec<Value>>>()?;
    // Before their shape is looked at, which a newer format may have changed.
    check_format(map, lines.iter().filter_map(|line| line["format"].as_u64()).max())?;
    let mut summaries = lines
        .into_iter()
        .map(|line| serde_json::from_value(line).map_err(|error| unreadable(name, &error)))
        .collect::<Result<Vec<Summary>>>()?;
    summaries.sort_by_key(|summary| std::cmp::Reverse(summary.revision));
    Ok(summaries)
}

/// Which map of older lines a revision is for.
fn range(revision: u64) -> u64 {
    revision / RANGE
}

/// What leaves the newest map: whole ranges, the newest and the one before stay. A line whose full set is kept
/// stays too, for a rollback may lead to it; it is then in both.
fn partition(newest_first: &[Summary], newest: u64) -> (Vec<Summary>, Vec<Summary>) {
    let is_old = |one: &&Summary| range(one.revision) + 1 < newest;
    let moved: Vec<Summary> = newest_first.iter().filter(is_old).filter(|one| !one.kept).cloned().collect();
    let stays = newest_first.iter().filter(|one| !is_old(one) || one.kept).cloned().collect();
    (moved, stays)
}

fn is_old(summary: &Summary, now: Timestamp) -> bool {
    let oldest = now.saturating_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(now);
    summary.started < oldest
}

/// One key for each line; where they do not fit, the oldest are left out.
fn data(newest_first: &[Summary]) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    let mut size = 0;
    for summary in newest_first {
        let line = serde_json::to_string(&shortened(summary)).expect("a summary is plain JSON");
        size += line.len() + 16;
        if size > MOST_BYTES {
            break;
        }
        data.insert(format!("r{}", summary.revision), line);
    }
    data
}

/// A line as the history keeps it: a hundred objects that failed do not make it a book.
fn shortened(summary: &Summary) -> Summary {
    let short = |cause: &RecordedCause| RecordedCause {
        message: cause.message.chars().take(CAUSE_LENGTH).collect(),
        ..cause.clone()
    };
    Summary { causes: summary.causes.iter().take(CAUSES).map(short).collect(), ..summary.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::error::Kind;
    use crate::record::target::tests::summary;
    use crate::report::Reporter;
    use crate::session::Session;

    fn line(revision: u64, kept: bool) -> Summary {
        let started =
            Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * i64::try_from(revision).unwrap());
        Summary { kept, started, ..summary(revision) }
    }

    #[test]
    fn whole_ranges_leave_but_not_what_a_rollback_may_lead_to() {
        let lines: Vec<Summary> = (1..=100).rev().map(|revision| line(revision, revision == 7)).collect();
        let (moved, stays) = partition(&lines, range(100));
        assert_eq!((moved.len(), stays.len()), (48, 52));
        assert!(stays.iter().any(|one| one.revision == 7));
        assert!(partition(&lines[1..], range(99)).0.is_empty());
    }

    #[test]
    fn a_line_that_somebody_forged_is_refused() {
        let line = |change: fn(&mut Value)| {
            let mut line = serde_json::to_value(line(7, true)).unwrap();
            change(&mut line);
            read(&json!({"metadata": {"name": "windlass.shop.staging"}, "data": {"r7": line.to_string()}}))
        };
        assert!(line(|line| line["commit"] = json!("1f3c9a0b".repeat(5))).is_ok());
        assert!(line(|line| line["commit"] = json!("1f3c9a0b".repeat(8))).is_ok());
        for commit in ["--upload-pack=touch x", "+refs/heads/a:refs/heads/b", "€€€", "", "1f3c"] {
            let mut forged = serde_json::to_value(super::tests::line(7, true)).unwrap();
            forged["commit"] = json!(commit);
            let map = json!({"metadata": {"name": "m"}, "data": {"r7": forged.to_string()}});
            let error = read(&map).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.message().contains("`commit` is not 40 or 64 hexadecimal digits"), "{error}");
        }
        let refused = |change| line(change).unwrap_err().kind();
        assert_eq!(refused(|line| line["revision"] = json!(u64::MAX)), Kind::Invalid);
        assert_eq!(refused(|line| line["revision"] = json!(9e18)), Kind::Invalid);
        assert_eq!(refused(|line| line["revision"] = json!(9_000_000_000_000_000_000_u64)), Kind::Invalid);
        assert_eq!(refused(|line| line["revision"] = json!(-1)), Kind::Invalid);
        assert_eq!(refused(|line| line["started"] = json!("99999-01-01T00:00:00Z")), Kind::Invalid);
    }

    #[test]
    fn a_line_does_not_become_a_book() {
        let cause = RecordedCause {
            object: "Deployment/web".to_owned(),
            cause: "unknown".to_owned(),
            message: "x".repeat(10_000),
        };
        let book = Summary { causes: vec![cause; 200], ..summary(1) };
        assert!(data(&[book])["r1"].len() < 8_000);
    }

    #[tokio::test]
    async fn four_hundred_days_of_a_busy_tier_are_kept_and_no_more() {
        let server = FakeServer::start().await;
        let session = Session::new(Reporter::silent());
        let cluster = server.cluster(&session).await;
        let store = Store::new(&cluster, "shop", "staging");
        let mut known = Vec::new();
        for revision in 1..=1000 {
            known.insert(0, line(revision, revision + 10 > 1000 || revision == 3));
            store.write_history(&mut known).await.unwrap();
            assert!(known.len() <= 2 * 50 + 12, "{}", known.len());
        }
        let recent = store.history().await.unwrap();
        assert!(recent.iter().any(|one| one.revision == 3), "its set is kept");
        let all = store.whole_history().await.unwrap();
        let days = |one: &Summary| one.started.as_second() / 86_400;
        let oldest = all.iter().filter(|one| one.revision != 3).map(days).min().unwrap();
        // A map goes when all of its lines are too old, and that is looked at every fifty releases.
        assert!((500..=600).contains(&oldest), "{oldest}");
        let expected: Vec<u64> = (u64::try_from(oldest).unwrap()..=1000).rev().chain([3]).collect();
        assert_eq!(all.iter().map(|one| one.revision).collect::<Vec<_>>(), expected);
    }
}
