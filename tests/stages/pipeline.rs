//! The good way: a commit becomes an image, is tested, is released, and the second time there is nothing to do.

use std::process::Command;

use crate::bench::{Project, text};

#[test]
fn a_commit_goes_all_the_way_and_the_second_time_there_is_nothing_to_do() {
    let shop = Project::shop("whole");
    let first = shop.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
    assert_eq!(first.stages(), ["build ok", "test ok", "release ok"]);
    assert_eq!(first.finished()["revision"], 1);
    shop.answer("has taken 0 orders");
    let image = first.finished()["images"]["web"].as_str().unwrap().to_owned();
    let running = shop.object("deployment/web");
    assert_eq!(running["spec"]["template"]["spec"]["containers"][0]["image"], image.as_str());

    let second = shop.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
    assert_eq!(second.stages(), ["build skipped", "test skipped", "release skipped"], "{second}");
    assert_eq!(second.finished()["images"]["web"], image.as_str());
    let later = shop.object("deployment/web");
    assert_eq!(
        later["metadata"]["resourceVersion"], running["metadata"]["resourceVersion"],
        "nothing is written"
    );
    assert!(second.took.as_secs() < 10, "it took {:?}", second.took);

    shop.windlass(&["test", "--again"]).exits(0).says("6 passed");
    shop.windlass(&["plan", "staging", "--exit-code"]).exits(0);
}

#[test]
fn three_jobs_on_three_runners_have_the_same_digest_in_hand() {
    let shop = Project::shop("three");
    let clones = tempfile::tempdir().unwrap();
    let clone = |name: &str| {
        let path = clones.path().join(name);
        text(
            Command::new("git")
                .args(["clone", "-q", "--depth", "1"])
                .arg(format!("file://{}", shop.path().display()))
                .arg(&path),
        );
        path
    };
    let built = shop.windlass_in(&clone("build"), &["build", "-o", "json"]).exits(0).finished();
    let untested = shop.windlass_in(&clone("early"), &["release", "staging"]).exits(34).says("unit");
    assert!(untested.stderr.contains("windlass test"), "{untested}");
    let tested = shop.windlass_in(&clone("test"), &["test", "-o", "json"]).exits(0).finished();
    let released =
        shop.windlass_in(&clone("release"), &["release", "staging", "-o", "json"]).exits(0).finished();
    assert!(built["images"]["web"].as_str().unwrap().contains("@sha256:"));
    assert_eq!(built["images"], tested["images"]);
    assert_eq!(built["images"], released["images"]);
    let running = shop.object("deployment/web");
    assert_eq!(running["spec"]["template"]["spec"]["containers"][0]["image"], built["images"]["web"]);
    shop.answer("has taken");
}

#[test]
fn a_release_may_go_untested_when_somebody_says_so() {
    let shop = Project::shop("untested");
    shop.windlass(&["build"]).exits(0);
    shop.windlass(&["release", "staging"]).exits(34);
    assert!(shop.object("deployment/web").is_null(), "a refused release changes nothing");
    shop.windlass(&["release", "staging", "--untested"]).exits(0);
    shop.answer("has taken");
}

#[test]
fn the_reports_of_a_run_are_no_part_of_the_image() {
    let shop = Project::shop("report");
    std::fs::remove_file(shop.path().join(".dockerignore")).unwrap();
    shop.write(".dockerignore", ".git\n");
    shop.commit("everything but .git is sent");
    let first = shop.windlass(&["build", "--report", "out", "-o", "json"]).exits(0);
    let second = shop.windlass(&["build", "--report", "out", "-o", "json"]).exits(0);
    assert_eq!(second.stages(), ["build skipped"], "{second}");
    assert_eq!(first.finished()["images"], second.finished()["images"]);
    for file in ["events.jsonl", "junit.xml", "report.html", "windlass.env"] {
        assert!(shop.path().join("out").join(file).exists(), "no {file}");
    }
    let variables = std::fs::read_to_string(shop.path().join("out/windlass.env")).unwrap();
    assert!(
        variables.contains("WINDLASS_WEB_IMAGE=") && variables.contains("WINDLASS_WEB_DIGEST=sha256:"),
        "{variables}"
    );
}

#[test]
fn a_commit_that_changes_no_image_restarts_no_pod() {
    let manifests = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  \
        template:\n    metadata: {labels: {app: web}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      \
        containers: [{name: web, image: app, command: [sleep, \"100000\"], readinessProbe: {exec: {command: [\"true\"]}}}]\n";
    let project = Project::small("same-digest", "ARG BASE\nFROM ${BASE}/busybox\n", manifests);
    project.write(".dockerignore", "README.md\n.kube\n.git\nwindlass.yaml\n");
    project.commit("what the image is not made of");
    project.windlass(&["pipeline", "staging"]).exits(0);
    let before = project.object("deployment/web");
    project.write("README.md", "words\n");
    project.commit("words");
    let again = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
    assert_eq!(again.stages(), ["build skipped", "release skipped"], "{again}");
    assert_eq!(project.object("deployment/web")["spec"], before["spec"]);
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(history[0]["commit"], project.git(&["rev-parse", "HEAD"]).trim());
}
