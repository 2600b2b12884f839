//! That the cluster of fake nodes is the Kubernetes that a run of the tests is for: `tests/run` repeats some of them on the oldest
//! one that windlass supports.

use std::process::Command;

use serde_json::Value;

use crate::bench::{lab, text};

#[test]
fn the_cluster_of_fake_nodes_is_the_version_that_is_meant() {
    let version = text(Command::new("kubectl").args(["--context", "lab-fake", "version", "-o", "json"]));
    let version: Value = serde_json::from_str(&version).unwrap();
    let server = version["serverVersion"]["gitVersion"].as_str().unwrap();
    assert!(server.starts_with(&format!("v{}.", lab("LAB_KUBERNETES"))), "{server}");
}
