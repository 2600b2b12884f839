//! YAML as Kubernetes reads and writes it, with the place of every node.

pub(crate) mod compose;
pub(crate) mod identity;
pub(crate) mod node;
pub(crate) mod place;
pub(crate) mod scalar;
pub(crate) mod source;
pub(crate) mod stream;
pub(crate) mod write;
