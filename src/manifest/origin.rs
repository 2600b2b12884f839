//! Where an object of the manifests was written, down to each of its fields.

use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Kind, Place};
use crate::manifest::yaml::node::Node;
use crate::schema::{Finding, Mark};

/// Where an object was written.
#[derive(Debug, Clone)]
pub struct Origin {
    place: Place,
    /// The object as it was read, merged and substituted; `None` for one that no manifest has.
    node: Option<Arc<Node>>,
}

impl Origin {
    /// That of an object of the manifests.
    pub(super) fn of(node: Node) -> Self {
        Self { place: node.spot.place(), node: Some(Arc::new(node)) }
    }

    /// That of an object that windlass makes because of what stands at this place.
    pub fn at(place: Place) -> Self {
        Self { place, node: None }
    }

    /// Where the object begins.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where the value at a JSON pointer begins.
    pub fn place_of(&self, pointer: &str) -> Place {
        self.node.as_ref().map_or_else(|| self.place.clone(), |node| node.place_of(pointer).place())
    }

    /// The object as it was written, without what windlass adds; `None` for one that no manifest has.
    pub(super) fn written(&self) -> Option<Value> {
        self.node.as_ref().map(|node| node.to_json())
    }

    /// What was found, as a mistake at its place, with its line.
    pub(crate) fn mistake(&self, finding: &Finding) -> Error {
        let error = self.mistake_at(&finding.pointer, finding.mark, finding.to_string());
        match &finding.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// A mistake in the value, or the key, at a JSON pointer.
    pub(super) fn mistake_at(&self, pointer: &str, mark: Mark, message: impl Into<String>) -> Error {
        match (&self.node, mark) {
            (Some(node), Mark::Key) => node.key_place_of(pointer).mistake(message),
            (Some(node), Mark::Value) => node.place_of(pointer).mistake(message),
            (None, _) => Error::new(Kind::Invalid, message).at(self.place.clone()),
        }
    }

    /// An error about the field at a path as the API server writes it (`spec.ports[0].port`): at the field, or where that is
    /// not known, at the object.
    pub fn error_at(&self, path: &str, message: impl Into<String>) -> Error {
        match self.node.as_ref().and_then(|node| Some((node, node.pointer_of(path)?))) {
            Some((node, pointer)) => node.place_of(&pointer).mistake(message),
            None => Error::new(Kind::Invalid, message).at(self.place.clone()),
        }
    }
}
