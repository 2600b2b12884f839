//! The logs of a tier: whole, followed, for machines, and without the right to read them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Project, lab, run, text};

/// A Deployment whose pod says which run it is and dies after some seconds, a Job, and the pod of somebody else.
fn project(test: &str, seconds: u32) -> Project {
    let mut project = Project::small(test, "FROM scratch\n", "");
    let base = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    let web = format!("echo web begins; sleep {seconds}; echo web ends; exit 1");
    let quiet = "terminationGracePeriodSeconds: 0";
    project.write(
        ".kube/app.yaml",
        &format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: migrate}}\nspec: {{template: {{spec: {{{quiet}, restartPolicy: Never, \
             containers: [{{name: migrate, image: {base}, command: [sh, -c, 'echo one; echo two']}}]}}}}}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      {quiet}\n      \
             initContainers: [{{name: wait, image: {base}, command: [echo, waited]}}]\n      containers:\n        \
             - {{name: app, image: {base}, command: [sh, -c, {web:?}], \
             readinessProbe: {{exec: {{command: ['true']}}, periodSeconds: 1}}}}\n        \
             - {{name: helper, image: {base}, command: [sh, -c, 'echo helping; sleep 100000'], \
             readinessProbe: {{exec: {{command: ['true']}}, periodSeconds: 1}}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: front}}\n\
             spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}\n"
        ),
    );
    project.write(
        "windlass.yaml",
        &format!(
            "version: 1\nproject: {}\nimages: {{}}\ntiers:\n  staging: {{context: lab-real, namespace: {}, timeout: 1m}}\n",
            project.name, project.namespace
        ),
    );
    project.commit("logs");
    project.set("WINDLASS_LOG", "off");
    project.windlass(&["release", "staging"]).exits(0);
    project.kubectl(&[
        "run",
        "stranger",
        &format!("--image={base}"),
        "--command",
        "--",
        "echo",
        "a stranger",
    ]);
    project
}

/// A log that is followed.
struct Followed {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Followed {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&project.path(), arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line has these words; gives the line.
    fn until(&mut self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("ended before {words:?}")).unwrap();
            if line.contains(words) {
                return line;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{words:?} did not come");
        }
    }

    fn interrupt(self) -> crate::bench::Run {
        let began = Instant::now();
        text(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        run(&self.child.wait_with_output().unwrap(), began.elapsed())
    }
}

#[test]
fn the_logs_of_a_tier_are_those_of_its_pods_in_the_order_of_time() {
    let project = project("logs", 100_000);
    let all = project.windlass(&["logs", "staging"]).exits(0);
    let lines: Vec<&str> = all.stdout.lines().collect();
    let at = |words: &str| {
        lines.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words:?}: {all}"))
    };
    assert!(lines[at("one")].starts_with("migrate-") && lines[at("one")].contains("/migrate │ one"), "{all}");
    assert!(at("one") < at("two") && at("two") < at("waited") && at("waited") < at("web begins"), "{all}");
    assert!(at("/helper │ helping") > at("waited"));
    assert!(!all.stdout.contains("stranger"), "{all}");
    assert_eq!(all.stderr, "");

    let web =
        project.windlass(&["logs", "staging", "deploy/web", "--container", "app", "--tail", "1"]).exits(0);
    assert_eq!(web.stdout.lines().count(), 1, "{web}");
    assert!(web.stdout.contains("/app │ web begins"), "{web}");
    let front =
        project.windlass(&["logs", "staging", "svc/front"]).exits(0).says("web begins").says("helping");
    assert!(!front.stdout.contains("/migrate"), "{front}");
    let pod = lines[at("web begins")].split('/').next().unwrap();
    project.windlass(&["logs", "staging", pod]).exits(0).says("web begins");
    project.windlass(&["logs", "staging", "webb"]).exits(3).says("did you mean `web`?");
    project
        .windlass(&["logs", "staging", "web", "--container", "ap"])
        .exits(3)
        .says("they have: app, helper, wait");

    let json = project.windlass(&["logs", "staging", "Job/migrate", "-o", "json"]).exits(0);
    let events = json.events();
    assert_eq!(events.len(), 3, "{json}");
    assert_eq!(events[0]["event"], "log");
    assert_eq!(events[0]["line"], "one");
    assert!(events[0]["source"].as_str().unwrap().ends_with("/migrate"), "{json}");
    assert!(events[0]["v"] == 1 && events[0]["time"].is_string(), "{json}");
    assert_eq!(json.finished()["exit_code"], 0);

    let elsewhere = tempfile::tempdir().unwrap();
    let records = [
        "logs",
        "staging",
        "--project",
        &project.name,
        "--context",
        "lab-real",
        "--namespace",
        &project.namespace,
    ];
    project.windlass_in(elsewhere.path(), &records).exits(0).says("web begins");
}

#[test]
fn a_log_is_followed_over_restarts_and_new_pods_until_somebody_has_seen_enough() {
    let project = project("follow", 6);
    let mut log = Followed::start(&project, &["logs", "staging", "web", "--follow"]);
    let first = log.until("web begins");
    log.until("web ends");
    assert_eq!(log.until("web begins"), first, "the same container again");
    let pod = first.split('/').next().unwrap();
    project.kubectl(&["delete", "pod", pod, "--wait=false"]);
    loop {
        let again = log.until("web begins");
        if !again.starts_with(pod) {
            break;
        }
    }
    let ended = log.interrupt().exits(130);
    assert_eq!(ended.stderr, "", "it was asked for");
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);

    let mut log = Followed::start(&project, &["logs", "staging", "-o", "json", "--follow"]);
    log.until("helping");
    text(Command::new("kill").args(["-TERM", &log.child.id().to_string()]));
    let finished = log.until("\"finished\"");
    assert!(finished.contains("\"exit_code\":143") && finished.contains("\"interrupted\""), "{finished}");
}

#[test]
fn without_the_right_to_read_logs_it_is_said_whom_to_ask_for_what() {
    let mut project = project("no-logs", 100_000);
    let rights = r#"[{apiGroups: [""], resources: [pods, configmaps, secrets], verbs: [get, list, watch]},
        {apiGroups: [apps, batch], resources: ["*"], verbs: [get, list, watch]}]"#;
    project.with_rights(rights);
    for follow in [&["logs", "staging"][..], &["logs", "staging", "--follow"]] {
        let refused = project.windlass(follow).exits(6);
        let refused = refused.says("may not get pods/log in namespace");
        refused.says("ask an administrator of the cluster for a Role");
    }
    project.with_rights(r#"[{apiGroups: [""], resources: [configmaps, secrets], verbs: [get, list]}]"#);
    project.windlass(&["logs", "staging"]).exits(6).says("may not list pods");
}

#[test]
fn what_a_program_writes_of_its_secrets_is_shown_by_no_command() {
    let base = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    let dies = |after: u32| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n      \
             - {{name: web, image: {base}, terminationMessagePolicy: FallbackToLogsOnError, envFrom: [{{secretRef: {{name: db}}}}], \
             command: [sh, -c, 'echo first; echo it is $PASSWORD; sleep {after}; exit 3']}}\n"
        )
    };
    let secrets = "secrets: {db: {PASSWORD: {command: [printf, hunter2-hunter2]}}}\n";
    let project = Project::bare_on("lab-real", "logs-secrets", secrets, &dies(100_000));
    project.windlass(&["release", "staging"]).exits(0);
    let place = ["--project", &project.name, "--context", "lab-real", "--namespace", &project.namespace];
    let elsewhere = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let run = project.windlass_in(elsewhere.path(), &[arguments, &place[..]].concat());
        assert!(!(run.stdout.clone() + &run.stderr).contains("hunter2"), "{run}");
        run
    };
    said(&["logs", "staging"]).exits(0).says("it is [MASKED]");
    project.edit(".kube/app.yaml", "sleep 100000", "sleep 1");
    project.commit("it dies");
    project.windlass(&["release", "staging"]).exits(31).says("it is [MASKED]");
    said(&["explain", "staging"]).exits(0).says("it is [MASKED]");
    said(&["status", "staging"]).exits(0);
}
