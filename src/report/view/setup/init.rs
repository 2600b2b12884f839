//! `init`: which files were written, and what comes next.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::report::style;
use crate::report::view::View;

/// What is to be done by hand.
const NEXT: &str = "
next:
  look at windlass.yaml: the registry, the contexts, the hosts
  windlass validate
  windlass doctor staging
  git add . && git commit -m windlass
  windlass pipeline staging
";

/// The files of a new project.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FirstFiles {
    /// Each with whether it was written; otherwise it was there, and stays as it is.
    pub(crate) files: Vec<(PathBuf, bool)>,
}

impl View for FirstFiles {
    fn to_json(&self) -> Value {
        let named = |written: bool| {
            let files = self.files.iter().filter(|(_, was)| *was == written);
            files.map(|(file, _)| file.display().to_string()).collect::<Vec<_>>()
        };
        json!({"written": named(true), "kept": named(false)})
    }

    fn to_text(&self) -> String {
        let line = |(file, written): &(PathBuf, bool)| {
            let word = if *written { style::good("wrote") } else { style::faint("kept ") };
            format!("{word}  {}\n", file.display())
        };
        self.files.iter().map(line).collect::<String>() + NEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    #[test]
    fn what_was_written_is_read_by_people_and_machines() {
        let files = vec![(PathBuf::from("windlass.yaml"), true), (PathBuf::from(".kube/app.yaml"), false)];
        insta::assert_snapshot!("init", shown(&FirstFiles { files }));
    }
}
