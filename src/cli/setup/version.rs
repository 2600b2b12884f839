//! `windlass version`

use clap::Args;
use serde_json::json;

use crate::cli::Run;

/// Print the version, and the commit and the date of the build
#[derive(Debug, Args)]
pub(crate) struct Version {}

/// The commit and its date, which `scripts/dist` sets; none in a build of a developer's own.
const COMMIT: Option<&str> = option_env!("WINDLASS_BUILD_COMMIT");
const DATE: Option<&str> = option_env!("WINDLASS_BUILD_DATE");

impl Version {
    pub(crate) fn run(run: &Run) {
        let version = env!("CARGO_PKG_VERSION");
        let text = match (COMMIT, DATE) {
            (Some(commit), Some(date)) => format!("windlass {version} (commit {commit}, {date})\n"),
            _ => format!("windlass {version} (built from source)\n"),
        };
        let json = json!({"version": version, "commit": COMMIT, "date": DATE});
        run.session.reporter.answer(Some(&json), &text);
    }
}
