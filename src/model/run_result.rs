//! The result of a run: the facts of its last line, also if it fails.

use std::collections::BTreeMap;

use crate::model::{Images, Stage};

/// The result of a run: the facts of the `finished` event. A command returns it; if the command fails, its error carries what was
/// done until then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunResult {
    /// The stage that failed.
    pub stage: Option<Stage>,
    /// The images by name, as `repository:tag@sha256:…`.
    pub images: BTreeMap<String, String>,
    /// The release's revision.
    pub revision: Option<u64>,
    /// The revision that a rollback restored.
    pub rolled_back_to: Option<u64>,
    /// The revision that an interrupted release restored, without watching it.
    pub sent_back_to: Option<u64>,
    /// Whether anything was changed in the cluster; `None` for a command that does not change a tier.
    pub changed: Option<bool>,
    /// The good release that still runs, where a release or a rollback did not change everything.
    pub still_runs: Option<u64>,
    /// The workloads that a failed release did not reach, as `Deployment/web`.
    pub untouched: Vec<String>,
    /// The target of a rollback, for people: `89147efa, release 1`.
    pub back_to: Option<String>,
    /// The address of the tier, if it is known.
    pub url: Option<String>,
    /// Complete commands to type next, most useful first.
    pub next: Vec<String>,
}

impl RunResult {
    /// A run that resulted in these images.
    pub fn of_images(images: &Images) -> Self {
        Self { images: references(images), ..Self::default() }
    }

    /// Merges this with an earlier result: its own facts take precedence, commands keep the order in which they became
    /// known.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let next = earlier.next.into_iter().chain(self.next).collect();
        Self {
            stage: self.stage.or(earlier.stage),
            images: if self.images.is_empty() { earlier.images } else { self.images },
            revision: self.revision.or(earlier.revision),
            rolled_back_to: self.rolled_back_to.or(earlier.rolled_back_to),
            sent_back_to: self.sent_back_to.or(earlier.sent_back_to),
            changed: self.changed.or(earlier.changed),
            still_runs: self.still_runs.or(earlier.still_runs),
            untouched: if self.untouched.is_empty() { earlier.untouched } else { self.untouched },
            back_to: self.back_to.or(earlier.back_to),
            url: self.url.or(earlier.url),
            next,
        }
    }
}

fn references(images: &Images) -> BTreeMap<String, String> {
    images.values().map(|image| (image.name.clone(), image.pinned.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_later_stands_over_what_was_known_before() {
        let next = |word: &str| vec![word.to_owned()];
        let earlier = RunResult {
            stage: Some(Stage::Build),
            url: Some("https://shop.test".to_owned()),
            next: next("first"),
            ..RunResult::default()
        };
        let later = RunResult {
            stage: Some(Stage::Release),
            revision: Some(7),
            next: next("second"),
            ..RunResult::default()
        };
        let both = later.after(earlier);
        assert_eq!((both.stage, both.revision), (Some(Stage::Release), Some(7)));
        assert_eq!(both.url.as_deref(), Some("https://shop.test"));
        assert_eq!(both.next, ["first", "second"]);
    }
}
