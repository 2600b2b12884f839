//! What a build may be told: flags, and the keys of an image, with each of the builders.

use std::process::Command;

use serde_json::Value;

use crate::bench::{Project, Run, lab, text};

const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n";
const BUILDERS: [&str; 3] = ["classic", "buildkit", "daemon"];

/// The project, built by this builder, with these keys of its image.
fn project(test: &str, builder: &str, dockerfile: &str, keys: &str) -> Project {
    let mut project = Project::small(&format!("{test}-{builder}"), dockerfile, MANIFEST);
    project.write("built-by", builder);
    if !keys.is_empty() {
        project.edit("windlass.yaml", "\"${BASE}\"}}}", &format!("\"${{BASE}}\"}}, {keys}}}}}"));
    }
    match builder {
        "classic" => project.set("DOCKER_BUILDKIT", "0"),
        "daemon" => {
            project.edit("windlass.yaml", "images:", "builder: ${BUILDER}\nimages:");
            project.set("BUILDER", lab("LAB_BUILDER"));
        }
        _ => project.set("DOCKER_BUILDKIT", "1"),
    }
    project.commit("the image");
    project
}

fn built(project: &Project, flags: &[&str]) -> Run {
    project.windlass(&[&["build", "-o", "json"], flags].concat()).exits(0)
}

fn image(run: &Run) -> String {
    run.finished()["images"]["app"].as_str().unwrap().to_owned()
}

/// What the image says when it runs.
fn said(image: &str, command: &[&str]) -> String {
    text(Command::new("docker").args(["run", "--rm", image]).args(command))
}

/// The configuration of an image in the Engine.
fn inspected(image: &str) -> Value {
    text(Command::new("docker").args(["pull", "-q", image]));
    let found = text(Command::new("docker").args(["image", "inspect", image]));
    serde_json::from_str::<Value>(&found).unwrap()[0]["Config"].clone()
}

fn tags(project: &Project) -> Vec<String> {
    let repository = project.repository("app");
    let (host, path) = repository.split_once('/').unwrap();
    let answer = text(Command::new("curl").args(["-sf", &format!("http://{host}/v2/{path}/tags/list")]));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_same_content_is_built_again_where_that_is_asked_for() {
    for builder in BUILDERS {
        let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\nRUN cat /proc/sys/kernel/random/uuid > /made\n";
        let project = project("rebuilt", builder, dockerfile, "");
        let first = image(&built(&project, &[]));
        assert_eq!(image(&built(&project, &[])), first, "{builder}");
        let again = built(&project, &["--no-cache"]);
        assert_eq!(again.stages(), ["build ok"], "{builder}: {again}");
        let second = image(&again);
        assert_ne!(second, first, "{builder}: {again}");
        // What later commands find is the new one.
        assert_eq!(image(&built(&project, &[])), second, "{builder}");
        // The base is as it was: each step comes from the cache, and out of it the same image.
        let pulled = built(&project, &["--pull"]);
        assert_eq!(
            (pulled.stages(), image(&pulled)),
            (vec!["build ok".to_owned()], second),
            "{builder}: {pulled}"
        );
    }
}

#[test]
fn a_new_base_image_under_the_old_name_is_taken_with_pull() {
    for builder in BUILDERS {
        let project = project("pulled", builder, "ARG BASE\nFROM ${BASE}/busybox\n", "");
        let base = project.repository("base");
        let make = |number: u32| {
            let directory = tempfile::tempdir().unwrap();
            let dockerfile =
                format!("FROM {}/base/busybox\nRUN echo {number} > /number\n", lab("LAB_REGISTRY"));
            std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
            let tag = format!("{base}:1");
            for arguments in [&["build", "-q", "-t", &tag, "."][..], &["push", "-q", &tag]] {
                text(Command::new("docker").args(arguments).current_dir(directory.path()));
            }
        };
        make(1);
        project.write("Dockerfile", &format!("FROM {base}:1\nRUN cp /number /copy\n"));
        project.commit("a base of our own");
        assert_eq!(said(&image(&built(&project, &[])), &["cat", "/copy"]), "1\n", "{builder}");
        make(2);
        assert_eq!(said(&image(&built(&project, &[])), &["cat", "/copy"]), "1\n", "{builder}");
        assert_eq!(said(&image(&built(&project, &["--pull"])), &["cat", "/copy"]), "2\n", "{builder}");
    }
}

#[test]
fn steps_run_with_the_hosts_the_network_and_the_limits_of_the_image() {
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\n\
         RUN grep -E '^10.1.2.3.*db.test' /etc/hosts > /out && grep -c one.test /etc/hosts >> /out\n\
         RUN ls /sys/class/net > /net\n";
    let keys = "extra_hosts: {db.test: 10.1.2.3, one.test: 10.1.2.4}, network: none, labels: {org.opencontainers.image.title: shop}";
    for builder in BUILDERS {
        let project = project("keys", builder, dockerfile, keys);
        let image = image(&built(&project, &[]));
        assert!(said(&image, &["cat", "/out"]).contains("db.test"), "{builder}");
        assert_eq!(said(&image, &["cat", "/net"]), "lo\n", "{builder}");
        assert_eq!(inspected(&image)["Labels"]["org.opencontainers.image.title"], "shop", "{builder}");
    }
}

#[test]
fn steps_run_with_the_limits_of_the_image() {
    let dockerfile =
        "ARG BASE\nFROM ${BASE}/busybox\nRUN ulimit -n > /files; df -k /dev/shm | tail -1 > /shm\n";
    let keys = "shm_size: 32Mi, ulimits: {nofile: {soft: 1000, hard: 2000}}";
    // An Engine of the lab's age tells its BuildKit neither.
    for builder in ["classic", "daemon"] {
        let project = project("limits", builder, dockerfile, keys);
        let image = image(&built(&project, &[]));
        assert_eq!(said(&image, &["cat", "/files"]), "1000\n", "{builder}");
        let shm = said(&image, &["cat", "/shm"]);
        assert_eq!(shm.split_whitespace().nth(1), Some("32768"), "{builder}: {shm}");
    }
}

#[test]
fn an_image_has_the_tags_that_the_configuration_gives_it() {
    let keys = "tags: [\"${WINDLASS_TAG}\", \"${WINDLASS_VERSION}\", \"${WINDLASS_VERSION_MINOR}\", \"${WINDLASS_VERSION_MAJOR}\", stable]";
    let mut project = project("tags", "buildkit", "ARG BASE\nFROM ${BASE}/busybox\n", keys);
    built(&project, &[]);
    let without = tags(&project);
    assert!(
        without.contains(&"stable".to_owned()) && !without.iter().any(|tag| tag.starts_with('1')),
        "{without:?}"
    );
    project.git(&["tag", "v1.4.2"]);
    let of_tag = built(&project, &[]);
    assert_eq!(of_tag.stages(), ["build skipped"], "{of_tag}");
    for tag in ["v1.4.2", "1.4.2", "1.4", "1", "stable"] {
        assert!(tags(&project).contains(&tag.to_owned()), "{tag}");
    }
    project.edit("windlass.yaml", "stable]", "content-by-hand]");
    project.commit("a tag of ours");
    project.windlass(&["build"]).exits(3).says("a tag that windlass itself writes");
    project.set("CI_COMMIT_TAG", "v2.0.0-rc.1");
    project.edit("windlass.yaml", "content-by-hand]", "\"${NOT_SET}-x\"]");
    project.commit("a variable that is not set");
    built(&project, &[]);
    let with = tags(&project);
    assert!(with.contains(&"2.0.0-rc.1".to_owned()) && !with.contains(&"2".to_owned()), "{with:?}");
    assert!(!with.contains(&"-x".to_owned()), "{with:?}");
}

#[test]
fn an_image_of_a_matrix_is_several() {
    let dockerfile =
        "ARG BASE\nARG FLAVOUR\nFROM ${BASE}/busybox\nARG FLAVOUR\nRUN echo $FLAVOUR > /flavour\n";
    let project = project("matrix", "buildkit", dockerfile, "matrix: {FLAVOUR: [mint, lime]}");
    let finished = built(&project, &[]).finished();
    for flavour in ["mint", "lime"] {
        let image = finished["images"][format!("app-{flavour}")].as_str().unwrap();
        assert_eq!(said(image, &["cat", "/flavour"]), format!("{flavour}\n"));
    }
}

#[test]
fn a_daemon_knows_directories_by_name_writes_annotations_and_leaves_the_layers_of_all_stages() {
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox AS tools\nRUN cat /proc/sys/kernel/random/uuid > /made\n\
         FROM ${BASE}/busybox\nCOPY --from=tools /made /made\nCOPY --from=assets logo /logo\n";
    let keys =
        "contexts: {assets: assets}, annotations: {org.opencontainers.image.title: shop}, cache: {mode: max}";
    let project = project("named", "daemon", dockerfile, keys);
    project.write("assets/logo", "one");
    project.commit("assets");
    let first = image(&built(&project, &[]));
    assert_eq!(said(&first, &["cat", "/logo"]), "one");
    let repository = project.repository("app");
    let (host, path) = repository.split_once('/').unwrap();
    let digest = first.split_once('@').unwrap().1;
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    let url = format!("http://{host}/v2/{path}/manifests/{digest}");
    let manifest: Value =
        serde_json::from_str(&text(Command::new("curl").args(["-sf", "-H", accept, &url]))).unwrap();
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "shop", "{manifest}");
    assert!(tags(&project).iter().any(|tag| tag.starts_with("windlass.cache-")), "{:?}", tags(&project));
    // Another content of the directory is another image.
    project.write("assets/logo", "two");
    project.commit("another logo");
    let second = image(&built(&project, &[]));
    assert_eq!(said(&second, &["cat", "/logo"]), "two");
    assert_eq!(
        said(&second, &["cat", "/made"]),
        said(&first, &["cat", "/made"]),
        "the stage was not built again"
    );
    // The Engine says that it cannot.
    project.edit("windlass.yaml", "builder: ${BUILDER}\n", "");
    project.commit("the Engine");
    project.windlass(&["build"]).exits(3).says("images.app.contexts").says("`builder:`");
}

#[test]
fn a_build_has_a_limit() {
    for builder in BUILDERS {
        let project =
            project("late", builder, "ARG BASE\nFROM ${BASE}/busybox\nRUN sleep 60\n", "timeout: 3s");
        project.windlass(&["build"]).exits(10).says("did not finish within 3 s").says("images.app.timeout");
    }
}

#[test]
fn what_buildkit_has_against_a_dockerfile_is_said_with_its_line() {
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox as build\nRUN true\n";
    let project = project("checks", "daemon", dockerfile, "");
    let run = built(&project, &[]);
    let warnings: Vec<Value> = run.events().into_iter().filter(|event| event["event"] == "warning").collect();
    let found = warnings.iter().filter_map(|warning| warning["message"].as_str());
    let found: Vec<&str> = found.filter(|message| message.contains("FromAsCasing")).collect();
    assert_eq!(found.len(), 1, "{warnings:?}");
    assert!(found[0].starts_with("Dockerfile:2: FromAsCasing: "), "{found:?}");
}

#[test]
fn a_secret_that_only_the_dockerfile_has_is_named() {
    let dockerfile =
        "ARG BASE\nFROM ${BASE}/busybox\nRUN --mount=type=secret,id=npmrc cat /run/secrets/npmrc\n";
    for builder in ["buildkit", "daemon"] {
        let mut project = project("secret-id", builder, dockerfile, "secrets: {npm: {env: NPM}}");
        project.set("NPM", "a-token-of-npm");
        let valid = project.windlass(&["validate"]).exits(0);
        valid.says("Dockerfile:3").says("the secret `npmrc`").says("did you mean `npm`?");
        let failed = project.windlass(&["build"]).exits(10);
        failed.says("the step mounts the secret `npmrc`").says("did you mean `npm`?");
    }
}
