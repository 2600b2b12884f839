//! What the server's validation asks beyond the schema. The schema of a built-in kind is not what the server validates by: a
//! "required" field may be left out, and a string may be refused for its form. So these rules are written by hand, each with its
//! source: a function of `k8s.io/kubernetes/pkg/apis/*/validation` or of `k8s.io/apimachinery`, in 1.27 and 1.37.

mod access;
mod choice;
mod cluster;
mod definition;
mod forms;
mod gates;
mod jobs;
mod meta;
mod network;
mod pod;
mod required;
mod scaling;
mod storage;
mod workload;

use serde_json::{Map, Value};

use super::finding::{Finding, Severity};
use super::table::{Field, Shape};
use super::version::Schemas;
use crate::model::object::{api_version, kind, text};

pub(super) use gates::drops;
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

    /// A number, as the server reads it.
    fn int(&self, name: &str) -> Option<i64> {
        let shape = self.schemas.field_of(self.type_name, name).map_or(&Shape::Int64, |field| &field.shape);
        int(shape, self.get(name)?)
    }

    /// Whether a flag is there and true.
    fn is(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Bool(true))
    }

    /// The fields of an object that is there.
    fn object(&self, name: &str) -> Option<&'a Map<String, Value>> {
        self.get(name).and_then(Value::as_object)
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

    /// Those of these fields that are there and hold something: of strings and lists some are none.
    fn filled<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        let is_filled = |name: &&&str| self.get(name).is_some_and(|value| !is_empty(value));
        names.iter().filter(is_filled).copied().collect()
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

/// An empty string or list, which the server mostly does not tell from one that is left out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => value.is_null(),
    }
}

/// A number as the server has it: it cuts off what does not fit into 32 bits. Beyond 64 bits it has the least number there is,
/// which is what Go makes of it on amd64.
pub(super) fn int(shape: &Shape, value: &Value) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    let wide = match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole,
        (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e18 => {
            format!("{float:.0}").parse().ok()?
        }
        (None, Some(float)) if float.fract() != 0.0 => return None,
        _ => i64::MIN,
    };
    if *shape != Shape::Int32 {
        return Some(wide);
    }
    // The lower half of its bits.
    let [a, b, c, d, ..] = wide.to_le_bytes();
    Some(i64::from(i32::from_le_bytes([a, b, c, d])))
}

/// The rules of a field whose value has the right type.
pub(super) fn field(
    schemas: &Schemas,
    type_name: &str,
    field: &Field,
    value: &Value,
    pointer: &str,
    found: &mut Vec<Finding>,
) {
    forms::check((type_name, schemas.minor()), field, value, pointer, found);
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
    choice::check(&checked, found);
    let (group, _) = type_name.split_once('.').unwrap_or_default();
    match group {
        "core" => {
            pod::check(&checked, found);
            network::check(&checked, found);
            storage::check(&checked, found);
            cluster::check(&checked, found);
        }
        "batch" => jobs::check(&checked, found),
        "networking" | "discovery" => network::check(&checked, found),
        "storage" => storage::check(&checked, found),
        "autoscaling" | "policy" => scaling::check(&checked, found),
        "rbac" => access::check(&checked, found),
        "apiextensions" => definition::check(&checked, found),
        "meta" => found.extend(meta::selector(&checked)),
        _ => cluster::check(&checked, found),
    }
}

/// The rules of a whole object.
pub(super) fn object(schemas: &Schemas, object: &Value, found: &mut Vec<Finding>) {
    meta::name(schemas, object, found);
    meta::owners_and_finalizers(object, found);
    cluster::object(object, found);
    definition::object(object, found);
    workload::check(object, found);
}

/// What a rule says and the server does not, at some places: there it is a warning. What the schema itself says holds.
pub(super) fn soften(schemas: &Schemas, object: &Value, dropped: &[String], found: &mut [Finding]) {
    let is_below = |pointer: &str, place: &String| {
        pointer.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for finding in found.iter_mut().filter(|one| !one.is_of_schema) {
        // Of the metadata of a template only labels and annotations are validated.
        let is_of_template = finding.pointer.find("/metadata/ownerReferences").is_some_and(|at| at > 0)
            && !finding.pointer.contains("/volumeClaimTemplate/");
        if is_of_template || dropped.iter().any(|place| is_below(&finding.pointer, place)) {
            finding.severity = Severity::Warning;
        }
    }
    let places = soft_places(schemas, object);
    for finding in found.iter_mut().filter(|one| !one.is_of_schema) {
        let pointer = finding.pointer.as_str();
        let is_whole_template = pointer == "/spec/template" && finding.message.starts_with("`spec`");
        let is_soft = is_whole_template && places.contains(&"/spec/template/spec");
        let is_hard = OF_PODS_THAT_STAY.contains(&pointer);
        if is_soft || (!is_hard && places.iter().any(|place| is_at(pointer, place))) {
            finding.severity = Severity::Warning;
        }
    }
}

/// Where the rules of an object ask for more than the server.
fn soft_places(schemas: &Schemas, object: &Value) -> &'static [&'static str] {
    match (api_version(object), kind(object)) {
        // Before 1.34 the server took a StatefulSet whose pods and claims it would then refuse one by one.
        // Source: `ValidatePodTemplateSpecForStatefulSet` and `ValidateStatefulSetSpec` of `pkg/apis/apps/validation`.
        ("apps/v1", "StatefulSet") if schemas.minor() < 34 => {
            &["/spec/template/spec", "/spec/volumeClaimTemplates/"]
        }
        // Only the specification of the claims is validated; the controller puts its own names in the place of these.
        ("apps/v1", "StatefulSet") => &[
            "/spec/volumeClaimTemplates/*/metadata",
            "/spec/template/spec/hostname",
            "/spec/template/spec/subdomain",
        ],
        // `ValidateDaemonSetUpdateStrategy` looks at it where pods are replaced by and by.
        ("apps/v1", "DaemonSet") if text(object, "/spec/updateStrategy/type") == "OnDelete" => {
            &["/spec/updateStrategy/rollingUpdate"]
        }
        // `ValidateJobTemplateSpec` looks at the specification.
        ("batch/v1", "CronJob") => &["/spec/jobTemplate/metadata"],
        ("v1", "PersistentVolumeClaim") if storage::drops_source(object) => &["/spec/dataSource"],
        // `validateMetricIdentifier` looks at the name.
        ("autoscaling/v2", "HorizontalPodAutoscaler") => &["/spec/metrics/*/*/metric/selector"],
        _ => &[],
    }
}

/// What every version asks of the pods of a workload that runs on. Source: `ValidatePodTemplateSpecForStatefulSet`.
const OF_PODS_THAT_STAY: [&str; 2] =
    ["/spec/template/spec/activeDeadlineSeconds", "/spec/template/spec/restartPolicy"];

/// Whether a pointer leads to a place or below it; `*` is any step.
fn is_at(pointer: &str, place: &str) -> bool {
    let mut steps = pointer.split('/');
    place
        .trim_end_matches('/')
        .split('/')
        .all(|wanted| steps.next().is_some_and(|step| wanted == "*" || step == wanted))
}
