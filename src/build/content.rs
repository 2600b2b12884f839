//! The content tag: the same for everything that is built from the same sources, whichever commit, machine or person.
//!
//! It counts the Dockerfile, the target, the arguments, the platform and every file that the build may see. A base image
//! counts by what `FROM` says: a digest pins it, a tag is taken at its word, so that a new `debian:12` alone builds
//! nothing anew.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::context::{Context, field};
use crate::error::Result;
use crate::model::Digest;
use crate::project::ImageConfig;
use crate::text::hex;

/// Changed whenever the same sources would give another image: the way a context is sent is part of it.
const FORMAT: &[u8] = b"windlass content 3";
/// Hexadecimal digits: 64 bits are enough for what one repository will ever hold.
const DIGITS: usize = 16;

/// `content-<16 hexadecimal digits>`. `needed` are the images it is built from, by argument; `commit` stands for what Git keeps, where that is in the context.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for a file that cannot be read.
pub(super) fn tag(
    context: &mut Context,
    image: &ImageConfig,
    needed: &BTreeMap<String, Digest>,
    platform: &str,
    commit: &str,
) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [FORMAT, platform.as_bytes(), context.text.as_bytes()] {
        field(&mut hash, part);
    }
    field(&mut hash, image.target.as_deref().unwrap_or_default().as_bytes());
    hash.update((image.args.len() as u64).to_be_bytes());
    for (name, value) in &image.args {
        field(&mut hash, name.as_bytes());
        field(&mut hash, value.as_bytes());
    }
    for (argument, digest) in needed {
        field(&mut hash, argument.as_bytes());
        field(&mut hash, digest.as_str().as_bytes());
    }
    for id in image.secrets.keys() {
        field(&mut hash, b"secret");
        field(&mut hash, id.as_bytes());
    }
    context.hash(&mut hash, commit)?;
    // A digest of the digest: the same strength, and already in hexadecimal digits.
    Ok(format!("content-{}", &hex::sha256(hash.finalize())[..DIGITS]))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn everything_that_makes_the_image_counts() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch").unwrap();
        let here = Path::new(".");
        let plain = ImageConfig {
            context: PathBuf::from("."),
            dockerfile: PathBuf::from("Dockerfile"),
            target: None,
            args: [("A".to_owned(), "1".to_owned())].into(),
            needs: [].into(),
            secrets: [].into(),
            ssh: false,
            platforms: [].into(),
            cache: true,
        };
        let made = |image: &ImageConfig, needed: &[u8], platform: &str| {
            let needed = [("B".to_owned(), Digest::of(needed))].into();
            let mut context = Context::find(root.path(), here, Path::new("Dockerfile")).unwrap();
            tag(&mut context, image, &needed, platform, "c").unwrap()
        };
        let of = |image: &ImageConfig, platform: &str| made(image, b"1", platform);
        let first = of(&plain, "linux/amd64");
        assert_eq!((first.len(), of(&plain, "linux/amd64")), ("content-".len() + 16, first.clone()));
        let mut changed = vec![of(&plain, "linux/arm64"), made(&plain, b"2", "linux/amd64")];
        changed.push(of(&ImageConfig { target: Some("a".to_owned()), ..plain.clone() }, "linux/amd64"));
        changed.push(of(
            &ImageConfig { args: [("A".to_owned(), "2".to_owned())].into(), ..plain.clone() },
            "linux/amd64",
        ));
        changed.push(of(&ImageConfig { args: [].into(), ..plain.clone() }, "linux/amd64"));
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch ").unwrap();
        changed.push(of(&plain, "linux/amd64"));
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch").unwrap();
        std::fs::write(root.path().join("new"), "").unwrap();
        changed.push(of(&plain, "linux/amd64"));
        assert!(!changed.contains(&first), "{first} in {changed:?}");
    }
}
