//! Why a request brought nothing: no way to the server, a refusal, or our own end.

use std::error::Error as StdError;
use std::fmt;
use std::io::ErrorKind;

use crate::cluster::error_class::ErrorClass;
use crate::cluster::transport::status::Status;
use crate::error::{Error, Kind};
use crate::session::interrupted;

/// Why a request brought nothing.
#[derive(Debug, Clone)]
pub(crate) enum RequestError {
    /// The API server could not be reached or did not answer in time; the words say how.
    Unreachable(String),
    /// It was reached, but its answer could not be read to the end; the words say how.
    Broken(String),
    /// Its answer is longer than any that is wanted; the words say how.
    TooLong(String),
    /// The credentials could not be got or were not accepted.
    Credentials(String),
    /// The API server refused.
    Status(Box<Status>),
    /// The run was cancelled.
    Interrupted,
}

/// What a request wanted, to say it when it was refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `patch`, `update`, `delete`.
    pub(crate) verb: &'static str,
    /// `deployments.apps`, `pods/log`.
    pub(crate) resource: String,
    /// The namespace, for a namespaced resource.
    pub(crate) namespace: Option<String>,
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace `{namespace}`")?;
        }
        Ok(())
    }
}

impl RequestInfo {
    /// Whom to ask for what.
    pub(crate) fn hint(&self) -> String {
        let Self { verb, resource, namespace } = self;
        match namespace {
            Some(namespace) => format!(
                "ask an administrator of the cluster for a Role in namespace `{namespace}` that allows `{verb}` on `{resource}`"
            ),
            None => format!(
                "ask an administrator of the cluster for a ClusterRole that allows `{verb}` on `{resource}`"
            ),
        }
    }
}

impl RequestError {
    /// The status, if the server refused.
    pub(crate) fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whether what was asked for is older than what the server keeps.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self, Self::Status(status) if status.code == 410)
    }

    /// Whether the server said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// What it means for whoever asked; `None` for a run that was cancelled.
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::TooLong(_) => ErrorClass::Unreachable,
            Self::Credentials(_) => ErrorClass::Denied,
            Self::Interrupted => return None,
            Self::Status(status) => match status.code {
                401 | 403 => ErrorClass::Denied,
                429 | 500..=599 => ErrorClass::Unreachable,
                _ => ErrorClass::Refused,
            },
        })
    }

    /// The error for a person, with this as its source.
    pub(crate) fn into_error(self, wanted: &RequestInfo) -> Error {
        let error = match &self {
            Self::Unreachable(words) | Self::Broken(words) | Self::TooLong(words) => {
                Error::new(Kind::Unreachable, words)
            }
            Self::Credentials(words) => Error::new(Kind::Denied, words),
            Self::Interrupted => return interrupted(),
            Self::Status(status) => refused(status, wanted),
        };
        error.with_source(self)
    }

    /// Sorts an error of the transport.
    pub(crate) fn from_transport(error: kube::Error, host: &str) -> Self {
        match error {
            kube::Error::Auth(error) => Self::Credentials(credentials(&error)),
            error => Self::from_chain(&error, host),
        }
    }

    /// Sorts any error by the chain of its sources.
    pub(crate) fn from_chain(error: &(dyn StdError + 'static), host: &str) -> Self {
        let mut chain = vec![error];
        let mut next = error.source();
        while let Some(source) = next {
            chain.push(source);
            next = source.source();
        }
        if let Some(auth) = chain.iter().find_map(|e| e.downcast_ref::<kube::client::AuthError>()) {
            return Self::Credentials(credentials(auth));
        }
        let text = chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let io = chain.iter().find_map(|e| e.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        let last = chain.last().map_or_else(String::new, ToString::to_string);
        if text.contains("failed to lookup address") || text.contains("dns error") {
            return Self::Unreachable(format!("the host name of the API server {host} cannot be resolved"));
        }
        if text.to_lowercase().contains("certificate") {
            let trust = if text.contains("UnknownIssuer") {
                "; the kubeconfig names the authority that is trusted (`certificate-authority-data`)"
            } else {
                ""
            };
            return Self::Credentials(format!(
                "the certificate of the API server {host} is not accepted: {last}{trust}"
            ));
        }
        match io {
            Some(ErrorKind::ConnectionRefused) => {
                Self::Unreachable(format!("the API server {host} refuses the connection"))
            }
            Some(ErrorKind::TimedOut) => Self::Unreachable(format!("the API server {host} does not respond")),
            Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
                Self::Unreachable(format!("there is no route to the API server {host}: {last}"))
            }
            _ if text.contains("(Connect)") => {
                Self::Unreachable(format!("the API server {host} cannot be reached: {last}"))
            }
            _ => Self::Broken(format!("the connection to the API server {host} broke: {last}")),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(words)
            | Self::Broken(words)
            | Self::TooLong(words)
            | Self::Credentials(words) => f.write_str(words),
            Self::Status(status) => write!(f, "HTTP {}: {}", status.code, status.message),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl StdError for RequestError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.class().map(|class| class.as_source() as &(dyn StdError + 'static))
    }
}

/// A refusal of something that is not the apply of an object.
fn refused(status: &Status, wanted: &RequestInfo) -> Error {
    match status.code {
        401 => Error::new(Kind::Denied, format!("the cluster does not accept the credentials to {wanted}"))
            .with_hint("log in again, or renew the token that the kubeconfig holds"),
        403 if status.message.contains(" cannot ") => {
            Error::new(Kind::Denied, format!("{} may not {wanted}", user_of(&status.message)))
                .with_hint(wanted.hint())
        }
        403 => Error::new(Kind::Denied, format!("the cluster refused to {wanted}: {}", status.message)),
        429 | 500..=599 => {
            Error::new(Kind::Unreachable, format!("the API server could not {wanted}: {}", status.message))
        }
        _ => Error::new(Kind::Refused, format!("the cluster refused to {wanted}: {}", status.message)),
    }
}

/// The user that a message of the authorizer names: `User "ann" cannot list …`.
pub(crate) fn user_of(message: &str) -> String {
    let named = message.split_once("User \"").and_then(|(_, rest)| rest.split_once('"'));
    named.map_or_else(|| "the user".to_owned(), |(user, _)| format!("user `{user}`"))
}

/// A failure to get a token of an OIDC provider, without what the provider answered.
fn credentials(error: &kube::client::AuthError) -> String {
    use kube::client::AuthError;
    use kube::client::oidc_errors::{Error, RefreshError};
    let why = match error {
        AuthError::Oidc(Error::Refresh(RefreshError::InvalidMetadata(_))) => {
            "it has expired, and `idp-issuer-url` did not respond like an OIDC provider".to_owned()
        }
        AuthError::Oidc(Error::Refresh(RefreshError::InvalidTokenResponse(_))) => {
            "it has expired, and the provider returned no new one".to_owned()
        }
        AuthError::Oidc(Error::Refresh(error)) => format!("it has expired, and cannot be renewed: {error}"),
        AuthError::Oidc(Error::RefreshInit(error)) => {
            format!("it has expired, and cannot be renewed: {error}")
        }
        AuthError::Oidc(Error::IdTokenMissing) => "`id-token` is missing".to_owned(),
        _ => "it is not an OIDC token".to_owned(),
    };
    format!("the token of the kubeconfig's OIDC provider cannot be used: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_names_user_verb_resource_and_namespace() {
        let status = Status {
            code: 403,
            message: "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"shop\"".into(),
            ..Status::default()
        };
        let wanted = RequestInfo { verb: "list", resource: "pods".into(), namespace: Some("shop".into()) };
        let error = RequestError::Status(Box::new(status)).into_error(&wanted);
        assert_eq!(error.kind(), Kind::Denied);
        assert_eq!(error.message(), "user `ann` may not list pods in namespace `shop`");
        assert!(error.hint().unwrap().contains("Role in namespace `shop` that allows `list` on `pods`"));
    }

    #[test]
    fn what_the_api_server_answered_is_known_from_the_error() {
        let class = |error: RequestError| ErrorClass::of(&error.into_error(&RequestInfo::default()));
        for (code, expected) in [
            (401, ErrorClass::Denied),
            (403, ErrorClass::Denied),
            (409, ErrorClass::Refused),
            (429, ErrorClass::Unreachable),
            (503, ErrorClass::Unreachable),
        ] {
            let status = Status { code, message: "no".into(), ..Status::default() };
            assert_eq!(class(RequestError::Status(Box::new(status))), Some(expected), "{code}");
        }
        assert_eq!(class(RequestError::Broken(String::new())), Some(ErrorClass::Unreachable));
        assert_eq!(class(RequestError::Credentials(String::new())), Some(ErrorClass::Denied));
        assert_eq!(class(RequestError::Interrupted), None);
    }

    #[test]
    fn a_server_in_trouble_is_worth_a_retry() {
        let status = Status { code: 503, message: "apiserver not ready".into(), ..Status::default() };
        let wanted = RequestInfo { verb: "get", resource: "pods".into(), namespace: None };
        assert_eq!(RequestError::Status(Box::new(status)).into_error(&wanted).kind(), Kind::Unreachable);
    }
}
