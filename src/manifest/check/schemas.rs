//! The manifests against the schemas of Kubernetes and of the CustomResourceDefinitions among them: what the API server would
//! say, before it is asked.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::{Error, Kind, Place, Result};
use crate::graph::in_parallel;
use crate::manifest::check::Findings;
use crate::manifest::sources::{MOST_MISTAKES, template};
use crate::manifest::{Manifests, Object};
use crate::model::object::{api_version, kind};
use crate::model::{Cause, Failure, ObjectRef, Subject, group, kinds};
use crate::schema::{Definitions, Finding, Schemas, Severity};

/// Which Kubernetes the manifests are for.
#[derive(Debug, Clone, Copy)]
pub enum Against {
    /// One version.
    Version(Schemas),
    /// Any: what the cluster runs is not known yet, so that only what every version refuses is wrong. A field that no version has
    /// may be of a newer one, unless its name is nearly that of a known one.
    AnyVersion,
}

impl Against {
    fn check(self, object: &Value) -> Vec<Finding> {
        match self {
            Self::Version(schemas) => schemas.check(object),
            Self::AnyVersion => {
                let found = Schemas::newest().check(object);
                let is_taken = |schemas: Schemas| !schemas.check(object).iter().any(is_error);
                let is_misspelt =
                    |one: &Finding| one.hint.as_ref().is_some_and(|hint| hint.starts_with("did you mean"));
                let is_newer =
                    || !Schemas::newer().check(object).iter().any(|one| is_error(one) || is_misspelt(one));
                let has_errors = found.iter().any(is_error);
                if has_errors && (is_newer() || Schemas::all().any(is_taken)) { Vec::new() } else { found }
            }
        }
    }

    fn knows(self, object: &Value) -> bool {
        match self {
            Self::Version(schemas) => schemas.knows(object),
            Self::AnyVersion => Schemas::all().any(|schemas| schemas.knows(object)),
        }
    }
}

fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

/// What was found in the manifests of a tier.
#[derive(Default)]
pub(super) struct Checked {
    /// What the API server refuses, and of which object: `Deployment/web`.
    pub(super) errors: Vec<(String, Error)>,
    /// What it takes, and what is probably not meant so.
    pub(super) warnings: Vec<Error>,
    /// What nothing is known of offline, in words: `Certificate of cert-manager.io/v1`.
    pub(super) unchecked: BTreeSet<String>,
}

impl Checked {
    /// Of what is said already, the schema need not say more.
    pub(super) fn besides(self, said: &[Error]) -> Findings {
        let places: BTreeSet<&Place> = said.iter().filter_map(Error::place).collect();
        let is_new = |error: &Error| error.place().is_none_or(|place| !places.contains(place));
        Findings {
            errors: self.errors.into_iter().map(|(_, error)| error).filter(is_new).collect(),
            warnings: self.warnings.into_iter().filter(is_new).collect(),
            unchecked: self.unchecked,
        }
    }
}

impl Manifests {
    /// Whether the API server of this version takes them, as far as that is known without asking it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with all that it would refuse, and where that stands.
    pub fn check(&self, against: Against) -> Result<()> {
        let errors = self.checked(against).errors;
        let whole = match errors.as_slice() {
            [] => return Ok(()),
            [(_, only)] => only.clone(),
            [(_, first), ..] => {
                let message =
                    format!("the manifests have {} errors that the cluster would refuse", errors.len());
                let error = Error::new(Kind::Invalid, message);
                first.place().map_or(error.clone(), |place| error.at(place.clone()))
            }
        };
        Err(whole.with_failures(errors.iter().map(|(name, error)| failure(name, error))))
    }

    pub(super) fn checked(&self, against: Against) -> Checked {
        let written = in_parallel(self.objects.iter().collect(), |object: &Object| {
            let json = object.origin.written()?;
            let found = against.check(&json);
            Some((object, json, found))
        });
        let written: Vec<(&Object, Value, Vec<Finding>)> = written.into_iter().flatten().collect();
        let definitions = Definitions::of(written.iter().map(|(_, json, _)| json));
        let mut checked = Checked::default();
        for (object, json, found) in &written {
            if checked.errors.len() >= MOST_MISTAKES {
                break;
            }
            let mut found = found.clone();
            match definitions.check(json) {
                Some(more) => {
                    found.extend(more);
                    if definitions.has_rules(json) {
                        checked.unchecked.insert(format!("the rules in CEL of {}", title(json)));
                    }
                }
                None if !against.knows(json) && !kinds::is_of_kubernetes(group(api_version(json))) => {
                    checked.unchecked.insert(title(json));
                }
                None => {}
            }
            // A variable that is not replaced yet may have any value.
            let is_known = |one: &Finding| {
                let value = json.pointer(&one.pointer).and_then(Value::as_str);
                value.is_none_or(|text| !text.contains("${"))
            };
            for finding in found.into_iter().filter(is_known) {
                let mistake = mistake(object, json, &finding);
                match finding.severity {
                    Severity::Error => checked.errors.push((ObjectRef::of(json).id(), mistake)),
                    Severity::Warning => checked.warnings.push(mistake),
                }
            }
            checked.warnings.extend(template::warnings(object, json, &checked.errors));
        }
        checked
    }
}

fn failure(name: &str, error: &Error) -> Failure {
    let place = error.place().map(|place| format!("{place}: ")).unwrap_or_default();
    Failure {
        subject: Subject::Object(name.to_owned()),
        cause: Cause::InvalidManifest.to_string(),
        message: format!("{place}{}", error.message()),
        hint: error.hint().map(str::to_owned),
        evidence: Vec::new(),
    }
}

fn title(object: &Value) -> String {
    format!("{} of {}", kind(object), api_version(object))
}

/// The finding at its place. Of what is written in the language of templates it is said which program renders it.
fn mistake(object: &Object, json: &Value, finding: &Finding) -> Error {
    let error = object.origin.mistake(finding).into_kind(Kind::Invalid);
    let value = json.pointer(&finding.pointer).and_then(Value::as_str).unwrap_or_default();
    match template::renderer(value) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
