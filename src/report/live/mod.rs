//! What is written while a command runs: the terminal with its progress lines, plain lines, and the sections of GitLab.

pub(crate) mod format;
pub(crate) mod gitlab;
pub(crate) mod plain;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod summary;
pub(crate) mod terminal;
