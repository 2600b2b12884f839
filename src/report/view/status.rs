//! `status`: what runs on a tier, its health, changes by hand, and the rollback target.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::View;
use super::drift::Drift;
use super::explain::ObjectHealth;
use super::history::{Release, painted};
use super::lock::LockHolder;
use super::rollback::RollbackOutlook;
use crate::model::ObjectRef;
use crate::report::style;

/// What runs on a tier now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Status {
    pub(crate) tier: String,
    pub(crate) context: String,
    pub(crate) namespace: String,
    /// The newest release.
    pub(crate) release: Option<Release>,
    /// How it was interrupted, or what of it died after it was good.
    pub(crate) aftermath: Option<String>,
    /// How each object is; or why that is not known.
    pub(crate) health: Result<Vec<ObjectHealth>, String>,
    /// What the newest release has and the cluster has not.
    pub(crate) missing: Vec<ObjectRef>,
    pub(crate) drift: Drift,
    pub(crate) lock: Option<LockHolder>,
    pub(crate) rollback: RollbackOutlook,
}

impl View for Status {
    fn to_json(&self) -> Value {
        let release = self.release.as_ref();
        json!({
            "tier": self.tier,
            "context": self.context,
            "namespace": self.namespace,
            "revision": release.map(|one| one.revision),
            "commit": release.and_then(|one| one.commit.as_ref()),
            "images": release.map(|one| one.images.clone()).unwrap_or_default(),
            "release": release.map(release_json),
            "message": self.aftermath,
            "ready": self.all_ready(),
            "objects": self.objects().map(ObjectHealth::to_json).collect::<Vec<_>>(),
            "drift": self.drift.to_json(),
            "others": self.drift.others_to_json(),
            "lock": self.lock.as_ref().map(LockHolder::to_json),
            "rollback": self.rollback.to_json(),
        })
    }

    fn to_text(&self) -> String {
        let mut lines =
            vec![format!("{}  {} in {}", style::strong(&self.tier), self.namespace, self.context)];
        match &self.release {
            None => lines.push("nothing was released here yet".to_owned()),
            Some(release) => lines.extend(self.release_lines(release)),
        }
        lines.push(format!("health    {}", self.health_sentence()));
        for object in self.objects().filter(|one| !one.is_healthy()) {
            lines.push(format!("          {}", object.to_text().trim_end()));
        }
        if let Drift::Unknown(_) = self.drift {
            lines.extend(self.missing.iter().map(|one| format!("          {} is missing", one.id())));
        }
        if self.release.is_some() {
            lines.extend(row("drift", &self.drift.lines()));
            lines.extend(row("others", &self.drift.other_lines()));
        }
        if let Some(lock) = &self.lock {
            lines.push(format!("lock      {}", lock.to_text()));
        }
        lines.push(format!("rollback  {}", self.rollback.to_text()));
        lines.join("\n") + "\n"
    }
}

impl Status {
    fn objects(&self) -> impl Iterator<Item = &ObjectHealth> {
        self.health.iter().flatten()
    }

    /// Whether everything is known to be well.
    fn all_ready(&self) -> bool {
        self.release.is_some()
            && self.health.is_ok()
            && self.missing.is_empty()
            && self.objects().all(ObjectHealth::is_healthy)
    }

    fn health_sentence(&self) -> String {
        if let Err(why) = &self.health {
            return style::doubtful(&format!("not known: {why}"));
        }
        let ready = self.objects().filter(|one| one.is_healthy()).count();
        let sentence = format!("{ready} of {} objects ready", self.objects().count() + self.missing.len());
        if self.all_ready() { style::good(&sentence) } else { style::bad(&sentence) }
    }

    fn release_lines(&self, release: &Release) -> Vec<String> {
        let when = release.started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
        let outcome = painted(release.outcome, release.outcome.word());
        let commit = release.short_commit().unwrap_or_else(|| "no commit".to_owned());
        let branch = release.branch.as_deref().map(|branch| format!(" of {branch}")).unwrap_or_default();
        let kind = release.kind.describe();
        let mut lines = vec![format!(
            "release   {} ({outcome}), {kind}, {when}, by {}",
            release.revision, release.by.person
        )];
        lines.extend(self.aftermath.iter().map(|how| format!("          {how}")));
        lines.push(format!("commit    {commit}{branch}"));
        lines.extend(release.images.values().map(|image| format!("image     {image}")));
        lines
    }
}

fn release_json(release: &Release) -> Value {
    json!({
        "revision": release.revision,
        "kind": release.kind.describe(),
        "outcome": release.outcome,
        "commit": release.commit,
        "dirty": release.dirty,
        "branch": release.branch,
        "images": release.images,
        "tested": release.tested,
        "by": release.by.person,
        "job": release.by.job,
        "started": release.started,
        "finished": release.finished,
    })
}

/// A row of the table, with its further lines below the first.
fn row(title: &str, lines: &[String]) -> Vec<String> {
    let begin = |index| if index == 0 { title } else { "" };
    lines.iter().enumerate().map(|(index, line)| format!("{:<10}{line}", begin(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::release::Outcome;
    use crate::report::view::tests::shown;
    use crate::report::view::{drift, explain, history, lock, rollback};

    fn release(outcome: Outcome) -> Release {
        Release {
            outcome,
            dirty: true,
            finished: Some("2026-10-03T14:05:00Z".parse().unwrap()),
            revision: 7,
            ..of_nothing(history::tests::tested())
        }
    }

    /// One that began long ago, from no job.
    fn of_nothing(release: Release) -> Release {
        let by = history::tests::release(1, 1).by;
        Release { started: jiff::Timestamp::UNIX_EPOCH, by, ..release }
    }

    fn status() -> Status {
        Status {
            tier: "staging".to_owned(),
            context: "lab".to_owned(),
            namespace: "shop-staging".to_owned(),
            release: Some(release(Outcome::Good)),
            aftermath: None,
            health: Ok(vec![explain::tests::ready()]),
            missing: Vec::new(),
            drift: Drift::Known { changed: Vec::new(), others: Vec::new() },
            lock: None,
            rollback: rollback::tests::outlook(),
        }
    }

    #[test]
    fn a_status_is_read_by_people_and_machines() {
        let missing = vec![ObjectRef::new("v1", "Service", "web").in_namespace("shop")];
        let first = of_nothing(history::tests::release(1, 1));
        let all = [
            status(),
            Status {
                release: Some(release(Outcome::Interrupted)),
                aftermath: Some("release 7 was interrupted, by ann@host".to_owned()),
                health: Ok(vec![explain::tests::ready(), explain::tests::failed()]),
                drift: drift::tests::drift(),
                missing: missing.clone(),
                lock: Some(lock::tests::by_hand(None)),
                ..status()
            },
            Status {
                release: Some(Release { outcome: Outcome::Running, finished: None, ..first }),
                drift: Drift::Unknown("the newest release did not succeed".to_owned()),
                missing,
                ..status()
            },
            Status { health: Err("you may not list Pods".to_owned()), ..status() },
            Status { release: None, health: Ok(Vec::new()), ..status() },
        ];
        let texts: Vec<String> = all.iter().map(shown).collect();
        insta::assert_snapshot!("status", texts.join("\n\n"));
    }
}
