//! The reports of a test: files copied out of its container, whether it passed or not, and their content.
//!
//! Nothing is mounted into a test: with an Engine on another machine (a CI job's service) a mount would be an empty
//! directory. Files come out through the Engine's archive instead.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::junit::Tally;
use crate::engine::{Archive, Engine};
use crate::error::{Error, Kind, Result};
use crate::project::TestConfig;
use crate::report::Reporter;

/// The kind of report whose content is read.
const JUNIT: &str = "junit";
/// More than this is not brought out for one pattern: a pattern that fits a whole file system is a mistake.
const LIMIT: usize = 256 * 1024 * 1024;

/// A pattern of absolute paths in a container: `/out/*.xml`, `/out/**/*.xml`, `/out/coverage`.
#[derive(Debug)]
struct Glob {
    /// The file or directory to ask the Engine for: the part before the first wildcard.
    base: String,
    path: Regex,
    /// Is `base` a directory in which files are looked for, rather than what is wanted itself?
    wild: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The test cases of all JUnit files.
    pub(super) tally: Option<Tally>,
    /// Patterns that fitted no file, and what else went wrong.
    pub(super) complaints: Vec<String>,
}

/// A file of a container.
#[derive(Debug, PartialEq, Eq)]
struct ReportFile {
    /// Its place below the pattern's base.
    name: PathBuf,
    bytes: Vec<u8>,
}

/// What came of asking for a pattern's base.
#[derive(Debug)]
pub(super) enum FetchedReports {
    /// There is no such file.
    Nothing,
    /// A tar whose first name is the last word of the base.
    Archive(Vec<u8>),
    /// It could not be brought out.
    Complaint(String),
}

/// What must be asked for, in this order: the paths before the first wildcard of each pattern that is wanted.
pub(super) fn bases(test: &TestConfig, directory: Option<&Path>) -> Vec<String> {
    globs(test, directory).map(|glob| glob.base).collect()
}

fn globs<'a>(test: &'a TestConfig, directory: Option<&Path>) -> impl Iterator<Item = Glob> + use<'a> {
    wanted(test, directory).filter_map(|(_, pattern)| Glob::parse(pattern).ok())
}

/// Kind and pattern of what is wanted: without a directory, only what is read.
fn wanted<'a>(
    test: &'a TestConfig,
    directory: Option<&Path>,
) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let all = directory.is_some();
    let of_kind = |(kind, patterns): (&'a String, &'a Vec<String>)| {
        patterns.iter().map(move |pattern| (kind.as_str(), pattern.as_str()))
    };
    test.reports.iter().flat_map(of_kind).filter(move |(kind, _)| all || *kind == JUNIT)
}

/// Brings out what the test's patterns fit: into `<directory>` where one is given, otherwise only to be read.
///
/// # Errors
/// [`Kind::Unreachable`] where the Engine is gone, [`Kind::Invalid`] where the directory cannot be written.
pub(super) async fn bring(
    engine: &Engine,
    container: &str,
    test: &TestConfig,
    directory: Option<&Path>,
) -> Result<Reports> {
    let mut sources = Vec::new();
    for glob in globs(test, directory) {
        sources.push(fetch(engine, container, glob).await?);
    }
    Reports::of(test, directory, sources)
}

/// What a test wrote into its reports may be what nobody should read.
///
/// # Errors
/// [`Kind::Invalid`] where the directory cannot be read and written.
pub(super) fn mask(reporter: &Reporter, directory: Option<&Path>) -> Result<()> {
    let Some(directory) = directory.filter(|directory| directory.exists()) else { return Ok(()) };
    reporter.mask_files(directory).map_err(|error| {
        Error::new(Kind::Invalid, format!("secrets cannot be masked in {}: {error}", directory.display()))
    })
}

impl Reports {
    /// Reads what came of asking for the [`bases`], and writes it into the directory, where one is given.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the directory cannot be written.
    pub(super) fn of(
        test: &TestConfig,
        directory: Option<&Path>,
        sources: Vec<FetchedReports>,
    ) -> Result<Self> {
        let mut reports = Self::default();
        let (mut taken, mut sources) = (BTreeSet::new(), sources.into_iter());
        if let Some(directory) = directory {
            // What a former run left must not be taken for a result of this one; anything else in there is not ours.
            if crate::report::is_ours(directory) {
                let _ = std::fs::remove_dir_all(directory);
            }
        }
        for (kind, pattern) in wanted(test, directory) {
            let found = match Glob::parse(pattern) {
                Ok(glob) => glob.found(pattern, sources.next().unwrap_or(FetchedReports::Nothing)),
                Err(why) => Err(why),
            };
            match found {
                Err(complaint) => reports.complaints.push(complaint),
                Ok(found) if found.is_empty() => {
                    reports.complaints.push(format!("no file matches `{pattern}`"));
                }
                Ok(found) => {
                    for file in found {
                        reports.read(kind, pattern, &file);
                        if let Some(directory) = directory {
                            write(directory, &file, pattern, &mut taken)?;
                        }
                    }
                }
            }
        }
        Ok(reports)
    }

    fn read(&mut self, kind: &str, pattern: &str, file: &ReportFile) {
        if kind != JUNIT {
            return;
        }
        let text = String::from_utf8_lossy(&file.bytes);
        match Tally::of(&text) {
            Some(tally) => {
                if Tally::is_cut_short(&text) {
                    let name = file.name.display();
                    self.complaints
                        .push(format!("`{name}` (`{pattern}`) is truncated: its writer did not finish"));
                }
                self.tally.get_or_insert_default().add(tally);
            }
            None => {
                self.complaints.push(format!("`{}` (`{pattern}`) is not a JUnit file", file.name.display()));
            }
        }
    }
}

impl Glob {
    fn parse(pattern: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("the pattern `{pattern}` {why}");
        if !pattern.starts_with('/') {
            return Err(wrong("is not an absolute path"));
        }
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        let plain = parts.iter().take_while(|part| !part.contains(['*', '?'])).count();
        if plain == 0 {
            return Err(wrong("matches the whole file system: begin with a directory"));
        }
        let mut text = String::from("(?s)^/");
        for (index, part) in parts[plain..].iter().enumerate() {
            let last = plain + index + 1 == parts.len();
            match (*part, last) {
                ("**", false) => text += "(?:.*/)?",
                ("**", true) => text += ".*",
                (part, _) => {
                    text += &component(part);
                    text += if last { "" } else { "/" };
                }
            }
        }
        let path = Regex::new(&format!("{text}(?:/.*)?$")).map_err(|_| wrong("is not a pattern"))?;
        Ok(Self { base: format!("/{}", parts[..plain].join("/")), path, wild: plain < parts.len() })
    }

    /// The files that the pattern fits, or why they cannot be known.
    fn found(&self, pattern: &str, source: FetchedReports) -> Result<Vec<ReportFile>, String> {
        match source {
            FetchedReports::Nothing => Ok(Vec::new()),
            FetchedReports::Complaint(complaint) => Err(format!("`{}`: {complaint}", self.base)),
            FetchedReports::Archive(archive) => unpack(self, &archive)
                .map_err(|error| format!("the files that match `{pattern}` cannot be read: {error}")),
        }
    }

    /// The name of a file below the base, given its path in the Engine's archive; `None` where it does not fit.
    fn name(&self, in_archive: &Path) -> Option<PathBuf> {
        // The archive of `/out/reports` begins with `reports/`.
        let mut parts = in_archive.components().filter(|part| *part != Component::CurDir);
        let first = parts.next()?;
        let below: PathBuf = parts.collect();
        if below.components().any(|part| !matches!(part, Component::Normal(_))) {
            return None;
        }
        if !self.wild {
            let whole = Path::new(&first).components().chain(below.components()).collect();
            return matches!(first, Component::Normal(_)).then_some(whole);
        }
        let fits = self.path.is_match(&format!("/{}", below.display()));
        (fits && below.components().next().is_some()).then_some(below)
    }
}

/// One part of a pattern as a regular expression.
fn component(part: &str) -> String {
    part.split_inclusive(['*', '?'])
        .map(|piece| match piece.strip_suffix(['*', '?']) {
            Some(plain) if piece.ends_with('*') => format!("{}[^/]*", regex::escape(plain)),
            Some(plain) => format!("{}[^/]", regex::escape(plain)),
            None => regex::escape(piece),
        })
        .collect()
}

/// The files of a container that the pattern fits.
async fn fetch(engine: &Engine, container: &str, glob: Glob) -> Result<FetchedReports> {
    let base = glob.base.clone();
    let fits = move |name: &Path| name.is_relative() && glob.name(name).is_some();
    Ok(match engine.archive(container, &base, LIMIT, fits).await? {
        Archive::Nothing => FetchedReports::Nothing,
        Archive::Tar(archive) => FetchedReports::Archive(archive),
        Archive::TooBig => {
            let size = LIMIT >> 20;
            FetchedReports::Complaint(format!("its files are too large to copy: more than {size} MiB"))
        }
        Archive::Unreadable(error) => FetchedReports::Complaint(format!("its files cannot be read: {error}")),
    })
}

fn unpack(glob: &Glob, archive: &[u8]) -> io::Result<Vec<ReportFile>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        // A link could lead anywhere; reports are files.
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if let Some(name) = glob.name(&entry.path()?) {
            let mut bytes = Vec::new();
            // What is sparse in an archive is not so here.
            entry.take(LIMIT as u64).read_to_end(&mut bytes)?;
            found.push(ReportFile { name, bytes });
        }
    }
    Ok(found)
}

fn write(directory: &Path, file: &ReportFile, pattern: &str, taken: &mut BTreeSet<PathBuf>) -> Result<()> {
    let mut path = directory.join(&file.name);
    if !taken.insert(path.clone()) {
        // Two patterns found files of the same name in different directories: the second says where it was.
        let from: String =
            pattern.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
        path = directory.join(from.trim_matches('-')).join(&file.name);
        taken.insert(path.clone());
    }
    let parent = path.parent().unwrap_or(directory);
    let made = crate::report::make(directory).and_then(|()| std::fs::create_dir_all(parent));
    made.and_then(|()| std::fs::write(&path, &file.bytes)).map_err(|error| {
        Error::new(Kind::Invalid, format!("the report {} cannot be written: {error}", path.display()))
            .with_hint("give --report a writable directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, "reports/link.xml", "/etc/passwd").unwrap();
        tar.into_inner().unwrap()
    }

    fn names(pattern: &str, files: &[(&str, &str)]) -> Vec<String> {
        let glob = Glob::parse(pattern).unwrap();
        unpack(&glob, &archive(files)).unwrap().iter().map(|file| file.name.display().to_string()).collect()
    }

    #[test]
    fn patterns_fit_what_they_should() {
        let files = [("reports/a.xml", ""), ("reports/b.txt", ""), ("reports/deep/er/c.xml", "")];
        assert_eq!(names("/tmp/reports/*.xml", &files), ["a.xml"]);
        assert_eq!(names("/tmp/reports/**/*.xml", &files), ["a.xml", "deep/er/c.xml"]);
        assert_eq!(names("/tmp/reports/**", &files), ["a.xml", "b.txt", "deep/er/c.xml"]);
        assert_eq!(names("/tmp/reports/?.txt", &files), ["b.txt"]);
        assert_eq!(
            names("/tmp/reports/d*/er", &files),
            ["deep/er/c.xml"],
            "a directory comes with what it holds"
        );
        assert_eq!(names("/tmp/reports", &files).len(), 3);
        assert_eq!(names("/tmp/a.xml", &[("a.xml", "")]), ["a.xml"]);
    }

    #[test]
    fn a_pattern_names_a_directory_first() {
        assert!(Glob::parse("reports/*.xml").unwrap_err().contains("absolute"));
        assert!(Glob::parse("/**/*.xml").unwrap_err().contains("whole file system"));
        assert_eq!(Glob::parse("/a/b/*.xml").unwrap().base, "/a/b");
    }

    #[test]
    fn nothing_is_written_outside_of_the_directory() {
        let glob = Glob::parse("/tmp/reports/**").unwrap();
        assert_eq!(glob.name(Path::new("reports/../../x.xml")), None);
        assert_eq!(glob.name(Path::new("reports")), None, "the directory itself");
    }

    #[test]
    fn files_of_the_same_name_do_not_overwrite_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut taken = BTreeSet::new();
        for (pattern, text) in [("/a/*.xml", "1"), ("/b/*.xml", "2")] {
            let file = ReportFile { name: "r.xml".into(), bytes: text.into() };
            write(directory.path(), &file, pattern, &mut taken).unwrap();
        }
        assert_eq!(std::fs::read_to_string(directory.path().join("r.xml")).unwrap(), "1");
        assert_eq!(std::fs::read_to_string(directory.path().join("b---xml/r.xml")).unwrap(), "2");
    }
}
