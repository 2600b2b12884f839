//! What of a release was changed since: rows of `status`, and fields of a plan.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A field that no manifest mentions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AddedField {
    /// `spec.template.spec.containers[web].env[A]`
    pub(crate) field: String,
    /// Its value, as far as it may be seen.
    pub(crate) live: String,
    /// Who added it: `kubectl-set`.
    pub(crate) manager: String,
    /// When that manager last wrote to the object.
    pub(crate) time: Option<Timestamp>,
}

impl AddedField {
    /// `kubectl-set at 2026-11-23T10:00:00Z`
    pub(crate) fn by(&self) -> String {
        let time = self.time.map(|time| format!(" at {time:.0}")).unwrap_or_default();
        format!("{}{time}", self.manager)
    }

    /// `spec.template.spec.containers[web].env[B]: {"name":"B","value":"2"} (by kubectl-set at 2026-11-23T10:00:00Z)`.
    pub(crate) fn line(&self) -> String {
        format!("{}: {} (by {})", self.field, self.live, self.by())
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"field": self.field, "live": self.live, "manager": self.manager, "time": self.time})
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a person added to the Deployment `web`.
    pub(crate) fn by_hand() -> AddedField {
        AddedField {
            field: "spec.template.spec.containers[web].env[B]".to_owned(),
            live: r#"{"name":"B","value":"2"}"#.to_owned(),
            manager: "kubectl-set".to_owned(),
            time: Some("2026-11-23T10:00:00Z".parse().unwrap()),
        }
    }

    /// What a controller added to it.
    pub(crate) fn by_mesh() -> AddedField {
        AddedField {
            field: "spec.template.spec.dnsPolicy".to_owned(),
            live: r#""ClusterFirst""#.to_owned(),
            manager: "mesh".to_owned(),
            ..by_hand()
        }
    }
}
