//! The content tag: the same for everything that is built from the same sources, whichever commit, machine or person.
//!
//! It counts the Dockerfile, the target, the arguments, the platform and every file that the Dockerfile can read. A base image
//! counts by what `FROM` says: a digest pins it, a tag is taken at its word, so that a new `debian:12` alone builds
//! nothing anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::context::{Context, Entry, EntryKind, field, rules_file};
use super::dockerfile::Dockerfile;
use super::dockerfile::reads::Reads;
use crate::error::{Error, Kind, Result};
use crate::model::Digest;
use crate::project::{IN_NO_IMAGE, ImageConfig, Project};
use crate::text::hex;

/// Changed whenever the same sources would give another image: the way a context is sent is part of it.
const FORMAT: &[u8] = b"windlass content 3";
/// Hexadecimal digits: 64 bits are enough for what one repository will ever hold.
const DIGITS: usize = 16;

/// What of the context a build of this image can read.
pub(super) fn reads(context: &Context, image: &ImageConfig, platform: &str) -> Reads {
    let mut args = image.args.clone();
    // Another image of the project is no stage.
    args.extend(image.needs.keys().map(|argument| (argument.clone(), "needed@sha256:".to_owned())));
    let reads = Dockerfile::parse(&context.text).reads(image.target.as_deref(), &args, platform);
    let is_followed = |entry: &Entry| {
        matches!(entry.kind, EntryKind::Link { .. }) && reads.follows(&entry.path.to_string_lossy())
    };
    if context.entries.iter().any(is_followed) { Reads::Everything } else { reads }
}

/// A doubt for each image that is made of what every commit changes, which a Dockerfile reads that copies all there is. Reports
/// of earlier runs are in no context.
pub(super) fn needless(project: &Project) -> Vec<Error> {
    let images = project.config.images.iter();
    images.filter_map(|(name, image)| needless_of(project, name, image)).collect()
}

fn needless_of(project: &Project, name: &str, image: &ImageConfig) -> Option<Error> {
    // What cannot be read is told by others.
    let context = Context::find(&project.root, &image.context, &image.dockerfile).ok()?;
    if reads(&context, image, "linux/amd64") != Reads::Everything {
        return None;
    }
    let (top, root) =
        (project.root.join(&image.context).canonicalize().ok()?, project.root.canonicalize().ok()?);
    let files = IN_NO_IMAGE.iter().map(|file| root.join(file)).chain(project.config_file.clone());
    let inside = files.filter_map(|file| Some(file.strip_prefix(&top).ok()?.to_path_buf()));
    let found: BTreeSet<PathBuf> =
        inside.filter(|file| context.entries.iter().any(|entry| entry.path == *file)).collect();
    let found: Vec<String> = found.iter().map(|file| format!("`{}`", file.display())).collect();
    if found.is_empty() {
        return None;
    }
    let (_, rules) = rules_file(&project.root, &image.context, &image.dockerfile).ok()?;
    let found = found.join(", ");
    let sentence = format!(
        "the image `{name}` is made of {found}: a commit that changes nothing else makes another image"
    );
    let doubt = Error::new(Kind::Invalid, sentence).with_hint(format!("add {found} to {}", rules.display()));
    Some(match project.place_of_image(name) {
        Some(place) => doubt.at(place),
        None => doubt,
    })
}

/// `content-<16 hexadecimal digits>`. `needed` are the images it is built from, by argument; `commit` stands for what Git keeps,
/// where that is among what the build `reads`.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for a file that cannot be read.
pub(super) fn tag(
    context: &mut Context,
    image: &ImageConfig,
    needed: &BTreeMap<String, Digest>,
    (platform, commit): (&str, &str),
    reads: &Reads,
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
    context.hash(&mut hash, commit, &|path| reads.includes(path))?;
    // A digest of the digest: the same strength, and already in hexadecimal digits.
    Ok(format!("content-{}", &hex::sha256(hash.finalize())[..DIGITS]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
            tag(&mut context, image, &needed, (platform, "c"), &Reads::Everything).unwrap()
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

    #[test]
    fn what_every_commit_changes_is_said_to_be_in_an_image() {
        let said = |dockerfile: &str, rules: &str| {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in [
                ("Dockerfile", dockerfile),
                (".dockerignore", rules),
                ("windlass.yaml", "version: 1\nimages: {web: {}}\n"),
                (".kube/app.yaml", ""),
                (".git/HEAD", ""),
                ("README.md", ""),
            ] {
                std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
                std::fs::write(root.path().join(name), text).unwrap();
            }
            let options =
                crate::project::Options { directory: root.path().to_path_buf(), ..Default::default() };
            let facts = crate::project::GitFacts::default();
            let project = Project::open(&options, facts, &crate::project::variable).unwrap();
            needless(&project)
                .iter()
                .map(|doubt| format!("{doubt}; {}", doubt.hint().unwrap()))
                .collect::<Vec<_>>()
        };
        let all = said("FROM a\nCOPY . /x\n", "");
        assert_eq!(all.len(), 1);
        assert!(all[0].contains("is made of `.git`, `.kube`, `windlass.yaml`: a commit"), "{all:?}");
        assert!(all[0].ends_with("add `.git`, `.kube`, `windlass.yaml` to .dockerignore"), "{all:?}");
        assert!(said("FROM a\nCOPY . /x\n", ".git\nwindlass.yaml\n")[0].contains("is made of `.kube`:"));
        assert_eq!(said("FROM a\nCOPY . /x\n", ".git\n.kube\nwindlass.yaml\n").len(), 0);
        assert_eq!(said("FROM a\nCOPY README.md /x\n", "").len(), 0, "it reads nothing of them");
    }

    #[test]
    fn what_the_dockerfile_cannot_read_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let image = ImageConfig {
            context: PathBuf::from("."),
            dockerfile: PathBuf::from("Dockerfile"),
            target: None,
            args: [].into(),
            needs: [].into(),
            secrets: [].into(),
            ssh: false,
            platforms: [].into(),
            cache: true,
        };
        let made = |commit: &str| {
            let mut context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
            let reads = reads(&context, &image, "linux/amd64");
            let tag = tag(&mut context, &image, &[].into(), ("linux/amd64", commit), &reads).unwrap();
            context.narrow(&|path| reads.needs(path));
            let sent: Vec<_> = context.entries.iter().map(|entry| entry.path.display().to_string()).collect();
            (tag, sent)
        };
        write("Dockerfile", "FROM a\nCOPY src/app *.json /x/\n");
        for (name, text) in [("src/app/a", "1"), ("src/other", "1"), ("p.json", "{}"), (".git/HEAD", "1")] {
            write(name, text);
        }
        let (first, sent) = made("c1");
        assert_eq!(sent, ["p.json", "src", "src/app", "src/app/a"]);
        for unread in
            ["README.md", ".kube/app.yaml", "windlass.yaml", ".gitlab-ci.yml", "src/other", ".git/HEAD"]
        {
            write(unread, "2");
            assert_eq!(made("c2").0, first, "{unread}");
        }
        write("src/app/a", "2");
        assert_ne!(made("c1").0, first);
        write("src/app/a", "1");
        write("q.json", "{}");
        assert_ne!(made("c1").0, first);
        std::fs::remove_file(root.path().join("q.json")).unwrap();
        assert_eq!(made("c1").0, first);
        // What a link leads to is read, wherever that is.
        std::os::unix::fs::symlink("README.md", root.path().join("q.json")).unwrap();
        let (linked, sent) = made("c1");
        assert!(sent.contains(&"README.md".to_owned()), "{sent:?}");
        write("README.md", "3");
        assert_ne!(made("c1").0, linked);
    }
}
