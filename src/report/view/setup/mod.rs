//! What the commands answer that set a project up and keep its registry tidy.

pub(crate) mod cleanup;
pub(crate) mod doctor;
pub(crate) mod init;
