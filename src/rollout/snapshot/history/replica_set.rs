//! The fields of a ReplicaSet that the verdict on its Deployment needs.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Projection;
use crate::model::object;
use crate::rollout::snapshot::condition::{self, Condition};
use crate::rollout::snapshot::history::fingerprint::Fingerprint;
use crate::rollout::snapshot::intern::Symbol;
use crate::rollout::snapshot::labels::Labels;
use crate::rollout::snapshot::owner::OwnerRef;
use crate::rollout::snapshot::pod::Interner;

/// The annotation with the number of a Deployment's revision.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// The fields of a ReplicaSet that are read.
pub(crate) const FIELDS: Projection = Projection::Only(&[
    (
        "metadata",
        Projection::Only(&[
            ("name", Projection::All),
            ("namespace", Projection::All),
            ("uid", Projection::All),
            ("labels", Projection::All),
            ("annotations", Projection::Only(&[(REVISION, Projection::All)])),
            ("ownerReferences", Projection::All),
            ("creationTimestamp", Projection::All),
        ]),
    ),
    (
        "spec",
        Projection::Only(&[
            ("replicas", Projection::All),
            ("selector", Projection::Only(&[("matchLabels", Projection::All)])),
            ("template", Projection::All),
        ]),
    ),
    (
        "status",
        Projection::Only(&[
            ("readyReplicas", Projection::All),
            ("availableReplicas", Projection::All),
            ("conditions", Projection::All),
        ]),
    ),
]);

/// A ReplicaSet.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaSet {
    /// `apps`, or in an old dump `extensions`.
    pub(crate) group: Symbol,
    pub(crate) namespace: Symbol,
    pub(crate) name: Symbol,
    pub(crate) uid: Symbol,
    pub(crate) owners: Arc<[OwnerRef]>,
    pub(crate) labels: Arc<Labels>,
    /// The labels by which it selects its pods.
    pub(crate) selector: Arc<Labels>,
    pub(crate) created: Option<Timestamp>,
    /// The Deployment's revision.
    pub(crate) revision: Option<Symbol>,
    /// How many pods it should have.
    pub(crate) wanted: i64,
    pub(crate) ready: i64,
    pub(crate) available: i64,
    /// Why its pods cannot be created, if they cannot.
    pub(crate) failure: Option<Box<ReplicaFailure>>,
    pub(crate) template: Option<Fingerprint>,
    /// The labels of its pods.
    pub(crate) template_labels: Arc<Labels>,
    /// The names and images of its containers.
    pub(crate) containers: Box<[(Symbol, Symbol)]>,
    /// The complete object, if the ReplicaSet may be judged on its own.
    pub(crate) whole: Option<Arc<Value>>,
}

/// The condition `ReplicaFailure` that is `True`.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaFailure {
    pub(crate) message: Box<str>,
    /// When it became true.
    pub(crate) since: Option<Timestamp>,
}

impl ReplicaSet {
    /// Reads a ReplicaSet; fields of an unexpected type count as missing.
    pub(crate) fn read(set: &Value, interner: &mut Interner) -> Self {
        let mut labels = |pointer| {
            let labels = Labels::read(set, pointer, &mut interner.symbols);
            interner.labels.get(labels)
        };
        let own_labels = labels("/metadata/labels");
        let selector = labels("/spec/selector/matchLabels");
        let template_labels = labels("/spec/template/metadata/labels");
        let symbols = &mut interner.symbols;
        let owners = OwnerRef::all(set, symbols);
        let containers = containers(set).map(|(name, image)| (symbols.get(name), symbols.get(image)));
        Self {
            containers: containers.collect(),
            group: symbols.get(object::group(object::api_version(set))),
            namespace: symbols.get(object::namespace(set)),
            name: symbols.get(object::name(set)),
            uid: symbols.get(object::uid(set)),
            revision: object::annotation(set, REVISION).map(|revision| symbols.get(revision)),
            owners: interner.owners.get(owners),
            labels: own_labels,
            selector,
            created: object::created(set),
            wanted: object::count(set, "/spec/replicas"),
            ready: object::count(set, "/status/readyReplicas"),
            available: object::count(set, "/status/availableReplicas"),
            failure: ReplicaFailure::of(set).map(Box::new),
            template: Fingerprint::at(set, "/spec/template"),
            template_labels,
            whole: None,
        }
    }

    /// Whether it has other containers than its Deployment, by names and images; a dump may lack them.
    pub(crate) fn runs_others(&self, deployment: &Value) -> bool {
        let own = self.containers.iter().map(|(name, image)| (&**name, &**image));
        let wanted = containers(deployment);
        wanted.len() > 0 && own.len() > 0 && !own.eq(wanted)
    }
}

impl ReplicaFailure {
    /// The condition of a ReplicaSet, or of a Deployment.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let failure = condition::find(object, "ReplicaFailure").filter(Condition::is_true)?;
        Some(Self { message: failure.message.into(), since: failure.since })
    }
}

/// The names and images of the containers in an object's pod template.
fn containers(object: &Value) -> impl ExactSizeIterator<Item = (&str, &str)> {
    let all = object::list(object, "/spec/template/spec/containers").iter();
    all.map(|one| (object::text(one, "/name"), object::text(one, "/image")))
}
