//! Is it ready, has it failed, and why: verdict and cause as pure functions, and the watch that calls them.
//!
//! | module | what it decides |
//! | --- | --- |
//! | `evaluate`, `health` | the health of an object |
//! | `context`, `memory` | what a release knows beyond the objects, and what earlier evaluations saw |
//! | `snapshot` | the objects as last seen, with conditions and events |
//! | `preconditions`, `kinds` | the rules for all kinds, and the rule of each kind |
//! | `catalogue` | rules in CEL for the custom resources that people use |
//! | `pod` | what is wrong with a pod |
//! | `endpoints` | whether Services select pods and Ingresses route to Services; checked last |
//! | `evidence`, `hint` | what is shown about a failure, and what to do next |
//! | [`watch`] | watches the objects of a release to the end |
//! | [`explain`], `dump` | the same verdicts for objects in a file |

mod annotations;
mod catalogue;
pub(crate) mod context;
mod dump;
pub(crate) mod duplicate_keys;
pub mod endpoints;
pub(crate) mod evaluate;
mod evidence;
pub mod explain;
pub(crate) mod health;
mod hint;
mod kinds;
pub(crate) mod made_elsewhere;
mod memory;
pub(crate) mod pod;
pub(crate) mod preconditions;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub mod watch;
