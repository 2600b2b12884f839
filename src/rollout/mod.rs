//! Is it ready, has it failed, and why: verdict and cause as pure functions, and the watch that feeds them.
//!
//! | module | what it decides |
//! | --- | --- |
//! | `evaluate`, `health` | how an object is, and what is said of it |
//! | `context`, `memory` | what is known meanwhile, and what was seen of it before |
//! | `snapshot` | the objects as they were seen last, with conditions and events |
//! | `preconditions`, `kinds` | what holds before any kind's rule, and the rule of each kind |
//! | `catalogue` | rules in CEL for the custom resources that people use |
//! | `pod` | what is wrong with a pod |
//! | `endpoints` | whether Services and Ingresses lead anywhere; judged last |
//! | `evidence`, `hint` | what is shown of a failure, and what would help |
//! | [`watch`] | the objects of a release, watched to the end |
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
