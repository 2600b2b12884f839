//! `windlass cleanup`

use std::time::Duration;

use clap::Args;

use crate::cleanup::{self, Request};
use crate::cli::{Run, SourceArguments, duration};
use crate::error::Result;

/// Delete registry tags that nothing needs any more
///
/// Keeps what a tier runs or can be rolled back to, the commits of the branches and tags of `origin`, recent images, images that
/// windlass did not build or that have another tag, such as v1.0, and images that were good on a tier that this
/// windlass.yaml does not list. If the records of one tier cannot be read, nothing is deleted. The registry frees the
/// space at its own garbage collection.
#[derive(Debug, Args)]
pub(crate) struct Cleanup {
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Keep images of commits younger than this
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "336h")]
    keep_for: Duration,
    #[command(flatten)]
    source: SourceArguments,
}

impl Cleanup {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let project = self.source.project(run, None)?;
        let request = Request { keep_for: self.keep_for, dry_run: self.dry_run };
        let report = cleanup::cleanup(&run.session, &project, request).await?;
        run.session.reporter.show(&report);
        Ok(())
    }
}
