//! `windlass init`

use clap::Args;

use crate::cli::{Run, SourceArguments};
use crate::error::Result;
use crate::init;

/// Write a first windlass.yaml, .kube and .gitlab-ci.yml for this repository
///
/// Files that are there already are kept as they are.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    source: SourceArguments,
}

impl Init {
    pub(crate) fn run(self, run: &Run) -> Result<()> {
        let project = self.source.project(run, None)?;
        run.session.reporter.show(&init::init(&project)?);
        Ok(())
    }
}
