//! Labels of a pod or of a ReplicaSet, mostly shared between a ReplicaSet and all of its pods.

use serde_json::{Map, Value};

use crate::rollout::snapshot::intern::{Symbol, Symbols};

/// Labels, or what a selector asks of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Labels(Box<[(Symbol, Symbol)]>);

impl Labels {
    /// Reads the labels at a JSON pointer; values that are not strings are ignored.
    pub(crate) fn read(object: &Value, pointer: &str, symbols: &mut Symbols) -> Self {
        let labels = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        let pair = |(key, value): (&String, &Value)| Some((symbols.get(key), symbols.get(value.as_str()?)));
        Self(labels.filter_map(pair).collect())
    }

    /// The value of a label.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
    }

    /// Whether they include all of these.
    pub(crate) fn have(&self, wanted: &Map<String, Value>) -> bool {
        wanted.iter().all(|(key, value)| self.get(key) == value.as_str())
    }

    /// Whether they include all of these, and these are any.
    pub(crate) fn are_selected(&self, selector: &Self) -> bool {
        !selector.0.is_empty() && selector.0.iter().all(|(key, value)| self.get(key) == Some(value))
    }

    /// The labels as JSON.
    pub(crate) fn to_map(&self) -> Map<String, Value> {
        self.0.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect()
    }
}
