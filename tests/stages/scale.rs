//! Large projects and old registries: how much is asked does not grow with what has not changed.

use std::path::PathBuf;

use crate::bench::{Project, lab};
use crate::large::{self, Home, Size};
use crate::tags::{TAGS_OF_IMAGE, Tags};
use crate::tap::{Tap, TappedCluster, Upstream};

/// Forwarders in front of everything that windlass asks.
struct Taps {
    registry: Tap,
    engine: Tap,
    cluster: TappedCluster,
}

impl Taps {
    fn start() -> Self {
        let engine = lab("DOCKER_HOST").replace("unix://", "");
        Self {
            registry: Tap::start(Upstream::Tcp(lab("LAB_REGISTRY"))),
            engine: Tap::start(Upstream::Unix(PathBuf::from(engine))),
            cluster: TappedCluster::start("lab-fake"),
        }
    }

    /// Requests to the registry, the Engine and the API server since the last call.
    fn requests(&self) -> [u64; 3] {
        [self.registry.take(), self.engine.take(), self.cluster.tap.take()].map(|passed| passed.requests)
    }
}

#[test]
fn nothing_changed_takes_one_request_for_each_image_and_a_few_more() {
    let taps = Taps::start();
    let mut project = Project::empty("scale");
    project.on("lab-fake");
    let size = Size { images: 6, tests: 16, manifests: 80 };
    let base = format!("{}/base", lab("LAB_REGISTRY"));
    let home =
        Home { name: &project.name, registry: &taps.registry.address, base: &base, context: "lab-fake" };
    large::write(&project.path(), &home, size);
    project.set("DOCKER_HOST", format!("tcp://{}", taps.engine.address));
    project.set("KUBECONFIG", taps.cluster.kubeconfig());
    let pipeline = || project.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
    pipeline();
    taps.requests();
    let second = pipeline();
    assert_eq!(second.stages(), ["build skipped", "test skipped", "release skipped"]);
    let [registry, engine, cluster] = taps.requests();
    // Beside the images: the records of the commit, of the tests (twice) and of the release.
    assert!(registry <= size.images as u64 + 14, "{registry} requests to the registry");
    assert!(engine <= 4, "{engine} requests to the Engine");
    assert!(cluster <= 20, "{cluster} requests to the API server");
}

#[test]
fn a_test_that_fails_later_is_not_covered_by_the_record_of_all_tests() {
    let mut project = Project::small(
        "retract",
        "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"1000000\"]\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {image: app}\n",
    );
    project.on("lab-fake");
    project.edit("windlass.yaml", "lab-real", "lab-fake");
    // The tests are no part of the image.
    project.write(".dockerignore", ".git\nwindlass.yaml\n");
    // It passes until it is a certain time, and is the same test before and after.
    let until = jiff::Timestamp::now().as_second() + 30;
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    let plain = (0..4).map(|test| format!("  t{test}: {{image: app, run: [\"true\"]}}\n"));
    let flaky = format!("  flaky: {{image: app, run: [sh, -c, \"[ $(date +%s) -lt {until} ]\"]}}\n");
    let tests: String = plain.chain([flaky]).collect();
    project.write("windlass.yaml", &format!("{config}tests:\n{tests}"));
    project.commit("tests");
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0);
    let rest = until - jiff::Timestamp::now().as_second() + 1;
    std::thread::sleep(std::time::Duration::from_secs(u64::try_from(rest).unwrap_or(0)));
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["test", "flaky", "--again"]).exits(20);
    project.windlass(&["release", "staging"]).exits(34).says("`flaky`: it failed on");
    // Another set of tests in which it is has a record of its own, which does not count either.
    project.edit("windlass.yaml", "  t3: {image: app, run: [\"true\"]}\n", "");
    project.commit("fewer tests");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["release", "staging"]).exits(34).says("`flaky`: it failed on");
}

#[test]
fn cleanup_asks_a_few_times_for_each_image() {
    let tap = Tap::start(Upstream::Tcp(lab("LAB_REGISTRY")));
    let project = Project::empty("old-registry");
    let registry = lab("LAB_REGISTRY");
    let tags = Tags { registry: &registry, name: &project.name, repositories: 2, images: 50 };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(tags.put());
    let images: String = (0..tags.repositories).map(|image| format!("i{image:03}: {{}}, ")).collect();
    project.write(
        "windlass.yaml",
        &format!(
            "version: 1\nproject: {0}\nregistry: {1}/{0}\nimages: {{{images}}}\n",
            project.name, tap.address
        ),
    );
    project.commit("first");
    let all = (tags.repositories * tags.images) as u64;
    let dry = project.windlass(&["cleanup", "--dry-run", "-o", "json"]).exits(0);
    // A list of tags for each repository. For each image its two tags and what it says of itself; for each record that would
    // go, where it leads; for one image in ten a tag of somebody else.
    let asked = tap.take().requests;
    assert!(asked <= all * (2 + 2 + 2) + all / 10 + 4, "{asked} requests for {all} images: {dry}");
    project.windlass(&["cleanup"]).exits(0).says(&format!("{} images deleted", tags.unneeded()));
    let left: usize = runtime.block_on(tags.left()).iter().map(|(_, tags)| tags.len()).sum();
    let stay = tags.repositories * tags.images - tags.unneeded();
    assert_eq!(left, stay * TAGS_OF_IMAGE + stay / 2, "what is young or has another tag, with its records");
    runtime.block_on(tags.clear());
}
