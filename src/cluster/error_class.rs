//! Why a request to the cluster failed, for callers that react to it: the kind of an error is only its exit code, and errors of
//! other modules have the same kinds.

use std::fmt;

use crate::error::Error;

/// Why a request to the cluster failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The credentials are not accepted, or the user may not.
    Denied,
    /// The API server did not respond, sent something unreadable, or failed: worth a retry.
    Unreachable,
    /// The cluster does not serve the kind.
    KindUnknown,
    /// The API server refused for another reason.
    Refused,
    /// The context points to another cluster than the one the tier is pinned to.
    OtherCluster,
}

impl ErrorClass {
    /// The class of an error of a request to the cluster; `None` for any other error, and for a cancelled run.
    pub fn of(error: &Error) -> Option<Self> {
        error.find::<Self>().copied()
    }

    /// A reference to it, for the end of an error's chain of sources.
    pub(crate) fn as_source(self) -> &'static Self {
        match self {
            Self::Denied => &Self::Denied,
            Self::Unreachable => &Self::Unreachable,
            Self::KindUnknown => &Self::KindUnknown,
            Self::Refused => &Self::Refused,
            Self::OtherCluster => &Self::OtherCluster,
        }
    }

    /// Whether the API server responded with a refusal.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::KindUnknown | Self::Refused)
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "the cluster denied access",
            Self::Unreachable => "the API server did not respond",
            Self::KindUnknown => "the cluster does not serve the kind",
            Self::Refused => "the API server refused",
            Self::OtherCluster => "it is another cluster",
        })
    }
}

impl std::error::Error for ErrorClass {}

/// Whether the cluster denied access.
pub fn is_denied(error: &Error) -> bool {
    ErrorClass::of(error) == Some(ErrorClass::Denied)
}

/// Whether the cluster did not respond, or failed.
pub fn is_unreachable(error: &Error) -> bool {
    ErrorClass::of(error) == Some(ErrorClass::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn it_is_known_from_the_error_whatever_its_exit_code() {
        let error = Error::new(Kind::Denied, "no").with_source(ErrorClass::Denied);
        let error = error.into_kind(Kind::RollbackFailed).context("in the rollback");
        assert!(is_denied(&error) && !is_unreachable(&error));
    }

    #[test]
    fn an_error_of_another_module_has_none() {
        assert_eq!(ErrorClass::of(&Error::new(Kind::Denied, "the registry refused")), None);
        assert_eq!(ErrorClass::of(&crate::session::interrupted()), None);
    }
}
