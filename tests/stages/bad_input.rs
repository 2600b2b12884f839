//! What bad input gets: the right exit code, one sentence, the place, a hint, and nothing changed.

use std::path::Path;
use std::process::Command;

use crate::bench::{Project, Run, lab, text};

const WEB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n";
const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"1000\"]\n";

/// Runs the whole pipeline on a project with one mistake in it: it must end before anything is changed.
fn mistake(test: &str, make: impl FnOnce(&mut Project)) -> Run {
    let mut project = Project::small(test, DOCKERFILE, WEB);
    make(&mut project);
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "--allow-empty", "-m", "a mistake"]);
    let run = project.windlass(&["pipeline", "staging"]);
    assert!(project.object("configmap/web").is_null(), "something was applied: {run}");
    run
}

#[test]
fn a_project_without_a_dockerfile() {
    mistake("no-dockerfile", |project| std::fs::remove_file(project.path().join("Dockerfile")).unwrap())
        .exits(3)
        .says("Dockerfile")
        .says("hint");
}

#[test]
fn a_project_without_manifests() {
    mistake("no-kube", |project| std::fs::remove_dir_all(project.path().join(".kube")).unwrap())
        .exits(3)
        .says(".kube")
        .says("hint");
}

#[test]
fn yaml_that_does_not_parse() {
    mistake("yaml", |project| project.write(".kube/app.yaml", "kind: [ConfigMap\nmetadata: {name: web}\n"))
        .exits(3)
        .says(".kube/app.yaml:");
}

#[test]
fn a_key_that_stands_twice() {
    mistake("duplicate", |project| {
        project.write(
            ".kube/app.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  a: b\n  a: c\n",
        );
    })
    .exits(3)
    .says(".kube/app.yaml:6:3");
}

#[test]
fn a_manifest_without_kind_or_name() {
    mistake("no-kind", |project| project.write(".kube/app.yaml", "apiVersion: v1\nmetadata: {name: web}\n"))
        .exits(3)
        .says(".kube/app.yaml:1:1")
        .says("kind");
    mistake("no-name", |project| {
        project.write(".kube/app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n");
    })
    .exits(3)
    .says("name");
}

#[test]
fn an_unknown_key_of_the_configuration() {
    mistake("unknown-key", |project| project.edit("windlass.yaml", "images:", "imges:"))
        .exits(3)
        .says("windlass.yaml:4:1")
        .says("`images`");
}

#[test]
fn a_variable_without_a_value() {
    mistake("variable", |project| {
        project.write(".kube/app.yaml", &WEB.replace("name: web", "name: '${HOSTT}'"));
    })
    .exits(3)
    .says(".kube/app.yaml:3:")
    .says("HOSTT");
}

#[test]
fn an_unknown_tier() {
    let project = Project::small("tier", DOCKERFILE, WEB);
    project.windlass(&["pipeline", "stagin"]).exits(3).says("stagin").says("staging");
}

#[test]
fn a_context_that_the_kubeconfig_does_not_have() {
    mistake("context", |project| project.edit("windlass.yaml", "context: lab-real", "context: lab-unreal"))
        .exits(3)
        .says("lab-unreal")
        .says("lab-real");
}

#[test]
fn an_image_that_was_never_built() {
    let project = Project::small("unbuilt", DOCKERFILE, WEB);
    project.windlass(&["release", "staging"]).exits(34).says("windlass build");
}

#[test]
fn docker_that_does_not_run() {
    mistake("no-docker", |project| project.set("DOCKER_HOST", "unix:///nowhere/docker.sock"))
        .exits(5)
        .says("/nowhere/docker.sock");
}

#[test]
fn a_registry_that_refuses_the_password() {
    let run = mistake("password", |project| {
        let docker = project.path().join(".docker");
        std::fs::create_dir(&docker).unwrap();
        let auth = "bGFiOndyb25n"; // lab:wrong
        let host = lab("LAB_REGISTRY_TLS");
        std::fs::write(
            docker.join("config.json"),
            format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{auth}\"}}}}}}"),
        )
        .unwrap();
        project.write(".dockerignore", ".docker\n");
        project.set("DOCKER_CONFIG", docker.display().to_string());
        project.set("REGISTRY", format!("{host}/{}", project.name));
    });
    let run = run.exits(6).says(&lab("LAB_REGISTRY_TLS"));
    assert!(!run.stderr.contains("wrong") && !run.stderr.contains("bGFi"), "{run}");
}

#[test]
fn a_cluster_that_does_not_answer() {
    let run = mistake("no-cluster", |project| {
        let original = std::fs::read_to_string(lab("KUBECONFIG")).unwrap();
        // The same port of an address where nobody listens.
        let elsewhere = original.replace("https://10.87.0.1:5743", "https://127.0.0.1:1");
        assert_ne!(original, elsewhere, "the lab's address has changed");
        project.write("kubeconfig", &elsewhere);
        project.write(".dockerignore", "kubeconfig\n");
        project.set("KUBECONFIG", project.path().join("kubeconfig").display().to_string());
    });
    assert!(run.took.as_secs() < 60, "{:?}", run.took);
    run.exits(5).says("127.0.0.1:1");
}

#[test]
fn a_user_who_may_not_create_what_the_set_holds() {
    let role =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: t-never}\nrules: []\n";
    let mut project = Project::small("rights", DOCKERFILE, &format!("{WEB}---\n{role}"));
    project.edit("windlass.yaml", "context: lab-real", "context: lab-tenant");
    project.edit("windlass.yaml", &format!("namespace: {}", project.namespace), "namespace: tenant");
    project.commit("as a tenant");
    project.namespace = "tenant-of-nobody".to_owned();
    project.windlass(&["pipeline", "staging"]).exits(6).says("clusterroles");
    let left = text(Command::new("kubectl").args([
        "--context",
        "lab-tenant",
        "get",
        "configmap",
        "web",
        "--ignore-not-found",
        "-o",
        "name",
    ]));
    assert_eq!(left, "", "nothing is changed");
}

#[test]
fn a_git_tree_that_belongs_to_somebody_else() {
    let project = Project::small("owner", DOCKERFILE, WEB);
    text(Command::new("chown").args(["-R", "12345:12345"]).arg(project.path()));
    let run = project.windlass(&["build"]);
    text(Command::new("chown").args(["-R", "0:0"]).arg(project.path()));
    run.exits(6).says("safe.directory");
}

#[test]
fn a_detached_shallow_checkout_works() {
    let project = Project::small("shallow", DOCKERFILE, WEB);
    project.write("more", "more\n");
    project.commit("second");
    let clones = tempfile::tempdir().unwrap();
    let clone = clones.path().join("clone");
    text(
        Command::new("git")
            .args(["clone", "-q", "--depth", "1"])
            .arg(format!("file://{}", project.path().display()))
            .arg(&clone),
    );
    text(Command::new("git").args(["checkout", "-q", "--detach"]).current_dir(&clone));
    project.windlass_in(&clone, &["build"]).exits(0);
    project.windlass_in(Path::new(&clone), &["release", "staging"]).exits(0);
}

#[test]
fn a_dockerfile_that_is_gone_without_a_configuration() {
    let project = Project::empty("gone");
    project.write(".kube/app.yaml", WEB);
    project.commit("no Dockerfile, no windlass.yaml");
    project.windlass(&["build"]).exits(3).says("Dockerfile");
}

#[test]
fn a_tier_without_manifests_is_not_emptied() {
    let project = Project::small("emptied", DOCKERFILE, WEB);
    project.windlass(&["pipeline", "staging"]).exits(0);
    std::fs::remove_file(project.path().join(".kube/app.yaml")).unwrap();
    project.write(".kube/.keep", "");
    project.commit("everything is gone");
    project.windlass(&["validate"]).exits(3);
    project.windlass(&["pipeline", "staging"]).exits(3).says("no manifest for staging");
    assert!(!project.object("configmap/web").is_null());
}

#[test]
fn a_namespace_and_what_lies_in_it_come_together_and_can_be_planned() {
    let project = Project::small("together", DOCKERFILE, WEB);
    let other = format!("{}-other", project.name);
    project.write(
        ".kube/other.yaml",
        &format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n---\napiVersion: v1\nkind: ConfigMap\n\
             metadata: {{name: there, namespace: {other}}}\n"
        ),
    );
    project.commit("a namespace of its own");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["plan", "staging", "--exit-code"]).exits(4).says("3 to create");
    project.windlass(&["release", "staging"]).exits(0);
    project.drop_namespace(&other);
}

#[test]
fn where_nothing_was_released_there_is_nothing_to_roll_back() {
    let elsewhere = tempfile::tempdir().unwrap();
    let project = Project::empty("nothing");
    let arguments = [
        "rollback",
        "staging",
        "--project",
        "nothing",
        "--context",
        "lab-fake",
        "--namespace",
        "t-nothing-at-all",
    ];
    project.windlass_in(elsewhere.path(), &arguments).exits(34).says("nothing was released here yet");
}

#[test]
fn a_wrong_call_ends_as_every_other_for_machines() {
    let project = Project::empty("usage");
    let wrong = project.windlass(&["release", "--report", "report", "-o", "json"]).exits(2);
    let finished = wrong.finished();
    assert_eq!(
        (finished["command"].as_str(), finished["exit_code"].as_u64()),
        (Some("release"), Some(2)),
        "{wrong}"
    );
    assert!(finished["message"].as_str().unwrap().contains("<TIER>"), "{wrong}");
    let left = std::fs::read_to_string(project.path().join("report/events.jsonl")).unwrap();
    assert!(left.contains("\"finished\""), "{left}");
    for file in ["junit.xml", "report.html", "windlass.env"] {
        assert!(project.path().join("report").join(file).exists(), "{file}");
    }
}

/// Variables stand for the global options where nothing is typed, and CI leaves empty ones behind.
#[test]
fn the_environment_gives_the_global_options() {
    let mut project = Project::small("environment", DOCKERFILE, WEB);
    let reports = project.path().join("reports");
    project.set("WINDLASS_OUTPUT", "json");
    project.set("WINDLASS_REPORT", reports.to_str().unwrap());
    let machines = project.windlass(&["validate"]).exits(0);
    assert_eq!(machines.finished()["command"], "validate");
    assert!(reports.join("events.jsonl").is_file());
    let wrong = project.windlass(&["release"]).exits(2);
    assert_eq!(wrong.finished()["exit_code"], 2, "{wrong}");
    let people = project.windlass(&["validate", "-o", "plain"]).exits(0);
    assert!(!people.stdout.contains('{'), "{people}");
    for name in
        ["WINDLASS_OUTPUT", "WINDLASS_REPORT", "WINDLASS_TIMEOUT", "WINDLASS_QUIET", "WINDLASS_REGISTRY"]
    {
        project.set(name, "");
    }
    let people = project.windlass(&["validate"]).exits(0);
    assert!(!people.stdout.contains('{'), "{people}");
    project.set("WINDLASS_TIMEOUT", "soon");
    project.windlass(&["validate"]).exits(2).says("--timeout");
    project.set("WINDLASS_TIMEOUT", "");
    let version = project.windlass(&["version", "-o", "json"]).exits(0);
    let version: serde_json::Value = serde_json::from_str(&version.stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}
