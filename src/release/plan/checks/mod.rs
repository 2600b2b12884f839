//! What is seen to before the first change: what others make, what is referred to, images that can be pulled, and deletions that somebody must want.

pub(crate) mod external;
pub(crate) mod images;
pub(crate) mod missing;
mod references;
pub(crate) mod safeguard;
