//! Which watch brought what: what one of them no longer has may be there in another.

/// Something that is kept, and who brought it.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) mark: Mark,
}

/// Which watch brought something, and with which of its lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The number of the watch; 0 for none.
    pub(crate) watch: u32,
    /// The number of the list.
    pub(crate) list: u32,
}

impl Mark {
    /// Whether it was brought by the same watch with an earlier one of its lists.
    pub(super) fn is_before(self, now: Self) -> bool {
        self.watch == now.watch && self.list < now.list
    }

    /// Whether a watch may take it out: nobody else has brought it since.
    pub(super) fn is_of(self, watch: u32) -> bool {
        self.watch == 0 || self.watch == watch
    }
}
