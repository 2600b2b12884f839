//! What the server's validation asks beyond the schema. The schema of a built-in kind is not what the server validates by: a
//! "required" field may be left out, and a string may be refused for its form. So these rules are written by hand, each with its
//! source: a function of `k8s.io/kubernetes/pkg/apis/*/validation` or of `k8s.io/apimachinery`, in 1.27 and 1.37.

mod access;
mod forms;
mod meta;
mod network;
mod pod;
mod required;
mod scaling;
mod storage;
mod workload;

use serde_json::{Map, Value};

use super::finding::{Finding, Severity};
use super::table::Field;
use super::version::Schemas;
use crate::model::object::{api_version, kind};

pub(super) use required::is_required;
pub(super) use workload::matches;

/// What the rules of a type are given: an object and where it stands.
struct Checked<'a> {
    schemas: &'a Schemas,
    type_name: &'a str,
    map: &'a Map<String, Value>,
    pointer: &'a str,
}

impl<'a> Checked<'a> {
    /// The value of a field that is there and not null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> &'a str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn list(&self, name: &str) -> &'a [Value] {
        self.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Those of these fields that are there.
    fn present<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        names.iter().copied().filter(|name| self.get(name).is_some()).collect()
    }

    fn has_unknown_field(&self) -> bool {
        self.map.keys().any(|name| self.schemas.field_of(self.type_name, name).is_none())
    }

    /// The pointer to a field.
    fn at(&self, name: &str) -> String {
        super::finding::step(self.pointer, name)
    }

    /// Something is missing in the object.
    fn missing(&self, message: impl Into<String>) -> Finding {
        Finding::error(self.pointer, message).at_key()
    }
}

/// The rules of a field whose value has the right type.
pub(super) fn field(type_name: &str, field: &Field, value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    forms::check((type_name, field.name), value, pointer, found);
}

/// The rules of an object of a type, wherever it stands.
pub(super) fn object_of_type(
    schemas: &Schemas,
    type_name: &str,
    map: &Map<String, Value>,
    pointer: &str,
    found: &mut Vec<Finding>,
) {
    let checked = Checked { schemas, type_name, map, pointer };
    required::check(&checked, found);
    pod::check(&checked, found);
    network::check(&checked, found);
    storage::check(&checked, found);
    scaling::check(&checked, found);
    access::check(&checked, found);
    meta::selector(&checked, found);
}

/// The rules of a whole object.
pub(super) fn object(schemas: &Schemas, object: &Value, found: &mut Vec<Finding>) {
    meta::name(schemas, object, found);
    workload::check(object, found);
}

/// Before 1.34 the server took a StatefulSet whose pods and claims it would then refuse one by one: there these rules are
/// warnings. What the schema itself says holds there, too.
///
/// Source: `ValidatePodTemplateSpecForStatefulSet` and `ValidateStatefulSetSpec` of `pkg/apis/apps/validation`.
pub(super) fn soften(schemas: &Schemas, object: &Value, found: &mut [Finding]) {
    if schemas.minor() >= 34 || (api_version(object), kind(object)) != ("apps/v1", "StatefulSet") {
        return;
    }
    let unchecked = ["/spec/template/spec/", "/spec/volumeClaimTemplates/"];
    for finding in found.iter_mut().filter(|one| !one.is_of_schema) {
        if unchecked.iter().any(|prefix| finding.pointer.starts_with(prefix))
            || finding.pointer == "/spec/template/spec"
        {
            finding.severity = Severity::Warning;
        }
    }
}
