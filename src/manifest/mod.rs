//! The manifests of `.kube`: YAML in, variables, images, overlays per tier, order and checks.

mod check;
mod config_hash;
pub(crate) mod fuzzing;
mod images;
mod inputs;
mod load;
mod origin;
mod phase;
mod secrets;
mod sources;
mod stamp;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) use crate::manifest::yaml::write::quoted;
pub use crate::manifest::yaml::write::{hide_secrets, to_yaml};
pub use check::{Against, Findings, described, read, read_valid, validate};
pub use config_hash::{referred_settings, rehash_configuration, with_config_hashes};
pub use inputs::Inputs;
pub use load::Sources;
pub use origin::Origin;
pub use phase::{Phase, phase_of};
pub use secrets::is_from_configuration;
pub use sources::request::Request;

use crate::error::Error;
use crate::model::{group, kinds};
use crate::project::{Project, Tier};

/// Objects of kinds that are not built in and that name no namespace, as `Kind/name`: whether they have one, only their
/// cluster knows.
pub fn of_unknown_scope(objects: &[Value]) -> Vec<String> {
    let text = |object: &'_ Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_one = |object: &&Value| {
        !kinds::is_built_in(group(&text(object, "/apiVersion")))
            && text(object, "/metadata/namespace").is_empty()
    };
    let name = |object: &Value| format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"));
    objects.iter().filter(is_one).map(name).collect()
}

/// The address of a set: the first host of its first Ingress.
pub(crate) fn address<'a>(mut objects: impl Iterator<Item = &'a Value>) -> Option<String> {
    let ingress = objects.find(|object| object["kind"] == "Ingress")?;
    let host = ingress.pointer("/spec/rules/0/host")?.as_str().filter(|host| !host.contains('*'))?;
    let secured = ingress.pointer("/spec/tls").and_then(Value::as_array).into_iter().flatten();
    let is_secured = |hosts: &Value| hosts.as_array().is_some_and(|all| all.iter().any(|one| one == host));
    let scheme = if secured.map(|tls| &tls["hosts"]).any(is_secured) { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

/// Marks an object as the project's and the tier's, as every object of its manifests is.
pub fn mark(object: &mut Value, project: &Project, tier: &Tier) {
    let owner = stamp::Owner {
        project: &project.name,
        tier: &tier.name,
        slug: &tier.slug,
        namespace: &tier.namespace,
    };
    stamp::stamp(object, &owner);
    // A word of the tool that it was made by is not true any more.
    object["metadata"]["labels"][stamp::MANAGED_BY] = "windlass".into();
}

/// The manifests of a tier, as they would be applied.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// In the order in which they are applied.
    pub objects: Vec<Object>,
    /// What is not wrong, but probably not meant.
    pub warnings: Vec<Error>,
}

impl Manifests {
    /// The kinds of the objects: `apiVersion` and `kind`, each once.
    pub fn kinds(&self) -> Vec<(String, String)> {
        let text = |json: &Value, key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let kind = |object: &Object| (text(&object.json, "apiVersion"), text(&object.json, "kind"));
        let kinds: BTreeSet<(String, String)> = self.objects.iter().map(kind).collect();
        kinds.into_iter().collect()
    }

    /// Objects as they were read, without what a tier makes of them.
    fn as_read(objects: Vec<yaml::node::Node>) -> Self {
        let object = |node: yaml::node::Node| {
            let json = node.to_json();
            Object { phase: phase_of(&json), json, origin: Origin::of(node) }
        };
        Self { objects: objects.into_iter().map(object).collect(), warnings: Vec::new() }
    }
}

/// An object of the manifests.
#[derive(Debug, Clone)]
pub struct Object {
    /// The object, without the stamps of a release.
    pub json: Value,
    /// Where it was written.
    pub origin: Origin,
    /// When it is applied.
    pub phase: Phase,
}
