//! `validate`: what is wrong with the configuration and the manifests.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::View;
use crate::error::Error;
use crate::report::live::format;

/// What was found offline.
pub(crate) struct Validation<'a> {
    /// Which Kubernetes the manifests were checked against: `1.37`.
    pub(crate) kubernetes: &'a str,
    /// With these nothing can be released.
    pub(crate) errors: &'a [Error],
    /// Probably not meant.
    pub(crate) warnings: &'a [Error],
    /// What nothing is known of offline: `Certificate of cert-manager.io/v1`.
    pub(crate) unchecked: &'a BTreeSet<String>,
}

impl View for Validation<'_> {
    fn to_json(&self) -> Value {
        let all = |found: &[Error]| found.iter().map(finding).collect::<Value>();
        json!({
            "kubernetes": self.kubernetes,
            "errors": all(self.errors),
            "warnings": all(self.warnings),
            "unchecked": self.unchecked,
        })
    }

    /// Warnings, and an error that is the only one, are shown by who reports them.
    fn to_text(&self) -> String {
        match self.errors {
            [] => self.valid(),
            [_] => String::new(),
            errors => errors.iter().map(lines).collect(),
        }
    }
}

impl Validation<'_> {
    fn valid(&self) -> String {
        let mut text =
            format!("windlass.yaml and the manifests are valid for Kubernetes {}\n", self.kubernetes);
        if !self.unchecked.is_empty() {
            let unchecked: Vec<&str> = self.unchecked.iter().map(String::as_str).collect();
            text += &format!("not checked, for only a cluster knows it: {}\n", unchecked.join(", "));
        }
        text
    }
}

fn finding(error: &Error) -> Value {
    let place = error.place();
    json!({
        "file": place.map(|place| place.file.display().to_string()),
        "line": place.and_then(|place| place.line),
        "column": place.and_then(|place| place.column),
        "message": error.message(),
        "snippet": error.snippet(),
        "hint": error.hint(),
    })
}

fn lines(error: &Error) -> String {
    let mut text = format!("{error}\n");
    for line in error.snippet().into_iter().flat_map(str::lines) {
        text += &format!("  {line}\n");
    }
    if let Some(hint) = error.hint() {
        text += &format!("  {}\n", format::hint(hint));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Kind, Place};
    use crate::report::view::tests::shown;

    #[test]
    fn everything_is_said_with_its_place() {
        let error = |line| {
            Error::new(Kind::Invalid, "spec: `spec` has no field `replcias`")
                .at(Place::at(".kube/web.yaml", line, 3))
                .with_snippet("7 │   replcias: 2\n  │   ^")
                .with_hint("did you mean `replicas`?")
        };
        let warning = Error::new(Kind::Invalid, "the manifests have no Secret `db`");
        let unchecked = ["Certificate of cert-manager.io/v1".to_owned()].into();
        let with = |errors: &[Error]| {
            shown(&Validation {
                kubernetes: "1.37",
                errors,
                warnings: std::slice::from_ref(&warning),
                unchecked: &unchecked,
            })
        };
        insta::assert_snapshot!("valid", with(&[]));
        insta::assert_snapshot!("errors", with(&[error(7), error(9)]));
    }
}
