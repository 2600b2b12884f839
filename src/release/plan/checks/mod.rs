//! Checks before the first change: external objects, references, images that can be pulled, and deletions that must be
//! confirmed.

pub(crate) mod external;
pub(crate) mod images;
pub(crate) mod missing;
mod references;
pub(crate) mod safeguard;
