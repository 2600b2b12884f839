//! What Kubernetes accepts, known without a cluster: the schemas of Kubernetes 1.27 to 1.37 and of the
//! CustomResourceDefinitions of a set of manifests.
//!
//! | module | what it does |
//! | --- | --- |
//! | `table` | reads `kubernetes.txt`, which scripts/schemas writes |
//! | `version` | the schemas of one version of Kubernetes |
//! | `finding` | what is wrong, where, and how bad that is |
//! | `check` | an object against the schema of its kind |
//! | `rules` | what the server's validation asks beyond the schema, each rule with its source |
//! | `format` | quantities, names, labels, cron schedules, durations, addresses |
//! | `custom` | an object against a CustomResourceDefinition |
//! | `creators` | which custom resources may make what others refer to |
//! | `references` | what the objects of a set say of each other |

mod check;
mod creators;
mod custom;
mod finding;
mod format;
mod references;
mod rules;
mod table;
mod version;

#[cfg(test)]
mod tests;

pub use creators::may_create;
pub use custom::Definitions;
pub use finding::{Finding, Mark, Severity};
pub(crate) use format::Quantity;
pub use references::{Set, references};
pub use table::{Field, ListKeys, Shape};
pub use version::{Kind, Lifecycle, Schemas};
