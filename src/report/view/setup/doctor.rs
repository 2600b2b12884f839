//! `doctor`: the checks of what a release needs, and how to fix it.

use serde_json::{Value, json};

use crate::report::style;
use crate::report::view::View;

/// Everything that was tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Doctor {
    pub(crate) checks: Vec<Check>,
    /// What an administrator may apply to give the rights that are missing.
    pub(crate) remedy: Vec<Value>,
    /// The same as YAML.
    pub(crate) yaml: String,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    /// `registry`
    pub(crate) name: String,
    pub(crate) outcome: CheckOutcome,
}

/// How it went.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CheckOutcome {
    /// What was found, in one sentence.
    Good(String),
    /// In nobody's way, and probably not meant.
    Doubtful(Problem),
    Failed(Problem),
}

/// What does not work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// One sentence, with its place.
    pub(crate) message: String,
    /// What would help.
    pub(crate) hint: Option<String>,
}

impl View for Doctor {
    fn to_json(&self) -> Value {
        let failed = |check: &Check| matches!(check.outcome, CheckOutcome::Failed(_));
        let mut json = json!({
            "ok": !self.checks.iter().any(failed),
            "checks": self.checks.iter().map(Check::to_json).collect::<Vec<_>>(),
        });
        if !self.remedy.is_empty() {
            json["apply"] = self.remedy.clone().into();
        }
        json
    }

    fn to_text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut text: String = self.checks.iter().map(|check| check.lines(width)).collect();
        if !self.yaml.is_empty() {
            text += &format!("\n# For an administrator of the cluster: kubectl apply -f -\n{}", self.yaml);
        }
        text
    }
}

impl Check {
    fn to_json(&self) -> Value {
        let (status, fault) = match &self.outcome {
            CheckOutcome::Good(found) => {
                return json!({"check": self.name, "ok": true, "status": "ok", "found": found});
            }
            CheckOutcome::Doubtful(fault) => ("warning", fault),
            CheckOutcome::Failed(fault) => ("failed", fault),
        };
        let Problem { message, hint } = fault;
        json!({"check": self.name, "ok": status == "warning", "status": status, "message": message, "hint": hint})
    }

    fn lines(&self, width: usize) -> String {
        let (word, fault) = match &self.outcome {
            CheckOutcome::Good(found) => {
                return format!("{}       {:width$}  {found}\n", style::good("ok"), self.name);
            }
            CheckOutcome::Doubtful(fault) => (style::doubtful("warning"), fault),
            CheckOutcome::Failed(fault) => (style::bad("failed "), fault),
        };
        let line = format!("{word}  {:width$}  {}\n", self.name, fault.message);
        let hint = fault.hint.as_ref().map(|hint| style::command(&format!("hint: {hint}")));
        line + &hint.map(|hint| format!("         {:width$}  {hint}\n", "")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    #[test]
    fn what_was_tried_is_read_by_people_and_machines() {
        let check = |name: &str, outcome| Check { name: name.to_owned(), outcome };
        let fault = |message: &str, hint: Option<&str>| Problem {
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        };
        let good = || check("cluster", CheckOutcome::Good("lab as nora".to_owned()));
        let changed = fault("commit 1f3c9a0b: `a` (changed)", Some("commit them"));
        let report = Doctor {
            checks: vec![
                good(),
                check("git", CheckOutcome::Doubtful(changed)),
                check(
                    "manifests",
                    CheckOutcome::Failed(fault("windlass.yaml:3:1: unknown key `imges`", None)),
                ),
                check("rights", CheckOutcome::Failed(fault("missing", Some("ask an administrator")))),
            ],
            remedy: vec![json!({"kind": "Role"})],
            yaml: "---\nkind: Role\n".to_owned(),
        };
        let fine = Doctor { checks: vec![good()], remedy: Vec::new(), yaml: String::new() };
        insta::assert_snapshot!("doctor", [shown(&report), shown(&fine)].join("\n\n"));
    }
}
