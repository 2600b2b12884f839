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
mod book;
mod broken;
mod build;
mod build_options;
mod builders;
mod cleanup;
mod commits;
mod completions;
mod controllers;
mod deletions;
mod drift;
mod endpoints;
mod engines;
mod every_kill;
mod fake_api;
mod github;
mod gitlab;
mod health;
mod identity;
mod immutable;
mod init;
mod jobs;
mod killed;
mod kubeconfigs;
#[path = "../speed/large.rs"]
mod large;
mod lent;
mod locks;
mod logs;
mod mute;
mod on_cluster;
mod overlays;
mod pipeline;
mod plan;
mod programs;
mod proxy;
mod push;
mod records;
mod refused;
mod remove;
mod remove_others;
mod rights;
mod rollout;
mod rules;
mod scale;
mod secrets;
mod sources;
#[path = "../speed/tags.rs"]
mod tags;
#[path = "../speed/tap.rs"]
mod tap;
mod testing;
mod validation;
mod vanished;
mod verify;
mod versions;
mod way_back;
