//! What is written while a command runs: the terminal with its progress lines, plain lines, the sections of GitLab and the groups of GitHub.

pub(crate) mod format;
pub(crate) mod github;
pub(crate) mod plain;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod sections;
pub(crate) mod summary;
pub(crate) mod terminal;
