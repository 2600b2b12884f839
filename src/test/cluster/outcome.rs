//! Reports of a test on a cluster: its container is gone when it has ended, so that they leave it by its log.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::reports::FetchedReports;
use crate::text::{hex, shell_word};

/// What the last mark says.
const END: &str = "end";
/// More archives than a test has reports: a test that prints marks of its own must not decide how much memory they take.
const MOST_ARCHIVES: usize = 4096;
/// How many letters of base64 all archives of a test may have.
const MOST_BYTES: usize = 512 << 20;

/// A test's log, in which its reports come last.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What the lines begin with that are no words of the test; no test knows it.
    mark: String,
    /// What each line of an archive begins with: what the test writes to standard error takes another way, and may come in
    /// between.
    line_mark: String,
    /// An empty line that may be the one before the mark.
    pending: bool,
    /// The archive that is being read.
    open: Option<usize>,
    archives: Vec<String>,
    /// How much of them there is.
    bytes: usize,
    /// Whether the last mark has come.
    complete: bool,
}

impl Log {
    /// A log whose reports are announced by this mark.
    pub(super) fn new(mark: String) -> Self {
        Self { line_mark: line_mark(&mark), mark, ..Self::default() }
    }

    /// The words of the test in this line.
    pub(super) fn line(&mut self, line: &str) -> Vec<String> {
        if let Some(rest) = line.strip_prefix(&self.mark).filter(|_| !self.mark.is_empty()) {
            self.pending = false;
            self.open = rest.trim().parse().ok().filter(|number| *number < MOST_ARCHIVES);
            self.complete |= rest.trim() == END;
            if let Some(number) = self.open {
                self.archives.resize(self.archives.len().max(number + 1), String::new());
            }
            return Vec::new();
        }
        if let Some(number) = self.open
            && let Some(rest) = line.strip_prefix(&self.line_mark)
        {
            let rest = rest.trim();
            self.bytes = self.bytes.saturating_add(rest.len());
            if self.bytes <= MOST_BYTES {
                self.archives[number].push_str(rest);
            }
            return Vec::new();
        }
        let mut said = Vec::new();
        if std::mem::take(&mut self.pending) {
            said.push(String::new());
        }
        if line.is_empty() && !self.mark.is_empty() {
            self.pending = true;
        } else {
            said.push(line.to_owned());
        }
        said
    }

    /// The same log, before its first line.
    pub(super) fn again(&self) -> Self {
        Self::new(self.mark.clone())
    }

    /// Whether more is to come: the kubelet may end a log that is followed before its last lines.
    pub(super) fn is_cut_short(&self) -> bool {
        !self.mark.is_empty() && !self.complete
    }

    /// The archives, in the order in which they were asked for.
    pub(super) fn archives(&self) -> Vec<FetchedReports> {
        self.archives
            .iter()
            .map(|text| match STANDARD.decode(text) {
                Ok(archive) if archive.is_empty() => FetchedReports::Nothing,
                Ok(archive) => FetchedReports::Archive(archive),
                Err(error) => FetchedReports::Complaint(format!("its archive was cut short: {error}")),
            })
            .collect()
    }
}

/// The beginning of each line of an archive.
fn line_mark(mark: &str) -> String {
    format!("{}:", &hex::sha256(mark.as_bytes())[..8])
}

/// The command, and after it, whatever came of it, what brings these files and directories out, each as an archive whose
/// first name is the last word of its path. The image must have `sh`, `tar` and `base64`.
/// It ends the command itself when that takes longer than `limit`: with the pod would go its log.
pub(super) fn command(run: &[String], paths: &[String], mark: &str, limit: Duration) -> Vec<String> {
    if paths.is_empty() {
        return run.to_vec();
    }
    // A shell that is process 1 gets no signal it has not asked for; and one that waits is told of a signal first.
    let mut script = format!(
        "\"$@\" & test=$!\n\
         (sleep {}; kill -TERM $test; sleep 2; kill -KILL $test) >/dev/null 2>&1 & timer=$!\n\
         trap 'kill -TERM $test 2>/dev/null' TERM INT\nwait $test; code=$?\n\
         while kill -0 $test 2>/dev/null; do wait $test; code=$?; done\nkill $timer 2>/dev/null\n",
        limit.as_secs().max(1)
    );
    let line_mark = line_mark(mark);
    for (number, path) in paths.iter().enumerate() {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { "/" } else { parent };
        script += &format!(
            "printf '\\n%s\\n' '{mark} {number}'\n[ ! -e {} ] || tar -C {} -cf - {} 2>/dev/null | base64 | \
             while read -r line; do printf '%s%s\n' '{line_mark}' \"$line\"; done\n",
            shell_word(path),
            shell_word(parent),
            shell_word(name)
        );
    }
    script += &format!("printf '\\n%s\\n' '{mark} {END}'\nexit $code");
    let words = ["sh", "-c", &script, "sh"].map(str::to_owned);
    words.into_iter().chain(run.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_test_that_knows_the_mark_does_not_decide_how_much_memory_is_taken() {
        let mut log = Log::new("mark".to_owned());
        for number in ["18446744073709551615", "9000000000000000000", "-1", "4096"] {
            assert_eq!(log.line(&format!("mark {number}")), Vec::<String>::new());
            log.line(&format!("{}:abcd", log.line_mark.clone().trim_end_matches(':')));
        }
        assert!(log.archives().is_empty());
    }

    #[test]
    fn what_a_test_left_comes_out_by_its_log_and_the_log_is_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("o'ut");
        let run = format!(
            "mkdir -p \"{0}\" && echo report > \"{0}/a.xml\"; echo one; echo; echo two; exit 3",
            out.display()
        );
        let run = ["sh", "-c", &run].map(str::to_owned);
        let paths = [out.display().to_string(), "/there/is/none".to_owned()];
        let words = command(&run, &paths, "mark-7", Duration::from_secs(60));
        let done = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert_eq!(done.status.code(), Some(3));
        let mut log = Log::new("mark-7".to_owned());
        let said: Vec<String> =
            String::from_utf8_lossy(&done.stdout).lines().flat_map(|line| log.line(line)).collect();
        assert_eq!(said, ["one", "", "two"]);
        assert!(!log.is_cut_short() && log.again().is_cut_short());
        let archives = log.archives();
        let [FetchedReports::Archive(archive), FetchedReports::Nothing] = archives.as_slice() else {
            panic!("one archive, and nothing: {archives:?}")
        };
        let mut archive = tar::Archive::new(archive.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["o'ut/", "o'ut/a.xml"]);
    }

    #[test]
    fn what_comes_in_between_by_standard_error_spoils_no_archive() {
        let mut log = Log::new("mark".to_owned());
        let line = |text: &str| format!("{}{text}", line_mark("mark"));
        let lines = ["", "mark 0", "Terminated", &line("YWJj"), "dead", &line("ZGVm"), "", "mark end"];
        let said: Vec<String> = lines.iter().flat_map(|line| log.line(line)).collect();
        assert_eq!(said, ["Terminated", "dead"]);
        let archives = log.archives();
        assert!(
            matches!(archives.as_slice(), [FetchedReports::Archive(bytes)] if bytes == b"abcdef"),
            "{archives:?}"
        );
    }

    #[test]
    fn what_takes_too_long_is_ended_and_its_reports_come_all_the_same() {
        let run = ["sh", "-c", "trap '' TERM; echo begun; while :; do sleep 1; done"].map(str::to_owned);
        let words = command(&run, &["/etc/hostname".to_owned()], "mark", Duration::from_secs(1));
        let done = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(137), "{said}");
        assert!(said.starts_with("begun\n\nmark 0\n"), "{said}");
    }

    #[test]
    fn without_reports_the_command_is_the_test_s_own() {
        let run = ["make".to_owned(), "test".to_owned()];
        assert_eq!(command(&run, &[], "m", Duration::ZERO), run);
        let mut log = Log::new(String::new());
        assert_eq!(["", "a"].map(|line| log.line(line)), [[""], ["a"]]);
    }
}
