//! Custom resources whose controller may create pods or Services that the set does not have.

use serde_json::Value;

use crate::model::object;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::schema::may_create;

/// The custom resources that may create pods or Services in this object's namespace.
pub(crate) fn all<'a>(object: &'a Value, snapshot: &'a ClusterSnapshot) -> impl Iterator<Item = &'a Value> {
    let namespace = object::namespace(object);
    snapshot.objects().filter(move |one| {
        object::same_if_known(object::namespace(one), namespace)
            && may_create(object::group(object::api_version(one)), object::kind(one))
    })
}

/// The first of them: `Cluster/db`.
pub(crate) fn beside(object: &Value, snapshot: &ClusterSnapshot) -> Option<String> {
    all(object, snapshot).next().map(object::title)
}
