//! An image in a record.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::PinnedImage;

/// An image in a record: `repository:tag@sha256:…`. Everyone who may write ConfigMaps may write records: anything else
/// is kept as text, so that it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordedImage {
    /// An image.
    Pinned(PinnedImage),
    /// A text that is not an image.
    Text(String),
}

impl RecordedImage {
    /// The image, if it is one.
    pub(crate) fn pinned(&self) -> Option<&PinnedImage> {
        match self {
            Self::Pinned(pinned) => Some(pinned),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for RecordedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pinned) => pinned.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<String> for RecordedImage {
    fn from(text: String) -> Self {
        match text.parse::<PinnedImage>() {
            // A short name of Docker Hub is not the same text as the full one: keep the record as it was written.
            Ok(pinned) if pinned.to_string() == text => Self::Pinned(pinned),
            _ => Self::Text(text),
        }
    }
}

impl Serialize for RecordedImage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordedImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_written_again() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let texts =
            [format!("r.test/shop/web:1f@{digest}"), format!("web@{digest}"), "no image\n".to_owned()];
        let read = texts.clone().map(RecordedImage::from);
        assert_eq!(read.clone().map(|image| image.pinned().is_some()), [true, false, false]);
        assert_eq!(read.map(|image| image.to_string()), texts);
    }
}
