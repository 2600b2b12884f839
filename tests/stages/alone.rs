//! What must be over within so many seconds of the clock: played one by one, after everything else, since a machine on which six
//! tests share two processors measures the other five (`tests/run`; so are
//! those of `killed`).

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bench::{Project, lab, run, text};
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

/// Whatever the Engine was asked for last and does not respond, a signal ends the run.
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

/// Takes everything out of both builders, and all images of this repository.
fn empty(repository: &str) {
    let images = text(Command::new("docker").args(["images", "-a", "-q", "--filter", "dangling=true"]))
        + &text(Command::new("docker").args(["images", "-q", repository]));
    for image in images.split_whitespace() {
        // One may have gone with another, or be that of a container.
        let _ = Command::new("docker").args(["rmi", "-f", image]).output().unwrap();
    }
    text(Command::new("docker").args(["builder", "prune", "-af"]));
    text(Command::new(lab("LAB_BUILDCTL")).args(["--addr", &lab("LAB_BUILDER"), "prune", "--all"]));
}

/// A BuildKit daemon that has never built anything; it ends with the test.
struct FreshDaemon {
    process: Child,
    directory: TempDir,
}

impl FreshDaemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "root = \"{root}/root\"\n[grpc]\naddress = [\"unix://{root}/socket\"]\n[worker.oci]\nenabled = true\n\
             snapshotter = \"native\"\nbinary = \"runc\"\ndefaultCgroupParent = \"/windlass-lab/buildkit\"\n\
             networkMode = \"host\"\n[worker.containerd]\nenabled = false\n[registry.\"{registry}\"]\nhttp = true\n",
            root = directory.path().display(),
            registry = lab("LAB_REGISTRY")
        );
        std::fs::write(directory.path().join("buildkit.toml"), config).unwrap();
        let process = Command::new(lab("LAB_BUILDKITD"))
            .arg("--config")
            .arg(directory.path().join("buildkit.toml"))
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { process, directory };
        let began = Instant::now();
        while !daemon.directory.path().join("socket").exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    fn address(&self) -> String {
        format!("unix://{}/socket", self.directory.path().display())
    }
}

impl Drop for FreshDaemon {
    fn drop(&mut self) {
        signal(&self.process, "-TERM");
        let _ = self.process.wait();
    }
}

/// Steps of a Dockerfile that leave something else each time that they are run: those of a stage, and of the image itself. No other
/// build has the same: an Engine remembers steps whose layers were deleted, and leaves no records of some when it runs them again.
fn made(name: &str) -> String {
    let unique = format!("echo {name}-{} $(cat /proc/sys/kernel/random/uuid)", std::process::id());
    format!(
        "ARG BASE\nFROM ${{BASE}}/busybox AS tools\nCOPY needs /needs\nRUN {unique} > /made\nCOPY source /source\n\
         RUN cat /source /made > /built\nFROM ${{BASE}}/busybox\nRUN {unique} > /own\nCOPY --from=tools /built /built\n\
         COPY version /version\n"
    )
}

/// Each job of a CI may have an Engine or a daemon of its own that has nothing. What the first of them made is there for all
/// after it, also where those between have only taken it over.
#[test]
fn what_one_runner_made_is_taken_over_for_ever() {
    for (builder, mode) in [("engine", "inline"), ("engine", "max"), ("daemon", "inline"), ("daemon", "max")]
    {
        let name = format!("generations-{builder}-{mode}");
        let mut project = Project::small(&name, &made(&name), "");
        project.write("needs", "needs");
        if mode == "max" {
            project.edit("windlass.yaml", "{app: {context: .,", "{app: {context: ., cache: {mode: max},");
        }
        if builder == "daemon" {
            project.edit("windlass.yaml", "images:", "builder: ${BUILDER}\nimages:");
        }
        let mut made: Vec<(String, String)> = Vec::new();
        // First only the last file changes, then what a stage is built of.
        for (version, source) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")] {
            project.write("version", version);
            project.write("source", source);
            project.commit(version);
            empty(&project.repository("app"));
            let daemon = (builder == "daemon").then(FreshDaemon::start);
            project.set("BUILDER", daemon.as_ref().map(FreshDaemon::address).unwrap_or_default());
            let run = project.windlass(&["build", "-o", "json"]).exits(0);
            let image = run.finished()["images"]["app"].as_str().unwrap().to_owned();
            let said = text(
                Command::new("docker").args(["run", "--rm", &image, "cat", "/own", "/built", "/version"]),
            );
            let (own, built) = said.split_once('\n').unwrap();
            assert!(built.starts_with(source) && built.ends_with(version), "{said}");
            made.push((own.to_owned(), built[1..built.len() - version.len()].to_owned()));
        }
        let (own, of_stage) = &made[0];
        assert!(made.iter().all(|(one, _)| one == own), "{builder} {mode}: {made:?}");
        assert!(made[..2].iter().all(|(_, one)| one == of_stage), "{builder} {mode}: {made:?}");
        // Where the layers of the image alone are left, a stage whose files changed is made from the beginning.
        let is_kept = made.iter().all(|(_, one)| one == of_stage);
        assert_eq!(is_kept, mode == "max", "{builder} {mode}: {made:?}");
    }
}

/// Without what was left every step is run again.
#[test]
fn an_empty_runner_makes_everything_where_nothing_is_taken_over() {
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\nRUN cat /proc/sys/kernel/random/uuid > /made\nCOPY version /version\n";
    let project = Project::small("no-cache-taken", dockerfile, "");
    project.edit("windlass.yaml", "{app: {context: .,", "{app: {context: ., cache: false,");
    let made = ["1", "2"].map(|version| {
        project.write("version", version);
        project.commit(version);
        empty(&project.repository("app"));
        let run = project.windlass(&["build", "-o", "json"]).exits(0);
        let image = run.finished()["images"]["app"].as_str().unwrap().to_owned();
        text(Command::new("docker").args(["run", "--rm", &image, "cat", "/made"]))
    });
    assert_ne!(made[0], made[1]);
}
