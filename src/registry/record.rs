//! Facts about an image that lie in the registry beside it: one tag for each record.
//!
//! A record is an OCI manifest whose annotation holds the JSON, so that a look at the tag is enough. Its `subject` is
//! the image: a registry with the referrers API lists it there as well; one without keeps the tag, which is what
//! windlass reads. One tag per record, because a single index tag would lose concurrent writes.

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::model::Digest;
use crate::text::hex;

/// Where the JSON stands.
const ANNOTATION: &str = "dev.windlass.record";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// What the tags of marks begin with.
const MARK: &str = "windlass.";
/// What the tag of an image begins with that says what came out of its build.
const LAYERS: &str = "windlass.layers-";
/// What the tag begins with of what builds of a branch leave for later ones.
const CACHE: &str = "windlass.cache-";
/// Hexadecimal digits of that tag.
const LAYERS_DIGITS: usize = 32;
/// The mark that a test moves which had passed and fails.
pub(crate) const TESTS: &str = "tests";
/// The blob that a manifest without content must still name.
pub(super) const EMPTY: &[u8] = b"{}";
/// A tag has 128 characters at most; `sha256-<64>.` takes 72.
const LONGEST_KIND: usize = 56;

/// The tag of a record: `sha256-<hex>.test-unit`; from the second on, where tags cannot be overwritten,
/// `sha256-<hex>.2.test-unit`. No kind begins with a digit.
pub(super) fn tag(image: &Digest, kind: &str, number: u32) -> String {
    let kind = if number == 1 { kind.to_owned() } else { format!("{number}.{kind}") };
    let kind = kind.as_str();
    let clean: String = kind
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || "_.-".contains(letter) { letter } else { '-' })
        .collect();
    if clean == kind && kind.len() <= LONGEST_KIND {
        return format!("sha256-{}.{kind}", image.hex());
    }
    let short: String = clean.chars().take(LONGEST_KIND - 7).collect();
    format!("sha256-{}.{short}-{}", image.hex(), &hex::sha256(kind.as_bytes())[..6])
}

/// The manifest that carries a record.
pub(super) fn manifest(image: &Digest, media_type: &str, size: usize, kind: &str, record: &Value) -> Vec<u8> {
    let empty = json!({"mediaType": EMPTY_TYPE, "digest": Digest::of(EMPTY), "size": EMPTY.len()});
    let family = kind.split('-').next().unwrap_or(kind);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": format!("application/vnd.windlass.{family}.v1+json"),
        "config": empty,
        "layers": [empty],
        "subject": {"mediaType": media_type, "digest": image, "size": size},
        "annotations": {ANNOTATION: record.to_string(), "dev.windlass.kind": kind},
    });
    manifest.to_string().into_bytes()
}

/// The tag of a mark: `windlass.tests`; from the second on, where tags cannot be overwritten, `windlass.tests.2`. A branch's
/// tag has no dot.
pub(super) fn mark_tag(name: &str, number: u32) -> String {
    if number == 1 { format!("{MARK}{name}") } else { format!("{MARK}{name}.{number}") }
}

/// The tag of the layers that builds of a branch leave; the branch as a slug.
pub(crate) fn cache_tag(branch: &str) -> String {
    format!("{CACHE}{branch}")
}

/// The tag of the layers of one stage, by its number, where they cannot be left together under this tag of all.
pub(crate) fn stage_cache_tag(cache: &str, stage: usize) -> String {
    format!("{cache}.{stage}")
}

/// The branch of such layers, as a slug; `None` for a tag of something else.
pub(crate) fn branch_of_cache(tag: &str) -> Option<&str> {
    let rest = tag.strip_prefix(CACHE)?;
    Some(rest.split_once('.').map_or(rest, |(branch, _)| branch))
}

/// The tag of an image whose layers and configuration have this fingerprint, in hexadecimal digits.
pub(crate) fn layers_tag(fingerprint: &str) -> String {
    format!("{LAYERS}{}", fingerprint.get(..LAYERS_DIGITS).unwrap_or(fingerprint))
}

/// Whether a tag is one of those.
pub(crate) fn is_layers_tag(tag: &str) -> bool {
    let digits = tag.strip_prefix(LAYERS).unwrap_or_default();
    digits.len() == LAYERS_DIGITS
        && digits.bytes().all(|one| one.is_ascii_digit() || (b'a'..=b'f').contains(&one))
}

/// Whether a tag is that of a mark, and so none of an image.
pub(crate) fn is_mark(tag: &str) -> bool {
    let first = mark_tag(TESTS, 1);
    tag.strip_prefix(&first).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The manifest of a mark, of which no two are the same.
pub(super) fn mark(name: &str, now: &str) -> Vec<u8> {
    let empty = json!({"mediaType": EMPTY_TYPE, "digest": Digest::of(EMPTY), "size": EMPTY.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.windlass.mark.v1+json",
        "config": empty,
        "layers": [empty],
        "annotations": {"dev.windlass.mark": name, "dev.windlass.moved": now, "dev.windlass.by": std::process::id().to_string()},
    });
    manifest.to_string().into_bytes()
}

/// The record in a manifest, if it is one about this image.
///
/// # Errors
/// [`Kind::Invalid`] where something else stands under the record's tag.
pub(super) fn read(image: &Digest, tag: &str, manifest: &[u8]) -> Result<Value> {
    let wrong = |what: &str| {
        Error::new(Kind::Invalid, format!("the tag `{tag}` in the registry {what}"))
            .with_hint("delete that tag, or run again the command that writes the record")
    };
    let manifest: Value = serde_json::from_slice(manifest).map_err(|_| wrong("is not a record"))?;
    if manifest["subject"]["digest"].as_str() != Some(image.as_str()) {
        return Err(wrong("is a record about another image"));
    }
    let text = manifest["annotations"][ANNOTATION].as_str().ok_or_else(|| wrong("is not a record"))?;
    serde_json::from_str(text).map_err(|_| wrong("holds a record that is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_mark_is_none_of_an_image() {
        assert!(is_mark(&mark_tag(TESTS, 1)) && is_mark(&mark_tag(TESTS, 2)));
        assert!(!is_mark("windlass.testsuite") && !is_mark("tests"));
        let layers = layers_tag(&hex::sha256("x"));
        assert!(is_layers_tag(&layers) && !is_mark(&layers));
        assert!(!is_layers_tag("windlass.layers-by-hand") && !is_layers_tag("windlass.tests"));
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let image = Digest::of(b"image");
        let record = json!({"outcome": "ok", "text": "two\nlines"});
        let manifest =
            manifest(&image, "application/vnd.docker.distribution.manifest.v2+json", 5, "test-unit", &record);
        assert_eq!(read(&image, "t", &manifest).unwrap(), record);
        assert!(read(&Digest::of(b"other"), "t", &manifest).is_err());
    }

    #[test]
    fn a_tag_is_never_longer_than_a_registry_takes() {
        let image = Digest::of(b"image");
        assert_eq!(tag(&image, "test-unit", 1), format!("sha256-{}.test-unit", image.hex()));
        assert_eq!(tag(&image, "test-unit", 2), format!("sha256-{}.2.test-unit", image.hex()));
        let long = tag(&image, &format!("test-{}", "x".repeat(100)), 1);
        assert!(long.len() <= 128 && long != tag(&image, &format!("test-{}", "x".repeat(101)), 1), "{long}");
        assert!(!tag(&image, "test-a b", 1).contains(' '));
        let numbered = |number| tag(&image, &format!("test-{}", "x".repeat(51)), number);
        assert!(numbered(1).len() == 128 && numbered(12).len() <= 128 && numbered(12) != numbered(13));
    }
}
