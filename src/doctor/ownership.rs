//! Whether objects of the manifests exist already and belong to somebody else: a release would conflict with them.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde_json::Value;

use crate::cluster::{Cluster, FIELD_MANAGER, ownership};
use crate::doctor::Finding;
use crate::http::CONCURRENCY;
use crate::manifest::Manifests;
use crate::model::{ObjectRef, labels};
use crate::project::{Project, Tier};
use crate::session::Session;
use crate::text::display;

/// More objects are not asked for.
const MOST: usize = 100;

/// A warning where others manage what the tier's manifests describe; nothing where that is not known.
pub(super) async fn examine(
    session: &Session,
    cluster: &Cluster,
    project: &Project,
    tier: &Tier,
    described: &Manifests,
) -> Option<Finding> {
    let asked: Vec<_> =
        described.objects.iter().take(MOST).map(|object| live(cluster, &object.json)).collect();
    let asked = stream::iter(asked).buffered(CONCURRENCY).collect::<Vec<_>>();
    let found = session.unless_cancelled(async { Ok(asked.await) }).await.ok()?;
    let found: Vec<Value> = found.into_iter().flatten().collect();
    let is_ours = |object: &&Value| {
        object["metadata"]["labels"][labels::PROJECT] == *project.name
            && object["metadata"]["labels"][labels::TIER] == *tier.slug
    };
    foreign(found.iter().filter(|object| !is_ours(object)), &tier.command("adopt"))
}

/// The live object of this name. What cannot be read is told by other checks.
async fn live(cluster: &Cluster, object: &Value) -> Option<Value> {
    let mut reference = ObjectRef::of(object);
    if object["metadata"]["namespace"].is_null()
        && cluster.resource(&reference.api_version, &reference.kind).await.ok()?.namespaced
    {
        reference = reference.in_namespace(cluster.namespace());
    }
    cluster.get(&reference).await.ok().flatten()
}

fn foreign<'a>(live: impl Iterator<Item = &'a Value>, adopt: &str) -> Option<Finding> {
    let mut is_of_windlass = false;
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for object in live {
        is_of_windlass |= object["metadata"]["labels"].get(labels::PROJECT).is_some();
        if let Some(owner) = ownership::owner(object).filter(|owner| owner != FIELD_MANAGER) {
            *owners.entry(owner).or_default() += 1;
        }
    }
    if owners.is_empty() {
        return None;
    }
    let counts = owners.iter().enumerate().map(|(index, (owner, count))| {
        let count = if index == 0 { display::count(*count, "object") } else { count.to_string() };
        format!("{count} managed by {owner}")
    });
    let message = format!("already in the cluster: {}", counts.collect::<Vec<_>>().join(", "));
    let hint = if is_of_windlass {
        "another project has these names: choose other names, or another namespace".to_owned()
    } else {
        format!("`{adopt}` takes over what runs, without a change")
    };
    Some(Finding::doubtful(message, &hint))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_of_others_are_counted_by_their_owners() {
        let helm = json!({"metadata": {"annotations": {"meta.helm.sh/release-name": "shop"}}});
        let kubectl = json!({"metadata": {"annotations": {ownership::LAST_APPLIED: "{}"}}});
        let other = json!({"metadata": {"labels": {labels::PROJECT: "toys", labels::TIER: "staging"}}});
        let Some(Finding::Doubtful(found)) =
            foreign([helm.clone(), kubectl, helm].iter(), "windlass adopt production")
        else {
            panic!("a warning")
        };
        assert_eq!(
            found.message,
            "already in the cluster: 2 objects managed by Helm release shop, 1 managed by kubectl apply"
        );
        assert!(found.hint.unwrap().starts_with("`windlass adopt production` takes over"));
        assert!(foreign([json!({"metadata": {}})].iter(), "").is_none());
        let Some(Finding::Doubtful(found)) = foreign([other].iter(), "") else { panic!("a warning") };
        assert!(
            found.message.ends_with("1 object managed by windlass project toys, tier staging"),
            "{}",
            found.message
        );
        assert!(found.hint.unwrap().starts_with("another project"));
    }
}
