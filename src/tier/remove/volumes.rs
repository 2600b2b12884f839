//! Volumes and their claims: a volume in use cannot be deleted before its claim, and is not deleted at all if the claim
//! is kept.

use serde_json::Value;

use crate::cluster::{self, Cluster};
use crate::error::Result;
use crate::model::{ObjectId, ObjectRef};
use crate::tier::remove::removal::Kept;

/// Keeps the volumes whose claims are kept.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn keep(cluster: &Cluster, goes: &mut Vec<Value>, kept: &mut Vec<Kept>) -> Result<()> {
    let going: Vec<ObjectId> = goes.iter().map(ObjectId::of).collect();
    let mut rest = Vec::new();
    for volume in std::mem::take(goes) {
        match claim(&volume).filter(|claim| !going.contains(claim)) {
            Some(claim) if is_there(cluster, &claim, &volume).await? => {
                let why =
                    format!("{claim} uses it; --with-data deletes both, as far as they belong to the tier");
                kept.push(Kept { object: volume, why });
            }
            _ => rest.push(volume),
        }
    }
    *goes = rest;
    Ok(())
}

/// Whether it is a `PersistentVolume`.
pub(crate) fn is_volume(object: &Value) -> bool {
    object["kind"] == "PersistentVolume"
}

/// The claim that a volume is bound to.
fn claim(volume: &Value) -> Option<ObjectId> {
    let claim = Some(&volume["spec"]["claimRef"]).filter(|_| is_volume(volume))?;
    Some(ObjectId {
        group: String::new(),
        kind: "PersistentVolumeClaim".to_owned(),
        namespace: claim["namespace"].as_str()?.to_owned(),
        name: claim["name"].as_str()?.to_owned(),
    })
}

/// Whether the claim still exists; without permission to read it, it counts as existing.
async fn is_there(cluster: &Cluster, claim: &ObjectId, volume: &Value) -> Result<bool> {
    let reference =
        ObjectRef::new("v1", claim.kind.clone(), claim.name.clone()).in_namespace(claim.namespace.clone());
    match cluster.get(&reference).await {
        Ok(found) => Ok(found.is_some_and(|found| {
            let bound = &volume["spec"]["claimRef"]["uid"];
            bound.is_null() || *bound == found["metadata"]["uid"]
        })),
        Err(error) if cluster::is_denied(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::report::Reporter;
    use crate::session::Session;

    const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";

    fn volume(name: &str, claim: &str, uid: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"claimRef": {"namespace": "shop", "name": claim, "uid": uid}}})
    }

    #[tokio::test]
    async fn a_volume_stays_as_long_as_its_claim_does() {
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let claim = |name: &str| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "shop"}});
        let kept = server.put(CLAIMS, claim("kept"));
        let going = server.put(CLAIMS, claim("going"));
        let uid = |claim: &Value| claim["metadata"]["uid"].clone();
        let mut goes = vec![
            volume("of-kept", "kept", &uid(&kept)),
            volume("of-going", "going", &uid(&going)),
            volume("of-gone", "gone", &json!("x")),
            volume("of-an-older-one", "kept", &json!("older")),
            going,
        ];
        let mut stay = Vec::new();
        keep(&cluster, &mut goes, &mut stay).await.unwrap();
        let names = |objects: &[Value]| {
            objects.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&goes), ["of-going", "of-gone", "of-an-older-one", "going"]);
        assert_eq!(stay.len(), 1);
        assert!(stay[0].why.starts_with("PersistentVolumeClaim/kept uses it"), "{}", stay[0].why);
    }
}
