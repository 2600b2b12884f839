//! Whether the cluster would accept the manifests, before anything is sent to it: by the schemas of its version, and by the kinds
//! that it serves.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::Value;

use crate::cluster::{Cluster, ErrorClass};
use crate::error::{Error, Kind, Result};
use crate::manifest::{Against, Manifests, Object};
use crate::model::object::{api_version, kind, text};
use crate::model::{Cause, Failure, ObjectRef, Subject, group};
use crate::schema::Schemas;

/// Checks the manifests against what is known of the cluster.
///
/// # Errors
/// [`Kind::Invalid`] for what its version of Kubernetes refuses, [`Kind::Refused`] for the kinds that it does not serve, all of
/// them, with their places.
pub(crate) async fn check(cluster: &Cluster, manifests: &Manifests) -> Result<()> {
    let version = cluster.version().await;
    // If its version is unknown, all known versions were checked before.
    if let Some(schemas) = version.and_then(|version| Schemas::of(&version).ok()) {
        manifests.check(Against::Version(schemas))?;
    }
    served(cluster, manifests).await
}

/// Whether the cluster serves every kind that neither the set defines nor Kubernetes has by itself.
async fn served(cluster: &Cluster, manifests: &Manifests) -> Result<()> {
    let defined: BTreeSet<(&str, &str)> =
        manifests.objects.iter().filter_map(|object| defined(&object.json)).collect();
    let others = manifests.objects.iter().filter(|object| {
        let json = &object.json;
        !defined.contains(&(group(api_version(json)), kind(json)))
    });
    let asked = others.map(|object| async move {
        let served = cluster.resource(api_version(&object.json), kind(&object.json)).await;
        served.err().map(|error| (object, error))
    });
    let missing: Vec<(&Object, Error)> = join_all(asked).await.into_iter().flatten().collect();
    match missing.iter().position(|(_, error)| !ErrorClass::of(error).is_some_and(ErrorClass::is_refusal)) {
        Some(at) => Err(missing[at].1.clone()),
        None => refused(&missing),
    }
}

/// The group and kind that a CustomResourceDefinition defines.
fn defined(object: &Value) -> Option<(&str, &str)> {
    let is_definition = kind(object) == "CustomResourceDefinition";
    is_definition.then(|| (text(object, "/spec/group"), text(object, "/spec/names/kind")))
}

fn refused(missing: &[(&Object, Error)]) -> Result<()> {
    let Some((first, error)) = missing.first() else { return Ok(()) };
    let place = first.origin.place().clone();
    if missing.len() == 1 {
        return Err(error.clone().at(place));
    }
    let message = format!("the cluster does not serve the kinds of {} objects", missing.len());
    let failures = missing.iter().map(|(object, error)| Failure {
        subject: Subject::Object(ObjectRef::of(&object.json).id()),
        cause: Cause::InvalidManifest.to_string(),
        message: format!("{}: {}", object.origin.place(), error.message()),
        hint: error.hint().map(str::to_owned),
        evidence: Vec::new(),
    });
    Err(Error::new(Kind::Refused, message).at(place).with_failures(failures))
}
