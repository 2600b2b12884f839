//! More tags for an image (`tags:` of `windlass.yaml`): what their variables mean for the commit that is built.

use super::{Project, variable};
use crate::error::{Error, Kind, Result};
use crate::model::{TAG_SHAPE, is_tag};
use crate::project::config::environment::{ExpandError, expand};

impl Project {
    /// The tags that an image gets besides those that windlass finds it by; one whose variables have no value is left out.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a text that is no tag once its variables are replaced.
    pub(crate) fn image_tags(&self, image: &str) -> Result<Vec<String>> {
        let Some(config) = self.config.images.get(image) else { return Ok(Vec::new()) };
        let mut own = self.own_variables();
        let git_tag = self.revision.as_ref().and_then(|revision| revision.git_tag.as_deref());
        own.extend(git_tag.map(versions).into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
        let mut tags = Vec::new();
        for written in &config.tags {
            let mut is_empty = false;
            let expanded = expand(written, &mut |name| {
                let value =
                    own.get(name).cloned().or_else(|| variable(name)).filter(|value| !value.is_empty());
                is_empty |= value.is_none();
                Ok(Some(value.unwrap_or_default()))
            });
            let tag =
                expanded.map_err(|fault: ExpandError| self.at_image(image, fault.error(written, None)))?;
            if tag.is_empty() || is_empty {
                continue;
            }
            if !is_tag(&tag) {
                let message =
                    format!("`images.{image}.tags`: `{written}` is `{tag}`, which is not a valid tag");
                return Err(self.at_image(image, Error::new(Kind::Invalid, message).with_hint(TAG_SHAPE)));
            }
            tags.push(tag);
        }
        Ok(tags)
    }
}

/// The version that a Git tag names, and what it is the newest of: `v1.4.2` is `1.4.2`, `1.4` and `1`; `v2.0.0-rc.1` is no newest
/// of anything (semver.org).
fn versions(tag: &str) -> Vec<(&'static str, String)> {
    let version = tag.strip_prefix('v').unwrap_or(tag);
    let version = version.split_once('+').map_or(version, |(version, _)| version);
    let (numbers, is_release) = match version.split_once('-') {
        Some((numbers, _)) => (numbers, false),
        None => (version, true),
    };
    let is_number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let parts: Vec<&str> = numbers.split('.').collect();
    let [major, minor, _] = parts.as_slice() else { return Vec::new() };
    if !parts.iter().all(|part| !part.is_empty() && is_number(part)) {
        return Vec::new();
    }
    let mut versions = vec![("WINDLASS_VERSION", version.to_owned())];
    if is_release {
        versions.push(("WINDLASS_VERSION_MINOR", format!("{major}.{minor}")));
        versions.push(("WINDLASS_VERSION_MAJOR", (*major).to_owned()));
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_newest_of_its_line() {
        let values =
            |tag: &str| versions(tag).into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ");
        for (tag, expected) in [
            ("v1.4.2", "1.4.2 1.4 1"),
            ("1.4.2", "1.4.2 1.4 1"),
            ("v2.0.0-rc.1", "2.0.0-rc.1"),
            ("v1.0.0+build.5", "1.0.0 1.0 1"),
            ("v1.4", ""),
            ("release-7", ""),
            ("v01.2.3", ""),
            ("v1..3", ""),
        ] {
            assert_eq!(values(tag), expected, "{tag}");
        }
    }
}
