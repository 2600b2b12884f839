//! Tests as Jobs on the tier's cluster (`on: cluster`).

use std::time::Duration;

use crate::bench::{Project, Run};
use crate::testing::{DOCKERFILE, begin, signal};

/// A project with these tests, built.
pub(crate) fn project(test: &str, tests: &str) -> Project {
    let project = Project::small(&format!("on-{test}"), DOCKERFILE, "");
    project.edit("windlass.yaml", "tiers:", &format!("tests:\n{tests}tiers:"));
    project.write(".dockerignore", "log\nout\n");
    project.commit("tests");
    project.windlass(&["build"]).exits(0);
    project
}

fn run(project: &Project) -> Run {
    project.windlass(&["test", "--tier", "staging", "-o", "json", "--report", "out"])
}

/// What tests have left in the namespace.
pub(crate) fn left(project: &Project) -> String {
    project.kubectl(&["get", "jobs,pods", "-o", "name", "-l", "windlass.dev/run"])
}

/// The cause of a test's failure: word and message.
fn cause(run: &Run, test: &str) -> (String, String) {
    let finished = run.finished();
    let causes = finished["causes"].as_array().unwrap().clone();
    let cause = causes.iter().find(|cause| cause["test"] == test).unwrap_or_else(|| panic!("{test}: {run}"));
    (cause["cause"].as_str().unwrap().to_owned(), cause["message"].as_str().unwrap().to_owned())
}

#[test]
fn a_test_runs_on_the_cluster_with_its_services_reports_and_record() {
    let suite = "<testsuite><testcase name=\"good\"/></testsuite>".replace('"', "\\\"");
    let project = project(
        "passes",
        &format!(
            "  unit:\n    image: app\n    on: cluster\n    env: {{WORD: \"a $(b) c\"}}\n    \
             run: [sh, -c, \"python3 -c 'import urllib.request as r; print(r.urlopen(\\\"http://web:8080/index\\\").read().decode())'; echo \\\"$WORD\\\"; test ! -e /var/run/secrets/kubernetes.io; mkdir -p /out/html; echo '{suite}' > /out/a.xml; echo 80% > /out/html/index\"]\n    \
             services: {{web: {{image: served, ready: {{http: \":8080/index\"}}}}}}\n    \
             reports: {{junit: [/out/*.xml], coverage: [/out/html]}}\n    memory: 64Mi\n    cpus: 0.2\n"
        ),
    );
    project.write("served.Dockerfile", &format!("{DOCKERFILE}RUN mkdir /www && echo served > /www/index\nCMD [\"python3\", \"-m\", \"http.server\", \"-d\", \"/www\", \"8080\"]\n"));
    project.edit(
        "windlass.yaml",
        "images: {app:",
        "images: {served: {dockerfile: served.Dockerfile, args: {BASE: \"${BASE}\"}}, app:",
    );
    project.write(".kube/app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n");
    project.commit("a service");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["test"]).exits(2).says("windlass test --tier TIER");
    let first = run(&project).exits(0);
    assert_eq!(first.stages(), ["test ok"], "{first}");
    let said: Vec<String> = first
        .events()
        .iter()
        .filter(|event| event["event"] == "log")
        .map(|event| event["line"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(said, ["served", "", "a $(b) c"], "{first}");
    let read =
        |name: &str| std::fs::read_to_string(project.path().join("out/tests/unit").join(name)).unwrap();
    assert_eq!(read("a.xml"), "<testsuite><testcase name=\"good\"/></testsuite>\n");
    assert_eq!(read("html/index"), "80%\n");
    assert_eq!(left(&project), "");
    // The record is one as of any test: a release asks for it, and nobody runs it again.
    let second = run(&project).exits(0);
    assert_eq!(second.stages(), ["test skipped"], "{second}");
    project.windlass(&["release", "staging"]).exits(0);
}

#[test]
fn what_fails_there_is_told_apart() {
    let test = |name: &str, command: &str, more: &str| {
        format!("  {name}: {{image: app, on: cluster, run: [sh, -c, '{command}']{more}}}\n")
    };
    let tests = [
        test("code", "echo the last words; exit 3", ""),
        test("memory", "x=a; while :; do x=$x$x; done", ", memory: 24Mi"),
        test(
            "late",
            "mkdir /out; echo so far > /out/a.txt; sleep 100",
            ", timeout: 4s, reports: {text: [/out/a.txt]}",
        ),
        "  nothing: {image: app, on: cluster, run: [/there/is/none]}\n".to_owned(),
        test("wordless", "exit 0", ", services: {db: {image: \"${BASE}/there-is-none\"}}"),
    ];
    let project = project("fails", &tests.concat());
    let run = run(&project).exits(20);
    assert_eq!(cause(&run, "code"), ("tests-failed".to_owned(), "it ended with exit code 3".to_owned()));
    assert!(run.finished().to_string().contains("the last words"), "{run}");
    let (word, message) = cause(&run, "memory");
    assert_eq!(word, "out-of-memory", "{message}");
    assert_eq!(cause(&run, "late"), ("timed-out".to_owned(), "it did not finish within 4.0 s".to_owned()));
    let brought = std::fs::read_to_string(project.path().join("out/tests/late/a.txt"));
    assert_eq!(brought.unwrap_or_else(|error| panic!("{error}: {run}")), "so far\n");
    let (word, message) = cause(&run, "nothing");
    assert_eq!(word, "cannot-run", "{message}");
    assert!(message.contains("`/there/is/none` cannot be run in the image"), "{message}");
    let (word, message) = cause(&run, "wordless");
    assert_eq!(word, "test-not-run");
    assert!(message.contains("its pod does not start") && message.contains("there-is-none"), "{message}");
    assert_eq!(left(&project), "");
}

#[test]
fn services_there_are_waited_for_and_missed() {
    let project = Project::small("on-services", DOCKERFILE, "");
    for (name, command) in [
        ("dies", "echo no disk; exit 1"),
        ("deaf", "sleep 100"),
        ("leaves", "sleep 5; echo disk full; exit 9"),
        ("absent", ""),
    ] {
        project.write(
            &format!("{name}.Dockerfile"),
            &format!("{DOCKERFILE}CMD [\"sh\", \"-c\", \"{command}\"]\n"),
        );
    }
    let image =
        |name: &str| format!("{name}: {{dockerfile: {name}.Dockerfile, args: {{BASE: \"${{BASE}}\"}}}}, ");
    project.write("absent.Dockerfile", &format!("{DOCKERFILE}CMD [\"nothing-like-this\"]\n"));
    let images = ["dies", "deaf", "leaves", "absent"].map(image).concat();
    let images = format!("images: {{{images}app:");
    project.edit("windlass.yaml", "images: {app:", &images);
    let test = |name: &str, service: &str, ready: &str| {
        format!(
            "  {name}: {{image: app, on: cluster, run: [sleep, '60'], services: {{db: {{image: {service}{ready}}}}}}}\n"
        )
    };
    let tests = [
        test("before", "dies", ", ready: {tcp: 5432, timeout: 30s}"),
        test("never", "deaf", ", ready: {tcp: 5432, timeout: 3s}"),
        test("during", "leaves", ""),
        test("log", "deaf", ", ready: {log: x}"),
        test("absent", "absent", ""),
    ];
    project.edit("windlass.yaml", "tiers:", &format!("tests:\n{}tiers:", tests.concat()));
    project.write(".dockerignore", "out\n");
    project.commit("tests");
    project.windlass(&["build"]).exits(0);
    let log = project.windlass(&["test", "log", "--tier", "staging"]).exits(3);
    log.says("`ready.log` cannot be waited for on a cluster");
    let run = project
        .windlass(&["test", "before", "never", "during", "absent", "--tier", "staging", "-o", "json"])
        .exits(21);
    assert!(run.took < Duration::from_secs(60), "{:?}", run.took);
    assert_eq!(cause(&run, "before").1, "service `db` ended with exit code 1 before it was ready");
    assert_eq!(cause(&run, "never").1, "service `db` was not ready within 3.0 s");
    assert_eq!(cause(&run, "during").1, "service `db` ended with exit code 9 while the test ran");
    let absent = cause(&run, "absent").1;
    assert!(
        absent.contains("service `db` cannot start: ") && absent.contains("nothing-like-this"),
        "{absent}"
    );
    let finished = run.finished().to_string();
    assert!(finished.contains("no disk") && finished.contains("disk full"), "{run}");
    assert!(finished.contains("windlass test --tier staging absent before"), "{run}");
    assert_eq!(left(&project), "");
}

#[test]
fn what_a_killed_run_left_there_is_removed_by_the_next() {
    let project = project(
        "killed",
        "  slow: {image: app, on: cluster, run: [sh, -c, 'echo here it hangs; sleep 100']}\n",
    );
    let mut killed = begin(&project, &["test", "--tier", "staging", "-o", "json"], "here it hangs");
    signal(&killed, "-KILL");
    killed.wait().unwrap();
    assert_ne!(left(&project), "", "it could not tidy up");
    project.edit("windlass.yaml", "echo here it hangs; sleep 100", "exit 0");
    project.commit("a quick test");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["test", "--tier", "staging"]).exits(0);
    assert_eq!(left(&project), "");
}

#[test]
fn the_role_of_the_documentation_is_enough() {
    let mut project = project(
        "rights",
        "  unit: {image: app, on: cluster, run: [sh, -c, 'mkdir /out; echo hm > /out/a.txt'], reports: {text: [/out/a.txt]}}\n",
    );
    let namespace = project.namespace.clone();
    project.kubectl(&["create", "namespace", &namespace]);
    project.with_rights(&crate::rights::rules());
    run(&project).exits(0);
    assert_eq!(std::fs::read_to_string(project.path().join("out/tests/unit/a.txt")).unwrap(), "hm\n");
}

#[test]
fn a_pod_that_no_node_takes_ends_the_test_as_it_would_a_release() {
    let project = project("unplaced", "  big: {image: app, on: cluster, memory: 900Gi, run: [\"true\"]}\n");
    project.edit("windlass.yaml", "timeout: 3m", "timeout: 5s");
    project.commit("no patience");
    project.windlass(&["build"]).exits(0);
    let run = run(&project).exits(21);
    assert!(run.took < Duration::from_secs(40), "{run}");
    let (word, message) = cause(&run, "big");
    assert_eq!(word, "test-not-run", "{run}");
    assert!(message.contains("Insufficient memory"), "{message}");
    assert_eq!(left(&project), "");
}

#[test]
fn what_a_test_is_given_it_has_as_it_was_written() {
    let project = project(
        "dollars",
        "  d: {image: app, on: cluster, env: {A: \"x$$y $(HOME)\"}, run: [sh, -c, 'test $$ -gt 0 && echo \"A=$A\" \"$(echo sub)\"']}\n",
    );
    let run = run(&project).exits(0);
    assert!(run.stdout.contains(r"A=x$$y $(HOME) sub"), "{run}");
}
