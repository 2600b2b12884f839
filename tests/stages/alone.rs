//! What must be over within so many seconds of the clock: played one by one, after everything else, since a machine on which six
//! tests share two processors measures the other five (`tests/run`; so are
//! those of `killed`).

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Project, run};
use crate::mute;
use crate::on_cluster;
use crate::testing::{DOCKERFILE, SLOW, begin, left, project, signal};

/// Cancels a run: within two seconds nothing is left of what it started.
fn gone_when_cancelled(project: &Project, child: Child, left: fn(&Project) -> String) {
    assert_ne!(left(project), "");
    let began = Instant::now();
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    let took = began.elapsed();
    assert_eq!(left(project), "");
    assert_eq!(run(&output, took).code, 143);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_cancelled_run_is_gone_within_two_seconds_with_all_it_started() {
    let project = project("cancel", &SLOW.replace("{image: app}", "{image: idle}"));
    project.write(
        "idle.Dockerfile",
        &format!("{DOCKERFILE}CMD [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"]\n"),
    );
    project.edit(
        "windlass.yaml",
        "images: {app:",
        "images: {idle: {dockerfile: idle.Dockerfile, args: {BASE: \"${BASE}\"}}, app:",
    );
    project.write(".dockerignore", "log\n");
    project.commit("idle");
    project.windlass(&["build"]).exits(0);
    let child = begin(&project, &["test", "-o", "json"], "here it hangs");
    gone_when_cancelled(&project, child, left);
}

#[test]
fn a_cancelled_run_on_a_cluster_is_gone_within_two_seconds_too() {
    let project = on_cluster::project(
        "cancelled",
        "  slow: {image: app, on: cluster, run: [sh, -c, 'echo here it hangs; sleep 100']}\n",
    );
    let child = begin(&project, &["test", "--tier", "staging", "-o", "json"], "here it hangs");
    gone_when_cancelled(&project, child, on_cluster::left);
}

/// Whatever the Engine was asked for last and does not answer, a signal ends the run.
#[test]
fn a_signal_ends_a_run_whose_engine_says_nothing_more() {
    let reports = "reports: {text: [/etc/hostname]}";
    let tests = format!(
        "  one: {{image: app, run: [sleep, '1'], timeout: 20s, {reports}}}\n  late: {{image: app, run: [sleep, '60'], timeout: 1s}}\n"
    );
    let project = project("mute", &tests);
    project.write("Dockerfile", &format!("{DOCKERFILE}RUN echo mute > /mute\n"));
    project.commit("another image");
    for words in ["POST /session", "/build?", "/tag?", "/push?"] {
        mute::ends_by_a_signal(&project, &["build"], words);
    }
    project.windlass(&["build"]).exits(0);
    let asked = [
        "/version",
        "/info",
        "/containers/json",
        "/networks/create",
        "/containers/create",
        "/attach?",
        "/start",
        "/wait",
        "/archive?",
        "/stop?",
    ];
    for words in asked {
        mute::ends_by_a_signal(&project, &["test", "--again", "--report", "report"], words);
        assert_eq!(left(&project), "", "mute at {words}");
    }
}

/// At whatever instant it is cancelled, also while the Engine is asked to make something.
#[test]
fn a_run_cancelled_at_any_instant_leaves_nothing() {
    let served = "{image: app, run: [sleep, '60'], services: {a: {image: app}, b: {image: app}}}";
    let project = project("cancel-any", &format!("  one: {served}\n  two: {served}\n  three: {served}\n"));
    for instant in 0..12 {
        let mut command = project.command(&project.path(), &["test", "--again"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150 + 50 * instant));
        // A terminal that goes away is as good as a signal.
        signal(&child, if instant % 3 == 2 { "-HUP" } else { "-INT" });
        let output = child.wait_with_output().unwrap();
        assert!(matches!(run(&output, Duration::ZERO).code, 130 | 143), "{output:?}");
        assert_eq!(left(&project), "", "cancelled after {} ms: {output:?}", 150 + 50 * instant);
    }
}
