//! The owner references of an object.

use serde_json::Value;

use crate::model::object;
use crate::rollout::snapshot::intern::{Symbol, Symbols};

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OwnerRef {
    pub(crate) kind: Symbol,
    pub(crate) name: Symbol,
    pub(crate) uid: Symbol,
    group: Symbol,
}

/// The same, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnerView<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

impl OwnerRef {
    /// All owners that an object names.
    pub(crate) fn all(object: &Value, symbols: &mut Symbols) -> Vec<Self> {
        let keep = |owner: OwnerView<'_>| Self {
            kind: symbols.get(owner.kind),
            name: symbols.get(owner.name),
            group: symbols.get(owner.group),
            uid: symbols.get(owner.uid),
        };
        OwnerView::all(object).map(keep).collect()
    }

    pub(crate) fn view(&self) -> OwnerView<'_> {
        OwnerView { group: &self.group, kind: &self.kind, name: &self.name, uid: &self.uid }
    }
}

impl<'a> OwnerView<'a> {
    /// All owners that an object names.
    pub(crate) fn all(object: &'a Value) -> impl Iterator<Item = Self> + Clone {
        let read = |owner: &'a Value| Self {
            group: object::group(object::text(owner, "/apiVersion")),
            kind: object::text(owner, "/kind"),
            name: object::text(owner, "/name"),
            uid: object::text(owner, "/uid"),
        };
        object::list(object, "/metadata/ownerReferences").iter().map(read)
    }
}
