//! A test that did not pass in the images that are there.

/// A test of which no record says that it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPass {
    /// Its name.
    pub test: String,
    /// Why it does not count: `it was never run in this image`.
    pub reason: String,
}
