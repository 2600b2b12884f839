//! Deletes an object and waits until it is gone. An object that was created under the same name in the meantime is
//! another object: it is kept, unless it is in the way of a new one and belongs to the same tier.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{Cluster, DeleteOptions, Deleted, Propagation, SeenObject, ownership};
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectId, ObjectRef, Stage, Stream, labels};
use crate::release::plan::checks::images::PODS;
use crate::session::Session;

/// After this long, a deletion is reported as stuck.
const DELETION: Duration = Duration::from_secs(60);
/// The same for a namespace, which is deleted only after its contents.
const NAMESPACE_DELETION: Duration = Duration::from_secs(300);
/// After this long, people are told what is waited for.
const SLOW: Duration = Duration::from_secs(5);
/// How often an object is deleted that is created again each time.
const TRIES: u32 = 3;

/// Deletes an object together with what it owns, and waits until it is gone. One that has replaced it in the meantime
/// is kept, with a warning.
///
/// # Errors
/// [`Kind::TimedOut`] when the deletion does not finish, and what the cluster refuses.
pub(crate) async fn delete_only(session: &Session, cluster: &Cluster, live: &Value) -> Result<Deleted> {
    let deleted = delete_and_wait(session, cluster, live).await?;
    if deleted == Deleted::Replaced {
        let id = ObjectId::of(live);
        session.reporter.warn(format!("{id} was created again in the meantime: the new one was not deleted"));
    }
    Ok(deleted)
}

/// Deletes an object so that a new one can have its name. One that has replaced it in the meantime is deleted as well
/// if it belongs to the same tier.
///
/// # Errors
/// [`Kind::Refused`] if an object of another owner has replaced it, and as [`delete_only`].
pub(crate) async fn make_room(
    session: &Session,
    cluster: &Cluster,
    live: &Value,
    wanted: &Value,
) -> Result<()> {
    let mut live = live.clone();
    for _ in 0..TRIES {
        if delete_and_wait(session, cluster, &live).await? != Deleted::Replaced {
            return Ok(());
        }
        let Some(new) = cluster.get(&ObjectRef::of(&live)).await? else { return Ok(()) };
        if !is_of_same_tier(&new, wanted) {
            let owner = ownership::owner(&new).unwrap_or_else(|| "somebody".to_owned());
            let id = ObjectId::of(&live);
            return Err(Error::new(
                Kind::Refused,
                format!("{owner} created {id} again while it was replaced"),
            )
            .with_hint("`windlass plan TIER` shows what is there now"));
        }
        live = new;
    }
    let message = format!("{} is created again each time it is deleted", ObjectId::of(&live));
    Err(Error::new(Kind::Refused, message)
        .with_hint("find out who creates it: kubectl get -o yaml --show-managed-fields"))
}

fn is_of_same_tier(one: &Value, other: &Value) -> bool {
    let same = |key: &str| {
        let label = one["metadata"]["labels"].get(key);
        label.is_some() && label == other["metadata"]["labels"].get(key)
    };
    same(labels::PROJECT) && same(labels::TIER)
}

async fn delete_and_wait(session: &Session, cluster: &Cluster, live: &Value) -> Result<Deleted> {
    let seen = SeenObject::of(live)?;
    let options = DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
    let deleted = cluster.delete(&seen, options).await?;
    if deleted == Deleted::Begun {
        until_gone(session, cluster, live).await?;
    }
    Ok(deleted)
}

/// Waits until an object that is being deleted is gone.
///
/// # Errors
/// [`Kind::TimedOut`] when the deletion does not finish, and what the cluster refuses.
pub(crate) async fn until_gone(session: &Session, cluster: &Cluster, live: &Value) -> Result<()> {
    let seen = SeenObject::of(live)?;
    let id = ObjectId::of(live);
    let gone = async {
        let (began, mut told) = (Instant::now(), false);
        let mut pause = Duration::from_millis(50);
        while let Some(there) = cluster.get(seen.object()).await?.filter(|there| seen.is(there)) {
            if !told && began.elapsed() >= SLOW {
                told = true;
                let name = id.to_string();
                session.reporter.log(Stage::Release, &name, Stream::Stdout, waited_for(&there));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Ok(())
    };
    let limit = if id.kind == "Namespace" { NAMESPACE_DELETION } else { DELETION + grace(live) };
    session
        .within(limit, gone, || {
            Error::new(Kind::TimedOut, format!("{id} is still being deleted after {} s", limit.as_secs()))
                .with_hint("a finalizer may hold it: kubectl get -o yaml shows metadata.finalizers")
        })
        .await
}

/// What a deletion that takes its time waits for.
fn waited_for(there: &Value) -> String {
    let finalizers = there["metadata"]["finalizers"].as_array().into_iter().flatten();
    let finalizers: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    match finalizers.as_slice() {
        ["foregroundDeletion"] => "waiting until what it owns is gone".to_owned(),
        [] => "waiting until it is gone".to_owned(),
        all => format!("waiting for its finalizers: {}", all.join(", ")),
    }
}

/// How long the pods of an object may take to terminate.
fn grace(object: &Value) -> Duration {
    let grace = |pod: &&str| object.pointer(pod)?.get("terminationGracePeriodSeconds")?.as_u64();
    PODS.iter().find_map(grace).map_or(Duration::ZERO, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::report::Reporter;

    const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

    fn map(project: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop",
            "labels": {"windlass.dev/project": project, "windlass.dev/tier": "staging"}}})
    }

    /// The object that was seen, while another has its name by now.
    async fn replaced_by(new: Value) -> (FakeServer, Session, Cluster, Value) {
        let server = FakeServer::start().await;
        let session = Session::new(Reporter::silent());
        let cluster = server.cluster(&session).await;
        let seen = server.put(MAPS, map("shop"));
        server.delete(MAPS, "a");
        server.put(MAPS, new);
        (server, session, cluster, seen)
    }

    #[test]
    fn what_a_deletion_waits_for_is_told() {
        let with = |finalizers: Value| waited_for(&json!({"metadata": {"finalizers": finalizers}}));
        assert_eq!(with(json!(["foregroundDeletion"])), "waiting until what it owns is gone");
        assert_eq!(
            with(json!(["kubernetes.io/pvc-protection"])),
            "waiting for its finalizers: kubernetes.io/pvc-protection"
        );
        assert_eq!(with(Value::Null), "waiting until it is gone");
    }

    #[tokio::test]
    async fn what_took_its_place_stays_where_it_is_only_to_go() {
        let (server, session, cluster, seen) = replaced_by(map("shop")).await;
        assert_eq!(delete_only(&session, &cluster, &seen).await.unwrap(), Deleted::Replaced);
        assert!(server.get(MAPS, "a").is_some());
    }

    #[tokio::test]
    async fn room_is_made_of_what_is_the_tiers_and_of_nothing_else() {
        let (server, session, cluster, seen) = replaced_by(map("shop")).await;
        make_room(&session, &cluster, &seen, &map("shop")).await.unwrap();
        assert!(server.get(MAPS, "a").is_none(), "the new one is the tier's as well");

        let (server, session, cluster, seen) = replaced_by(map("toys")).await;
        let error = make_room(&session, &cluster, &seen, &map("shop")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(
            error.message().starts_with("windlass project toys, tier staging created ConfigMap/a"),
            "{error}"
        );
        assert!(server.get(MAPS, "a").is_some());
    }
}
