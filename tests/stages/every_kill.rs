//! A release and a rollback of the shop, killed at their n-th request: whatever n is, the next release and the next
//! rollback succeed, and what they leave is what they would have left without the kill.
//!
//! By default five requests of each run, spread over it; `WINDLASS_EVERY_KILL=1` takes every one (`make nightly`).

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::bench::{Project, Run, text};
use crate::proxy::{Upstream, was_killed};

/// How many runs go on at once: they mostly wait for the lock of the dead.
const AT_ONCE: usize = 12;
const CONTEXT: &str = "lab-fake";

/// The shop in three versions, each in a directory of its own, with its image built.
struct Shop {
    project: Project,
    clones: tempfile::TempDir,
    upstream: Upstream,
    namespaces: AtomicUsize,
}

impl Shop {
    fn new(test: &str) -> Self {
        let project = Project::shop(test);
        let shop = Self {
            project,
            clones: tempfile::tempdir().unwrap(),
            upstream: Upstream::start(CONTEXT),
            namespaces: AtomicUsize::new(0),
        };
        let project = &shop.project;
        shop.keep(0);
        project.edit(".kube/settings.yaml", "Welcome to the shop", "Welcome to the new shop");
        project.edit(
            ".kube/jobs.yaml",
            "- name: migrate\n",
            "- name: migrate\n          env: [{name: STEP, value: \"1\"}]\n",
        );
        project.write(
            ".kube/first.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\ndata: {A: \"1\"}\n",
        );
        project.commit("second");
        shop.keep(1);
        project.edit(".kube/settings.yaml", "Welcome to the new shop", "Welcome to the newest shop");
        project.edit(".kube/jobs.yaml", "value: \"1\"", "value: \"2\"");
        project.git(&["mv", ".kube/first.yaml", ".kube/second.yaml"]);
        project.edit(".kube/second.yaml", "name: first", "name: second");
        project.commit("third");
        shop.keep(2);
        shop
    }

    /// Keeps the version that is checked out, and builds its image.
    fn keep(&self, version: usize) {
        let path = self.directory(version);
        text(Command::new("git").args(["clone", "-q"]).arg(self.project.path()).arg(&path));
        self.project.windlass_in(&path, &["build"]).exits(0);
    }

    fn directory(&self, version: usize) -> PathBuf {
        self.clones.path().join(version.to_string())
    }

    fn namespace(&self) -> String {
        format!("{}-{}", self.project.name, self.namespaces.fetch_add(1, Ordering::SeqCst))
    }

    fn arguments<'a>(what: &'a str, namespace: &'a str) -> Vec<&'a str> {
        let more: &[&str] = match what {
            "release" => &["--untested"],
            "remove" => &["--confirm", "production", "--with-data", "--wait-lock", "30s"],
            "rollback" => &["--yes"],
            _ => &[],
        };
        [&[what, "production", "--namespace", namespace, "--context", CONTEXT], more].concat()
    }

    fn go(&self, what: &str, version: usize, namespace: &str) -> Run {
        self.project.windlass_in(&self.directory(version), &Self::arguments(what, namespace))
    }

    /// Runs it until its `n`-th request is carried out, then kills it; how many requests came.
    fn killed(&self, what: &str, version: usize, namespace: &str, n: usize) -> (Run, usize) {
        let command = self.project.command(&self.directory(version), &Self::arguments(what, namespace));
        self.upstream.kill_at(CONTEXT, n, command)
    }

    /// Whether the third release had taken the lock before it was killed: then it is on record, or an attempt is.
    fn has_begun_a_third(&self, namespace: &str) -> bool {
        let arguments =
            ["history", "production", "--namespace", namespace, "--context", CONTEXT, "-o", "json"];
        let releases = self.project.windlass_in(&self.directory(2), &arguments).exits(0).events();
        let is_third = |line: &Value| line["kind"] == "release" && line["revision"] == 3;
        releases.iter().any(|line| is_third(line) || line["kind"] == "attempt")
    }

    /// Everything that the release left in a namespace, without what differs from cluster to cluster.
    fn state(&self, namespace: &str) -> Vec<Value> {
        const KINDS: &str = "configmaps,secrets,deployments,services,cronjobs,ingresses,jobs";
        let selector = format!("windlass.dev/project={}", self.project.name);
        let arguments = ["--context", CONTEXT, "-n", namespace, "get", KINDS, "-l", &selector, "-o", "json"];
        let listed: Value = serde_json::from_str(&text(Command::new("kubectl").args(arguments))).unwrap();
        let mut objects: Vec<Value> = listed["items"].as_array().unwrap().iter().map(essence).collect();
        objects.sort_by_key(ToString::to_string);
        objects
    }
}

/// What an object asks for. The hash of its configuration is keyed by namespace, and a Job has the names of its pods.
fn essence(object: &Value) -> Value {
    let mut essence = serde_json::json!({
        "kind": object["kind"], "name": object["metadata"]["name"], "data": object["data"], "spec": object["spec"],
    });
    for pointer in ["/spec/clusterIP", "/spec/clusterIPs", "/spec/selector", "/spec/template/metadata"] {
        if let Some(value) = essence.pointer_mut(pointer) {
            *value = Value::Null;
        }
    }
    essence
}

/// For each `n` in parallel. How many requests a run takes varies a little, so that some may end before their last ones.
fn for_each_request(total: usize, kill: impl Fn(usize) -> bool + Sync) {
    let step = if std::env::var_os("WINDLASS_EVERY_KILL").is_some() { 1 } else { total.div_ceil(5) };
    let numbers: Vec<usize> = (1..=total).step_by(step).collect();
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(n) = numbers.get(next.fetch_add(1, Ordering::SeqCst)) {
                    killed.fetch_add(usize::from(kill(*n)), Ordering::SeqCst);
                }
            });
        }
    });
    let killed = killed.into_inner();
    assert!(killed * 5 >= numbers.len() * 4, "only {killed} of {} runs were killed", numbers.len());
}

fn delete(namespace: &str) {
    let _ = Command::new("kubectl")
        .args(["--context", CONTEXT, "delete", "namespace", namespace, "--wait=false"])
        .output();
}

/// What each version leaves, and how many requests the last step takes, without a kill.
struct Reference {
    states: Vec<Vec<Value>>,
    requests: usize,
}

/// Releases these versions one after the other and counts the requests of the last step.
fn reference(shop: &Shop, what: &str) -> Reference {
    let namespace = shop.namespace();
    let mut states = Vec::new();
    for version in 0..2 {
        shop.go("release", version, &namespace).exits(0);
        states.push(shop.state(&namespace));
    }
    let (run, requests) = shop.killed(what, 2, &namespace, usize::MAX);
    run.exits(0);
    if what == "release" {
        states.push(shop.state(&namespace));
    } else {
        assert_eq!(without_jobs(&shop.state(&namespace)), without_jobs(&states[0]));
        shop.go("release", 2, &namespace).exits(0);
        states.push(shop.state(&namespace));
    }
    delete(&namespace);
    assert!(requests > 20, "{requests}");
    Reference { states, requests }
}

/// A rollback leaves Jobs alone.
fn without_jobs(state: &[Value]) -> Vec<&Value> {
    state.iter().filter(|object| object["kind"] != "Job").collect()
}

/// Kills at each request, then goes on with this command: it must leave what it leaves without the kill.
fn kill_and_go_on(test: &str, killed: &str, next: &str) {
    let shop = Shop::new(test);
    let reference = reference(&shop, killed);
    for_each_request(reference.requests, |n| {
        let namespace = shop.namespace();
        shop.go("release", 0, &namespace).exits(0);
        shop.go("release", 1, &namespace).exits(0);
        let (dead, requests) = shop.killed(killed, 2, &namespace, n);
        let was_killed = was_killed(&dead, requests, n);
        let on = shop.go(next, 2, &namespace);
        assert_eq!(on.code, 0, "killed at request {n}: {dead}\nthen: {on}");
        let state = shop.state(&namespace);
        if next == "release" {
            assert_eq!(state, reference.states[2], "killed at request {n}: {dead}\nthen: {on}");
        } else {
            // Killed before it took the lock, there was no release to roll back from but the one before.
            let begun = killed == "release" && shop.has_begun_a_third(&namespace);
            let expected = &reference.states[usize::from(begun)];
            let right = without_jobs(expected) == without_jobs(&state);
            assert!(right, "killed at request {n}: {dead}\nthen: {on}\nleft: {state:#?}");
        }
        delete(&namespace);
        was_killed
    });
}

#[test]
fn a_release_killed_anywhere_then_a_release() {
    kill_and_go_on("kill-a", "release", "release");
}

#[test]
fn a_release_killed_anywhere_then_a_rollback() {
    kill_and_go_on("kill-b", "release", "rollback");
}

#[test]
fn a_rollback_killed_anywhere_then_a_rollback() {
    kill_and_go_on("kill-c", "rollback", "rollback");
}

#[test]
fn a_rollback_killed_anywhere_then_a_release() {
    kill_and_go_on("kill-d", "rollback", "release");
}

#[test]
fn a_removal_killed_anywhere_is_said_again() {
    let shop = Shop::new("kill-e");
    let namespace = shop.namespace();
    shop.go("release", 0, &namespace).exits(0);
    let (run, requests) = shop.killed("remove", 0, &namespace, usize::MAX);
    run.exits(0);
    assert!(requests > 20, "{requests}");
    for_each_request(requests, |n| {
        let namespace = shop.namespace();
        shop.go("release", 0, &namespace).exits(0);
        let (dead, requests) = shop.killed("remove", 0, &namespace, n);
        let was_killed = was_killed(&dead, requests, n);
        let on = shop.go("remove", 0, &namespace);
        assert_eq!(on.code, 0, "killed at request {n}: {dead}\nthen: {on}");
        let arguments =
            ["--context", CONTEXT, "get", "namespace", &namespace, "--ignore-not-found", "-o", "name"];
        let left = text(Command::new("kubectl").args(arguments));
        assert_eq!(left.trim(), "", "killed at request {n}: {dead}\nthen: {on}");
        was_killed
    });
}
