//! The actions of a plan on an object, and the fields that change.

use serde::Serialize;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It does not exist yet.
    Create,
    /// It differs.
    Change,
    /// It differs in a field that cannot be changed, and the manifest allows to delete and create it.
    Recreate,
    /// A Job whose content has not completed yet.
    Run,
    /// It already is as wanted.
    Keep,
    /// It was removed from the manifests.
    Prune,
    /// It was removed from the manifests, but is kept.
    Leave,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// `spec.template.spec.containers[app].image`.
    pub field: String,
    /// The value before; `None` where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value after; `None` where it goes away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A field of ours that was edited by hand with kubectl and is reverted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// `kubectl-edit`
    pub manager: String,
    /// `spec.replicas`
    pub field: String,
}
