//! The target of a rollback: the row of `status`, and the output of `rollback --dry-run`.

use serde_json::{Value, json};

use super::View;
use super::plan::Plan;
use crate::model::ObjectId;
use crate::report::style;

/// What a rollback would do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RollbackPreview {
    /// The revision whose content comes back; `None` where nothing would be done.
    pub(crate) to: Option<u64>,
    /// The same in words: `89147efa, release 1`.
    pub(crate) back_to: Option<String>,
    pub(crate) sentence: String,
    pub(crate) plan: Plan,
}

impl View for RollbackPreview {
    /// The plan's `changes` and `objects`, and where it leads.
    fn to_json(&self) -> Value {
        let mut json = self.plan.to_json();
        json["rolled_back_to"] = self.to.into();
        json["back_to"] = self.back_to.clone().into();
        json["message"] = self.sentence.clone().into();
        json
    }

    fn to_text(&self) -> String {
        match self.to {
            Some(_) => format!("{}\n{}", self.sentence, self.plan.to_text()),
            None => format!("{}\n", self.sentence),
        }
    }
}

/// Where a rollback would lead.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RollbackOutlook {
    /// To a release.
    Ready(RollbackTarget),
    /// Nowhere: the newest release is a rollback already.
    Already { revision: u64, from: u64, to: u64, further: Option<u64> },
    /// Nowhere: the last attempt changed nothing.
    Unchanged { runs: u64, further: Option<u64> },
    /// Nowhere, and why.
    None(String),
}

/// What is known of the way to a release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RollbackTarget {
    pub(crate) to: u64,
    /// Whether its full set is there.
    pub(crate) kept: bool,
    /// The images that are gone.
    pub(crate) missing: Vec<String>,
    /// Of how many images nothing is known.
    pub(crate) unknown: usize,
    /// How many images are there.
    pub(crate) present: usize,
    /// What ran in between.
    pub(crate) jobs: Vec<PastJob>,
    /// The Secrets whose live values are kept, with the keys that changed since.
    pub(crate) secrets: Vec<String>,
}

/// A Job that a later release ran.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PastJob {
    pub(crate) job: ObjectId,
    /// The release that ran it.
    pub(crate) revision: u64,
    /// Whether it says `windlass.dev/rollback: refuse`.
    pub(crate) refuses: bool,
}

impl RollbackOutlook {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Ready(target) => target.to_json(),
            Self::Already { revision, further, .. } => json!({"already": revision, "to": further}),
            Self::Unchanged { runs, further } => json!({"unchanged": runs, "to": further}),
            Self::None(reason) => json!({"to": null, "reason": reason}),
        }
    }

    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Ready(target) => target.to_text(),
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

impl RollbackTarget {
    fn is_free(&self) -> bool {
        self.kept && self.missing.is_empty() && !self.jobs.iter().any(|one| one.refuses)
    }

    fn to_json(&self) -> Value {
        let job = |one: &PastJob| json!({"job": one.job.to_string(), "revision": one.revision, "refuses": one.refuses});
        json!({
            "to": self.to,
            "ready": self.is_free(),
            "images": {"present": self.present, "missing": self.missing, "unknown": self.unknown},
            "jobs": self.jobs.iter().map(job).collect::<Vec<_>>(),
            "secrets": self.secrets,
        })
    }

    /// `ready: back to release 6, 2 images present, no Job in between`
    fn to_text(&self) -> String {
        let head = if self.is_free() { style::good("ready") } else { style::bad("not ready") };
        let mut parts = vec![format!("{head}: back to release {}", self.to)];
        if !self.kept {
            parts.push("its objects are no longer recorded".to_owned());
        }
        parts.extend(self.missing.iter().map(|image| format!("the image {image} was deleted")));
        parts.extend(self.present_images());
        parts.extend(self.jobs.iter().map(PastJob::sentence));
        if self.jobs.is_empty() {
            parts.push("no Job in between".to_owned());
        }
        if !self.secrets.is_empty() {
            parts.push(format!("would keep the changed values of {}", self.secrets.join(", ")));
        }
        parts.join(", ")
    }

    fn present_images(&self) -> Option<String> {
        let images = if self.present == 1 { "image".to_owned() } else { format!("{} images", self.present) };
        match (self.present, self.unknown) {
            (0, 0) => None,
            (_, 0) => Some(format!("{images} present")),
            (_, unknown) => Some(format!("{images} present, {unknown} unknown")),
        }
    }
}

impl PastJob {
    fn sentence(&self) -> String {
        let refuses = if self.refuses { " and has windlass.dev/rollback: refuse" } else { "" };
        format!("{} of release {} ran in between{refuses}", self.job, self.revision)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::plan::tests::planned;
    use crate::report::view::tests::{both, shown};

    fn target() -> RollbackTarget {
        RollbackTarget {
            to: 6,
            kept: true,
            missing: Vec::new(),
            unknown: 0,
            present: 2,
            jobs: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// One that nothing stands against.
    pub(crate) fn outlook() -> RollbackOutlook {
        RollbackOutlook::Ready(target())
    }

    /// What a rollback would do that deletes one object.
    pub(crate) fn preview() -> RollbackPreview {
        let plan = Plan {
            has_changes: true,
            objects: vec![planned("Service", "new", crate::model::Action::Prune)],
            sentence: "1 to prune".to_owned(),
        };
        RollbackPreview {
            to: Some(6),
            back_to: Some("89147efa, release 6".to_owned()),
            sentence: "a rollback would go back to 89147efa, release 6".to_owned(),
            plan,
        }
    }

    #[test]
    fn where_a_rollback_would_lead_is_read_by_people_and_machines() {
        let job = |name: &str, revision, refuses| PastJob {
            job: ObjectId {
                group: "batch".into(),
                kind: "Job".into(),
                namespace: "shop".into(),
                name: name.into(),
            },
            revision,
            refuses,
        };
        let all = [
            outlook(),
            RollbackOutlook::Ready(RollbackTarget { present: 0, ..target() }),
            RollbackOutlook::Ready(RollbackTarget {
                kept: false,
                missing: vec!["registry.test/shop/web@sha256:1".to_owned()],
                unknown: 3,
                present: 1,
                jobs: vec![job("migrate", 8, true), job("seed", 7, false)],
                secrets: vec!["Secret/db (PASSWORD)".to_owned()],
                ..target()
            }),
            RollbackOutlook::Already { revision: 9, from: 8, to: 6, further: Some(5) },
            RollbackOutlook::Already { revision: 9, from: 8, to: 6, further: None },
            RollbackOutlook::Unchanged { runs: 6, further: Some(5) },
            RollbackOutlook::Unchanged { runs: 6, further: None },
            RollbackOutlook::None("there is no release before it".to_owned()),
        ];
        let texts: Vec<String> =
            all.iter().map(|one| both(&(one.to_text() + "\n"), &one.to_json())).collect();
        insta::assert_snapshot!("outlook", texts.join("\n\n"));
    }

    #[test]
    fn a_preview_is_read_by_people_and_machines() {
        let sentence = "nothing was rolled back: release 6 is good and runs".to_owned();
        let nowhere = RollbackPreview { to: None, back_to: None, sentence, plan: Plan::default() };
        insta::assert_snapshot!("preview", [shown(&preview()), shown(&nowhere)].join("\n\n"));
    }
}
