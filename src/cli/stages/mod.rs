//! The commands that bring a commit to a tier, and those that preview them.

pub(crate) mod build;
pub(crate) mod pipeline;
pub(crate) mod plan;
pub(crate) mod release;
pub(crate) mod render;
pub(crate) mod rollback;
pub(crate) mod test;
pub(crate) mod validate;
