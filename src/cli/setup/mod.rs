//! The commands around a project: its first files, checks, and cleanup.

pub(crate) mod cleanup;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod version;
