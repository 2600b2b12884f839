//! A release that is killed, by a signal it can answer or by one it cannot: what it leaves behind, and that the next
//! command goes on from there without anybody's help.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Project, Run, run, text};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"1000000\"]\n";

/// A ConfigMap, a Job and a Deployment; how long the Job takes and when the pods are ready can be said.
fn manifests(version: &str, job_seconds: u32, ready_after: u32) -> String {
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{VERSION: "{version}"}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: migrate}}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{{name: migrate, image: app, command: [sleep, "{job_seconds}"], env: [{{name: VERSION, value: "{version}"}}]}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: app
          envFrom: [{{configMapRef: {{name: settings}}}}]
          readinessProbe: {{exec: {{command: ["true"]}}, initialDelaySeconds: {ready_after}, periodSeconds: 1}}
"#
    )
}

/// The project with a good first release, whose pods are ready after so many seconds.
fn released_with(test: &str, ready_after: u32) -> Project {
    let project = Project::small(test, DOCKERFILE, &manifests("1", 0, ready_after));
    project.windlass(&["pipeline", "staging"]).exits(0);
    project
}

fn released(test: &str) -> Project {
    released_with(test, 0)
}

/// Commits other manifests; the image of the commit is there.
fn change(project: &Project, version: &str, job_seconds: u32, ready_after: u32) {
    project.write(".kube/app.yaml", &manifests(version, job_seconds, ready_after));
    project.commit(version);
    project.windlass(&["build"]).exits(0);
}

/// A run of windlass that has not ended.
struct Running {
    child: Child,
}

impl Running {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&project.path(), arguments);
        Self { child: command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap() }
    }

    /// Sends a signal and waits for the end; the time is that since the signal.
    fn signal(self, signal: &str) -> Run {
        let began = Instant::now();
        text(Command::new("kill").args([signal, &self.child.id().to_string()]));
        let output = self.child.wait_with_output().unwrap();
        run(&output, began.elapsed())
    }
}

/// A release as the script of a job that GitLab Runner's shell executor runs: bash in a process group of its own, with no
/// terminal.
struct RunningJob {
    shell: Child,
}

impl RunningJob {
    fn start(project: &Project) -> Self {
        use std::os::unix::process::CommandExt as _;
        let windlass = project.command(&project.path(), &[]);
        let mut shell = Command::new("bash");
        shell.args([
            "-c",
            ": | eval 'set -eo pipefail; \"$0\" release staging; echo the next line of the script'",
        ]);
        shell.arg(windlass.get_program()).current_dir(project.path()).process_group(0);
        for (name, value) in windlass.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Self { shell: shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap() }
    }

    /// Sends SIGTERM to the whole group, as the runner does for a job that is cancelled or out of time, and reads the
    /// job's log to its end.
    fn cancel(self) -> Run {
        let began = Instant::now();
        text(Command::new("kill").args(["-TERM", "--", &format!("-{}", self.shell.id())]));
        let output = self.shell.wait_with_output().unwrap();
        run(&output, began.elapsed())
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a release has written an object.
fn stamped(project: &Project, object: &str, revision: &str) {
    until(&format!("{object} of release {revision}"), || {
        project.object(object)["metadata"]["annotations"]["windlass.dev/revision"] == revision
    });
}

fn holder(project: &Project) -> String {
    let lease = project.object(&format!("lease/windlass.{}.staging", project.name));
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn terminated_it_leaves_within_five_seconds_and_says_how_to_go_on() {
    let project = released("terminated");
    change(&project, "2", 0, 300);
    let running = Running::start(&project, &["release", "staging"]);
    stamped(&project, "deployment/web", "2");
    let ended =
        running.signal("-TERM").exits(143).says("release 2 was interrupted after 3 of 3 objects, by ");
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    let ended = ended.says("windlass rollback staging").says("windlass release staging");
    assert_eq!(holder(&project), "", "the lock was given back: {ended}");
    project.windlass(&["history", "staging"]).exits(0).says("interrupted");

    let back =
        project.windlass(&["rollback", "staging"]).exits(0).says("release 2 was interrupted after 3 of 3");
    assert!(back.took < Duration::from_secs(10), "nothing is waited for: {:?}", back.took);
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "1");
}

#[test]
fn a_job_that_gitlab_cancels_leaves_a_record_and_is_run_again() {
    let mut project = released("cancelled");
    let jobs = ["CI", "GITLAB_CI"].map(|name| (name, "true"));
    for (name, value) in [&jobs[..], &[("CI_PIPELINE_ID", "17"), ("CI_ENVIRONMENT_NAME", "staging")]].concat()
    {
        project.set(name, value);
    }
    change(&project, "2", 0, 12);
    project.set("CI_COMMIT_SHA", project.git(&["rev-parse", "HEAD"]).trim());
    let job = RunningJob::start(&project);
    stamped(&project, "deployment/web", "2");
    let log = job
        .cancel()
        .says("stopping: cleaning up")
        .says("release 2 was interrupted after 3 of 3 objects, by ");
    assert_eq!(log.code, -15, "the shell of the script is ended by the same signal: {log}");
    assert!(log.took < Duration::from_secs(5), "{:?}", log.took);
    let log = log.says("windlass rollback staging");
    assert!(!log.stdout.contains("the next line"), "{log}");
    assert_eq!(holder(&project), "", "the lock was given back");

    // "Retry" runs the same job once more, in the same pipeline.
    let again = project.windlass(&["release", "staging"]).exits(0).says("release 2 was interrupted");
    assert!(again.took < Duration::from_secs(60), "{:?}", again.took);
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "2");
    // Cancelled before anything was changed, it leaves nothing to go on from.
    project.set("CI_COMMIT_SHA", "");
    change(&project, "3", 0, 0);
    project.set("CI_COMMIT_SHA", project.git(&["rev-parse", "HEAD"]).trim());
    project.windlass(&["lock", "staging", "--message", "held", "--for", "5m"]).exits(0);
    let job = RunningJob::start(&project);
    std::thread::sleep(Duration::from_secs(1));
    let log = job.cancel();
    assert!(log.took < Duration::from_secs(5), "{:?}", log.took);
    project.windlass(&["unlock", "staging"]).exits(0);
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "2", "{log}");
    project.windlass(&["release", "staging"]).exits(0);
}

#[test]
fn interrupted_during_its_job_another_release_takes_over() {
    let project = released("interrupted");
    change(&project, "2", 300, 0);
    let running = Running::start(&project, &["release", "staging", "-o", "json"]);
    stamped(&project, "job/migrate", "2");
    let ended = running.signal("-INT").exits(130);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    let finished = ended.finished();
    assert_eq!(finished["outcome"], "interrupted", "{ended}");
    assert_eq!(
        finished["message"].as_str().unwrap().split(',').next(),
        Some("release 2 was interrupted after 2 of 3 objects")
    );
    assert_eq!(project.object("deployment/web")["metadata"]["annotations"]["windlass.dev/revision"], "1");
    // The Job of other content still runs: nobody decides for its owner that it ends.
    project.kubectl(&["delete", "job", "migrate", "--wait=true"]);
    change(&project, "3", 0, 0);
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "3");
}

#[test]
fn a_cancelled_release_sends_the_old_set_back_where_the_tier_says_so() {
    let project = released("sent-back");
    project.edit("windlass.yaml", "timeout: 3m", "timeout: 3m, on_cancel: rollback");
    change(&project, "2", 0, 300);
    let running = Running::start(&project, &["release", "staging"]);
    stamped(&project, "deployment/web", "2");
    let ended = running.signal("-TERM").exits(143);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    let ended = ended.says("2 of 2 objects of release 1 were restored, not watched");
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "1", "{ended}");
    let container = &project.object("deployment/web")["spec"]["template"]["spec"]["containers"][0];
    assert!(container["readinessProbe"]["initialDelaySeconds"].as_i64().unwrap_or(0) < 300, "{container}");
    let record = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(record[0]["sent_back"]["to"], 1, "{record:?}");
    // The job is run again: what was sent back is not taken for what it wants.
    let again = Running::start(&project, &["release", "staging"]);
    stamped(&project, "deployment/web", "3");
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "2");
    again.signal("-TERM").exits(143);
    project.windlass(&["rollback", "staging"]).exits(0);
}

#[test]
fn killed_during_its_job_the_next_release_goes_on_within_the_dead_ones_lease() {
    let project = released("killed-job");
    change(&project, "2", 8, 0);
    let running = Running::start(&project, &["release", "staging"]);
    stamped(&project, "job/migrate", "2");
    let job = project.object("job/migrate")["metadata"]["uid"].clone();
    running.signal("-KILL");
    assert_ne!(holder(&project), "");
    let next = project.windlass(&["release", "staging"]).exits(0);
    let next = next.says("release 2 was interrupted after 2 of 3 objects, by ");
    assert!(next.took < Duration::from_secs(35), "{:?}", next.took);
    assert_eq!(project.object("job/migrate")["metadata"]["uid"], job, "the Job was joined, not run again");
    project.windlass(&["history", "staging"]).exits(0).says("interrupted");
}

#[test]
fn killed_during_the_rollout_and_again_during_the_rollback_it_comes_back() {
    let project = released_with("killed-rollout", 4);
    change(&project, "2", 0, 300);
    let running = Running::start(&project, &["release", "staging"]);
    stamped(&project, "deployment/web", "2");
    running.signal("-KILL");

    let running = Running::start(&project, &["rollback", "staging"]);
    stamped(&project, "deployment/web", "3");
    running.signal("-KILL");

    let back = project.windlass(&["rollback", "staging"]).exits(0);
    let back = back.says("rollback 3 (rollback of 2 to 1) was interrupted after 2 of 2 objects, by ");
    assert!(back.took < Duration::from_secs(25), "{:?}", back.took);
    assert_eq!(project.object("configmap/settings")["data"]["VERSION"], "1");
    project.windlass(&["rollback", "staging"]).exits(0).says("is already the rollback of 3 to 1");
    assert_eq!(
        project.windlass(&["plan", "staging", "--exit-code"]).code,
        4,
        "the next release would change it"
    );
}
