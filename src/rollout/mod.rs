//! Is it ready, has it failed, and why: verdict and cause as pure functions, and the watch that feeds them.
//!
//! | file | what it decides |
//! | --- | --- |
//! | [`judge`], `scene`, `memory`, [`world`] | what is looked at, and what is said of it |
//! | `before`, `kinds` | what holds before any kind's rule, and which rule judges which kind |
//! | one file per kind | when it is ready, when it has failed |
//! | `endpoints`, with `template` and `creators` | whether Services and Ingresses lead anywhere; judged last |
//! | `health` | the rule that the configuration has for a kind |
//! | `revision`, `workload` | which pods count, and how the worst of them speaks for all |
//! | `pod` and its parts: `image`, `configuration`, `start`, `strikes`, `probe`, `placement`, `volume` | what is wrong with a pod |

mod annotations;
mod autoscaler;
mod bare_pod;
mod before;
mod claim;
mod condition;
mod configuration;
mod container;
mod creation;
mod creators;
mod cronjob;
mod custom;
mod daemonset;
mod definition;
mod deployment;
mod dump;
pub mod endpoints;
mod event;
mod evidence;
pub mod explain;
mod finding;
mod health;
mod hint;
mod image;
mod ingress;
mod job;
pub mod judge;
mod kinds;
mod loose;
mod memory;
mod namespace;
mod owned;
mod placement;
mod pod;
mod probe;
mod quota;
mod replicaset;
mod revision;
mod scene;
mod service;
mod start;
mod statefulset;
mod strikes;
mod template;
#[cfg(test)]
mod tests;
mod volume;
pub mod watch;
mod workload;
pub mod world;
