//! Watches a rollout to its end.
//!
//! | module | what it does |
//! | --- | --- |
//! | `watcher` | waits until the outcome is known |
//! | `cache` | opens only the watches that are needed, and puts their updates into the snapshot |
//! | `tracked`, `progress`, `dependency_grace`, `deadline` | one object while it is waited for, and for how long |
//! | `evaluate`, `news`, `evidence` | evaluates objects, reports changes, explains why some did not become ready |
//! | `poll`, `endpoints`, `follow` | what no watch reports: polled from time to time, checked last, and logs |

pub(crate) mod cache;
pub(crate) mod deadline;
pub(crate) mod dependency_grace;
pub(crate) mod endpoints;
pub(crate) mod evaluate;
pub(crate) mod evidence;
pub(crate) mod follow;
mod news;
pub(crate) mod poll;
pub(crate) mod progress;
#[cfg(test)]
mod tests;
pub(crate) mod tracked;
pub(crate) mod watcher;

pub use crate::rollout::made_elsewhere::made_by;
pub use crate::rollout::watch::endpoints::{Before, EndpointCheck};
pub use crate::rollout::watch::tracked::{Watched, Written};
pub use crate::rollout::watch::watcher::{Goal, Watcher};
