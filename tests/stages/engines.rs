//! Engines that are elsewhere: behind TLS, as in a CI job with Docker's own service, and behind ssh.

use std::os::unix::fs::PermissionsExt;

use crate::bench::{Project, lab};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nRUN --mount=type=secret,id=token grep -q open /run/secrets/token && echo made > /made\n";

/// A project whose image wants a secret, and whose test wants a service.
fn project(test: &str) -> Project {
    let mut project = Project::small(test, DOCKERFILE, "");
    project.edit("windlass.yaml", "{app: {context: .,", "{app: {context: ., secrets: {token: {env: TOKEN}},");
    project.write("idle.Dockerfile", "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"100\"]\n");
    project.edit(
        "windlass.yaml",
        "images: {app:",
        "images: {idle: {dockerfile: idle.Dockerfile, args: {BASE: \"${BASE}\"}}, app:",
    );
    let services = "services: {db: {image: idle, ready: {command: [\"true\"]}}}, reports: {text: [/made]}";
    let test = format!("tests: {{unit: {{image: app, run: [grep, made, /made], {services}}}}}\ntiers:");
    project.edit("windlass.yaml", "tiers:", &test);
    project.write(".dockerignore", "out\n");
    project.commit("a secret");
    project.set("TOKEN", "open-sesame");
    project
}

/// Builds, pushes and tests.
fn does_everything(project: &Project) {
    project.windlass(&["build"]).exits(0);
    project.windlass(&["test", "--report", "out"]).exits(0);
    let report = std::fs::read_to_string(project.path().join("out/tests/unit/made")).unwrap();
    assert_eq!(report, "made\n");
}

#[test]
fn an_engine_behind_tls_is_as_good() {
    let mut project = project("engine-tls");
    let certificates = tempfile::tempdir().unwrap();
    for (from, to) in [("ca.crt", "ca.pem"), ("admin.crt", "cert.pem"), ("admin.key", "key.pem")] {
        std::fs::copy(format!("{}/{from}", lab("LAB_PKI")), certificates.path().join(to)).unwrap();
    }
    project.set("DOCKER_HOST", lab("LAB_DOCKER_TLS"));
    project.set("DOCKER_TLS_VERIFY", "1");
    project.set("DOCKER_CERT_PATH", certificates.path().display().to_string());
    does_everything(&project);
}

#[test]
fn an_engine_behind_ssh_is_as_good() {
    let mut project = project("engine-ssh");
    let programs = tempfile::tempdir().unwrap();
    let ssh = programs.path().join("ssh");
    std::fs::write(&ssh, format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", lab("LAB_SSH_CONFIG")))
        .unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    project.set("PATH", path);
    project.set("DOCKER_HOST", lab("LAB_DOCKER_SSH"));
    does_everything(&project);
    project.set("DOCKER_HOST", "ssh://nobody@127.0.0.1:5794");
    let refused = project
        .windlass(&["build"])
        .exits(5)
        .says("no Docker Engine responds at ssh://nobody@127.0.0.1:5794");
    refused.says("Permission denied");
}

#[test]
fn podman_is_as_good_but_takes_no_secrets() {
    let mut project = project("engine-podman");
    project.set("DOCKER_HOST", lab("LAB_PODMAN"));
    project.windlass(&["build"]).exits(10).says("supports neither secrets");
    project.write("Dockerfile", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo made > /made\n");
    project.edit("windlass.yaml", " secrets: {token: {env: TOKEN}},", "");
    project.commit("no secret");
    project.windlass(&["build"]).exits(0).says("2 steps");
    does_everything(&project);
    project.edit("windlass.yaml", "run: [grep, made, /made]", "run: [sh, -c, exit 3]");
    project.commit("a failing test");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["test"]).exits(20).says("it ended with exit code 3");
    project.edit("Dockerfile", "echo made", "echo oh no; exit 4; echo");
    project.windlass(&["build"]).exits(10).says("ended with exit code 4").says("Dockerfile:3");
}
