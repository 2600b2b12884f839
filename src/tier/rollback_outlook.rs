//! Where a rollback would lead, and whether it could: its set is kept, its images are there, and no Job in between says
//! that what it did is not undone.

use serde_json::{Value, json};

use crate::error::Result;
use crate::model::ObjectId;
use crate::record::target::Target;
use crate::record::{Summary, target};
use crate::release::context::TierContext;
use crate::release::plan::images;
use crate::release::plan::images::Presence;
use crate::release::rollback;
use crate::report::style;

/// Where a rollback would lead.
pub(crate) enum RollbackOutlook {
    /// To a release.
    Ready(RollbackPreview),
    /// Nowhere: the newest release is a rollback already.
    Already { revision: u64, from: u64, to: u64, further: Option<u64> },
    /// Nowhere: the last attempt changed nothing.
    Unchanged { runs: u64, further: Option<u64> },
    /// Nowhere, and why.
    None(String),
}

/// What is known of the way to a release.
pub(crate) struct RollbackPreview {
    to: u64,
    /// Whether its full set is there.
    kept: bool,
    missing: Vec<String>,
    unknown: usize,
    present: usize,
    /// Jobs that ran in between, with whether they refuse a rollback.
    jobs: Vec<(ObjectId, u64, bool)>,
}

/// Looks along the way.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn way_back(site: TierContext<'_>, newest_first: &[Summary]) -> Result<RollbackOutlook> {
    let attempts = site.store().attempts().await?;
    let to = match target::choose(newest_first, &attempts, None) {
        Ok(Target::Release { to, .. }) => to,
        Ok(Target::Already { revision, from, to, further }) => {
            return Ok(RollbackOutlook::Already { revision, from, to, further });
        }
        Ok(Target::Unchanged { runs, further }) => return Ok(RollbackOutlook::Unchanged { runs, further }),
        Err(none) => return Ok(RollbackOutlook::None(none.message().to_owned())),
    };
    let record = site.store().recorded(newest_first, to).await?;
    let set = record.as_ref().map(|record| rollback::recorded(record).0).unwrap_or_default();
    let images =
        set.iter().flat_map(|one| images::images_of(&one.object)).collect::<std::collections::BTreeSet<_>>();
    let found = images::look_up(site, images, images::IN_PASSING).await;
    let count = |wanted: fn(&Presence) -> bool| found.iter().filter(|(_, presence)| wanted(presence)).count();
    let later = newest_first.iter().filter(|summary| summary.revision > to);
    Ok(RollbackOutlook::Ready(RollbackPreview {
        to,
        kept: record.is_some(),
        missing: found
            .iter()
            .filter(|(_, one)| *one == Presence::Missing)
            .map(|(image, _)| image.clone())
            .collect(),
        unknown: count(|presence| matches!(presence, Presence::Unknown(_))),
        present: count(|presence| *presence == Presence::Present),
        jobs: later
            .flat_map(|one| one.jobs.iter().map(|job| (job.job.clone(), one.revision, job.refuses_rollback)))
            .collect(),
    }))
}

impl RollbackOutlook {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Ready(road) => road.to_json(),
            Self::Already { revision, further, .. } => json!({"already": revision, "to": further}),
            Self::Unchanged { runs, further } => json!({"unchanged": runs, "to": further}),
            Self::None(reason) => json!({"to": null, "reason": reason}),
        }
    }

    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Ready(road) => road.to_text(),
            Self::Already { revision, from, to, further } => {
                let further = further.map(|to| format!("; further back: --to {to}")).unwrap_or_default();
                format!("release {revision} is already the rollback of {from} to {to}{further}")
            }
            Self::Unchanged { runs, further } => {
                let further =
                    further.map(|to| format!("; to go back further: --to {to}")).unwrap_or_default();
                format!(
                    "nothing to roll back: the last attempt changed nothing, and release {runs} is good{further}"
                )
            }
            Self::None(reason) => reason.clone(),
        }
    }
}

impl RollbackPreview {
    fn is_free(&self) -> bool {
        self.kept && self.missing.is_empty() && !self.jobs.iter().any(|(_, _, refuses)| *refuses)
    }

    fn to_json(&self) -> Value {
        let jobs = self.jobs.iter().map(|(job, revision, refuses)| {
            json!({"job": job.to_string(), "revision": revision, "refuses": refuses})
        });
        json!({
            "to": self.to,
            "ready": self.is_free(),
            "images": {"present": self.present, "missing": self.missing, "unknown": self.unknown},
            "jobs": jobs.collect::<Vec<_>>(),
        })
    }

    /// `ready → 6, 2 images present, no Job in between`
    fn to_text(&self) -> String {
        let head = if self.is_free() { style::good("ready") } else { style::bad("not ready") };
        let mut parts = vec![format!("{head} → {}", self.to)];
        if !self.kept {
            parts.push("its set is no longer kept".to_owned());
        }
        parts.extend(self.missing.iter().map(|image| format!("the image {image} is gone")));
        match (self.present, self.unknown) {
            (0, 0) => {}
            (present, 0) => parts.push(format!("{} present", images(present))),
            (present, unknown) => {
                parts.push(format!("{} present, of {unknown} nothing is known", images(present)));
            }
        }
        parts.extend(self.jobs.iter().map(|(job, revision, refuses)| {
            let refuses = if *refuses { " and says windlass.dev/rollback: refuse" } else { "" };
            format!("{job} of release {revision} ran in between{refuses}")
        }));
        if self.jobs.is_empty() {
            parts.push("no Job in between".to_owned());
        }
        parts.join(", ")
    }
}

fn images(count: usize) -> String {
    if count == 1 { "image".to_owned() } else { format!("{count} images") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::tests::both;

    fn ready() -> RollbackPreview {
        RollbackPreview { to: 6, kept: true, missing: Vec::new(), unknown: 0, present: 2, jobs: Vec::new() }
    }

    /// One that nothing stands against.
    pub(crate) fn outlook() -> RollbackOutlook {
        RollbackOutlook::Ready(ready())
    }

    #[test]
    fn where_a_rollback_would_lead_is_read_by_people_and_machines() {
        let job = |name: &str| ObjectId {
            group: "batch".into(),
            kind: "Job".into(),
            namespace: "shop".into(),
            name: name.into(),
        };
        let all = [
            outlook(),
            RollbackOutlook::Ready(RollbackPreview { present: 0, ..ready() }),
            RollbackOutlook::Ready(RollbackPreview {
                kept: false,
                missing: vec!["registry.test/shop/web@sha256:1".to_owned()],
                unknown: 3,
                present: 1,
                jobs: vec![(job("migrate"), 8, true), (job("seed"), 7, false)],
                ..ready()
            }),
            RollbackOutlook::Already { revision: 9, from: 8, to: 6, further: Some(5) },
            RollbackOutlook::Already { revision: 9, from: 8, to: 6, further: None },
            RollbackOutlook::Unchanged { runs: 6, further: Some(5) },
            RollbackOutlook::Unchanged { runs: 6, further: None },
            RollbackOutlook::None("there is no release before it".to_owned()),
        ];
        let shown: Vec<String> =
            all.iter().map(|one| both(&(one.to_text() + "\n"), &one.to_json())).collect();
        insta::assert_snapshot!("outlook", shown.join("\n\n"));
    }
}
