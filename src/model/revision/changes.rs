//! How a work tree differs from its commit, in short: which files, and how each differs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// More files than this are counted, not named.
const NAMED: usize = 5;

/// How a file differs from the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its content, its mode or its kind is another.
    Modified,
    /// It is missing.
    Deleted,
    /// Git does not know it.
    Untracked,
    /// Git is told not to look at it.
    Ignored,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// From the root of the work tree; a directory's with a slash at its end.
    pub path: String,
    /// How it differs.
    pub change: Change,
    /// The topmost directory around it in which Git tracks nothing, with a slash at its end.
    pub directory: Option<String>,
}

/// The files that differ, the first few by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Each with how it differs: `` `.env` (ignored by Git) ``.
    pub named: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Whether one of them is none of Git's: then it can be kept out of the images.
    #[serde(default)]
    pub untracked: bool,
}

impl Changes {
    /// Names these files: each by its directory where Git tracks nothing there and it holds more of them.
    pub fn of(files: impl IntoIterator<Item = ChangedFile>) -> Self {
        let mut groups: BTreeMap<(Change, String), (String, usize)> = BTreeMap::new();
        let mut all = 0;
        for file in files {
            let group = file.directory.unwrap_or_else(|| file.path.clone());
            groups.entry((file.change, group)).or_insert((file.path, 0)).1 += 1;
            all += 1;
        }
        let untracked = groups.keys().any(|(change, _)| *change >= Change::Untracked);
        let counted: usize = groups.values().take(NAMED).map(|(_, count)| count).sum();
        let named = groups.iter().take(NAMED).map(|((change, group), (first, count))| {
            let name = if *count == 1 { first } else { group };
            words(name, *change, *count)
        });
        Self { named: named.collect(), more: all - counted, untracked }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

fn words(name: &str, change: Change, count: usize) -> String {
    let how = match change {
        Change::Modified => "changed",
        Change::Deleted => "deleted",
        // A file's name does not end so, and several files are counted.
        Change::Untracked if count == 1 && name.ends_with('/') => {
            "an empty directory, which Git does not keep"
        }
        Change::Untracked => "not tracked by Git",
        Change::Ignored => "ignored by Git",
    };
    if count > 1 { format!("`{name}` ({count} files, {how})") } else { format!("`{name}` ({how})") }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named.join(", "))?;
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_files_are_named_and_the_rest_is_counted() {
        let file = |path: &str, change| {
            let directory = path.split_once('/').map(|(directory, _)| format!("{directory}/"));
            let directory = directory.filter(|_| change == Change::Ignored);
            ChangedFile { path: path.to_owned(), change, directory }
        };
        let mut files = vec![
            file(".env", Change::Ignored),
            file("dist/x/one", Change::Ignored),
            file("node_modules/a", Change::Ignored),
            file("node_modules/b/c", Change::Ignored),
            file("app", Change::Modified),
        ];
        let few = Changes::of(files.clone());
        let words = "`app` (changed), `.env` (ignored by Git), `dist/x/one` (ignored by Git), \
                     `node_modules/` (2 files, ignored by Git)";
        assert_eq!((few.to_string().as_str(), few.untracked), (words, true));
        files.extend((0..9).map(|number| file(&format!("old/{number}"), Change::Deleted)));
        let many = Changes::of(files).to_string();
        assert!(
            many.starts_with("`app` (changed), `old/0` (deleted)") && many.ends_with(" and 9 more"),
            "{many}"
        );
        assert!(Changes::of([]).is_empty() && !Changes::of([file("a", Change::Deleted)]).untracked);
    }
}
