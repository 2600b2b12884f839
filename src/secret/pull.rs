//! Credentials with which nodes pull the project's images.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::error::{Error, Kind, Place, Result};
use crate::model::Reference;
use crate::project::{Project, SET_REGISTRY, SHORT_LIVED, SecretSource, short_lived};

/// The type of such Secrets, and their one key.
pub(super) const KIND: &str = "kubernetes.io/dockerconfigjson";
pub(super) const KEY: &str = ".dockerconfigjson";

/// The user of GitLab's job token, whatever variable it was handed over in.
const JOB_USER: &str = "gitlab-ci-token";

/// The host that the project pushes to.
pub(super) fn host(project: &Project) -> Option<String> {
    let registry = project.registry.as_ref()?;
    let reference: Reference = format!("{registry}/image").parse().ok()?;
    Some(reference.registry)
}

/// What kubelet reads.
pub(super) fn document(host: &str, user: &str, password: &str) -> Vec<u8> {
    // Docker Hub has its own word for itself there.
    let host = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    let auth = STANDARD.encode(format!("{user}:{password}"));
    json!({"auths": {host: {"username": user, "password": password, "auth": auth}}}).to_string().into_bytes()
}

/// Refuses the job's own token: in an hour no node could pull with it.
pub(super) fn check(source: &SecretSource, user: &str, password: &str) -> Result<()> {
    let same = |name: &&&str| std::env::var(name).is_ok_and(|value| !value.is_empty() && value == password);
    match SHORT_LIVED.iter().find(same) {
        Some(name) => Err(short_lived(name, source)),
        None if user == JOB_USER => Err(short_lived(JOB_USER, source)),
        None => Ok(()),
    }
}

pub(super) fn no_registry(place: &Place) -> Error {
    Error::new(Kind::Invalid, "a pull secret, and no registry is set")
        .at(place.clone())
        .with_hint(format!("{SET_REGISTRY}, or add `host:` beside `user` and `password`"))
}
