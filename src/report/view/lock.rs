//! `lock` and `unlock`: who holds the lock of a tier.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::View;

/// Who holds a tier's lock, or held it until now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lock {
    pub(crate) tier: String,
    pub(crate) holder: Option<LockHolder>,
    /// Whether it was taken from the holder.
    pub(crate) freed: bool,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LockHolder {
    /// `ann@laptop`, or the address of a GitLab job.
    pub(crate) name: String,
    /// The same in words: what a run does, of which commit, and for whom.
    pub(crate) title: String,
    pub(crate) since: Timestamp,
    pub(crate) held: Held,
}

/// What a lock is held for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Held {
    /// A person holds it.
    ByHand {
        /// Why.
        message: String,
        /// `None` means until it is unlocked.
        until: Option<Timestamp>,
    },
    /// A run holds it.
    ByRun {
        /// `release`; `None` where the lock does not say it.
        command: Option<String>,
        /// For whom it runs.
        by: String,
        commit: Option<String>,
        /// The release that it carries out.
        revision: Option<u64>,
    },
}

impl View for Lock {
    fn to_json(&self) -> Value {
        let lock = self.holder.as_ref().map(LockHolder::to_json);
        if self.freed {
            return json!({"tier": self.tier, "lock": null, "removed": lock});
        }
        json!({"tier": self.tier, "lock": lock})
    }

    fn to_text(&self) -> String {
        let tier = &self.tier;
        match (&self.holder, self.freed) {
            (None, _) => format!("{tier} is not locked\n"),
            (Some(holder), false) => format!("{tier} is locked by {}\n", holder.to_text()),
            (Some(holder), true) => {
                format!("{tier} was locked by {}\n{tier} is unlocked\n", holder.to_text())
            }
        }
    }
}

impl LockHolder {
    pub(super) fn to_json(&self) -> Value {
        let mut lock = json!({"holder": self.name, "since": self.since});
        match &self.held {
            Held::ByHand { message, until } => {
                lock["message"] = json!(message);
                lock["until"] = json!(until);
            }
            Held::ByRun { command, by, commit, revision } => {
                if let Some(command) = command {
                    lock["command"] = json!(command);
                    lock["by"] = json!(by);
                }
                if let Some(commit) = commit {
                    lock["commit"] = json!(commit);
                }
                if let Some(revision) = revision {
                    lock["revision"] = json!(revision);
                }
            }
        }
        lock
    }

    /// `ann@laptop since 2026-10-03T14:00:00Z until 2026-10-03T16:00:00Z: audit`.
    pub(super) fn to_text(&self) -> String {
        let text = format!("{} since {:.0}", self.title, self.since);
        match &self.held {
            Held::ByHand { message, until } => {
                let until = until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
                format!("{text}{until}: {message}")
            }
            Held::ByRun { .. } => text,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::tests::{both, shown};

    fn since() -> Timestamp {
        "2026-10-03T14:00:00.5Z".parse().unwrap()
    }

    /// A person holds it.
    pub(crate) fn by_hand(until: Option<&str>) -> LockHolder {
        let until = until.map(|until| until.parse().unwrap());
        let held = Held::ByHand { message: "audit".to_owned(), until };
        LockHolder { name: "ann@laptop".to_owned(), title: "ann@laptop".to_owned(), since: since(), held }
    }

    /// A run holds it.
    pub(crate) fn by_run(
        title: &str,
        command: Option<&str>,
        commit: &str,
        revision: Option<u64>,
    ) -> LockHolder {
        LockHolder {
            name: "https://gitlab.test/jobs/42".to_owned(),
            title: title.to_owned(),
            since: since(),
            held: Held::ByRun {
                command: command.map(str::to_owned),
                by: command.map_or(String::new(), |_| "nora".to_owned()),
                commit: Some(commit.repeat(5)),
                revision,
            },
        }
    }

    #[test]
    fn a_lock_is_read_by_people_and_machines() {
        let lock = |holder, freed| Lock { tier: "staging".to_owned(), holder, freed };
        let place = "https://gitlab.test/jobs/42";
        let title = format!("`windlass release` of 1f3c9a0b by nora ({place})");
        let all = [
            lock(Some(by_hand(Some("2026-10-03T16:00:00Z"))), false),
            lock(Some(by_hand(None)), true),
            lock(Some(by_run(&title, Some("release"), "1f3c9a0b", None)), true),
            lock(None, true),
        ];
        let mut texts: Vec<String> = all.iter().map(shown).collect();
        let title = format!("`windlass release` by nora ({place})");
        for holder in
            [by_run(&title, Some("release"), "89147efa", Some(12)), by_run(place, None, "89147efa", Some(12))]
        {
            texts.push(both(&(holder.to_text() + "\n"), &holder.to_json()));
        }
        insta::assert_snapshot!("lock", texts.join("\n\n"));
    }
}
