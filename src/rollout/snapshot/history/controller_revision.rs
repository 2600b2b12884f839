//! The fields of a `ControllerRevision` that the verdict on its `DaemonSet` needs.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::Projection;
use crate::model::object;
use crate::rollout::snapshot::history::fingerprint::Fingerprint;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::labels::Labels;
use crate::rollout::snapshot::owner::OwnerRef;
use crate::rollout::snapshot::pod::Interner;

/// The fields of a `ControllerRevision` that are read.
pub(crate) const FIELDS: Projection = Projection::Only(&[
    (
        "metadata",
        Projection::Only(&[
            ("name", Projection::All),
            ("namespace", Projection::All),
            ("uid", Projection::All),
            ("labels", Projection::All),
            ("ownerReferences", Projection::All),
        ]),
    ),
    ("revision", Projection::All),
    ("data", Projection::Only(&[("spec", Projection::Only(&[("template", Projection::All)]))])),
]);

/// A `ControllerRevision`.
#[derive(Debug, Clone)]
pub(crate) struct ControllerRevision {
    pub(crate) namespace: Symbol,
    pub(crate) name: Symbol,
    pub(crate) uid: Symbol,
    pub(crate) owners: Arc<[OwnerRef]>,
    pub(crate) labels: Arc<Labels>,
    /// Its number; the newest has the greatest.
    pub(crate) revision: i64,
    pub(crate) template: Option<Fingerprint>,
    /// The complete object, if the `ControllerRevision` may be judged on its own.
    pub(crate) whole: Option<Arc<Value>>,
}

impl ControllerRevision {
    /// Reads a `ControllerRevision`; fields of an unexpected type count as missing.
    pub(crate) fn read(revision: &Value, interner: &mut Interner) -> Self {
        let symbols = &mut interner.symbols;
        let owners = OwnerRef::all(revision, symbols);
        let labels = Labels::read(revision, "/metadata/labels", symbols);
        Self {
            namespace: symbols.get(object::namespace(revision)),
            name: object::name(revision).into(),
            uid: symbols.get(object::uid(revision)),
            owners: interner.owners.get(owners),
            labels: interner.labels.get(labels),
            revision: object::count(revision, "/revision"),
            template: Fingerprint::at(revision, "/data/spec/template"),
            whole: None,
        }
    }
}
