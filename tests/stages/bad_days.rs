//! Bad days: the API server is away, clocks differ, registries are down.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bench::{Project, lab, run, text};
use crate::proxy::{Proxy, Upstream, Verdict};

/// A Deployment whose pods are ready after so many seconds.
fn slow(seconds: u32) -> String {
    format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: {}/base/busybox
          command: [sleep, "100000"]
          readinessProbe: {{exec: {{command: ["true"]}}, initialDelaySeconds: {seconds}, periodSeconds: 1}}
"#,
        lab("LAB_REGISTRY")
    )
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_api_server_that_is_away_for_half_a_minute_is_waited_for() {
    let project = Project::bare_on("lab-real", "away", "", &slow(20));
    project.edit("windlass.yaml", "timeout: 1m", "timeout: 3m");
    project.commit("time");
    let upstream = Upstream::start("lab-real");
    let away = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let decide = move |_, _: &str| if is_away.load(Ordering::SeqCst) { Verdict::Drop } else { Verdict::Pass };
    let proxy = Proxy::start(&upstream, "lab-real", Arc::new(decide), Arc::new(|| ()));
    let mut command = project.command(&project.path(), &["release", "staging"]);
    command.env("KUBECONFIG", proxy.kubeconfig()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let child = command.spawn().unwrap();
    until("the Deployment", || !project.object("deployment/web").is_null());
    away.store(true, Ordering::SeqCst);
    proxy.cut();
    // The pods become ready while nobody can be asked.
    std::thread::sleep(Duration::from_secs(30));
    away.store(false, Ordering::SeqCst);
    let output = child.wait_with_output().unwrap();
    let released = run(&output, began.elapsed()).exits(0);
    assert!(released.took > Duration::from_secs(30), "{released}");
    let released = released.says("the API server");
    project.windlass(&["status", "staging"]).exits(0).says("1 of 1 objects ready");
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!((history.len(), history[0]["outcome"].as_str()), (1, Some("good")), "{released}");
}

/// windlass with a clock that is wrong by this much. Without the program `faketime` between, which would be what a signal
/// ends.
fn with_clock(project: &Project, shift: &str, arguments: &[&str]) -> Command {
    let library = text(Command::new("faketime").args(["-f", "+0s", "printenv", "LD_PRELOAD"]));
    let mut command = project.command(&project.path(), arguments);
    command.env("LD_PRELOAD", library.trim()).env("FAKETIME", shift);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn clocks_that_are_ten_minutes_apart_change_nothing() {
    let project = Project::bare_on("lab-real", "clocks", "", &slow(12));
    let output = with_clock(&project, "+10m", &["release", "staging"]).output().unwrap();
    let first = run(&output, Duration::ZERO).exits(0);
    // A running release's lock is nobody else's, however late it is for others.
    project.write(".kube/app.yaml", &slow(14));
    project.commit("slower");
    let mut running: Child = with_clock(&project, "-10m", &["release", "staging"]).spawn().unwrap();
    let lease = format!("lease/windlass.{}.staging", project.name);
    until("the lock", || {
        !project.object(&lease)["spec"]["holderIdentity"].as_str().unwrap_or_default().is_empty()
    });
    let output = with_clock(&project, "+10m", &["release", "staging", "--wait-lock", "0s"]).output().unwrap();
    run(&output, Duration::ZERO).exits(33);
    // A dead one's is free after its 15 seconds, by whatever clock.
    running.kill().unwrap();
    running.wait().unwrap();
    let began = Instant::now();
    let output =
        with_clock(&project, "+10m", &["release", "staging", "--wait-lock", "60s"]).output().unwrap();
    let taken_over = run(&output, began.elapsed()).exits(0).says("was interrupted");
    assert!(taken_over.took < Duration::from_secs(50), "{taken_over}");
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    let apart = |index: usize| {
        let time: jiff::Timestamp = history[index]["started"].as_str().unwrap().parse().unwrap();
        time.duration_since(jiff::Timestamp::now()).as_secs().abs()
    };
    assert!(
        (0..history.len()).all(|index| apart(index) < 300),
        "the server's clock counts: {history:?} {first}"
    );
}

/// Seconds of the Engine's clock and of the API server's, which are this machine's in the lab.
fn in_seconds(seconds: i64) -> String {
    (jiff::Timestamp::now().as_second() + seconds).to_string()
}

/// When something may be taken for left behind, by its label or annotation: in so many seconds from now.
fn expires_in(text: &str) -> i64 {
    let expires: i64 = text.trim().parse().unwrap_or_else(|_| panic!("no time: {text}"));
    expires - jiff::Timestamp::now().as_second()
}

#[test]
fn containers_of_other_machines_are_judged_by_the_engine_s_clock() {
    let project = crate::testing::project("clock-engine", "  unit: {image: app, run: [sleep, '3']}\n");
    let image = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    let left = |expires: String| {
        let expires = format!("windlass.dev/expires={expires}");
        let labels = ["windlass.dev/run=elsewhere", "windlass.dev/place=elsewhere", &expires];
        let labels = labels.iter().flat_map(|label| ["--label", label]);
        let mut docker = Command::new("docker");
        text(docker.args(["run", "-d"]).args(labels).args([&image, "sleep", "1000"])).trim().to_owned()
    };
    let is_there = |id: &str| {
        !text(Command::new("docker").args(["ps", "-q", "--no-trunc", "-f", &format!("id={id}")])).is_empty()
    };
    let (over, alive) = (left(in_seconds(-60)), left(in_seconds(1800)));
    for shift in ["-61m", "+61m"] {
        let output = with_clock(&project, shift, &["test", "--again"]).output().unwrap();
        run(&output, Duration::ZERO).exits(0);
        assert!(is_there(&alive), "{shift}");
        assert!(!is_there(&over), "{shift}");
    }
    text(Command::new("docker").args(["rm", "-f", &alive]));
    // What a run with a wrong clock starts expires by the right one: after the test's ten minutes, and one hour.
    let child = with_clock(&project, "-61m", &["test", "--again"]).spawn().unwrap();
    let mut label = String::new();
    until("the container", || {
        let filter = format!("label=windlass.dev/project={}", project.name);
        let shown = ["ps", "-a", "--filter", &filter, "--format", "{{.Label \"windlass.dev/expires\"}}"];
        label = text(Command::new("docker").args(shown));
        !label.trim().is_empty()
    });
    run(&child.wait_with_output().unwrap(), Duration::ZERO).exits(0);
    assert!((4000..4300).contains(&expires_in(&label)), "{label}");
}

#[test]
fn jobs_of_other_machines_are_judged_by_the_api_server_s_clock() {
    let tests = "  unit: {image: app, on: cluster, run: [sleep, '3']}\n";
    let mut project = crate::on_cluster::project("clock-jobs", tests);
    // By a clock an hour behind the lab's certificates are not valid yet.
    let upstream = Upstream::start("lab-real");
    let proxy = Proxy::start(&upstream, "lab-real", Arc::new(|_, _| Verdict::Pass), Arc::new(|| ()));
    project.set("KUBECONFIG", proxy.kubeconfig().display().to_string());
    let test = ["test", "--tier", "staging", "--again"];
    // The namespace is made by the first run.
    project.windlass(&test).exits(0);
    let left = |name: &str, expires: String| {
        let job = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, labels: {{windlass.dev/run: elsewhere}}, annotations: \
             {{windlass.dev/run: elsewhere, windlass.dev/place: elsewhere, windlass.dev/expires: '{expires}'}}}}\n\
             spec: {{suspend: true, template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: a}}]}}}}}}\n"
        );
        project.pipe_to_kubectl(&job, &["apply", "-f", "-"]).exits(0);
    };
    left("over", in_seconds(-60));
    left("alive", in_seconds(1800));
    for shift in ["-61m", "+61m"] {
        let output = with_clock(&project, shift, &test).output().unwrap();
        run(&output, Duration::ZERO).exits(0);
        assert!(!project.object("job/alive").is_null(), "{shift}");
        assert!(project.object("job/over").is_null(), "{shift}");
    }
    let child = with_clock(&project, "-61m", &test).spawn().unwrap();
    let mut label = String::new();
    until("the Job", || {
        let path = "jsonpath={.items[*].metadata.annotations.windlass\\.dev/expires}";
        label = project.kubectl(&[
            "get",
            "jobs",
            "-l",
            "windlass.dev/run,windlass.dev/run!=elsewhere",
            "-o",
            path,
        ]);
        !label.trim().is_empty()
    });
    run(&child.wait_with_output().unwrap(), Duration::ZERO).exits(0);
    assert!((4000..4300).contains(&expires_in(&label)), "{label}");
}

/// A registry of the test's own, which it can end.
struct OwnRegistry {
    child: Child,
    address: String,
    _files: tempfile::TempDir,
}

impl OwnRegistry {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let files = tempfile::tempdir().unwrap();
        let config = files.path().join("config.yaml");
        let directory = files.path().join("data");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\nlog: {{level: error}}\n",
            directory.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        let child =
            command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the registry", || std::net::TcpStream::connect(&address).is_ok());
        Self { child, address, _files: files }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn a_rollback_from_an_empty_directory_needs_no_registry() {
    let mut registry = OwnRegistry::start();
    let manifests = |line: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: web, image: app, command: [{line}], \
             readinessProbe: {{tcpSocket: {{port: 80}}}}}}]}}\n"
        )
    };
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"1000000\"]\n";
    let mut project = Project::small("no-registry", dockerfile, &manifests("one"));
    project.set("REGISTRY", format!("{}/{}", registry.address, project.name));
    project.on("lab-fake");
    project.edit("windlass.yaml", "context: lab-real", "context: lab-fake");
    project.commit("fake nodes");
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.write(".kube/app.yaml", &manifests("two"));
    project.commit("two");
    project.windlass(&["pipeline", "staging"]).exits(0);
    registry.end();
    let elsewhere = tempfile::tempdir().unwrap();
    let tier = ["--project", &project.name, "--context", "lab-fake", "--namespace", &project.namespace];
    let back =
        project.windlass_in(elsewhere.path(), &[&["rollback", "staging"][..], &tier].concat()).exits(0);
    back.says(", release 1").says("cannot be reached");
    assert!(project.object("deployment/web")["spec"].to_string().contains("\"one\""));
}
