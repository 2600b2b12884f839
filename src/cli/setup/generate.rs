//! `windlass generate completions|man|schema`

use std::path::PathBuf;

use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::cli::{Arguments, Output, Run, complete};
use crate::error::{Error, Kind, Result};
use crate::project;

/// Generate completions for a shell, manual pages, or the JSON Schema of windlass.yaml
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the script that completes commands, tiers, images, revisions … in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page in roff, or write all of them
    Man {
        /// Write a page for each command into this directory
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// The JSON Schema of windlass.yaml
    Schema,
}

impl Generate {
    pub(crate) fn run(self, run: &Run) -> Result<()> {
        if run.global.output == Output::Json && !matches!(self.what, What::Schema) {
            return Err(Error::new(Kind::Usage, "completions and the manual page cannot be printed as JSON")
                .with_hint("remove -o json"));
        }
        let mut bytes = Vec::new();
        match self.what {
            What::Completions { shell } => {
                bytes = complete::script(&shell.to_string())
                    .map_err(|error| Error::new(Kind::Defect, error.to_string()))?;
            }
            What::Man { directory: Some(directory) } => {
                let directory = run.path(&directory);
                let written = std::fs::create_dir_all(&directory)
                    .and_then(|()| clap_mangen::generate_to(Arguments::command(), &directory));
                return written.map_err(|error| {
                    let message = format!("cannot write manual pages to {}: {error}", directory.display());
                    Error::new(Kind::Unreachable, message)
                });
            }
            What::Man { directory: None } => {
                let page = clap_mangen::Man::new(Arguments::command());
                page.render(&mut bytes).map_err(|error| {
                    Error::new(Kind::Defect, format!("cannot write the manual page: {error}"))
                })?;
            }
            What::Schema => {
                bytes = serde_json::to_vec_pretty(&project::schema()).expect("a schema is plain JSON");
                bytes.push(b'\n');
            }
        }
        let schema = matches!(self.what, What::Schema).then(project::schema);
        run.session.reporter.answer(schema.as_ref(), &String::from_utf8_lossy(&bytes));
        Ok(())
    }
}
