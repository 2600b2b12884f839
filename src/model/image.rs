//! The parts of an image name: registry, repository, tag, digest.
//!
//! The rules are those of the distribution project's reference grammar, with Docker's short names (`busybox` is
//! `docker.io/library/busybox`). A registry never refuses the form of a reference that passes here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{Malformed, hex};

/// The registry that a name without a host means.
const HUB: &str = "docker.io";

static REPOSITORY: LazyLock<Regex> = LazyLock::new(|| {
    let part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
    Regex::new(&format!("^{part}(?:/{part})*$")).expect("the pattern is a constant")
});
static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$").expect("the pattern is a constant"));
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$")
        .expect("the pattern is a constant")
});
static DIGEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^sha256:[0-9a-f]{64}$").expect("the pattern is a constant"));

/// What [`is_tag`] asks for, in words.
pub(crate) const TAG_SHAPE: &str = "letters, digits, `.`, `_` and `-`, no `.` or `-` first, 128 at most";

/// Whether a registry could have a tag of this name.
pub(crate) fn is_tag(name: &str) -> bool {
    TAG.is_match(name)
}

/// The content address of a manifest: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// The whole digest, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hexadecimal digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::sha256(bytes)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if DIGEST.is_match(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Malformed::new(format!("`{text}` is not a digest"))
            .with_hint("a digest is `sha256:` followed by 64 hexadecimal digits"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `registry.example.com:5000`; `docker.io` where the name had no host.
    pub registry: String,
    /// `group/shop/web`.
    pub repository: String,
    /// `main`, if the name has one; nothing is added where it has none.
    pub tag: Option<String>,
    /// The digest, if the name has one.
    pub digest: Option<Digest>,
}

impl Reference {
    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository under this tag, without digest.
    #[must_use]
    pub fn with_tag(&self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), digest: None, ..self.clone() }
    }

    /// The same name with this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The image with this digest under the reference's tag.
    pub fn pinned_to(&self, digest: Digest) -> PinnedImage {
        let Self { registry, repository, tag, .. } = self.clone();
        PinnedImage { registry, repository, tag, digest }
    }

    /// The image, where the reference has a digest.
    pub fn pinned(&self) -> Option<PinnedImage> {
        Some(self.pinned_to(self.digest.clone()?))
    }

    /// What a request for its manifest asks for: the digest, else the tag, else `latest`.
    pub fn selector(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

/// An image that is in a registry: exactly one manifest, whatever happens to the tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PinnedImage {
    /// `registry.example.com:5000`.
    pub registry: String,
    /// `group/shop/web`.
    pub repository: String,
    /// A tag that it has, or had; only for people.
    pub tag: Option<String>,
    /// The digest of its manifest.
    pub digest: Digest,
}

impl PinnedImage {
    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `registry/repository@sha256:…`: without the tag.
    pub fn by_digest(&self) -> String {
        format!("{}@{}", self.name(), self.digest)
    }

    /// Its name, taken apart.
    pub fn reference(&self) -> Reference {
        let Self { registry, repository, tag, digest } = self.clone();
        Reference { registry, repository, tag, digest: Some(digest) }
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference().fmt(f)
    }
}

impl FromStr for PinnedImage {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let reference: Reference = text.parse()?;
        reference.pinned().ok_or_else(|| Malformed::new(format!("`{text}` has no digest")))
    }
}

/// An image of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name in `windlass.yaml`.
    pub name: String,
    /// Where it is, with the commit's tag.
    pub pinned: PinnedImage,
    /// Whether this run built it; otherwise it was there.
    pub built: bool,
}

/// The images of a commit, by name.
pub type Images = BTreeMap<String, Image>;

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = |why: String| Malformed::new(format!("`{text}` is not an image name: {why}"));
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if let Some(tag) = tag.filter(|tag| !TAG.is_match(tag)) {
            return Err(wrong(format!(
                "the tag `{tag}` may only have letters, digits, `_`, `.`, `-`, 128 at most"
            )));
        }
        let (registry, repository) = split_host(name);
        if !HOST.is_match(registry) {
            return Err(wrong(format!("`{registry}` is not a host with an optional port")));
        }
        if repository.chars().any(char::is_uppercase) {
            return Err(wrong("a repository's name is lower case".to_owned()));
        }
        if repository.len() > 255 || !REPOSITORY.is_match(&repository) {
            return Err(wrong(format!("`{repository}` is not a repository (a-z, 0-9, `.`, `_`, `-`, `/`)")));
        }
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

/// Docker's rule: the first part is a host only if it has a dot, a colon, or is `localhost`.
fn split_host(name: &str) -> (&str, String) {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            let official = host == HUB && !rest.contains('/');
            (host, if official { format!("library/{rest}") } else { rest.to_owned() })
        }
        Some(_) => (HUB, name.to_owned()),
        None => (HUB, format!("library/{name}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const D: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn short_names_are_read_as_docker_reads_them() {
        for (text, full) in [
            ("busybox", "docker.io/library/busybox"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox"),
            ("bitnami/redis", "docker.io/bitnami/redis"),
            ("localhost/app", "localhost/app"),
            ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
            ("[::1]:5000/app", "[::1]:5000/app"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full, "{text}");
        }
    }

    #[test]
    fn a_port_is_not_a_tag() {
        let reference: Reference = "registry:5000/app".parse().unwrap();
        assert_eq!((reference.registry.as_str(), reference.tag), ("registry:5000", None));
    }

    #[test]
    fn the_digest_wins_over_the_tag_when_asked_for() {
        let reference: Reference = format!("r.test/a:b@{D}").parse().unwrap();
        assert_eq!(reference.selector(), D);
        assert_eq!(reference.pinned().unwrap().by_digest(), format!("r.test/a@{D}"));
    }

    #[test]
    fn an_image_is_pinned_by_a_digest_only() {
        let text = format!("r.test/a:b@{D}");
        assert_eq!(text.parse::<PinnedImage>().unwrap().to_string(), text);
        assert_eq!("r.test/a:b".parse::<PinnedImage>().unwrap_err().message, "`r.test/a:b` has no digest");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("r.test/Shop", "lower case"),
            ("r.test/a:b c", "the tag `b c`"),
            ("r.test/a@sha256:12", "not a digest"),
            ("r.test/-a", "not a repository"),
            ("-x.test:1/a", "not a host"),
            ("", "not a repository"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.message.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_read_again(
            repository in "[a-z0-9]{1,8}(/[a-z0-9]{1,5}(-[a-z0-9]{1,3})?){0,3}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
            pinned in any::<bool>(),
        ) {
            let reference = Reference {
                registry: "r.test:5000".into(), repository, tag,
                digest: pinned.then(|| D.parse().unwrap()),
            };
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = text.parse::<Reference>();
        }
    }
}
