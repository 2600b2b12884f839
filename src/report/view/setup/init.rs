//! `init`: what was found, used and skipped, which files were written, and what to do next.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::report::style;
use crate::report::view::View;
use crate::text::display;

/// The files of a new project.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FirstFiles {
    /// What the repository has, each with what was made of it.
    pub(crate) found: Vec<(String, String)>,
    /// What was not used, each with the reason.
    pub(crate) left_aside: Vec<(String, String)>,
    /// Each with whether it was written; otherwise it was there, and stays as it is.
    pub(crate) files: Vec<(PathBuf, bool)>,
    /// What only a person can do.
    pub(crate) needed: Vec<String>,
    /// The tier to begin with.
    pub(crate) first_tier: Option<String>,
    /// Whether no registry is known, without which nothing can be built.
    pub(crate) lacks_registry: bool,
}

impl FirstFiles {
    /// Something was found and used.
    pub(crate) fn find(&mut self, what: String, how: String) {
        self.found.push((what, how));
    }

    /// Something was found and not used.
    pub(crate) fn leave(&mut self, what: String, why: String) {
        self.left_aside.push((what, why));
    }

    /// Something is to be done by hand.
    pub(crate) fn need(&mut self, sentence: String) {
        if !self.needed.contains(&sentence) {
            self.needed.push(sentence);
        }
    }

    fn next(&self) -> Vec<String> {
        let tier = self.first_tier.iter();
        let release =
            tier.flat_map(|tier| [format!("windlass doctor {tier}"), format!("windlass pipeline {tier}")]);
        ["git add --all && git commit -m windlass".to_owned()].into_iter().chain(release).collect()
    }
}

impl View for FirstFiles {
    fn to_json(&self) -> Value {
        let named = |written: bool| {
            let files = self.files.iter().filter(|(_, was)| *was == written);
            files.map(|(file, _)| file.display().to_string()).collect::<Vec<_>>()
        };
        let pairs = |pairs: &[(String, String)], other: &str| -> Vec<Value> {
            pairs.iter().map(|(what, how)| json!({"what": what, other: how})).collect()
        };
        json!({
            "found": pairs(&self.found, "as"),
            "left_aside": pairs(&self.left_aside, "why"),
            "written": named(true),
            "kept": named(false),
            "needed": self.needed,
            "next": self.next(),
        })
    }

    fn to_text(&self) -> String {
        let width = self
            .found
            .iter()
            .chain(&self.left_aside)
            .map(|(what, _)| what.chars().count())
            .max()
            .unwrap_or(0);
        let pair = |word: &str, (what, how): &(String, String)| {
            format!("{word}  {:width$}  {}\n", display::plain(what), display::plain(how))
        };
        let mut text = String::new();
        text.extend(self.found.iter().map(|one| pair("found", one)));
        text.extend(self.left_aside.iter().map(|one| pair(&style::faint("left "), one)));
        for (file, written) in &self.files {
            let word = if *written { style::good("wrote") } else { style::faint("kept ") };
            text += &format!("{word}  {}\n", file.display());
        }
        if !self.needed.is_empty() {
            text += "\nto do by hand:\n";
            text.extend(self.needed.iter().map(|sentence| format!("  {}\n", display::plain(sentence))));
        }
        text += "\nnext:\n";
        if self.lacks_registry {
            text += "  set `registry: HOST/PATH` in windlass.yaml\n";
        }
        text.extend(self.next().iter().map(|command| format!("  {}\n", style::command(command))));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    #[test]
    fn what_was_written_is_read_by_people_and_machines() {
        let mut report = FirstFiles {
            files: vec![(PathBuf::from("windlass.yaml"), true), (PathBuf::from(".kube/api.yaml"), false)],
            first_tier: Some("staging".to_owned()),
            lacks_registry: true,
            ..FirstFiles::default()
        };
        report.find("api/Dockerfile".to_owned(), "image `api`: port 8080".to_owned());
        report.find("context".to_owned(), "lab (there are also: prod)".to_owned());
        report.leave("Dockerfile.dev".to_owned(), "`dev` in its name: not for a release".to_owned());
        report.need("set BASE for builds".to_owned());
        insta::assert_snapshot!("init", shown(&report));
    }
}
