//! Which tags windlass makes. A deletion is by digest and takes every tag of it along, so a tag that windlass did not make
//! keeps the image.

use crate::registry::is_layers_tag;
use crate::text::slug;

/// What cosign and the OCI referrers fallback put beside images under tags like those of records.
const OF_OTHERS: [&str; 3] = ["sig", "att", "sbom"];

/// Whether the tag says what an image was made of: `content-<16 digits>`, for one of several platforms with its name.
pub(super) fn is_content(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("content-") else { return false };
    let content = rest.split_once('-').map_or(rest, |(content, _)| content);
    content.len() == 16 && is_hex(content)
}

/// The commit whose tag it is, with or without changes that were not committed.
pub(super) fn commit(tag: &str) -> Option<&str> {
    let commit = tag.split_once("-dirty").map_or(tag, |(commit, _)| commit);
    (matches!(commit.len(), 40 | 64) && is_hex(commit)).then_some(commit)
}

/// The digest of the image that a record is about, and the kind of the record: `sha256-<hex>.test-unit`.
pub(super) fn record(tag: &str) -> Option<(String, &str)> {
    let (hex, kind) = tag.strip_prefix("sha256-")?.split_once('.')?;
    (hex.len() == 64 && is_hex(hex) && !OF_OTHERS.contains(&kind)).then(|| (format!("sha256:{hex}"), kind))
}

/// The number of a record whose tag could not be overwritten, and its kind: `2.test-unit` of `test-unit`.
pub(super) fn numbered(kind: &str) -> (u32, &str) {
    let parts = kind.split_once('.').and_then(|(number, kind)| Some((number.parse().ok()?, kind)));
    parts.unwrap_or((1, kind))
}

/// The tags of an image that windlass did not make. `branches` are those that it was built for.
pub(super) fn foreign<'a, 'b>(
    tags: &'a [String],
    branches: impl IntoIterator<Item = &'b str>,
) -> Vec<&'a str> {
    let branches: Vec<String> = branches.into_iter().map(slug).collect();
    let is_ours = |tag: &str| {
        is_content(tag)
            || commit(tag).is_some()
            || is_layers_tag(tag)
            || branches.iter().any(|branch| branch == tag)
    };
    tags.iter().map(String::as_str).filter(|tag| !is_ours(tag)).collect()
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|letter| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_tag_that_windlass_did_not_make_is_told_from_those_that_it_made() {
        let dirty = format!("{COMMIT}-dirty-1a2b3c");
        let tags =
            ["content-0123456789abcdef", "content-0123456789abcdef-linux-arm64", COMMIT, &dirty, "feature-x"];
        let tags: Vec<String> = tags.into_iter().map(str::to_owned).collect();
        assert!(foreign(&tags, ["main", "feature-x"]).is_empty());
        let layers = crate::registry::layers_tag(&"0f".repeat(32));
        assert!(foreign(&[layers], None).is_empty());
        assert_eq!(foreign(&tags, Some("other")), ["feature-x"], "nothing says that it is a branch's");
        for tag in ["v1.0", "latest", "content-by-hand", "0123abcd", "stable"] {
            assert_eq!(foreign(&[tag.to_owned()], None), [tag]);
        }
        let named = slug("feature/Login");
        assert!(foreign(std::slice::from_ref(&named), Some("feature/Login")).is_empty(), "{named}");
    }

    #[test]
    fn a_record_says_what_it_is_about() {
        let hex = "a".repeat(64);
        let record_of =
            |rest: &str| record(&format!("sha256-{hex}{rest}")).map(|(about, kind)| (about, kind.to_owned()));
        assert_eq!(record_of(".test-unit"), Some((format!("sha256:{hex}"), "test-unit".to_owned())));
        assert_eq!(record_of(".sig"), None, "cosign's");
        assert_eq!(record_of(""), None, "the referrers of a registry without that API");
        assert_eq!(record("sha256-abc.test-unit"), None);
        assert_eq!(numbered("2.test-unit.x"), (2, "test-unit.x"));
        assert_eq!(numbered("test-unit.2"), (1, "test-unit.2"));
    }
}
