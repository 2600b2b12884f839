//! A condition of an object's status.

use jiff::Timestamp;
use serde_json::Value;

use crate::model::object;

/// One entry of `status.conditions`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// When its status last changed.
    pub(crate) since: Option<Timestamp>,
    /// When it was last written, which tells whether it is left over from an earlier rollout.
    pub(crate) written: Option<Timestamp>,
    observed: Option<i64>,
}

impl<'a> Condition<'a> {
    pub(crate) fn read(value: &'a Value) -> Self {
        let since = object::time(value, "/lastTransitionTime");
        Self {
            kind: object::text(value, "/type"),
            status: object::text(value, "/status"),
            reason: object::text(value, "/reason"),
            message: object::text(value, "/message"),
            since,
            written: object::time(value, "/lastUpdateTime").or(since),
            observed: object::number(value, "/observedGeneration"),
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(crate) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Whether it is about an older generation of the object.
    pub(crate) fn is_older_than(&self, object: &Value) -> bool {
        let generation = object::number(object, "/metadata/generation");
        matches!((self.observed, generation), (Some(observed), Some(generation)) if observed < generation)
    }

    /// Whether its own `observedGeneration` is the object's current generation.
    pub(crate) fn is_current_for(&self, object: &Value) -> bool {
        let generation = object::number(object, "/metadata/generation");
        matches!((self.observed, generation), (Some(observed), Some(generation)) if observed >= generation)
    }

    /// `Ready is False: BuildFailed, kustomize build failed`.
    pub(crate) fn sentence(&self) -> String {
        let words: Vec<&str> =
            [self.reason, self.message].into_iter().filter(|word| !word.is_empty()).collect();
        let said = words.join(", ");
        let colon = if said.is_empty() { "" } else { ": " };
        format!("{} is {}{colon}{said}", self.kind, self.status)
    }

    /// Its message, or its reason if it has none.
    pub(crate) fn words(&self) -> &'a str {
        if self.message.is_empty() { self.reason } else { self.message }
    }
}

/// All conditions of an object.
pub(crate) fn all(object: &Value) -> impl Iterator<Item = Condition<'_>> {
    object::list(object, "/status/conditions").iter().map(Condition::read)
}

/// The conditions of a part of an object.
pub(crate) fn of_list(value: &Value) -> impl Iterator<Item = Condition<'_>> {
    object::list(value, "/conditions").iter().map(Condition::read)
}

/// The condition of this type.
pub(crate) fn find<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    all(object).find(|condition| condition.kind == kind)
}

/// Whether the condition of this type is `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| condition.is_true())
}
