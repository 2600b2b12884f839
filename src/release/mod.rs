//! Release and rollback: what is wanted, what would change, the execution in order, and the record.
//!
//! | module | what it is |
//! | --- | --- |
//! | `deploy` | the steps of a release and of a rollback: check, connect, lock, plan, record, apply, verify, prune, record |
//! | `input`, `context` | the input of a release; the connected cluster, the lock, the user |
//! | `from_manifests`, `from_record` | what to run: from the tier's manifests, or from a record |
//! | [`rules`] | what must be true before anything is changed |
//! | [`plan`] | what would change, decided object by object |
//! | `run` | carrying a plan out, from the record before the first change to the one after the last |
//! | `rollback` | the target of a rollback |
//! | `preview`, `explain` | what a release would change; the health of the last one |
//! | `refused` | attempts that end before their first change, and are not releases |
//! | `tier_lock` | the tier's lock: taking it, and who holds it |

pub(crate) mod ancestry;
pub(crate) mod context;
pub(crate) mod deploy;
pub(crate) mod explain;
pub(crate) mod from_manifests;
pub(crate) mod from_record;
pub(crate) mod input;
mod manifest_check;
pub(crate) mod plan;
pub(crate) mod preview;
pub(crate) mod refused;
pub(crate) mod rollback;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod tier_lock;

pub(crate) use context::Request;
pub(crate) use deploy::{release, rollback};
pub(crate) use input::manifests;
pub(crate) use plan::Plan;
pub(crate) use preview::plan;
pub(crate) use refused::noting_refusal;
pub(crate) use rollback::rollback_preview;
pub(crate) use rules::TestStage;
pub(crate) use rules::{Rules, RunningJobs};
