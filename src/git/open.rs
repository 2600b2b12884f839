//! Opens a repository where Git would: its files belong to the user, or `safe.directory` names it.
//!
//! libgit2 asks the same question, but looks for `safe.directory` in fewer places than Git: not in the environment
//! (`GIT_CONFIG_COUNT`, `GIT_CONFIG_PARAMETERS`), not in the file that `GIT_CONFIG_GLOBAL` names, and it knows no prefixes
//! (`/builds/*`, Git 2.46). The rule here is that of git-config(1), `safe.directory`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use git2::{Config, ErrorClass, ErrorCode, Repository};

use crate::project::{GitFacts, Lookup};

/// What Git refuses to read beyond: nothing.
const NO_CEILING: [&OsStr; 0] = [];
/// The key of the configuration.
const KEY: &str = "safe.directory";
/// More entries than this in the environment are no configuration of a person.
const MOST_ENTRIES: usize = 10_000;

/// Opens the repository around a directory.
///
/// # Errors
/// [`ErrorCode::Owner`] where the files belong to another user and nothing says that this is safe; what libgit2 cannot
/// read.
pub(super) fn discover(directory: &Path, lookup: Lookup<'_>) -> Result<Repository, git2::Error> {
    open(&Repository::discover_path(directory, NO_CEILING)?, lookup)
}

/// Where the work tree around a directory begins, and the address of `origin`, as far as that can be known of a repository
/// that cannot be read.
pub(crate) fn around(directory: &Path, lookup: Lookup<'_>) -> GitFacts {
    let url = |config: Result<Config, git2::Error>| config.ok()?.get_string("remote.origin.url").ok();
    match discover(directory, lookup) {
        Ok(repository) => {
            let root = repository.workdir().map(Path::to_path_buf);
            GitFacts { root, origin: url(repository.config()), ..GitFacts::default() }
        }
        Err(error) => {
            let top = directory.ancestors().find(|one| one.join(".git").exists()).map(Path::to_path_buf);
            // What belongs to another user is not believed.
            let file = top.as_ref().filter(|_| error.code() != ErrorCode::Owner);
            let origin = file.and_then(|top| url(Config::open(&top.join(".git/config"))));
            GitFacts { root: top, origin, ..GitFacts::default() }
        }
    }
}

/// Opens the repository of this work tree or Git directory.
///
/// # Errors
/// As [`discover`].
pub(super) fn open(path: &Path, lookup: Lookup<'_>) -> Result<Repository, git2::Error> {
    let opened = Repository::open(path);
    // Where nobody says who the user is, libgit2's own answer counts.
    let Some(user) = User::of_this_process(lookup) else { return opened };
    let repository = match opened {
        Err(error) if error.code() == ErrorCode::Owner => unchecked(path)?,
        opened => opened?,
    };
    let top = repository.workdir().unwrap_or_else(|| repository.path());
    let top = top.canonicalize().unwrap_or_else(|_| top.to_path_buf());
    if user.owns(&repository) || is_safe(&values(lookup), &top) {
        return Ok(repository);
    }
    let message = format!("repository path '{}' is not owned by current user", top.display());
    Err(git2::Error::new(ErrorCode::Owner, ErrorClass::Config, message))
}

/// Opens a repository without asking whose it is: [`open`] asks that.
fn unchecked(path: &Path) -> Result<Repository, git2::Error> {
    let directory = Repository::discover_path(path, NO_CEILING)?;
    let repository = Repository::open_bare(&directory)?;
    if let Some(tree) = work_tree(&repository, &directory) {
        repository.set_workdir(&tree, false)?;
    }
    Ok(repository)
}

/// The work tree of a Git directory; none for a bare repository.
fn work_tree(repository: &Repository, directory: &Path) -> Option<PathBuf> {
    // A linked work tree: the file names its `.git`, which may be relative since Git 2.48.
    if let Ok(link) = std::fs::read_to_string(directory.join("gitdir")) {
        return directory.join(link.trim_end()).parent().map(Path::to_path_buf);
    }
    let config = repository.config().ok()?;
    if config.get_bool("core.bare").unwrap_or(false) {
        return None;
    }
    match config.get_path("core.worktree") {
        Ok(tree) => Some(directory.join(tree)),
        Err(_) => directory.parent().map(Path::to_path_buf),
    }
}

/// Whose files are the user's own.
struct User {
    id: u32,
    /// Who called `sudo`.
    caller: Option<u32>,
}

impl User {
    fn of_this_process(lookup: Lookup<'_>) -> Option<Self> {
        let id = effective_user()?;
        let caller = lookup("SUDO_UID").and_then(|id| id.parse().ok()).filter(|_| id == 0);
        Some(Self { id, caller })
    }

    /// Whether the work tree, its `.git` and the Git directory are the user's.
    fn owns(&self, repository: &Repository) -> bool {
        let tree = repository.workdir().map(Path::to_path_buf);
        let link = tree.as_ref().map(|tree| tree.join(".git")).filter(|link| link.is_file());
        let all = [tree, link, Some(repository.path().to_path_buf())];
        all.iter().flatten().all(|path| self.owns_path(path))
    }

    #[cfg(unix)]
    fn owns_path(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        // Without its slash at the end a link is looked at itself, as Git does.
        let path: PathBuf = path.components().collect();
        path.symlink_metadata()
            .is_ok_and(|metadata| metadata.uid() == self.id || Some(metadata.uid()) == self.caller)
    }

    #[cfg(not(unix))]
    fn owns_path(&self, _: &Path) -> bool {
        false
    }
}

/// The process's effective user: the second number behind `Uid:`.
fn effective_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

/// Every value of `safe.directory` that a repository cannot have written itself, in the order in which they count.
fn values(lookup: Lookup<'_>) -> Vec<String> {
    let of_files = files(lookup).into_iter().flat_map(|file| of_file(&file));
    let of_environment = environment(lookup).into_iter();
    let named = of_environment.filter(|(key, _)| key.eq_ignore_ascii_case(KEY)).map(|(_, value)| value);
    of_files.chain(named).collect()
}

/// The files of the system and of the user.
fn files(lookup: Lookup<'_>) -> Vec<PathBuf> {
    let without_system =
        lookup("GIT_CONFIG_NOSYSTEM").is_some_and(|text| Config::parse_bool(text).unwrap_or(false));
    let system = match lookup("GIT_CONFIG_SYSTEM") {
        Some(file) => Some(PathBuf::from(file)),
        None => Config::find_system().ok(),
    };
    let system = system.filter(|_| !without_system);
    let of_user = match lookup("GIT_CONFIG_GLOBAL") {
        Some(file) => vec![PathBuf::from(file)],
        None => [Config::find_xdg(), Config::find_global()].into_iter().filter_map(Result::ok).collect(),
    };
    system.into_iter().chain(of_user).collect()
}

/// The values of a file; a key without one is as good as an empty one.
fn of_file(file: &Path) -> Vec<String> {
    let Ok(config) = Config::open(file) else { return Vec::new() };
    let Ok(mut entries) = config.multivar(KEY, None) else { return Vec::new() };
    let mut values = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        let value = if entry.has_value() { entry.value_bytes() } else { b"" };
        values.push(String::from_utf8_lossy(value).into_owned());
    }
    values
}

/// The configuration that the environment hands over: `GIT_CONFIG_KEY_0=…`, and what `git -c` makes of its arguments.
fn environment(lookup: Lookup<'_>) -> Vec<(String, String)> {
    let count = lookup("GIT_CONFIG_COUNT").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    let pair = |index: usize| {
        Some((lookup(&format!("GIT_CONFIG_KEY_{index}"))?, lookup(&format!("GIT_CONFIG_VALUE_{index}"))?))
    };
    let mut all: Vec<_> = (0..count.min(MOST_ENTRIES)).filter_map(pair).collect();
    all.extend(parameters(&lookup("GIT_CONFIG_PARAMETERS").unwrap_or_default()));
    all
}

/// The pairs of `GIT_CONFIG_PARAMETERS`: `'key'='value'`, or, before Git 2.31, `'key=value'`.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    while let Some((key, rest)) = quoted(text.trim_start()) {
        let value = rest.strip_prefix('=').and_then(quoted);
        let whole = value.is_none().then(|| key.split_once('=')).flatten();
        let pair = whole.map(|(key, value)| (key.to_owned(), value.to_owned()));
        text = value.as_ref().map_or(rest, |(_, rest)| rest);
        all.push(pair.unwrap_or_else(|| (key.clone(), value.map(|(value, _)| value).unwrap_or_default())));
    }
    all
}

/// The word in single quotes that a text begins with, and what follows; outside of the quotes stand only `\'` and `\!`.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut word = String::new();
    loop {
        let (inside, after) = rest.split_once('\'')?;
        word += inside;
        let Some(letter) = after.strip_prefix('\\').and_then(|after| after.chars().next()) else {
            return Some((word, after));
        };
        word.push(letter);
        rest = after[1 + letter.len_utf8()..].strip_prefix('\'')?;
    }
}

/// What the last value that is about this directory says.
fn is_safe(values: &[String], directory: &Path) -> bool {
    let mut safe = false;
    for value in values {
        // An empty value takes back all before it.
        safe = !value.is_empty() && (safe || value == "*" || names(value, directory));
    }
    safe
}

/// Whether a value names this directory, or a prefix of it.
fn names(value: &str, directory: &Path) -> bool {
    let path = match value.strip_prefix("~/") {
        Some(below) => match std::env::home_dir() {
            Some(home) => home.join(below),
            None => return false,
        },
        None => PathBuf::from(value),
    };
    if !path.is_absolute() && value != "." {
        return false;
    }
    // Links on the way are followed, as Git does; what is missing names nothing.
    let is = |path: &Path| path.canonicalize().ok();
    match path.to_str().and_then(|text| text.strip_suffix("/*")) {
        Some(prefix) => is(Path::new(if prefix.is_empty() { "/" } else { prefix }))
            .is_some_and(|prefix| directory != prefix && directory.starts_with(prefix)),
        None => is(&path).is_some_and(|path| path == directory),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::commit_all;
    use super::*;

    fn looked_up<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_value_names_a_directory_or_all_below_one() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let inside = top.join("group/shop");
        std::fs::create_dir_all(&inside).unwrap();
        let link = top.join("link");
        std::os::unix::fs::symlink(top.join("group"), &link).unwrap();
        let is_safe = |values: &[&str]| {
            is_safe(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>(), &inside)
        };
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        assert!(is_safe(&["*"]) && is_safe(&[&text(&inside)]) && is_safe(&["/*"]));
        assert!(is_safe(&[&format!("{}/*", text(&top))]) && is_safe(&[&format!("{}/*", text(&link))]));
        assert!(!is_safe(&[]) && !is_safe(&[&text(&top)]) && !is_safe(&[&format!("{}/*", text(&inside))]));
        assert!(!is_safe(&[&format!("{}*", text(&top))]), "only whole names");
        assert!(!is_safe(&["group/shop"]) && !is_safe(&["/nowhere/*"]));
        assert!(!is_safe(&["*", ""]) && is_safe(&["*", "", "*"]), "an empty value takes back");
    }

    #[test]
    fn the_environment_is_read_as_git_writes_it() {
        let counted = [
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "Safe.Directory"),
            ("GIT_CONFIG_VALUE_0", "/a"),
            ("GIT_CONFIG_KEY_1", "user.name"),
            ("GIT_CONFIG_VALUE_1", "ann"),
            ("GIT_CONFIG_KEY_2", "safe.directory"),
            ("GIT_CONFIG_VALUE_2", "*"),
            ("GIT_CONFIG_PARAMETERS", r"'safe.directory'='/b'\''s' 'safe.directory=/c' 'user.name'='x y'"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "true"),
        ];
        assert_eq!(values(&looked_up(&counted)), ["/a", "/b's", "/c"]);
        assert_eq!(parameters("'safe.directory'"), [("safe.directory".to_owned(), String::new())]);
        assert_eq!(parameters("nonsense"), []);
    }

    #[test]
    fn a_file_counts_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, "[safe]\n\tdirectory = /a\n\tdirectory =\n[safe]\n\tdirectory = /b\n").unwrap();
        let variables = [("GIT_CONFIG_GLOBAL", file.to_str().unwrap()), ("GIT_CONFIG_NOSYSTEM", "1")];
        assert_eq!(values(&looked_up(&variables)), ["/a", "", "/b"]);
    }

    /// What is opened without libgit2's own check is the same repository, work tree included.
    #[test]
    fn a_repository_opened_without_the_check_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let main = root.join("main");
        std::fs::create_dir(&main).unwrap();
        std::fs::write(main.join("file"), "x").unwrap();
        let repository = commit_all(&main);
        repository.worktree("linked", &root.join("linked"), None).unwrap();
        drop(repository);
        for tree in [main, root.join("linked")] {
            let (checked, unchecked) = (Repository::open(&tree).unwrap(), unchecked(&tree).unwrap());
            assert_eq!(unchecked.path(), checked.path());
            assert_eq!(unchecked.workdir(), checked.workdir());
            assert_eq!(unchecked.head().unwrap().target(), checked.head().unwrap().target());
            assert!(unchecked.statuses(None).unwrap().is_empty(), "{}", tree.display());
            std::fs::write(tree.join("file"), "y").unwrap();
            assert_eq!(unchecked.statuses(None).unwrap().len(), 1, "{}", tree.display());
        }
        let bare = root.join("bare");
        Repository::init_bare(&bare).unwrap();
        assert_eq!(unchecked(&bare).unwrap().workdir(), None);
    }
}
