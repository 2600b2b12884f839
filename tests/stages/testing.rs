//! Tests, in depth: services, limits, how a test ended, several at once, and that nothing is left behind.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Project, Run, text};

pub(crate) const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/python:3.11\n";

/// A project with these tests and an image with Python, built.
pub(crate) fn project(test: &str, tests: &str) -> Project {
    let project = Project::small(test, DOCKERFILE, "");
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    let config = config.replace("tiers:", &format!("tests:\n{tests}tiers:"));
    project.write("windlass.yaml", &config);
    project.commit("tests");
    project.windlass(&["build"]).exits(0);
    project
}

fn steps(run: &Run) -> Vec<Value> {
    run.events().into_iter().filter(|event| event["event"] == "step-finished").collect()
}

fn summary(run: &Run, step: &str) -> String {
    let steps = steps(run);
    let found = steps.iter().find(|one| one["step"] == step).unwrap_or_else(|| panic!("no {step}: {run}"));
    format!("{}: {}", found["outcome"].as_str().unwrap(), found["summary"].as_str().unwrap())
}

/// Names of the containers and networks that were started for a project.
pub(crate) fn left(project: &Project) -> String {
    let filter = format!("label=windlass.dev/project={}", project.name);
    let containers = text(Command::new("docker").args(["ps", "-aq", "--filter", &filter]));
    containers + &text(Command::new("docker").args(["network", "ls", "-q", "--filter", &filter]))
}

#[test]
fn exit_code_signal_memory_and_time_are_told_apart() {
    let project = project(
        "endings",
        "  code: {image: app, run: [sh, -c, 'echo oh; exit 3']}\n\
         \x20 signal: {image: app, run: [sh, -c, 'kill -SEGV $$']}\n\
         \x20 memory: {image: app, run: [python3, -c, 'x = bytearray(200 << 20); print(len(x))'], memory: 64Mi}\n\
         \x20 time: {image: app, run: [sleep, '60'], timeout: 2s}\n\
         \x20 absent: {image: app, run: [nothing-like-this], retry: 3}\n\
         \x20 good: {image: app, run: [sh, -c, 'test $(nproc) -ge 1'], memory: 64Mi, cpus: 0.5}\n",
    );
    let run = project.windlass(&["test", "-o", "json"]).exits(20);
    let finished = run.finished();
    let causes = finished["causes"].as_array().unwrap();
    let of = |test: &str| {
        let cause =
            causes.iter().find(|cause| cause["test"] == test).unwrap_or_else(|| panic!("{test}: {run}"));
        format!("{}: {}", cause["cause"].as_str().unwrap(), cause["message"].as_str().unwrap())
    };
    assert_eq!(of("code"), "tests-failed: it ended with exit code 3");
    assert_eq!(of("signal"), "tests-failed: it ended with exit code 139 (SIGSEGV)");
    assert_eq!(of("memory"), "out-of-memory: it ended with exit code 137 (out of memory)");
    assert_eq!(of("time"), "timed-out: it did not finish within 2.0 s");
    assert!(
        of("absent").starts_with("cannot-run: `nothing-like-this` cannot be run in the image"),
        "{}",
        of("absent")
    );
    assert!(!run.stdout.contains("is tried again"), "{run}");
    assert_eq!(summary(&run, "test good"), "ok: passed");
    assert_eq!(finished["message"], "4 of 6 tests failed, 1 could not be run");
    assert_eq!(left(&project), "");
}

#[test]
fn what_a_test_needs_has_passed_before() {
    let project = project(
        "test-needs",
        "  lint: {image: app, run: ['true']}\n\
         \x20 unit: {image: app, run: ['false'], needs: [lint]}\n\
         \x20 e2e: {image: app, run: ['true'], needs: [unit]}\n",
    );
    let run = project.windlass(&["test", "-o", "json"]).exits(20);
    assert_eq!(summary(&run, "test lint"), "ok: passed");
    assert_eq!(summary(&run, "test e2e"), "skipped: not run: it needs `unit`");
    assert_eq!(run.finished()["message"], "1 of 2 tests failed, 1 that need them were not run");
    let alone = project.windlass(&["test", "e2e", "-o", "json"]).exits(20);
    assert!(summary(&alone, "test lint").starts_with("skipped: passed before"), "{alone}");
}

#[test]
fn a_matrix_is_several_tests_and_jobs_share_them() {
    let mut project = project(
        "matrix",
        "  each:\n    image: app\n    run: [sh, -c, 'echo $COLOR $SIZE $CI_NODE_INDEX/$CI_NODE_TOTAL; test $COLOR != red']\n    \
         matrix: {COLOR: [blue, red], SIZE: [1]}\n    parallel: 2\n",
    );
    let run = project.windlass(&["test", "-o", "json"]).exits(20);
    let names: Vec<String> = steps(&run).iter().map(|one| one["step"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(summary(&run, "test each (COLOR=blue, SIZE=1, 2/2)"), "ok: passed");
    let said = |words: &str| run.events().iter().any(|event| event["line"] == words);
    assert!(said("blue 1 2/2") && said("red 1 1/2"), "{run}");
    // Every combination has a record of its own.
    let again = project.windlass(&["test", "each (COLOR=blue, SIZE=1, 2/2)", "-o", "json"]).exits(0);
    assert!(
        summary(&again, "test each (COLOR=blue, SIZE=1, 2/2)").starts_with("skipped: passed before"),
        "{again}"
    );

    // Three jobs of one pipeline: each test runs in one of them.
    let mut shared = Vec::new();
    for index in ["1", "2", "3"] {
        project.set("CI_NODE_INDEX", index);
        project.set("CI_NODE_TOTAL", "3");
        let part = project.windlass(&["test", "--again", "-o", "json"]);
        shared.extend(steps(&part).iter().map(|one| one["step"].as_str().unwrap().to_owned()));
    }
    shared.sort();
    let mut names = names;
    names.sort();
    assert_eq!(shared, names);
}

#[test]
fn services_are_asked_whether_they_are_ready() {
    let server = "python3 -c \"import http.server, time; time.sleep(1); print('open for business', flush=True); \
                  http.server.HTTPServer(('', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()\"";
    let project = project(
        "ready",
        "  http:\n    image: app\n    run: [python3, -c, 'import urllib.request; urllib.request.urlopen(\"http://web:8080/\")']\n    \
         services: {web: {image: served, ready: {http: ':8080/', timeout: 20s}}}\n  \
         tcp:\n    image: app\n    run: [python3, -c, 'import urllib.request; urllib.request.urlopen(\"http://web:8080/\")']\n    \
         services: {web: {image: served, ready: {tcp: 8080, timeout: 20s}}}\n  \
         log:\n    image: app\n    run: ['true']\n    services: {web: {image: served, ready: {log: 'open for \\w+', timeout: 20s}}}\n  \
         refused:\n    image: app\n    run: ['true']\n    services: {web: {image: served, ready: {http: ':8080/none', timeout: 12s}}}\n  \
         sick:\n    image: app\n    run: ['true']\n    services: {web: {image: sick}}\n",
    );
    let check =
        "HEALTHCHECK --interval=1s --retries=1 CMD echo no table orders; exit 1\nCMD [\"sleep\", \"1000\"]\n";
    project.write("sick.Dockerfile", &format!("{DOCKERFILE}{check}"));
    project
        .write("served.Dockerfile", &format!("{DOCKERFILE}CMD [\"sh\", \"-c\", {}]\n", Value::from(server)));
    project.edit(
        "windlass.yaml",
        "images: {app:",
        "images: {served: {dockerfile: served.Dockerfile, args: {BASE: \"${BASE}\"}}, \
         sick: {dockerfile: sick.Dockerfile, args: {BASE: \"${BASE}\"}}, app:",
    );
    project.commit("a service");
    project.windlass(&["build"]).exits(0);
    let run = project.windlass(&["test", "-o", "json"]).exits(21);
    for test in ["http", "tcp", "log"] {
        assert_eq!(summary(&run, &format!("test {test}")), "ok: passed", "{run}");
    }
    let refused = summary(&run, "test refused");
    assert!(
        refused
            .contains("service `web` was not ready within 12.0 s: http :8080/none does not respond with 2xx"),
        "{refused}"
    );
    assert!(run.finished()["causes"][0]["evidence"].to_string().contains("GET /none"), "{run}");
    let sick = summary(&run, "test sick");
    assert!(sick.ends_with("its HEALTHCHECK fails: no table orders"), "{sick}");
}

#[test]
fn a_service_that_dies_ends_its_test_and_only_then_it_is_tried_again() {
    let project = project(
        "dies",
        "  before:\n    image: app\n    run: ['true']\n    services: {db: {image: broken, ready: {tcp: 5432, timeout: 60s}}}\n    retry: 1\n  \
         during:\n    image: app\n    run: [sleep, '60']\n    services: {db: {image: short}}\n",
    );
    let image = |name: &str, script: &str| {
        project.write(
            &format!("{name}.Dockerfile"),
            &format!("{DOCKERFILE}CMD [\"sh\", \"-c\", \"{script}\"]\n"),
        );
    };
    image("broken", "echo no disk >&2; exit 1");
    image("short", "sleep 2; echo disk full >&2; exit 9");
    project.edit(
        "windlass.yaml",
        "images: {app:",
        "images: {broken: {dockerfile: broken.Dockerfile, args: {BASE: \"${BASE}\"}}, short: {dockerfile: short.Dockerfile, args: {BASE: \"${BASE}\"}}, app:",
    );
    project.commit("services");
    project.windlass(&["build"]).exits(0);
    let run = project.windlass(&["test", "-o", "json"]).exits(21);
    assert!(run.took < Duration::from_secs(40), "{:?}", run.took);
    let finished = run.finished();
    let of = |test: &str| {
        finished["causes"].as_array().unwrap().iter().find(|cause| cause["test"] == test).unwrap().clone()
    };
    assert_eq!(of("before")["message"], "service `db` ended with exit code 1 before it was ready");
    assert!(of("before")["evidence"].to_string().contains("no disk"));
    assert_eq!(of("during")["message"], "service `db` ended with exit code 9 while the test ran");
    assert!(of("during")["evidence"].to_string().contains("disk full"));
    let warnings = run
        .events()
        .iter()
        .filter(|event| event["message"].as_str().is_some_and(|text| text.contains("is tried again")))
        .count();
    assert_eq!(warnings, 1, "{run}");
}

/// Starts the tests and waits until this line was written.
pub(crate) fn begin(project: &Project, arguments: &[&str], line: &str) -> std::process::Child {
    let log = project.path().join("log");
    let mut command = project.command(&project.path(), arguments);
    let child = command.stdout(std::fs::File::create(&log).unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !std::fs::read_to_string(&log).unwrap().contains(line) {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(&log).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

pub(crate) fn signal(child: &std::process::Child, signal: &str) {
    text(Command::new("kill").args([signal, &child.id().to_string()]));
}

pub(crate) const SLOW: &str = "  slow:\n    image: app\n    run: [sh, -c, 'echo here it hangs; sleep 100']\n    services: {db: {image: app}}\n";

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_and_never_what_is_alive() {
    let project = project("killed", &SLOW.replace("    services: {db: {image: app}}\n", ""));
    project.write(".dockerignore", "log\n");
    project.commit("log");
    project.windlass(&["build"]).exits(0);
    let mut alive = begin(&project, &["test", "-o", "json"], "here it hangs");
    let living = left(&project);
    let mut killed = begin(&project, &["test", "-o", "json"], "here it hangs");
    signal(&killed, "-KILL");
    killed.wait().unwrap();
    assert_ne!(left(&project), living, "it could not tidy up");
    let other = Project::small("killed-other", DOCKERFILE, "");
    other.edit("windlass.yaml", "tiers:", "tests: {quick: {image: app, run: ['true']}}\ntiers:");
    other.commit("a test");
    other.windlass(&["build"]).exits(0);
    other.windlass(&["test"]).exits(0);
    assert_eq!(left(&project), living, "only the dead one's things are gone");
    signal(&alive, "-INT");
    assert_eq!(alive.wait().unwrap().code(), Some(130));
    assert_eq!(left(&project), "");
}

#[test]
fn reports_are_brought_out_whether_it_passed_or_not() {
    let cases = "<testsuite><testcase name=\"good\"/><testcase name=\"bad\"><failure message=\"2 is not 3\">line 7</failure></testcase></testsuite>";
    let project = project(
        "reports",
        &format!(
            "  unit:\n    image: app\n    run: [sh, -c, \"mkdir -p /out/html && echo '{}' > /out/a.xml && echo 80% > /out/html/index && exit 1\"]\n    \
             reports: {{junit: [/out/*.xml], coverage: [/out/html]}}\n",
            cases.replace('"', "\\\"")
        ),
    );
    let reports = tempfile::tempdir().unwrap();
    let run = project.windlass(&["test", "--report", reports.path().to_str().unwrap()]).exits(20);
    let run = run.says("1 passed, 1 failed: bad: 2 is not 3").says("line 7");
    let read = |name: &str| {
        std::fs::read_to_string(reports.path().join("tests/unit").join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}; {run}"))
    };
    assert_eq!(read("a.xml"), format!("{cases}\n"), "byte for byte");
    assert_eq!(read("html/index"), "80%\n");
}

#[test]
fn a_kept_test_has_a_shell_and_its_services_stand() {
    let project = project(
        "keep",
        "  unit:\n    image: app\n    run: [sh, -c, 'echo $WORD > /tmp/word; exit 1']\n    env: {WORD: found}\n    \
         services: {web: {image: web, ready: {tcp: 8080}}}\n",
    );
    project.write(
        "web.Dockerfile",
        &format!("{DOCKERFILE}CMD [\"python3\", \"-m\", \"http.server\", \"8080\"]\n"),
    );
    project.edit(
        "windlass.yaml",
        "images: {app:",
        "images: {web: {dockerfile: web.Dockerfile, args: {BASE: \"${BASE}\"}}, app:",
    );
    project.commit("web");
    project.windlass(&["build"]).exits(0);
    let run = project.windlass(&["test", "--keep", "-o", "json"]).exits(20);
    let warning =
        run.events().into_iter().find(|event| event["event"] == "warning").unwrap_or_else(|| panic!("{run}"));
    let (_, command) = warning["message"].as_str().unwrap().split_once("where it ended: ").unwrap();
    assert_eq!(run.finished()["next"][0], command);
    // A pipe is no terminal.
    let inside = command.replace(" -it ", " -i ").replace("--entrypoint sh", "--entrypoint sh -e A=b");
    let script = "cat /tmp/word; python3 -c 'import urllib.request as r; print(r.urlopen(\"http://web:8080/\").status)'";
    let said = text(Command::new("sh").args(["-c", &format!("echo {} | {inside}", shell_quoted(script))]));
    assert_eq!(said, "found\n200\n");
    // Neither a next run nor an empty directory's takes it away; the command that was printed does.
    let other = project.windlass(&["test", "-o", "json"]).exits(20);
    assert_ne!(left(&project), "", "{other}");
    let (_, removal) = warning["hint"].as_str().unwrap().split_once("to delete it: ").unwrap();
    text(Command::new("sh").args(["-c", removal]));
    assert_eq!(left(&project), "");
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[test]
fn a_test_sees_nothing_but_what_is_declared() {
    let mut project = project(
        "declared",
        "  env: {image: app, run: [sh, -c, 'env | sort; ls -A /mnt /media; mount | grep -c windlass || true'], env: {DECLARED: yes}}\n",
    );
    project.set("CI_JOB_TOKEN", "glcbt-of-nobody");
    project.set("CI_COMMIT_SHA", "1f3c");
    let run = project.windlass(&["test", "-v"]).exits(0).says("DECLARED=yes");
    assert!(!run.stderr.contains("CI_JOB_TOKEN") && !run.stderr.contains("CI_COMMIT_SHA"), "{run}");
}

/// In a job of its own, where nothing was built before.
#[test]
fn a_test_says_no_secret_of_the_project_or_its_job() {
    let mut project = project(
        "secrets",
        "  leak: {image: app, run: [sh, -c, 'echo job-Token-7 regis-Try-7 hunter2-hunter2 build-7-build; echo aHVudGVyMi1odW50ZXIy; exit 1']}\n",
    );
    project.edit(
        "windlass.yaml",
        "args: {BASE: \"${BASE}\"}}",
        "args: {BASE: \"${BASE}\"}, secrets: {tok: {env: TOK}}}",
    );
    project.edit("windlass.yaml", "tests:", "secrets: {db: {password: {env: DBP}}}\ntests:");
    project.set("TOK", "build-7-build");
    project.commit("with secrets");
    project.windlass(&["build"]).exits(0);
    for (name, value) in
        [("CI_JOB_TOKEN", "job-Token-7"), ("CI_REGISTRY_PASSWORD", "regis-Try-7"), ("DBP", "hunter2-hunter2")]
    {
        project.set(name, value);
    }
    let run = project.windlass(&["test", "--report", "out"]).exits(20).says("[MASKED]");
    let written = text(
        Command::new("cat")
            .args(["events.jsonl", "junit.xml", "report.html"])
            .current_dir(project.path().join("out")),
    );
    for all in [run.stdout.clone() + &run.stderr, written] {
        for secret in
            ["job-Token-7", "regis-Try-7", "hunter2-hunter2", "build-7-build", "aHVudGVyMi1odW50ZXIy"]
        {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
    }
}

#[test]
fn a_test_wants_no_image_but_its_own() {
    let project = project("own-image", "  a: {image: app, run: [\"true\"]}\n");
    project.edit("windlass.yaml", "images: {app:", "images: {other: {dockerfile: Other}, app:");
    project.write(".kube/app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n");
    project.write("Other", &format!("{DOCKERFILE}RUN false\n"));
    project.commit("another image");
    project.windlass(&["build", "app"]).exits(0);
    project.windlass(&["test", "a"]).exits(0);
    project.windlass(&["test"]).exits(0);
    project.windlass(&["release", "staging"]).exits(34).says("image `other` of commit");
}
