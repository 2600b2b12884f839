//! One error type for the whole house: what failed, where, what would help, and the exit code.
//!
//! The kind decides the exit code (contract, section 3) and nothing else: callers that react to what happened ask for
//! its source, a value of the module that knows. The message is one sentence for a tired
//! person; the hint is the next thing to type or to change. What failed object by object, with its
//! evidence, travels in [`Error::failures`] so that the report can say it last. What was done until
//! then travels in [`Error::result`].

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Failure, Outcome, RunResult, Stage};
use crate::text::Malformed;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command ended: one variant per exit code of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong usage of the command line, or a command or flag that is not built yet: exit 2.
    Usage,
    /// The configuration or a manifest is invalid, or names something that does not exist: exit 3.
    Invalid,
    /// `plan --exit-code` found changes: exit 4.
    Changes,
    /// Docker, the registry, the cluster or Git cannot be reached (worth a retry): exit 5.
    Unreachable,
    /// Docker, the registry, the cluster or Git refused: credentials or rights (not worth one): exit 6.
    Denied,
    /// A build failed: exit 10.
    Build,
    /// A push failed: exit 11.
    Push,
    /// Tests failed: exit 20.
    TestsFailed,
    /// A test could not be run: exit 21.
    TestNotRun,
    /// The cluster refused the manifests: exit 30.
    Refused,
    /// The rollout failed: exit 31.
    Rollout,
    /// The rollout did not finish in time: exit 32.
    TimedOut,
    /// Another release, or a person, holds the lock: exit 33.
    Locked,
    /// Refused by a rule of the tier: exit 34.
    Rule,
    /// The rollout failed or did not finish, and the tier was rolled back automatically: exit 35.
    RolledBack,
    /// The rollback failed too: exit 40.
    RollbackFailed,
    /// A defect in windlass: exit 70.
    Defect,
    /// Interrupted by SIGINT: exit 130.
    Interrupted,
    /// Interrupted by SIGTERM: exit 143.
    Terminated,
}

impl Kind {
    /// The exit code of the contract.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Changes => 4,
            Self::Unreachable => 5,
            Self::Denied => 6,
            Self::Build => 10,
            Self::Push => 11,
            Self::TestsFailed => 20,
            Self::TestNotRun => 21,
            Self::Refused => 30,
            Self::Rollout => 31,
            Self::TimedOut => 32,
            Self::Locked => 33,
            Self::Rule => 34,
            Self::RolledBack => 35,
            Self::RollbackFailed => 40,
            Self::Defect => 70,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Where in the user's files something stands: `file:line:column`, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the project's root where it lies inside.
    pub file: PathBuf,
    /// The line, counted from 1; `None` means the file as a whole.
    pub line: Option<u32>,
    /// The column in characters, counted from 1.
    pub column: Option<u32>,
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), line: None, column: None }
    }

    /// A line and column of a file, both counted from 1.
    pub fn at(file: impl AsRef<Path>, line: u32, column: u32) -> Self {
        Self { file: file.as_ref().to_path_buf(), line: Some(line), column: Some(column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// What failed, where, and what would help.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    message: String,
    place: Option<Place>,
    snippet: Option<String>,
    hint: Option<String>,
    failures: Vec<Failure>,
    result: RunResult,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message is one sentence without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            place: None,
            snippet: None,
            hint: None,
            failures: Vec::new(),
            result: RunResult::default(),
            source: None,
        }))
    }

    /// Says where it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// Shows the lines of the user's file it is about, as they should be printed.
    #[must_use]
    pub fn with_snippet(mut self, snippet: impl Into<String>) -> Self {
        self.0.snippet = Some(snippet.into());
        self
    }

    /// Says what to type or to change next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the error that caused this one: for [`Error::find`], and for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Adds what failed, object by object, image by image, test by test, with its evidence.
    #[must_use]
    pub fn with_failures(mut self, failures: impl IntoIterator<Item = Failure>) -> Self {
        self.0.failures.extend(failures);
        self
    }

    /// Adds what the run had come to before it failed; what the error knows already stays.
    #[must_use]
    pub fn after(mut self, earlier: RunResult) -> Self {
        self.0.result = std::mem::take(&mut self.0.result).after(earlier);
        self
    }

    /// Says in which stage it failed, if that is not known yet.
    #[must_use]
    pub fn in_stage(self, stage: Stage) -> Self {
        self.after(RunResult { stage: Some(stage), ..RunResult::default() })
    }

    /// The same error with what the run came to in place of what was known.
    #[must_use]
    pub fn with_result(mut self, result: RunResult) -> Self {
        self.0.result = result;
        self
    }

    /// The same error with another kind (and so another exit code).
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error with words in front of its message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The kind, which decides the exit code.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The first of its sources of this type.
    pub fn find<T: StdError + 'static>(&self) -> Option<&T> {
        sources(self).find_map(|source| source.downcast_ref())
    }

    /// Whether the run was cancelled, rather than anything failed.
    pub fn is_interruption(&self) -> bool {
        matches!(self.0.kind, Kind::Interrupted | Kind::Terminated)
    }

    /// How a command, or a stage, that ended with this error is said to have ended.
    pub fn outcome(&self) -> Outcome {
        match self.0.kind {
            Kind::Interrupted | Kind::Terminated => Outcome::Interrupted,
            Kind::Usage | Kind::Invalid | Kind::Denied | Kind::Locked | Kind::Rule => Outcome::Refused,
            Kind::Changes => Outcome::Ok,
            _ => Outcome::Failed,
        }
    }

    /// One sentence for a person.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it is, if it is in a file.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The lines of the user's file it is about.
    pub fn snippet(&self) -> Option<&str> {
        self.0.snippet.as_deref()
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What the run had come to when it failed.
    pub fn result(&self) -> &RunResult {
        &self.0.result
    }

    /// What failed, one by one.
    pub fn failures(&self) -> &[Failure] {
        &self.0.failures
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        let error = Self::new(Kind::Invalid, malformed.message);
        match malformed.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The sources of an error, from what it was made from to the first cause.
pub(crate) fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// The first cause of a library's error, which says most: the others only pass it on.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    sources(error).last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_printed_as_compilers_do() {
        let error = Error::new(Kind::Invalid, "unknown key `imges`").at(Place::at("windlass.yaml", 3, 1));
        assert_eq!(error.to_string(), "windlass.yaml:3:1: unknown key `imges`");
        assert_eq!(error.kind().exit_code(), 3);
    }

    #[test]
    fn a_source_is_found_through_all_that_is_said_around_it() {
        let inner = Error::new(Kind::Denied, "inner").with_source(std::fmt::Error);
        let outer = Error::new(Kind::Refused, "outer").with_source(inner);
        let error = outer.into_kind(Kind::RollbackFailed).context("in the rollback").with_hint("none");
        assert!(error.find::<std::fmt::Error>().is_some());
        assert!(error.find::<std::io::Error>().is_none());
        assert_eq!(sources(&error).map(ToString::to_string).next().as_deref(), Some("inner"));
        assert_eq!(innermost(&error), std::fmt::Error.to_string());
    }
}
