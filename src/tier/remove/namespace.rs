//! Whether the tier's namespace is deleted: only if windlass created it and it contains nothing of others, or with
//! `--with-namespace`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{self, Contents};
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectId, ObjectRef};
use crate::release::context;
use crate::release::context::TierContext;
use crate::tier::remove::others::{Parted, Tenant, part, uid};
use crate::tier::remove::removal::{Kept, Namespace, names};
use crate::tier::remove::{RemoveRequest, is_claim};

/// Namespaces that every cluster has.
const OF_KUBERNETES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// What is known before the namespace is read.
pub(crate) struct Draft<'a> {
    pub(crate) request: RemoveRequest,
    /// The uids of objects that certainly are the tier's.
    pub(crate) known: BTreeSet<String>,
    pub(crate) kept: &'a [Kept],
    /// What the tier's own manifest of the namespace says: `Some(true)` allows the deletion, `Some(false)` forbids it.
    pub(crate) said: Option<bool>,
}

/// Decides about the namespace; also returns the uids of the tier's objects in it.
///
/// # Errors
/// [`Kind::Usage`] if data would be deleted with the namespace without `--with-data`, and what the cluster refuses.
pub(crate) async fn decide(
    context: TierContext<'_>,
    draft: &Draft<'_>,
) -> Result<(Namespace, BTreeSet<String>)> {
    let name = context.cluster.namespace().to_owned();
    if draft.request.with_namespace && OF_KUBERNETES.contains(&name.as_str()) {
        return Err(Error::new(Kind::Usage, format!("the namespace `{name}` is Kubernetes' own"))
            .with_hint("leave --with-namespace out"));
    }
    let stays = |why: String, live: Option<Value>, holds: Vec<Value>| {
        (Namespace::Stays { name: name.clone(), why, live, holds }, draft.known.clone())
    };
    let live = match context.cluster.get(&ObjectRef::new("v1", "Namespace", &name)).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok((Namespace::Missing, BTreeSet::new())),
        Err(error) if cluster::is_denied(&error) && !draft.request.with_namespace => {
            return Ok(stays("its owner cannot be read".to_owned(), None, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    if live["metadata"]["deletionTimestamp"].is_string() {
        return Ok((Namespace::Going { live }, BTreeSet::new()));
    }
    if let Some(why) = kept_anyway(context, draft, &live, &name) {
        return Ok(stays(why, Some(live), Vec::new()));
    }
    let Contents { objects, unknown } = context.cluster.contents(&name).await?;
    let tenant =
        Tenant { project: &context.project.name, slug: &context.tier.slug, ignore: &context.tier.ignore };
    let Parted { ours, others } = part(&objects, &draft.known, tenant);
    if draft.request.with_namespace {
        check_data(draft.request, &others)?;
        return Ok((Namespace::Goes { live, with: others, unknown }, ours));
    }
    Ok(match why_it_stays(&others, unknown) {
        None => (Namespace::Goes { live, with: Vec::new(), unknown: Vec::new() }, ours),
        Some(why) => (Namespace::Stays { name, why, live: Some(live), holds: others }, ours),
    })
}

/// Why a namespace is kept without `--with-namespace`; `None` if it contains nothing of others and its contents are
/// fully known.
fn why_it_stays(others: &[Value], unknown: Vec<String>) -> Option<String> {
    let verb = if others.len() == 1 { "is" } else { "are" };
    let held = (!others.is_empty()).then(|| format!("{} {verb} in it", names(others)));
    let reasons: Vec<String> = held.into_iter().chain(unknown).collect();
    let why = format!("{}; --with-namespace deletes it with everything in it", reasons.join("; "));
    (!reasons.is_empty()).then_some(why)
}

/// Why the namespace is kept whatever it contains.
fn kept_anyway(context: TierContext<'_>, draft: &Draft<'_>, live: &Value, name: &str) -> Option<String> {
    if draft.request.records_only {
        return Some("--records-only deletes only the records".to_owned());
    }
    if draft.request.with_namespace {
        return None;
    }
    let is_made = context::is_made_for(live, context.project, context.tier);
    match draft.said {
        Some(false) => return Some("it has windlass.dev/prune: never".to_owned()),
        None if !is_made => return Some("windlass did not create it for this tier".to_owned()),
        Some(true) | None => {}
    }
    let kept: Vec<Value> = draft
        .kept
        .iter()
        .filter(|kept| ObjectId::of(&kept.object).namespace == name)
        .map(|kept| kept.object.clone())
        .collect();
    let verb = if kept.len() == 1 { "is" } else { "are" };
    (!kept.is_empty()).then(|| format!("{} {verb} kept in it", names(&kept)))
}

/// Refuses to delete data without `--with-data`.
fn check_data(request: RemoveRequest, others: &[Value]) -> Result<()> {
    let claims: Vec<Value> = others.iter().filter(|object| is_claim(object)).cloned().collect();
    if request.with_data || claims.is_empty() {
        return Ok(());
    }
    let message = format!("the namespace holds data: {} would be deleted with it", names(&claims));
    Err(Error::new(Kind::Usage, message).with_hint("add --with-data if the data is to be deleted, too"))
}

/// The uids of these objects.
pub(crate) fn uids<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    objects.map(uid).filter(|uid| !uid.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_goes_only_where_somebody_spoke_of_data() {
        let object = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        let with_namespace = RemoveRequest { with_namespace: true, ..RemoveRequest::default() };
        assert!(check_data(with_namespace, &[object("ConfigMap")]).is_ok());
        let error = check_data(with_namespace, &[object("PersistentVolumeClaim")]).unwrap_err();
        assert_eq!((error.kind(), error.message().contains("PersistentVolumeClaim/a")), (Kind::Usage, true));
        let with_data = RemoveRequest { with_data: true, ..with_namespace };
        assert!(check_data(with_data, &[object("PersistentVolumeClaim")]).is_ok());
    }
}
