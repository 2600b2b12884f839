//! Files that hardly belong in an image: Git LFS pointers instead of files, and nested `.git`
//! directories.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Context, Entry, GIT};
use crate::error::{Error, Kind};
use crate::text::display;

/// How a pointer begins (the specification of Git LFS).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// No pointer is longer.
const LONGEST: u64 = 1024;
/// What says which files LFS keeps.
const ATTRIBUTES: &str = ".gitattributes";

/// What is hardly meant of the part of this context that `counts`; `root` is the project's.
pub(crate) fn doubts(
    name: &str,
    root: &Path,
    context: &Context,
    counts: &dyn Fn(&str) -> bool,
) -> Vec<Error> {
    let read: Vec<&Entry> =
        context.entries.iter().filter(|entry| counts(&entry.path.to_string_lossy())).collect();
    let pointers = if has_attributes(root, context) { pointers(&read) } else { Vec::new() };
    let pointers = listed(&pointers).map(|paths| {
        let sentence =
            format!("the build context of `{name}` contains Git LFS pointers instead of files: {paths}");
        doubt(sentence, "run `git lfs pull`; in CI, install git-lfs before the checkout")
    });
    let nested: Vec<PathBuf> = read
        .iter()
        .filter(|entry| entry.path.ends_with(GIT) && entry.path != Path::new(GIT))
        .map(|entry| entry.path.clone())
        .collect();
    let nested = listed(&nested).map(|paths| {
        let sentence = format!(
            "the build context of `{name}` contains Git's own files, which differ in every clone: {paths}"
        );
        doubt(sentence, "add `**/.git` to .dockerignore")
    });
    pointers.into_iter().chain(nested).collect()
}

fn doubt(sentence: String, hint: &str) -> Error {
    Error::new(Kind::Invalid, sentence).with_hint(hint)
}

/// Whether LFS keeps any of the files. Without such a line no file needs to be looked into.
fn has_attributes(root: &Path, context: &Context) -> bool {
    let inside = context.entries.iter().filter(|entry| entry.path.ends_with(ATTRIBUTES));
    let mut files = inside.map(|entry| entry.source.clone()).chain([root.join(ATTRIBUTES)]);
    files.any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains("filter=lfs")))
}

fn pointers(entries: &[&Entry]) -> Vec<PathBuf> {
    let is_pointer = |entry: &&&Entry| {
        let mut begin = [0; POINTER.len()];
        // What was not read yet has no size.
        let is_short = |found: &std::fs::Metadata| found.is_file() && found.len() <= LONGEST;
        std::fs::symlink_metadata(&entry.source).is_ok_and(|found| is_short(&found))
            && File::open(&entry.source).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
            && begin == *POINTER
    };
    entries.iter().filter(is_pointer).map(|entry| entry.path.clone()).collect()
}

/// `a`, `b`, `c` and 4 more.
fn listed(paths: &[PathBuf]) -> Option<String> {
    const SHOWN: usize = 3;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("`{}`", path.display())).collect();
    match paths.len() {
        0 => None,
        number if number > SHOWN => {
            Some(format!("{} and {}", shown.join(", "), display::count(number - SHOWN, "other")))
        }
        _ => Some(shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_what_git_keeps_are_named_where_they_are_read() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Dockerfile", "FROM scratch\nCOPY . /\n");
        write("logo.png", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
        write("vendor/lib/.git/HEAD", "ref: refs/heads/main");
        let told = |counts: &dyn Fn(&str) -> bool| -> Vec<String> {
            let context = Context::find(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
            doubts("web", root.path(), &context, counts).iter().map(ToString::to_string).collect()
        };
        let git = "the build context of `web` contains Git's own files, which differ in every clone: \
                   `vendor/lib/.git`";
        assert_eq!(told(&|_| true), [git], "without attributes nothing is LFS's");
        write(".gitattributes", "*.png filter=lfs diff=lfs merge=lfs -text\n");
        let pointers = "the build context of `web` contains Git LFS pointers instead of files: `logo.png`";
        assert_eq!(told(&|_| true), [pointers, git]);
        assert!(told(&|path| path == "Dockerfile").is_empty());
    }
}
