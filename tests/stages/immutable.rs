//! A repository whose tags cannot be moved, as ECR, Harbor and others have it: every commit has tags of its own, and whatever
//! else would move is a warning or takes another tag.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bench::{Project, lab};
use crate::push::{Asked, Faulty, Other};

/// What ECR answers, and what Harbor does.
const ECR: Other = ("400 Bad Request", "TAG_INVALID");
const HARBOR: Other = ("412 Precondition Failed", "PRECONDITION");

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Asks the lab's registry itself.
fn asked(method: &str, path: &str) -> String {
    let mut server = TcpStream::connect(lab("LAB_REGISTRY")).unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: lab\r\nAccept: {MANIFESTS}\r\nConnection: close\r\n\r\n");
    server.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether this puts a tag that is there already.
fn moves_a_tag(request: &Asked<'_>) -> bool {
    let is_tag = request.kind == "PUT manifests" && !request.path.contains("/manifests/sha256:");
    is_tag && asked("HEAD", request.path).starts_with("HTTP/1.1 200")
}

/// A project that pushes there, with a test.
fn project(test: &str, registry: &Faulty, run: &str) -> Project {
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\nCOPY made /made\n";
    let mut project = Project::small(test, dockerfile, "");
    project.set("REGISTRY", format!("{}/{}", registry.address, project.name));
    project.edit(
        "windlass.yaml",
        "tiers:",
        &format!("tests: {{unit: {{image: app, run: [sh, -c, \"{run}\"]}}}}\ntiers:"),
    );
    project.write(".dockerignore", "*\n!made\n");
    project.write("made", &format!("first of {test}\n"));
    project.commit("first");
    project
}

fn tags(project: &Project) -> Vec<String> {
    let answer = asked("GET", &format!("/v2/{}/app/tags/list?n=1000", project.name));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_branch_goes_on_although_its_tag_cannot_move() {
    for (test, registry) in [
        ("fixed-ecr", Faulty::start(|asked| moves_a_tag(asked).then_some(ECR))),
        ("fixed-harbor", Faulty::start(|asked| moves_a_tag(asked).then_some(HARBOR))),
    ] {
        let project = project(test, &registry, "cat /made");
        project.windlass(&["build"]).exits(0);
        project.write("made", &format!("second of {test}\n"));
        project.commit("second");
        let second = project.windlass(&["build"]).exits(0).says("the tag `main` of the branch was not moved");
        assert!(second.stderr.contains("as the test wants it"), "{second}");
        assert!(tags(&project).contains(&project.git(&["rev-parse", "HEAD"]).trim().to_owned()));
        project.windlass(&["build"]).exits(0).says("already built");
        project.windlass(&["test"]).exits(0);
        project.windlass(&["test", "--again"]).exits(0);
        project.windlass(&["test"]).exits(0).says("passed before");
    }
}

#[test]
fn the_newest_of_several_records_counts() {
    let registry = Faulty::start(|asked| moves_a_tag(asked).then_some(ECR));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ends = now + Duration::from_secs(40);
    let line = format!("test $(date +%s) -lt {}", ends.as_secs());
    let project = project("fixed-records", &registry, &line);
    project.windlass(&["build"]).exits(0);
    project.windlass(&["test"]).exits(0);
    project.windlass(&["test", "--again"]).exits(0);
    project.windlass(&["test"]).exits(0).says("passed before");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::thread::sleep(ends.saturating_sub(now) + Duration::from_secs(1));
    project.windlass(&["test", "--again"]).exits(20);
    // That it failed is the newest word: the release would be refused, and a test runs again.
    project.windlass(&["test"]).exits(20);
    let records = tags(&project).into_iter().filter(|tag| tag.ends_with(".test-unit")).count();
    assert_eq!(records, 4, "{:?}", tags(&project));
}

/// Whether the content's tag is still refused.
static BROKEN_OFF: AtomicBool = AtomicBool::new(true);

#[test]
fn a_build_that_was_broken_off_between_two_tags_goes_on() {
    let registry = Faulty::start(|asked| {
        let is_content = asked.kind == "PUT manifests" && asked.path.contains("/manifests/content-");
        let refused = moves_a_tag(asked) || is_content && BROKEN_OFF.load(Ordering::SeqCst);
        refused.then_some(ECR)
    });
    let project = project("fixed-half", &registry, "cat /made");
    let half = project.windlass(&["build"]).exits(11);
    assert!(half.stderr.contains("as the test wants it"), "{half}");
    BROKEN_OFF.store(false, Ordering::SeqCst);
    project.windlass(&["build"]).exits(0);
    project.windlass(&["build"]).exits(0).says("already built");
}

#[test]
fn a_rebuild_is_refused_where_its_tags_cannot_move() {
    for (builder, buildkit) in [("classic", "0"), ("buildkit", "1"), ("daemon", "1")] {
        let registry = Faulty::start(|asked| moves_a_tag(asked).then_some(ECR));
        let mut project = project(&format!("fixed-rebuilt-{builder}"), &registry, "true");
        project.write(
            "Dockerfile",
            "ARG BASE\nFROM ${BASE}/busybox\nRUN cat /proc/sys/kernel/random/uuid > /made\n",
        );
        project.set("DOCKER_BUILDKIT", buildkit);
        if builder == "daemon" {
            project.edit("windlass.yaml", "images:", "builder: ${BUILDER}\nimages:");
            project.set("BUILDER", lab("LAB_BUILDER"));
        }
        project.commit("an image that no two builds make alike");
        let first = project.windlass(&["build", "-o", "json"]).exits(0).finished();
        let again = project.windlass(&["build", "--no-cache"]).exits(11);
        assert!(again.stderr.contains("delete the tag"), "{builder}: {again}");
        let found = project.windlass(&["build", "-o", "json"]).exits(0).finished();
        assert_eq!(found["images"], first["images"], "{builder}");
        // A rebuild that comes to the same image has nothing to move.
        project.write("Dockerfile", "ARG BASE\nFROM ${BASE}/busybox\nCOPY made /made\n");
        project.commit("an image that every build makes alike");
        project.windlass(&["build"]).exits(0);
        project.windlass(&["build", "--no-cache"]).exits(0);
    }
}
