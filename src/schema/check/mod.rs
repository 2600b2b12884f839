//! An object against the schema of its kind: everything that is wrong, at once.

mod kind;
mod lists;
mod walk;

use std::collections::HashSet;

use serde_json::Value;

use super::finding::{Finding, Mark, Severity};
use super::rules;
use super::version::Schemas;
use crate::model::object::{api_version, kind};

impl Schemas {
    /// Everything that is wrong with an object, as far as this version of Kubernetes knows its kind; nothing for a kind that it
    /// does not know, see [`Self::knows`]. Fields that are null count as left out.
    pub fn check(&self, object: &Value) -> Vec<Finding> {
        let mut found = self.check_kind(object);
        if let Some(kind) = self.kind(api_version(object), kind(object)) {
            let mut walk = walk::ObjectWalk::new(self, &mut found);
            walk.object(kind.type_name, object, &mut String::new());
            let dropped = walk.dropped();
            rules::object(self, object, &mut found);
            rules::soften(self, object, &dropped, &mut found);
        }
        without_consequences(found)
    }

    /// Whether this version of Kubernetes has the object's kind. What it does not know is not checked, and not called valid.
    pub fn knows(&self, object: &Value) -> bool {
        self.kind(api_version(object), kind(object)).is_some()
    }
}

/// A misspelled field is not missing as well.
fn without_consequences(mut found: Vec<Finding>) -> Vec<Finding> {
    let meant: HashSet<(String, String)> = found.iter().filter_map(meant_field).collect();
    found.retain(|finding| {
        let name = finding.message.strip_suffix("` is missing").and_then(|rest| rest.strip_prefix('`'));
        name.is_none_or(|name| !meant.contains(&(finding.pointer.clone(), name.to_owned())))
    });
    found
}

/// Where an unknown field stands, and which one is meant.
fn meant_field(finding: &Finding) -> Option<(String, String)> {
    let meant = finding.hint.as_deref()?.strip_prefix("did you mean `")?.strip_suffix("`?")?;
    let (parent, _) = finding.pointer.rsplit_once('/')?;
    (finding.mark == Mark::Key && finding.is_of_schema && finding.severity == Severity::Error)
        .then(|| (parent.to_owned(), meant.to_owned()))
}
