//! How a kind is served. Those that every Kubernetes since 1.27 serves are known here, so that a release of nothing else
//! needs no discovery request.

use crate::model::kinds;

const VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// How a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What may be done with it: `get`, `list`, `watch` …
    pub verbs: Vec<String>,
}

impl Resource {
    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        crate::model::group(&self.api_version)
    }

    /// How RBAC and people write it: `deployments.apps`, `pods`.
    pub fn full_name(&self) -> String {
        match self.group() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

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
