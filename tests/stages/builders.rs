//! A BuildKit daemon that builds and pushes (`builder:`), and images of several platforms.

use std::process::Command;

use serde_json::Value;

use crate::bench::{Project, lab, text};

/// What an Engine of the lab's age cannot read.
const NEW: &str = "ARG BASE\nFROM ${BASE}/busybox\nCOPY --link windlass.yaml /\nRUN <<END\necho one > /said\necho two >> /said\nEND\n";

/// For every platform a file that says which one it is; nothing of the other platform has to run for it.
const PLATFORMS: &str = "ARG BASE\nFROM --platform=$BUILDPLATFORM ${BASE}/busybox AS build\nARG TARGETPLATFORM\n\
     RUN cp /bin/busybox /cat && echo $TARGETPLATFORM > /platform\nFROM scratch\nCOPY --from=build /cat /platform /\nCMD [\"/cat\", \"/platform\"]\n";

/// The project, built by the lab's daemon.
fn built_elsewhere(test: &str, dockerfile: &str) -> Project {
    let project = Project::small(test, dockerfile, "");
    project.edit("windlass.yaml", "images:", "builder: ${BUILDER}\nimages:");
    project.commit("another builder");
    let mut project = project;
    project.set("BUILDER", lab("LAB_BUILDER"));
    project
}

/// The image of a run, by its digest.
fn image(finished: &Value) -> String {
    finished["images"]["app"].as_str().unwrap().to_owned()
}

/// The manifest that stands under a digest or tag.
fn manifest(project: &Project, selector: &str) -> Value {
    let accept = "Accept: application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json, \
         application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
    let repository = project.repository("app");
    let (host, path) = repository.split_once('/').unwrap();
    let url = format!("http://{host}/v2/{path}/manifests/{selector}");
    serde_json::from_str(&text(Command::new("curl").args(["-sf", "-H", accept, &url]))).unwrap()
}

fn digest(image: &str) -> &str {
    image.split_once('@').unwrap().1
}

#[test]
fn a_daemon_builds_what_the_engine_cannot_read_and_it_is_tested_as_any_image() {
    let mut project = built_elsewhere("daemon", NEW);
    project.edit("windlass.yaml", "tiers:", "tests: {said: {image: app, run: [grep, -c, o, /said]}}\ntiers:");
    project.commit("a test");
    // No Engine is needed for it.
    project.set("DOCKER_HOST", "unix:///nowhere.sock");
    let first = project.windlass(&["build", "-o", "json"]).exits(0);
    assert_eq!(first.stages(), ["build ok"]);
    let first = image(&first.finished());
    let again = project.windlass(&["build", "-o", "json"]).exits(0);
    assert_eq!((again.stages(), image(&again.finished())), (vec!["build skipped".to_owned()], first.clone()));
    project.set("DOCKER_HOST", lab("DOCKER_HOST"));
    project.windlass(&["test"]).exits(0);
    let said = text(Command::new("docker").args(["run", "--rm", &first, "cat", "/said"]));
    assert_eq!(said, "one\ntwo\n");
    let labels = text(Command::new("docker").args(["inspect", "-f", "{{json .Config.Labels}}", &first]));
    assert!(
        !labels.contains(project.git(&["rev-parse", "HEAD"]).trim()),
        "no label names a commit: {labels}"
    );
    // The branch's tag leads to it, and its layers are taken over where nothing else is known.
    assert_eq!(manifest(&project, "main"), manifest(&project, digest(&first)));
}

#[test]
fn a_daemon_sees_only_what_is_left_in() {
    let project = built_elsewhere("daemon-files", crate::build::FILES);
    crate::build::sees_only_what_is_left_in(&project);
}

#[test]
fn a_daemon_is_lent_secrets_as_long_as_the_build_takes() {
    // The daemon remembers what it has run before: no run is like another.
    let dockerfile = format!(
        "ARG BASE\nFROM ${{BASE}}/busybox\nRUN --mount=type=secret,id=token sleep 36 && wc -c < /run/secrets/token && echo {}\n",
        std::process::id()
    );
    let mut project = built_elsewhere("daemon-secret", &dockerfile);
    project.edit("windlass.yaml", "{app: {context: .,", "{app: {context: ., secrets: {token: {env: TOKEN}},");
    project.commit("a secret");
    project.set("TOKEN", "a-secret-of-24-letters..");
    // A builder that says nothing for half a minute is asked whether it is still there.
    let run = project.windlass(&["build", "-v"]).exits(0).says("24").says("no output for 3");
    assert!(!run.to_string().contains("a-secret"), "{run}");
}

#[test]
fn what_fails_in_a_daemon_fails_with_its_line_and_last_words() {
    let project =
        built_elsewhere("daemon-fails", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo about to fail; exit 3\n");
    let run = project.windlass(&["build"]).exits(10).says("Dockerfile:3").says("ended with exit code 3");
    run.says("about to fail");
    project.write("Dockerfile", "FROM 127.0.0.1:5790/there/is/none:1\n");
    project.windlass(&["build"]).exits(10).says("Dockerfile:1");
}

#[test]
fn a_daemon_behind_tls_wants_a_certificate() {
    let mut project = built_elsewhere("daemon-tls", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo tls > /tls\n");
    let pki = lab("LAB_PKI");
    let files = format!("ca: {pki}/ca.crt, cert: {pki}/admin.crt, key: {pki}/admin.key");
    project.edit(
        "windlass.yaml",
        "builder: ${BUILDER}",
        &format!("builder: {{address: \"${{BUILDER}}\", {files}}}"),
    );
    project.set("BUILDER", lab("LAB_BUILDER_TLS"));
    project.windlass(&["build"]).exits(0);
    project.edit("windlass.yaml", &format!(", {files}"), &format!(", ca: {pki}/ca.crt"));
    project.edit("Dockerfile", "echo tls", "echo again");
    project.windlass(&["build"]).exits(5).says("the builder at tcp://").says("does not respond");
    project.set("BUILDER", "tcp://127.0.0.1:1");
    project.windlass(&["build"]).exits(5).says("the builder at tcp://127.0.0.1:1 does not respond");
}

/// Writes down a builder as `docker buildx create` does.
fn created(store: &std::path::Path, name: &str, driver: &str, endpoint: &str, options: &Value) {
    let node = serde_json::json!({"Name": format!("{name}0"), "Endpoint": endpoint, "Platforms": null, "DriverOpts": options,
        "Flags": null, "Files": null});
    let builder = serde_json::json!({"Name": name, "Driver": driver, "Nodes": [node], "Dynamic": false});
    std::fs::create_dir_all(store.join("instances")).unwrap();
    std::fs::write(store.join("instances").join(name), builder.to_string()).unwrap();
}

#[test]
fn a_builder_of_buildx_is_found_by_its_name() {
    let mut project = built_elsewhere("buildx", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo buildx > /said\n");
    let store = tempfile::tempdir().unwrap();
    project.set("BUILDX_CONFIG", store.path().to_str().unwrap());
    let pki = lab("LAB_PKI");
    let files = serde_json::json!({"cacert": format!("{pki}/ca.crt"), "cert": format!("{pki}/admin.crt"),
        "key": format!("{pki}/admin.key")});
    created(store.path(), "far", "remote", &lab("LAB_BUILDER_TLS"), &files);
    project.set("BUILDER", "far");
    project.windlass(&["build"]).exits(0);
    // One in a container, as buildx starts it: what runs there is asked through the Engine.
    let name = format!("{}-near", project.name);
    let container = format!("buildx_buildkit_{name}0");
    let socket = lab("LAB_BUILDER").trim_start_matches("unix://").to_owned();
    let mounts = [
        format!("{socket}:/run/buildkit/buildkitd.sock"),
        format!("{}:/bin/buildctl:ro", lab("LAB_BUILDCTL")),
    ];
    let image = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    created(store.path(), &name, "docker-container", "default", &Value::Null);
    project.set("BUILDER", &name);
    project.edit("Dockerfile", "echo buildx", "echo a container");
    project.commit("another way");
    project.windlass(&["build"]).exits(5).says(&format!("docker buildx inspect --bootstrap {name}"));
    text(Command::new("docker").args([
        "run", "-d", "--name", &container, "-v", &mounts[0], "-v", &mounts[1], &image, "sleep", "1000000",
    ]));
    let built = project.windlass(&["build", "-o", "json"]).exits(0);
    text(Command::new("docker").args(["rm", "-f", &container]));
    let said = text(Command::new("docker").args(["run", "--rm", &image_of(&built), "cat", "/said"]));
    assert_eq!(said, "a container\n");
    project.set("BUILDER", "fra");
    project.windlass(&["build"]).exits(3).says("did you mean `far`?");
    project.set("BUILDER", "docker.test");
    project.windlass(&["build"]).exits(3).says("tcp://buildkitd:1234");
}

fn image_of(run: &crate::bench::Run) -> String {
    image(&run.finished())
}

/// That the image is an index of both platforms, each with its own file, and that a test runs in it.
fn is_of_both(project: &Project) {
    let built = image(&project.windlass(&["build", "-o", "json"]).exits(0).finished());
    let index = manifest(project, digest(&built));
    let platforms: Vec<String> =
        index["manifests"].as_array().unwrap().iter().map(|one| one["platform"].to_string()).collect();
    assert_eq!(platforms.len(), 2, "{index}");
    for (number, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        assert!(platforms[number].contains(architecture), "{index}");
        let one = format!(
            "{}@{}",
            project.repository("app"),
            index["manifests"][number]["digest"].as_str().unwrap()
        );
        let made = text(Command::new("docker").args([
            "create",
            "--platform",
            &format!("linux/{architecture}"),
            &one,
        ]));
        let mut copy = Command::new("docker");
        copy.args(["cp", &format!("{}:/platform", made.trim()), "-"]);
        assert!(text(&mut copy).contains(&format!("linux/{architecture}")));
        text(Command::new("docker").args(["rm", made.trim()]));
    }
    let again = project.windlass(&["build", "-o", "json"]).exits(0);
    assert_eq!(again.stages(), ["build skipped"]);
    let run = project.windlass(&["test", "-o", "json"]).exits(0);
    assert_eq!(run.stages(), ["test ok"], "{run}");
}

fn of_both(project: &Project) {
    project.edit(
        "windlass.yaml",
        "{app: {context: .,",
        "{app: {context: ., platforms: [linux/arm64, linux/amd64],",
    );
    project.edit(
        "windlass.yaml",
        "tiers:",
        "tests: {which: {image: app, run: [/cat, cat, /platform]}}\ntiers:",
    );
    project.commit("two platforms");
}

#[test]
fn the_engine_builds_for_several_platforms() {
    let project = Project::small("platforms", PLATFORMS, "");
    of_both(&project);
    is_of_both(&project);
    // Of another platform alone it is no index.
    project.edit("windlass.yaml", "[linux/arm64, linux/amd64]", "[linux/arm64]");
    project.commit("one platform");
    let one = image(&project.windlass(&["build", "-o", "json"]).exits(0).finished());
    assert!(manifest(&project, digest(&one))["config"].is_object());
    project.edit("windlass.yaml", "[linux/arm64]", "[arm64]");
    project.windlass(&["build"]).exits(3).says("`arm64`, which is not a platform");
}

#[test]
fn a_daemon_builds_for_several_platforms() {
    let project = built_elsewhere("daemon-platforms", PLATFORMS);
    of_both(&project);
    is_of_both(&project);
}
