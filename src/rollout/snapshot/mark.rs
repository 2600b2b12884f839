//! Which watch delivered an object: one that a watch no longer has may still be in another.

/// A cached value, and which watch delivered it.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) mark: Mark,
}

/// Which watch delivered something, and in which of its lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The number of the watch; 0 for none.
    pub(crate) watch: u32,
    /// The number of the list.
    pub(crate) list: u32,
}

impl Mark {
    /// Whether the same watch delivered it in an earlier list.
    pub(super) fn is_before(self, now: Self) -> bool {
        self.watch == now.watch && self.list < now.list
    }

    /// Whether a watch may remove it: no other watch has delivered it since.
    pub(super) fn is_of(self, watch: u32) -> bool {
        self.watch == 0 || self.watch == watch
    }
}
