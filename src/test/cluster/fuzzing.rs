//! The entrance of the fuzzer: the log of a test on a cluster.

use super::outcome::Log;
use crate::test::reports::FetchedReports;

/// The words of a test and its archives, out of the log of a pod.
pub(crate) fn log(text: &str, mark: &str) -> String {
    let mut log = Log::new(mark.to_owned());
    let words: usize = text.lines().map(|line| log.line(line).len()).sum();
    let kinds = log.archives().into_iter().map(|one| match one {
        FetchedReports::Nothing => 'n',
        FetchedReports::Archive(_) => 'a',
        FetchedReports::Complaint(_) => 'c',
    });
    format!("{} words, {}, {}", words.min(9), kinds.take(9).collect::<String>(), log.is_cut_short())
}
