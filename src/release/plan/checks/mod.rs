//! What is seen to before the first change: what others make, images that can be pulled, and deletions that somebody must want.

pub(crate) mod external;
pub(crate) mod images;
pub(crate) mod safeguard;
