//! windlass: a commit becomes an image, the image is tested, the tested digest is released, and the way back
//! is always open.
//!
//! The modules, from what people type down to what everything is made of. `tests/layers.rs` holds their layers.
//!
//! | module | what it does |
//! | --- | --- |
//! | `cli` | one file for each command |
//! | `pipeline` | the stages in order, what each hands to the next |
//! | `tier` | commands on what runs on a tier: status, history, logs, lock, adopt, remove |
//! | `build`, `test`, `release` | context, build, push; the tests inside the built image; plan, apply, roll back |
//! | `cleanup`, `init`, `doctor` | registry tags that nothing needs any more; first files; what a release needs, tried |
//! | `manifest` | YAML in, variables, images, overlays, order, checks |
//! | `rollout` | verdict and cause of every object, and the watch that feeds them |
//! | `schema` | what Kubernetes accepts, known without a cluster |
//! | `record` | what a release leaves in the cluster, and what can be gone back to |
//! | `cluster`, `engine`, `registry`, `git` | Kubernetes, the Docker Engine, the registry, the repository |
//! | `http`, `program` | asking an HTTP address how it is, pauses between tries; the user's own programs |
//! | `secret`, `project` | values that never stand in Git; `windlass.yaml`, tiers, the variables of CI |
//! | `report`, `session` | one type of event, one renderer for each reader; where to report and when to stop |
//! | `expression` | CEL: rules on the fields of an object |
//! | `graph`, `error` | what needs what, and running side by side what may; what failed and the exit code |
//! | `model`, `text` | the values that all share; small functions on text |

pub(crate) mod build;
pub(crate) mod cleanup;
pub mod cli;
pub mod cluster;
pub(crate) mod doctor;
pub(crate) mod engine;
pub mod error;
pub(crate) mod expression;
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod git;
pub(crate) mod graph;
pub(crate) mod http;
pub(crate) mod init;
pub mod manifest;
pub mod model;
pub(crate) mod pipeline;
pub(crate) mod program;
pub mod project;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod release;
pub mod report;
pub mod rollout;
pub mod schema;
pub(crate) mod secret;
pub mod session;
pub(crate) mod test;
pub(crate) mod text;
pub(crate) mod tier;
