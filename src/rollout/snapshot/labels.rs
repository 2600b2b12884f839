//! The labels of a pod, mostly shared with all pods of its ReplicaSet.

use serde_json::{Map, Value};

use crate::rollout::snapshot::intern::{Symbol, Symbols};

/// The labels of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Labels(Box<[(Symbol, Symbol)]>);

impl Labels {
    /// Reads `metadata.labels`; values that are not strings are ignored.
    pub(crate) fn read(pod: &Value, symbols: &mut Symbols) -> Self {
        let labels = pod.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
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
}
