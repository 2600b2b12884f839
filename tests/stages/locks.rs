//! The lock of a tier: held by a person, by a run, fought over.

use std::time::Duration;

use crate::bench::Project;

const MANIFESTS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: \"1\"}\n";

/// A project without images: a release is one ConfigMap.
fn project(test: &str) -> Project {
    let project = Project::small(test, "", MANIFESTS);
    project.git(&["rm", "-q", "-f", "Dockerfile"]);
    project.edit("windlass.yaml", "images: {app: {context: ., args: {BASE: \"${BASE}\"}}}", "images: {}");
    project.commit("no images");
    project
}

#[test]
fn a_person_locks_a_tier_and_releases_say_who_and_why() {
    let project = project("person");
    project.windlass(&["lock", "staging"]).exits(2);
    project.windlass(&["lock", "staging", "--message", " "]).exits(2);
    let locked =
        project.windlass(&["lock", "staging", "--message", "audit of the ledger", "-o", "json"]).exits(0);
    let holder = locked.events()[0]["lock"]["holder"].as_str().unwrap().to_owned();
    let refused =
        project.windlass(&["release", "staging"]).exits(33).says("audit of the ledger").says(&holder);
    assert!(refused.took < Duration::from_secs(5), "a person is not waited for: {:?}", refused.took);
    refused.says("windlass unlock staging");
    assert!(project.object("configmap/settings").is_null());
    let status = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(status[0]["lock"]["message"], "audit of the ledger");
    project.windlass(&["status", "staging"]).exits(0).says("audit of the ledger");
    project.windlass(&["unlock", "staging"]).exits(0).says(&format!("staging was locked by {holder}"));
    project.windlass(&["unlock", "staging"]).exits(0).says("staging is not locked");
    project.windlass(&["release", "staging"]).exits(0);

    let more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}\n";
    project.write(".kube/more.yaml", more);
    project.commit("more");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["lock", "staging", "--message", "audit of the ledger"]).exits(0);
    project.windlass(&["rollback", "staging"]).exits(33).says("audit of the ledger");
    project.windlass(&["unlock", "staging"]).exits(0);
    project.windlass(&["rollback", "staging"]).exits(0);
}

#[test]
fn a_lock_ends_when_its_time_is_over_and_a_release_waits_for_that() {
    let project = project("timed");
    project.windlass(&["lock", "staging", "--message", "lunch", "--for", "1h"]).exits(0).says(" until ");
    project.windlass(&["release", "staging", "--wait-lock", "1s"]).exits(33).says("lunch");
    project.windlass(&["lock", "staging", "--message", "coffee", "--for", "4s"]).exits(0).says("coffee");
    project.windlass(&["release", "staging", "--wait-lock", "30s"]).exits(0).says("waiting for ");
}

#[test]
fn a_release_whose_lock_is_taken_away_stops_and_changes_nothing_more() {
    let project = project("taken");
    let job = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: slow}\nspec: {suspend: false, template: {spec: {restartPolicy: Never, containers: [{name: a, image: \"BASE/busybox\", command: [sleep, \"60\"]}]}}}\n";
    let job = job.replace("BASE", &format!("{}/base", crate::bench::lab("LAB_REGISTRY")));
    project.write(".kube/app.yaml", &(MANIFESTS.to_owned() + &job));
    project.commit("a slow job");
    let running = project.command(&project.path(), &["release", "staging"]);
    let running = std::thread::spawn(move || {
        let mut running = running;
        crate::bench::run(&running.output().unwrap(), Duration::ZERO)
    });
    while project.object("job/slow").is_null() {
        std::thread::sleep(Duration::from_millis(50));
    }
    project.windlass(&["unlock", "staging"]).exits(34).says("stops without it").says("--yes");
    project.windlass(&["unlock", "staging", "--yes"]).exits(0);
    running.join().unwrap().exits(33).says("the tier's lock was lost");
    project.windlass(&["status", "staging"]).exits(0).says("interrupted");
    project.kubectl(&["delete", "job", "slow"]);
}

/// Two releases at once, again and again: each has a revision of its own, and the last one is what is there.
fn race(test: &str, times: usize) {
    let project = project(test);
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, annotations: {windlass.dev/substitute: \"on\"}}\ndata: {A: \"${WHO}\"}\n";
    project.write(".kube/app.yaml", manifest);
    project.commit("who");
    for round in 0..times {
        let runs = std::thread::scope(|scope| {
            let start = |who: String| {
                let project = &project;
                scope.spawn(move || {
                    let var = format!("WHO={who}");
                    project
                        .windlass(&["release", "staging", "--wait-lock", "60s", "--var", &var, "-o", "json"])
                        .exits(0)
                })
            };
            let (one, two) = (start(format!("one {round}")), start(format!("two {round}")));
            [one.join().unwrap(), two.join().unwrap()]
        });
        let revisions =
            runs.each_ref().map(|run| run.finished()["revision"].as_u64().unwrap_or_else(|| panic!("{run}")));
        let newest = 2 * round as u64 + 2;
        assert_eq!(revisions.iter().max(), Some(&newest), "{} {}", runs[0], runs[1]);
        assert_eq!(revisions.iter().min(), Some(&(newest - 1)), "{} {}", runs[0], runs[1]);
        let last = if revisions[0] > revisions[1] { "one" } else { "two" };
        assert_eq!(project.object("configmap/settings")["data"]["A"], format!("{last} {round}"));
    }
}

#[test]
fn two_releases_race_and_one_comes_after_the_other() {
    race("race-a", 25);
}

#[test]
fn two_more_race() {
    race("race-b", 25);
}

#[test]
fn and_two_more() {
    race("race-c", 25);
}

#[test]
fn and_yet_two_more() {
    race("race-d", 25);
}
