//! The credentials for a registry.

use secrecy::{ExposeSecret, SecretString};

/// The entry of `secrets` in windlass.yaml with which nodes pull from a private registry: a deploy token of GitLab.
pub(crate) const PULL_SECRET: &str =
    "registry: {pull: {user: {env: CI_DEPLOY_USER}, password: {env: CI_DEPLOY_PASSWORD}}}";

/// User and password, or an identity token, and where they came from.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user; `<token>` where a helper gave an identity token.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// A refresh token that is exchanged for access tokens, instead of a password.
    pub identity_token: Option<SecretString>,
    /// In words: `auths in ~/.docker/config.json`, `CI_REGISTRY_PASSWORD`.
    pub source: String,
}

impl Credentials {
    /// What proves who we are, as plain text: the identity token where there is one, else the password.
    pub(crate) fn secret(&self) -> &str {
        self.identity_token.as_ref().unwrap_or(&self.password).expose_secret()
    }
}

/// The name under which Docker keeps a registry's credentials.
pub(crate) fn server_name(host: &str) -> &str {
    if is_hub(host) { "https://index.docker.io/v1/" } else { host }
}

/// Whether this is a host of Docker Hub.
pub(crate) fn is_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}
