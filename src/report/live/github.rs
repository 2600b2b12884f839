//! What GitHub shows of errors and warnings on the page of a run, and at the lines of files that they are about.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::{Failure, Outcome};
use crate::report::event::{Finished, Warning};
use crate::report::live::summary;
use crate::text::workflow;

/// GitHub shows so many errors of a step, and as many warnings.
const SHOWN: usize = 10;

/// Where the files lie that a message names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workspace {
    /// The directory of the run: files are named from the project's root, which is this or one above.
    pub(crate) directory: PathBuf,
    /// The repository's root: GitHub wants files from here.
    pub(crate) root: PathBuf,
}

/// How bad it is.
#[derive(Debug, Clone, Copy)]
enum Level {
    Error,
    Warning,
}

/// What GitHub shows at the line of a file, and on the run's page.
pub(crate) fn warning(workspace: &Workspace, warning: &Warning) -> String {
    annotation(Level::Warning, workspace, "windlass", &with_hint(&warning.message, warning.hint.as_deref()))
}

/// What failed, one line for each; of several findings that were listed, nothing but their number.
pub(crate) fn errors(workspace: &Workspace, finished: &Finished) -> Vec<String> {
    if matches!(finished.outcome, Outcome::Ok | Outcome::Skipped) {
        return Vec::new();
    }
    let title = format!("windlass {} {}", finished.command, summary::word(finished.outcome));
    let whole = finished.message.as_deref().unwrap_or_default();
    if finished.causes.is_empty() {
        let message = with_hint(whole, finished.hint.as_deref());
        return vec![annotation(Level::Error, workspace, &title, &message)];
    }
    let place = workspace.place(whole).map(|(place, _)| place);
    let one = |failure: &Failure| {
        let title = format!("{}: {}", summary::subject(failure), failure.cause);
        let message = with_hint(&failure.message, failure.hint.as_deref());
        let (own, message) = workspace.split(&message);
        let shown = || {
            failure
                .evidence
                .iter()
                .find_map(|one| workspace.place(&format!("{}: ", one.title)).map(|one| one.0))
        };
        line(Level::Error, own.or_else(shown).or_else(|| place.clone()), &title, message)
    };
    finished.causes.iter().take(SHOWN).map(one).collect()
}

/// The errors that `validate` lists in its answer for machines.
pub(crate) fn findings(workspace: &Workspace, answer: &Value) -> Vec<String> {
    let one = |error: &Value| {
        let text = |key: &str| error[key].as_str().unwrap_or_default();
        let number = |key| error[key].as_u64().map(|number| format!(":{number}")).unwrap_or_default();
        let place = format!("{}{}{}", text("file"), number("line"), number("column"));
        let message = with_hint(text("message"), error["hint"].as_str());
        annotation(Level::Error, workspace, "windlass", &format!("{place}: {message}"))
    };
    answer["errors"].as_array().into_iter().flatten().take(SHOWN).map(one).collect()
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| format!("{message}\nhint: {hint}"))
}

fn annotation(level: Level, workspace: &Workspace, title: &str, message: &str) -> String {
    let (place, message) = workspace.split(message);
    line(level, place, title, message)
}

fn line(level: Level, place: Option<SourcePlace>, title: &str, message: &str) -> String {
    let name = match level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let place = place.unwrap_or_default();
    let properties =
        [("file", &*place.file), ("line", &*place.line), ("col", &*place.column), ("title", title)];
    let known: Vec<(&str, &str)> = properties.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    workflow::command(name, &known, message)
}

/// Where a message says that something stands; empty where it does not say.
#[derive(Debug, Clone, Default)]
struct SourcePlace {
    file: String,
    line: String,
    column: String,
}

impl Workspace {
    /// The place in front of a message, if it is one of a file that is there, and the rest.
    fn split<'a>(&self, message: &'a str) -> (Option<SourcePlace>, &'a str) {
        self.place(message).map_or((None, message), |(place, rest)| (Some(place), rest))
    }

    fn place<'a>(&self, message: &'a str) -> Option<(SourcePlace, &'a str)> {
        let (place, rest) = message.split_once(": ")?;
        let mut parts = place.splitn(3, ':');
        let file = self.file(Path::new(parts.next()?))?;
        let mut number = || {
            let number = parts.next().filter(|part| part.bytes().all(|one| one.is_ascii_digit()));
            number.unwrap_or_default().to_owned()
        };
        let (line, column) = (number(), number());
        Some((SourcePlace { file, line, column }, rest))
    }

    /// A file as GitHub names it; none that is missing, such as the host of `registry.test:5000: refused`.
    fn file(&self, named: &Path) -> Option<String> {
        let directories = self.directory.ancestors().take_while(|one| one.starts_with(&self.root));
        let file = directories.map(|directory| directory.join(named)).find(|file| file.is_file())?;
        Some(file.strip_prefix(&self.root).ok()?.to_str()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_from_the_repository_s_root() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("services/shop, eu");
        std::fs::create_dir_all(project.join(".kube")).unwrap();
        std::fs::write(project.join("windlass.yaml"), "").unwrap();
        let workspace = Workspace { directory: project.join(".kube"), root: root.path().to_owned() };
        let said = |message: &str| annotation(Level::Warning, &workspace, "windlass", message);
        assert_eq!(
            said("windlass.yaml:3:1: unknown key `imges`\nhint: 100% `images`"),
            "::warning file=services/shop%2C eu/windlass.yaml,line=3,col=1,title=windlass::unknown key `imges`%0Ahint: 100%25 `images`"
        );
        assert_eq!(
            said("windlass.yaml: no"),
            "::warning file=services/shop%2C eu/windlass.yaml,title=windlass::no"
        );
        for other in ["registry.test:5000: refused", "/etc/passwd:1: no", "../../x:1: no", "nothing"] {
            assert_eq!(said(other), format!("::warning title=windlass::{other}"));
        }
    }
}
