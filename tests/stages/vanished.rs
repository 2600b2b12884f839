//! A cluster that disappears in the middle of a release or a rollback: the command ends when its time is over, and says what
//! it saw last.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bench::{Project, Run, run};
use crate::proxy::{Proxy, Upstream, Verdict};

/// A Deployment whose pods become ready on a node that has this label.
fn web(version: &str, selector: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      \
         nodeSelector: {{{selector}}}\n      \
         containers: [{{name: a, image: \"registry.test/a:{version}\", readinessProbe: {{tcpSocket: {{port: 80}}}}}}]\n"
    )
}

const NOWHERE: &str = "windlass.test/node: none";

/// Runs windlass with a proxy before the API server that lets nothing pass from the first request on of which this holds.
fn cut(project: &Project, arguments: &[&str], at: fn(&str) -> bool) -> Run {
    let upstream = Upstream::start("lab-fake");
    let is_away = AtomicBool::new(false);
    let decide = move |_, line: &str| {
        if at(line) {
            is_away.store(true, Ordering::SeqCst);
        }
        if is_away.load(Ordering::SeqCst) { Verdict::Drop } else { Verdict::Pass }
    };
    let proxy = Arc::new(std::sync::OnceLock::<Proxy>::new());
    let cutting = Arc::clone(&proxy);
    // The watches that are open end, too.
    let act = move || cutting.get().into_iter().for_each(Proxy::cut);
    let started = Proxy::start(&upstream, "lab-fake", Arc::new(decide), Arc::new(act));
    let kubeconfig = started.kubeconfig();
    assert!(proxy.set(started).is_ok());
    let mut command = project.command(&project.path(), arguments);
    command.env("KUBECONFIG", kubeconfig).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    run(&output, began.elapsed())
}

#[track_caller]
fn ends_in_time(run: Run, seconds: u64) -> Run {
    let limit = Duration::from_secs(seconds);
    assert!(run.took + Duration::from_secs(1) >= limit, "{} s: {run}", run.took.as_secs_f64());
    assert!(run.took < limit + Duration::from_secs(9), "{} s: {run}", run.took.as_secs_f64());
    run
}

/// The first look at the pods comes once everything was applied.
fn watches_pods(line: &str) -> bool {
    line.starts_with("GET ") && line.contains("/pods?") && line.contains("watch=true")
}

#[test]
fn a_release_ends_when_its_time_is_over() {
    let project = Project::bare("vanished", "", &web("1", NOWHERE));
    let ended = cut(&project, &["release", "staging", "--timeout", "25s"], watches_pods).exits(5);
    let ended = ends_in_time(ended, 25).says("state unknown, last seen 2").says("Deployment/web");
    let ended = ended
        .says("the API server has not responded for 2")
        .says("once it responds: windlass status staging");
    // What it left is understood, and goes on.
    project.write(".kube/app.yaml", &web("1", ""));
    project.commit("anywhere");
    std::thread::sleep(Duration::from_secs(10));
    let next = project.windlass(&["release", "staging"]).exits(0);
    assert!(next.stderr.contains("was interrupted"), "{next}\n{ended}");
}

#[test]
fn a_rollback_ends_when_its_time_is_over() {
    // However fast the pods are ready, the rollout still goes on when they are looked at.
    let slow = |version: &str| {
        web(version, "").replace("spec:\n  selector", "spec:\n  minReadySeconds: 5\n  selector")
    };
    let project = Project::bare("vanished-back", "", &slow("1"));
    project.windlass(&["release", "staging"]).exits(0);
    project.write(".kube/app.yaml", &slow("2"));
    project.commit("two");
    project.windlass(&["release", "staging"]).exits(0);
    let ended = cut(&project, &["rollback", "staging", "--timeout", "25s"], watches_pods).exits(5);
    ends_in_time(ended, 25).says("state unknown, last seen 2").says("Deployment/web");
}

#[test]
fn an_apply_without_an_answer_ends_when_the_time_is_over() {
    let project = Project::bare("vanished-apply", "", &web("1", NOWHERE));
    let at =
        |line: &str| line.starts_with("PATCH ") && line.contains("/deployments/") && !line.contains("dryRun");
    let ended = cut(&project, &["release", "staging", "--timeout", "20s"], at).exits(5);
    ends_in_time(ended, 20).says("state unknown, last seen").says("no answer to the apply of Deployment/web");
}
