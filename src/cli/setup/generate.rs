//! `windlass generate completions|man|schema`

use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::cli::{Arguments, Output, Run};
use crate::error::{Error, Kind, Result};
use crate::project;

/// Completions for a shell, the manual page, or the JSON Schema of windlass.yaml
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Completions, for standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// The manual page in roff
    Man,
    /// The JSON Schema of windlass.yaml
    Schema,
}

impl Generate {
    pub(crate) fn run(self, run: &Run) -> Result<()> {
        if run.global.output == Output::Json && !matches!(self.what, What::Schema) {
            return Err(Error::new(Kind::Usage, "completions and the manual page are no JSON")
                .with_hint("leave -o json out"));
        }
        let mut bytes = Vec::new();
        match self.what {
            What::Completions { shell } => {
                clap_complete::generate(shell, &mut Arguments::command(), "windlass", &mut bytes);
            }
            What::Man => clap_mangen::Man::new(Arguments::command()).render(&mut bytes).map_err(|error| {
                Error::new(Kind::Defect, format!("cannot write the manual page: {error}"))
            })?,
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
