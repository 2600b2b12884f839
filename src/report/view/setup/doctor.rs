//! `doctor`: what a release needs, tried, and what would mend it.

use serde_json::{Value, json};

use crate::report::style;
use crate::report::view::View;

/// Everything that was tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Doctor {
    pub(crate) checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    /// `registry`
    pub(crate) name: String,
    /// What was found, in one sentence; or what is wrong.
    pub(crate) result: Result<String, Fault>,
}

/// What does not work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// One sentence, with its place.
    pub(crate) message: String,
    /// What would help.
    pub(crate) hint: Option<String>,
}

impl View for Doctor {
    fn to_json(&self) -> Value {
        json!({
            "ok": self.checks.iter().all(|check| check.result.is_ok()),
            "checks": self.checks.iter().map(Check::to_json).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        self.checks.iter().map(|check| check.lines(width)).collect()
    }
}

impl Check {
    fn to_json(&self) -> Value {
        match &self.result {
            Ok(found) => json!({"check": self.name, "ok": true, "found": found}),
            Err(Fault { message, hint }) => {
                json!({"check": self.name, "ok": false, "message": message, "hint": hint})
            }
        }
    }

    fn lines(&self, width: usize) -> String {
        match &self.result {
            Ok(found) => format!("{}  {:width$}  {found}\n", style::good("ok  "), self.name),
            Err(Fault { message, hint }) => {
                let line = format!("{}  {:width$}  {message}\n", style::bad("FAIL"), self.name);
                let hint = hint.as_ref().map(|hint| style::command(&format!("hint: {hint}")));
                line + &hint.map(|hint| format!("      {:width$}  {hint}\n", "")).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    #[test]
    fn what_was_tried_is_read_by_people_and_machines() {
        let check = |name: &str, result| Check { name: name.to_owned(), result };
        let fault = |message: &str, hint: Option<&str>| {
            Err(Fault { message: message.to_owned(), hint: hint.map(str::to_owned) })
        };
        let git = || check("git", Ok("commit 1f3c9a0b".to_owned()));
        let report = Doctor {
            checks: vec![
                git(),
                check("manifests", fault("windlass.yaml:3:1: unknown key `imges`", None)),
                check("registry", fault("you may not log in", Some("docker login registry.test"))),
            ],
        };
        let texts = [shown(&report), shown(&Doctor { checks: vec![git()] })];
        insta::assert_snapshot!("doctor", texts.join("\n\n"));
    }
}
