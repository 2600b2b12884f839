//! Same content, same image: what a commit does not change of an image changes no digest, runs no test and no Job again, and
//! restarts no pod. With each of the three builders: the Engine's classic one, the Engine's BuildKit, a BuildKit daemon.

use std::process::Command;

use serde_json::Value;

use crate::bench::{Project, lab, text};

const BUILDERS: [&str; 3] = ["classic", "buildkit", "daemon"];

/// From now on this builder builds the project.
fn built_by(mut project: Project, builder: &str) -> Project {
    match builder {
        "classic" => project.set("DOCKER_BUILDKIT", "0"),
        "daemon" => {
            project.edit("windlass.yaml", "images:", "builder: ${BUILDER}\nimages:");
            project.set("BUILDER", lab("LAB_BUILDER"));
            project.commit("another builder");
        }
        _ => project.set("DOCKER_BUILDKIT", "1"),
    }
    project
}

/// A pod and a Job of the image.
const MANIFESTS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: app}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: migrate, image: app, command: [\"true\"]}]}}}
";

/// What runs: the uids of the pods of the Deployment, and of the Job.
fn running(project: &Project) -> Vec<String> {
    let mut uids: Vec<String> = ["pods", "job/migrate"]
        .into_iter()
        .flat_map(|what| {
            let found = project.object(what);
            found["items"].as_array().cloned().unwrap_or_else(|| vec![found])
        })
        .map(|one| one["metadata"]["uid"].as_str().unwrap().to_owned())
        .collect();
    uids.sort();
    uids
}

fn image(finished: &Value) -> String {
    finished["images"]["app"].as_str().unwrap().to_owned()
}

fn digest(finished: &Value) -> String {
    image(finished).split_once('@').unwrap().1.to_owned()
}

/// The record of the builds of an image.
fn record(project: &Project, digest: &str) -> String {
    let tag = format!("{}.build", digest.replace(':', "-"));
    let url = format!("http://{}/v2/{}/app/manifests/{tag}", lab("LAB_REGISTRY"), project.name);
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    text(Command::new("curl").args(["-sf", "-H", accept, &url]))
}

/// A commit that touches only what no image needs.
fn touch(project: &Project, number: u32) {
    project.write("README.md", &format!("words {number}\n"));
    project.write(".gitlab-ci.yml", &format!("# pipeline {number}\n"));
    for file in [".kube/app.yaml", "windlass.yaml"] {
        let old = std::fs::read_to_string(project.path().join(file)).unwrap();
        project.write(file, &format!("{old}# comment {number}\n"));
    }
    project.commit(&format!("touched {number}"));
}

#[test]
fn a_commit_that_changes_nothing_of_an_image_leaves_all_that_runs_alone() {
    for builder in BUILDERS {
        for (kind, copies, rules) in [
            ("rules", "COPY . /app/", ".git\n.kube\nwindlass.yaml\n.gitlab-ci.yml\nREADME.md\n"),
            ("plain", "COPY src/*.txt /app/", ""),
        ] {
            let dockerfile = format!(
                "ARG BASE\nFROM ${{BASE}}/busybox\n{copies}\nRUN date +%N > /made\nCMD [\"sleep\", \"1000000\"]\n"
            );
            let project = Project::small(&format!("same-{kind}-{builder}"), &dockerfile, MANIFESTS);
            project.edit("windlass.yaml", "tiers:", "tests: {unit: {image: app, run: [cat, /made]}}\ntiers:");
            project.write("src/a.txt", "1");
            if !rules.is_empty() {
                project.write(".dockerignore", rules);
            }
            project.commit("files");
            let project = built_by(project, builder);
            let first = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
            assert_eq!(first.stages(), ["build ok", "test ok", "release ok"], "{kind}, {builder}: {first}");
            let before = running(&project);
            touch(&project, 1);
            let second = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
            assert_eq!(
                second.stages()[..2],
                ["build skipped", "test skipped"],
                "{kind}, {builder}: {second}"
            );
            assert_eq!(digest(&second.finished()), digest(&first.finished()), "{kind}, {builder}");
            assert_eq!(running(&project), before, "{kind}, {builder}: {second}");
            // Which commits it is of stands in their tags and in the record beside it.
            let built = project.windlass(&["build", "-o", "json"]).exits(0).finished();
            assert_eq!(digest(&built), digest(&first.finished()));
            let record = record(&project, &digest(&built));
            for commit in ["HEAD", "HEAD~1"] {
                let commit = project.git(&["rev-parse", commit]);
                assert!(record.contains(commit.trim()), "{record}");
            }
            assert!(image(&built).contains(project.git(&["rev-parse", "HEAD"]).trim()));
            // What the image is made of does count.
            project.write("src/a.txt", "2");
            project.commit("another content");
            let third = project.windlass(&["build", "-o", "json"]).exits(0);
            assert_ne!(digest(&third.finished()), digest(&first.finished()), "{kind}, {builder}");
        }
    }
}

#[test]
fn the_same_tree_on_two_machines_is_one_content() {
    let project = Project::small("machines", "ARG BASE\nFROM ${BASE}/busybox\nCOPY src run /app/\n", "");
    project.write("src/a/b", "1");
    project.write("run", "#!/bin/sh\n");
    text(Command::new("chmod").arg("755").arg(project.path().join("run")));
    project.commit("files");
    let first = project.windlass(&["build", "-o", "json"]).exits(0);
    let clone = tempfile::tempdir().unwrap();
    let script = format!(
        "umask 077 && git clone -q {} {clone} && find {clone} -name .git -prune -o -exec touch -h -d 2001-02-03 {{}} + && \
         cd {clone} && git -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m other",
        project.path().display(),
        clone = clone.path().join("clone").display()
    );
    text(Command::new("sh").args(["-c", &script]));
    let second = project.windlass_in(&clone.path().join("clone"), &["build", "-o", "json"]).exits(0);
    assert_eq!(second.stages(), ["build skipped"], "{second}");
    assert_eq!(digest(&second.finished()), digest(&first.finished()));
    let stat = ["run", "--rm", &image(&first.finished()), "stat", "-c", "%a %Y", "/app/a/b", "/app/run"];
    let said = text(Command::new("docker").args(stat));
    assert_eq!(said, "644 318211200\n755 318211200\n", "neither a machine nor a commit is in it");
}

#[test]
fn a_build_that_comes_to_the_same_keeps_the_digest() {
    for builder in BUILDERS {
        let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\nCOPY src /app\nRUN date +%N > /made\nENV A=b\n";
        let project = Project::small(&format!("result-{builder}"), dockerfile, "");
        project.write("src/a", "1");
        project.commit("files");
        let project = built_by(project, builder);
        let first = project.windlass(&["build", "-o", "json"]).exits(0);
        project.edit("Dockerfile", "COPY", "# A comment makes another content, and the same image.\nCOPY");
        project.commit("a comment");
        let second = project.windlass(&["build", "-o", "json"]).exits(0);
        assert_eq!(second.stages(), ["build ok"], "{builder}: {second}");
        assert_eq!(digest(&second.finished()), digest(&first.finished()), "{builder}: {second}");
        second.says("unchanged: ");
        let again = project.windlass(&["build", "-o", "json"]).exits(0);
        assert_eq!(again.stages(), ["build skipped"], "{builder}: {again}");
        project.edit("Dockerfile", "ENV A=b", "ENV A=c");
        project.commit("another configuration");
        let third = project.windlass(&["build", "-o", "json"]).exits(0);
        assert_ne!(digest(&third.finished()), digest(&first.finished()), "{builder}");
    }
}

#[test]
fn what_a_base_image_copies_by_itself_counts() {
    for builder in BUILDERS {
        let project = Project::small(&format!("onbuild-{builder}"), "ARG BASE\nFROM ${BASE}/busybox\n", "");
        let base = project.repository("base");
        let dockerfile = format!("FROM {}/base/busybox\nONBUILD COPY . /app/\n", lab("LAB_REGISTRY"));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        for arguments in [&["build", "-q", "-t", &base, "."][..], &["push", "-q", &base]] {
            text(Command::new("docker").args(arguments).current_dir(directory.path()));
        }
        project.write("Dockerfile", &format!("FROM {base}\n"));
        project.write(".dockerignore", ".git\n");
        project.write("a", "1");
        project.commit("a base image that copies");
        let project = built_by(project, builder);
        let first = project.windlass(&["build", "-o", "json"]).exits(0);
        project.write("a", "2");
        project.commit("another file");
        let second = project.windlass(&["build", "-o", "json"]).exits(0);
        assert_ne!(digest(&second.finished()), digest(&first.finished()), "{builder}: {second}");
        let said =
            text(Command::new("docker").args(["run", "--rm", &image(&second.finished()), "cat", "/app/a"]));
        assert_eq!(said, "2", "{builder}");
        let again = project.windlass(&["build", "-o", "json"]).exits(0);
        assert_eq!(digest(&again.finished()), digest(&second.finished()), "{builder}: {again}");
    }
}
