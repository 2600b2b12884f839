//! What of a release was changed since: rows of `status`, and fields of a plan.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object_json;
use crate::model::{FieldChange, ObjectRef};

/// What differs from what was released.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Drift {
    /// What was compared.
    Known {
        /// The objects that are no longer what was released.
        changed: Vec<ChangedObject>,
        /// What controllers added to the pod templates of objects, which is no drift.
        others: Vec<ExtendedObject>,
    },
    /// It cannot be told, and why.
    Unknown(String),
}

/// An object that is no longer what was released.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangedObject {
    pub(crate) object: ObjectRef,
    /// Field by field: `before` is what is live, `after` what was released. Empty where the object is gone.
    pub(crate) fields: Vec<FieldChange>,
    /// What a person added that the manifests do not mention.
    pub(crate) added: Vec<AddedField>,
    pub(crate) gone: bool,
    /// The field managers: `kubectl-edit`.
    pub(crate) by: BTreeSet<String>,
}

/// What controllers added to the pod template of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExtendedObject {
    pub(crate) object: ObjectRef,
    pub(crate) added: Vec<AddedField>,
}

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
    pub(super) fn line(&self) -> String {
        format!("{}: {} (by {})", self.field, self.live, self.by())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"field": self.field, "live": self.live, "manager": self.manager, "time": self.time})
    }
}

impl Drift {
    /// The objects that were changed; null where nothing is known of them.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Known { changed, .. } => changed.iter().map(ChangedObject::to_json).collect(),
            Self::Unknown(_) => Value::Null,
        }
    }

    /// What controllers added; null where nothing is known of it.
    pub(super) fn others_to_json(&self) -> Value {
        match self {
            Self::Known { others, .. } => others.iter().map(ExtendedObject::to_json).collect(),
            Self::Unknown(_) => Value::Null,
        }
    }

    /// What was changed.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Known { changed, .. } if changed.is_empty() => {
                vec!["none: everything is as released".to_owned()]
            }
            Self::Known { changed, .. } => changed.iter().flat_map(ChangedObject::lines).collect(),
            Self::Unknown(why) => vec![format!("not known: {why}")],
        }
    }

    /// What controllers added.
    pub(super) fn other_lines(&self) -> Vec<String> {
        match self {
            Self::Known { others, .. } => others.iter().flat_map(ExtendedObject::lines).collect(),
            Self::Unknown(_) => Vec::new(),
        }
    }
}

impl ChangedObject {
    fn to_json(&self) -> Value {
        let field = |change: &FieldChange| json!({"field": change.field, "live": change.before, "released": change.after});
        let added = |one: &AddedField| {
            let mut field = one.to_json();
            field["released"] = Value::Null;
            field
        };
        let mut line = object_json(&self.object);
        line["gone"] = json!(self.gone);
        line["by"] = json!(self.by);
        line["fields"] = self.fields.iter().map(field).chain(self.added.iter().map(added)).collect();
        line
    }

    fn lines(&self) -> Vec<String> {
        if self.gone {
            return vec![format!("{} was deleted", self.object.id())];
        }
        let by = self.by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let field = |change: &FieldChange| {
            format!("  {}: {}, released was {}", change.field, text(&change.before), text(&change.after))
        };
        let head = format!("{} was changed{by}", self.object.id());
        let added = self.added.iter().map(|one| format!("  not in the manifests: {}", one.line()));
        [head].into_iter().chain(self.fields.iter().map(field)).chain(added).collect()
    }
}

impl ExtendedObject {
    fn to_json(&self) -> Value {
        let mut line = object_json(&self.object);
        line["fields"] = self.added.iter().map(AddedField::to_json).collect();
        line
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.added.iter().map(|one| format!("{}: {}", self.object.id(), one.line()))
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

    fn object(name: &str) -> ObjectRef {
        ObjectRef::new("apps/v1", "Deployment", name).in_namespace("shop")
    }

    /// Everything that can have been changed since a release.
    pub(crate) fn drift() -> Drift {
        let changed = |name: &str| ChangedObject {
            object: object(name),
            fields: Vec::new(),
            added: Vec::new(),
            gone: false,
            by: BTreeSet::new(),
        };
        let field = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let web = ChangedObject {
            fields: vec![
                field("spec.replicas", Some("5"), Some("2")),
                field("spec.paused", Some("true"), None),
            ],
            added: vec![by_hand()],
            by: BTreeSet::from(["kubectl-edit".to_owned(), "kubectl-set".to_owned()]),
            ..changed("web")
        };
        let unnamed = ChangedObject { fields: vec![field("data.KEY", None, Some("a"))], ..changed("api") };
        let gone = ChangedObject { gone: true, ..changed("cron") };
        let others = ExtendedObject { object: object("web"), added: vec![by_mesh()] };
        Drift::Known { changed: vec![web, unnamed, gone], others: vec![others] }
    }
}
