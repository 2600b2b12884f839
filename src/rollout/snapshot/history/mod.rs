//! The revisions of a workload that the cluster keeps, in ReplicaSets and `ControllerRevisions`: ten of each Deployment, so
//! that they are many. Of the pod template, which is most of each, only a fingerprint is cached.

pub(crate) mod controller_revision;
pub(crate) mod fingerprint;
pub(crate) mod replica_set;
