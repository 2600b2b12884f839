//! The entrance of the fuzzer: what tests print and leave behind.

pub(crate) use super::cluster::fuzzing::log;
use super::junit::Tally;
use super::reports::{FetchedReports, Reports};
use crate::error::Result;
use crate::project::TestConfig;

/// The test cases of a JUnit file.
pub(crate) fn junit(text: &str) -> String {
    let cut = Tally::is_cut_short(text);
    let Some(tally) = Tally::of(text) else { return format!("none, {cut}") };
    let counts = [tally.passed, tally.failed, tally.skipped].map(|count| count > 0);
    let first = tally.first.map(|case| [case.name, case.message].map(|text| text.is_empty()));
    format!("{counts:?}, {cut}, {first:?}")
}

/// The reports in an archive, for a test of this configuration.
///
/// # Errors
/// Those of the reports.
pub(crate) fn archive(test: &TestConfig, bytes: &[u8]) -> Result<String> {
    let archives = test.reports.values().flatten().map(|_| FetchedReports::Archive(bytes.to_vec())).collect();
    let reports = Reports::of(test, None, archives)?;
    Ok(format!("{:?} {:?}", reports.tally, reports.complaints))
}
