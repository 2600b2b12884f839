//! `cleanup`: which images of the registry are deleted, and why the others stay.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{Digest, Reference};
use crate::report::style;
use crate::report::view::View;
use crate::text::display;

/// What is deleted and what stays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cleanup {
    pub(crate) images: Vec<FoundImage>,
    /// Whether nothing was deleted.
    pub(crate) dry_run: bool,
}

/// An image in the registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundImage {
    /// Where it lies.
    pub(crate) repository: Reference,
    pub(crate) digest: Digest,
    pub(crate) tags: Vec<String>,
    /// When its commit was made.
    pub(crate) made: Option<Timestamp>,
    /// Why it stays; `None` where it is deleted.
    pub(crate) why: Option<String>,
    /// Whether it is only a record beside an image, of which people are not told.
    pub(crate) is_record: bool,
}

impl View for Cleanup {
    fn to_json(&self) -> Value {
        let kept = self.images.iter().filter(|image| image.why.is_some());
        json!({
            "done": !self.dry_run,
            "deleted": self.deleted().map(FoundImage::to_json).collect::<Vec<_>>(),
            "kept": kept.map(FoundImage::to_json).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> String {
        let images = self.images.iter().filter(|image| !image.is_record);
        let lines: String = images.map(|image| image.line(self.dry_run)).collect();
        let count = display::count(self.deleted().count(), "image");
        let sum = if self.dry_run { "would be deleted" } else { "deleted" };
        format!("{lines}{count} {sum}\n")
    }
}

impl Cleanup {
    fn deleted(&self) -> impl Iterator<Item = &FoundImage> {
        self.images.iter().filter(|image| image.why.is_none() && !image.is_record)
    }
}

impl FoundImage {
    fn to_json(&self) -> Value {
        let image = self.repository.with_digest(self.digest.clone()).to_string();
        let mut line = json!({"image": image, "tags": self.tags, "made": self.made});
        if let Some(why) = &self.why {
            line["why"] = json!(why);
        }
        line
    }

    fn line(&self, dry_run: bool) -> String {
        let word = match (&self.why, dry_run) {
            (Some(_), _) => style::faint("keep    "),
            (None, true) => style::doubtful("delete  "),
            (None, false) => style::good("deleted "),
        };
        let (name, digest) = (self.repository.name(), display::shorten(self.digest.as_str()));
        let tags = display::count(self.tags.len(), "tag");
        let made = self.made.map(|made| format!(", of {}", made.strftime("%Y-%m-%d"))).unwrap_or_default();
        let why = self.why.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
        format!("{word} {name}@{digest}  {tags}{made}{why}\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    /// An image of whose digest all digits are this one.
    pub(crate) fn found(digit: &str, tags: &[&str], why: Option<&str>) -> FoundImage {
        FoundImage {
            repository: "registry.test/shop/web".parse().unwrap(),
            digest: format!("sha256:{}", digit.repeat(64)).parse().unwrap(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            made: why.is_none().then(|| "2026-10-03T14:00:00Z".parse().unwrap()),
            why: why.map(str::to_owned),
            is_record: false,
        }
    }

    #[test]
    fn a_cleanup_is_read_by_people_and_machines() {
        let record = format!("sha256-{}.windlass-test", "1".repeat(64));
        let recorded = |digit, why| FoundImage { is_record: true, ..found(digit, &[&record], why) };
        let cleanup = |dry_run| Cleanup {
            images: vec![
                found("1", &["1f3c9a0b", "v1"], None),
                found("2", &["89147efa"], Some("release 7 of staging runs it")),
                recorded("3", None),
                recorded("4", Some("its image stays")),
            ],
            dry_run,
        };
        let all = [cleanup(true), cleanup(false), Cleanup { images: Vec::new(), dry_run: false }];
        let texts: Vec<String> = all.iter().map(shown).collect();
        insta::assert_snapshot!("cleanup", texts.join("\n\n"));
    }
}
