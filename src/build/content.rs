//! The content tag: the same for the same inputs, whatever the commit, the machine or the user.
//!
//! It counts the Dockerfile, the target, the arguments, the platform and every file that the Dockerfile can read. A base image
//! counts by what `FROM` says: a digest pins it, a tag is taken at its word, so that a new `debian:12` alone builds
//! nothing anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::context::{Context, Entry, EntryKind, field, is_elsewhere, rules_file, unwanted};
use super::dockerfile::Dockerfile;
use super::dockerfile::reads::Reads;
use crate::error::{Error, Kind, Place, Result};
use crate::model::Digest;
use crate::project::{IN_NO_IMAGE, ImageConfig, Project};
use crate::text::{hex, nearest};

/// Changed whenever the same sources would give another image: the way a context is sent is part of it.
const FORMAT: &[u8] = b"windlass content 3";
/// Hexadecimal digits: 64 bits are enough for what one repository will ever hold.
const DIGITS: usize = 16;

/// What of the context a build of this image can read.
pub(super) fn reads(context: &Context, image: &ImageConfig, platform: &str) -> Reads {
    let mut args = image.args.clone();
    // Another image of the project is no stage.
    args.extend(image.needs.keys().map(|argument| (argument.clone(), "needed@sha256:".to_owned())));
    let file = Dockerfile::of(&context.text, image);
    let reads = file.reads(image.target.as_deref(), &args, platform);
    let is_followed = |entry: &Entry| {
        matches!(entry.kind, EntryKind::Link { .. }) && reads.follows(&entry.path.to_string_lossy())
    };
    if context.entries.iter().any(is_followed) { Reads::Everything } else { reads }
}

/// What of the project's images may not be what was meant. What cannot be read is told by others.
pub(super) fn doubts(project: &Project) -> Vec<Error> {
    project.config.images.iter().flat_map(|(name, image)| doubts_of(project, name, image)).collect()
}

fn doubts_of(project: &Project, name: &str, image: &ImageConfig) -> Vec<Error> {
    let Ok(context) = Context::find(&project.root, &image.context, &image.dockerfile) else {
        return Vec::new();
    };
    let reads = reads(&context, image, "linux/amd64");
    let mut doubts: Vec<Error> = needless(project, name, image, &context, &reads).into_iter().collect();
    doubts.extend(unwanted::doubts(name, &project.root, &context, &|path| reads.includes(path)));
    doubts.extend(unknown_secrets(name, image, &context));
    doubts.into_iter().map(|doubt| project.at_image(name, doubt)).collect()
}

/// The secrets that a Dockerfile mounts and the configuration does not have, with their lines.
fn unknown_secrets(name: &str, image: &ImageConfig, context: &Context) -> Vec<Error> {
    let mounted = Dockerfile::parse(&context.text).secrets().into_iter();
    let unknown = mounted.filter(|(_, id)| !image.secrets.contains_key(id));
    unknown
        .map(|(line, id)| {
            let sentence =
                format!("the secret `{id}` is mounted, but `images.{name}.secrets` does not define it");
            let place = Place { file: image.dockerfile.clone(), line: Some(line), column: None };
            Error::new(Kind::Invalid, sentence).at(place).with_hint(match meant(&id, image) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it there: `{id}: {{env: …}}` or `{id}: {{file: …}}`"),
            })
        })
        .collect()
}

/// The secret of the configuration that a Dockerfile may mean by this id.
pub(super) fn meant<'a>(id: &str, image: &'a ImageConfig) -> Option<&'a str> {
    let known = || image.secrets.keys().map(String::as_str);
    let begins = |known: &&str| id.starts_with(known) || known.starts_with(id);
    nearest(id, known()).or_else(|| known().find(begins))
}

/// What every commit changes and no image needs, where it is among what an image is made of: a Dockerfile that copies all there
/// is reads it. Reports of earlier runs are in no context.
fn needless(
    project: &Project,
    name: &str,
    image: &ImageConfig,
    context: &Context,
    reads: &Reads,
) -> Option<Error> {
    if *reads != Reads::Everything {
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
    let (_, rules) = rules_file(&project.root, &image.context, Some(&image.dockerfile)).ok()?;
    let found = found.join(", ");
    let sentence = format!(
        "the image `{name}` contains {found}: a commit that changes nothing else still changes the image"
    );
    Some(Error::new(Kind::Invalid, sentence).with_hint(format!("add {found} to {}", rules.display())))
}

/// The directories that the image's Dockerfile knows by names, besides its context.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for one that is missing or cannot be read.
pub(super) fn named_contexts(project: &Path, image: &ImageConfig) -> Result<BTreeMap<String, Context>> {
    let directories = image.contexts.iter().filter(|(_, value)| !is_elsewhere(value));
    directories.map(|(name, value)| Ok((name.clone(), Context::named(project, Path::new(value))?))).collect()
}

/// `content-<16 hexadecimal digits>`. `needed` are the images it is built from, by argument; `commit` stands for what Git keeps,
/// where that is among what the build `reads`.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for a file that cannot be read.
pub(super) fn tag(
    context: &mut Context,
    named: &mut BTreeMap<String, Context>,
    image: &ImageConfig,
    needed: &BTreeMap<String, Digest>,
    (platform, commit): (&str, &str),
    reads: &Reads,
) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [FORMAT, platform.as_bytes(), context.text.as_bytes()] {
        field(&mut hash, part);
    }
    hash_config(&mut hash, image, needed);
    context.hash(&mut hash, commit, &|path| reads.includes(path))?;
    for (name, context) in named {
        field(&mut hash, name.as_bytes());
        context.hash(&mut hash, commit, &|_| true)?;
    }
    // A digest of the digest: the same strength, and already in hexadecimal digits.
    Ok(format!("content-{}", &hex::sha256(hash.finalize())[..DIGITS]))
}

/// What `windlass.yaml` says of the image, and the images that it is built from.
fn hash_config(hash: &mut Sha256, image: &ImageConfig, needed: &BTreeMap<String, Digest>) {
    field(hash, image.target.as_deref().unwrap_or_default().as_bytes());
    hash.update((image.args.len() as u64).to_be_bytes());
    for (name, value) in &image.args {
        field(hash, name.as_bytes());
        field(hash, value.as_bytes());
    }
    for (argument, digest) in needed {
        field(hash, argument.as_bytes());
        field(hash, digest.as_str().as_bytes());
    }
    for id in image.secrets.keys() {
        field(hash, b"secret");
        field(hash, id.as_bytes());
    }
    // A configuration without these keys has the tag that it had before there were any.
    let texts = [
        ("label", &image.labels),
        ("annotation", &image.annotations),
        ("context", &image.contexts),
        ("host", &image.extra_hosts),
    ];
    for (kind, texts) in texts {
        for (name, value) in texts {
            for part in [kind, name, value] {
                field(hash, part.as_bytes());
            }
        }
    }
    if let Some(network) = image.network.as_ref().filter(|network| *network != "default") {
        field(hash, b"network");
        field(hash, network.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_makes_the_image_counts() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch").unwrap();
        let here = Path::new(".");
        let plain = ImageConfig { args: [("A".to_owned(), "1".to_owned())].into(), ..ImageConfig::default() };
        let made = |image: &ImageConfig, needed: &[u8], platform: &str| {
            let needed = [("B".to_owned(), Digest::of(needed))].into();
            let mut context = Context::find(root.path(), here, Path::new("Dockerfile")).unwrap();
            tag(&mut context, &mut [].into(), image, &needed, (platform, "c"), &Reads::Everything).unwrap()
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
            doubts(&project)
                .iter()
                .map(|doubt| format!("{doubt}; {}", doubt.hint().unwrap()))
                .collect::<Vec<_>>()
        };
        let all = said("FROM a\nCOPY . /x\n", "");
        assert_eq!(all.len(), 1);
        assert!(all[0].contains("contains `.git`, `.kube`, `windlass.yaml`: a commit"), "{all:?}");
        assert!(all[0].ends_with("add `.git`, `.kube`, `windlass.yaml` to .dockerignore"), "{all:?}");
        assert!(said("FROM a\nCOPY . /x\n", ".git\nwindlass.yaml\n")[0].contains("contains `.kube`:"));
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
        let image = ImageConfig::default();
        let made = |commit: &str| {
            let mut context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
            let reads = reads(&context, &image, "linux/amd64");
            let tag = tag(&mut context, &mut [].into(), &image, &[].into(), ("linux/amd64", commit), &reads)
                .unwrap();
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
