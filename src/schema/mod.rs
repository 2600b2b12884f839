//! What Kubernetes accepts, known without a cluster: the schemas of Kubernetes 1.27 to 1.37 and of the
//! CustomResourceDefinitions of a set of manifests.
//!
//! | module | what it does |
//! | --- | --- |
//! | `table` | reads `kubernetes.txt`, which scripts/schemas writes |
//! | `version` | the schemas of one version of Kubernetes |
//! | `finding` | what is wrong, where, and how bad that is |

mod finding;
mod table;
mod version;

pub use finding::{Finding, Mark, Severity};
pub use table::{Field, ListKeys, Shape};
pub use version::{Kind, Lifecycle, Schemas};
