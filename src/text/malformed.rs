//! A text from outside that is not what it should be.

use std::fmt;

/// What is wrong with a text, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// One sentence without a full stop.
    pub message: String,
    /// How it is written; `None` where the message says it.
    pub hint: Option<&'static str>,
}

impl Malformed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Malformed {}
