//! The kinds that every Kubernetes since 1.27 serves, so that a release of nothing else needs no discovery request.

use super::discovery::Resource;
use crate::model::kinds;

const VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// The resource of a built-in kind.
pub(super) fn built_in(api_version: &str, kind: &str) -> Option<Resource> {
    let (plural, namespaced) = kinds::served_everywhere(api_version, kind)?;
    Some(Resource {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
        verbs: VERBS.iter().map(|verb| (*verb).to_owned()).collect(),
    })
}
