//! The built binary from outside, on real parts: a Docker Engine, registries, and Kubernetes (`tests/lab`).
//!
//! `make test` brings the lab up and names it in the environment; without it these tests fail, they are never
//! skipped. Every test has a project, a namespace and repositories of its own, so that they run side by side.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "a test that cannot go on has failed"
)]

mod adopt;
mod alone;
mod audit;
mod bad_days;
mod bad_input;
mod bench;
mod broken;
mod build;
mod builders;
mod cleanup;
mod engines;
mod every_kill;
mod init;
mod jobs;
mod killed;
mod lent;
mod locks;
mod logs;
mod on_cluster;
mod pipeline;
mod plan;
mod proxy;
mod push;
mod remove;
mod rights;
mod rollout;
mod rules;
mod secrets;
mod sources;
mod testing;
mod verify;
mod way_back;
