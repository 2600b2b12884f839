//! `windlass build [IMAGE…]`

use clap::Args;

use crate::build::BuildOptions;
use crate::cli::{Run, SourceArguments, complete};
use crate::error::Result;
use crate::model::RunResult;
use crate::{build, pipeline};

/// Build and push the images; print each as repository:tag@sha256:…
///
/// The tag is the commit. With uncommitted changes in an image or a manifest it is COMMIT-dirty-HASH, and the
/// changed files are listed. Files that .dockerignore excludes do not count.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The images of windlass.yaml to build; all of them when none is named
    #[arg(value_name = "IMAGE", add = complete::images())]
    images: Vec<String>,
    /// Run every step again without a cache; the tags point to the new image
    #[arg(long, conflicts_with = "context_list")]
    no_cache: bool,
    /// Pull the base images again, and build if one has changed
    #[arg(long, conflicts_with = "context_list")]
    pull: bool,
    /// Build nothing; list the files that the build would see, and the line of .dockerignore that excludes each other file
    #[arg(long)]
    context_list: bool,
    #[command(flatten)]
    source: SourceArguments,
}

impl Build {
    /// Whether it is asked for its answer only.
    pub(crate) fn answers(&self) -> bool {
        self.context_list
    }

    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        if self.context_list {
            let project = self.source.project(run, None)?;
            let (text, json) = build::contexts(&project, &self.images)?;
            run.session.reporter.answer(Some(&json), &text);
            return Ok(RunResult::default());
        }
        let options = BuildOptions { no_cache: self.no_cache, pull: self.pull };
        let project = self.source.commit(run, None).await?;
        let images = pipeline::build(&run.session, &project, &self.images, options).await?;
        let mut lines = String::new();
        for image in images.values() {
            lines += &format!("{}\n", image.pinned);
        }
        run.session.reporter.answer(None, &lines);
        Ok(RunResult::of_images(&images))
    }
}
