//! windlass builds an image from a commit, tests it, releases the tested digest, and can always roll
//! back.
//!
//! The modules, from commands down to shared values. `tests/layers.rs` checks the layers.
//!
//! | module | what it does |
//! | --- | --- |
//! | `cli` | one file for each command |
//! | `pipeline` | the stages in order, and the values passed between them |
//! | `tier` | commands on what runs on a tier: status, history, logs, lock, adopt, remove |
//! | `build`, `test`, `release` | context, build, push; the tests inside the built image; plan, apply, roll back |
//! | `cleanup`, `init`, `doctor` | registry tags that nothing needs any more; the first files; checks of what a release needs |
//! | `manifest` | parsing YAML, variables, images, overlays, order, checks |
//! | `rollout` | verdict and cause of every object, and the watch that feeds them |
//! | `schema` | what Kubernetes accepts, known without a cluster |
//! | `record` | what a release leaves in the cluster, and what can be rolled back to |
//! | `cluster`, `engine`, `registry`, `git` | Kubernetes, the Docker Engine, the registry, the repository |
//! | `http`, `program` | probing an HTTP address, pauses between retries; running the user's programs |
//! | `secret`, `project` | values that are never stored in Git; `windlass.yaml`, tiers, CI variables |
//! | `report`, `session` | one event type and several renderers; where to report and when to stop |
//! | `expression`, `dockerfile` | CEL: rules on the fields of an object; the instructions of a Dockerfile |
//! | `graph`, `error` | dependencies, and running in parallel what does not depend on each other; errors and exit codes |
//! | `model`, `text` | values shared by all modules; small functions on text |

pub(crate) mod build;
pub(crate) mod cleanup;
pub mod cli;
pub mod cluster;
pub(crate) mod dockerfile;
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
