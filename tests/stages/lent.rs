//! What a build may see and no image keeps: secrets, and the SSH agent.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::bench::{Project, text};

/// A project whose one image is lent this.
fn lent(test: &str, dockerfile: &str, keys: &str) -> Project {
    let project = Project::empty(test);
    project.write("Dockerfile", dockerfile);
    project.write(".dockerignore", ".git\n");
    project.write(
        "windlass.yaml",
        &format!(
            "version: 1\nproject: {}\nregistry: ${{REGISTRY}}\nimages: {{app: {{args: {{BASE: \"${{BASE}}\"}}, {keys}}}}}\n",
            project.name
        ),
    );
    project.commit("first");
    project
}

const DOCKERFILE: &str = "ARG BASE
FROM ${BASE}/busybox
RUN --mount=type=secret,id=token,required=true cat /run/secrets/token; sleep 17; sha256sum /run/secrets/token | grep -q 20e7f178a458b260e95b
RUN --mount=type=secret,id=file sha256sum /run/secrets/file | grep -q 8752c99999701dd427da
RUN --mount=type=secret,id=made test \"$(cat /run/secrets/made)\" = from-a-program
";

#[test]
fn a_build_sees_its_secrets_and_the_image_keeps_none() {
    let keys = "secrets: {token: {env: TOKEN}, file: {file: ../token-file}, made: {command: [echo, from-a-program]}}";
    let mut project = lent("lent", DOCKERFILE, keys);
    let beside = project.path().join("../token-file");
    std::fs::write(&beside, "from-a-file-88\n").unwrap();
    project.windlass(&["build"]).exits(3).says("`TOKEN` is not set (in `images.app.secrets.token`)");
    project.set("TOKEN", "open-sesame-77");
    let built = project.windlass(&["build", "-v", "-o", "plain"]).exits(0);
    assert!(!built.stderr.contains("open-sesame-77") && !built.stdout.contains("open-sesame-77"), "{built}");
    assert!(built.stderr.contains("[MASKED]"), "the build printed it: {built}");
    let image = built.stdout.trim().to_owned();
    text(Command::new("docker").args(["pull", "-q", &image]));
    let mut save =
        Command::new("docker").args(["save", &image]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut archive = Vec::new();
    save.stdout.take().unwrap().read_to_end(&mut archive).unwrap();
    save.wait().unwrap();
    let holds = |secret: &str| archive.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
    assert!(holds("/run/secrets/token") && !holds("open-sesame-77") && !holds("from-a-file-88"));
    // The value is no part of what the image is made of.
    project.set("TOKEN", "another");
    project.windlass(&["build"]).exits(0).says("already built");

    project.write("Dockerfile", &DOCKERFILE.replace("id=token,", "id=tokn,"));
    project.commit("a wrong id");
    project.windlass(&["build"]).exits(10).says("tokn");
    let _ = std::fs::remove_file(beside);
}

#[test]
fn a_build_may_ask_the_ssh_agent() {
    let ask = "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK']); \
               s.sendall(b'\\x00\\x00\\x00\\x01\\x0b'); assert s.recv(9) == b'\\x00\\x00\\x00\\x05\\x0c\\x00\\x00\\x00\\x00'";
    let dockerfile =
        format!("ARG BASE\nFROM ${{BASE}}/python:3.11\nRUN --mount=type=ssh python3 -c \"{ask}\"\n");
    let mut project = lent("lent-ssh", &dockerfile, "ssh: true");
    project.set("SSH_AUTH_SOCK", "/nowhere/agent");
    project.windlass(&["build"]).exits(3).says("SSH_AUTH_SOCK does not point to one");
    // An agent that has no keys.
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut asked = [0; 5];
            if connection.read_exact(&mut asked).is_ok() && asked == [0, 0, 0, 1, 11] {
                let _ = connection.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]);
            }
        }
    });
    project.set("SSH_AUTH_SOCK", socket.display().to_string());
    project.windlass(&["build"]).exits(0).says("1 built");
}
