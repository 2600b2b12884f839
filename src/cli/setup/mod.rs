//! The commands around a project: its first files, what a release needs, what nobody needs any more.

pub(crate) mod cleanup;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod init;
