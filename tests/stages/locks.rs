//! The lock of a tier: held by a person, by a run, fought over.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Project, run, text};

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
    project.windlass(&["unlock", "staging"]).exits(34).says("stops when it loses it").says("--yes");
    project.windlass(&["unlock", "staging", "--yes"]).exits(0);
    running.join().unwrap().exits(33).says("the tier's lock was lost");
    project.windlass(&["status", "staging"]).exits(0).says("interrupted");
    project.kubectl(&["delete", "job", "slow"]);
}

/// A Deployment whose pods do not begin before the test lets them, and a ConfigMap that comes after it.
const HELD: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {windlass.dev/phase: before}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulingGates: [{name: example.test/wait}]
      containers: [{name: web, image: \"registry.test/web:1\"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: last, annotations: {windlass.dev/phase: after}}
data: {A: \"1\"}
";

/// Starts a release and waits until its Deployment is there: it holds the lock until somebody ends it.
fn holding(project: &Project, change: impl FnOnce(&mut Command)) -> Child {
    let mut command = project.command(&project.path(), &["release", "staging"]);
    change(&mut command);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the pod", || !pods(project).is_empty());
    child
}

fn pods(project: &Project) -> String {
    project.kubectl(&["get", "pods", "-l", "app=web", "-o", "name", "--ignore-not-found"]).trim().to_owned()
}

/// Lets the pods of the Deployment begin.
fn let_begin(project: &Project) {
    for pod in pods(project).lines() {
        project.kubectl(&[
            "patch",
            pod,
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/spec/schedulingGates"}]"#,
        ]);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(child: &Child, name: &str) {
    text(Command::new("kill").args([name, &child.id().to_string()]));
}

#[test]
fn a_locked_tier_names_the_release_the_commit_and_the_job_and_how_to_end_it() {
    let project = Project::bare("lock-named", "", HELD);
    let job = "https://gitlab.test/shop/-/jobs/42";
    let mut child = holding(&project, |command| {
        command.env("CI_JOB_URL", job).env("GITLAB_USER_LOGIN", "nora");
    });
    let commit = project.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let named = format!("release 1 of {} by nora ({job}) holds the lock of this tier since 20", &commit[..8]);
    let refused = project.windlass(&["release", "staging"]).exits(33).says(&named);
    refused.says("cancel that job").says("windlass unlock staging");
    project
        .windlass(&["unlock", "staging"])
        .exits(34)
        .says(&format!("release 1 of {} by nora", &commit[..8]));
    let status = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0);
    let lock = &status["lock"];
    assert_eq!((lock["holder"].as_str(), lock["by"].as_str()), (Some(job), Some("nora")), "{status}");
    assert_eq!((lock["revision"].as_u64(), lock["commit"].as_str()), (Some(1), Some(&*commit)), "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_killed_run_of_this_machine_held_is_free_at_once() {
    let project = Project::bare("lock-dead", "", HELD);
    let mut child = holding(&project, |_| {});
    child.kill().unwrap();
    // Its parent has not asked yet how it ended: it is a zombie.
    until("the end", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.contains(") Z ")
    });
    let status = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0);
    assert!(status["lock"].is_null(), "{status}");
    assert_eq!(status["release"]["outcome"], "interrupted", "{status}");
    let_begin(&project);
    let next = project.windlass(&["release", "staging"]).exits(0).says("died while it held the lock");
    assert!(next.took < Duration::from_secs(12), "{next}");
    child.wait().unwrap();
}

#[test]
fn a_run_that_stands_still_is_waited_for_and_afterwards_writes_nothing() {
    let project = Project::bare("lock-still", "", HELD);
    let child = holding(&project, |_| {});
    signal(&child, "-STOP");
    let_begin(&project);
    let next = project.windlass(&["release", "staging"]).exits(0);
    assert!(next.took > Duration::from_secs(9), "it may go on at any time: {next}");
    let written = || project.object("configmap/last")["metadata"]["resourceVersion"].clone();
    let before = written();
    signal(&child, "-CONT");
    run(&child.wait_with_output().unwrap(), Duration::ZERO).exits(33).says("the tier's lock was lost");
    assert_eq!(written(), before);
}

/// As a machine that sleeps nearly all the time: the monotonic clock goes a hundred times slower than the one that counts
/// suspension, which the program between does not reach.
#[test]
fn a_machine_that_slept_writes_nothing_before_it_has_renewed_its_lock() {
    let project = Project::bare("lock-asleep", "", HELD);
    let library = text(Command::new("faketime").args(["-f", "+0s", "printenv", "LD_PRELOAD"]));
    let mut child = holding(&project, |command| {
        command.env("LD_PRELOAD", library.trim()).env("FAKETIME", "+0s x0.01");
    });
    std::thread::sleep(Duration::from_secs(7));
    let_begin(&project);
    until("the rollout", || project.object("deployment/web")["status"]["readyReplicas"] == 1);
    std::thread::sleep(Duration::from_secs(3));
    assert!(project.object("configmap/last").is_null(), "by every other clock the lease is about to end");
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    // Whoever comes next takes the lock, and nobody is in its way.
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("configmap/last")["data"]["A"], "1");
    child.kill().unwrap();
    child.wait().unwrap();
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
