//! Programs that windlass runs: a signal ends them and what they started, on one processor too; what they leave running does not
//! keep windlass waiting; and nothing that a record says becomes a command.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::{outside_ci, run, text};
use crate::fake_api::FakeApi;

/// A project without images, of which nothing is asked but its manifests and secrets.
struct Small {
    directory: tempfile::TempDir,
}

impl Small {
    fn new(config: &str) -> Self {
        let small = Self { directory: tempfile::tempdir().unwrap() };
        small.write(
            ".kube/app.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n",
        );
        small.write(
            "windlass.yaml",
            &format!("version: 1\nproject: shop\nimages: {{}}\ntiers:\n  staging: {{context: lab, namespace: shop}}\n{config}"),
        );
        small
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A program of the PATH.
    fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = format!("bin/{name}");
        self.write(&file, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path().join(file), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let ann = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
        text(Command::new("git").current_dir(self.path()).args(ann).args(arguments))
    }

    /// windlass, on one processor.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", env!("CARGO_BIN_EXE_windlass")]).args(arguments);
        let path = format!("{}:{}", self.path().join("bin").display(), std::env::var("PATH").unwrap());
        command.current_dir(self.path()).env("PATH", path).env("KUBECONFIG", self.path().join("kubeconfig"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        outside_ci(&mut command);
        command
    }
}

/// Waits until a program has written its process id into this file.
fn pid_in(file: &Path) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        assert!(Instant::now() < end, "the program was not started");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to windlass, which must end with this code, soon, and with it the process of this id.
fn ends_at_once(running: Child, signal: &str, code: i32, pid: &str) {
    let began = Instant::now();
    text(Command::new("kill").args([signal, &running.id().to_string()]));
    let output = running.wait_with_output().unwrap();
    let run = run(&output, began.elapsed()).exits(code);
    assert!(run.took < Duration::from_secs(3), "{:?}: {run}", run.took);
    let end = Instant::now() + Duration::from_secs(5);
    while lives(pid) {
        assert!(Instant::now() < end, "what the program started goes on: {run}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A script that starts something, says its process id in a file, and does not end.
fn endless(file: &Path) -> String {
    format!("sleep 600 & echo $! > {}; wait", file.display())
}

#[test]
fn a_signal_ends_helm_and_a_secrets_command_with_what_they_started() {
    let pid = |small: &Small| -> PathBuf { small.path().join("pid") };
    let chart = Small::new("");
    std::fs::remove_file(chart.path().join(".kube/app.yaml")).unwrap();
    chart.write(".kube/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n");
    chart.program("helm", &endless(&pid(&chart)));
    let running = chart.command(&["validate"]).spawn().unwrap();
    let of_helm = pid_in(&pid(&chart));
    ends_at_once(running, "-INT", 130, &of_helm);

    let secret = Small::new("secrets: {db: {password: {command: [ask-vault]}}}\n");
    secret.program("ask-vault", &endless(&pid(&secret)));
    let running = secret.command(&["render", "staging"]).spawn().unwrap();
    let of_secret = pid_in(&pid(&secret));
    ends_at_once(running, "-TERM", 143, &of_secret);
}

#[test]
fn a_signal_ends_the_credential_program_of_the_kubeconfig() {
    let small = Small::new("");
    small.program("authenticator", &endless(&small.path().join("pid")));
    small.write(
        "kubeconfig",
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\ncontexts: [{name: lab, context: {cluster: c, user: u}}]\n\
         users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: authenticator, interactiveMode: Never}}}]\n",
    );
    let running = small.command(&["status", "staging"]).spawn().unwrap();
    let pid = pid_in(&small.path().join("pid"));
    ends_at_once(running, "-INT", 130, &pid);
}

#[test]
fn what_a_program_leaves_running_does_not_keep_windlass_waiting() {
    let small = Small::new("secrets: {db: {password: {command: [ask-vault]}}}\n");
    small.program(
        "ask-vault",
        &format!("sleep 600 & echo $! > {}; echo hunter22", small.path().join("pid").display()),
    );
    let began = Instant::now();
    let output = small.command(&["render", "staging"]).output().unwrap();
    let run = run(&output, began.elapsed()).exits(0);
    let _ = Command::new("kill").arg(pid_in(&small.path().join("pid"))).output();
    assert!(run.took < Duration::from_secs(20) && !run.stdout.contains("hunter22"), "{:?}: {run}", run.took);
}

#[test]
fn a_forged_history_runs_no_command_and_moves_no_branch() {
    let small = Small::new("");
    let origin = tempfile::tempdir().unwrap();
    let at_origin = |arguments: &[&str]| text(Command::new("git").current_dir(origin.path()).args(arguments));
    at_origin(&["init", "-q", "--bare", "-b", "main"]);
    small.git(&["init", "-q", "-b", "main"]);
    small.git(&["remote", "add", "origin", &format!("file://{}", origin.path().display())]);
    small.git(&["add", "-A"]);
    for message in ["first", "second"] {
        small.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }
    small.git(&["push", "-q", "origin", "main"]);
    let references = || small.git(&["for-each-ref"]);
    let before = references();
    for commit in ["--upload-pack=touch pwned;", "+refs/heads/main:refs/heads/stolen", "€€€"] {
        let line = json!({
            "format": 2, "revision": 1, "kind": {"kind": "release"}, "project": "shop", "tier": "staging", "commit": commit,
            "by": {"identity": "eve", "person": "eve"}, "started": "2026-11-23T09:05:00Z", "outcome": "good",
            "set": "s", "objects": 1,
        });
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "windlass.shop.staging", "namespace": "shop"},
            "data": {"r1": line.to_string()},
        });
        let api = FakeApi::start(&[("/api/v1/namespaces/shop/configmaps/windlass.shop.staging", map)]);
        small.write(
            "kubeconfig",
            &format!(
                "clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\ncontexts: [{{name: lab, context: {{cluster: c}}}}]\n",
                api.address()
            ),
        );
        for command in ["plan", "history", "status"] {
            let output = small.command(&[command, "staging"]).output().unwrap();
            run(&output, Duration::ZERO).exits(3).says("`commit` is not 40 or 64 hexadecimal digits");
        }
        assert!(!small.path().join("pwned").exists());
        assert_eq!(references(), before);
    }
}
