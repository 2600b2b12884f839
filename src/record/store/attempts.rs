//! Attempts that ended before their first change: a ConfigMap of its own, since they are noted without the tier's lock and
//! must not meet the history, which the holder of the lock writes.

use serde_json::{Value, json};

use crate::error::Result;
use crate::record::RefusedAttempt;
use crate::record::store::{Store, check_format, unreadable};

/// How many are kept.
const KEPT: usize = 20;
/// How long a message may be, in characters: the whole stays far below what a ConfigMap holds.
const MESSAGE_LENGTH: usize = 1000;
/// The key of the ConfigMap under which they lie.
const KEY: &str = "attempts";

impl Store {
    /// The attempts that ended before their first change, newest first: the last twenty.
    ///
    /// # Errors
    /// What the cluster refuses; [`Kind::Invalid`](crate::error::Kind::Invalid) when a newer windlass wrote them.
    pub(crate) async fn attempts(&self) -> Result<Vec<RefusedAttempt>> {
        let map = self.cluster.get(&self.reference("ConfigMap", &self.attempts_name())).await?;
        map.as_ref().map_or_else(|| Ok(Vec::new()), read)
    }

    /// Adds an attempt. Two that end at the same moment may lose one of each other: the newest is what counts.
    ///
    /// # Errors
    /// As [`Store::attempts`].
    pub(crate) async fn note_attempt(&self, attempt: RefusedAttempt) -> Result<()> {
        let message = attempt.message.chars().take(MESSAGE_LENGTH).collect();
        let mut all = self.attempts().await?;
        all.insert(0, RefusedAttempt { message, ..attempt });
        all.truncate(KEPT);
        let lines = serde_json::to_string(&all).map_err(|error| unreadable(KEY, &error))?;
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(&self.attempts_name()),
            "data": {KEY: lines},
        });
        self.put(&map).await
    }

    /// Deletes all of them.
    pub(crate) async fn erase_attempts(&self) -> Result<()> {
        let map = self.reference("ConfigMap", &self.attempts_name());
        self.delete_own(&map).await.map(drop)
    }

    fn attempts_name(&self) -> String {
        format!("{}.attempts", self.name)
    }
}

pub(crate) fn read(map: &Value) -> Result<Vec<RefusedAttempt>> {
    let name = map.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let Some(text) = map["data"][KEY].as_str() else { return Ok(Vec::new()) };
    let lines: Vec<Value> = serde_json::from_str(text).map_err(|error| unreadable(name, &error))?;
    check_format(map, lines.iter().filter_map(|line| line["format"].as_u64()).max())?;
    serde_json::from_value(lines.into()).map_err(|error| unreadable(name, &error))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::record::FORMAT;
    use crate::record::target::tests::summary;
    use crate::report::Reporter;
    use crate::session::Session;

    fn attempt(after: u64, message: &str) -> RefusedAttempt {
        RefusedAttempt {
            format: FORMAT,
            after,
            at: Timestamp::UNIX_EPOCH,
            commit: Some("1f3c".repeat(10)),
            branch: None,
            dirty: false,
            by: summary(1).by,
            exit_code: 30,
            message: message.to_owned(),
        }
    }

    #[tokio::test]
    async fn the_last_twenty_attempts_are_kept_newest_first() {
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let store = Store::new(&cluster, "shop", "staging");
        assert_eq!(store.attempts().await.unwrap(), []);
        for number in 1..=25 {
            store.note_attempt(attempt(number, &"é".repeat(5000))).await.unwrap();
        }
        let kept = store.attempts().await.unwrap();
        assert_eq!((kept.len(), kept[0].after, kept[19].after), (20, 25, 6));
        assert_eq!(kept[0].message.chars().count(), MESSAGE_LENGTH);
        store.erase_attempts().await.unwrap();
        assert_eq!(store.attempts().await.unwrap(), []);
    }

    #[test]
    fn attempts_of_a_newer_format_are_refused() {
        let mut newer = attempt(1, "x");
        newer.format = FORMAT + 1;
        let map = json!({"data": {KEY: serde_json::to_string(&[newer]).unwrap()}});
        assert!(read(&map).unwrap_err().message().contains("newer"));
    }
}
